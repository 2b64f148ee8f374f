//! Counts how often credible regions hold the truth, and says how often they may.

use super::RankError;
use super::{
    bands::points,
    counting::CountLaw,
    quantities::density_ranks,
    ranks::{Ranks, sbc_ranks},
};
use crate::checks::at_least;
use crate::{Extent, Result};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array1, Array2, ArrayView1};

/// The probability that a calibrated posterior's whole curve stays inside its band.
const CONFIDENCE: f64 = 0.95;

/// How often credible regions held the truth, beside how often they should.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Coverage {
    /// Of what the regions are, D names.
    pub names: ParameterNames,
    /// Which regions they are.
    pub region: Region,
    /// M, the number of data sets.
    pub num_data_sets: usize,
    /// The probability of each of K regions, increasing: exactly that of the draws that it lies between.
    pub probabilities: Vec<f64>,
    /// How many truths each region held, `[D, K]`.
    pub covered: Array2<usize>,
    /// The least number inside the band, K of them.
    pub lower: Vec<usize>,
    /// The greatest number inside the band, K of them.
    pub upper: Vec<usize>,
    /// The probability that a calibrated posterior stays inside the whole band: 0.95.
    pub confidence: f64,
    /// Whether each name's curve does.
    pub inside: Vec<bool>,
}

/// A kind of credible region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// From one quantile to another, with as many draws below as above.
    Central,
    /// Where the density is highest.
    HighestDensity,
}

impl Coverage {
    /// Coverage of central intervals, from ranks.
    ///
    /// The interval from the j-th lowest to the j-th highest of L draws holds the truth with probability (L + 1 − 2j) /
    /// (L + 1), if the posterior is exact: exactly when its rank is in j..=L − j. The band is simultaneous and exact,
    /// as that of [`EcdfBands`](crate::EcdfBands).
    ///
    /// # Errors
    /// If there is a single draw, between which and itself there is nothing.
    pub fn central(ranks: &Ranks) -> Result<Self, RankError> {
        at_least(Extent::Draws, 2, ranks.num_draws())?;
        let cells = ranks.num_draws() + 1;
        // Intervals of 1, 3, 5, … ranks if their number is odd, of 2, 4, 6, … if it is even; that of all ranks holds
        // every truth.
        let widths = (0..(cells - 1) / 2).map(|i| 2 * i + 2 - cells % 2).collect();
        let depth = |rank: u32| {
            let beyond = (rank as usize).min(ranks.num_draws() - rank as usize);
            cells - 1 - 2 * beyond
        };
        Ok(Self::new(ranks, Region::Central, widths, depth))
    }

    fn new(ranks: &Ranks, region: Region, widths: Vec<usize>, depth: impl Fn(u32) -> usize) -> Self {
        let (m, cells) = (ranks.num_data_sets(), ranks.num_draws() + 1);
        let widths: Vec<usize> = points(m, widths.len()).into_iter().map(|i| widths[i]).collect();
        let last: Vec<usize> = widths.iter().map(|width| width - 1).collect();
        let (_, lower, upper, _) = CountLaw::new(m, cells, &last).band(CONFIDENCE);
        let covered = |ranks: ArrayView1<'_, u32>| -> Vec<usize> {
            // How many ranks the smallest region has that holds the truth, less one.
            let mut depths: Vec<usize> = ranks.iter().map(|&rank| depth(rank)).collect();
            depths.sort_unstable();
            last.iter().map(|last| depths.partition_point(|depth| depth <= last)).collect()
        };
        let covered: Vec<Vec<usize>> = ranks.values().columns().into_iter().map(covered).collect();
        let inside = |covered: &Vec<usize>| {
            covered.iter().zip(lower.iter().zip(&upper)).all(|(count, (low, high))| (low..=high).contains(&count))
        };
        Self {
            names: ranks.names().clone(),
            region,
            num_data_sets: m,
            probabilities: widths.iter().map(|&width| width as f64 / cells as f64).collect(),
            inside: covered.iter().map(inside).collect(),
            covered: Array2::from_shape_fn((covered.len(), widths.len()), |(d, k)| covered[d][k]),
            lower,
            upper,
            confidence: CONFIDENCE,
        }
    }

    /// The share of truths that the region of a probability held, for one name; of the nearest region there is.
    ///
    /// # Panics
    /// If there is no such name.
    ///
    /// ```
    /// # use bayesburn_core::Draws;
    /// # use ndarray::{Array2, Array3};
    /// let draws = Array3::from_shape_fn((100, 99, 1), |(_, l, _)| l as f32);
    /// let truths = Array2::from_shape_fn((100, 1), |(m, _)| m as f32 - 0.5);
    /// let coverage = bayesburn_diagnostics::central_coverage(&Draws::new(["mu".to_owned()].into(), draws)?, &truths)?;
    /// assert_eq!(coverage.of(0, 0.9), 0.9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of(&self, name: usize, probability: f64) -> f64 {
        let distance = |k: &usize| (self.probabilities[*k] - probability).abs();
        let nearest = (0..self.probabilities.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.map_or(f64::NAN, |k| self.covered[[name, k]] as f64 / self.num_data_sets as f64)
    }
}

