//! Keeps what the simulations were like that a posterior was trained on, and tells data that are unlike them.

use crate::{
    AmortizerError, Conditions, Configured,
    standardize::{ColumnMoments, is_there},
};
use bayesburn_core::{Input, one_line};
use serde::{Deserialize, Serialize};
use std::ops::{Range, RangeInclusive};

/// A record of the simulations that a posterior was trained on: numbers of observations, moments and ranges of features
/// and parameters, and the range of each direct condition.
///
/// Networks answer for any data, and wrongly for data unlike their simulations. So [`AmortizedPosterior::sample`] and
/// similar methods return an error if training had one number of observations and the data have another. Draws have a
/// warning if numbers of observations or direct conditions are outside their range, or if data are far from the
/// simulations. The distances for that are calibrated by pilot simulations, which the posterior keeps.
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

/// Steps of f32 in a standard deviation below which rounding is said: it then adds 0.3% to the spread.
const FEW_STEPS: f64 = 100.0;
/// Standard deviations of the largest value from the mean above which the standardised rest is said to be close
/// together.
const HEAVY_TAIL: f64 = 25.0;

impl TrainingRange {
    /// Of pilot simulations, at least one batch, whose columns and parameters, mapped to the reals if they are, have
    /// these moments.
    pub(crate) fn new(pilot: &[Configured], columns: &[ColumnMoments], parameters: Vec<ColumnMoments>) -> Self {
        let direct = pilot[0].conditions.direct_conditions.as_ref().map_or(0, |direct| direct.ncols());
        let mut range = Self {
            num_observations: [usize::MAX, 0],
            direct_of_num_observations: None,
            features: without_masks(&pilot[0].conditions, columns),
            parameters,
            direct: vec![[f32::INFINITY, f32::NEG_INFINITY]; direct],
        };
        // The first column that is N in all batches.
        let is_n = |column: usize| pilot.iter().all(|batch| is_num_observations(&batch.conditions, column));
        range.direct_of_num_observations = (0..direct).find(|column| is_n(*column));
        pilot.iter().for_each(|batch| range.extend(&batch.conditions, &pilot[0].conditions.masked));
        range
    }

    /// Takes in a batch that was trained on. Its features widen the range, and not the moments, by which networks are
    /// standardised.
    pub(crate) fn extend(&mut self, conditions: &Conditions, masked: &[usize]) {
        let [least, greatest] = conditions.range_of_observations();
        let [fewest, most] = &mut self.num_observations;
        (*fewest, *most) = ((*fewest).min(least), (*most).max(greatest));
        let places = places(conditions, masked);
        conditions.for_each_row(None, |input, observation| {
            let (features, masked) = places[input].clone();
            for (i, of) in self.features[features].iter_mut().enumerate() {
                let column = if i < masked { i } else { i + masked };
                if is_there(observation, column, masked) {
                    let value = observation[column];
                    (of.low, of.high) = (of.low.min(value), of.high.max(value));
                } else {
                    of.there = of.there.min(1.0 - f64::EPSILON);
                }
            }
        });
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
        let ([least, greatest], [fewest, most]) = (conditions.range_of_observations(), self.num_observations);
        if fewest == most && [least, greatest] != [fewest; 2] {
            let got = if least == fewest { greatest } else { least };
            return Err(AmortizerError::UnseenObservations { expected: fewest, got });
        }
        Ok(())
    }

    /// Whether this is of networks with so many features, of which so many may be missing, and direct conditions; for
    /// what a file says.
    pub(crate) fn fits(&self, features: usize, masked: usize, direct: usize) -> bool {
        self.features.len() + masked == features && self.direct.len() == direct
    }

