//! Computes gated feed-forward networks (Shazeer 2020).

pub(crate) mod cpu;

use crate::op::{activation::Activation, linear::Linear};

/// x ↦ l₃(a(l₁(x)) ⊙ l₂(x)), of linear maps.
#[derive(Debug, Clone, Copy)]
pub struct Gated {
    /// l₁.
    pub gate: Linear,
    /// l₂, as wide as l₁.
    pub up: Linear,
    /// l₃.
    pub down: Linear,
    /// a.
    pub activation: Activation,
}
