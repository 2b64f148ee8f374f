//! Scales and shifts each dimension: activation normalisation (Kingma & Dhariwal 2018).

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

/// x · scale + bias, dimension by dimension.
#[derive(Debug, Clone, Copy)]
pub struct Normalization {
    /// The place of the scales.
    pub scale: usize,
    /// The place of the biases.
    pub bias: usize,
}
