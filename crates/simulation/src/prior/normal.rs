//! Implements the multivariate normal distribution, by the Cholesky factor of its covariance or precision.

use super::PriorError;
use bayesburn_core::StreamRng;
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use ndarray::ArrayView2;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

#[derive(Debug, Clone)]
pub(crate) struct MultivariateNormal {
    pub(crate) mean: DVector<f64>,
    pub(crate) covariance: DMatrix<f64>,
    factored: Factored,
    /// L, 0 above its diagonal.
    factor: DMatrix<f64>,
    /// Σ ln L_ii.
    log_det: f64,
}

/// Which matrix was given and has the factor L: the other one may be too near to singular to be factored.
#[derive(Debug, Clone, Copy)]
enum Factored {
    /// Σ = L Lᵀ.
    Covariance,
    /// Σ⁻¹ = L Lᵀ.
    Precision,
}

impl MultivariateNormal {
    pub(crate) fn new(mean: &[f64], covariance: ArrayView2<'_, f64>) -> Result<Self, PriorError> {
        let (mean, covariance, factor) = factored("covariance", mean, covariance)?;
        Ok(Self::of(Factored::Covariance, mean, covariance, &factor))
    }

    pub(crate) fn of_precision(mean: &[f64], precision: ArrayView2<'_, f64>) -> Result<Self, PriorError> {
        let (mean, _, factor) = factored("precision", mean, precision)?;
        Ok(Self::of(Factored::Precision, mean, factor.inverse(), &factor))
    }

    fn of(factored: Factored, mean: DVector<f64>, covariance: DMatrix<f64>, factor: &CholeskyFactor) -> Self {
        let factor = factor.l_dirty().lower_triangle();
        let log_det = factor.diagonal().iter().map(|l| l.ln()).sum::<f64>();
        Self { mean, covariance, factored, factor, log_det }
    }

    /// μ + L z, or μ + L⁻ᵀ z.
    pub(crate) fn sample(&self, rng: &mut StreamRng) -> Vec<f32> {
        let mut z = DVector::from_fn(self.mean.len(), |_, _| rng.sample::<f64, _>(StandardNormal));
        match self.factored {
            Factored::Covariance => z = &self.factor * z,
            Factored::Precision => {
                let solved = self.factor.tr_solve_lower_triangular_mut(&mut z);
                debug_assert!(solved, "a factor has a diagonal above 0");
            }
        }
        (&self.mean + z).iter().map(|&value| value as f32).collect()
    }

    /// −½ (‖L⁻¹ (θ − μ)‖² + D ln 2π) − Σ ln L_ii, or −½ (‖Lᵀ (θ − μ)‖² + D ln 2π) + Σ ln L_ii.
    pub(crate) fn log_prob(&self, values: &[f32]) -> f64 {
        let mut z = DVector::from_iterator(values.len(), values.iter().map(|&value| f64::from(value))) - &self.mean;
        let log_scale = match self.factored {
            Factored::Covariance => {
                if !self.factor.solve_lower_triangular_mut(&mut z) {
                    return f64::NAN;
                }
                -self.log_det
            }
            Factored::Precision => {
                z = self.factor.tr_mul(&z);
                self.log_det
            }
        };
        -0.5 * (z.norm_squared() + values.len() as f64 * TAU.ln()) + log_scale
    }
}

type CholeskyFactor = Cholesky<f64, Dyn>;

/// The mean, the matrix, which is said to be symmetric and positive definite, and its factor.
fn factored(
    what: &'static str,
    mean: &[f64],
    matrix: ArrayView2<'_, f64>,
) -> Result<(DVector<f64>, DMatrix<f64>, CholeskyFactor), PriorError> {
    let error = |problem: String| PriorError::Covariance { what, problem };
    let expected = mean.len();
    if matrix.dim() != (expected, expected) {
        return Err(error(format!("of shape {:?} for {expected} means", matrix.shape())));
    }
    if let Some(value) = mean.iter().chain(&matrix).find(|value| !value.is_finite()) {
        return Err(error(format!("with {value} in it or in the mean")));
    }
    let matrix = DMatrix::from_fn(expected, expected, |i, j| matrix[[i, j]]);
    if (&matrix - matrix.transpose()).amax() > 1e-9 * matrix.amax() {
        return Err(error("that is not symmetric".to_owned()));
    }
    let factor = Cholesky::new(matrix.clone()).ok_or_else(|| error("that is not positive definite".to_owned()))?;
    Ok((DVector::from_column_slice(mean), matrix, factor))
}
