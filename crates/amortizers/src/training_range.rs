//! Keeps what the simulations were like that a posterior was trained on, and tells data that are unlike them.

use crate::{
    AmortizerError, Conditions, Configured,
    standardize::{ColumnMoments, is_there},
};
use nalgebra::{Cholesky, DMatrix, DVector};
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};
use std::{cmp::Ordering, ops::RangeInclusive};

/// What the simulations were like that a posterior was trained on: the number of observations, and the range of each condition.
///
/// A posterior that is asked about anything else answers all the same, and wrongly. So [`AmortizedPosterior::sample`] and its likes refuse
/// a number of observations that networks trained on one number alone never saw, and warn of data unlike any simulation.
///
/// [`AmortizedPosterior::sample`]: crate::AmortizedPosterior::sample
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRange {
    /// The fewest and the most observations of a data set.
    num_observations: [usize; 2],
    /// The direct condition that was always the number of observations, if there is one.
    direct_of_num_observations: Option<usize>,
    features: Vec<ColumnMoments>,
    parameters: Vec<ColumnMoments>,
    direct: Vec<[f32; 2]>,
}

/// The probability that a data set like the simulations is called unlike them, for each of the two distances.
const ALPHA: f64 = 1e-4;
/// The share of the largest distances that a tail is fitted to.
const TAIL: f64 = 0.1;
/// The least index of a tail. Bounded and discrete data have none; then a distance 1.15 times the largest is unlike any.
const LEAST_TAIL_INDEX: f64 = 0.02;
/// The fewest simulations that distances are calibrated by.
const FEWEST: usize = 100;
/// The most simulations that distances are calibrated by, and the most numbers that more than the fewest may have, 16 MB.
const MOST: usize = 1000;
const MOST_NUMBERS: usize = 1 << 22;
/// The most summaries whose correlations count: of more, some hundred simulations tell none.
const MOST_CORRELATED: usize = 64;
/// Steps of f32 in a standard deviation below which rounding is said: it then adds 0.3% to the spread.
const FEW_STEPS: f64 = 100.0;
/// Standard deviations of the largest value from the mean above which the standardised rest is said to be close together.
const HEAVY_TAIL: f64 = 25.0;

impl TrainingRange {
    /// Of pilot simulations, at least one batch, whose columns and parameters, mapped to the reals if they are, have these moments.
    pub(crate) fn new(pilot: &[Configured], columns: &[ColumnMoments], parameters: Vec<ColumnMoments>) -> Self {
        let masked = pilot[0].conditions.masked;
        let direct = pilot[0].conditions.direct_conditions.as_ref().map_or(0, |direct| direct.ncols());
        let mut range = Self {
            num_observations: [usize::MAX, 0],
            direct_of_num_observations: None,
            features: [&columns[..masked], &columns[2 * masked..]].concat(),
            parameters,
            direct: vec![[f32::INFINITY, f32::NEG_INFINITY]; direct],
        };
        // The first column that is N in all batches.
        let is_n = |column: usize| pilot.iter().all(|batch| is_num_observations(&batch.conditions, column));
        range.direct_of_num_observations = (0..direct).find(|column| is_n(*column));
        pilot.iter().for_each(|batch| range.extend(&batch.conditions, masked));
        range
    }

    /// Takes in a batch that was trained on. Its features widen the range, and not the moments, by which networks are standardised.
    pub(crate) fn extend(&mut self, conditions: &Conditions, masked: usize) {
        let n = conditions.summary_conditions.dim().1;
        let [fewest, most] = &mut self.num_observations;
        (*fewest, *most) = ((*fewest).min(n), (*most).max(n));
        for observation in conditions.summary_conditions.rows() {
            for (i, of) in self.features.iter_mut().enumerate() {
                let column = if i < masked { i } else { i + masked };
                if is_there(&observation, column, masked) {
                    let value = observation[column];
                    (of.low, of.high) = (of.low.min(value), of.high.max(value));
                } else {
                    of.there = of.there.min(1.0 - f64::EPSILON);
                }
            }
        }
        if let Some(direct) = &conditions.direct_conditions {
            for row in direct.outer_iter() {
                for ([low, high], &value) in self.direct.iter_mut().zip(row) {
                    (*low, *high) = (low.min(value), high.max(value));
                }
            }
        }
        let is_n = |column: &usize| is_num_observations(conditions, *column);
        self.direct_of_num_observations = self.direct_of_num_observations.filter(is_n);
    }

