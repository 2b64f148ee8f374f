//! Bins the ranks of simulation-based calibration and says how full each bin should be.

use super::RankError;
use crate::{Ranks, Result, sbc_ranks};
use bayesburn_core::{Draws, ParameterNames, settings::in_range};
use ndarray::Array2;
use statrs::distribution::{Binomial, DiscreteCDF};
use tracing::warn;

/// The confidence of the interval of each bin.
const CONFIDENCE: f64 = 0.99;

/// How many bins a rank histogram has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bins {
    /// About M / 20, but 5 to 20, and never more than the L + 1 possible ranks; within the upper half of that, a
    /// divisor of L + 1 is preferred, because then all bins hold equally many ranks.
    #[default]
    Auto,
    /// Exactly this number, 1 to L + 1.
    Count(usize),
}

impl Bins {
    /// The number of bins for M data sets and L draws.
    fn resolve(self, num_data_sets: usize, num_draws: usize) -> Result<usize, RankError> {
        let ranks = num_draws + 1;
        match self {
            Self::Count(count) => {
                let expected = format!("from 1 to {ranks}, the number of possible ranks; or take `Bins::Auto`");
                in_range((1..=ranks).contains(&count), "bins", expected, count)?;
                Ok(count)
            }
            Self::Auto => {
                // 20 a bin keeps the binomial interval's relative half-width near 2.6/√20 = 58%, where a bias shows.
                let most = (num_data_sets / 20).clamp(5, 20).min(ranks);
                let divisor = (most.div_ceil(2).max(5)..=most).rev().find(|bins| ranks.is_multiple_of(*bins));
                Ok(divisor.unwrap_or(most))
            }
        }
    }
}

/// Rank histograms, one for each parameter, with B bins over the possible ranks 0..=L.
///
/// A calibrated posterior fills the bins evenly. A hump means too wide, a bowl too narrow, a slope biased.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RankHistograms {
    /// The parameters' names, D of them.
    pub names: ParameterNames,
    /// M, the number of ranks in each histogram.
    pub num_data_sets: usize,
    /// L, the largest possible rank.
    pub num_draws: usize,
    /// Bin b holds the ranks `edges[b]..edges[b + 1]`; B + 1 edges from 0 to L + 1.
    pub edges: Vec<usize>,
    /// The number of ranks in each bin, `[D, B]`.
    pub counts: Array2<usize>,
    /// The expected count of each bin, M · (ranks in the bin) / (L + 1).
    pub expected: Vec<f64>,
    /// The lower end of each bin's 99% binomial interval.
    pub lower: Vec<u64>,
    /// The upper end of each bin's 99% binomial interval, inclusive.
    pub upper: Vec<u64>,
}

impl RankHistograms {
    /// Bins ranks.
    ///
    /// # Errors
    /// If the number of bins is 0 or more than L + 1.
    pub fn new(ranks: &Ranks, bins: Bins) -> Result<Self, RankError> {
        let (m, l, d) = (ranks.num_data_sets(), ranks.num_draws(), ranks.names().len());
        let bins = bins.resolve(m, l)?;
        if m < 5 * bins {
            warn!(data_sets = m, bins, "fewer than 5 ranks a bin: a rank histogram shows only gross miscalibration");
        }
        // Whole ranks cannot be split, so sizes differ by at most one; each bin gets its own exact probability.
        let edges: Vec<usize> = (0..=bins).map(|bin| bin * (l + 1) / bins).collect();
        let mut counts = Array2::zeros((d, bins));
        for parameter in 0..d {
            let frequencies = ranks.frequencies(parameter);
            for (bin, edge) in edges.windows(2).enumerate() {
                counts[[parameter, bin]] = frequencies[edge[0]..edge[1]].iter().sum();
            }
        }
        let probability = |edge: &[usize]| (edge[1] - edge[0]) as f64 / (l + 1) as f64;
        let quantile = |p: f64, tail: f64| {
            // 0 < p ≤ 1 by construction, so the distribution exists; p = 1 holds all ranks.
            Binomial::new(p, m as u64).map_or(m as u64, |binomial| binomial.inverse_cdf(tail))
        };
        let tail = (1.0 - CONFIDENCE) / 2.0;
        Ok(Self {
            names: ranks.names().clone(),
            num_data_sets: m,
            num_draws: l,
            counts,
            expected: edges.windows(2).map(|edge| (m * (edge[1] - edge[0])) as f64 / (l + 1) as f64).collect(),
            lower: edges.windows(2).map(|edge| quantile(probability(edge), tail)).collect(),
            upper: edges.windows(2).map(|edge| quantile(probability(edge), 1.0 - tail)).collect(),
            edges,
        })
    }

    /// B, the number of bins.
    #[must_use]
    pub fn num_bins(&self) -> usize {
        self.expected.len()
    }

