//! The multivariate normal distribution: draws and density by the Cholesky factor of its covariance.

use crate::SimulationError;
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
    factor: Cholesky<f64, Dyn>,
}

impl MultivariateNormal {
    pub(crate) fn new(mean: &[f64], covariance: ArrayView2<'_, f64>) -> Result<Self, SimulationError> {
        let expected = mean.len();
        if covariance.dim() != (expected, expected) {
            return Err(SimulationError::Covariance {
                problem: format!("of shape {:?} for {expected} means", covariance.shape()),
            });
        }
        if let Some(value) = mean.iter().chain(&covariance).find(|value| !value.is_finite()) {
            return Err(SimulationError::Covariance { problem: format!("with {value} in it or in the mean") });
        }
        let covariance = DMatrix::from_fn(expected, expected, |i, j| covariance[[i, j]]);
        let largest = covariance.amax();
        if (&covariance - covariance.transpose()).amax() > 1e-9 * largest {
            return Err(SimulationError::Covariance { problem: "that is not symmetric".to_owned() });
        }
        let factor = Cholesky::new(covariance.clone())
            .ok_or_else(|| SimulationError::Covariance { problem: "that is not positive definite".to_owned() })?;
        Ok(Self { mean: DVector::from_column_slice(mean), covariance, factor })
    }

    /// μ + L z.
    pub(crate) fn sample(&self, rng: &mut StreamRng) -> Vec<f32> {
        let z = DVector::from_fn(self.mean.len(), |_, _| rng.sample::<f64, _>(StandardNormal));
        let draw = &self.mean + self.factor.l_dirty().lower_triangle() * z;
        draw.iter().map(|&value| value as f32).collect()
    }

    /// −½ (‖L⁻¹ (θ − μ)‖² + D ln 2π) − Σ ln L_ii.
    pub(crate) fn log_density(&self, values: &[f32]) -> f64 {
        let factor = self.factor.l_dirty();
        let mut z = DVector::from_iterator(values.len(), values.iter().map(|&value| f64::from(value))) - &self.mean;
        if !factor.solve_lower_triangular_mut(&mut z) {
            return f64::NAN;
        }
        let log_det: f64 = factor.diagonal().iter().map(|l| l.ln()).sum();
        -0.5 * (z.norm_squared() + values.len() as f64 * TAU.ln()) - log_det
    }
}