    /// Takes in what another run of the same training has seen.
    pub(crate) fn join(&mut self, other: &Self) {
        let [fewest, most] = &mut self.num_observations;
        (*fewest, *most) = ((*fewest).min(other.num_observations[0]), (*most).max(other.num_observations[1]));
        for (of, other) in self.features.iter_mut().zip(&other.features) {
            (of.low, of.high) = (of.low.min(other.low), of.high.max(other.high));
            of.there = of.there.min(other.there);
        }
        for ([low, high], [other_low, other_high]) in self.direct.iter_mut().zip(&other.direct) {
            (*low, *high) = (low.min(*other_low), high.max(*other_high));
        }
        if self.direct_of_num_observations != other.direct_of_num_observations {
            self.direct_of_num_observations = None;
        }
    }

    /// The numbers of observations of the data sets that were trained on.
    #[must_use]
    pub fn num_observations(&self) -> RangeInclusive<usize> {
        self.num_observations[0]..=self.num_observations[1]
    }

    /// The direct condition, from 0, that was the number of observations in all of training.
    #[must_use]
    pub fn direct_of_num_observations(&self) -> Option<usize> {
        self.direct_of_num_observations
    }

    /// Each feature of an observation, without the columns of a mask.
    #[must_use]
    pub fn features(&self) -> &[ColumnMoments] {
        &self.features
    }

    /// Each parameter, mapped to the reals where the posterior maps it.
    #[must_use]
    pub fn parameters(&self) -> &[ColumnMoments] {
        &self.parameters
    }

    /// The least and the greatest value of each direct condition.
    #[must_use]
    pub fn direct(&self) -> &[[f32; 2]] {
        &self.direct
    }

    /// Refuses a number of observations that networks which know one alone were never shown.
    pub(crate) fn check_num_observations(&self, conditions: &Conditions) -> Result<(), AmortizerError> {
        let (got, [fewest, most]) = (conditions.summary_conditions.dim().1, self.num_observations);
        if fewest == most && got != fewest {
            return Err(AmortizerError::UnseenObservations { expected: fewest, got });
        }
        Ok(())
    }

    /// Whether this is of networks with so many features, of which so many may be missing, and direct conditions; for what a file says.
    pub(crate) fn fits(&self, features: usize, masked: usize, direct: usize) -> bool {
        self.features.len() + masked == features && self.direct.len() == direct
    }

    /// What is outside of the range of what was trained on: the number of observations, and direct conditions.
    pub(crate) fn outside(&self, conditions: &Conditions) -> Vec<String> {
        let mut warnings = Vec::new();
        let (n, [fewest, most]) = (conditions.summary_conditions.dim().1, self.num_observations);
        if !(fewest..=most).contains(&n) {
            let trained = if fewest == most { format!("{most}") } else { format!("{fewest} to {most}") };
            warnings.push(format!(
                "the data have {n} observations, and the networks were trained on {trained}: the posterior may be wrong; train on \
                 simulations with as many"
            ));
        }
        let direct = conditions.direct_conditions.as_ref();
        for (column, [low, high]) in self.direct.iter().enumerate() {
            if self.direct_of_num_observations == Some(column) && fewest < most {
                if !is_num_observations(conditions, column) {
                    warnings.push(format!(
                        "direct condition {column} was the number of observations in all of training, and is not that of the data, {n}: the \
                         posterior may be wrong; give {n}, or leave the condition to `Conditions::with_num_observations`"
                    ));
                }
                continue;
            }
            let outside = direct.and_then(|direct| {
                direct
                    .column(column)
                    .iter()
                    .enumerate()
                    .find(|(_, value)| !(low..=high).contains(value))
                    .map(|(m, v)| (m, *v))
            });
            if let Some((data_set, value)) = outside {
                warnings.push(format!(
                    "direct condition {column} of data set {data_set} is {value}, and the networks were trained on {low} to {high}: the \
                     posterior may be wrong; train on simulations with such a value"
                ));
            }
        }
        warnings
    }

