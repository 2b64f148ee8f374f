//! Says what is wrong with a network's configuration.

use bayesburn_core::SettingError;
use thiserror::Error;

/// A configuration that no network can be made from.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Data that the summary network does not take.
    #[error(
        "the {network} network takes {expected}, and the data are {got}: take another summary network, or one of your \
         own"
    )]
    Data {
        /// The network.
        network: &'static str,
        /// What it takes.
        expected: &'static str,
        /// The shapes of the data.
        got: String,
    },
    /// Images that the stages of a network, each of which halves the sides, make smaller than a pixel.
    #[error(
        "the convolutional network of {stages} stages takes images of at least {least} × {least} pixels, and the data \
         are {got}: give it fewer stages (`filters`)"
    )]
    SmallImage {
        /// The shape of the images.
        got: String,
        /// The number of stages.
        stages: usize,
        /// The least height and width.
        least: usize,
    },
    /// Networks for other inputs than the data have.
    #[error(
        "the fusion network has networks for the inputs {networks:?}, and the data have {inputs:?}: give each input \
         one network, by the input's name"
    )]
    Inputs {
        /// The inputs that networks are for.
        networks: Vec<String>,
        /// Those that there are.
        inputs: Vec<String>,
    },
    /// A network without anything to condition on.
    #[error(
        "without a condition the network has nothing to depend on: give it one or, to an invertible network, at least \
         two dimensions"
    )]
    NothingToConditionOn,
}
