//! Configures a training, independently of its source of batches.

use crate::{EarlyStopping, Optimizer, Schedule, TrainerError, error::in_range};
use burn::{config::Config, optim::AdamWConfig};

/// Settings of a training that apply to every [`Source`](crate::Source).
#[derive(Config, Debug)]
pub struct TrainingConfig {
    /// The optimizer.
    #[config(default = "Optimizer::default()")]
    pub optimizer: Optimizer,
    /// The learning rate over the whole run.
    #[config(default = "Schedule::new()")]
    pub schedule: Schedule,
    /// Largest global norm of the gradients, above 0; larger ones are scaled down to it. `None`: no clipping.
    #[config(default = "Some(1.0)")]
    pub clip_norm: Option<f64>,
    /// Number of simulations for the validation loss, in addition to the source's own validation data; 0 for none. They
    /// are the same in every epoch and run, and are never trained on.
    #[config(default = 0)]
    pub validation_simulations: usize,
    /// Stops before the last epoch when the validation loss no longer improves. Needs validation data.
    #[config(default = "None")]
    pub early_stopping: Option<EarlyStopping>,
    /// Decay of an exponential moving average of the weights (Polyak & Juditsky 1992), which reduces the noise of
    /// single steps as a smaller learning rate does. After each epoch, average ← decay · average + (1 − decay) ·
    /// weights. In the first epochs the average is the plain mean of the weights so far, including the initial ones, as
    /// long as that gives the new weights a larger share. The average is validated, shown to callbacks, saved as the
    /// posterior, and kept when a run ends or is interrupted; optimizer steps continue from the raw weights. Above 0
    /// and below 1; `None` for no average.
    #[config(default = "None")]
    pub weight_average: Option<f64>,
    /// Number of parts into which a batch is split, at least 1. Their gradients are added up, so that the step equals
    /// that of the whole batch up to rounding, with a fraction of the memory. (A loss on summaries is computed for each
    /// part by itself.)
    #[config(default = 1)]
    pub micro_batches: usize,
    /// Which of the networks are trained.
    #[config(default = "TrainedPart::All")]
    pub trained_part: TrainedPart,
    /// Whether dropout is active, in networks that have it. Networks trained with dropout are used without it, which
    /// biases them slightly: draws from a skewed posterior are shifted to one side. A second run without dropout
    /// removes this bias within some epochs.
    #[config(default = true)]
    pub dropout: bool,
    /// How steps with a non-finite loss or gradient are handled.
    #[config(default = "NonFiniteSteps::new()")]
    pub non_finite_steps: NonFiniteSteps,
}

/// Which of the networks a run trains; the others keep their weights.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum TrainedPart {
    /// All.
    All,
    /// The summary network alone.
    Summary,
    /// The inference network alone, for example on summaries learned before.
    Inference,
}

/// How steps with a NaN or infinite loss or gradient are handled: each is skipped and counted in the history; too many
/// in a row trigger [`AfterLimit`].
#[derive(Config, Debug, PartialEq)]
pub struct NonFiniteSteps {
    /// The largest number of consecutive steps that are skipped.
    #[config(default = 10)]
    pub limit: usize,
    /// The reaction to more than that.
    #[config(default = "AfterLimit::Stop")]
    pub after_limit: AfterLimit,
}

/// The reaction to too many consecutive non-finite steps.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum AfterLimit {
    /// The training stops with an error. Weights and optimizer are kept and saved as they were before those steps.
    Stop,
    /// Weights and optimizer are reset to the beginning of the epoch, or to where the run was resumed, and the learning
    /// rate is multiplied by a factor from then on. After `times` rollbacks in a run, the next one is an error as with
    /// [`AfterLimit::Stop`].
    RollBack {
        /// What the learning rate is multiplied by, above 0 and below 1.
        rate_factor: f64,
        /// The largest number of rollbacks, at least 1.
        times: usize,
    },
}

impl AfterLimit {
    /// The factor of the learning rate after this many returns to earlier weights.
    pub(crate) fn rate_factor(self, rollbacks: usize) -> f64 {
        match self {
            Self::Stop => 1.0,
            Self::RollBack { rate_factor, .. } => rate_factor.powi(rollbacks as i32),
        }
    }
}

impl TrainingConfig {
    /// Settings for a fixed set of simulations: AdamW with weight decay 0.005, and early stopping after 10 epochs
    /// without improvement, with the best weights restored. Combine them with dropout in the networks, for example
    /// `PosteriorConfig::with_dropout(0.05)`.
    #[must_use]
    pub fn regularised() -> Self {
        let optimizer = Optimizer::AdamW(AdamWConfig::new().with_epsilon(1e-7).with_weight_decay(5e-3));
        Self::new().with_optimizer(optimizer).with_early_stopping(Some(EarlyStopping::new().with_patience(10)))
    }

    pub(crate) fn check(&self) -> Result<(), TrainerError> {
        if let Some(norm) = self.clip_norm {
            in_range(norm > 0.0, "clip_norm", "above 0, or None", norm)?;
        }
        if let Some(decay) = self.weight_average {
            in_range(decay > 0.0 && decay < 1.0, "weight_average", "above 0 and below 1, or None", decay)?;
        }
        in_range(self.micro_batches > 0, "micro_batches", "at least 1", self.micro_batches)?;
        if let AfterLimit::RollBack { rate_factor, times } = self.non_finite_steps.after_limit {
            in_range(rate_factor > 0.0 && rate_factor < 1.0, "rate_factor", "above 0 and below 1", rate_factor)?;
            in_range(times > 0, "times", "at least 1", times)?;
        }
        if let Some(stopping) = &self.early_stopping {
            stopping.check()?;
        }
        Ok(self.schedule.check()?)
    }
}
