//! Defines what every invertible layer does.

use crate::Pass;
#[cfg(feature = "flex")]
use bayesburn_kernels::{Flow, Part};
use burn::{module::Module, tensor::Tensor};

/// A map that is one-to-one in its targets for every condition.
///
/// # Shapes
/// Targets and latents `[B, D]`; condition `[B, C]`, or none; log-determinants `[B]`.
///
/// # Panics
/// Both directions panic, with the shapes, on tensors of other widths than the map was made for.
///
/// A `Vec` of bijections is a bijection: one after the other, the first one first.
///
/// # To implement this
/// Give the two directions; `inverse(forward(x).0)` must return x, and `log_det` must be ln|det ∂z/∂x|, row by row,
/// with no influence of one row on another. The law tests of this crate check all of that for everything in their
/// table.
pub trait Bijection: Module {
    /// Targets to latents z, with ln|det ∂z/∂targets|.
    fn forward(&self, targets: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>);

    /// Latents to targets.
    fn inverse(&self, latents: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Tensor<2>;

    /// The map with its normalisation fitted to simulations, if it has one; see
    /// [`InferenceNetwork::initialised`](crate::InferenceNetwork::initialised).
    #[must_use]
    fn normalised(self, targets: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Self {
        let _ = (targets, condition, pass);
        self
    }

    /// The map as an operation with its operands, for targets like these; `None` if kernels cannot do what it does.
    #[doc(hidden)]
    #[cfg(feature = "flex")]
    fn flow(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Flow>> {
        let _ = (like, pass);
        None
    }
}

/// Sums over the dimensions, `[B, D]` to `[B]`.
pub(crate) fn sum_dimensions(x: Tensor<2>) -> Tensor<1> {
    let [rows, _] = x.dims();
    x.sum_dim(1).reshape([rows])
}
