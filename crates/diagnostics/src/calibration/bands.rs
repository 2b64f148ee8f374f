//! Finds the band that holds a whole ECDF of uniform ranks with a given probability, exactly.

use super::RankError;
use super::counting::CountLaw;
use crate::checks::{at_least, check_confidence};
use crate::{Extent, Result};

/// The most points at which a band is evaluated: beyond the width of a screen, more cost time and show nothing.
const MAX_POINTS: usize = 1000;
/// Fewer ranks than this still get so many points, for a band that looks smooth.
const MIN_POINTS: usize = 100;

/// Which of so many points N ranks are looked at: all, or an even spread of them.
pub(crate) fn points(num_ranks: usize, candidates: usize) -> Vec<usize> {
    let points = candidates.min(num_ranks.max(MIN_POINTS)).min(MAX_POINTS);
    (0..points).map(|i| (2 * i + 1) * candidates / (2 * points)).collect()
}

/// Simultaneous confidence bands for the ECDF of N ranks that are uniform on {0, …, L}.
///
/// At rank j the number of ranks <= j is Binomial(N, z_j) with z_j = (j + 1)/(L + 1). The band takes the equal-tailed
/// interval of tail probability γ at each point, with one γ for all, the largest for which the *whole* path stays
/// inside with at least the asked confidence: Säilynoja, Bürkner and Vehtari, *Graphical test for discrete uniformity
/// and its applications in goodness-of-fit evaluation and multiple sample comparison*, 2022, sections 2 and 3. The
/// coverage of a path comes from a recursion, without simulation, so the band is the same on every run.
///
/// The points are all ranks 0..L if L <= max(N, 100) and L <= 1,000, and else that many, evenly spread: an ECDF of N
/// steps says little between them. Rank L itself is left out, since every path ends there at N.
#[derive(Debug, Clone, PartialEq)]
pub struct EcdfBands {
    num_ranks: usize,
    num_draws: usize,
    confidence: f64,
    gamma: f64,
    coverage: f64,
    points: Vec<usize>,
    lower: Vec<usize>,
    upper: Vec<usize>,
}

impl EcdfBands {
    /// The band for N = `num_ranks` ranks in 0..=L, L = `num_draws`.
    ///
    /// # Errors
    /// If there are no ranks or no draws, or the confidence is not strictly between 0 and 1.
    pub fn new(num_ranks: usize, num_draws: usize, confidence: f64) -> Result<Self, RankError> {
        at_least(Extent::DataSets, 1, num_ranks)?;
        at_least(Extent::Draws, 1, num_draws)?;
        check_confidence(confidence)?;
        let points = points(num_ranks, num_draws);
        let (gamma, lower, upper, coverage) = CountLaw::new(num_ranks, num_draws + 1, &points).band(confidence);
        Ok(Self { num_ranks, num_draws, confidence, gamma, coverage, points, lower, upper })
    }

    /// N, the number of ranks.
    #[must_use]
    pub fn num_ranks(&self) -> usize {
        self.num_ranks
    }

    /// L, the largest possible rank.
    #[must_use]
    pub fn num_draws(&self) -> usize {
        self.num_draws
    }

