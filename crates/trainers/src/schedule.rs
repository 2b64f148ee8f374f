//! Computes the learning rate of each step from the step and the validation losses, without further state.

use crate::{error::in_range, stopping::epochs_without_improvement};
use bayesburn_core::SettingError;
use burn::config::Config;
use std::f64::consts::PI;

/// How the learning rate decays.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum Decay {
    /// It stays constant.
    Constant,
    /// Half a cosine wave down to 0 (Loshchilov & Hutter 2017, eq. 5, without restarts).
    Cosine,
    /// A straight line down to 0.
    Linear,
    /// Exponentially, down to a hundredth.
    Exponential,
    /// It is multiplied by a factor every `every` steps.
    Step {
        /// Steps between two reductions, at least 1.
        every: usize,
        /// What the rate is multiplied by, above 0 and at most 1.
        factor: f64,
    },
    /// It is multiplied by a factor each time the validation loss has not improved for `patience` epochs.
    Plateau {
        /// Epochs without improvement before each reduction, at least 1.
        patience: usize,
        /// How far below the best loss so far a loss must be to count as an improvement, at least 0.
        min_improvement: f64,
        /// What the rate is multiplied by, above 0 and at most 1.
        factor: f64,
    },
}

/// The learning rate over a run.
///
/// ```
/// use bayesburn_trainers::{Decay, Schedule};
///
/// let schedule = Schedule::new().with_initial_rate(1e-3).with_decay(Decay::Cosine).with_warmup_steps(100);
/// assert_eq!(schedule.rate(99, 10_000, &[]), 1e-3);
/// assert!(schedule.rate(9_999, 10_000, &[]) < 1e-9);
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct Schedule {
    /// The rate at the beginning, after any warm-up; above 0, and finite in f32.
    #[config(default = 5e-4)]
    pub initial_rate: f64,
    /// The decay.
    #[config(default = "Decay::Cosine")]
    pub decay: Decay,
    /// Steps in which the rate rises linearly to its initial value. In a run with fewer steps it never reaches it.
    #[config(default = 0)]
    pub warmup_steps: usize,
}

impl Schedule {
    /// The same rate for all steps.
    #[must_use]
    pub fn constant(rate: f64) -> Self {
        Self::new().with_initial_rate(rate).with_decay(Decay::Constant)
    }

    /// The learning rate of step `step`, counted from 0, in a run of `total_steps`, after epochs with these validation
    /// losses.
    #[must_use]
    pub fn rate(&self, step: usize, total_steps: usize, validation_losses: &[Option<f32>]) -> f64 {
        if step < self.warmup_steps {
            return self.initial_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let after_warmup = step - self.warmup_steps;
        let progress = after_warmup as f64 / total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let factor = match self.decay {
            Decay::Constant => 1.0,
            Decay::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
            Decay::Linear => 1.0 - progress,
            Decay::Exponential => 0.01f64.powf(progress),
            Decay::Step { every, factor } => factor.powi((after_warmup / every.max(1)) as i32),
            Decay::Plateau { patience, min_improvement, factor } => {
                factor.powi(plateaus(validation_losses, patience.max(1), min_improvement))
            }
        };
        self.initial_rate * factor
    }

    pub(crate) fn check(&self) -> Result<(), SettingError> {
        let rate = self.initial_rate;
        let is_finite = (rate as f32).is_finite();
        in_range(rate > 0.0 && is_finite, "schedule.initial_rate", "above 0 and below 3.4e38", rate)?;
        // A larger factor would make the rate infinite, and the weights with it.
        let decays = |factor: f64| {
            in_range(factor > 0.0 && factor <= 1.0, "schedule.decay.factor", "above 0 and at most 1", factor)
        };
        match self.decay {
            Decay::Step { every, factor } => {
                in_range(every > 0, "schedule.decay.every", "at least 1", every)?;
                decays(factor)
            }
            Decay::Plateau { patience, min_improvement, factor } => {
                in_range(patience > 0, "schedule.decay.patience", "at least 1", patience)?;
                let at_least_0 = min_improvement >= 0.0;
                in_range(at_least_0, "schedule.decay.min_improvement", "at least 0", min_improvement)?;
                decays(factor)
            }
            Decay::Constant | Decay::Cosine | Decay::Linear | Decay::Exponential => Ok(()),
        }
    }
}

/// The number of reductions: one for each `patience` consecutive epochs without improvement.
fn plateaus(losses: &[Option<f32>], patience: usize, min_improvement: f64) -> i32 {
    let ends_one = |epochs: &usize| {
        let without = epochs_without_improvement(&losses[..*epochs], min_improvement);
        without > 0 && without.is_multiple_of(patience)
    };
    (1..=losses.len()).filter(ends_one).count() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_matches_the_rates_that_the_tutorial_prints() {
        // The tutorial's bars show the rate at the end of each of its 10 epochs of 1,000 steps.
        let schedule = Schedule::new();
        for (step, expected) in [(1000, 4.88e-4), (3000, 3.97e-4), (5000, 2.50e-4), (9000, 1.23e-5)] {
            let rate = schedule.rate(step, 10_000, &[]);
            assert!((rate / expected - 1.0).abs() < 6e-3, "step {step}: {rate:e} against {expected:e}");
        }
    }

    #[test]
    fn warm_up_rises_to_the_initial_rate() {
        let schedule = Schedule::new().with_warmup_steps(10).with_decay(Decay::Linear);
        assert_eq!(schedule.rate(0, 110, &[]), 5e-5);
        assert_eq!(schedule.rate(9, 110, &[]), 5e-4);
        assert_eq!(schedule.rate(10, 110, &[]), 5e-4);
        assert!((schedule.rate(60, 110, &[]) - 2.5e-4).abs() < 1e-12);
    }

    #[test]
    fn other_decays_end_where_they_say() {
        let rate = |decay, step| Schedule::new().with_decay(decay).rate(step, 100, &[]);
        assert_eq!((rate(Decay::Constant, 0), rate(Decay::Constant, 99)), (5e-4, 5e-4));
        assert!((rate(Decay::Exponential, 50) - 5e-5).abs() < 1e-12);
        assert!((rate(Decay::Exponential, 100) - 5e-6).abs() < 1e-12);
    }

    #[test]
    fn steps_and_plateaus_multiply_the_rate() {
        let steps = Schedule::new().with_decay(Decay::Step { every: 10, factor: 0.5 }).with_warmup_steps(5);
        assert_eq!(
            (steps.rate(14, 100, &[]), steps.rate(15, 100, &[]), steps.rate(25, 100, &[])),
            (5e-4, 2.5e-4, 1.25e-4)
        );
        let plateau = Decay::Plateau { patience: 2, min_improvement: 0.0, factor: 0.1 };
        let rate = |losses: &[f32]| {
            let losses: Vec<_> = losses.iter().copied().map(Some).collect();
            (Schedule::new().with_decay(plateau).rate(50, 100, &losses) / 5e-4).log10().round()
        };
        assert_eq!(rate(&[3.0, 2.0, 2.5]), 0.0);
        assert_eq!(rate(&[3.0, 2.0, 2.5, 2.5]), -1.0);
        assert_eq!(rate(&[3.0, 2.0, 2.5, 2.5, 2.5, 2.5]), -2.0);
        // An improvement does not raise it again, and begins a new count.
        assert_eq!(rate(&[3.0, 2.0, 2.5, 2.5, 1.0, 1.5]), -1.0);
        assert_eq!(rate(&[3.0, 2.0, 2.5, 2.5, 1.0, 1.5, 1.5]), -2.0);
    }
}
