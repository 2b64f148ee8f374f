//! Tests whether ranks are uniform: their mean, their spread, and the shape of their distribution.

use super::RankError;
use super::{
    bands::points,
    counting::CountLaw,
    histograms::{Bins, RankHistograms},
    ranks::{Ranks, sbc_ranks},
};
use crate::Result;
use crate::moments::mean;
use bayesburn_core::{Draws, ParameterNames, Purpose, stream};
use ndarray::Array2;
use rand::RngExt;
use rayon::prelude::*;
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

/// A statistic, and how probable one as extreme is if nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HypothesisTest {
    /// The statistic.
    pub statistic: f64,
    /// The probability, if the ranks are uniform, of a statistic that is as extreme.
    pub p_value: f64,
}

/// Tests of ranks, for each parameter by itself.
///
/// All but the chi-squared test are exact: of ranks that are uniform on 0..=L, a share of at most α has a p-value of at
/// most α. Each sees best what the others see less well.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RankTests {
    /// The parameters' names, D of them.
    pub names: ParameterNames,
    /// Normal scores of the ranks, `[M, D]`: Φ⁻¹((rank + V) / (L + 1)), with V uniform on (0, 1). Of an exact posterior
    /// they are standard normal and do not depend on the data; positive where the truth is above most draws.
    pub normal_scores: Array2<f64>,
    /// √M times the mean of the normal scores, standard normal. Sees a bias.
    pub location: Vec<HypothesisTest>,
    /// Σ (score − mean)², chi-squared with M − 1 degrees of freedom. Sees posteriors that are too narrow (large) or too
    /// wide. NaN for one data set.
    pub spread: Vec<HypothesisTest>,
    /// γ: twice the tail probability of the most unlikely of all points of the ranks' ECDF, by a binomial distribution
    /// each (Säilynoja et al. 2022; equation 7 of Modrák et al. 2025). What [`sbc_ecdf`](crate::sbc_ecdf) shows; sees
    /// any shape.
    pub gamma: Vec<HypothesisTest>,
    /// ln(γ / γ₀), with γ₀ the 5% quantile of γ among uniform ranks, below 0 if γ is below it. The quantile is exact
    /// where BayesFlow simulates it.
    pub log_gamma: Vec<f64>,
    /// The largest distance of the ranks' ECDF from that of uniform ranks, (j + 1) / (L + 1) at rank j (Kolmogorov,
    /// Smirnov), at the points of [`EcdfBands`](crate::EcdfBands). (sbi compares with numbers that are uniform on [0,
    /// L], and so may be up to 1 / (L + 1) off.)
    pub kolmogorov_smirnov: Vec<HypothesisTest>,
    /// Σ (count − expected)² / expected over the bins of [`sbc_histograms`](crate::sbc_histograms), about chi-squared
    /// with one degree of freedom less than there are bins.
    pub chi_squared: Vec<HypothesisTest>,
}

impl RankTests {
    /// Tests ranks. `seed` is that of what the normal scores have of chance, and of how ties are broken.
    ///
    /// # Errors
    /// None for ranks that exist; bins and bands are of their own size.
    pub fn new(ranks: &Ranks, seed: u64) -> Result<Self, RankError> {
        let ranks = &ranks.with_ties_broken(seed);
        let (m, l) = (ranks.num_data_sets(), ranks.num_draws());
        let normal_scores = normal_scores(ranks, seed);
        let points = points(m, l);
        let law = CountLaw::new(m, l + 1, &points);
        let of_ecdf = |parameter: usize| {
            let counts = ranks.counts(parameter, &points);
            let [gamma, distance] = [law.gamma_test(&counts), law.kolmogorov_smirnov(&counts)];
            [gamma, distance].map(|(statistic, p_value)| HypothesisTest { statistic, p_value })
        };
        let ecdfs: Vec<[HypothesisTest; 2]> = (0..ranks.names().len()).into_par_iter().map(of_ecdf).collect();
        let (gamma_0, ..) = law.band(0.95);
        Ok(Self {
            names: ranks.names().clone(),
            location: normal_scores.columns().into_iter().map(|scores| location(scores.iter().copied())).collect(),
            spread: normal_scores.columns().into_iter().map(|scores| spread(scores.iter().copied())).collect(),
            gamma: ecdfs.iter().map(|[gamma, _]| *gamma).collect(),
            log_gamma: ecdfs.iter().map(|[gamma, _]| (gamma.statistic / gamma_0).ln()).collect(),
            kolmogorov_smirnov: ecdfs.iter().map(|[_, distance]| *distance).collect(),
            chi_squared: chi_squared(&RankHistograms::new(ranks, Bins::Auto)?),
            normal_scores,
        })
    }
}

