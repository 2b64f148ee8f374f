//! Summarises the result of a training for printing.

use bayesburn_core::{Simulations, printable};
use std::fmt;

/// The result of one call of [`Npe::train`](crate::Npe::train). It prints in a few lines.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TrainingSummary {
    /// The round, from 1.
    pub round: usize,
    /// Simulations trained on.
    pub trained: usize,
    /// Simulations held out for validation.
    pub held_out: usize,
    /// Simulations dropped because their data are not finite.
    pub excluded: usize,
    /// Epochs of this training.
    pub epochs: usize,
    /// How many of them, at the end, were without dropout; 0 if the networks have none.
    pub epochs_without_dropout: usize,
    /// The epoch, counted from 1, whose weights the posterior has: that with the lowest validation loss in either
    /// stage.
    pub best_epoch: usize,
    /// The lowest validation loss: in the first round, and with truncated priors, the mean of −ln q(θ | x).
    pub best_validation_loss: f32,
    /// The leakage-corrected validation loss: the mean of −ln p(θ | x). Of two spaces or networks for the same
    /// simulations, the one with the lower value is better. The correction is estimated from at most 128 held-out
    /// simulations. `None` in rounds whose parameters a posterior proposed.
    pub corrected_validation_loss: Option<f32>,
    /// Why the training stopped.
    pub stop_reason: String,
    /// Warnings about the data or the result, with remedies.
    pub warnings: Vec<String>,
}

impl fmt::Display for TrainingSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { round, trained, held_out, excluded, epochs, best_epoch, best_validation_loss, .. } = self;
        write!(f, "Round {round}: {epochs} epochs of {trained} simulations ({held_out} held out")?;
        if *excluded > 0 {
            write!(f, ", {excluded} left out as not finite")?;
        }
        if self.epochs_without_dropout > 0 {
            write!(f, ", the last {} epochs without dropout", self.epochs_without_dropout)?;
        }
        write!(f, "); best validation loss {best_validation_loss:.4} in epoch {best_epoch}")?;
        if let Some(corrected) = self.corrected_validation_loss.filter(|corrected| corrected != best_validation_loss) {
            write!(f, ", {corrected:.4} corrected for what leaks out of the prior")?;
        }
        write!(f, "; ")?;
        write!(f, "stopped: {}", printable(&self.stop_reason))?;
        for warning in &self.warnings {
            write!(f, "\nWarning: {}", printable(warning))?;
        }
        Ok(())
    }
}

/// A warning if simulations panicked.
pub(crate) fn panics<'a>(simulations: impl Iterator<Item = &'a Simulations>) -> Option<String> {
    let all: Vec<_> = simulations.flat_map(|part| &part.panicked).collect();
    let first = all.first()?;
    Some(format!(
        "{} simulations panicked, the first of them, number {} of seed {}, with: {}; all are in \
         `Simulations::panicked` of `Npe::simulations`",
        all.len(),
        first.id.index,
        first.id.seed,
        first.message
    ))
}
