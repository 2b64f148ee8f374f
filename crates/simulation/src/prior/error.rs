//! Defines the errors of priors, with their remedies.

use bayesburn_core::{IntervalError, ParameterNames};
use thiserror::Error;

/// A prior that cannot be made from these names and distributions, or that has no density.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PriorError {
    /// The prior has no parameters.
    #[error("a prior needs at least one parameter name")]
    NoParameters,
    /// Two parameters have the same name.
    #[error("two parameters are named `{name}`: give each its own name")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A distribution's setting is outside its range.
    #[error("{got:?} for a {distribution} distribution: give {expected}, all finite")]
    DistributionSetting {
        /// Which distribution.
        distribution: &'static str,
        /// The settings it takes.
        expected: &'static str,
        /// The values given.
        got: Vec<f64>,
    },
    /// Bounds that enclose no interval.
    #[error(transparent)]
    Interval(#[from] IntervalError),
    /// A distribution truncated to an interval of nearly no probability.
    #[error(
        "the distribution has a probability of {mass:e} from {low} to {high}: truncate it to an interval with at \
             least 1e-9"
    )]
    LittleMass {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
        /// The probability between them.
        mass: f64,
    },
    /// The number of bounds, means or columns differs from the number of parameters.
    #[error("{got} {what} for {expected} parameters: give one for each")]
    Lengths {
        /// What was counted.
        what: &'static str,
        /// The number of parameters.
        expected: usize,
        /// The number given.
        got: usize,
    },
    /// A matrix is not a valid covariance or precision.
    #[error("a {what} {problem}: give a finite, symmetric, positive definite matrix with a row for each mean")]
    Covariance {
        /// Covariance or precision.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A density was requested from a prior that has none.
    #[error(
        "the prior over {names:?} has no density: make it from distributions, by `Prior::independent` for example, or \
         give its function a density by `Prior::with_log_prob`"
    )]
    NoDensity {
        /// The prior's parameters.
        names: ParameterNames,
    },
    /// A product contains a prior that draws by a function.
    #[error(
        "the prior over {names:?} draws by a function, and a product needs distributions: draw all parameters in one \
         function, and give it a density by `Prior::with_log_prob`"
    )]
    ProductOfFunctions {
        /// The prior's parameters.
        names: ParameterNames,
    },
}
