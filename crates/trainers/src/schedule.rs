//! Sets the learning rate of each step, as a function of the step alone: a resumed run needs no state of it.

use crate::{TrainerError, error::in_range};
use burn::config::Config;
use std::f64::consts::PI;

/// How the learning rate goes from its initial value to its last.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum Decay {
    /// It stays.
    Constant,
    /// Half a cosine wave down to 0 (Loshchilov & Hutter 2017, eq. 5, without restarts).
    Cosine,
    /// A straight line down to 0.
    Linear,
    /// Exponentially, down to a hundredth.
    Exponential,
}

/// The learning rate over a run.
///
/// ```
/// use bayesburn_trainers::{Decay, Schedule};
///
/// let schedule = Schedule::new().with_initial_rate(1e-3).with_decay(Decay::Cosine).with_warmup_steps(100);
/// assert_eq!(schedule.rate(99, 10_000), 1e-3);
/// assert!(schedule.rate(9_999, 10_000) < 1e-9);
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct Schedule {
    /// The rate at the beginning, after any warm-up; above 0.
    #[config(default = 5e-4)]
    pub initial_rate: f64,
    /// How it goes on.
    #[config(default = "Decay::Cosine")]
    pub decay: Decay,
    /// Steps in which the rate rises in a straight line to its initial value; fewer than the run has, or it never gets there.
    #[config(default = 0)]
    pub warmup_steps: usize,
}

impl Schedule {
    /// The rate of a step of a run, both from 0.
    #[must_use]
    pub fn rate(&self, step: usize, total_steps: usize) -> f64 {
        if step < self.warmup_steps {
            return self.initial_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let progress =
            (step - self.warmup_steps) as f64 / (total_steps.saturating_sub(self.warmup_steps)).max(1) as f64;
        let factor = match self.decay {
            Decay::Constant => 1.0,
            Decay::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
            Decay::Linear => 1.0 - progress,
            Decay::Exponential => 0.01f64.powf(progress),
        };
        self.initial_rate * factor
    }

    pub(crate) fn check(&self) -> Result<(), TrainerError> {
        let rate = self.initial_rate;
        in_range(rate > 0.0 && rate.is_finite(), "schedule.initial_rate", "above 0", rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_matches_the_rates_that_the_tutorial_prints() {
        // The tutorial's bars show the rate at the end of each of its 10 epochs of 1,000 steps.
        let schedule = Schedule::new();
        for (step, expected) in [(1000, 4.88e-4), (3000, 3.97e-4), (5000, 2.50e-4), (9000, 1.23e-5)] {
            let rate = schedule.rate(step, 10_000);
            assert!((rate / expected - 1.0).abs() < 6e-3, "step {step}: {rate:e} against {expected:e}");
        }
    }

    #[test]
    fn warm_up_rises_to_the_initial_rate() {
        let schedule = Schedule::new().with_warmup_steps(10).with_decay(Decay::Linear);
        assert_eq!(schedule.rate(0, 110), 5e-5);
        assert_eq!(schedule.rate(9, 110), 5e-4);
        assert_eq!(schedule.rate(10, 110), 5e-4);
        assert!((schedule.rate(60, 110) - 2.5e-4).abs() < 1e-12);
    }

    #[test]
    fn other_decays_end_where_they_say() {
        let rate = |decay, step| Schedule::new().with_decay(decay).rate(step, 100);
        assert_eq!((rate(Decay::Constant, 0), rate(Decay::Constant, 99)), (5e-4, 5e-4));
        assert!((rate(Decay::Exponential, 50) - 5e-5).abs() < 1e-12);
        assert!((rate(Decay::Exponential, 100) - 5e-6).abs() < 1e-12);
    }
}
