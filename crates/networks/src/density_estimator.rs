//! Defines what every conditional density does, and lists those there are.

use crate::{
    ActNormConfig, AutoregressiveFlow, AutoregressiveFlowConfig, Bijection, ConfigError, InvertibleNetwork,
    InvertibleNetworkConfig, MixtureConfig, MixtureNetwork, ParameterInit, Pass, bijection::sum_dimensions,
};
use burn::{config::Config, module::Module, tensor::Tensor};
use std::f64::consts::TAU;

/// A density q(targets | condition) that can be evaluated and drawn from.
///
/// # Shapes
/// Targets `[B, D]`; condition `[M, C]`, where M divides B and each row belongs to B / M rows of targets that follow
/// one another; log-densities `[B]`; noise `[B, K]`, K standard normals for each draw.
///
/// # Panics
/// All methods panic, with the shapes, on tensors of other widths than the density was made for.
///
/// # To implement this
/// Every [`Bijection`] is one, with a standard normal for its latents. For others, give the density, normalised for
/// every condition, and draws as a function of noise: what this crate's law tests check is that the draws have the
/// density, that rows do not influence one another and that every parameter has a gradient.
pub trait DensityEstimator: Module {
    /// ln q(targets | condition), and the latents `[B, D]` of a density that is a map to a standard normal.
    fn evaluate(&self, targets: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> (Option<Tensor<2>>, Tensor<1>);

    /// K, the standard normals that a draw of `dim` numbers is made from.
    fn noise_dim(&self, dim: usize) -> usize;

    /// Draws, as a function of noise.
    fn draw(&self, noise: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Tensor<2>;
}

impl<B: Bijection> DensityEstimator for B {
    fn evaluate(&self, targets: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> (Option<Tensor<2>>, Tensor<1>) {
        let (z, log_det) = self.forward(targets, Some(condition), pass);
        (Some(z.clone()), log_standard_normal(z) + log_det)
    }

    fn noise_dim(&self, dim: usize) -> usize {
        dim
    }

    fn draw(&self, noise: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        self.inverse(noise, Some(condition), pass)
    }
}

/// ln N(z; 0, I), `[B, D]` to `[B]`.
fn log_standard_normal(z: Tensor<2>) -> Tensor<1> {
    let [_, dim] = z.dims();
    sum_dimensions(z.square()).mul_scalar(-0.5).sub_scalar(0.5 * dim as f64 * TAU.ln())
}

/// A row of the condition for each of some rows of targets: each row that there is belongs to as many that follow one
/// another.
///
/// # Panics
/// If the number of its rows does not divide that of the targets.
#[must_use]
pub fn repeated(condition: Tensor<2>, rows: usize) -> Tensor<2> {
    let [given, width] = condition.dims();
    if given == rows {
        return condition;
    }
    condition.reshape([given, 1, width]).expand([given, rows / given, width]).reshape([rows, width])
}

/// Panics unless the condition has this width and a number of rows that divides that of the targets.
pub(crate) fn check_condition(condition: [usize; 2], width: usize, rows: usize) {
    assert!(
        condition[1] == width && condition[0] > 0 && rows.is_multiple_of(condition[0]),
        "a condition of shape {condition:?} where the network needs [M, {width}], with M a divisor of {rows}"
    );
}

/// Which density estimator, and its configuration.
///
/// | estimator | for | evaluating | drawing |
/// |---|---|---|---|
/// | [`InvertibleNetwork`] | anything; with splines also several modes | one pass | one pass |
/// | [`AutoregressiveFlow`] | anything with one mode | one pass | D passes |
/// | [`MixtureNetwork`] | posteriors near a normal, or some of them | one pass | one pass |
///
/// Every configuration becomes one by `into()`.
#[derive(Config, Debug, PartialEq)]
pub enum InferenceConfig {
    /// Coupling layers: the conditional invertible network, and the neural spline flow.
    Invertible(InvertibleNetworkConfig),
    /// Masked autoregressive layers.
    Autoregressive(AutoregressiveFlowConfig),
    /// One normal distribution, or a mixture of them.
    Mixture(MixtureConfig),
}

impl From<InvertibleNetworkConfig> for InferenceConfig {
    fn from(config: InvertibleNetworkConfig) -> Self {
        Self::Invertible(config)
    }
}

impl From<AutoregressiveFlowConfig> for InferenceConfig {
    fn from(config: AutoregressiveFlowConfig) -> Self {
        Self::Autoregressive(config)
    }
}

impl From<MixtureConfig> for InferenceConfig {
    fn from(config: MixtureConfig) -> Self {
        Self::Mixture(config)
    }
}

impl InferenceConfig {
    /// The estimator, for `dim` targets given `condition_dim` numbers.
    ///
    /// # Errors
    /// A setting outside its range.
    pub fn init(
        &self,
        dim: usize,
        condition_dim: usize,
        init: &mut ParameterInit,
    ) -> Result<InferenceNetwork, ConfigError> {
        Ok(match self {
            Self::Invertible(config) => InferenceNetwork::Invertible(config.init(dim, condition_dim, init)?),
            Self::Autoregressive(config) => InferenceNetwork::Autoregressive(config.init(dim, condition_dim, init)?),
            Self::Mixture(config) => InferenceNetwork::Mixture(config.init(dim, condition_dim, init)?),
        })
    }

    /// Whether [`InferenceNetwork::initialise_act_norm`] is to be called, with simulations.
    #[must_use]
    pub fn needs_simulations(&self) -> bool {
        matches!(self, Self::Invertible(config) if config.act_norm == ActNormConfig::FromData)
    }

    /// Whether units are dropped in training and not at inference.
    #[must_use]
    pub fn has_dropout(&self) -> bool {
        match self {
            Self::Invertible(config) => config.has_dropout(),
            Self::Autoregressive(config) => config.dropout > 0.0,
            Self::Mixture(config) => config.net.has_dropout(),
        }
    }

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

/// A density estimator; [`InferenceConfig`] says which there are.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a module holds its fields by value")]
pub enum InferenceNetwork {
    /// Coupling layers.
    Invertible(InvertibleNetwork),
    /// Masked autoregressive layers.
    Autoregressive(AutoregressiveFlow),
    /// One normal distribution, or a mixture of them.
    Mixture(MixtureNetwork),
}

impl InferenceNetwork {
    /// As [`InvertibleNetwork::initialise_act_norm`]; other estimators stay as they are.
    #[must_use]
    pub fn initialise_act_norm(self, targets: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Self {
        match self {
            Self::Invertible(network) => Self::Invertible(network.initialise_act_norm(targets, Some(condition), pass)),
            other => other,
        }
    }

    /// The mixture, if it is one: what closed forms of products and quotients need.
    #[must_use]
    pub fn as_mixture(&self) -> Option<&MixtureNetwork> {
        match self {
            Self::Mixture(mixture) => Some(mixture),
            Self::Invertible(_) | Self::Autoregressive(_) => None,
        }
    }
}

impl DensityEstimator for InferenceNetwork {
    fn evaluate(&self, targets: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> (Option<Tensor<2>>, Tensor<1>) {
        match self {
            Self::Invertible(network) => network.evaluate(targets, condition, pass),
            Self::Autoregressive(flow) => flow.evaluate(targets, condition, pass),
            Self::Mixture(mixture) => mixture.evaluate(targets, condition, pass),
        }
    }

    fn noise_dim(&self, dim: usize) -> usize {
        match self {
            Self::Invertible(network) => network.noise_dim(dim),
            Self::Autoregressive(flow) => flow.noise_dim(dim),
            Self::Mixture(mixture) => mixture.noise_dim(dim),
        }
    }

    fn draw(&self, noise: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        match self {
            Self::Invertible(network) => network.draw(noise, condition, pass),
            Self::Autoregressive(flow) => flow.draw(noise, condition, pass),
            Self::Mixture(mixture) => mixture.draw(noise, condition, pass),
        }
    }
}
