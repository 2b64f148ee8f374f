//! Defines what stands behind the condition: a network with a loss, which may have a density and draws.

mod act_norm;
mod any;
mod autoregressive;
mod bijection;
mod chain;
mod condition;
mod coupling;
mod density_estimator;
mod invertible_network;
mod mixture;
mod mixture_product;
mod permutation;

pub use act_norm::{ActNorm, ActNormConfig};
pub use any::{AnyInferenceConfig, AnyInferenceNetwork};
pub use autoregressive::{AutoregressiveFlow, AutoregressiveFlowConfig};
pub use bijection::Bijection;
pub use condition::{Condition, ConditionWidths};
pub use coupling::{
    AffineConfig, AffineCoupling, AffineNets, Coupling, CouplingConfig, CouplingLayer, SeparateNets, SplineConfig,
    SplineCoupling,
};
pub use density_estimator::{DensityEstimator, repeated};
pub use invertible_network::{
    CouplingDesign, InterleavedConfig, InvertibleNetwork, InvertibleNetworkConfig, SoftFlowConfig,
};
pub use mixture::{Covariance, MixtureConfig, MixtureNetwork, MixtureParameters, log_sum_exp};
pub use mixture_product::{QuadraticSum, QuadraticTerm};
pub use permutation::{Permutation, PermutationConfig};

use crate::{ConfigError, ParameterInit, Pass};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Loss, Part};
use bijection::sum_dimensions;
use burn::{
    config::Config,
    module::{Module, ModuleDisplay},
    tensor::Tensor,
};
use density_estimator::check_condition;

