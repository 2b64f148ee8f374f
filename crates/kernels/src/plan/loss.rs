//! Defines the loss of a plan.

use crate::{gradients::Gradients, memory::Buffer, op::log_density::NegativeLogDensity};
use std::{fmt, ops::Deref, sync::Arc};

/// The network behind the condition together with its loss, as an operation on a block of rows.
///
/// # To implement this
/// Compute the loss of a block's rows and its gradients in one function, so that no tape is needed. A
/// [`Plan`](crate::Plan) does the rest. Kernels draw no random numbers; of random numbers, a
/// batch has the masks of dropped units alone.
pub trait LossOperation: fmt::Debug + Send + Sync + 'static {
    /// C, the width of the condition: summaries, followed by direct conditions. 0 if there is none.
    fn condition_dim(&self) -> usize;

    /// D, the width of a row of targets.
    fn target_dim(&self) -> usize;

    /// W, the width of the dropout masks; 0 without dropout.
    fn dropout_dim(&self) -> usize {
        0
    }

    /// The loss of a block, and its gradients: those of the operands go to `gradients`.
    fn block(&self, block: &LossBlock<'_>, gradients: &mut Gradients<'_>) -> LossOfBlock;

    /// The loss as a negative log density, if it is one: it can then be evaluated and drawn from separately.
    fn density(&self) -> Option<&NegativeLogDensity> {
        None
    }

    /// The loss on a GPU; without it, a plan runs only on the processor.
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
    /// The number of rows of the block.
    pub rows: usize,
    /// The number of rows of the batch, over which the loss is a mean.
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

    /// A row's weight divided by the number of rows of the batch: the factor of its loss in the batch's.
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
