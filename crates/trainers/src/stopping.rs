//! Decides from the validation losses whether a training has stopped improving, without further state.

use crate::error::in_range;
use bayesburn_core::SettingError;
use burn::config::Config;

/// Stops a run when its validation loss has not improved for some epochs.
#[derive(Config, Debug, PartialEq)]
pub struct EarlyStopping {
    /// Epochs without improvement after which the run stops, at least 1.
    #[config(default = 5)]
    pub patience: usize,
    /// How far below the best loss so far a loss must be to count as an improvement, at least 0.
    #[config(default = 0.0)]
    pub min_improvement: f64,
    /// The weights that the run ends with, also if it does not stop early.
    #[config(default = "FinalWeights::Best")]
    pub final_weights: FinalWeights,
}

/// The weights that a run ends with.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum FinalWeights {
    /// The weights of the epoch with the lowest validation loss.
    Best,
    /// The weights of the last step, or their average if weights are averaged.
    Last,
}

impl EarlyStopping {
    pub(crate) fn check(&self) -> Result<(), SettingError> {
        in_range(self.patience > 0, "patience", "at least 1", self.patience)?;
        in_range(self.min_improvement >= 0.0, "min_improvement", "at least 0", self.min_improvement)
    }

    /// The reason why a run with these validation losses stops, if it does.
    pub(crate) fn reason(&self, losses: &[Option<f32>]) -> Option<String> {
        let epochs = epochs_without_improvement(losses, self.min_improvement);
        (epochs >= self.patience).then(|| format!("no improvement for {epochs} epochs"))
    }
}

/// The epochs since the loss was last more than `min_improvement` below the best before it. The first epoch always
/// improves; one without a finite loss never does.
pub(crate) fn epochs_without_improvement(losses: &[Option<f32>], min_improvement: f64) -> usize {
    let (mut best, mut epochs) = (f64::INFINITY, 0);
    for loss in losses.iter().map(|loss| loss.map_or(f64::INFINITY, f64::from)) {
        if loss < best - min_improvement {
            (best, epochs) = (loss, 0);
        } else {
            epochs += 1;
        }
    }
    epochs
}

/// The epoch with the lowest loss, the first of several.
pub(crate) fn best_epoch(losses: &[Option<f32>]) -> Option<usize> {
    let finite = losses.iter().enumerate().filter_map(|(epoch, loss)| Some((epoch, (*loss)?)));
    finite.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(epoch, _)| epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn improvement_is_relative_to_the_best_and_not_to_the_epoch_before() {
        let losses = [3.0, 1.0, 2.0, 1.5, 1.2, 0.95].map(Some);
        assert_eq!(epochs_without_improvement(&losses, 0.0), 0);
        assert_eq!(epochs_without_improvement(&losses[..5], 0.0), 3);
        assert_eq!(epochs_without_improvement(&losses, 0.1), 4);
        assert_eq!(best_epoch(&losses), Some(5));
        assert_eq!(best_epoch(&losses[..5]), Some(1));
    }

    #[test]
    fn small_steps_add_up_to_an_improvement() {
        let losses = [1.0, 0.96, 0.92, 0.88].map(Some);
        assert_eq!(epochs_without_improvement(&losses, 0.1), 0);
        assert_eq!(epochs_without_improvement(&losses[..3], 0.1), 2);
    }

    #[test]
    fn an_epoch_without_a_loss_is_none_that_improves() {
        assert_eq!(epochs_without_improvement(&[Some(1.0), None, None], 0.0), 2);
        assert_eq!(best_epoch(&[None, Some(1.0), Some(1.0)]), Some(1));
        assert_eq!(best_epoch(&[None]), None);
    }

    #[test]
    fn patience_is_the_number_of_epochs_that_are_waited() {
        let stopping = EarlyStopping::new().with_patience(2);
        assert_eq!(stopping.reason(&[Some(1.0), Some(2.0)]), None);
        assert!(stopping.reason(&[Some(1.0), Some(2.0), Some(2.0)]).is_some());
    }
}
