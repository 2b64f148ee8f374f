//! Sums up how far the coverage of central credible intervals is off.

use super::RankError;
use super::ranks::sbc_ranks;
use crate::checks::at_least;
use crate::moments::{mean, median};
use crate::{Extent, Result};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array2, ArrayView1};

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
    /// The expected shares of data sets whose truth each interval holds, `[D, 20]`.
    pub coverages: Array2<f64>,
    /// The median of |coverage − α| for each parameter: 0 at best, 0.5 at worst.
    pub errors: Vec<f64>,
}

/// The calibration error of Radev et al., *BayesFlow*, 2020: the median over 20 probabilities α of |coverage − α|, with
/// the coverage that of the central interval from probability (1 − α)/2 to (1 + α)/2.
///
/// The coverage is computed from ranks, not from quantiles of the draws: an interval between interpolated quantiles of
/// L draws has the probability α (L − 1)/(L + 1) on average, so that the error of exact posteriors would not fall below
/// 0.01 at L = 100. Given r of L draws below the truth and t equal to it, the truth's probability integral transform is
/// uniform between r/(L + 1) and (r + t + 1)/(L + 1). The share of that range inside (1 ± α)/2 is the probability that
/// the interval holds the truth, and its mean over data sets is the coverage. Ties count by their expectation, so that
/// nothing is random. If the posterior is exact, the coverage has the expectation α for any number of draws, also for
/// discrete parameters.
///
/// A number to compare posteriors by. That of an exact posterior is not 0, but falls to 0 with the number of data sets;
/// whether coverages are as they should be is what [`central_coverage`](crate::central_coverage) tells.
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
/// // Ten truths below 0, ten between each draw and the next, and ten above 98.
/// let draws = Array3::from_shape_fn((1000, 99, 1), |(_, l, _)| l as f32);
/// let truths = Array2::from_shape_fn((1000, 1), |(m, _)| m as f32 / 10.0 - 0.95);
/// let draws = Draws::new(["mu".to_owned()].into(), draws)?;
/// assert!(bayesburn_diagnostics::calibration_error(&draws, &truths)?.errors[0] < 1e-6);
/// assert!(bayesburn_diagnostics::calibration_error(&draws, &(truths + 50.0))?.errors[0] > 0.2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn calibration_error(draws: &Draws, truths: &Array2<f32>) -> Result<CalibrationError, RankError> {
    let ranks = sbc_ranks(draws, truths)?;
    at_least(Extent::Draws, 2, draws.num_draws())?;
    let step = (2.0 * OUTERMOST - 1.0) / (RESOLUTION - 1) as f64;
    let probabilities: Vec<f64> = (0..RESOLUTION).map(|k| 1.0 - OUTERMOST + step * k as f64).collect();
    let of_parameter = |parameter: usize| {
        let parts: Vec<(f64, f64)> = ranks.parts(parameter).collect();
        probabilities
            .iter()
            .map(move |probability| mean(parts.iter().map(|part| share_inside(*part, *probability))))
            .collect()
    };
    let coverages: Vec<Vec<f64>> = (0..truths.ncols()).map(of_parameter).collect();
    let coverages = Array2::from_shape_fn((coverages.len(), RESOLUTION), |(parameter, k)| coverages[parameter][k]);
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

/// The share of a part of [0, 1] that lies in the central interval of this probability.
fn share_inside((from, to): (f64, f64), probability: f64) -> f64 {
    let [low, high] = [0.5 * (1.0 - probability), 0.5 * (1.0 + probability)];
    ((to.min(high) - from.max(low)) / (to - from)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverages_match_a_hand_computed_table() {
        // Two draws make three parts. The first truth is in the last, which the middle of probability α reaches from α
        // = 1/3 on; the second truth is in the middle one; the third one is equal to both draws, and may be anywhere.
        let draws = ndarray::array![[[0.0], [1.0]], [[0.0], [0.5]], [[3.0], [3.0]]];
        let draws = Draws::new(["mu".to_owned()].into(), draws).expect("one name");
        let error = calibration_error(&draws, &ndarray::array![[2.0], [0.2], [3.0]]).expect("valid");
        for (alpha, coverage) in error.probabilities.iter().zip(error.coverages.row(0)) {
            let (outer, middle) = ((1.5 * (alpha - 1.0 / 3.0)).max(0.0), (3.0 * alpha).min(1.0));
            assert!((coverage - (outer + middle + alpha) / 3.0).abs() < 1e-12, "{alpha}: {coverage}");
        }
        assert!((error.probabilities[0] - 0.005).abs() < 1e-12 && (error.probabilities[19] - 0.995).abs() < 1e-12);
        let off: Vec<f64> = error.coverages.iter().zip(&error.probabilities).map(|(c, p)| (c - p).abs()).collect();
        assert_eq!(error.errors, [median(&mut off.clone())]);
    }
}
