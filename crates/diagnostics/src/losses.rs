//! Smooths the losses of a training run and counts those that are not finite.

use crate::checks::at_least;
use crate::{Extent, LossError, Result};
use bayesburn_core::settings::at_least_one;

/// The losses of a training run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LossCurves {
    /// The training loss of each step; step s of the plot is `train[s - 1]`.
    pub train: Vec<f32>,
    /// Validation losses, each with the global step after which it was measured.
    pub validation: Vec<(usize, f32)>,
    /// How many steps the moving average looks back, itself included.
    pub window: usize,
    /// The mean of the finite losses among the last `window` (fewer at the start); NaN where none is finite.
    pub moving_average: Vec<f64>,
    /// The number of training losses that are NaN or infinite. They are skipped.
    pub non_finite_train: usize,
    /// The number of validation losses that are NaN or infinite. They are skipped.
    pub non_finite_validation: usize,
}

impl LossCurves {
    /// The same losses, averaged over another number of steps. Default: 1% of them, at least 1.
    ///
    /// # Errors
    /// If the window is 0.
    pub fn with_window(mut self, window: usize) -> Result<Self, LossError> {
        at_least_one("window", window)?;
        self.moving_average = moving_average(&self.train, window);
        self.window = window;
        Ok(self)
    }
}

/// Training and validation losses of one run, smoothed over 1% of its steps.
///
/// # Errors
/// If there is no training loss. No validation loss is fine.
///
/// ```
/// let curves = bayesburn_diagnostics::losses(&[4.0, 2.0, f32::NAN, 1.0], &[(2, 3.0), (4, 1.5)])?.with_window(2)?;
/// assert_eq!(curves.moving_average, [4.0, 3.0, 2.0, 1.0]);
/// assert_eq!(curves.non_finite_train, 1);
/// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
/// ```
pub fn losses(train: &[f32], validation: &[(usize, f32)]) -> Result<LossCurves, LossError> {
    at_least(Extent::Losses, 1, train.len())?;
    let window = (train.len() / 100).max(1);
    Ok(LossCurves {
        moving_average: moving_average(train, window),
        non_finite_train: train.iter().filter(|loss| !loss.is_finite()).count(),
        non_finite_validation: validation.iter().filter(|(_, loss)| !loss.is_finite()).count(),
        train: train.to_vec(),
        validation: validation.to_vec(),
        window,
    })
}

/// Trailing means in O(n) without subtraction: a running sum that once held 1e30 would never be right again.
///
/// Each window spans at most two blocks of its own length, so its sum is a block's suffix plus the next one's prefix.
pub(crate) fn moving_average<T: Copy + Into<f64>>(losses: &[T], window: usize) -> Vec<f64> {
    type Total = (f64, u32);
    let add = |a: Total, b: Total| (a.0 + b.0, a.1 + b.1);
    let terms: Vec<Total> = losses
        .iter()
        .map(|&loss| loss.into())
        .map(|loss| if loss.is_finite() { (loss, 1) } else { (0.0, 0) })
        .collect();
    let mut suffixes = terms.clone();
    for block in suffixes.chunks_mut(window) {
        for i in (1..block.len()).rev() {
            block[i - 1] = add(block[i - 1], block[i]);
        }
    }
    let mut prefix = (0.0, 0);
    (0..terms.len())
        .map(|end| {
            let offset = end % window;
            prefix = if offset == 0 { terms[end] } else { add(prefix, terms[end]) };
            let complete = offset + 1 == window || end < window;
            let (sum, count) = if complete { prefix } else { add(suffixes[end + 1 - window], prefix) };
            if count == 0 { f64::NAN } else { sum / f64::from(count) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_average_equals_the_mean_of_each_window() {
        let losses: Vec<f32> = (0..57).map(|i| ((i * 37) % 23) as f32 - 3.0).collect();
        for window in [1, 2, 5, 57, 100] {
            for (end, got) in moving_average(&losses, window).into_iter().enumerate() {
                let slice = &losses[(end + 1_usize).saturating_sub(window)..=end];
                let expected = slice.iter().map(|&x| f64::from(x)).sum::<f64>() / slice.len() as f64;
                assert!((got - expected).abs() < 1e-12, "window {window}, end {end}: {got} and {expected}");
            }
        }
    }

    #[test]
    fn a_huge_early_loss_leaves_no_trace() {
        let average = moving_average(&[3e38, 1.0, 1.0, 1.0, 1.0], 2);
        assert_eq!(average[2..], [1.0, 1.0, 1.0]);
    }

    #[test]
    fn non_finite_losses_are_skipped_and_counted() {
        let curves = losses(&[f32::NAN, 2.0, f32::INFINITY], &[(1, f32::NAN)]).expect("not empty");
        assert_eq!((curves.window, curves.non_finite_train, curves.non_finite_validation), (1, 2, 1));
        assert!(curves.moving_average[0].is_nan() && curves.moving_average[1] == 2.0);
    }

    #[test]
    fn empty_losses_and_windows_are_refused() {
        assert!(losses(&[], &[(1, 2.0)]).expect_err("empty").to_string().contains("0 training losses"));
        assert!(losses(&[1.0], &[]).expect("fine").with_window(0).is_err());
        assert_eq!(losses(&vec![0.0; 1000], &[]).expect("fine").window, 10);
    }
}
