//! Tabulates binomial and Poisson probabilities, and the probability that a counting path stays between two boundaries.
//!
//! `statrs` evaluates one probability at a time through the incomplete beta function; a band of 1,000 points needs both
//! tails of 1,000 binomials at every count that matters. A recurrence gives a whole table for the price of its
//! additions; a test holds it against `statrs`.

use statrs::distribution::{Discrete, Poisson};
use std::collections::HashMap;

/// Gamma is found to this relative precision. The coverage is a step function of it, flat over far longer stretches.
const PRECISION: f64 = 1e-6;
/// Probabilities that differ by less than this, relatively, are equal: each is a sum of rounded numbers.
const ROUNDING: f64 = 1e-9;

/// Mass below this fraction of the mode's is left out. The mode holds at least 1/(N + 1), tails fall off faster than
/// geometrically, and f64 resolves 1e-16: a path of 1,000 points loses less than 1e-14.
const NEGLIGIBLE: f64 = 1e-20;

/// Probabilities of the consecutive counts `first`, `first + 1`, …, which add up to 1.
#[derive(Debug, Clone)]
struct Masses {
    first: usize,
    values: Vec<f64>,
}

impl Masses {
    /// Steps away from the mode by `ratio(k) = P(k + 1) / P(k)`, up to `max`.
    fn from_mode(mode: usize, max: usize, ratio: impl Fn(usize) -> f64) -> Self {
        let mut below: Vec<f64> = Vec::new();
        let (mut k, mut mass) = (mode, 1.0);
        while k > 0 && mass > NEGLIGIBLE {
            mass /= ratio(k - 1);
            below.push(mass);
            k -= 1;
        }
        let first = mode - below.len();
        let mut values: Vec<f64> = below.into_iter().rev().chain([1.0]).collect();
        let (mut k, mut mass) = (mode, 1.0);
        while k < max && mass > NEGLIGIBLE {
            mass *= ratio(k);
            values.push(mass);
            k += 1;
        }
        // Dividing by the sum replaces the mode's own probability, and with it any error of ln Γ at large N.
        let total: f64 = values.iter().sum();
        values.iter_mut().for_each(|value| *value /= total);
        Self { first, values }
    }

    fn binomial(n: usize, p: f64) -> Self {
        let mode = (((n + 1) as f64 * p) as usize).min(n);
        let odds = p / (1.0 - p);
        Self::from_mode(mode, n, |k| (n - k) as f64 / (k + 1) as f64 * odds)
    }

    fn poisson(mean: f64) -> Self {
        Self::from_mode(mean as usize, usize::MAX, |k| mean / (k + 1) as f64)
    }
}

/// Both tails of Binomial(n, p), for quantiles in O(log n).
#[derive(Debug)]
struct BinomialTails {
    first: usize,
    /// `P(C <= first + i)`, added up from the left, so that small probabilities keep their digits.
    below: Vec<f64>,
    /// `P(C > first + i)`, added up from the right for the same reason.
    above: Vec<f64>,
}

impl BinomialTails {
    /// The tails for `0 < p < 1`.
    fn new(n: usize, p: f64) -> Self {
        let Masses { first, values } = Masses::binomial(n, p);
        let running = |sum: &mut f64, mass: &f64| {
            *sum += mass;
            Some(*sum)
        };
        let below = values.iter().scan(0.0, running).collect();
        let mut above: Vec<f64> = values[1..].iter().rev().scan(0.0, running).collect();
        above.reverse();
        above.push(0.0);
        Self { first, below, above }
    }

    /// The smallest k with P(C <= k) >= `tail`: the quantile of `tail`.
    fn lower(&self, tail: f64) -> usize {
        // The last entry of `below` is 1 up to rounding, so the search ends inside for every tail below 1/2.
        self.first + self.below.partition_point(|&probability| probability < tail)
    }

    /// The smallest k with P(C > k) <= `tail`: the quantile of 1 − `tail`, without its cancellation.
    fn upper(&self, tail: f64) -> usize {
        self.first + self.above.partition_point(|&probability| probability > tail)
    }
}