    /// What is outside of the range of what was trained on: the number of observations, and direct conditions.
    pub(crate) fn outside(&self, conditions: &Conditions) -> Vec<String> {
        let mut warnings = Vec::new();
        let ([least, greatest], [fewest, most]) = (conditions.range_of_observations(), self.num_observations);
        let n = if (fewest..=most).contains(&least) { greatest } else { least };
        if !(fewest..=most).contains(&n) {
            let trained = if fewest == most { format!("{most}") } else { format!("{fewest} to {most}") };
            warnings.push(format!(
                "the data have {n} observations, and the networks were trained on {trained}: the posterior may be \
                 wrong; train on simulations with as many"
            ));
        }
        let direct = conditions.direct_conditions.as_ref();
        for (column, [low, high]) in self.direct.iter().enumerate() {
            if self.direct_of_num_observations == Some(column) && fewest < most {
                if !is_num_observations(conditions, column) {
                    warnings.push(format!(
                        "direct condition {column} was the number of observations in all of training, and is not that \
                         of the data, {n}: the posterior may be wrong; give {n}, or leave the condition to \
                         `Conditions::with_num_observations`"
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
                    "direct condition {column} of data set {data_set} is {value}, and the networks were trained on \
                     {low} to {high}: the posterior may be wrong; train on simulations with such a value"
                ));
            }
        }
        warnings
    }

    /// The value of a data set that is farthest from the simulations, in their standard deviations, and its column;
    /// infinitely far, if it never varied and has another value now.
    pub(crate) fn farthest(&self, (conditions, data_set): (&Conditions, usize), masked: &[usize]) -> (f64, usize) {
        let (mut farthest, mut never_missing) = ((0.0, 0), None);
        let places = places(conditions, masked);
        conditions.for_each_row(Some(data_set), |input, observation| {
            let (features, masked) = places[input].clone();
            let first = features.start;
            for (i, of) in self.features[features].iter().enumerate() {
                let column = if i < masked { i } else { i + masked };
                if !is_there(observation, column, masked) {
                    if of.there == 1.0 {
                        never_missing.get_or_insert(first + i);
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
                    farthest = (distance, first + i);
                }
            }
        });
        never_missing.map_or(farthest, |column| (f64::INFINITY, column))
    }

    /// What is off about a value.
    pub(crate) fn describe(&self, data: (&Conditions, usize), masked: &[usize], names: Option<&[String]>) -> String {
        let (distance, column) = self.farthest(data, masked);
        let (of, name) = (&self.features[column], named(names, column));
        match (distance.is_finite(), of.std == 0.0) {
            (true, _) => format!(
                "{name} is {distance:.0} standard deviations from the mean of the simulations, which have {:.4e} to \
                 {:.4e}",
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
        Some(name) => format!("column `{}`", one_line(name)),
        None => format!("column {column}"),
    }
}

/// What to know about columns before they are trained on: which never vary, which f32 hardly resolves, and which a few
/// values dominate.
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
            "the same in all simulations: {}; nothing is learnt from it, and another value there is unlike any \
             simulation: leave it out, or look whether the model is right",
            listed(&constant)
        ));
    }
    if let Some((_, of)) = coarse.iter().min_by(|(_, a), (_, b)| steps(a).total_cmp(&steps(b))) {
        // As few digits as leave a remainder about as large as the standard deviation.
        let digit = 10f64.powf(of.std.log10().ceil());
        let mean = (of.mean / digit).round() * digit;
        let mean = format!("{:.1$e}", mean, (mean.abs().log10() - digit.log10()).clamp(0.0, 16.0) as usize);
        warnings.push(format!(
            "close to what f32 can tell apart: {}; a standard deviation of {:.1e} around {mean} is {:.1} steps of \
             f32, and rounding hides what is smaller: subtract {mean} in f64, in the model and from the observed \
             data, before values become f32",
            listed(&coarse),
            of.std,
            steps(of)
        ));
    }
    if let Some((_, of)) = heavy.iter().max_by(|(_, a), (_, b)| reach(a).total_cmp(&reach(b))) {
        warnings.push(format!(
            "dominated by a few values: {}, up to {:.0} standard deviations from the mean; the networks see the \
             others close together: take the logarithm, or ln(1 + x) of counts, in the model and of observed data, or \
             a prior on a logarithmic scale",
            listed(&heavy),
            reach(of)
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
    let [least, greatest] = conditions.range_of_observations();
    let is_n = |(data_set, value): (usize, &f32)| match least == greatest {
        true => *value == least as f32,
        false => *value == conditions.num_observations(data_set) as f32,
    };
    conditions.direct_conditions.as_ref().is_some_and(|direct| direct.column(column).iter().enumerate().all(is_n))
}

/// Of each input, which features without masks are its, and how many of them may be missing.
fn places(conditions: &Conditions, masked: &[usize]) -> Vec<(Range<usize>, usize)> {
    let mut first = 0;
    let inputs = conditions.data.inputs().iter().zip(masked);
    let place = |(input, &masked): (&Input, &usize)| {
        let start = first;
        first += input.features() - masked;
        (start..first, masked)
    };
    inputs.map(place).collect()
}

/// Columns of all inputs, without those of masks.
fn without_masks(conditions: &Conditions, columns: &[ColumnMoments]) -> Vec<ColumnMoments> {
    let (mut first, mut kept) = (0, Vec::new());
    for (input, masked) in conditions.data.inputs().iter().zip(&conditions.masked) {
        let of_input = &columns[first..first + input.features()];
        kept.extend(of_input[..*masked].iter().chain(&of_input[2 * masked..]));
        first += input.features();
    }
    kept
}
