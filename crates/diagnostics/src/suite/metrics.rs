//! Sums up a posterior's quality in a few numbers for each parameter, and sets limits to them.

use super::input::SuiteInput;
use super::{report::ReportError, verdict::quoted};
use crate::{Result, calibration_error, estimation_errors, z_score_contraction};
use bayesburn_core::{FileError, one_line};
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};
use thiserror::Error;

/// Numbers of one parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParameterMetrics {
    /// The parameter.
    pub name: String,
    /// The mean of (posterior mean − truth) / posterior standard deviation: 0 at best. Data sets whose draws are all
    /// equal, as draws of discrete parameters may be, do not count; NaN, and `null` in JSON, if there are no others.
    #[serde(with = "nan_as_null")]
    pub bias: f64,
    /// The posterior's width as a share of what it should be, one over the standard deviation of the same: 1 at best,
    /// below if it is too narrow.
    #[serde(with = "nan_as_null")]
    pub width: f64,
    /// The mean of 1 − posterior variance / prior variance: 0 if the data say nothing. NaN, and `null` in JSON, if all
    /// truths are equal.
    #[serde(with = "nan_as_null")]
    pub contraction: f64,
    /// The median root mean squared error of the draws, in the parameter's unit.
    pub rmse: f64,
    /// The same as a share of that of prior draws. NaN if all truths are equal.
    #[serde(with = "nan_as_null")]
    pub normalized_rmse: f64,
    /// The median |coverage − probability| of 20 central intervals, by [`calibration_error`].
    pub calibration_error: f64,
}

/// Numbers of a posterior: what limits are set to, and what a later run is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metrics {
    /// One entry for each parameter.
    pub parameters: Vec<ParameterMetrics>,
    /// The mean of −ln q of the truths, if it is known: lower is better.
    pub negative_log_prob: Option<f64>,
    /// Its standard error.
    pub negative_log_prob_error: Option<f64>,
}

/// JSON knows no NaN.
mod nan_as_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
    }
}

/// The same of a list.
pub(super) mod nans_as_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::suite) fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        let finite = |value: &f64| value.is_finite().then_some(*value);
        values.iter().map(finite).collect::<Vec<_>>().serialize(to)
    }

    pub(in crate::suite) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let values: Vec<Option<f64>> = Vec::deserialize(from)?;
        Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
    }
}

impl Metrics {
    pub(super) fn new(input: &SuiteInput<'_>) -> Result<Self> {
        let (draws, truths) = (input.draws, input.truths);
        let contraction = z_score_contraction(draws, truths)?;
        let errors = estimation_errors(draws, truths)?;
        let calibration = calibration_error(draws, truths)?;
        let m = truths.nrows() as f64;
        let bias_and_width = |i: usize| Self::bias_and_width(contraction.z_scores.column(i).into_iter().copied());
        let of = |i: usize| ParameterMetrics {
            name: draws.names()[i].clone(),
            bias: bias_and_width(i).0,
            width: bias_and_width(i).1,
            contraction: contraction.mean_contractions[i],
            rmse: errors.rmse[i],
            normalized_rmse: errors.normalized_rmse[i],
            calibration_error: calibration.errors[i],
        };
        let log_prob = input.density.as_ref().map(|density| density.of_truths.mapv(f64::from));
        Ok(Self {
            parameters: (0..draws.num_parameters()).map(of).collect(),
            negative_log_prob: log_prob.as_ref().map(|log_prob| -log_prob.sum() / m),
            negative_log_prob_error: log_prob.map(|log_prob| log_prob.std(1.0) / m.sqrt()),
        })
    }

    /// [`ParameterMetrics::bias`] and [`ParameterMetrics::width`] of posterior z-scores. Draws that are all equal have
    /// no standard deviation to count in.
    pub(super) fn bias_and_width(z_scores: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
        let finite = z_scores.filter(|z| z.is_finite());
        let n = finite.clone().count() as f64;
        let mean = finite.clone().sum::<f64>() / n;
        (mean, (finite.map(|z| (z - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt().recip())
    }

    /// Those of a report that was saved as JSON: a baseline for [`Limit::DriftAtMost`].
    ///
    /// # Errors
    /// If the file cannot be read, or is no such report.
    pub fn of_saved_report(path: impl AsRef<Path>) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Saved {
            metrics: Metrics,
        }
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(FileError::read(path))?;
        let saved: Saved = serde_json::from_str(&text)
            .map_err(|error| ReportError::NoReport { path: path.into(), reason: error.to_string() })?;
        Ok(saved.metrics)
    }

    /// The parameters' names.
    #[must_use]
    pub fn parameter_names(&self) -> Vec<String> {
        self.parameters.iter().map(|parameter| parameter.name.clone()).collect()
    }
}

/// A limit that cannot be checked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LimitError {
    /// A limit to −ln q without log densities.
    #[error("the suite has a limit to −ln q, which is not known: add log densities by `SuiteInput::with_log_prob`")]
    NoLogProb,
    /// A baseline of other parameters.
    #[error("the suite has a baseline of {expected:?}, but parameters {got:?}: save a new baseline")]
    Baseline {
        /// The baseline's parameters.
        expected: Vec<String>,
        /// The posterior's.
        got: Vec<String>,
    },
}

/// A bound on an effect size, such as a bias. Unlike a check, it is no statistical test.
#[derive(Debug, Clone, PartialEq)]
pub enum Limit {
    /// Each parameter's mean contraction is at least this.
    ContractionAtLeast(f64),
    /// Each parameter's normalised root mean squared error is at most this.
    NormalizedRmseAtMost(f64),
    /// Each parameter's |bias| is at most this, in posterior standard deviations.
    BiasAtMost(f64),
    /// Each parameter's calibration error is at most this.
    CalibrationErrorAtMost(f64),
    /// The mean of −ln q of the truths is at most this. It must be known: [`SuiteInput::with_log_prob`].
    NegativeLogProbAtMost(f64),
    /// Nothing is worse than in an earlier report by more than this: contraction, normalised root mean squared error,
    /// calibration error, and the mean of −ln q, if both have it, by three standard errors more.
    DriftAtMost {
        /// The earlier report's numbers.
        baseline: Metrics,
        /// By how much they may be worse.
        by: f64,
    },
}

/// Whether a number is within its limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LimitCheck {
    /// Of what: `contraction`, for one.
    pub quantity: String,
    /// The parameter, if it is a number of one.
    pub parameter: Option<String>,
    /// The number.
    #[serde(with = "nan_as_null")]
    pub value: f64,
    /// The limit.
    pub limit: f64,
    /// On which side of the limit it should be.
    pub side: Side,
    /// Whether it is.
    pub passed: bool,
}

