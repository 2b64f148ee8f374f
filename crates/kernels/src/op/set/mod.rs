//! Summarises sets: equivariant layers, pooling, and layers on the pooled set.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

use crate::op::{dense::Stack, pool::Pool};

/// Equivariant modules, pooling, and layers on the pooled set: data `[B, N, F]` to summaries `[B, S]`.
#[derive(Debug, Clone)]
pub struct SetNetwork {
    /// F, the number of features of an observation.
    pub features: usize,
    /// The first layers, applied to each observation.
    pub embedding: Option<Stack>,
    /// The equivariant modules.
    pub modules: Vec<SetModule>,
    /// The layers before the last pooling, applied to each observation.
    pub before: Option<Stack>,
    /// The layers after the last pooling, applied to each set.
    pub after: Stack,
    /// How sets are pooled.
    pub pool: Pool,
}

/// x ↦ joint(x, after(pool(before(x)))), with a skip x + joint(...).
#[derive(Debug, Clone)]
pub struct SetModule {
    /// Before pooling, on each observation.
    pub before: Option<Stack>,
    /// After pooling, on each set.
    pub after: Option<Stack>,
    /// On each observation beside the pooled set: the first layer has two inputs.
    pub joint: Stack,
    /// Whether x is added.
    pub skip: bool,
}
