//! Scales and translates one half by what networks make of the other half and the condition.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

pub(crate) use cpu::AffineTape;

use crate::op::dense::Stack;

/// y = x · exp(s) + t.
#[derive(Debug, Clone)]
pub struct Affine {
    /// Makes s or, without a network for the translation, s and t side by side.
    pub scale: Stack,
    /// Makes t.
    pub translation: Option<Stack>,
    /// Bound c of s ← (2c/π) atan(s/c).
    pub soft_clamping: Option<f32>,
}