/// How often central credible intervals hold the truth, for each parameter, counted from its rank among the draws; ties
/// are broken as [`Ranks`] says.
///
/// # Shapes
/// Draws `[M, L, D]`, truths `[M, D]`.
///
/// # Errors
/// If the truths do not fit the draws, an axis is empty, there is a single draw, or a value is not finite.
///
/// See [`Coverage::of`] for an example.
pub fn central_coverage(draws: &Draws, truths: &Array2<f32>) -> Result<Coverage, RankError> {
    Coverage::central(&sbc_ranks(draws, truths)?)
}

/// How often the regions of highest density hold the truth, of all parameters together: the expected coverage of
/// Hermans et al., *A trust crisis in simulation-based inference?*, 2022.
///
/// A region of k / (L + 1) probability holds the truth if fewer than k of L draws have a higher density, where draws of
/// the same density as the truth have a higher or a lower one at random: ties are broken as [`Ranks`] says.
///
/// # Shapes
/// ln q of the draws `[M, L]`, and of the truths `[M]`, each given its data set.
///
/// # Errors
/// If their numbers of data sets differ, an axis is empty, or a value is NaN or ∞. (−∞ is the density outside of the
/// support.)
///
/// ```
/// use ndarray::{Array1, Array2};
///
/// let log_prob = Array2::from_shape_fn((100, 99), |(_, l)| l as f32);
/// let of_truths = Array1::from_shape_fn(100, |m| m as f32 - 0.5);
/// let coverage = bayesburn_diagnostics::highest_density_coverage(&log_prob, &of_truths)?;
/// assert_eq!(coverage.of(0, 0.5), 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn highest_density_coverage(log_prob: &Array2<f32>, of_truths: &Array1<f32>) -> Result<Coverage, RankError> {
    let ranks = density_ranks(log_prob, of_truths)?;
    let num_draws = ranks.num_draws();
    let widths = (1..=num_draws).collect();
    Ok(Coverage::new(&ranks, Region::HighestDensity, widths, |rank| num_draws - rank as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(num_draws: usize, values: Vec<u32>) -> Ranks {
        let values = Array2::from_shape_vec((values.len(), 1), values).expect("one column");
        Ranks::new(["mu".to_owned()].into(), num_draws, values).expect("valid ranks")
    }

    #[test]
    fn central_intervals_lie_between_draws() {
        // Five possible ranks: an interval of the middle one, and of the middle three.
        let odd = Coverage::central(&ranks(4, vec![0, 1, 2, 3, 4])).expect("valid");
        assert_eq!((odd.probabilities.as_slice(), odd.covered.row(0).to_vec()), (&[0.2, 0.6][..], vec![1, 3]));
        // Six: of the middle two, and of the middle four.
        let even = Coverage::central(&ranks(5, vec![0, 1, 2, 3, 4, 5, 5])).expect("valid");
        assert_eq!((even.probabilities.len(), even.covered.row(0).to_vec()), (2, vec![2, 4]));
        assert!((even.probabilities[1] - 4.0 / 6.0).abs() < 1e-12);
        let two = Coverage::central(&ranks(2, vec![0, 1, 2])).expect("valid");
        assert_eq!((two.covered.row(0).to_vec(), two.inside[0]), (vec![1], true));
        assert!(Coverage::central(&ranks(1, vec![0])).is_err());
    }

    #[test]
    fn too_narrow_intervals_leave_the_band_below() {
        let uniform: Vec<u32> = (0..500).map(|m| m % 100).collect();
        let coverage = Coverage::central(&ranks(99, uniform)).expect("valid");
        assert!(coverage.inside[0] && (coverage.of(0, 0.9) - 0.9).abs() < 1e-12);
        let at_the_ends: Vec<u32> = (0..500).map(|m| if m % 2 == 0 { m % 20 } else { 99 - m % 20 }).collect();
        let coverage = Coverage::central(&ranks(99, at_the_ends)).expect("valid");
        assert!(!coverage.inside[0] && coverage.of(0, 0.5) == 0.0);
    }

    #[test]
    fn the_highest_density_is_that_of_draws_above() {
        let log_prob = Array2::from_shape_fn((3, 4), |(_, l)| l as f32);
        let of_truths = ndarray::array![3.5, 1.5, f32::NEG_INFINITY];
        let coverage = highest_density_coverage(&log_prob, &of_truths).expect("valid");
        assert_eq!(coverage.covered.row(0).to_vec(), [1, 1, 2, 2]); // of 1/5, 2/5, 3/5, 4/5
        assert!(highest_density_coverage(&log_prob, &ndarray::array![0.0]).is_err());
    }
}