/// Tests whether the ranks of truths among their draws are uniform, as they are if the posterior is exact.
///
/// # Shapes
/// Draws `[M, L, D]`, truths `[M, D]`.
///
/// # Errors
/// If the truths do not fit the draws, an axis is empty, or a value is not finite.
///
/// ```
/// use bayesburn_core::Draws;
/// use ndarray::{Array2, Array3};
///
/// // Truths at every level of the same draws are as uniform as ranks can be.
/// let draws = Array3::from_shape_fn((100, 99, 1), |(_, l, _)| l as f32);
/// let truths = Array2::from_shape_fn((100, 1), |(m, _)| m as f32 - 0.5);
/// let draws = Draws::new(["mu".to_owned()].into(), draws)?;
/// let tests = bayesburn_diagnostics::sbc_tests(&draws, &truths, 1)?;
/// assert!(tests.location[0].p_value > 0.5 && tests.gamma[0].p_value > 0.99);
///
/// let biased = bayesburn_diagnostics::sbc_tests(&draws, &(truths + 20.0), 1)?;
/// assert!(biased.location[0].p_value < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sbc_tests(draws: &Draws, truths: &Array2<f32>, seed: u64) -> Result<RankTests, RankError> {
    RankTests::new(&sbc_ranks(draws, truths)?, seed)
}

/// `[M, D]`. Those of a data set do not depend on how many others there are.
fn normal_scores(ranks: &Ranks, seed: u64) -> Array2<f64> {
    let cells = (ranks.num_draws() + 1) as f64;
    let normal = Normal::standard();
    let mut scores = Array2::zeros(ranks.values().dim());
    for (data_set, (mut scores, ranks)) in scores.outer_iter_mut().zip(ranks.values().outer_iter()).enumerate() {
        let mut rng = stream(seed, Purpose::new("normal scores"), data_set as u64);
        for (score, &rank) in scores.iter_mut().zip(ranks) {
            // In the middle of one of 2⁵³ parts of (0, 1), and so neither 0 nor 1.
            let within = rng.random::<f64>() + 0.5 * f64::EPSILON;
            *score = normal.inverse_cdf((f64::from(rank) + within.min(1.0 - 0.5 * f64::EPSILON)) / cells);
        }
    }
    scores
}

/// The location tests of [`RankTests`] alone, for each name.
pub(crate) fn locations(ranks: &Ranks, seed: u64) -> Vec<HypothesisTest> {
    let scores = normal_scores(&ranks.with_ties_broken(seed), seed);
    scores.columns().into_iter().map(|scores| location(scores.iter().copied())).collect()
}

/// Of standard normal numbers.
pub(crate) fn location(scores: impl ExactSizeIterator<Item = f64>) -> HypothesisTest {
    let root = (scores.len() as f64).sqrt();
    let statistic = root * mean(scores);
    HypothesisTest { statistic, p_value: 2.0 * Normal::standard().sf(statistic.abs()) }
}

