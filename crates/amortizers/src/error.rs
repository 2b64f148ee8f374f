//! Says what does not fit between data, configuration and networks.

use bayesburn_core::{DrawsError, FileError, Interval, IntervalError, InvalidData};
use bayesburn_networks::{ConfigError, DeviceError};
use std::path::PathBuf;
use thiserror::Error;

/// What can go wrong at the boundary between arrays and networks.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AmortizerError {
    /// A network's configuration.
    #[error("the network configuration is wrong: {0}")]
    Config(#[from] ConfigError),
    /// A device that is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A GPU that failed in the midst of its work.
    #[error(
        "the GPU failed: {reason}; if its memory ran out, take smaller batches or networks, or choose the processor, \
         the device `flex`"
    )]
    Gpu {
        /// What its driver says.
        reason: String,
    },
    /// Draws and names.
    #[error(transparent)]
    Draws(#[from] DrawsError),
    /// Data whose inputs or masks do not fit each other.
    #[error(transparent)]
    Data(#[from] InvalidData),
    /// Data whose mask of values is not among the features.
    #[error(
        "the data have a mask of values, or other inputs than they were made with: make conditions of data by \
         `Conditions::from`"
    )]
    RawData,
    /// Data of other inputs or axes than the networks were made for.
    #[error(
        "the data are {got}, but the networks were made for {expected}: give data of the same inputs and axes, or \
         train on such data"
    )]
    DataShape {
        /// What the networks were made for.
        expected: String,
        /// What came.
        got: String,
    },
    /// Data sets of different lengths in one batch, for networks that were made for one length.
    #[error(
        "the data sets are of different lengths, and the networks were not trained on such: give those of each length \
         by themselves, by `sample_each`, or train on simulations of different lengths"
    )]
    NotPadded,
    /// Names of features that do not fit the data.
    #[error(
        "the feature names {names:?} do not fit data with {features} features: give each feature a name of its own"
    )]
    FeatureNames {
        /// The names.
        names: Vec<String>,
        /// F, the features of an observation.
        features: usize,
    },
    /// A folder without a saved amortizer.
    #[error(
        "{} holds no saved amortizer: give the folder that `save` wrote, or that of one checkpoint, such as \
         `checkpoints/step-00001000`",
        folder.display()
    )]
    NoAmortizer {
        /// The folder.
        folder: PathBuf,
    },
    /// An array of another width than the network was made for.
    #[error(
        "{what} have {got} values each, but the network was made for {expected}: configure them as the pilot \
         simulations were configured, or make a new network"
    )]
    Width {
        /// Which array.
        what: &'static str,
        /// The width of the network.
        expected: usize,
        /// The width of the array.
        got: usize,
    },
    /// Arrays that belong together differ in the number of data sets.
    #[error("{what} has {got} rows for {expected} data sets: give one row for each data set")]
    Rows {
        /// Which array.
        what: &'static str,
        /// The number of data sets.
        expected: usize,
        /// The number of rows.
        got: usize,
    },
    /// A data set's number for which there is no stream of its own.
    #[error(
        "the number {got} of a data set is 2³² or more: count data sets from 0, and take another seed for more of them"
    )]
    DataSetNumber {
        /// The number.
        got: usize,
    },
    /// An interval with nothing in it.
    #[error(transparent)]
    Interval(#[from] IntervalError),
    /// Another number of intervals than of parameters.
    #[error("`support` or `bounds` has {got} intervals for {expected} parameters: give one for each")]
    Support {
        /// The number of parameters.
        expected: usize,
        /// The number of intervals.
        got: usize,
    },
    /// A parameter outside of where it was said to lie.
    #[error(
        "parameter `{name}` of simulation {simulation} is {value}, and its support is {interval}: widen the support \
         by `PosteriorConfig::with_support`, also where it is the prior's, or mend the prior, the data or the \
         configurator"
    )]
    OutsideSupport {
        /// The parameter.
        name: String,
        /// Its value.
        value: f32,
        /// Where it was to lie.
        interval: Interval,
        /// The row in its batch.
        simulation: usize,
    },
    /// A data set of another number of observations than the summary network takes.
    #[error(
        "data sets of {got} observations, and the summary network takes {expected}: pass data of one vector each as \
         [M, 1, F], or choose a network for sets, such as `DeepSetConfig`"
    )]
    Observations {
        /// What the network takes.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// A number of observations that networks which know one alone were never shown.
    #[error(
        "data sets of {got} observations, and the networks were trained on data sets of {expected} alone: of another \
         number their posterior is wrong; train on simulations whose number varies, by \
         `ContextGenerator::num_observations`, or take the answer as it is by `with_any_num_observations`, on a \
         command line by --any-num-observations"
    )]
    UnseenObservations {
        /// The number that was trained on.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// Latents of a density that has none.
    #[error(
        "the inference network has no latents, because it does not map parameters to a standard normal distribution: \
         look at draws instead"
    )]
    NoLatents,
    /// A density of an inference network that has none.
    #[error("the inference network has no density: look at draws instead, or implement `InferenceNetwork::density`")]
    NoDensity,
    /// Training of an inference network that has neither a loss nor a density.
    #[error(
        "the inference network has neither a loss of its own nor a density: implement `InferenceNetwork::loss` or \
         `InferenceNetwork::density`"
    )]
    NoLoss,
    /// Draws of an inference network that has none.
    #[error("the inference network has no draws: implement `InferenceNetwork::sample`")]
    NoDraws,
    /// A mixture was asked for of another estimator.
    #[error("the density estimator is no mixture: make the posterior with `MixtureConfig`")]
    NoMixture,
    /// Parameters that are not as many for each data set.
    #[error(
        "{got} parameter vectors for {expected} data sets: give as many for each, those of a data set after one another"
    )]
    Multiple {
        /// The number of data sets.
        expected: usize,
        /// The number of parameter vectors.
        got: usize,
    },
    /// Something that must not be empty.
    #[error("{what} is empty: {remedy}")]
    Empty {
        /// What is empty.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// NaN or infinity in what goes into a network.
    #[error(
        "{what} of data set {data_set} holds {value}: remove or replace values that are not finite; NaN that marks \
         missing data, in a network that was trained with a mask, goes through `Conditions::with_missing`"
    )]
    NonFinite {
        /// Which array.
        what: &'static str,
        /// The number of the data set.
        data_set: usize,
        /// The value.
        value: f32,
    },
    /// A simulation's weight below 0.
    #[error("the weight of data set {data_set} is {got}: make all weights at least 0")]
    NegativeWeight {
        /// The number of the data set.
        data_set: usize,
        /// The weight.
        got: f32,
    },
    /// Weights that leave nothing to learn from, or to validate on.
    #[error(
        "the weights of all {simulations} {of} simulations are 0: widen the kernel or proposal that gives the \
         weights, or simulate more"
    )]
    NoWeight {
        /// Which simulations.
        of: &'static str,
        /// Their number.
        simulations: usize,
    },
    /// Simulated data that the default configurator has no place for.
    #[error(
        "{what} has shape {got:?}, and the default configurator takes {expected}: pass a configurator of your own, \
         which returns `Configured`"
    )]
    Shape {
        /// Which array.
        what: &'static str,
        /// The shape.
        got: Vec<usize>,
        /// The shapes it takes.
        expected: &'static str,
    },
    /// What a user's own configurator reports.
    #[error("the configurator failed: {0}")]
    Configurator(String),
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A saved posterior whose files are not those that were saved.
    #[error(
        "the saved amortizer in {} is damaged: {reason}; restore the folder from a copy, or save the amortizer again",
        folder.display()
    )]
    Damaged {
        /// The posterior's folder.
        folder: PathBuf,
        /// The first difference.
        reason: String,
    },
    /// A saved configuration that this version does not understand.
    #[error("{} is not a saved amortizer of this type and version: {reason}", path.display())]
    SavedConfig {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Saved weights that do not belong to this network.
    #[error("the weights in {} do not fit: {reason}; they are damaged, or of another architecture", path.display())]
    Weights {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
