//! Tests whether ranks depend on the data, as those of an exact posterior do not.

use crate::HypothesisTest;
use nalgebra::DMatrix;
use ndarray::Array2;
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

/// Data sets for each direction that is looked at, and the most directions: a test of more sees less in each.
const DATA_SETS_EACH: usize = 20;
const MOST_DIRECTIONS: usize = 20;
/// Features at most; of more, neighbours are averaged. The decomposition of 1,000 rows of so many takes a tenth of a
/// second.
const MOST_FEATURES: usize = 256;
/// Directions with less than this of the largest one's spread are rounding.
const NEGLIGIBLE: f64 = 1e-6;

/// The directions in which data vary most, orthonormal and orthogonal to a constant: columns of `[M, K]`.
#[derive(Debug)]
pub(super) struct Directions(DMatrix<f64>);

impl Directions {
    /// Principal components of standardised features `[M, F]`; none if nothing varies.
    pub(super) fn new(features: &Array2<f32>) -> Option<Self> {
        let (m, all) = features.dim();
        let f = all.min(MOST_FEATURES);
        let mut x = DMatrix::from_fn(m, f, |i, j| {
            (j * all / f..(j + 1) * all / f).map(|j| f64::from(features[[i, j]])).sum::<f64>()
        });
        for mut column in x.column_iter_mut() {
            column.add_scalar_mut(-column.mean());
            let norm = column.norm();
            if norm > 0.0 {
                column.unscale_mut(norm);
            }
        }
        let svd = x.svd(true, false);
        let left = svd.u?;
        let most = (m / DATA_SETS_EACH).clamp(1, MOST_DIRECTIONS);
        // In falling order of the singular values, which nalgebra sorts.
        let largest = svd.singular_values.max();
        let kept = svd.singular_values.iter().filter(|value| **value > NEGLIGIBLE * largest).count().min(most);
        (largest > 0.0 && kept > 0).then(|| Self(left.columns(0, kept).into_owned()))
    }

    /// Whether scores, standard normal whatever the data are, are as if they did not depend on them: Fisher's test of a
    /// linear regression, and the share of their variance that it explains.
    pub(super) fn test(&self, scores: impl ExactSizeIterator<Item = f64>) -> (HypothesisTest, f64) {
        let m = scores.len();
        let mut scores = nalgebra::DVector::from_iterator(m, scores);
        scores.add_scalar_mut(-scores.mean());
        let k = self.0.ncols() as f64;
        let freedom = m as f64 - 1.0 - k;
        let total = scores.norm_squared();
        let explained = self.0.tr_mul(&scores).norm_squared().min(total);
        let statistic = (explained / k) / ((total - explained) / freedom);
        // Scores that are explained wholly have an infinite statistic.
        let p_value = match FisherSnedecor::new(k, freedom) {
            Ok(law) if statistic.is_finite() => law.sf(statistic),
            _ => 0.0,
        };
        (HypothesisTest { statistic, p_value }, explained / total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_match_a_regression_by_hand() {
        // Scores 1, 2, 2, 3 on x = 0, 1, 2, 3: a slope of 0.6, of whose total 2 it explains 1.8.
        let features = Array2::from_shape_fn((4, 1), |(m, _)| 5.0 + 2.0 * m as f32);
        let directions = Directions::new(&features).expect("one direction");
        let (test, share) = directions.test([1.0, 2.0, 2.0, 3.0].into_iter());
        assert!((share - 0.9).abs() < 1e-12 && (test.statistic - 18.0).abs() < 1e-9, "{test:?}, {share}");
        // Student's t of √18 with 2 degrees of freedom.
        assert!((test.p_value - 0.051_316_701).abs() < 1e-8, "{test:?}");
    }

    #[test]
    fn constant_features_have_no_direction() {
        assert!(Directions::new(&Array2::ones((50, 3))).is_none());
        let doubled = Array2::from_shape_fn((100, 4), |(m, f)| if f < 2 { m as f32 } else { 3.0 });
        assert_eq!(Directions::new(&doubled).expect("one direction").0.ncols(), 1);
        for features in [60, 1000] {
            let many = Array2::from_shape_fn((100, features), |(m, f)| ((m * f * 7919) % 101) as f32);
            assert_eq!(Directions::new(&many).expect("directions").0.ncols(), 5);
        }
    }
}