    /// The value of a data set `[N, F]` that is farthest from the simulations, in their standard deviations, and its column; infinitely far, if it
    /// never varied and has another value now.
    fn farthest(&self, data_set: &ndarray::ArrayView2<'_, f32>, masked: usize) -> (f64, usize) {
        let mut farthest = (0.0, 0);
        for observation in data_set.outer_iter() {
            for (i, of) in self.features.iter().enumerate() {
                let column = if i < masked { i } else { i + masked };
                if !is_there(&observation, column, masked) {
                    if of.there == 1.0 {
                        return (f64::INFINITY, i);
                    }
                    continue;
                }
                let away = (f64::from(observation[column]) - of.mean).abs();
                let distance = match of.std > 0.0 {
                    true => away / of.std,
                    false if (of.low..=of.high).contains(&observation[column]) => 0.0,
                    false => f64::INFINITY,
                };
                if distance > farthest.0 {
                    farthest = (distance, i);
                }
            }
        }
        farthest
    }

    /// What is off about a value.
    fn describe(&self, data_set: &ndarray::ArrayView2<'_, f32>, masked: usize, names: Option<&[String]>) -> String {
        let (distance, column) = self.farthest(data_set, masked);
        let (of, name) = (&self.features[column], named(names, column));
        match (distance.is_finite(), of.std == 0.0) {
            (true, _) => format!(
                "{name} is {distance:.0} standard deviations from the mean of the simulations, which have {:.4e} to {:.4e}",
                of.low, of.high
            ),
            (false, true) if of.low == of.high => format!("{name} was {} in all simulations and is not", of.low),
            (false, true) => format!("{name} was {} to {} in all simulations and is not", of.low, of.high),
            (false, false) => format!("{name} has missing values, and no simulation had one there"),
        }
    }
}

/// How a column is called: by its name, or its number from 0.
pub(crate) fn named(names: Option<&[String]>, column: usize) -> String {
    match names.and_then(|names| names.get(column)) {
        Some(name) => format!("column `{name}`"),
        None => format!("column {column}"),
    }
}

/// What to know about columns before they are trained on: which never vary, which f32 hardly resolves, and which a few values dominate.
pub(crate) fn warnings_of(columns: &[(String, ColumnMoments)]) -> Vec<String> {
    let constant: Vec<_> = columns.iter().filter(|(_, of)| of.low == of.high).collect();
    // One that varies in training alone has no moments.
    let varying: Vec<_> = columns.iter().filter(|(_, of)| of.low < of.high && of.std > 0.0).collect();
    let steps = |of: &ColumnMoments| of.std / of.resolution();
    let reach = |of: &ColumnMoments| (f64::from(of.high) - of.mean).max(of.mean - f64::from(of.low)) / of.std;
    let (coarse, fine): (Vec<_>, Vec<_>) = varying.into_iter().partition(|(_, of)| steps(of) < FEW_STEPS);
    let heavy: Vec<_> = fine.into_iter().filter(|(_, of)| reach(of) > HEAVY_TAIL).collect();
    let mut warnings = Vec::new();
    if !constant.is_empty() {
        warnings.push(format!(
            "the same in all simulations: {}; nothing is learnt from it, and another value there is unlike any simulation: leave it out, or look \
             whether the model is right",
            listed(&constant)
        ));
    }
    if let Some((_, of)) = coarse.iter().min_by(|(_, a), (_, b)| steps(a).total_cmp(&steps(b))) {
        // As few digits as leave a remainder about as large as the standard deviation.
        let digit = 10f64.powf(of.std.log10().ceil());
        let mean = (of.mean / digit).round() * digit;
        let mean = format!("{:.1$e}", mean, (mean.abs().log10() - digit.log10()).clamp(0.0, 16.0) as usize);
        warnings.push(format!(
            "close to what f32 can tell apart: {}; a standard deviation of {:.1e} around {mean} is {:.1} steps of f32, and rounding hides what is \
             smaller: subtract {mean} in f64, in the model and from the observed data, before values become f32",
            listed(&coarse), of.std, steps(of)
        ));
    }
    if let Some((_, of)) = heavy.iter().max_by(|(_, a), (_, b)| reach(a).total_cmp(&reach(b))) {
        warnings.push(format!(
            "dominated by a few values: {}, up to {:.0} standard deviations from the mean; the networks see the others close together: take \
             the logarithm, or ln(1 + x) of counts, in the model and of observed data, or a prior on a logarithmic scale",
            listed(&heavy), reach(of)
        ));
    }
    warnings
}

