//! Configures neural posterior estimation: the networks, and how they are trained.

use bayesburn_amortizers::{PosteriorConfig, Standardization};
use bayesburn_core::{
    SettingError,
    settings::{at_least_one, in_range, inside_unit_interval},
};
use bayesburn_networks::{AnyInferenceConfig, IdentityConfig, InvertibleNetworkConfig, SummaryConfig};
use bayesburn_trainers::{EarlyStopping, Optimizer, Schedule, TrainingConfig};
use burn::{config::Config, optim::AdamConfig};

/// Networks and training of [`Npe`](crate::Npe).
///
/// ```
/// use bayesburn_inference::{NpeConfig, NpeTraining};
/// use bayesburn_networks::MixtureConfig;
///
/// let training = NpeTraining::new().with_batch_size(100);
/// let config = NpeConfig::new().with_density_estimator(MixtureConfig::new()).with_training(training);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NpeConfig<C: SummaryConfig = IdentityConfig> {
    /// The networks: a neural spline flow with dropout of 0.2, without a summary network, unless set. (Some thousand
    /// simulations are few for a flow: without dropout it learns them by heart.) Trainings of networks with dropout are
    /// finished without: when the validation loss no longer improves, they go on from the best weights until it again
    /// does not, for half as many epochs.
    pub networks: PosteriorConfig<C>,
    /// In which space the density is one.
    pub space: ParameterSpace,
    /// How they are trained.
    pub training: NpeTraining,
}

/// The space in which a posterior's density is estimated.
///
/// To choose one, compare [`TrainingSummary::corrected_validation_loss`](crate::TrainingSummary) of both on the same
/// simulations: the loss as the posterior is used, in the parameters' own units. (The validation loss itself counts
/// what leaks out of the prior against `Bounded`, though draws there are drawn again.) A posterior far narrower than
/// its prior is easier in the parameters' own space; one that the prior's bounds cut widely, in the unconstrained
/// (`gaussian_linear_uniform` with 10,000 simulations: 0.08 there, and above 0.7 in its own space).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParameterSpace {
    /// That of the parameters, and of their logarithms where the prior spans decades. Some of the density leaks out of
    /// a bounded prior; draws there are rejected, and densities corrected.
    ///
    /// A parameter is on the scale of ln θ, or of ln|θ − bound| if the prior has its decades there, where 5% and 95%
    /// quantiles of the prior's draws are a factor of 20 apart, which a log-normal prior of a standard deviation of
    /// 0.91 or more has, and lie evenly on that scale and not on θ's own. [`PosteriorConfig::with_support`] says
    /// otherwise: with [`Interval::Real`](bayesburn_core::Interval::Real) for each parameter, none is.
    #[default]
    Bounded,
    /// The reals, which parameters are mapped to from the prior's support by logarithms and probits: nothing leaks.
    Unconstrained,
}

impl Default for NpeConfig {
    fn default() -> Self {
        let networks = PosteriorConfig::new(IdentityConfig::new(), InvertibleNetworkConfig::neural_spline_flow());
        Self { networks, space: ParameterSpace::default(), training: NpeTraining::new() }.with_dropout(0.2)
    }
}

impl NpeConfig {
    /// A neural spline flow with dropout, for data that are one vector each.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<C: SummaryConfig> NpeConfig<C> {
    /// Other networks.
    #[must_use]
    pub fn with_networks<D: SummaryConfig>(self, networks: PosteriorConfig<D>) -> NpeConfig<D> {
        NpeConfig { networks, space: self.space, training: self.training }
    }

    /// Another density estimator, given the same summary network, as it is: the default's dropout goes with the
    /// default's estimator. A flow or a mixture of several normals learns few simulations by heart without it:
    /// [`NpeConfig::with_dropout`] sets it again. One normal distribution does without.
    ///
    /// ```
    /// use bayesburn_inference::NpeConfig;
    /// use bayesburn_networks::AutoregressiveFlowConfig;
    ///
    /// let config = NpeConfig::new().with_density_estimator(AutoregressiveFlowConfig::new());
    /// assert!(NpeConfig::new().networks.has_dropout() && !config.networks.has_dropout());
    /// assert!(config.with_dropout(0.2).networks.has_dropout());
    /// ```
    #[must_use]
    pub fn with_density_estimator(mut self, estimator: impl Into<AnyInferenceConfig>) -> Self {
        self.networks.inference = estimator.into();
        self
    }

    /// Drops units of the density estimator in training with this probability, in `[0, 1)`; the default has 0.2.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.networks.inference = self.networks.inference.with_dropout(dropout);
        self
    }

    /// Which inputs are standardised; all of them unless set.
    #[must_use]
    pub fn with_standardization(mut self, standardization: Standardization) -> Self {
        self.networks.standardization = standardization;
        self
    }

    /// Another space.
    #[must_use]
    pub fn with_space(mut self, space: ParameterSpace) -> Self {
        self.space = space;
        self
    }

    /// Another training.
    #[must_use]
    pub fn with_training(mut self, training: NpeTraining) -> Self {
        self.training = training;
        self
    }
}

