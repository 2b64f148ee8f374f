//! Shifts and scales inputs by constants that are stored beside the weights.

use crate::networks::to_vec;
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use ndarray::{ArrayView2, Axis};

/// (x − mean) / std for each feature; gradients do not reach the constants.
#[derive(Module, Debug)]
pub(crate) struct Standardizer {
    mean: Param<Tensor<1>>,
    std: Param<Tensor<1>>,
}

/// Whether a standard deviation is more than rounding of f32 around a constant.
pub(crate) fn varies(mean: f64, std: f64) -> bool {
    std > 1e-6 * mean.abs().max(1e-6)
}

impl Standardizer {
    /// The identity on `width` features.
    pub(crate) fn identity(width: usize, device: &Device) -> Self {
        Self::of(vec![0.0; width], vec![1.0; width], device)
    }

    /// From the rows of these arrays, `[rows, width]` each, with divisor n − 1. A feature that does not vary is only shifted.
    pub(crate) fn fitted<'a>(rows: impl Iterator<Item = ArrayView2<'a, f32>> + Clone, device: &Device) -> Self {
        let total: usize = rows.clone().map(|part| part.nrows()).sum();
        let sum = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sums = Vec::new();
            for part in rows.clone() {
                sums.resize(part.ncols(), 0.0);
                for row in part.axis_iter(Axis(0)) {
                    sums.iter_mut().zip(row).enumerate().for_each(|(i, (sum, &x))| *sum += f(i, f64::from(x)));
                }
            }
            sums
        };
        let means: Vec<f64> = sum(&|_, x| x).into_iter().map(|s| s / total as f64).collect();
        let squares = sum(&|i, x| (x - means[i]).powi(2));
        let stds = squares.iter().zip(&means).map(|(s, mean)| {
            let std = (s / (total.max(2) - 1) as f64).sqrt();
            if varies(*mean, std) { std as f32 } else { 1.0 }
        });
        Self::of(means.iter().map(|&m| m as f32).collect(), stds.collect(), device)
    }

    pub(crate) fn of(mean: Vec<f32>, std: Vec<f32>, device: &Device) -> Self {
        let constant = |values: Vec<f32>| {
            let width = values.len();
            Param::<Tensor<1>>::from_data(TensorData::new(values, [width]), device).set_require_grad(false)
        };
        Self { mean: constant(mean), std: constant(std) }
    }

    pub(crate) fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        (x - self.mean.val().unsqueeze()) / self.std.val().unsqueeze()
    }

    pub(crate) fn inverse(&self, x: Tensor<2>) -> Tensor<2> {
        x * self.std.val().unsqueeze() + self.mean.val().unsqueeze()
    }

    /// Means and standard deviations.
    pub(crate) fn constants(&self) -> [Vec<f32>; 2] {
        [&self.mean, &self.std].map(|constants| to_vec(constants.val()))
    }

    /// Σ ln std, `[1]`: minus the log-determinant of [`Standardizer::forward`].
    pub(crate) fn sum_log_std(&self) -> Tensor<1> {
        self.std.val().log().sum()
    }
}
