//! Lets rows attend to rows, with several heads (Vaswani et al. 2017).

pub(crate) mod cpu;
mod heads;

use crate::op::{chain::RowLayer, linear::Linear, norm::RowNorm};

/// q ↦ q + l₄([softmax(l₁(n(q)) l₂(k)ᵀ / √d) l₃(k) of each head]), over the rows k that are there. l₁ to l₄ are linear
/// maps.
#[derive(Debug, Clone)]
pub struct Attention {
    /// The rows q.
    pub queries: Queries,
    /// The layers from the rows of the input to the rows k. Without layers, k is the input.
    pub keys: Vec<RowLayer>,
    /// n.
    pub query_norm: Option<RowNorm>,
    /// l₁ to l₄: to queries, keys and values, and from the heads' outputs side by side.
    pub maps: [Linear; 4],
    /// The number of heads, which divides the widths of queries, keys and values.
    pub heads: usize,
}

/// The rows that attend.
#[derive(Debug, Clone)]
pub enum Queries {
    /// The rows of the input, after these layers.
    Rows(Vec<RowLayer>),
    /// Rows that are parameters, the same for each data set, after these layers.
    Learned {
        /// The place of the rows, `[number, width]`.
        operand: usize,
        /// Their number.
        number: usize,
        /// The layers.
        layers: Vec<RowLayer>,
    },
}