/// A side of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The number should be the limit or more.
    AtLeast,
    /// The number should be the limit or less.
    AtMost,
}

impl Side {
    /// `at least` or `at most`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::AtLeast => "at least",
            Self::AtMost => "at most",
        }
    }
}

impl LimitCheck {
    fn new(quantity: &str, parameter: Option<&str>, value: f64, side: Side, limit: f64) -> Self {
        let passed = match side {
            Side::AtLeast => value >= limit,
            Side::AtMost => value <= limit,
        };
        Self { quantity: quantity.to_owned(), parameter: parameter.map(str::to_owned), value, limit, side, passed }
    }
}

impl fmt::Display for LimitCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parameter {
            Some(parameter) => write!(f, "{}: {}", quoted(parameter), one_line(&self.quantity))?,
            None => f.write_str(&one_line(&self.quantity))?,
        }
        write!(f, " is {:.3}, and should be {} {:.3}", self.value, self.side.label(), self.limit)
    }
}

impl Limit {
    /// Compares a report's numbers with the limit.
    pub(super) fn check(&self, metrics: &Metrics) -> Result<Vec<LimitCheck>, LimitError> {
        type Number = fn(&ParameterMetrics) -> f64;
        let each = |quantity: &'static str, number: Number, side, limit| {
            let check = move |p: &ParameterMetrics| LimitCheck::new(quantity, Some(&p.name), number(p), side, limit);
            metrics.parameters.iter().map(check).collect()
        };
        Ok(match self {
            Self::ContractionAtLeast(limit) => each("contraction", |p| p.contraction, Side::AtLeast, *limit),
            Self::NormalizedRmseAtMost(limit) => {
                each("normalised root mean squared error", |p| p.normalized_rmse, Side::AtMost, *limit)
            }
            Self::BiasAtMost(limit) => each("|bias| in standard deviations", |p| p.bias.abs(), Side::AtMost, *limit),
            Self::CalibrationErrorAtMost(limit) => {
                each("calibration error", |p| p.calibration_error, Side::AtMost, *limit)
            }
            Self::NegativeLogProbAtMost(limit) => match metrics.negative_log_prob {
                Some(value) => vec![LimitCheck::new("mean of −ln q of the truths", None, value, Side::AtMost, *limit)],
                None => {
                    return Err(LimitError::NoLogProb);
                }
            },
            Self::DriftAtMost { baseline, by } => {
                let (expected, got) = (baseline.parameter_names(), metrics.parameter_names());
                if expected != got {
                    return Err(LimitError::Baseline { expected, got });
                }
                let mut all = Vec::new();
                for (now, then) in metrics.parameters.iter().zip(&baseline.parameters) {
                    let mut push = |quantity: &str, value: f64, side, limit: f64| {
                        // What was not defined then is not held against anything.
                        if !limit.is_nan() {
                            all.push(LimitCheck::new(quantity, Some(&now.name), value, side, limit));
                        }
                    };
                    push("contraction, against the baseline", now.contraction, Side::AtLeast, then.contraction - by);
                    let rmse = "normalised root mean squared error, against the baseline";
                    push(rmse, now.normalized_rmse, Side::AtMost, then.normalized_rmse + by);
                    let error = "calibration error, against the baseline";
                    push(error, now.calibration_error, Side::AtMost, then.calibration_error + by);
                }
                if let (Some(now), Some(then)) = (metrics.negative_log_prob, baseline.negative_log_prob) {
                    let quantity = "mean of −ln q of the truths, against the baseline";
                    // Both vary with the data sets, the more the more parameters there are.
                    let errors = [metrics, baseline].map(|metrics| metrics.negative_log_prob_error.unwrap_or(0.0));
                    let chance = 3.0 * errors[0].hypot(errors[1]);
                    all.push(LimitCheck::new(quantity, None, now, Side::AtMost, then + by + chance));
                }
                all
            }
        })
    }
}
