//! Says what is wrong with the samples, points or settings of a pair plot.

use crate::InputError;
use bayesburn_core::SettingError;
use thiserror::Error;

/// Samples, points or settings that a pair plot cannot show.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PairPlotError {
    /// Samples of the wrong shape.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A setting outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A sample or point with a NaN or an infinity.
    #[error(
        "row {row} of `{label}` is {value} for parameter `{parameter}`: find out which simulation or network produced \
         it, and drop that row or fix its cause"
    )]
    NonFiniteRow {
        /// The label of the samples or points.
        label: String,
        /// The row, counted from 0.
        row: usize,
        /// The parameter.
        parameter: String,
        /// The value itself.
        value: f32,
    },
    /// Two sets of samples or points with one label, which no legend can tell apart.
    #[error("two sets of samples or points are labelled `{label}`: give each a label of its own")]
    SameLabel {
        /// The label of both.
        label: String,
    },
    /// Points in a space of another dimension.
    #[error(
        "{got} values of `{label}`, but {parameters} parameters: pass one value for each parameter, and as many for \
         each further point"
    )]
    Points {
        /// The label of the points.
        label: String,
        /// The number of parameters.
        parameters: usize,
        /// The number of values.
        got: usize,
    },
    /// Limits that are not a pair for each parameter.
    #[error(
        "{got} limits, but {expected} parameters: pass a lower and an upper limit for each parameter, also for those \
         that are not shown"
    )]
    NumLimits {
        /// The number of parameters.
        expected: usize,
        /// The number of pairs of limits.
        got: usize,
    },
    /// Limits with nothing between them.
    #[error("limits {low} to {high} for parameter `{parameter}`: pass two finite numbers, the smaller one first")]
    Limits {
        /// The parameter.
        parameter: String,
        /// The lower limit passed.
        low: f64,
        /// The upper limit passed.
        high: f64,
    },
    /// Axis labels that are not one for each parameter.
    #[error(
        "{got} axis labels, but {expected} parameters: pass one label for each parameter, also for those that are not \
         shown"
    )]
    NumAxisLabels {
        /// The number of parameters.
        expected: usize,
        /// The number of labels.
        got: usize,
    },
    /// A choice of parameters that cannot be shown.
    #[error("parameters {got:?} of {parameters}: pass one index or more, each below {parameters} and only once")]
    Subset {
        /// The number of parameters.
        parameters: usize,
        /// The indices passed.
        got: Vec<usize>,
    },
}
