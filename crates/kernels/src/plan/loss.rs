//! Defines what a loss is to a plan.

use crate::{gradients::Gradients, memory::Buffer, op::log_density::NegativeLogDensity};
use std::{fmt, ops::Deref, sync::Arc};

/// The network behind the condition together with its loss, as an operation on a block of rows.
///
/// # To implement this
/// Compute the loss of a block's rows and its gradients, in one function: what the forward pass leaves need not be
/// kept. A [`Plan`](crate::Plan) does the rest. A loss that needs randomness has it among its targets: kernels draw no
/// random numbers.
pub trait LossOperation: fmt::Debug + Send + Sync + 'static {
    /// C, the width of the condition: summaries and, behind them, what is given directly. 0 if there is none.
    fn condition_dim(&self) -> usize;

    /// D, the width of a row of targets.
    fn target_dim(&self) -> usize;

    /// W, the width of the masks of dropped units; 0 if none are dropped.
    fn dropout_dim(&self) -> usize {
        0
    }

    /// The loss of a block, and its gradients: those of the operands go to `gradients`.
    fn block(&self, block: &LossBlock<'_>, gradients: &mut Gradients<'_>) -> LossOfBlock;

    /// The loss itself, if it is a negative log density, which can be evaluated and drawn from by itself.
    fn density(&self) -> Option<&NegativeLogDensity> {
        None
    }

    /// The same on a GPU; without it, a plan runs on the processor alone.
    #[cfg(feature = "gpu")]
    fn on_gpu(&self) -> Option<&dyn super::gpu::GpuLoss> {
        None
    }
}

/// A loss of any kind.
#[derive(Debug, Clone)]
pub struct Loss(Arc<dyn LossOperation>);

impl Loss {
    /// Of this network and loss.
    pub fn new(operation: impl LossOperation) -> Self {
        Self(Arc::new(operation))
    }
}

impl Deref for Loss {
    type Target = dyn LossOperation;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// Rows of a batch that go through the loss together.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LossBlock<'a> {
    /// The operands, by their places.
    pub operands: &'a [&'a [f32]],
    /// How many rows the block has.
    pub rows: usize,
    /// How many rows the batch has, over which the loss is a mean.
    pub batch: usize,
    /// `[rows, C]`.
    pub condition: &'a [f32],
    /// `[rows, D]`.
    pub targets: &'a [f32],
    /// `[rows]`; `None`: 1 for all.
    pub weights: Option<&'a [f32]>,
    /// The masks of dropped units, `[rows, W]`.
    pub dropout: &'a [f32],
    /// Whether the gradient of the condition is wanted.
    pub wants_condition: bool,
}

impl LossBlock<'_> {
    /// The weight of a row.
    #[must_use]
    pub fn weight(&self, row: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// A row's weight over the number of rows of the batch: what its own loss is multiplied by in the batch's.
    #[must_use]
    pub fn share(&self, row: usize) -> f32 {
        self.weight(row) / self.batch as f32
    }
}

/// The loss of a block of rows, and the gradient of its condition.
#[derive(Debug)]
pub struct LossOfBlock {
    /// Σ weight · loss over its rows.
    pub weighted_sum: f64,
    /// `[rows, C]`: the gradient of the batch's loss with respect to the condition, if it is wanted.
    pub grad_condition: Option<Buffer>,
}
