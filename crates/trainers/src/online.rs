//! Configures online training: every batch is simulated afresh.

use crate::{Optimizer, Schedule, TrainerError, error::in_range};
use burn::config::Config;

/// One online run of `epochs` × `iterations_per_epoch` steps; no simulation is seen twice.
#[derive(Config, Debug)]
pub struct OnlineConfig {
    /// Number of epochs, at least 1. After each, the validation loss is measured and a checkpoint is written.
    #[config(default = 10)]
    pub epochs: usize,
    /// Steps in an epoch, at least 1.
    #[config(default = 1000)]
    pub iterations_per_epoch: usize,
    /// Simulations in a step, at least 1.
    #[config(default = 32)]
    pub batch_size: usize,
    /// Number of simulations that the validation loss is measured on; 0 for none. They are the same in every epoch and run.
    #[config(default = 0)]
    pub validation_simulations: usize,
    /// The optimizer.
    #[config(default = "Optimizer::default()")]
    pub optimizer: Optimizer,
    /// The learning rate over the whole run.
    #[config(default = "Schedule::new()")]
    pub schedule: Schedule,
    /// Largest global norm of the gradients, above 0; larger ones are scaled down to it. `None`: no clipping.
    #[config(default = "Some(1.0)")]
    pub clip_norm: Option<f64>,
}

impl OnlineConfig {
    pub(crate) fn check(&self) -> Result<(), TrainerError> {
        in_range(self.epochs > 0, "epochs", "at least 1", self.epochs)?;
        in_range(self.iterations_per_epoch > 0, "iterations_per_epoch", "at least 1", self.iterations_per_epoch)?;
        in_range(self.batch_size > 0, "batch_size", "at least 1", self.batch_size)?;
        if let Some(norm) = self.clip_norm {
            in_range(norm > 0.0, "clip_norm", "above 0, or None", norm)?;
        }
        self.schedule.check()
    }
}
