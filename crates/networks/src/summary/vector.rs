//! Conditions on data that are one vector of numbers: as they are, or through a dense network.

use super::features;
use crate::{
    ConfigError, DataTensor, DenseNet, DenseNetConfig, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork,
};
use bayesburn_core::DataShape;
use bayesburn_core::settings::at_least_one;
#[cfg(feature = "flex")]
use bayesburn_kernels::{IdentitySummary, Operands, Part, Summary, has_kernels};
use burn::{config::Config, module::Module, tensor::Tensor};

/// Configuration of [`Identity`].
#[derive(Config, Debug, PartialEq)]
pub struct IdentityConfig {}

/// No summary network: the one observation of each data set is its summary.
#[derive(Module, Debug)]
pub struct Identity {
    #[module(skip)]
    features: usize,
}

/// Configuration of a [`DenseSummary`].
#[derive(Config, Debug, PartialEq)]
pub struct DenseSummaryConfig {
    /// S, the length of a summary, at least 1.
    pub summary_dim: usize,
    /// The network.
    #[config(default = "DenseNetConfig::new().with_units(50)")]
    pub net: DenseNetConfig,
}

/// A dense network from the one observation of each data set to its summary.
#[derive(Module, Debug)]
pub struct DenseSummary {
    net: DenseNet,
    #[module(skip)]
    features: usize,
    #[module(skip)]
    summary_dim: usize,
}

impl SummaryConfig for IdentityConfig {
    const NAME: &'static str = "identity";

    type Network = Identity;

    fn num_observations(&self) -> Option<usize> {
        Some(1)
    }

    fn init(&self, shape: &DataShape, _init: &mut ParameterInit) -> Result<Identity, ConfigError> {
        Ok(Identity { features: features(Self::NAME, shape, true)? })
    }
}

impl SummaryConfig for DenseSummaryConfig {
    const NAME: &'static str = "dense";

    type Network = DenseSummary;

    fn num_observations(&self) -> Option<usize> {
        Some(1)
    }

    fn has_dropout(&self) -> bool {
        self.net.has_dropout()
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<DenseSummary, ConfigError> {
        let features = features(Self::NAME, shape, true)?;
        at_least_one("summary_dim", self.summary_dim)?;
        let net = self.net.init(features, self.summary_dim, OutputInit::Glorot, init)?;
        Ok(DenseSummary { net, features, summary_dim: self.summary_dim })
    }
}

/// `[B, 1, F]` or `[B, F]` to `[B, F]`.
fn vectors(data: &DataTensor, features: usize) -> Tensor<2> {
    let data = data.only();
    let shape = data.shape();
    let is_one = matches!(shape, [_, 1, width] | [_, width] if *width == features);
    assert!(is_one, "data of shape {shape:?} for a network of one observation of {features} features");
    match shape.len() {
        2 => data.values::<2>(),
        _ => data.values::<3>().reshape([shape[0], features]),
    }
}

impl SummaryNetwork for Identity {
    fn summary_dim(&self) -> usize {
        self.features
    }

    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Summary>> {
        let identity = Summary::new(IdentitySummary { features: self.features });
        (pass.uses_kernels() && has_kernels(like)).then(|| Part { operation: identity, operands: Operands::default() })
    }

    fn forward(&self, data: &DataTensor, _pass: &mut Pass) -> Tensor<2> {
        vectors(data, self.features)
    }
}

impl SummaryNetwork for DenseSummary {
    fn summary_dim(&self) -> usize {
        self.summary_dim
    }

    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
        self.net.forward(vectors(data, self.features), pass)
    }
}
