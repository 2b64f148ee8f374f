//! Defines what every conditional density does.

use crate::{Bijection, Pass, inference::sum_dimensions};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Loss, NegativeLogDensity, Part};
use burn::{module::Module, tensor::Tensor};
use std::f64::consts::TAU;

/// A density q(targets | condition) that can be evaluated and drawn from.
///
/// # Shapes
/// Targets `[B, D]`; condition `[M, C]`, where M divides B and each row belongs to B / M rows of targets that follow
/// one another; log-densities `[B]`; noise `[B, K]`, K standard normals for each draw.
///
/// # Panics
/// All methods panic, with the shapes, on tensors of other widths than the density was made for.
///
/// # To implement this
/// Every [`Bijection`] is one, with a standard normal for its latents. For others, give the density, normalised for
/// every condition, and draws as a function of noise: what this crate's law tests check is that the draws have the
/// density, that rows do not influence one another and that every parameter has a gradient.
pub trait DensityEstimator: Module {
    /// ln q(targets | condition), and the latents `[B, D]` of a density that is a map to a standard normal.
    fn evaluate(&self, targets: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> (Option<Tensor<2>>, Tensor<1>);

    /// K, the standard normals that a draw of `dim` numbers is made from.
    fn noise_dim(&self, dim: usize) -> usize;

    /// Draws, as a function of noise.
    fn draw(&self, noise: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Tensor<2>;

    /// See [`InferenceNetwork::initialised`](crate::InferenceNetwork::initialised).
    #[must_use]
    fn fitted(self, targets: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Self {
        let _ = (targets, condition, pass);
        self
    }

    /// See [`InferenceNetwork::fast_path`](crate::InferenceNetwork::fast_path).
    #[doc(hidden)]
    #[cfg(feature = "flex")]
    fn kernel(&self, like: &Tensor<2>, constant: f64, pass: &Pass) -> Option<Part<Loss>> {
        let _ = (like, constant, pass);
        None
    }
}

impl<B: Bijection> DensityEstimator for B {
    fn evaluate(&self, targets: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> (Option<Tensor<2>>, Tensor<1>) {
        let (z, log_det) = self.forward(targets, Some(condition), pass);
        (Some(z.clone()), log_standard_normal(z) + log_det)
    }

    fn noise_dim(&self, dim: usize) -> usize {
        dim
    }

    fn draw(&self, noise: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        self.inverse(noise, Some(condition), pass)
    }

    fn fitted(self, targets: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Self {
        self.normalised(targets, Some(condition), pass)
    }

    #[cfg(feature = "flex")]
    fn kernel(&self, like: &Tensor<2>, constant: f64, pass: &Pass) -> Option<Part<Loss>> {
        let Part { operation: flow, operands } = self.flow(like, pass)?;
        Some(Part { operation: Loss::new(NegativeLogDensity { flow, constant }), operands })
    }
}

/// ln N(z; 0, I), `[B, D]` to `[B]`.
fn log_standard_normal(z: Tensor<2>) -> Tensor<1> {
    let [_, dim] = z.dims();
    sum_dimensions(z.square()).mul_scalar(-0.5).sub_scalar(0.5 * dim as f64 * TAU.ln())
}

/// Repeats the rows of a condition, `[M, C]` to `[rows, C]`, so that there is one for each row of targets.
///
/// Each row occurs rows / M times in succession, as targets of one data set follow one another.
///
/// # Panics
/// If M does not divide `rows`.
#[must_use]
pub fn repeated(condition: Tensor<2>, rows: usize) -> Tensor<2> {
    let [given, width] = condition.dims();
    if given == rows {
        return condition;
    }
    assert!(given > 0 && rows.is_multiple_of(given), "a condition of {given} rows for {rows} rows of targets");
    condition.reshape([given, 1, width]).expand([given, rows / given, width]).reshape([rows, width])
}

/// Panics unless the condition has this width and a number of rows that divides that of the targets.
pub(crate) fn check_condition(condition: [usize; 2], width: usize, rows: usize) {
    assert!(
        condition[1] == width && condition[0] > 0 && rows.is_multiple_of(condition[0]),
        "a condition of shape {condition:?} where the network needs [M, {width}], with M a divisor of {rows}"
    );
}
