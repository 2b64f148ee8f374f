//! Reorders dimensions, and cuts them into two halves.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

/// Dimension i of the output is dimension `order[i]` of the input.
#[derive(Debug, Clone)]
pub struct Permutation {
    /// Each dimension once.
    pub order: Vec<usize>,
}
