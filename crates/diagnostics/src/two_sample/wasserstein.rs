//! Measures the Wasserstein distance of two sample sets along random directions.

use super::{TwoSampleError, check_sets};
use crate::Result;
use bayesburn_core::{Purpose, settings::at_least_one, stream};
use ndarray::Array2;
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// Directions; the index is that of the direction.
const DIRECTIONS: Purpose = Purpose::new("sliced wasserstein");

/// The sliced 2-Wasserstein distance of two sample sets, in the parameters' own units.
///
/// SW₂ = √( E_u W₂²(uᵀx, uᵀy) ) over directions u that are uniform on the sphere, here the mean of `num_projections` of
/// them: Bonneel, Rabin, Peyré and Pfister, *Sliced and Radon Wasserstein barycenters of measures*, 2015. In one
/// dimension W₂² = ∫₀¹ (F⁻¹(q) − G⁻¹(q))² dq, which is exact for any two numbers of rows: both quantile functions are
/// steps.
///
/// It is 0 for equal sets, and |v|/√D for sets that differ by a shift v. Finite samples of one distribution are some
/// way apart too, so compare with the distance of two reference sets. Several columns of different scales should be
/// standardised first.
///
/// # Shapes
/// Samples `[N, D]` and `[M, D]`. Time grows as `num_projections` · (N + M) · (D + ln(N + M)), parallel over
/// directions; the result depends on the seed, not on the number of threads. 100 directions or more are usual.
///
/// # Errors
/// If the sets differ in the number of columns, have no row or no column, or a value that is not finite, or there is no
/// projection.
///
/// ```
/// let x = ndarray::array![[0.0], [6.0]];
/// let y = ndarray::array![[6.0], [3.0], [0.0]];
/// // Quantiles between 1/3 and 2/3 are 3 apart, the others equal: W₂² = 3²/3.
/// let distance = bayesburn_diagnostics::sliced_wasserstein(&x, &y, 10, 2023)?;
/// assert!((distance - 3.0_f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
/// ```
pub fn sliced_wasserstein(
    x: &Array2<f32>,
    y: &Array2<f32>,
    num_projections: usize,
    seed: u64,
) -> Result<f64, TwoSampleError> {
    check_sets(x, y, 1)?;
    at_least_one("num_projections", num_projections)?;
    let squares: Vec<f64> = (0..num_projections)
        .into_par_iter()
        .map(|index| {
            let direction = direction(x.ncols(), seed, index as u64);
            squared_wasserstein(&projected(x, &direction), &projected(y, &direction))
        })
        .collect();
    Ok((squares.iter().sum::<f64>() / num_projections as f64).sqrt())
}

/// A point of the unit sphere in D dimensions: a standard normal vector, divided by its length.
fn direction(d: usize, seed: u64, index: u64) -> Vec<f64> {
    let mut rng = stream(seed, DIRECTIONS, index);
    let normal: Vec<f64> = (0..d).map(|_| rng.sample(StandardNormal)).collect();
    let length = normal.iter().map(|u| u * u).sum::<f64>().sqrt();
    normal.into_iter().map(|u| u / length).collect()
}

