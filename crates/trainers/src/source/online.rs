//! Trains on fresh simulations only.

use super::{RunContext, Source};
use crate::{TrainerError, error::in_range};
use bayesburn_core::Simulations;
use burn::config::Config;
use serde_json::Value;

/// Online training: every batch is newly simulated and seen once, so that overfitting is impossible. For fast
/// simulators.
#[derive(Config, Debug, PartialEq)]
pub struct Online {
    /// Number of epochs, at least 1.
    #[config(default = 10)]
    pub epochs: usize,
    /// Steps in an epoch, at least 1.
    #[config(default = 1000)]
    pub iterations_per_epoch: usize,
    /// Simulations in a step, at least 1.
    #[config(default = 32)]
    pub batch_size: usize,
}

impl Source for Online {
    fn epochs(&self) -> Result<Vec<usize>, TrainerError> {
        in_range(self.epochs > 0, "epochs", "at least 1", self.epochs)?;
        in_range(self.iterations_per_epoch > 0, "iterations_per_epoch", "at least 1", self.iterations_per_epoch)?;
        in_range(self.batch_size > 0, "batch_size", "at least 1", self.batch_size)?;
        Ok(vec![self.iterations_per_epoch; self.epochs])
    }

    fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError> {
        Ok(run.model()?.simulate_from(run.seed(), (step * self.batch_size) as u64, self.batch_size)?)
    }

    fn config(&self) -> Value {
        serde_json::json!({ "online": self })
    }
}