    /// The number of bins of one parameter outside their 99% interval. Under calibration, 1 in 100 is.
    ///
    /// # Panics
    /// If there is no such parameter.
    #[must_use]
    pub fn num_outside(&self, parameter: usize) -> usize {
        let intervals = self.lower.iter().zip(&self.upper);
        let row = self.counts.row(parameter);
        row.iter().zip(intervals).filter(|(count, (low, high))| !(**low..=**high).contains(&(**count as u64))).count()
    }
}

/// Rank histograms for simulation-based calibration: Talts et al. 2018, section 5.
///
/// The intervals hold bin by bin, not jointly; [`sbc_ecdf`](crate::sbc_ecdf) gives one test for the whole shape.
/// Ties, as of discrete parameters, are broken as [`Ranks`] says.
///
/// # Shapes
/// Draws `[M, L, D]`, truths `[M, D]`.
///
/// # Errors
/// If the truths do not fit the draws, an axis is empty, a value is not finite, or the number of bins is 0 or more than
/// L + 1.
///
/// ```
/// use bayesburn_core::Draws;
/// use bayesburn_diagnostics::{Bins, sbc_histograms};
/// use ndarray::{Array2, Array3};
///
/// // Ranks 0, 1, …, 9 once each: draws 0, 1, …, 8, and truths in between.
/// let draws = Array3::from_shape_fn((10, 9, 1), |(_, l, _)| l as f32);
/// let truths = Array2::from_shape_fn((10, 1), |(m, _)| m as f32 - 0.5);
/// let histograms = sbc_histograms(&Draws::new(["mu".to_owned()].into(), draws)?, &truths, Bins::Count(5))?;
/// assert_eq!(histograms.counts.row(0).to_vec(), [2, 2, 2, 2, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sbc_histograms(draws: &Draws, truths: &Array2<f32>, bins: Bins) -> Result<RankHistograms, RankError> {
    RankHistograms::new(&sbc_ranks(draws, truths)?, bins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(num_draws: usize, values: Vec<u32>) -> Ranks {
        let values = Array2::from_shape_vec((values.len(), 1), values).expect("one column");
        Ranks::new(["mu".to_owned()].into(), num_draws, values).expect("valid ranks")
    }

    #[test]
    fn bins_span_all_possible_ranks_and_not_the_observed() {
        let histograms = RankHistograms::new(&ranks(99, vec![50; 40]), Bins::Count(10)).expect("10 of 100");
        assert_eq!((histograms.edges[0], histograms.edges[10]), (0, 100));
        assert_eq!(histograms.counts[[0, 5]], 40);
        assert_eq!(histograms.num_outside(0), 1 + 9 * usize::from(histograms.lower[0] > 0));
    }

    #[test]
    fn uneven_bins_have_their_own_expectation() {
        let histograms = RankHistograms::new(&ranks(10, vec![0; 110]), Bins::Count(4)).expect("4 of 11");
        let sizes: Vec<usize> = histograms.edges.windows(2).map(|edge| edge[1] - edge[0]).collect();
        assert_eq!(sizes, [2, 3, 3, 3]);
        assert_eq!(histograms.expected, [20.0, 30.0, 30.0, 30.0]);
    }

    #[test]
    fn intervals_are_the_binomial_quantiles() {
        // Binomial(200, 0.1): quantiles of 0.005 and 0.995, by summing the mass function.
        let histograms = RankHistograms::new(&ranks(99, vec![0; 200]), Bins::Count(10)).expect("10 of 100");
        assert_eq!((histograms.lower[0], histograms.upper[0]), (10, 32));
        let all = RankHistograms::new(&ranks(99, vec![0; 200]), Bins::Count(1)).expect("one bin");
        assert_eq!((all.lower[0], all.upper[0], all.counts[[0, 0]]), (200, 200, 200));
    }

    #[test]
    fn automatic_bins_are_sane_from_one_data_set_to_many() {
        let auto = |m, l| Bins::Auto.resolve(m, l).expect("always possible");
        assert_eq!(auto(1, 1000), 5); // where floor(M / L) / 2 would be 0
        assert_eq!(auto(500, 1000), 13); // 1001 = 7 · 11 · 13, and 13 is within 10..=20
        assert_eq!(auto(500, 100), 20); // 101 is prime
        assert_eq!(auto(10_000, 99), 20);
        assert_eq!(auto(10_000, 1), 2);
    }

    #[test]
    fn impossible_bins_are_refused() {
        for bins in [0, 12] {
            let error = RankHistograms::new(&ranks(10, vec![3]), Bins::Count(bins)).expect_err("out of range");
            assert!(error.to_string().contains("from 1 to 11"), "{error}");
        }
    }
}
