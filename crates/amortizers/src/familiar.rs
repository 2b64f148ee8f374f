//! Tells data that are unlike the simulations, by distances that simulations calibrate.

use crate::{Conditions, Configured, TrainingRange};
use nalgebra::{Cholesky, DMatrix, DVector};
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};
use std::cmp::Ordering;

/// The probability that a data set like the simulations is called unlike them, for each of the two distances.
const ALPHA: f64 = 1e-4;
/// The share of the largest distances that a tail is fitted to.
const TAIL: f64 = 0.1;
/// The least index of a tail. Bounded and discrete data have none; then a distance 1.15 times the largest is unlike
/// any.
const LEAST_TAIL_INDEX: f64 = 0.02;
/// The fewest simulations that distances are calibrated by.
const FEWEST: usize = 100;
/// The most simulations that distances are calibrated by, and the most numbers that more than the fewest may have, 16
/// MB.
const MOST: usize = 1000;
const MOST_NUMBERS: usize = 1 << 22;
/// The most summaries whose correlations count: of more, some hundred simulations tell none.
const MOST_CORRELATED: usize = 64;

/// Simulations that distances are calibrated by, at most a thousand, from end to end of the pilot's.
pub(crate) fn reference(pilot: &[Configured]) -> Vec<Conditions> {
    let numbers = |batch: &Configured| batch.conditions.data.iter().count();
    let (all, size) = pilot.iter().fold((0, 0), |(all, size), batch| (all + batch.len(), size + numbers(batch)));
    let wanted = all.min(MOST).min((MOST_NUMBERS * all / size.max(1)).max(FEWEST));
    let mut chosen = (0..wanted).map(|i| i * all / wanted).peekable();
    let mut start = 0;
    let parts = pilot.iter().filter_map(|batch| {
        let end = start + batch.len();
        let rows: Vec<usize> = std::iter::from_fn(|| chosen.next_if(|row| *row < end)).map(|row| row - start).collect();
        start = end;
        (!rows.is_empty()).then(|| batch.conditions.select(&rows))
    });
    parts.collect()
}

/// How far simulations are from each other, by their summaries and by their values: what makes distances into
/// probabilities.
///
/// The mean and covariance of summaries are those of every other reference simulation, and the tails are those of the
/// rest, as in conformal prediction (Vovk et al. 2005): what counts as far is right whatever the summaries'
/// distribution. Beyond the reference the tail goes on as a power of the distance (Hill 1975), which errs to the safe
/// side where it is lighter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Familiar {
    mean: Vec<f64>,
    /// The lower triangle of the Cholesky factor of the covariance row by row, or standard deviations of many
    /// summaries.
    factor: Vec<f64>,
    summaries: Tail,
    values: Tail,
}

/// The largest tenth of some distances.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    /// The distance that [`TAIL`] of all are beyond.
    from: f64,
    index: f64,
}

impl Tail {
    fn of(mut distances: Vec<f64>) -> Self {
        distances.sort_by(f64::total_cmp);
        let beyond = (distances.len() as f64 * TAIL).ceil() as usize;
        let from = distances[distances.len() - 1 - beyond];
        let logarithms = distances[distances.len() - beyond..].iter().map(|distance| (distance / from).ln());
        let index = logarithms.sum::<f64>() / beyond as f64;
        Self { from, index: if index.is_finite() { index.max(LEAST_TAIL_INDEX) } else { LEAST_TAIL_INDEX } }
    }

    /// The probability that a simulation is as far away; 1 for one that is not in the tail.
    fn p_value(&self, distance: f64) -> f64 {
        match distance.partial_cmp(&self.from) {
            Some(Ordering::Greater) => TAIL * (distance / self.from).powf(-1.0 / self.index),
            Some(_) => 1.0,
            // Summaries that overflow are those of no simulation.
            None => 0.0,
        }
    }
}