/// A network that learns the distribution of targets given a condition.
///
/// Every [`DensityEstimator`] is one: it is trained by −ln q, evaluated and drawn from. A network with a loss of its
/// own, such as a vector field, implements this trait itself.
///
/// # Shapes
/// Targets `[B, D]`; a condition of M rows, where M divides B and each row belongs to B / M rows of targets that follow
/// one another ([`repeated`]); losses and log-densities `[B]`; noise `[B, K]`, K standard normals for each draw.
///
/// # Panics
/// All methods panic, with the shapes, on tensors of other widths than the network was made for.
///
/// # To implement this
/// Give [`InferenceNetwork::loss`] or [`InferenceNetwork::density`], for training; [`InferenceNetwork::sample`], for
/// `sample`; and `density`, if there is a density, for `log_prob`. Row b of each result must depend only on row b of
/// the targets (or noise) and its condition. Give the network a configuration, [`InferenceConfig`]: training,
/// checkpoints and sampling then work with `PosteriorConfig::from_networks`.
///
/// - **Targets** are what a posterior makes of parameters: mapped to the reals if it has a support, standardised, less
///   the prediction if it has a regression. The posterior maps draws back, and adds the derivatives of these maps to
///   the density.
/// - **Training** calls `loss`, or else `density`, in a training pass, on tensors with gradients.
/// - **Validation** calls the same in an inference pass. Its seed depends on the targets alone, so that
///   times and noise are the same at every epoch.
/// - **Inference** calls `density` and `sample` in an inference pass. No gradients of weights are taken. `sample` must
///   be a function of its noise, so that draws do not depend on how they are divided into chunks. A stochastic sampler
///   asks for more noise, K > D, by [`InferenceNetwork::num_normals`].
/// - **Without `density`**, a posterior's `log_prob` and `latent` are errors, and `Diagnose` judges by draws.
///   Without `sample`, a posterior's `sample` is an error.
///
/// `Npe` takes only the library's networks, [`AnyInferenceConfig`]. To add a network to these, see that enum.
pub trait InferenceNetwork: Module + ModuleDisplay + Sync + 'static {
    /// A loss of the network's own for each row of targets, `[B]`. `None`: the loss is −ln q of
    /// [`InferenceNetwork::density`].
    ///
    /// The same pass gives the same numbers: draw times and noise from it.
    fn loss(&self, targets: &Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Tensor<1>> {
        let _ = (targets, condition, pass);
        None
    }

    /// The density of targets given a condition, with latents if it has them; `None` of a network without a density.
    fn density(&self, targets: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Evaluation> {
        let _ = (targets, condition, pass);
        None
    }

    /// K, the standard normals that a draw of `dim` numbers is made from: more than `dim` of a network whose draws need
    /// more randomness.
    fn num_normals(&self, dim: usize) -> usize {
        dim
    }

    /// Draws `[B, D]`, as a function of noise alone; `None` of a network without draws. A draw that takes random
    /// numbers from the pass depends on how many draws are asked for.
    fn sample(&self, noise: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Tensor<2>> {
        let _ = (noise, condition, pass);
        None
    }

    /// The network, fitted to simulations before training, where its configuration [needs
    /// them](InferenceConfig::needs_simulations).
    #[must_use]
    fn initialised(self, targets: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Self {
        let _ = (targets, condition, pass);
        self
    }

    /// The loss as an operation with its operands, for targets like these. `None`: it runs as a composition of Burn's
    /// operations. That is right for every network without a kernel, and is the default.
    ///
    /// It is called, and used, as [`SummaryNetwork::fast_path`](crate::SummaryNetwork::fast_path) is. If the loss is
    /// −ln q, the operation adds `constant`, the sum of the logarithms of the standard deviations that standardise
    /// parameters: the density is then in the parameters' own units. Return `None` for settings that the kernel lacks,
    /// and if `bayesburn_kernels::has_kernels(like)` is false. Operations draw no random numbers.
    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, constant: f64, pass: &Pass) -> Option<Part<Loss>> {
        let _ = (like, constant, pass);
        None
    }
}

impl<D: DensityEstimator + ModuleDisplay + Sync + 'static> InferenceNetwork for D {
    fn density(&self, targets: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Evaluation> {
        let (latents, log_prob) = self.evaluate(targets, condition.joined(), pass);
        Some(Evaluation { log_prob, latents })
    }

    fn num_normals(&self, dim: usize) -> usize {
        self.noise_dim(dim)
    }

    fn sample(&self, noise: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Tensor<2>> {
        Some(self.draw(noise, condition.joined(), pass))
    }

    fn initialised(self, targets: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Self {
        self.fitted(targets, condition.joined(), pass)
    }

    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, constant: f64, pass: &Pass) -> Option<Part<Loss>> {
        self.kernel(like, constant, pass)
    }
}

/// The density of targets, and the latents that belong to them.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// ln q(targets | condition), `[B]`.
    pub log_prob: Tensor<1>,
    /// Latents `[B, D]`, of a density that is a map to a standard normal.
    pub latents: Option<Tensor<2>>,
}

/// What an inference network is made from: plain data, which checkpoints save.
///
/// # To implement this
/// Draw all weights from `init`, so that a seed reproduces them. The configurations of the library's networks do not
/// implement this trait: the enum [`AnyInferenceConfig`] does, for all of them.
pub trait InferenceConfig: Config + Clone + PartialEq + Send + Sync + 'static {
    /// What saved posteriors call the network, so that what reads one knows its type: a name of your own.
    const NAME: &'static str;

    /// The network.
    type Network: InferenceNetwork;

    /// A network for `dim` targets given a condition of these widths.
    ///
    /// # Errors
    /// A setting outside its range.
    fn init(
        &self,
        dim: usize,
        condition: ConditionWidths,
        init: &mut ParameterInit,
    ) -> Result<Self::Network, ConfigError>;

    /// Whether units are dropped in training and not at inference. Neural posterior estimation then finishes without.
    fn has_dropout(&self) -> bool {
        false
    }

    /// Whether [`InferenceNetwork::initialised`] fits the network to simulations before training.
    fn needs_simulations(&self) -> bool {
        false
    }
}
