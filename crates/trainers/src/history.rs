//! Records the loss of every step and the validation loss of every epoch.

use crate::TrainerError;
use bayesburn_core::{PanickedSimulation, SimulationId, files::write_atomically};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{BufReader, Write},
    path::Path,
};

/// Invalid simulations whose identity is kept; beyond that they are only counted.
const KEPT_INVALID: usize = 100;

/// One training step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Pair", into = "Pair")]
pub struct StepLoss {
    /// The training loss before the step; `None` if the loss or its gradient was not finite and the step was skipped.
    pub loss: Option<f32>,
    /// The learning rate of the step.
    pub learning_rate: f32,
}

/// As pairs, a history of 200,000 steps is 4 MB of JSON; with names it would be 11. JSON has no infinity and no NaN:
/// both are `null`, which is read as no loss and as a rate that is NaN.
type Pair = (Option<f32>, Option<f32>);

impl From<Pair> for StepLoss {
    fn from((loss, learning_rate): Pair) -> Self {
        Self { loss, learning_rate: learning_rate.unwrap_or(f32::NAN) }
    }
}

impl From<StepLoss> for Pair {
    fn from(step: StepLoss) -> Self {
        (step.loss, Some(step.learning_rate))
    }
}

/// One epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochSummary {
    /// Steps of all runs up to the end of this epoch, including skipped ones.
    pub steps: usize,
    /// The mean training loss of the epoch's steps; `None` if all of them were skipped.
    pub mean_loss: Option<f32>,
    /// The validation loss, for a posterior the mean of −ln q; `None` if there is no validation or the loss is not
    /// finite.
    pub validation_loss: Option<f32>,
    /// Steps skipped because their loss or gradient was not finite.
    pub skipped_steps: usize,
    /// Invalid simulations in the epoch's batches, which were redrawn, dropped or masked.
    pub invalid_simulations: usize,
}

/// The losses of all runs of a trainer, in order.
///
/// ```
/// use bayesburn_trainers::{LossHistory, StepLoss};
///
/// let mut history = LossHistory::default();
/// history.steps.push(StepLoss { loss: Some(0.5), learning_rate: 1e-3 });
/// history.steps.push(StepLoss { loss: None, learning_rate: 1e-3 }); // left out
/// assert_eq!(history.train_losses(), [0.5]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossHistory {
    /// One entry for each step.
    pub steps: Vec<StepLoss>,
    /// One entry for each epoch.
    pub epochs: Vec<EpochSummary>,
    /// The first 100 invalid simulations, in order of occurrence.
    /// [`GenerativeModel::replay`](bayesburn_simulation::GenerativeModel::replay) shows one.
    pub invalid_simulations: Vec<SimulationId>,
    /// The first 100 simulations that panicked, with their messages. They also count as invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub panicked_simulations: Vec<PanickedSimulation>,
    /// The invalid simulations of the epoch that is not finished yet.
    pub(crate) invalid_in_epoch: usize,
}

impl LossHistory {
    /// The training loss of each step, without skipped ones.
    #[must_use]
    pub fn train_losses(&self) -> Vec<f32> {
        self.steps.iter().filter_map(|step| step.loss).collect()
    }

    /// The validation losses, each with the number of entries of [`LossHistory::train_losses`] before it.
    #[must_use]
    pub fn validation_losses(&self) -> Vec<(usize, f32)> {
        let mut skipped = 0;
        let with_steps = self.epochs.iter().map(|epoch| {
            skipped += epoch.skipped_steps;
            (epoch.steps - skipped, epoch.validation_loss)
        });
        with_steps.filter_map(|(steps, loss)| Some((steps, loss?))).collect()
    }

    /// The steps of the epoch that is not finished yet.
    pub(crate) fn unfinished_epoch(&self) -> &[StepLoss] {
        &self.steps[self.epochs.last().map_or(0, |epoch| epoch.steps)..]
    }

    /// Counts the invalid simulations of a batch.
    pub(crate) fn count_invalid(&mut self, invalid: &[SimulationId], panicked: &[PanickedSimulation]) {
        self.invalid_in_epoch += invalid.len();
        let room = KEPT_INVALID.saturating_sub(self.invalid_simulations.len());
        self.invalid_simulations.extend(invalid.iter().take(room));
        if let (true, Some(first)) = (self.panicked_simulations.is_empty(), panicked.first()) {
            tracing::warn!(id = ?first.id, message = first.message, "simulations panic, and are counted as invalid");
        }
        let room = KEPT_INVALID.saturating_sub(self.panicked_simulations.len());
        self.panicked_simulations.extend(panicked.iter().take(room).cloned());
    }

