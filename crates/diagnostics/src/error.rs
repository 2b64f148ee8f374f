//! Says what is wrong with the input of a check, and what to do about it.

use crate::Cost;
use std::fmt;
use thiserror::Error;

/// The result of a check.
pub type Result<T, E = DiagnosticsError> = std::result::Result<T, E>;

/// Input that a check cannot judge, or a figure that cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiagnosticsError {
    /// The truths do not belong to the draws.
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
        /// The least number that works.
        needed: usize,
        /// The number passed.
        got: usize,
    },
    /// A NaN or an infinity.
    #[error(
        "{quantity} {value} for data set {data_set}, parameter {parameter}: find out which simulation or network \
         produced it, and drop that data set or fix its cause"
    )]
    NonFinite {
        /// Where it was found.
        quantity: Quantity,
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
    /// A number of bins that no histogram of these ranks can have.
    #[error(
        "{got} bins for {ranks} possible ranks (0 to the number of draws): pass 1 to {ranks} bins, or `Bins::Auto`"
    )]
    Bins {
        /// L + 1, the number of possible ranks.
        ranks: usize,
        /// The number of bins passed.
        got: usize,
    },
    /// A confidence level outside (0, 1).
    #[error("confidence {got}: pass a probability strictly between 0 and 1, such as 0.95")]
    Confidence {
        /// The value passed.
        got: f64,
    },
    /// A rank larger than the number of draws.
    #[error(
        "rank {got} for data set {data_set}, parameter {parameter}, but {num_draws} draws: pass ranks in 0..={num_draws}"
    )]
    Rank {
        /// The row, counted from 0.
        data_set: usize,
        /// The column, counted from 0.
        parameter: usize,
        /// The number of draws, and the largest possible rank.
        num_draws: usize,
        /// The rank passed.
        got: u32,
    },
    /// Prior variances that are not one positive number for each parameter.
    #[error("prior variances {got:?}: pass {expected} finite positive numbers, one for each parameter")]
    PriorVariances {
        /// The number of parameters.
        expected: usize,
        /// The values passed.
        got: Vec<f64>,
    },
    /// A moving average over no losses.
    #[error("a moving average over 0 losses: pass a window of at least 1")]
    Window,
    /// A comparison of no trainings.
    #[error("no loss curve against {cost}: pass a label and points for at least one training")]
    NoCurve {
        /// What the losses were to be compared against.
        cost: Cost,
    },
    /// A training without a single loss that is finite.
    #[error("curve `{label}` has {got} points, but none whose cost and loss are finite: leave this training out")]
    NoFiniteLoss {
        /// The training.
        label: String,
        /// The number of points passed.
        got: usize,
    },
    /// Two trainings that no legend could tell apart.
    #[error("two curves against {cost} are labelled `{label}`: give each training a label of its own")]
    SameLabel {
        /// The label of both.
        label: String,
        /// What the losses are compared against.
        cost: Cost,
    },
    /// A training that seems to get back what it has spent.
    #[error(
        "curve `{label}`: {cost} go back from {before} to {after}: pass the points in order, and if the training was \
         resumed, add what the earlier part had spent"
    )]
    CostDecreases {
        /// The training.
        label: String,
        /// What the losses are compared against.
        cost: Cost,
        /// The larger cost.
        before: f64,
        /// The smaller cost that follows it.
        after: f64,
    },
    /// A best possible loss that is no number.
    #[error("best possible loss {got}: pass a finite loss, or none if it is not known")]
    BestPossible {
        /// The value passed.
        got: f64,
    },
    /// A file name that names no known image format.
    #[error("cannot tell the image format of `{path}`: end the file name in `.png` or `.svg`")]
    Extension {
        /// The path passed.
        path: std::path::PathBuf,
    },
    /// A figure that could not be drawn as pixels.
    #[error("cannot draw `{path}` as pixels ({reason}): save it as `.svg` instead")]
    Pixels {
        /// The path passed.
        path: std::path::PathBuf,
        /// What the renderer said.
        reason: String,
    },
    /// A file that could not be written.
    #[error("cannot write `{path}`: check that its folder exists and may be written to")]
    Write {
        /// The path passed.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// What a check can have too little of.
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
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DataSets => "data sets",
            Self::Draws => "draws",
            Self::Parameters => "parameters",
            Self::Losses => "training losses",
        })
    }
}

/// The input in which a value that is not finite was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quantity {
    /// A posterior draw, with its index.
    Draw(usize),
    /// A true parameter.
    Truth,
    /// A prior draw.
    PriorDraw,
    /// A latent variable.
    Latent,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draw(index) => write!(f, "draw {index} is"),
            Self::Truth => f.write_str("the truth is"),
            Self::PriorDraw => f.write_str("the prior draw is"),
            Self::Latent => f.write_str("the latent variable is"),
        }
    }
}