/// uᵀx for each row x, sorted.
fn projected(samples: &Array2<f32>, direction: &[f64]) -> Vec<f64> {
    let along = samples.outer_iter().map(|row| row.iter().zip(direction).map(|(&x, u)| f64::from(x) * u).sum::<f64>());
    let mut values: Vec<f64> = along.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// W₂² of two sorted samples of N and M values. Quantiles are counted in units of 1/(N M), so that no step is missed by
/// rounding.
fn squared_wasserstein(x: &[f64], y: &[f64]) -> f64 {
    let (n, m) = (x.len() as u64, y.len() as u64);
    let (mut i, mut j, mut from, mut cost) = (0, 0, 0, 0.0);
    while from < n * m {
        // The i-th step of x ends at (i + 1)/N, the j-th of y at (j + 1)/M.
        let (end_of_x, end_of_y) = ((i + 1) * m, (j + 1) * n);
        let to = end_of_x.min(end_of_y);
        cost += (to - from) as f64 * (x[i as usize] - y[j as usize]).powi(2);
        i += u64::from(to == end_of_x);
        j += u64::from(to == end_of_y);
        from = to;
    }
    cost / (n * m) as f64
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_same_on_any_number_of_threads, normal};
    use super::*;
    use ndarray::{Axis, array, concatenate};

    #[test]
    fn quantiles_are_coupled_exactly() {
        assert_eq!(squared_wasserstein(&[0.0, 6.0], &[0.0, 3.0, 6.0]), 3.0);
        assert_eq!(squared_wasserstein(&[1.0], &[0.0, 3.0]), 2.5);
        assert_eq!(squared_wasserstein(&[1.0, 2.0, 4.0], &[2.0, 2.0, 7.0]), 10.0 / 3.0);
    }

    /// Rows that are there twice do not change a distribution, and hence neither the distance to sets of other sizes.
    #[test]
    fn repeated_rows_and_their_order_do_not_matter() {
        let (x, y) = (normal(30, 3, 1), normal(41, 3, 2));
        let twice = concatenate(Axis(0), &[x.view(), x.view()]).expect("equal columns");
        let distance = |x: &Array2<f32>, y: &Array2<f32>| sliced_wasserstein(x, y, 20, 3).expect("valid");
        assert!((distance(&x, &y) - distance(&twice, &y)).abs() < 1e-12);
        assert_eq!(distance(&x, &y), distance(&y, &x));
        assert!(distance(&x, &twice) < 1e-12 && distance(&x, &y) > 0.1);
    }

    /// A shift by v gives W₂ = |vᵀu| along u, and (vᵀu)² has mean |v|²/D and variance |v|⁴ · 2 (D − 1) / (D² (D + 2)):
    /// with D = 3, |v| = 3 and 2,000 directions a standard error of 0.060. The bound is 4 of them (alpha 6e-5), for
    /// seed 5. The twin is a shift longer by a tenth, whose mean square is 3.63 in place of 3.
    #[test]
    fn a_shift_is_as_far_as_its_length() {
        let x = normal(50, 3, 4);
        let v: [f32; 3] = [2.0, -1.0, 2.0];
        let square = |scale: f32| {
            let shifted = Array2::from_shape_fn(x.dim(), |(row, column)| x[[row, column]] + scale * v[column]);
            sliced_wasserstein(&x, &shifted, 2_000, 5).expect("valid").powi(2)
        };
        assert!((square(1.0) - 3.0).abs() < 4.0 * 0.060, "{}", square(1.0));
        assert!((square(1.1) - 3.0).abs() > 4.0 * 0.060, "{}", square(1.1));
    }

    /// W₂² of N(0, 1) and N(μ, σ²) is μ² + (σ − 1)², here 0.25 + 1. With N = 20,000, M = 10,000 and seeds 6 and 7 the
    /// means' difference has standard error √(1/N + 4/M) = 0.021 and that of the standard deviations √(1/2N + 4/2M) =
    /// 0.015, hence the square one of √((2 · 0.5 · 0.021)² + (2 · 1 · 0.015)²) = 0.037. The bound is 4 of them; the
    /// twin has σ = 1.
    #[test]
    fn normals_are_as_far_apart_as_theory_says() {
        let (x, y) = (normal(20_000, 1, 6), normal(10_000, 1, 7));
        let square = |std: f32| {
            let y = y.mapv(|y| 0.5 + std * y);
            sliced_wasserstein(&x, &y, 1, 8).expect("valid").powi(2)
        };
        assert!((square(2.0) - 1.25).abs() < 4.0 * 0.037, "{}", square(2.0));
        assert!((square(1.0) - 1.25).abs() > 4.0 * 0.037, "{}", square(1.0));
    }

    #[test]
    fn the_seed_decides_and_threads_do_not() {
        let (x, y) = (normal(40, 3, 1), normal(30, 3, 2));
        let distance = |seed| sliced_wasserstein(&x, &y, 15, seed).expect("valid");
        assert_same_on_any_number_of_threads(|| distance(1));
        assert_ne!(distance(1), distance(2));
    }

    #[test]
    fn no_projection_is_refused() {
        let error = sliced_wasserstein(&array![[0.0]], &array![[0.0]], 0, 1);
        assert!(error.expect_err("0").to_string().contains("`num_projections` is 0"));
    }
}