    /// Ends the epoch.
    pub(crate) fn finish_epoch(&mut self, validation_loss: Option<f32>) -> EpochSummary {
        let steps = self.unfinished_epoch();
        let taken: Vec<f64> = steps.iter().filter_map(|step| step.loss).map(f64::from).collect();
        let summary = EpochSummary {
            steps: self.steps.len(),
            mean_loss: (!taken.is_empty()).then(|| (taken.iter().sum::<f64>() / taken.len() as f64) as f32),
            validation_loss,
            skipped_steps: steps.len() - taken.len(),
            invalid_simulations: std::mem::take(&mut self.invalid_in_epoch),
        };
        self.epochs.push(summary);
        summary
    }

    /// Saves everything as JSON, which [`LossHistory::load`] reads.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TrainerError> {
        write_atomically(path.as_ref(), |file| Ok(serde_json::to_writer(file, self)?))
            .map_err(TrainerError::write(path.as_ref()))
    }

    /// Loads what [`LossHistory::save`] wrote.
    ///
    /// # Errors
    /// A file that cannot be read, or does not hold a history.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TrainerError> {
        let file = File::open(&path).map_err(TrainerError::read(path.as_ref()))?;
        serde_json::from_reader(BufReader::new(file)).map_err(|error| TrainerError::read(path.as_ref())(error.into()))
    }

    /// Saves a CSV table with a row for each step: step, loss (empty if the step was skipped), learning rate, and the
    /// validation loss at the end of an epoch.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_csv(&self, path: impl AsRef<Path>) -> Result<(), TrainerError> {
        let text = |loss: Option<f32>| loss.map_or(String::new(), |loss| loss.to_string());
        let mut epochs = self.epochs.iter().peekable();
        write_atomically(path.as_ref(), |file| {
            writeln!(file, "step,loss,learning_rate,validation_loss")?;
            for (i, step) in self.steps.iter().enumerate() {
                let at_end = epochs.next_if(|epoch| epoch.steps == i + 1).and_then(|epoch| epoch.validation_loss);
                writeln!(file, "{},{},{},{}", i + 1, text(step.loss), step.learning_rate, text(at_end))?;
            }
            Ok(())
        })
        .map_err(TrainerError::write(path.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Four steps, the second left out, in two epochs.
    fn history() -> LossHistory {
        let mut history = LossHistory::default();
        for i in 0..4 {
            let loss = (i != 1).then(|| 1.0 / (i as f32 + 3.0));
            history.steps.push(StepLoss { loss, learning_rate: 1e-3 / (i as f32 + 7.0) });
            let id = SimulationId { seed: 1, index: i, attempt: 0, first: i, batch: 1 };
            let panicked = PanickedSimulation { id, message: "a mistake".to_owned() };
            history.count_invalid(&[id], &vec![panicked; usize::from(i == 2)]);
            if i % 2 == 1 {
                history.finish_epoch((i == 1).then_some(-0.3));
            }
        }
        history
    }

    #[test]
    fn epochs_count_what_was_left_out_and_what_was_invalid() {
        let history = history();
        let first = history.epochs[0];
        assert_eq!((first.steps, first.skipped_steps, first.invalid_simulations), (2, 1, 2));
        assert_eq!(first.mean_loss, Some(1.0 / 3.0));
        let second = history.epochs[1];
        assert_eq!((second.steps, second.skipped_steps, second.invalid_simulations), (4, 0, 2));
        assert_eq!((second.mean_loss, second.validation_loss), (Some(0.5 * (0.2 + 1.0 / 6.0)), None));
        assert_eq!(history.train_losses().len(), 3);
        assert_eq!(history.validation_losses(), [(1, -0.3)]);
        assert_eq!((history.invalid_simulations.len(), history.panicked_simulations.len()), (4, 1));
    }

    #[test]
    fn a_saved_history_is_read_back_and_its_table_has_every_step() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("history.json");
        let history = history();
        history.save(&path).expect("writable");
        assert_eq!(LossHistory::load(&path).expect("readable"), history);

        let table = folder.path().join("history.csv");
        history.save_csv(&table).expect("writable");
        let lines: Vec<String> = fs::read_to_string(table).expect("readable").lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[1].starts_with("1,0.33333334,") && lines[1].ends_with(','), "{}", lines[1]);
        assert!(lines[2].starts_with("2,,") && lines[2].ends_with(",-0.3"), "{}", lines[2]);
        assert!(lines[4].ends_with(','), "{}", lines[4]);
    }
}
