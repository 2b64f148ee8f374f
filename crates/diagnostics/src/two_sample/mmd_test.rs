//! Tests whether observed data could have come from a model: the maximum mean discrepancy against that of simulated
//! data.

use super::{
    TwoSampleError, check_sets,
    mmd::{Bandwidth, kernel_of, median_distance, squared_distance},
};
use crate::Result;
use bayesburn_core::{Purpose, StreamRng, settings::at_least_one, stream};
use ndarray::Array2;
use rand::seq::{SliceRandom, index::sample};
use rayon::prelude::*;

const PERMUTATIONS: Purpose = Purpose::new("mmd permutations");
/// Rows of either set that are taken at most, evenly spaced: the kernels of all pairs are 128 MB.
const MOST_ROWS: usize = 2000;
/// The order of rows of which the median heuristic takes some.
const ORDER: Purpose = Purpose::new("mmd order");
/// Discrepancies that differ by less are equal: they are sums of rounded numbers.
const ROUNDING: f64 = 1e-12;

/// What [`mmd_test_with`] computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MmdTestConfig {
    /// The bandwidth. Default: the median heuristic.
    pub bandwidth: Bandwidth,
    /// How many times observed rows are exchanged for others. Default: 1,000; the smallest p-value is one over one
    /// more.
    pub permutations: usize,
}

impl Default for MmdTestConfig {
    fn default() -> Self {
        Self { bandwidth: Bandwidth::Median, permutations: 1000 }
    }
}

impl MmdTestConfig {
    /// 1,000 permutations, with the median heuristic.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the bandwidth.
    #[must_use]
    pub fn with_bandwidth(self, bandwidth: Bandwidth) -> Self {
        Self { bandwidth, ..self }
    }

    /// Sets the number of permutations.
    #[must_use]
    pub fn with_permutations(self, permutations: usize) -> Self {
        Self { permutations, ..self }
    }
}

/// How unusual observed data are among simulated ones.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MmdTest {
    /// The biased estimate of MMD² between observed and reference rows.
    pub squared: f64,
    /// The bandwidth it was computed with.
    pub bandwidth: f64,
    /// The same for as many rows chosen at random of both sets together, against the rest.
    pub null: Vec<f64>,
    /// The share of all, the observed one among them, that are as large.
    pub p_value: f64,
}

/// Tests whether observed rows are of the same distribution as a reference: whether a model is misspecified for them.
///
/// The reference are simulated data sets, or what a summary network makes of them, one row each; the observed ones the
/// same of real data, and one row is enough. A posterior is trained where simulations are, and may be anything where
/// they are not: Schmitt, Bürkner, Köthe and Radev, *Detecting model misspecification in amortized Bayesian inference
/// with neural networks*, 2023. The null distribution is that of rows exchanged at random between both sets, so that a
/// share of at most α of all tests has a p-value of at most α: exactly, whatever the bandwidth. (BayesFlow resamples
/// the reference, and compares it with itself.)
///
/// # Shapes
/// Reference `[N, F]` and observed `[M, F]`, of which at most 2,000 rows each are taken, evenly spaced. In f64;
/// parallel, and the same on any number of threads.
///
/// # Errors
/// If the sets differ in the number of columns, the reference has fewer than two rows, there is no observed row, a
/// value is not finite, or the median distance is 0.
///
/// ```
/// use ndarray::{Array2, array};
///
/// let reference = Array2::from_shape_fn((200, 1), |(i, _)| i as f32 / 100.0);
/// assert!(bayesburn_diagnostics::mmd_test(&reference, &array![[0.7]], 1)?.p_value > 0.2);
/// assert!(bayesburn_diagnostics::mmd_test(&reference, &array![[5.0]], 1)?.p_value < 0.01);
/// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
/// ```
pub fn mmd_test(reference: &Array2<f32>, observed: &Array2<f32>, seed: u64) -> Result<MmdTest, TwoSampleError> {
    mmd_test_with(&MmdTestConfig::default(), reference, observed, seed)
}

