//! Sums up how far the coverage of central credible intervals is off.

use crate::checks::{at_least, check_draws_and_truths};
use crate::moments::median;
use crate::{Extent, Result};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;

/// The probabilities of the intervals: 20 from 0.005 to 0.995.
const RESOLUTION: usize = 20;
const OUTERMOST: f64 = 0.995;

/// How often central credible intervals of 20 probabilities held the truth.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CalibrationError {
    /// The parameters' names, D of them.
    pub names: ParameterNames,
    /// The probabilities α of the intervals: 20 of them, from 0.005 to 0.995.
    pub probabilities: Vec<f64>,
    /// The shares of data sets whose truth each interval held, `[D, 20]`.
    pub coverages: Array2<f64>,
    /// The median of |coverage − α| for each parameter: 0 at best, 0.5 at worst.
    pub errors: Vec<f64>,
}

/// The calibration error of Radev et al., *BayesFlow*, 2020: the median over 20 probabilities α of |coverage − α|, with the coverage that of the
/// interval between the (1 − α)/2 and the (1 + α)/2 quantiles of the draws.
///
/// A number to compare posteriors by. That of an exact posterior is not 0, but falls with the number of data sets; whether coverages are as they
/// should be is what [`central_coverage`](crate::central_coverage) tells.
///
/// # Shapes
/// Draws `[M, L, D]`, truths `[M, D]`.
///
/// # Errors
/// If the truths do not fit the draws, an axis is empty, there is a single draw, or a value is not finite.
///
/// ```
/// use bayesburn_core::Draws;
/// use ndarray::{Array2, Array3};
///
/// let draws = Array3::from_shape_fn((1000, 101, 1), |(_, l, _)| l as f32);
/// let truths = Array2::from_shape_fn((1000, 1), |(m, _)| m as f32 / 10.0);
/// let draws = Draws::new(["mu".to_owned()].into(), draws)?;
/// assert!(bayesburn_diagnostics::calibration_error(&draws, &truths)?.errors[0] < 0.002);
/// assert!(bayesburn_diagnostics::calibration_error(&draws, &(truths + 50.0))?.errors[0] > 0.2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn calibration_error(draws: &Draws, truths: &Array2<f32>) -> Result<CalibrationError> {
    check_draws_and_truths(draws, truths)?;
    at_least(Extent::Draws, 2, draws.num_draws())?;
    let (m, d) = truths.dim();
    let step = (2.0 * OUTERMOST - 1.0) / (RESOLUTION - 1) as f64;
    let probabilities: Vec<f64> = (0..RESOLUTION).map(|k| 1.0 - OUTERMOST + step * k as f64).collect();
    let values = draws.values();
    let holds = |i: usize| -> [bool; RESOLUTION] {
        let (data_set, parameter) = (i / d, i % d);
        let truth = f64::from(truths[[data_set, parameter]]);
        let mut sorted = values.slice(ndarray::s![data_set, .., parameter]).to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        std::array::from_fn(|k| {
            let tail = 0.5 * (1.0 - probabilities[k]);
            quantile(&sorted, tail) <= truth && truth <= quantile(&sorted, 1.0 - tail)
        })
    };
    let held: Vec<[bool; RESOLUTION]> = (0..m * d).into_par_iter().map(holds).collect();
    let coverages = Array2::from_shape_fn((d, RESOLUTION), |(parameter, k)| {
        let count = held.iter().skip(parameter).step_by(d).filter(|held| held[k]).count();
        count as f64 / m as f64
    });
    let error = |coverages: ArrayView1<'_, f64>| {
        let off = coverages.iter().zip(&probabilities).map(|(coverage, probability)| (coverage - probability).abs());
        median(&mut off.collect::<Vec<f64>>())
    };
    Ok(CalibrationError {
        names: draws.names().clone(),
        errors: coverages.outer_iter().map(error).collect(),
        probabilities,
        coverages,
    })
}

/// The quantile of sorted values, between two of them where it falls between.
fn quantile(sorted: &[f32], probability: f64) -> f64 {
    let position = probability * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let [low, high] = [below, (below + 1).min(sorted.len() - 1)].map(|i| f64::from(sorted[i]));
    low + (position - below as f64) * (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_between_values() {
        let sorted = [1.0, 2.0, 4.0];
        let got = [0.0, 0.25, 0.5, 0.75, 1.0].map(|p| quantile(&sorted, p));
        assert_eq!(got, [1.0, 1.5, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn coverages_match_a_hand_computed_table() {
        // Draws 0 and 1: the interval of α is ½ ± α/2. The truths are 0.4 and 0.1 from the middle.
        let draws = ndarray::array![[[0.0], [1.0]], [[0.0], [1.0]]];
        let draws = Draws::new(["mu".to_owned()].into(), draws).expect("one name");
        let error = calibration_error(&draws, &ndarray::array![[0.9], [0.4]]).expect("valid");
        for (alpha, coverage) in error.probabilities.iter().zip(error.coverages.row(0)) {
            let expected = [0.8, 0.2].iter().filter(|needed| alpha >= *needed).count() as f64 / 2.0;
            assert_eq!(*coverage, expected, "{alpha}");
        }
        assert!((error.probabilities[0] - 0.005).abs() < 1e-12 && (error.probabilities[19] - 0.995).abs() < 1e-12);
    }
}