    /// The confidence that was asked for.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        self.confidence
    }

    /// γ, the tail probability left out at each single point.
    #[must_use]
    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    /// The probability that a uniform path stays inside: the confidence, or a little more since ranks are discrete.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        self.coverage
    }

    /// The ranks j at which the band is evaluated, increasing.
    #[must_use]
    pub fn points(&self) -> &[usize] {
        &self.points
    }

    /// The least count of ranks <= j inside the band, for each point.
    #[must_use]
    pub fn lower(&self) -> &[usize] {
        &self.lower
    }

    /// The greatest count of ranks <= j inside the band, for each point.
    #[must_use]
    pub fn upper(&self) -> &[usize] {
        &self.upper
    }

    /// z_j = (j + 1)/(L + 1), the expected share of ranks <= j.
    #[must_use]
    pub fn probability(&self, rank: usize) -> f64 {
        (rank + 1) as f64 / (self.num_draws + 1) as f64
    }

    /// The index of the first point at which a path leaves the band, given its count of ranks <= j for each point.
    #[must_use]
    pub fn first_exceedance(&self, counts: impl IntoIterator<Item = usize>) -> Option<usize> {
        let intervals = self.lower.iter().zip(&self.upper);
        counts.into_iter().zip(intervals).position(|(count, (lower, upper))| !(*lower..=*upper).contains(&count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{Binomial, DiscreteCDF};

    #[test]
    fn a_single_point_gives_the_closed_binomial_interval() {
        for n in [1, 5, 50, 1000] {
            let bands = EcdfBands::new(n, 1, 0.95).expect("valid");
            let binomial = Binomial::new(0.5, n as u64).expect("valid");
            let expected = [binomial.inverse_cdf(0.025), binomial.inverse_cdf(0.975)];
            assert_eq!([bands.lower()[0] as u64, bands.upper()[0] as u64], expected);
            let inside = binomial.cdf(expected[1]) - if expected[0] == 0 { 0.0 } else { binomial.cdf(expected[0] - 1) };
            assert!((bands.coverage() - inside).abs() < 1e-10);
        }
    }

    /// Exhaustive: all 4³ = 64 equally likely outcomes of 3 ranks on {0, 1, 2, 3}.
    #[test]
    fn coverage_of_a_small_band_matches_all_outcomes() {
        let bands = EcdfBands::new(3, 3, 0.8).expect("valid");
        let inside = (0..64_usize).filter(|outcome| {
            let ranks = [outcome % 4, outcome / 4 % 4, outcome / 16];
            let counts = bands.points().iter().map(|point| ranks.iter().filter(|rank| *rank <= point).count());
            bands.first_exceedance(counts).is_none()
        });
        assert!((bands.coverage() - inside.count() as f64 / 64.0).abs() < 1e-12);
    }

    #[test]
    fn bands_widen_with_confidence_and_hold_it() {
        let mut last: Option<EcdfBands> = None;
        for confidence in [0.5, 0.8, 0.9, 0.95, 0.99, 0.999] {
            let bands = EcdfBands::new(200, 99, confidence).expect("valid");
            assert!(bands.coverage() >= confidence, "{} < {confidence}", bands.coverage());
            // 198 bounds give way one at a time; the largest single step at this size is under 0.01.
            assert!(bands.coverage() < confidence + 0.01, "{} for {confidence}", bands.coverage());
            if let Some(last) = last {
                assert!(bands.gamma() < last.gamma());
                assert!(bands.lower().iter().zip(last.lower()).all(|(wide, narrow)| wide <= narrow));
                assert!(bands.upper().iter().zip(last.upper()).all(|(wide, narrow)| wide >= narrow));
            }
            last = Some(bands);
        }
    }

    #[test]
    fn bands_are_symmetric() {
        for (n, l) in [(1, 10), (100, 99), (501, 300)] {
            let bands = EcdfBands::new(n, l, 0.95).expect("valid");
            let mirrored: Vec<usize> = bands.upper().iter().rev().map(|upper| n - upper).collect();
            assert_eq!(bands.lower(), mirrored, "N {n}, L {l}");
        }
    }

    #[test]
    fn points_are_all_ranks_or_an_even_spread() {
        let points = |n, l| EcdfBands::new(n, l, 0.95).expect("valid").points().to_vec();
        assert_eq!(points(50, 99), (0..99).collect::<Vec<_>>());
        let spread = points(50, 5000);
        assert_eq!((spread.len(), spread[0], spread[99]), (100, 25, 4975));
    }

    #[test]
    fn one_rank_leaves_nothing_to_reject() {
        let bands = EcdfBands::new(1, 1000, 0.95).expect("valid");
        assert!(bands.coverage() >= 0.95);
        let middle = bands.points().iter().map(|point| usize::from(*point >= 500));
        assert_eq!(bands.first_exceedance(middle), None);
    }

    #[test]
    fn impossible_requests_are_refused() {
        assert!(EcdfBands::new(0, 10, 0.95).is_err());
        assert!(EcdfBands::new(10, 0, 0.95).is_err());
        assert!(EcdfBands::new(10, 10, 1.0).expect_err("confidence 1").to_string().contains("0.95"));
    }
}
