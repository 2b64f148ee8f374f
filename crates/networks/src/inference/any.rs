//! Lists the inference networks there are: a new one is a variant here.

use crate::{
    ActNormConfig, AutoregressiveFlow, AutoregressiveFlowConfig, Condition, ConditionWidths, ConfigError, Evaluation,
    InferenceConfig, InferenceNetwork, InvertibleNetwork, InvertibleNetworkConfig, MixtureConfig, MixtureNetwork,
    ParameterInit, Pass,
};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Loss, Part};
use burn::{config::Config, module::Module, tensor::Tensor};

/// Which of the library's inference networks, and its configuration.
///
/// | network | for | evaluating | drawing |
/// |---|---|---|---|
/// | [`InvertibleNetwork`] | anything; with splines also several modes | one pass | one pass |
/// | [`AutoregressiveFlow`] | anything with one mode | one pass | D passes |
/// | [`MixtureNetwork`] | posteriors near a normal, or some of them | one pass | one pass |
///
/// Every configuration becomes one by `into()`.
///
/// # To add a network
/// Add a variant here and to [`AnyInferenceNetwork`], with a line in each `match` of this file, and implement `From` of
/// its configuration, by which `PosteriorConfig::new` and `NpeConfig::with_density_estimator` accept it. `Posterior` of
/// the inference crate names the network when it is printed.
#[derive(Config, Debug, PartialEq)]
pub enum AnyInferenceConfig {
    /// Coupling layers: the conditional invertible network, and the neural spline flow.
    Invertible(InvertibleNetworkConfig),
    /// Masked autoregressive layers.
    Autoregressive(AutoregressiveFlowConfig),
    /// One normal distribution, or a mixture of them.
    Mixture(MixtureConfig),
}

/// One of the library's inference networks; [`AnyInferenceConfig`] says which there are.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a module holds its fields by value")]
pub enum AnyInferenceNetwork {
    /// Coupling layers.
    Invertible(InvertibleNetwork),
    /// Masked autoregressive layers.
    Autoregressive(AutoregressiveFlow),
    /// One normal distribution, or a mixture of them.
    Mixture(MixtureNetwork),
}

impl From<InvertibleNetworkConfig> for AnyInferenceConfig {
    fn from(config: InvertibleNetworkConfig) -> Self {
        Self::Invertible(config)
    }
}

impl From<AutoregressiveFlowConfig> for AnyInferenceConfig {
    fn from(config: AutoregressiveFlowConfig) -> Self {
        Self::Autoregressive(config)
    }
}

impl From<MixtureConfig> for AnyInferenceConfig {
    fn from(config: MixtureConfig) -> Self {
        Self::Mixture(config)
    }
}

impl InferenceConfig for AnyInferenceConfig {
    const NAME: &'static str = "built-in";

    type Network = AnyInferenceNetwork;

    fn init(
        &self,
        dim: usize,
        condition: ConditionWidths,
        init: &mut ParameterInit,
    ) -> Result<AnyInferenceNetwork, ConfigError> {
        let width = condition.joined();
        Ok(match self {
            Self::Invertible(config) => AnyInferenceNetwork::Invertible(config.init(dim, width, init)?),
            Self::Autoregressive(config) => AnyInferenceNetwork::Autoregressive(config.init(dim, width, init)?),
            Self::Mixture(config) => AnyInferenceNetwork::Mixture(config.init(dim, width, init)?),
        })
    }

    fn has_dropout(&self) -> bool {
        match self {
            Self::Invertible(config) => config.has_dropout(),
            Self::Autoregressive(config) => config.dropout > 0.0,
            Self::Mixture(config) => config.net.has_dropout(),
        }
    }

    fn needs_simulations(&self) -> bool {
        matches!(self, Self::Invertible(config) if config.act_norm == ActNormConfig::FromData)
    }
}

impl AnyInferenceConfig {
    /// Sets the dropout of all networks inside.
    #[must_use]
    pub fn with_dropout(self, dropout: f64) -> Self {
        match self {
            Self::Invertible(config) => Self::Invertible(config.with_dropout(dropout)),
            Self::Autoregressive(config) => Self::Autoregressive(config.with_dropout(dropout)),
            Self::Mixture(mut config) => {
                config.net.dropout = dropout;
                Self::Mixture(config)
            }
        }
    }
}

impl AnyInferenceNetwork {
    /// The mixture, if it is one: what closed forms of products and quotients need.
    #[must_use]
    pub fn as_mixture(&self) -> Option<&MixtureNetwork> {
        match self {
            Self::Mixture(mixture) => Some(mixture),
            Self::Invertible(_) | Self::Autoregressive(_) => None,
        }
    }
}

/// Calls a method of the network that there is.
macro_rules! of_network {
    ($any:expr, $network:ident => $call:expr) => {
        match $any {
            AnyInferenceNetwork::Invertible($network) => $call,
            AnyInferenceNetwork::Autoregressive($network) => $call,
            AnyInferenceNetwork::Mixture($network) => $call,
        }
    };
}

impl InferenceNetwork for AnyInferenceNetwork {
    fn loss(&self, targets: &Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Tensor<1>> {
        of_network!(self, network => network.loss(targets, condition, pass))
    }

    fn density(&self, targets: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Evaluation> {
        of_network!(self, network => network.density(targets, condition, pass))
    }

    fn num_normals(&self, dim: usize) -> usize {
        of_network!(self, network => network.num_normals(dim))
    }

    fn sample(&self, noise: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Tensor<2>> {
        of_network!(self, network => network.sample(noise, condition, pass))
    }

    fn initialised(self, targets: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Self {
        match self {
            Self::Invertible(network) => Self::Invertible(network.initialised(targets, condition, pass)),
            Self::Autoregressive(flow) => Self::Autoregressive(flow.initialised(targets, condition, pass)),
            Self::Mixture(mixture) => Self::Mixture(mixture.initialised(targets, condition, pass)),
        }
    }

    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, constant: f64, pass: &Pass) -> Option<Part<Loss>> {
        of_network!(self, network => network.fast_path(like, constant, pass))
    }
}
