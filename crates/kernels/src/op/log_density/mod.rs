//! Defines the negative log density −ln q of a flow with standard normal latents, as a loss.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

use crate::op::flow::Flow;

/// −ln q(target | condition) + constant, where a flow maps targets to standard normal latents.
#[derive(Debug, Clone)]
pub struct NegativeLogDensity {
    /// The flow.
    pub flow: Flow,
    /// Added to each −ln q: the contribution of standardising the targets.
    pub constant: f64,
}

impl NegativeLogDensity {
    /// The constant with that of the standard normal density.
    pub(crate) fn all_constants(&self) -> f64 {
        self.constant + 0.5 * self.flow.dim as f64 * std::f64::consts::TAU.ln()
    }
}
