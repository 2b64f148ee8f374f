//! Configures the networks and the training of neural posterior estimation.

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
    /// The networks; by default a neural spline flow with dropout of 0.2 and no summary network. (Without dropout, a
    /// flow overfits a few thousand simulations.) Networks with dropout are trained in two stages: when the validation
    /// loss no longer improves, a second run without dropout continues from the best weights, with half the patience.
    pub networks: PosteriorConfig<C>,
    /// The space in which the density is estimated.
    pub space: ParameterSpace,
    /// Settings of the training.
    pub training: NpeTraining,
}

/// The space in which a posterior's density is estimated.
///
/// To choose one, compare [`TrainingSummary::corrected_validation_loss`](crate::TrainingSummary) of both on the same
/// simulations: the leakage-corrected loss in the parameters' own units. (The plain validation loss penalises leakage,
/// although leaking draws are redrawn.) A posterior far narrower than its prior is easier to estimate in the
/// parameters' own space; one that is truncated strongly by the prior's bounds, in the unconstrained space
/// (`gaussian_linear_uniform` with 10,000 simulations: 0.08 there, and above 0.7 in its own space).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParameterSpace {
    /// The parameters' own space, or their logarithms where the prior spans decades. Some of the density leaks out of a
    /// bounded prior; draws there are rejected, and densities corrected.
    ///
    /// A parameter is estimated on the scale of ln θ, or of ln|θ − bound|, if two conditions hold: the 5% and 95%
    /// quantiles of prior draws differ by a factor of at least 20 (a log-normal prior with a standard deviation of 0.91
    /// or more), and prior draws are roughly symmetric on the log scale but not on the original one.
    /// [`PosteriorConfig::with_support`] overrides this: with [`Interval::Real`](bayesburn_core::Interval::Real) for
    /// each parameter, no logarithms are used.
    #[default]
    Bounded,
    /// The reals: parameters are mapped from the prior's support by logarithms and probits, so nothing leaks.
    Unconstrained,
}

impl Default for NpeConfig {
    fn default() -> Self {
        let networks = PosteriorConfig::new(IdentityConfig::new(), InvertibleNetworkConfig::neural_spline_flow());
        Self { networks, space: ParameterSpace::default(), training: NpeTraining::new() }.with_dropout(0.2)
    }
}

impl NpeConfig {
    /// The default: a neural spline flow with dropout, for data sets that are one vector each.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<C: SummaryConfig> NpeConfig<C> {
    /// Sets the networks.
    #[must_use]
    pub fn with_networks<D: SummaryConfig>(self, networks: PosteriorConfig<D>) -> NpeConfig<D> {
        NpeConfig { networks, space: self.space, training: self.training }
    }

    /// Sets the density estimator and keeps the summary network. The default's dropout is removed together with the
    /// default's estimator. Without dropout, a flow or a mixture of several normals overfits few simulations: set it
    /// again by [`NpeConfig::with_dropout`]. A single normal distribution needs none.
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

    /// Sets the dropout probability of the density estimator, in `[0, 1)`; the default has 0.2.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.networks.inference = self.networks.inference.with_dropout(dropout);
        self
    }

    /// Sets which inputs are standardised; all of them by default.
    #[must_use]
    pub fn with_standardization(mut self, standardization: Standardization) -> Self {
        self.networks.standardization = standardization;
        self
    }

    /// Sets the space of the parameters.
    #[must_use]
    pub fn with_space(mut self, space: ParameterSpace) -> Self {
        self.space = space;
        self
    }

    /// Sets the training.
    #[must_use]
    pub fn with_training(mut self, training: NpeTraining) -> Self {
        self.training = training;
        self
    }
}

/// How the loss of later rounds corrects for parameters that did not come from the prior.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Correction {
    /// The atomic loss of SNPE-C (Greenberg et al. 2019), for any estimator and prior: the network classifies which of
    /// several parameters (atoms) belongs to the data. The loss is invariant to multiples of the density, so that
    /// probability mass may leak to where there are no simulations.
    Atomic {
        /// Parameters to choose from, at least 2; at most a batch.
        atoms: usize,
    },
    /// The atomic loss plus the plain loss for simulations from the prior, which prevents such leakage
    /// (`use_combined_loss` of sbi). It needs a round from the prior or a truncated prior; otherwise it equals the
    /// atomic loss.
    AtomicCombined {
        /// Parameters to choose from, at least 2; at most a batch.
        atoms: usize,
    },
    /// For a mixture density network ([`MixtureConfig`](bayesburn_networks::MixtureConfig)) and a uniform or normal
    /// prior: the posterior under the proposal, q(θ | x) p̃(θ) / p(θ), normalised in closed form (Greenberg et al.
    /// 2019, appendix A.1). It lacks the noise of atoms. The bounds of a uniform prior are ignored.
    ClosedForm,
}

/// Settings of the training of [`Npe`](crate::Npe): sbi's defaults, plus averaged weights.
#[derive(Config, Debug, PartialEq)]
pub struct NpeTraining {
    /// Simulations in a step; all training simulations if there are fewer.
    #[config(default = 200)]
    pub batch_size: usize,
    /// Adam's learning rate, above 0.
    #[config(default = 5e-4)]
    pub learning_rate: f64,
    /// Fraction of each round's simulations that is held out for validation, between 0 and 1.
    #[config(default = 0.1)]
    pub validation_fraction: f64,
    /// Epochs without improvement of the validation loss after which training stops; the best weights are restored.
    #[config(default = 20)]
    pub stop_after_epochs: usize,
    /// The largest number of epochs of a training.
    #[config(default = 10_000)]
    pub max_epochs: usize,
    /// Decay per epoch of an exponential moving average of the weights, which is validated and used for inference (see
    /// [`TrainingConfig::weight_average`]); `None` for the raw weights, as in sbi.
    #[config(default = "Some(0.9)")]
    pub weight_average: Option<f64>,
    /// Largest global norm of the gradients.
    #[config(default = "Some(5.0)")]
    pub clip_norm: Option<f64>,
    /// The correction for parameters that a posterior proposed in later rounds. For example, in an epidemic model with
    /// two parameters, the first posterior is off by six to nine standard deviations. After six rounds of 1,000
    /// simulations, its standard deviations are 1.14 and 1.24 times the exact ones with the combined loss, and 2.2 and
    /// 1.3 times with the atomic loss.
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

    /// The runs of a training: one, and with dropout a second one without it.
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
