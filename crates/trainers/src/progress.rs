//! Shows a training's progress on a terminal.

use crate::StepLoss;
use bayesburn_simulation::Progress;
use indicatif::ProgressBar;

/// The bar of one epoch.
#[derive(Debug)]
pub(crate) struct EpochBar {
    bar: ProgressBar,
    losses: f64,
    steps: usize,
    /// Whether it stays when the epoch is over.
    stays: bool,
}

impl EpochBar {
    /// A bar for one of at most `epochs` epochs. With early stopping, `best` is the best epoch so far and its
    /// validation loss. Such runs have many epochs, so only the present one is shown.
    pub(crate) fn new(
        progress: Progress,
        (epoch, epochs): (usize, usize),
        iterations: usize,
        best: Option<Option<(usize, f32)>>,
    ) -> Self {
        let bar = progress.bar(iterations as u64, "{prefix} {bar:24} {pos}/{len} {elapsed}<{eta} {rate:>9} {msg}");
        bar.set_prefix(match best {
            None => format!("Epoch {epoch}/{epochs}"),
            Some(None) => format!("Epoch {epoch}"),
            Some(Some((best, loss))) => format!("Epoch {epoch} (best validation loss {loss:.3} in {best})"),
        });
        Self { bar, losses: 0.0, steps: 0, stays: best.is_none() }
    }

    /// Begins within the epoch.
    pub(crate) fn resume(&self, steps: usize) {
        self.bar.set_position(steps as u64);
        self.bar.reset_eta();
    }

    pub(crate) fn step(&mut self, step: &StepLoss) {
        self.bar.inc(1);
        let Some(loss) = step.loss else { return };
        self.losses += f64::from(loss);
        self.steps += 1;
        if !self.bar.is_hidden() {
            let (mean, rate) = (self.losses / self.steps as f64, step.learning_rate);
            self.bar.set_message(format!("loss {loss:.3}, average {mean:.3}, rate {rate:.2e}"));
        }
    }

    pub(crate) fn finish(self) {
        if self.stays { self.bar.finish() } else { self.bar.finish_and_clear() }
    }
}
