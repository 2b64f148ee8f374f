//! Configures how a training goes, whatever it trains on.

use crate::{EarlyStopping, Optimizer, Schedule, TrainerError, error::in_range};
use burn::{config::Config, optim::AdamWConfig};

/// How a training goes: what is set here holds for every [`Source`](crate::Source).
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
    /// Number of simulations that the validation loss is measured on, beside what the source has for it; 0 for none.
    /// They are the same in every epoch and run, and are none of those trained on.
    #[config(default = 0)]
    pub validation_simulations: usize,
    /// When to stop before the last epoch, if at all. Needs validation.
    #[config(default = "None")]
    pub early_stopping: Option<EarlyStopping>,
    /// Averages weights over epochs (Polyak & Juditsky 1992): they then have less of the noise of single steps, as with
    /// a smaller learning rate. After each epoch the average goes by 1 − this decay towards the weights, and in the
    /// first epochs, until that is the smaller step, it is the plain mean of all there were, those that the run began
    /// with among them. The average is what is validated, shown to callbacks, saved as the posterior and left when a
    /// run ends or is interrupted; steps go on from the weights themselves. Above 0 and below 1; `None`: no average.
    #[config(default = "None")]
    pub weight_average: Option<f64>,
    /// Parts that a batch is cut into, at least 1. Their gradients are added up, so that the step is that of the whole
    /// batch, up to rounding, in a fraction of the memory. (A summary loss is that of each part.)
    #[config(default = 1)]
    pub micro_batches: usize,
    /// Which of the networks are trained.
    #[config(default = "TrainedPart::All")]
    pub trained_part: TrainedPart,
    /// Whether units are dropped, in networks that have dropout. What is learnt with dropout is used without, and not
    /// quite right there: of a skewed posterior, draws are off to one side. A run without, after one with it, mends
    /// that in some epochs.
    #[config(default = true)]
    pub dropout: bool,
    /// What becomes of a step whose loss or gradient is not finite.
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

/// What becomes of steps whose loss or gradient is NaN or infinite: each is left out and counted in the history; after
/// too many in a row, something is done.
#[derive(Config, Debug, PartialEq)]
pub struct NonFiniteSteps {
    /// The most steps in a row that are left out.
    #[config(default = 10)]
    pub limit: usize,
    /// What is done after that.
    #[config(default = "AfterLimit::Stop")]
    pub after_limit: AfterLimit,
}

/// What is done after too many steps that are not finite.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum AfterLimit {
    /// The training stops with an error; weights and optimizer are kept, and saved, as they were before those steps.
    Stop,
    /// Weights and optimizer go back to where the epoch began, or the run was resumed, and the learning rate is
    /// multiplied by a factor from there on. After `times` returns in a run, the next is an error as by
    /// [`AfterLimit::Stop`].
    RollBack {
        /// What the learning rate is multiplied by, above 0 and below 1.
        rate_factor: f64,
        /// How often this is done, at least 1.
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
    /// For a fixed set of simulations: AdamW with weight decay 0.005, and a stop after 10 epochs without improvement,
    /// with the best weights restored. Give the networks dropout too, for example
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
