//! Compares two sample sets: what all measures check first; then one file for each.

mod c2st;
mod classifier;
mod error;
mod lc2st;
mod mmd;
mod mmd_test;
mod wasserstein;

pub use c2st::{C2st, C2stConfig, c2st, c2st_with};
pub use error::{SampleSet, TwoSampleError};
pub use lc2st::{LocalC2st, LocalC2stConfig, LocalTest};
pub use mmd::{Bandwidth, Mmd, MmdConfig, MmdEstimator, mmd, mmd_with};
pub use mmd_test::{MmdTest, MmdTestConfig, mmd_test, mmd_test_with};
pub use wasserstein::sliced_wasserstein;

use crate::checks::at_least;
use crate::{Extent, Result};
use ndarray::Array2;

/// Refuses sets `[N, D]` and `[M, D]` that differ in D, have no column or too few rows, or a value that is not finite.
fn check_sets(first: &Array2<f32>, second: &Array2<f32>, rows_needed: usize) -> Result<(), TwoSampleError> {
    if first.ncols() != second.ncols() {
        return Err(TwoSampleError::Columns { first: first.ncols(), second: second.ncols() });
    }
    at_least(Extent::Parameters, 1, first.ncols())?;
    for (set, values) in [(SampleSet::First, first), (SampleSet::Second, second)] {
        at_least(Extent::Rows(set), rows_needed, values.nrows())?;
        if let Some(((row, column), &value)) = values.indexed_iter().find(|(_, x)| !x.is_finite()) {
            return Err(TwoSampleError::NonFinite { set, row, column, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayesburn_core::{Purpose, stream};
    use rand::RngExt;
    use rand_distr::StandardNormal;
    use rayon::ThreadPoolBuilder;

    /// Standard normal rows `[rows, columns]`.
    pub(super) fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
        let mut rng = stream(seed, Purpose::new("test samples"), 0);
        Array2::from_shape_simple_fn((rows, columns), || rng.sample(StandardNormal))
    }

    /// Asserts that a measure is the same on one thread as on three.
    pub(super) fn assert_same_on_any_number_of_threads<T: PartialEq + std::fmt::Debug + Send>(
        f: impl Fn() -> T + Sync,
    ) {
        let on = |threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(&f)
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn every_refusal_says_what_is_wrong_with_which_set() {
        let say = |first: &Array2<f32>, second: &Array2<f32>| {
            check_sets(first, second, 2).expect_err("must be refused").to_string()
        };
        let good = normal(5, 3, 1);
        assert!(check_sets(&good, &normal(2, 3, 2), 2).is_ok());
        let columns = say(&good, &normal(5, 2, 2));
        assert!(columns.contains("3 columns in the first") && columns.contains("2 in the second"), "{columns}");
        assert!(say(&Array2::zeros((5, 0)), &Array2::zeros((5, 0))).contains("0 parameters"));
        let rows = say(&good, &normal(1, 3, 2));
        assert!(rows.contains("1 rows in the second sample set") && rows.contains("at least 2"), "{rows}");
        let mut bad = good.clone();
        bad[[4, 1]] = f32::NAN;
        let value = say(&bad, &good);
        assert!(value.contains("NaN in row 4, column 1 of the first sample set"), "{value}");
    }
}
