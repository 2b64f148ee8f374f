//! Shows a training's progress on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Whether progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A bar for each epoch on standard error, if that is a terminal.
    #[default]
    Auto,
    /// Nothing.
    Hidden,
}

/// The bar of one epoch.
#[derive(Debug)]
pub(crate) struct EpochBar {
    bar: ProgressBar,
    losses: f64,
    steps: usize,
}

impl EpochBar {
    pub(crate) fn new(progress: Progress, epoch: usize, epochs: usize, iterations: usize) -> Self {
        let target = match progress {
            Progress::Auto => ProgressDrawTarget::stderr_with_hz(10),
            Progress::Hidden => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(iterations as u64), target);
        let style = "{prefix} {bar:24} {pos}/{len} {elapsed}<{eta} {per_sec:>9} {msg}";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(format!("Epoch {epoch}/{epochs}"));
        Self { bar, losses: 0.0, steps: 0 }
    }

    pub(crate) fn step(&mut self, loss: f32, learning_rate: f64) {
        self.losses += f64::from(loss);
        self.steps += 1;
        self.bar.inc(1);
        if !self.bar.is_hidden() {
            let mean = self.losses / self.steps as f64;
            self.bar.set_message(format!("loss {loss:.3}, average {mean:.3}, rate {learning_rate:.2e}"));
        }
    }

    pub(crate) fn finish(self, validation_loss: Option<f32>) {
        if let (Some(loss), false) = (validation_loss, self.bar.is_hidden()) {
            let mean = self.losses / self.steps as f64;
            self.bar.set_message(format!("average {mean:.3}, validation {loss:.3}"));
        }
        self.bar.finish();
    }
}