/// Of standard normal numbers.
pub(crate) fn spread(scores: impl ExactSizeIterator<Item = f64> + Clone) -> HypothesisTest {
    let freedom = scores.len() as f64 - 1.0;
    let center = mean(scores.clone());
    let statistic = scores.map(|score| (score - center).powi(2)).sum();
    let two_sided = |law: ChiSquared| 2.0 * law.cdf(statistic).min(law.sf(statistic));
    match ChiSquared::new(freedom) {
        Ok(law) => HypothesisTest { statistic, p_value: two_sided(law) },
        Err(_) => HypothesisTest { statistic: f64::NAN, p_value: f64::NAN },
    }
}

fn chi_squared(histograms: &RankHistograms) -> Vec<HypothesisTest> {
    let freedom = histograms.num_bins() as f64 - 1.0;
    let of = |counts: ndarray::ArrayView1<'_, usize>| {
        let parts = counts.into_iter().zip(&histograms.expected);
        let statistic = parts.map(|(&count, expected)| (count as f64 - expected).powi(2) / expected).sum();
        // One bin is always as full as expected.
        HypothesisTest { statistic, p_value: ChiSquared::new(freedom).map_or(1.0, |law| law.sf(statistic)) }
    };
    histograms.counts.outer_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(num_draws: usize, columns: &[Vec<u32>]) -> Ranks {
        let names = (0..columns.len()).map(|i| format!("p{i}")).collect();
        let values = Array2::from_shape_fn((columns[0].len(), columns.len()), |(m, d)| columns[d][m]);
        Ranks::new(names, num_draws, values).expect("valid ranks")
    }

    #[test]
    fn statistics_match_hand_computed_values() {
        // Ranks 0, 0, 1, 2 of 0..=3: the ECDF is 2/4, 3/4, 4/4 where 1/4, 2/4, 3/4 is expected.
        let tests = RankTests::new(&ranks(3, &[vec![0, 0, 1, 2]]), 1).expect("valid");
        assert!((tests.kolmogorov_smirnov[0].statistic - 0.25).abs() < 1e-12);
        // P(4 of 4 at or below 2) = (3/4)⁴ = 0.316, P(at least 2 at 0) = 1 − (3/4)⁴ − 4 · 1/4 · (3/4)³ = 0.262.
        let tail = 1.0 - 0.75_f64.powi(4) - 0.75_f64.powi(3);
        assert!((tests.gamma[0].statistic - 2.0 * tail).abs() < 1e-12, "{:?}", tests.gamma);
        // Four bins of one expected rank: (1 + 0 + 0 + 1) / 1, of 3 degrees of freedom.
        assert!((tests.chi_squared[0].statistic - 2.0).abs() < 1e-12);
        assert!((tests.chi_squared[0].p_value - 0.572_406_704).abs() < 1e-8, "{:?}", tests.chi_squared);
    }

    #[test]
    fn scores_are_between_those_of_their_rank() {
        let tests = RankTests::new(&ranks(1, &[(0..1000).map(|m| m % 2).collect()]), 3).expect("valid");
        for (m, score) in tests.normal_scores.iter().enumerate() {
            assert_eq!(*score > 0.0, m % 2 == 1);
        }
        let deviation = tests.normal_scores.mapv(|score| score * score).mean().expect("scores") - 1.0;
        assert!(deviation.abs() < 4.0 * (2.0_f64 / 1000.0).sqrt(), "{deviation}");
        let other = RankTests::new(&ranks(1, &[(0..1000).map(|m| m % 2).collect()]), 4).expect("valid");
        assert_ne!(tests.normal_scores, other.normal_scores);
        let fewer = RankTests::new(&ranks(1, &[(0..10).map(|m| m % 2).collect()]), 3).expect("valid");
        assert_eq!(fewer.normal_scores, tests.normal_scores.slice(ndarray::s![..10, ..]));
    }

    #[test]
    fn one_data_set_has_no_spread_and_nothing_to_reject() {
        let tests = RankTests::new(&ranks(9, &[vec![0]]), 1).expect("valid");
        assert!(tests.spread[0].p_value.is_nan());
        assert!(tests.gamma[0].p_value > 0.1 && tests.kolmogorov_smirnov[0].p_value > 0.1);
    }
}
