//! Contains the operations of networks and losses, a folder for each.
//!
//! A folder's `mod.rs` describes its operation by plain data, `cpu.rs` computes it on the processor, and `gpu.rs` on a
//! GPU.

pub(crate) mod activation;
pub(crate) mod adam;
pub(crate) mod affine;
pub(crate) mod attention;
pub(crate) mod average_pool;
pub(crate) mod chain;
pub(crate) mod columns;
pub(crate) mod convolution;
pub(crate) mod coupling;
pub(crate) mod dense;
pub(crate) mod flow;
pub(crate) mod gated;
pub(crate) mod identity;
pub(crate) mod linear;
pub(crate) mod log_density;
pub(crate) mod norm;
pub(crate) mod normalization;
pub(crate) mod permutation;
pub(crate) mod pool;
pub(crate) mod product;
pub(crate) mod recurrent;
pub(crate) mod set;
pub(crate) mod spline;
#[cfg(test)]
mod testing;
pub(crate) mod time;

/// The arrays that all operations of a network share in a pass.
#[derive(Clone, Copy)]
pub(crate) struct Arrays<'a> {
    /// By their places.
    pub(crate) operands: &'a [&'a [f32]],
    pub(crate) dropout: Dropout<'a>,
}

/// The masks of dropped units, for the rows of a pass; empty where no units are dropped.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dropout<'a> {
    pub(crate) values: &'a [f32],
    /// Numbers of a row: the columns of all layers, side by side.
    pub(crate) width: usize,
}

impl<'a> Arrays<'a> {
    /// Without dropout.
    pub(crate) fn new(operands: &'a [&'a [f32]]) -> Self {
        Self { operands, dropout: Dropout::default() }
    }
}

impl<'a> Dropout<'a> {
    /// The masks of these rows alone.
    pub(crate) fn rows(self, rows: &std::ops::Range<usize>) -> Self {
        Self { values: &self.values[rows.start * self.width..rows.end * self.width], width: self.width }
    }
}