/// The law of how many of N uniform ranks lie at or below each of several thresholds.
#[derive(Debug)]
struct CountingPaths {
    num_ranks: usize,
    /// For each step of the path, and one more from the last threshold to 1, the index of its masses.
    steps: Vec<usize>,
    masses: Vec<Masses>,
    /// P(Poisson(N) = N), by which the free path is conditioned on ending at N.
    end: f64,
}

impl CountingPaths {
    /// Paths of `num_ranks` ranks, uniform on `0..cells`, counted up to and including each of `points`, which increase.
    fn new(num_ranks: usize, cells: usize, points: &[usize]) -> Self {
        let n = num_ranks as f64;
        let mut index_of = HashMap::new();
        let mut masses = Vec::new();
        let mut passed = 0;
        let steps = points.iter().map(|point| point + 1).chain([cells]);
        let steps = steps
            .map(|until| {
                let width = until - std::mem::replace(&mut passed, until);
                *index_of.entry(width).or_insert_with(|| {
                    masses.push(Masses::poisson(n * width as f64 / cells as f64));
                    masses.len() - 1
                })
            })
            .collect();
        let end = Poisson::new(n).expect("a path has at least one rank").pmf(num_ranks as u64);
        Self { num_ranks, steps, masses, end }
    }

    /// The probability that `lower[i] <= count <= upper[i]` at every point.
    ///
    /// Given their total N, independent Poisson counts are multinomial. So the path of independent Poisson increments
    /// runs freely between the boundaries, and Bayes' rule at its end does the rest:
    ///
    /// f_{i+1}(y) = Σ_x f_i(x) · Poisson(y − x; N Δz_i), for lower <= y <= upper.
    ///
    /// O(points · width of the band · width of a step's masses).
    fn coverage(&self, lower: &[usize], upper: &[usize]) -> f64 {
        let ends = [self.num_ranks];
        let boundaries = lower.iter().chain(&ends).zip(upper.iter().chain(&ends));
        let (mut from, mut weights) = (0, vec![1.0]);
        for (&step, (&low, &high)) in self.steps.iter().zip(boundaries) {
            let Masses { first, values } = &self.masses[step];
            let mut next = vec![0.0; high + 1 - low];
            for (x, weight) in (from..).zip(&weights) {
                // Targets y = x + first + k, for the k with low <= y <= high.
                let start = x + first;
                let k0 = low.saturating_sub(start).min(values.len());
                let k1 = (high + 1).saturating_sub(start).min(values.len());
                if k0 < k1 {
                    let targets = &mut next[start + k0 - low..start + k1 - low];
                    targets.iter_mut().zip(&values[k0..k1]).for_each(|(target, mass)| *target += weight * mass);
                }
            }
            (from, weights) = (low, next);
        }
        weights[0] / self.end
    }
}

/// How many of N ranks, uniform on `0..cells`, lie at or below each of several points: what paths are likely.
#[derive(Debug)]
pub(crate) struct CountLaw {
    num_ranks: usize,
    /// The probability of a rank at or below each point.
    probabilities: Vec<f64>,
    tails: Vec<BinomialTails>,
    paths: CountingPaths,
}

impl CountLaw {
    /// Of `num_ranks` ranks in `0..cells`, counted up to and including each of `points`, which increase and are below
    /// `cells - 1`.
    pub(crate) fn new(num_ranks: usize, cells: usize, points: &[usize]) -> Self {
        let probabilities: Vec<f64> = points.iter().map(|point| (point + 1) as f64 / cells as f64).collect();
        let tails = probabilities.iter().map(|&p| BinomialTails::new(num_ranks, p)).collect();
        Self { num_ranks, probabilities, tails, paths: CountingPaths::new(num_ranks, cells, points) }
    }

