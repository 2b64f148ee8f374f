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
        quantity: InputValue,
        /// The row, counted from 0.
        data_set: usize,
        /// The column, counted from 0.
        parameter: usize,
        /// The value itself.
        value: f32,
    },
    /// A test quantity that has no rank.
    #[error(
        "`{name}` of {} is {value} for data set {data_set}: a test quantity has to be a number, or −inf, for all that a posterior may draw, also \
         far from the truth",
        draw.map_or("the truth".to_owned(), |draw| format!("draw {draw}"))
    )]
    TestQuantity {
        /// Its name.
        name: String,
        /// The draw that it is of, counted from 0; none if it is of the truth.
        draw: Option<usize>,
        /// The data set, counted from 0.
        data_set: usize,
        /// NaN or ∞.
        value: f64,
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
    /// A false-alarm rate outside (0, 1).
    #[error("a false-alarm rate of {got}: pass a probability strictly between 0 and 1, such as 0.01")]
    Alpha {
        /// The value passed.
        got: f64,
    },
    /// A report that can't be written out.
    #[error("the report can't be written: {reason}")]
    Report {
        /// What the format does not allow.
        reason: String,
    },
    /// A report of a format that there is not.
    #[error("`{}`: end the path of a report in .html, .md, .xml (JUnit) or .json", path.display())]
    ReportExtension {
        /// The path.
        path: std::path::PathBuf,
    },
    /// A limit that can't be looked at.
    #[error("the suite has {reason}")]
    Limit {
        /// What is missing, and what to do.
        reason: String,
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
    /// Rows that are not one for each data set.
    #[error("{got} rows, but {expected} data sets: pass one for each, in the same order")]
    Rows {
        /// The number of data sets.
        expected: usize,
        /// The number of rows.
        got: usize,
    },
    /// Data sets of different numbers of features.
    #[error("data sets of {got:?} features: pass data of the same features, of whichever numbers of observations")]
    Widths {
        /// The numbers of features.
        got: Vec<usize>,
    },
    /// An observed data set of another shape than simulated ones.
    #[error("observed data of shape {got:?}, but simulated ones of {expected:?}: pass data of the same shape")]
    Observation {
        /// `[N, F]` of the simulated data.
        expected: [usize; 2],
        /// The shape of the observed data.
        got: [usize; 2],
    },
    /// Reference points that do not belong to the truths.
    #[error("references of shape {got:?}, but the truths have {expected:?}: pass one point for each data set")]
    References {
        /// The shape of the truths.
        expected: [usize; 2],
        /// The shape of the references.
        got: [usize; 2],
    },
    /// Scales that are not one positive number for each parameter.
    #[error("scales {got:?}: pass {expected} finite positive numbers, one for each parameter")]
    Scales {
        /// The number of parameters.
        expected: usize,
        /// The values passed.
        got: Vec<f64>,
    },
    /// True models that do not belong to the probabilities.
    #[error("{got} true models, but probabilities for {expected} data sets: pass one for each")]
    Models {
        /// The number of data sets.
        expected: usize,
        /// The number of true models.
        got: usize,
    },
    /// A true model that has no probability.
    #[error("model {got} for data set {data_set}, but {models} models: pass indices from 0 to one less")]
    Model {
        /// The row, counted from 0.
        data_set: usize,
        /// The number of models.
        models: usize,
        /// The index passed.
        got: usize,
    },
    /// Probabilities that are none.
    #[error("model probabilities {got:?} for data set {data_set}: pass numbers from 0 to 1 that add up to 1")]
    Probabilities {
        /// The row, counted from 0.
        data_set: usize,
        /// The values passed.
        got: Vec<f32>,
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
    /// Two sample sets of different spaces.
    #[error(
        "{first} columns in the first sample set, but {second} in the second: pass the same parameters, in the same order"
    )]
    Columns {
        /// The number of columns of the first set.
        first: usize,
        /// The number of columns of the second set.
        second: usize,
    },
    /// Two sample sets of different sizes, for a check that is about sets of equal size.
    #[error(
        "{first} rows in the first sample set, but {second} in the second: leave out rows of the larger one, or guessing \
         it would score above 0.5"
    )]
    UnequalRows {
        /// The number of rows of the first set.
        first: usize,
        /// The number of rows of the second set.
        second: usize,
    },
    /// A NaN or an infinity in one of two sample sets.
    #[error(
        "{value} in row {row}, column {column} of the {set}: find out what produced it, and drop that row or fix its cause"
    )]
    NonFiniteSample {
        /// Where it was found.
        set: SampleSet,
        /// The row, counted from 0.
        row: usize,
        /// The column, counted from 0.
        column: usize,
        /// The value itself.
        value: f32,
    },
    /// A column that cannot be brought to unit variance.
    #[error("column {column} of the reference has one value only: leave that column out of both sample sets")]
    ConstantColumn {
        /// The column, counted from 0.
        column: usize,
    },
    /// A parameter that is known without inference.
    #[error("parameter `{name}` is the same in all draws and truths: leave it out, there is nothing to judge")]
    ConstantParameter {
        /// The parameter.
        name: String,
    },
    /// Draws that do not vary at all.
    #[error("all draws of parameter `{name}` are {value}: see how they were drawn, no posterior is that")]
    ConstantDraws {
        /// The parameter.
        name: String,
        /// What all draws are.
        value: f32,
    },
    /// Posteriors of other parameters.
    #[error("posteriors of {got:?}, but {expected:?} in the first one: compare the same parameters, in the same order")]
    OtherParameters {
        /// Those of the first posterior.
        expected: Vec<String>,
        /// Those of the others.
        got: Vec<String>,
    },
    /// A setting that is too small.
    #[error("`{setting}` is {got}: set it to at least {needed}")]
    Setting {
        /// The name of the setting.
        setting: &'static str,
        /// The least value that works.
        needed: usize,
        /// The value passed.
        got: usize,
    },
    /// A bandwidth that no kernel can have.
    #[error(
        "bandwidth {got}: pass a finite positive one by `Bandwidth::Fixed`, also where most rows are equal, so that \
         their median distance is 0"
    )]
    Bandwidth {
        /// The value passed, or the median distance.
        got: f64,
    },
    /// A sample or point of a pair plot with a NaN or an infinity.
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
    /// Samples or points that no legend could tell apart.
    #[error("two sets of samples or points are labelled `{label}`: give each a label of its own")]
    SameSetLabel {
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
    /// A file that could not be read.
    #[error("cannot read `{}`: check that it exists and may be read", path.display())]
    Read {
        /// The path passed.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file that is no report.
    #[error("`{}` is no report ({reason}): pass one that was saved as .json", path.display())]
    NoReport {
        /// The path passed.
        path: std::path::PathBuf,
        /// What is wrong with it.
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

/// One of two sample sets that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleSet {
    /// The one passed first: the reference, if either is.
    First,
    /// The one passed second.
    Second,
}

impl fmt::Display for SampleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first sample set",
            Self::Second => "second sample set",
        })
    }
}
