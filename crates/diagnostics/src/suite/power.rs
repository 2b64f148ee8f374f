//! Says which deviations so many data sets could have shown.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ChiSquared, Continuous, ContinuousCDF, Discrete, Normal};
use std::fmt;

/// The probability with which a deviation would have been found.
const POWER: f64 = 0.9;

/// The smallest deviations of one parameter that the suite finds with a probability of 90%, of posteriors that are
/// about normal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Detectable {
    /// A bias, in posterior standard deviations.
    pub bias: f64,
    /// A standard deviation that is this many times what it should be, below 1.
    pub narrow: f64,
    /// A standard deviation that is this many times what it should be, above 1.
    pub wide: f64,
}

impl Detectable {
    /// Of M data sets with L draws each, by tests of these levels.
    pub(super) fn new(num_data_sets: usize, num_draws: usize, alpha_of_bias: f64, alpha_of_width: f64) -> Self {
        let m = num_data_sets as f64;
        let normal = Normal::standard();
        let scores = Scores::new(num_draws);
        let mean = (normal.inverse_cdf(1.0 - alpha_of_bias / 2.0) + normal.inverse_cdf(POWER)) / m.sqrt();
        let bias = solved(|bias| scores.mean_of(bias), mean, (0.0, 20.0));
        // Scores of posteriors that are too narrow have a variance s² > 1, of which the sum of squares is about s² χ².
        let (narrow, wide) = ChiSquared::new(m - 1.0).map_or((f64::INFINITY, 0.0), |law| {
            let narrow = law.inverse_cdf(1.0 - alpha_of_width / 2.0) / law.inverse_cdf(1.0 - POWER);
            let wide = law.inverse_cdf(alpha_of_width / 2.0) / law.inverse_cdf(POWER);
            let of_truths = |variance| solved(|std| scores.variance_of(std), variance, (1e-3, 1e3));
            (of_truths(narrow), of_truths(wide))
        });
        Self { bias, narrow: narrow.recip(), wide: wide.recip() }
    }
}

/// What normal scores are like of truths at z, among L standard normal draws.
struct Scores {
    /// z, the mean of the score, and that of its square.
    points: Vec<[f64; 3]>,
}

impl Scores {
    /// Of 1,000 draws or more, scores are nearly the truths.
    const MOST_DRAWS: usize = 1000;
    const POINTS: usize = 400;
    const REACH: f64 = 8.0;

    fn new(num_draws: usize) -> Self {
        let l = num_draws.min(Self::MOST_DRAWS);
        let (normal, cells) = (Normal::standard(), l as f64 + 1.0);
        // Between the quantiles a and b the score's mean is (φ(a) − φ(b)) / (Φ(b) − Φ(a)), that of its square 1 + (a
        // φ(a) − b φ(b)) / (Φ(b) − Φ(a)).
        let end = |k: usize| match k {
            0 => [0.0; 2],
            k if k == l + 1 => [0.0; 2],
            k => {
                let q = normal.inverse_cdf(k as f64 / cells);
                [normal.pdf(q), q * normal.pdf(q)]
            }
        };
        let ends: Vec<[f64; 2]> = (0..=l + 1).map(end).collect();
        let of_rank = |k: usize| {
            let [a, b] = [ends[k], ends[k + 1]];
            [cells * (a[0] - b[0]), 1.0 + cells * (a[1] - b[1])]
        };
        let of_ranks: Vec<[f64; 2]> = (0..=l).map(of_rank).collect();
        let at = |i: usize| {
            let z = Self::REACH * ((2 * i + 1) as f64 / Self::POINTS as f64 - 1.0);
            let mut point = [z, 0.0, 0.0];
            if let Ok(rank) = Binomial::new(normal.cdf(z), l as u64) {
                for (k, of_rank) in of_ranks.iter().enumerate() {
                    let mass = rank.pmf(k as u64);
                    point[1] += mass * of_rank[0];
                    point[2] += mass * of_rank[1];
                }
            }
            point
        };
        Self { points: (0..Self::POINTS).map(at).collect() }
    }

    /// The mean over truths with this mean and standard deviation of some part of the points.
    fn over(&self, mean: f64, std: f64, part: impl Fn(&[f64; 3]) -> f64) -> f64 {
        let weight = |z: f64| (-0.5 * ((z - mean) / std).powi(2)).exp();
        let sums = self.points.iter().map(|point| (weight(point[0]), weight(point[0]) * part(point)));
        let (weights, sum) = sums.fold((0.0, 0.0), |(w, s), (weight, part)| (w + weight, s + part));
        sum / weights
    }

    fn mean_of(&self, shift: f64) -> f64 {
        self.over(shift, 1.0, |point| point[1])
    }

    fn variance_of(&self, std: f64) -> f64 {
        self.over(0.0, std, |point| point[2])
    }
}

/// Where a rising function has this value; an end, if it is beyond.
fn solved(function: impl Fn(f64) -> f64, value: f64, (mut low, mut high): (f64, f64)) -> f64 {
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if function(middle) < value { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

impl fmt::Display for Detectable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a bias of {:.2} posterior standard deviations, or widths of {:.2} or {:.2} times the right one",
            self.bias, self.narrow, self.wide
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_match_tables() {
        // z of 0.975 and 0.9: 1.960 and 1.2816. χ² with 99 degrees of freedom: 81.449 at 0.1, 128.422 at 0.975, 117.407
        // at 0.9, 73.361 at 0.025. 1,000 draws lose up to 1% of a width: their scores end at ±3.
        let detectable = Detectable::new(100, 100_000, 0.05, 0.05);
        assert!((detectable.bias - 0.32415).abs() < 3e-3, "{detectable:?}");
        assert!((detectable.narrow - (81.449_f64 / 128.422).sqrt()).abs() < 1e-2, "{detectable:?}");
        assert!((detectable.wide - (117.407_f64 / 73.361).sqrt()).abs() < 1e-2, "{detectable:?}");
        assert!(Detectable::new(1000, 100_000, 0.05, 0.05).bias < detectable.bias);
        assert!(Detectable::new(100, 10, 0.05, 0.05).bias > 1.05 * detectable.bias);
    }

    #[test]
    fn scores_of_few_draws_say_less() {
        let scores = [1, 5, 20, 100, 1000].map(Scores::new);
        for scores in &scores {
            // Whatever the number of draws, scores of right posteriors are standard normal.
            assert!(scores.mean_of(0.0).abs() < 1e-9 && (scores.variance_of(1.0) - 1.0).abs() < 1e-6);
        }
        assert!(scores.iter().map(|scores| scores.mean_of(0.3)).is_sorted());
        assert!((scores[4].mean_of(0.3) - 0.3).abs() < 2e-3 && (scores[4].variance_of(1.2) - 1.44).abs() < 0.02);
        // One draw: shifted by δ the truth is above it with probability Φ(δ/√2), and its score is ±√(2/π).
        let expected = (2.0 * Normal::standard().cdf(0.3 / 2f64.sqrt()) - 1.0) * (2.0 / std::f64::consts::PI).sqrt();
        assert!((scores[0].mean_of(0.3) - expected).abs() < 1e-6);
    }
}
