//! Says what is wrong with the draws, truths or other arrays that a check is given.

use crate::SampleSet;
use std::fmt;
use thiserror::Error;

/// Draws, truths or other arrays that cannot be judged: wrong shapes, too few values, values that are not finite.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// Truths that do not belong to the draws.
    #[error(
        "truths of shape {got:?}, but the draws need {expected:?} (data sets, parameters): pass the parameters that \
         simulated exactly these data sets, in the same order"
    )]
    Truths {
        /// `[M, D]` of the draws.
        expected: [usize; 2],
        /// The shape of the truths.
        got: [usize; 2],
    },
    /// Fewer values than the check is defined for.
    #[error("{got} {extent}, but this check needs at least {needed}: simulate or sample more")]
    TooFew {
        /// What there is too little of.
        extent: Extent,
        /// The smallest number that works.
        needed: usize,
        /// The number passed.
        got: usize,
    },
    /// A NaN or an infinity.
    #[error(
        "{input} {value} for data set {data_set}, parameter {parameter}: find out which simulation or network \
         produced it, and drop that data set or fix its cause"
    )]
    NonFinite {
        /// Where it was found.
        input: InputValue,
        /// The row, counted from 0.
        data_set: usize,
        /// The column, counted from 0.
        parameter: usize,
        /// The value itself.
        value: f32,
    },
    /// Names and columns disagree.
    #[error("{got} columns, but {expected} names: pass one name for each parameter")]
    Names {
        /// The number of names.
        expected: usize,
        /// The number of columns.
        got: usize,
    },
    /// Another number of rows than of data sets.
    #[error("{got} rows, but {expected} data sets: pass one row for each, in the same order")]
    Rows {
        /// The number of data sets.
        expected: usize,
        /// The number of rows.
        got: usize,
    },
    /// Data sets with different numbers of features.
    #[error("data sets with {got:?} features: all need the same features; only numbers of observations may differ")]
    Widths {
        /// The numbers of features.
        got: Vec<usize>,
    },
    /// Observed data of another shape than simulated data.
    #[error("observed data of shape {got:?}, but simulated data of {expected:?}: pass data of the same shape")]
    Observation {
        /// `[N, F]` of the simulated data, or the numbers of parameters and features that a test was trained on.
        expected: [usize; 2],
        /// The shape of the observed data.
        got: [usize; 2],
    },
    /// Numbers that are not one positive number for each parameter.
    #[error("{what} {got:?}: pass {expected} finite positive numbers, one for each parameter")]
    NotPositive {
        /// What the numbers are.
        what: &'static str,
        /// The number of parameters.
        expected: usize,
        /// The values passed.
        got: Vec<f64>,
    },
    /// A parameter that is known without inference.
    #[error("parameter `{name}` is the same in all draws and truths: leave it out, there is nothing to judge")]
    ConstantParameter {
        /// The parameter.
        name: String,
    },
    /// Draws that do not vary.
    #[error("all draws of parameter `{name}` are {value}, but not all truths: check how they were drawn")]
    ConstantDraws {
        /// The parameter.
        name: String,
        /// The value of all draws.
        value: f32,
    },
    /// Posteriors of different parameters.
    #[error("posteriors of {got:?}, but {expected:?} in the first one: compare the same parameters, in the same order")]
    OtherParameters {
        /// Those of the first posterior.
        expected: Vec<String>,
        /// Those of the others.
        got: Vec<String>,
    },
}

/// The quantity of which [`InputError::TooFew`] says that there is too little: draws, data sets, ….
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// Data sets, M.
    DataSets,
    /// Draws for each data set, L.
    Draws,
    /// Parameters or latent dimensions, D.
    Parameters,
    /// Losses of training steps.
    Losses,
    /// Values of a setting.
    Values,
    /// Rows of one of two sample sets.
    Rows(SampleSet),
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataSets => f.write_str("data sets"),
            Self::Draws => f.write_str("draws"),
            Self::Parameters => f.write_str("parameters"),
            Self::Losses => f.write_str("training losses"),
            Self::Values => f.write_str("values of a setting"),
            Self::Rows(set) => write!(f, "rows in the {set}"),
        }
    }
}

/// The input in which a value that is not finite was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputValue {
    /// A posterior draw, with its index.
    Draw(usize),
    /// A true parameter.
    Truth,
    /// A prior draw.
    PriorDraw,
    /// A latent variable.
    Latent,
    /// The logarithm of a density.
    LogProb,
    /// A number that sums up data.
    Feature,
    /// A statistic of data.
    Statistic {
        /// Whether they are observed, and not simulated.
        observed: bool,
    },
}

impl fmt::Display for InputValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draw(index) => write!(f, "draw {index} is"),
            Self::Truth => f.write_str("the truth is"),
            Self::PriorDraw => f.write_str("the prior draw is"),
            Self::Latent => f.write_str("the latent variable is"),
            Self::LogProb => f.write_str("the log density is"),
            Self::Feature => f.write_str("the feature of the data is"),
            Self::Statistic { observed: true } => f.write_str("the statistic of the observed data is"),
            Self::Statistic { observed: false } => f.write_str("the statistic of a simulated data set is"),
        }
    }
}