/// [`mmd_test`] with another bandwidth or number of permutations.
///
/// # Errors
/// As [`mmd_test`], and if the number of permutations is 0, or a given bandwidth is not finite and positive.
pub fn mmd_test_with(
    config: &MmdTestConfig,
    reference: &Array2<f32>,
    observed: &Array2<f32>,
    seed: u64,
) -> Result<MmdTest, TwoSampleError> {
    check_sets(reference, observed, 1)?;
    crate::checks::at_least(crate::Extent::Rows(crate::SampleSet::First), 2, reference.nrows())?;
    at_least_one("permutations", config.permutations)?;
    let d = reference.ncols();
    let kept = |set: &Array2<f32>| -> Vec<f64> {
        let kept = set.nrows().min(MOST_ROWS);
        (0..kept).flat_map(|i| set.row(i * set.nrows() / kept).to_vec()).map(f64::from).collect()
    };
    let mut rows = kept(observed);
    let n = rows.len() / d;
    rows.extend(kept(reference));
    let bandwidth = match config.bandwidth {
        Bandwidth::Median => {
            // By chance, so that observed rows are no more likely than others.
            let mut order: Vec<&[f64]> = rows.chunks_exact(d).collect();
            order.shuffle(&mut stream(seed, ORDER, 0));
            median_distance(&order.concat(), &[], d)
        }
        Bandwidth::Fixed(bandwidth) => bandwidth,
    };
    let kernel = kernel_of(bandwidth)?;
    let total = rows.len() / d;
    // Every pair in both orders, and each row with itself.
    let kernels: Vec<f64> = rows
        .par_chunks_exact(d)
        .flat_map_iter(|a| rows.chunks_exact(d).map(move |b| (a, b)))
        .map(|(a, b)| kernel(squared_distance(a, b)))
        .collect();
    let sums: Vec<f64> = kernels.par_chunks_exact(total).map(|row| row.iter().sum()).collect();
    let all: f64 = sums.iter().sum();
    let squared = |chosen: &[usize]| {
        let within: f64 = chosen.iter().map(|&i| chosen.iter().map(|&j| kernels[i * total + j]).sum::<f64>()).sum();
        let between = chosen.iter().map(|&i| sums[i]).sum::<f64>() - within;
        let rest = all - within - 2.0 * between;
        let (n, m) = (n as f64, (total - n) as f64);
        (within / (n * n) + rest / (m * m) - 2.0 * between / (n * m)).max(0.0)
    };
    let of_observed = squared(&(0..n).collect::<Vec<usize>>());
    let of_chosen = |number: usize| {
        let mut rng: StreamRng = stream(seed, PERMUTATIONS, number as u64);
        squared(&sample(&mut rng, total, n).into_vec())
    };
    let null: Vec<f64> = (0..config.permutations).into_par_iter().map(of_chosen).collect();
    let as_large = null.iter().filter(|value| **value >= of_observed - ROUNDING).count();
    let p_value = (as_large + 1) as f64 / (null.len() + 1) as f64;
    Ok(MmdTest { squared: of_observed, bandwidth, null, p_value })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_same_on_any_number_of_threads, normal};
    use super::*;
    use crate::{MmdConfig, MmdEstimator, mmd_with};
    use ndarray::{Array2, array};

    #[test]
    fn the_statistic_is_the_biased_discrepancy() {
        let (reference, observed) = (normal(40, 3, 1), normal(7, 3, 2));
        let test = mmd_test(&reference, &observed, 1).expect("valid");
        let config =
            MmdConfig::new().with_estimator(MmdEstimator::Biased).with_bandwidth(Bandwidth::Fixed(test.bandwidth));
        let expected = mmd_with(&config, &observed, &reference).expect("valid").squared;
        assert!((test.squared - expected).abs() < 1e-12, "{} and {expected}", test.squared);
        // By hand: one row at distance 1 of two others at distance 2, and σ = 1.
        let config = MmdTestConfig::new().with_bandwidth(Bandwidth::Fixed(1.0)).with_permutations(99);
        let test = mmd_test_with(&config, &array![[0.0], [2.0]], &array![[1.0]], 1).expect("valid");
        let (near, far) = ((-0.5_f64).exp(), (-2.0_f64).exp());
        assert!((test.squared - (1.0 + (2.0 + 2.0 * far) / 4.0 - 2.0 * near)).abs() < 1e-12);
        // The row in the middle is the least unusual one: all others are as large.
        assert_eq!(test.p_value, 1.0);
    }

    /// 400 tests of 5 rows against 100: a share of at most 5% has a p-value of at most 0.05, with a standard error of
    /// 1.1%; the bound is 3 of them. The twin, shifted by one standard deviation, is found most times.
    #[test]
    fn five_percent_of_tests_alarm_where_nothing_is_wrong() {
        let config = MmdTestConfig::new().with_permutations(199);
        let alarms = |shift: f32| {
            let run = |seed: &u64| {
                let (reference, observed) = (normal(100, 2, 2 * seed), normal(5, 2, 2 * seed + 1) + shift);
                mmd_test_with(&config, &reference, &observed, *seed).expect("valid").p_value <= 0.05
            };
            (0..400).filter(run).count() as f64 / 400.0
        };
        let (equal, shifted) = (alarms(0.0), alarms(1.0));
        assert!(equal < 0.083 && equal > 0.017, "{equal}");
        assert!(shifted > 0.7, "{shifted}");
    }

    #[test]
    fn results_do_not_depend_on_threads_and_bad_input_is_refused() {
        let (reference, observed) = (normal(60, 2, 5), normal(3, 2, 6));
        assert_same_on_any_number_of_threads(|| mmd_test(&reference, &observed, 3).expect("valid"));
        assert!(mmd_test(&reference, &Array2::zeros((0, 2)), 1).is_err());
        assert!(mmd_test(&normal(1, 2, 1), &observed, 1).is_err());
        assert!(mmd_test(&reference, &Array2::zeros((3, 1)), 1).is_err());
        let none = MmdTestConfig::new().with_permutations(0);
        assert!(mmd_test_with(&none, &reference, &observed, 1).is_err());
        assert!(
            mmd_test(&Array2::zeros((9, 2)), &Array2::zeros((1, 2)), 1)
                .expect_err("equal")
                .to_string()
                .contains("bandwidth 0")
        );
    }
}