/// What training in rounds after the first does about parameters that did not come from the prior.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Correction {
    /// The atomic loss of SNPE-C (Greenberg et al. 2019), for any estimator and prior: which of some parameters
    /// belongs to the data? It does not tell a density from a multiple of it, so that mass may stray to where there
    /// are no simulations.
    Atomic {
        /// Parameters to choose from, at least 2; at most a batch.
        atoms: usize,
    },
    /// The same, and the plain loss of simulations of the prior beside it, which keeps mass from straying and leaking
    /// (`use_combined_loss` of sbi). It needs a round from the prior, or from a truncated one: without, it is the
    /// atomic loss.
    AtomicCombined {
        /// Parameters to choose from, at least 2; at most a batch.
        atoms: usize,
    },
    /// For a mixture density network ([`MixtureConfig`](bayesburn_networks::MixtureConfig)) and a prior that is uniform
    /// or normal: the posterior under the proposal, which is q(θ | x) p̃(θ) / p(θ), normalised in closed form
    /// (Greenberg et al. 2019, appendix A.1). It has not the noise of atoms; the bounds of a uniform prior are not
    /// looked at.
    ClosedForm,
}

/// How [`Npe`](crate::Npe) trains: sbi's defaults, and weights that are averaged.
#[derive(Config, Debug, PartialEq)]
pub struct NpeTraining {
    /// Simulations in a step; as many as there are to train on, if these are fewer.
    #[config(default = 200)]
    pub batch_size: usize,
    /// Adam's learning rate, above 0.
    #[config(default = 5e-4)]
    pub learning_rate: f64,
    /// Share of the simulations of each round that is validated on and not trained on, between 0 and 1.
    #[config(default = 0.1)]
    pub validation_fraction: f64,
    /// Epochs without improvement of the validation loss after which training stops; the best weights are restored.
    #[config(default = 20)]
    pub stop_after_epochs: usize,
    /// The most epochs of a training.
    #[config(default = 10_000)]
    pub max_epochs: usize,
    /// Decay per epoch of an average of the weights, which is what is validated and inferred with (see
    /// [`TrainingConfig::weight_average`]); `None`: the weights themselves, as in sbi.
    #[config(default = "Some(0.9)")]
    pub weight_average: Option<f64>,
    /// Largest global norm of the gradients.
    #[config(default = "Some(5.0)")]
    pub clip_norm: Option<f64>,
    /// What is done in later rounds about parameters that a posterior proposed. An epidemic model with two
    /// parameters, whose first posterior is off by six to nine standard deviations, comes in six rounds of 1,000
    /// simulations to 1.14 and 1.24 times the exact standard deviations by the combined loss and to 2.2 and 1.3 times
    /// by atoms alone.
    #[config(default = "Correction::AtomicCombined { atoms: 10 }")]
    pub correction: Correction,
}

impl NpeTraining {
    pub(crate) fn check(&self) -> Result<(), SettingError> {
        at_least_one("batch_size", self.batch_size)?;
        in_range(self.learning_rate > 0.0, "learning_rate", "above 0", self.learning_rate)?;
        inside_unit_interval("validation_fraction", self.validation_fraction)?;
        at_least_one("stop_after_epochs", self.stop_after_epochs)?;
        at_least_one("max_epochs", self.max_epochs)?;
        if let Some(decay) = self.weight_average {
            in_range(decay > 0.0 && decay < 1.0, "weight_average", "above 0 and below 1, or None", decay)?;
        }
        if let Some(norm) = self.clip_norm {
            in_range(norm > 0.0, "clip_norm", "above 0, or None", norm)?;
        }
        match self.correction {
            Correction::Atomic { atoms } | Correction::AtomicCombined { atoms } => {
                in_range(atoms >= 2, "atoms", "at least 2", atoms)
            }
            Correction::ClosedForm => Ok(()),
        }
    }

    /// One run of a trainer after the other: if units are dropped, at last without.
    pub(crate) fn runs(&self, has_dropout: bool) -> Vec<TrainingConfig> {
        let whole = self.trainer_config(self.stop_after_epochs);
        match has_dropout {
            true => vec![whole, self.trainer_config(self.stop_after_epochs.div_ceil(2)).with_dropout(false)],
            false => vec![whole],
        }
    }

    fn trainer_config(&self, patience: usize) -> TrainingConfig {
        TrainingConfig::new()
            .with_optimizer(Optimizer::Adam(AdamConfig::new().with_epsilon(1e-8)))
            .with_schedule(Schedule::constant(self.learning_rate))
            .with_clip_norm(self.clip_norm)
            .with_weight_average(self.weight_average)
            .with_early_stopping(Some(EarlyStopping::new().with_patience(patience)))
    }
}
