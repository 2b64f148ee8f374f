//! Chains coupling layers into a conditional invertible network.

pub(crate) mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
mod kernel;
mod layer;
#[cfg(test)]
mod tests;

pub use kernel::{FlowKernel, InverseFlow};

use crate::op::{coupling::Coupling, normalization::Normalization, permutation::Permutation};

/// Coupling layers one after the other, in the direction from targets to latents.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The layers.
    pub layers: Vec<FlowLayer>,
    /// D, the width of the targets.
    pub dim: usize,
    /// C, the width of the condition; 0 if there is none.
    pub condition_dim: usize,
    /// W, the width of the dropout masks; 0 without dropout.
    pub dropout_dim: usize,
}

/// Activation normalisation, permutation, coupling.
#[derive(Debug, Clone)]
pub struct FlowLayer {
    /// The normalisation.
    pub normalization: Option<Normalization>,
    /// The order of dimensions in which they are coupled.
    pub permutation: Permutation,
    /// The transform of the first ⌊D/2⌋ dimensions, given the others and the condition.
    pub first: Option<Coupling>,
    /// The transform of the others, given the transformed first ones and the condition.
    pub second: Coupling,
}

impl FlowLayer {
    /// The widths of both halves: for one dimension there is no first one.
    pub(crate) fn split(&self, dim: usize) -> [usize; 2] {
        let first = if self.first.is_some() { dim / 2 } else { 0 };
        [first, dim - first]
    }
}
