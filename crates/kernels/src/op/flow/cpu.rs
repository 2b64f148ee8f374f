//! Computes chains of coupling layers, and their gradients, on the processor.

use super::{
    Flow,
    layer::{GradLayers, LayerPass, LayerTape},
};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{Arrays, Dropout},
    source::Source,
};

/// A block of rows of a batch.
#[derive(Clone, Copy)]
pub(crate) struct FlowBlock<'a> {
    pub(crate) operands: &'a [&'a [f32]],
    /// Targets or, of the inverse, latents.
    pub(crate) rows: &'a [f32],
    /// The rows of the condition that these rows see.
    pub(crate) condition: Option<Source<'a>>,
    /// Of these rows.
    pub(crate) dropout: Dropout<'a>,
}

/// Gradients of a block's targets, and of its rows of the condition if they are wanted.
pub(crate) struct GradBlock {
    pub(crate) targets: Buffer,
    pub(crate) condition: Option<Buffer>,
}

impl Flow {
    fn pass<'a>(&self, block: &FlowBlock<'a>) -> LayerPass<'a> {
        let arrays = Arrays { operands: block.operands, dropout: block.dropout };
        LayerPass { arrays, condition: block.condition, rows: block.rows.len() / self.dim, dim: self.dim }
    }

    /// Adds rows of D latents and a log-determinant to `out`.
    pub(crate) fn forward_block(&self, block: &FlowBlock<'_>, out: &mut Vec<f32>) -> Vec<LayerTape> {
        let pass = self.pass(block);
        let mut log_det = Buffer::zeros(pass.rows);
        let mut x = Buffer::copy_of(block.rows);
        let mut tapes = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let (next, tape) = layer.forward(&pass, x, &mut log_det);
            tapes.push(tape);
            x = next;
        }
        for (z, log_det) in x.chunks_exact(self.dim).zip(&*log_det) {
            out.extend_from_slice(z);
            out.push(*log_det);
        }
        tapes
    }

    /// From the gradients of what [`Flow::forward_block`] adds to `out`.
    pub(crate) fn backward_block(
        &self,
        block: &FlowBlock<'_>,
        tapes: &[LayerTape],
        grad_out: &[f32],
        wants_condition: bool,
        gradients: &mut Gradients<'_>,
    ) -> GradBlock {
        let (pass, dim) = (self.pass(block), self.dim);
        let (mut grad_x, mut grad_log_det) = (Buffer::new(pass.rows * dim), Buffer::new(pass.rows));
        let rows = grad_out.chunks_exact(dim + 1).zip(grad_x.chunks_exact_mut(dim)).zip(grad_log_det.iter_mut());
        for ((grad_row, grad_x), grad_log_det) in rows {
            grad_x.copy_from_slice(&grad_row[..dim]);
            *grad_log_det = grad_row[dim];
        }
        let mut grad = GradLayers { log_det: &grad_log_det, wants_condition, condition: None };
        for (layer, tape) in self.layers.iter().zip(tapes).rev() {
            grad_x = layer.backward(&pass, tape, &grad_x, &mut grad, gradients);
        }
        GradBlock { targets: grad_x, condition: grad.condition }
    }

    /// Targets of a block of latents.
    pub(crate) fn inverse_block(&self, block: &FlowBlock<'_>) -> Buffer {
        let pass = self.pass(block);
        let mut x = Buffer::copy_of(block.rows);
        for layer in self.layers.iter().rev() {
            x = layer.inverse(&pass, &x);
        }
        x
    }
}
