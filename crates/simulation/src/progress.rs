//! Shows progress on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;

/// Whether progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A bar on standard error, if it is a terminal.
    #[default]
    Auto,
    /// Nothing.
    Hidden,
}

impl Progress {
    /// A bar of so many steps, in a template of `indicatif` that has a key `rate` beside its own.
    #[must_use]
    pub fn bar(self, steps: u64, template: &str) -> ProgressBar {
        let target = match self {
            Self::Auto => ProgressDrawTarget::stderr_with_hz(10),
            Self::Hidden => ProgressDrawTarget::hidden(),
        };
        // Indicatif's own rate has nine decimals.
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            _ = match state.per_sec() {
                rate if rate > 0.0 && rate < 1.0 => write!(out, "{:.1} s each", rate.recip()),
                rate => write!(out, "{rate:.1}/s"),
            };
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(steps), target).with_style(style.with_key("rate", rate))
    }
}

/// A progress bar for simulations that are made in several parts.
///
/// ```
/// use bayesburn_simulation::{Progress, SimulationBar};
///
/// let bar = SimulationBar::new(Progress::Hidden, 0, 1_000);
/// for _ in 0..10 {
///     bar.add(100);
/// }
/// bar.finish();
/// ```
#[derive(Debug)]
pub struct SimulationBar(ProgressBar);

impl SimulationBar {
    /// A bar that begins at `done` of `all` simulations. Its rate counts only those that are added.
    #[must_use]
    pub fn new(progress: Progress, done: u64, all: u64) -> Self {
        let bar = progress.bar(all.max(done), "Simulations {bar:24} {pos}/{len} {elapsed}<{eta} {rate:>9}");
        bar.set_position(done);
        bar.reset_eta();
        Self(bar)
    }

    /// Adds finished simulations.
    pub fn add(&self, simulations: usize) {
        self.0.inc(simulations as u64);
    }

    /// Stops the bar and leaves it on a line of its own.
    pub fn finish(&self) {
        self.0.finish();
    }
}
