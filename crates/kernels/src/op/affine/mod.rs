//! Scales and translates one half; networks compute scale and translation from the other half and the condition.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

pub(crate) use cpu::AffineTape;

use crate::op::dense::Stack;

/// y = x · exp(s) + t.
#[derive(Debug, Clone)]
pub struct Affine {
    /// The network for s or, without a second network, for s and t side by side.
    pub scale: Stack,
    /// The network for t.
    pub translation: Option<Stack>,
    /// Bound c of s ← (2c/π) atan(s/c).
    pub soft_clamping: Option<f32>,
}