impl Familiar {
    /// Of reference simulations and their summaries, one array for each part; `None` if there are too few.
    pub(crate) fn new(range: &TrainingRange, reference: &[Conditions], summaries: &[Array2<f32>]) -> Option<Self> {
        let rows: Vec<ArrayView1<'_, f32>> = summaries.iter().flat_map(|part| part.outer_iter()).collect();
        if rows.len() < FEWEST || rows.iter().any(|row| row.iter().any(|value| !value.is_finite())) {
            return None;
        }
        let width = rows[0].len();
        let fitted: Vec<_> = rows.iter().step_by(2).collect();
        let mut mean = vec![0.0; width];
        for row in &fitted {
            mean.iter_mut().zip(row.iter()).for_each(|(mean, &value)| *mean += f64::from(value) / fitted.len() as f64);
        }
        let centred = DMatrix::from_fn(fitted.len(), width, |i, j| f64::from(fitted[i][j]) - mean[j]);
        let variance = |j: usize| centred.column(j).norm_squared() / (fitted.len() - 1) as f64;
        let variances: Vec<f64> = (0..width).map(variance).collect();
        // Summaries may depend on each other, or be constant: those directions count as a thousandth of the others in
        // width.
        let ridge = 1e-6 * (variances.iter().sum::<f64>() / width as f64).max(f64::MIN_POSITIVE);
        let factor = if width <= MOST_CORRELATED {
            let mut covariance = centred.transpose() * &centred / (fitted.len() - 1) as f64;
            (0..width).for_each(|j| covariance[(j, j)] += ridge);
            let lower = Cholesky::new(covariance)?.l();
            (0..width).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|at| lower[at]).collect()
        } else {
            variances.iter().map(|variance| (variance + ridge).sqrt()).collect()
        };
        let none = Tail { from: 0.0, index: LEAST_TAIL_INDEX };
        let mut familiar = Self { mean, factor, summaries: none, values: none };
        familiar.summaries = Tail::of(rows.iter().skip(1).step_by(2).map(|row| familiar.distance(row)).collect());
        let farthest = reference
            .iter()
            .flat_map(|part| (0..part.len()).map(|data_set| range.farthest((part, data_set), &part.masked).0));
        familiar.values = Tail::of(farthest.collect());
        Some(familiar)
    }

    /// Whether this is of so many summaries, and finite; for what a file says.
    pub(crate) fn fits(&self, summaries: usize) -> bool {
        let width = self.mean.len();
        let factor = if width <= MOST_CORRELATED { width * (width + 1) / 2 } else { width };
        let numbers = self.mean.iter().chain(&self.factor).all(|value| value.is_finite());
        width == summaries && self.factor.len() == factor && numbers
    }

    /// The Mahalanobis distance of summaries from the simulations' mean, divided by √S.
    fn distance(&self, summaries: &ArrayView1<'_, f32>) -> f64 {
        let width = self.mean.len();
        let centred = DVector::from_fn(width, |i, _| f64::from(summaries[i]) - self.mean[i]);
        let whitened = if width <= MOST_CORRELATED {
            let mut rows = self.factor.iter();
            let mut whitened = DVector::zeros(width);
            for i in 0..width {
                let sum: f64 = (0..i).map(|j| rows.next().unwrap_or(&0.0) * whitened[j]).sum();
                whitened[i] = (centred[i] - sum) / rows.next().unwrap_or(&1.0);
            }
            whitened
        } else {
            centred.zip_map(&DVector::from_column_slice(&self.factor), |value, std| value / std)
        };
        whitened.norm() / (width as f64).sqrt()
    }

    /// What data sets are unlike any simulation, and by what: nothing, if there are no more of them than chance
    /// explains. Data sets come in groups of one size with their summaries, and the first has the number `first`.
    pub(crate) fn warning(
        &self,
        range: &TrainingRange,
        groups: &[(&Conditions, Array2<f32>)],
        first: usize,
        (masked, names): (&[usize], Option<&[String]>),
    ) -> Option<String> {
        let mut data_sets = Vec::new();
        for (conditions, summaries) in groups {
            data_sets.extend(summaries.outer_iter().enumerate().map(|(m, summary)| ((*conditions, m), summary)));
        }
        let p_values = data_sets.iter().map(|(data, summaries)| {
            let of_values = self.values.p_value(range.farthest(*data, masked).0);
            (of_values, self.summaries.p_value(self.distance(summaries)))
        });
        let unlike: Vec<_> = p_values.enumerate().filter(|(_, (a, b))| a.min(*b) < ALPHA).collect();
        let least = unlike.iter().fold(1.0, |least, (_, (a, b))| a.min(*b).min(least));
        let all = data_sets.len();
        let expected = Binomial::new(2.0 * ALPHA, all as u64).ok()?;
        let by_chance = |alpha: f64| {
            2.0 * least * all as f64 > alpha && expected.sf((unlike.len() as u64).saturating_sub(1)) > alpha
        };
        if unlike.is_empty() || by_chance(5.0 * ALPHA) {
            return None;
        }
        // One whose values say what is off, if there is one.
        let (which, (of_values, _)) =
            *unlike.iter().find(|(_, (of_values, _))| *of_values < ALPHA).unwrap_or(&unlike[0]);
        let ((data, summaries), number) = (&data_sets[which], first + which);
        let which = match (all, unlike.len()) {
            (1, _) => "the data are".to_owned(),
            (_, 1) => format!("data set {number} is"),
            (_, count) => format!("{count} of {all} data sets are"),
        };
        let off = if of_values < ALPHA {
            range.describe(*data, masked, names)
        } else {
            let times = self.distance(summaries) / self.summaries.from;
            format!("its summaries are {times:.1} times as far from their mean as those of 90% of the simulations")
        };
        let at = if unlike.len() > 1 { format!("of data set {number}, ") } else { String::new() };
        Some(format!(
            "{which} unlike any simulation: {at}{off}; the posterior may be wrong: check units and preprocessing, or \
             widen the model"
        ))
    }
}
