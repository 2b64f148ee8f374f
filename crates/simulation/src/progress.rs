//! Shows progress on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;

/// Whether progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A bar on standard error, if that is a terminal.
    #[default]
    Auto,
    /// Nothing.
    Hidden,
}

/// The bar of many simulations, for whoever makes them in parts.
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
    /// A bar that begins at `done` of `all` simulations; its rate counts those that are added.
    #[must_use]
    pub fn new(progress: Progress, done: u64, all: u64) -> Self {
        let target = match progress {
            Progress::Auto => ProgressDrawTarget::stderr_with_hz(10),
            Progress::Hidden => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(all.max(done)), target);
        let style = "Simulations {bar:24} {pos}/{len} {elapsed}<{eta} {rate:>9}";
        // Indicatif's own rate has nine decimals.
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            _ = match state.per_sec() {
                rate if rate > 0.0 && rate < 1.0 => write!(out, "{:.1} s each", rate.recip()),
                rate => write!(out, "{rate:.1}/s"),
            };
        };
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("rate", rate));
        bar.set_position(done);
        bar.reset_eta();
        Self(bar)
    }

    /// More simulations are there.
    pub fn add(&self, simulations: usize) {
        self.0.inc(simulations as u64);
    }

    /// Leaves the bar as it is, on a line of its own.
    pub fn finish(&self) {
        self.0.finish();
    }
}
