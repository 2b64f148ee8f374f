//! Records the loss of every step and the validation loss of every epoch.

use crate::TrainerError;
use serde::{Deserialize, Serialize};
use std::{fmt::Write, fs, path::Path};

/// One training step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepLoss {
    /// The training loss before the step.
    pub loss: f32,
    /// The learning rate of the step.
    pub learning_rate: f64,
}

/// One epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochSummary {
    /// Steps of all runs up to the end of this epoch.
    pub steps: usize,
    /// The mean training loss of the epoch's steps.
    pub mean_loss: f32,
    /// The mean negative log posterior density of the validation simulations, if there are any.
    pub validation_loss: Option<f32>,
}

/// The losses of all runs of a trainer, in order.
///
/// ```
/// use bayesburn_trainers::{LossHistory, StepLoss};
///
/// let steps = vec![StepLoss { loss: 0.5, learning_rate: 1e-3 }];
/// let history = LossHistory { steps, epochs: Vec::new() };
/// assert_eq!(history.train_losses(), [0.5]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossHistory {
    /// One entry for each step.
    pub steps: Vec<StepLoss>,
    /// One entry for each epoch.
    pub epochs: Vec<EpochSummary>,
}

impl LossHistory {
    /// The training loss of each step.
    #[must_use]
    pub fn train_losses(&self) -> Vec<f32> {
        self.steps.iter().map(|step| step.loss).collect()
    }

    /// The validation losses, each with the number of steps after which it was measured.
    #[must_use]
    pub fn validation_losses(&self) -> Vec<(usize, f32)> {
        self.epochs.iter().filter_map(|epoch| Some((epoch.steps, epoch.validation_loss?))).collect()
    }

    /// Saves everything as JSON, which [`LossHistory::load`] reads.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TrainerError> {
        let text = serde_json::to_string(self).expect("a history is plain data");
        fs::write(&path, text).map_err(TrainerError::write(path.as_ref()))
    }

    /// Loads what [`LossHistory::save`] wrote.
    ///
    /// # Errors
    /// A file that cannot be read, or is not a history.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TrainerError> {
        let text = fs::read_to_string(&path).map_err(TrainerError::read(path.as_ref()))?;
        serde_json::from_str(&text).map_err(|error| TrainerError::read(path.as_ref())(error.into()))
    }

    /// Saves a table with a row for each step: step, loss, learning rate, and the validation loss where an epoch ends.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_csv(&self, path: impl AsRef<Path>) -> Result<(), TrainerError> {
        let mut text = String::from("step,loss,learning_rate,validation_loss\n");
        let mut validation = self.validation_losses().into_iter().peekable();
        for (i, step) in self.steps.iter().enumerate() {
            let at_end = validation.next_if(|(steps, _)| *steps == i + 1).map(|(_, loss)| loss.to_string());
            let at_end = at_end.unwrap_or_default();
            writeln!(text, "{},{},{},{at_end}", i + 1, step.loss, step.learning_rate)
                .expect("writing to a string cannot fail");
        }
        fs::write(&path, text).map_err(TrainerError::write(path.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_history_is_read_back_and_its_table_has_every_step() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let step = |i: usize| StepLoss { loss: 1.0 / (i as f32 + 3.0), learning_rate: 1e-3 / (i as f64 + 7.0) };
        let epoch = |steps, validation_loss| EpochSummary { steps, mean_loss: 0.1, validation_loss };
        let history =
            LossHistory { steps: (0..4).map(step).collect(), epochs: vec![epoch(2, Some(-0.3)), epoch(4, None)] };
        let path = folder.path().join("history.json");
        history.save(&path).expect("writable");
        assert_eq!(LossHistory::load(&path).expect("readable"), history);
        assert_eq!(history.validation_losses(), [(2, -0.3)]);

        let table = folder.path().join("history.csv");
        history.save_csv(&table).expect("writable");
        let lines: Vec<String> = fs::read_to_string(table).expect("readable").lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[2].starts_with("2,0.25,") && lines[2].ends_with(",-0.3"), "{}", lines[2]);
        assert!(lines[4].ends_with(','), "{}", lines[4]);
    }
}