    /// The probability of a count at most so large, and of one at least so large, at one point.
    fn tails_of(&self, point: usize, count: usize) -> (f64, f64) {
        let BinomialTails { first, below, above } = &self.tails[point];
        let at = |tail: &[f64], count: usize, before: f64, beyond: f64| match count.checked_sub(*first) {
            None => before,
            Some(i) => tail.get(i).copied().unwrap_or(beyond),
        };
        (at(below, count, 0.0, 1.0), count.checked_sub(1).map_or(1.0, |less| at(above, less, 1.0, 0.0)))
    }

    /// The counts that leave at most `tail` on either side, for each point.
    fn interval(&self, tail: f64) -> (Vec<usize>, Vec<usize>) {
        self.tails.iter().map(|tails| (tails.lower(tail), tails.upper(tail))).unzip()
    }

    /// The narrowest band of equal tails γ / 2 that holds a whole path with this confidence: γ, its lower and upper
    /// counts, and the probability that a path stays inside.
    pub(crate) fn band(&self, confidence: f64) -> (f64, Vec<usize>, Vec<usize>, f64) {
        let coverage = |gamma: f64| {
            let (lower, upper) = self.interval(gamma / 2.0);
            self.paths.coverage(&lower, &upper)
        };
        // A path leaves at no point with more than γ, so γ = α / points is always wide enough (Bonferroni); and
        // γ = α, the pointwise interval, is as narrow as a band may be.
        let alpha = 1.0 - confidence;
        let (mut wide, mut narrow) = (alpha / self.tails.len() as f64, alpha);
        if coverage(narrow) >= confidence {
            wide = narrow;
        }
        while narrow > wide * (1.0 + PRECISION) {
            let middle = (wide * narrow).sqrt();
            if coverage(middle) >= confidence {
                wide = middle;
            } else {
                narrow = middle;
            }
        }
        let (lower, upper) = self.interval(wide / 2.0);
        let coverage = self.paths.coverage(&lower, &upper);
        (wide, lower, upper, coverage)
    }

    /// Twice the smaller tail of a path's most unlikely count, and the probability of a path with one as unlikely.
    pub(crate) fn gamma_test(&self, counts: &[usize]) -> (f64, f64) {
        let smaller = counts.iter().enumerate().map(|(point, &count)| {
            let (at_most, at_least) = self.tails_of(point, count);
            at_most.min(at_least)
        });
        let tail = smaller.fold(0.5_f64, f64::min);
        // Paths whose counts are all more likely are those between the counts that leave more than `tail` on both
        // sides.
        let (lower, upper) = self.interval(tail * (1.0 + ROUNDING));
        (2.0 * tail, self.not_between(&lower, &upper))
    }

    /// The largest distance of a path from what is expected, as a share of the ranks, and the probability of one as
    /// large: the statistic of Kolmogorov and Smirnov, whose distribution is exact here although ranks are discrete.
    pub(crate) fn kolmogorov_smirnov(&self, counts: &[usize]) -> (f64, f64) {
        let n = self.num_ranks as f64;
        let distances = counts.iter().zip(&self.probabilities).map(|(&count, p)| (count as f64 / n - p).abs());
        let largest = distances.fold(0.0, f64::max);
        let nearer = largest * (1.0 - ROUNDING);
        let (lower, upper): (Vec<usize>, Vec<usize>) = self
            .probabilities
            .iter()
            .map(|p| (((p - nearer) * n).ceil().max(0.0) as usize, ((p + nearer) * n).floor().min(n) as usize))
            .unzip();
        (largest, self.not_between(&lower, &upper))
    }

