//! Computes fixed statistics of data sets, from which parameters can be predicted before anything is trained.
//!
//! Features are first standardised by the constants of the pilot simulations. So the unit of the data does not matter,
//! and a variance of 1 is that of the feature over all simulations. Padding and missing values do not count. Every
//! statistic is finite for all finite data, and is 0 where too few values tell it.

mod data_set;
#[cfg(test)]
mod tests;

use crate::conditions::exist;
use bayesburn_core::Input;
use bayesburn_networks::FixedStatistics;
use data_set::{Column, DataSet};
use rayon::prelude::*;
use std::ops::Range;

/// The most statistics of an input. A kind with which there would be more is left out.
const MOST: usize = 64;
/// Data sets that one thread takes at a time. A batch of 32 takes less time than another thread needs to begin.
const SETS_AT_ONCE: usize = 64;
/// The cells of an image's coarse grid, in each direction.
const CELLS: usize = 3;

/// A statistic of each feature, or of each pair of features.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Mean,
    /// ln s², with divisor n − 1.
    LogVariance,
    /// Fisher's z of the correlation of each pair of features.
    Correlation,
    /// Fisher's z of the autocorrelation at this lag.
    Lag(usize),
    /// ln of the mean squared difference of values at this distance, in an image in both directions.
    Difference(usize),
    /// The slope over time, times the standard deviation of time.
    Trend,
    /// The mean over a cell of the coarse grid, less that over the image.
    Cell([usize; 2]),
}

impl Kind {
    /// How many there are of features without masks.
    fn width(self, features: usize) -> usize {
        match self {
            Self::Correlation => features * features.saturating_sub(1) / 2,
            _ => features,
        }
    }
}

/// The kinds of an input with so many features, without masks.
fn kinds(of: FixedStatistics, features: usize) -> Vec<Kind> {
    let (first, last) = (vec![Kind::Mean, Kind::LogVariance], vec![Kind::Correlation]);
    let candidates = match of {
        FixedStatistics::None => Vec::new(),
        FixedStatistics::OfVectors => vec![Kind::Mean],
        FixedStatistics::OfSets => [first, last].concat(),
        FixedStatistics::OfSeries => {
            let in_time =
                vec![Kind::Lag(1), Kind::Difference(1), Kind::Trend, Kind::Lag(2), Kind::Lag(4), Kind::Lag(8)];
            [first, in_time, last].concat()
        }
        FixedStatistics::OfImages => {
            let differences = vec![Kind::Difference(1), Kind::Difference(2), Kind::Difference(4)];
            let cells = (0..CELLS * CELLS).map(|i| Kind::Cell([i / CELLS, i % CELLS])).collect();
            [first, differences, last, cells].concat()
        }
    };
    let mut left = MOST;
    let fits = |kind: &Kind| {
        let width = kind.width(features);
        let fits = width <= left;
        left -= if fits { width } else { 0 };
        fits
    };
    candidates.into_iter().filter(fits).collect()
}

/// How many statistics there are of an input whose first `masked` of all features are followed by their mask.
pub(crate) fn width(of: FixedStatistics, features: usize, masked: usize) -> usize {
    kinds(of, features - masked).iter().map(|kind| kind.width(features - masked)).sum()
}

/// The statistics of each data set, row after row. The constants are means and standard deviations of all features,
/// those of the mask among them; without constants, features are as they are.
pub(crate) fn statistics(
    of: FixedStatistics,
    input: &Input,
    masked: usize,
    constants: Option<[&[f32]; 2]>,
) -> Vec<f32> {
    let features = input.features();
    let kinds = kinds(of, features - masked);
    let constant = |i: usize| constants.map_or([0.0, 1.0], |of| of.map(|of| f64::from(of[i])));
    let column = |i: usize| Column { place: i, mask: (i < masked).then_some(masked + i), constants: constant(i) };
    let columns: Vec<Column> = (0..masked).chain(2 * masked..features).map(column).collect();
    let values = input.values().as_standard_layout();
    let values = values.as_slice().expect("in standard layout");
    let rows = values.len() / (features * input.len()).max(1);
    let in_order = matches!(of, FixedStatistics::OfSeries | FixedStatistics::OfImages);
    let axes = match *input.values().shape() {
        [_, height, width, _] => [height, width],
        _ => [rows, 1],
    };
    let exist = exist(input);
    let of_sets = |sets: Range<usize>| {
        let mut data_set = DataSet::default();
        let mut statistics = Vec::with_capacity(sets.len() * width(of, features, masked));
        for m in sets {
            let exist = exist.as_ref().map(|exist| &exist[m * rows..(m + 1) * rows]);
            data_set.place(axes, exist, in_order);
            data_set.read(&values[m * rows * features..(m + 1) * rows * features], features, &columns, exist);
            kinds.iter().for_each(|kind| append(*kind, &data_set, columns.len(), &mut statistics));
        }
        statistics
    };
    if input.len() <= SETS_AT_ONCE {
        return of_sets(0..input.len());
    }
    let firsts: Vec<usize> = (0..input.len()).step_by(SETS_AT_ONCE).collect();
    let parts = firsts.into_par_iter().map(|first| of_sets(first..(first + SETS_AT_ONCE).min(input.len())));
    parts.collect::<Vec<_>>().concat()
}

fn append(kind: Kind, data_set: &DataSet, features: usize, statistics: &mut Vec<f32>) {
    for a in 0..features {
        match kind {
            Kind::Correlation => statistics.extend((a + 1..features).map(|b| finite(data_set.correlation(a, b)))),
            _ => statistics.push(finite(of_feature(kind, data_set, a))),
        }
    }
}

fn of_feature(kind: Kind, data_set: &DataSet, feature: usize) -> f64 {
    match kind {
        Kind::Mean => data_set.mean(feature),
        Kind::LogVariance => data_set.log_variance(feature),
        Kind::Correlation => data_set.correlation(feature, feature),
        Kind::Lag(lag) => data_set.autocorrelation(feature, lag),
        Kind::Difference(distance) => data_set.log_difference(feature, distance),
        Kind::Trend => data_set.trend(feature),
        Kind::Cell(cell) => data_set.mean_of_cell(feature, cell, CELLS),
    }
}

/// Powers of the largest numbers of f32 are beyond f64.
fn finite(statistic: f64) -> f32 {
    if statistic.is_nan() { 0.0 } else { statistic.clamp(-1e9, 1e9) as f32 }
}
