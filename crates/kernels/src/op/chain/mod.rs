//! Applies layers one after the other to the rows of data sets, from data to summaries.
//!
//! A layer maps the rows of each data set to other rows, of another width and sometimes of another number. Layers of
//! layers, such as [`Sum`], make networks of any shape out of a few.

pub(crate) mod cpu;
#[cfg(test)]
mod tests;

use crate::op::{
    activation::Activation, attention::Attention, average_pool::AveragePool, convolution::Convolution, dense::Stack,
    gated::Gated, linear::Linear, norm::RowNorm, pool::Pool, recurrent::Recurrent, time::TimeEmbedding,
};

/// Layers from data `[B, N, F]` to summaries `[B, S]`. The last layers leave one row of each data set.
#[derive(Debug, Clone)]
pub struct Chain {
    /// F, the number of features of a row of data.
    pub features: usize,
    /// S, the length of a summary.
    pub summary_dim: usize,
    /// The layers, from the first.
    pub layers: Vec<RowLayer>,
}

/// A layer of a [`Chain`]. Rows are those of a data set; a layer respects their mask.
#[derive(Debug, Clone)]
pub enum RowLayer {
    /// Dense layers on each row.
    Dense(Stack),
    /// A linear map of each row.
    Linear(Linear),
    /// A function of each number.
    Activation(Activation),
    /// The normalisation of each row.
    Norm(RowNorm),
    /// A gated feed-forward network on each row.
    Gated(Gated),
    /// Columns that embed the time of each row, behind its own.
    Time(TimeEmbedding),
    /// Attention of rows, or of learned rows, to rows.
    Attention(Attention),
    /// Linear maps of windows of rows.
    Convolution(Convolution),
    /// Means over squares of pixels.
    AveragePool(AveragePool),
    /// The state of a recurrent network after all rows of a series: one row.
    Recurrent(Recurrent),
    /// One row from all rows of a data set: zeros from none.
    Pool(Pool),
    /// One row from the rows of a data set, side by side: they must be as many as they always are.
    Flatten,
    /// The sum of the outputs of branches.
    Sum(Sum),
    /// The outputs of branches side by side.
    Join(Join),
}

/// Branches that all see the same rows, and whose outputs are added.
#[derive(Debug, Clone)]
pub struct Sum {
    /// The layers of each branch, at least one branch. The output of a branch without layers is its input.
    pub branches: Vec<Vec<RowLayer>>,
}

/// Branches that all see the same rows, and whose outputs stand side by side.
#[derive(Debug, Clone)]
pub struct Join {
    /// The layers of each branch, at least one branch with at least one layer each.
    pub branches: Vec<Vec<RowLayer>>,
}

impl RowLayer {
    /// x + layers(x). The width stays.
    #[must_use]
    pub fn residual(layers: Vec<RowLayer>) -> Self {
        Self::Sum(Sum { branches: vec![Vec::new(), layers] })
    }
}