    fn not_between(&self, lower: &[usize], upper: &[usize]) -> f64 {
        match lower.iter().zip(upper).all(|(low, high)| low <= high) {
            true => (1.0 - self.paths.coverage(lower, upper)).clamp(0.0, 1.0),
            false => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{Binomial, DiscreteCDF};

    #[test]
    fn tables_agree_with_statrs() {
        for (n, p) in [(1, 0.5), (7, 0.01), (200, 0.37), (1000, 0.999), (5000, 0.5)] {
            let tails = BinomialTails::new(n, p);
            let reference = Binomial::new(p, n as u64).expect("valid");
            for (i, (&below, &above)) in tails.below.iter().zip(&tails.above).enumerate() {
                let k = (tails.first + i) as u64;
                let (cdf, sf) = (reference.cdf(k), reference.sf(k));
                assert!((below - cdf).abs() < 1e-10, "n {n}, p {p}, k {k}: {below} and {cdf}");
                assert!((above - sf).abs() < 1e-10, "n {n}, p {p}, k {k}: {above} and {sf}");
            }
            for tail in [1e-4, 0.0123, 0.2] {
                assert_eq!(tails.lower(tail) as u64, reference.inverse_cdf(tail), "n {n}, p {p}, {tail}");
                assert_eq!(tails.upper(tail) as u64, reference.inverse_cdf(1.0 - tail), "n {n}, p {p}, {tail}");
            }
        }
    }

    #[test]
    fn unbounded_paths_have_probability_one() {
        for n in [1, 2, 17, 1000, 30_000] {
            let points: Vec<usize> = (0..99).collect();
            let paths = CountingPaths::new(n, 100, &points);
            let coverage = paths.coverage(&[0; 99], &[n; 99]);
            assert!((coverage - 1.0).abs() < 1e-9, "n {n}: {coverage}");
        }
    }

    /// Two thresholds cut 0..cells in three, so (c₀, c₁ − c₀, N − c₁) is trinomial, and 28 terms can be added up by
    /// hand.
    #[test]
    fn two_points_match_multinomial_enumeration() {
        let (n, cells, points) = (6_usize, 10, [2, 6]);
        let p = [0.3, 0.4, 0.3_f64];
        let factorial = |k: usize| (1..=k).product::<usize>() as f64;
        for (lower, upper) in [([0, 0], [6, 6]), ([1, 3], [3, 5]), ([0, 4], [0, 4]), ([2, 2], [2, 6])] {
            let mut expected = 0.0;
            for c0 in lower[0]..=upper[0] {
                for c1 in lower[1].max(c0)..=upper[1] {
                    let counts = [c0, c1 - c0, n - c1];
                    let ways = factorial(n) / counts.iter().map(|&k| factorial(k)).product::<f64>();
                    expected += ways * counts.iter().zip(p).map(|(&k, p)| p.powi(k as i32)).product::<f64>();
                }
            }
            let coverage = CountingPaths::new(n, cells, &points).coverage(&lower, &upper);
            assert!((coverage - expected).abs() < 1e-12, "{lower:?} {upper:?}: {coverage} and {expected}");
        }
    }

    /// Exhaustive: all 4³ = 64 equally likely outcomes of 3 ranks on {0, 1, 2, 3}.
    #[test]
    fn p_values_are_shares_of_all_outcomes() {
        let law = CountLaw::new(3, 4, &[0, 1, 2]);
        let paths: Vec<[usize; 3]> = (0..64_usize)
            .map(|outcome| {
                let ranks = [outcome % 4, outcome / 4 % 4, outcome / 16];
                [0, 1, 2].map(|point| ranks.iter().filter(|rank| **rank <= point).count())
            })
            .collect();
        type Test = fn(&CountLaw, &[usize]) -> (f64, f64);
        // Small gammas and large distances are unlikely.
        for (test, sign) in [(CountLaw::gamma_test as Test, 1.0), (CountLaw::kolmogorov_smirnov, -1.0)] {
            for path in &paths {
                let (statistic, p_value) = test(&law, path);
                let as_extreme = paths.iter().filter(|path| sign * (test(&law, *path).0 - statistic) <= 1e-12).count();
                assert!((p_value - as_extreme as f64 / 64.0).abs() < 1e-9, "{path:?}: {statistic}, {p_value}");
            }
        }
        // By hand: all ranks 0 is the count 3 at probability 1/4, of which the tail is 1/64.
        assert!((law.gamma_test(&[3, 3, 3]).0 - 2.0 / 64.0).abs() < 1e-12);
        assert!((law.kolmogorov_smirnov(&[3, 3, 3]).0 - 0.75).abs() < 1e-12);
    }
}