/// The names of some columns, five at most.
fn listed(columns: &[&(String, ColumnMoments)]) -> String {
    let names: Vec<&str> = columns.iter().take(5).map(|(name, _)| &**name).collect();
    let more = columns.len() - names.len();
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}

fn is_num_observations(conditions: &Conditions, column: usize) -> bool {
    let n = conditions.summary_conditions.dim().1 as f32;
    conditions.direct_conditions.as_ref().is_some_and(|direct| direct.column(column).iter().all(|value| *value == n))
}

/// Simulations that distances are calibrated by, at most a thousand, from end to end of the pilot's.
pub(crate) fn reference(pilot: &[Configured]) -> Vec<Conditions> {
    let numbers = |batch: &Configured| batch.conditions.summary_conditions.len();
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

/// How far simulations are from each other, by their summaries and by their values: what makes distances into probabilities.
///
/// The mean and covariance of summaries are those of every other reference simulation, and the tails are those of the rest, as in conformal
/// prediction (Vovk et al. 2005): what counts as far is right whatever the summaries' distribution. Beyond the reference
/// the tail goes on as a power of the distance (Hill 1975), which errs to the safe side where it is lighter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Familiar {
    mean: Vec<f64>,
    /// The lower triangle of the Cholesky factor of the covariance row by row, or standard deviations of many summaries.
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
        // Summaries may depend on each other, or be constant: those directions count as a thousandth of the others in width.
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
        let farthest = reference.iter().flat_map(|part| {
            part.summary_conditions.outer_iter().map(|data_set| range.farthest(&data_set, part.masked).0)
        });
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

    /// What data sets are unlike any simulation, and by what: nothing, if there are no more of them than chance explains. Data sets come in
    /// groups of one size with their summaries, and the first has the number `first`.
    pub(crate) fn warning(
        &self,
        range: &TrainingRange,
        groups: &[(&Conditions, Array2<f32>)],
        first: usize,
        (masked, names): (usize, Option<&[String]>),
    ) -> Option<String> {
        let data_sets: Vec<_> = groups
            .iter()
            .flat_map(|(conditions, summaries)| conditions.summary_conditions.outer_iter().zip(summaries.outer_iter()))
            .collect();
        let p_values = data_sets.iter().map(|(data, summaries)| {
            let of_values = self.values.p_value(range.farthest(data, masked).0);
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
            range.describe(data, masked, names)
        } else {
            let times = self.distance(summaries) / self.summaries.from;
            format!("its summaries are {times:.1} times as far from their mean as those of 90% of the simulations")
        };
        let at = if unlike.len() > 1 { format!("of data set {number}, ") } else { String::new() };
        Some(format!(
            "{which} unlike any simulation: {at}{off}; the posterior may be wrong: check units and preprocessing, or widen the model"
        ))
    }
}
