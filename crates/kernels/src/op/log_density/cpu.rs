//! Computes −ln q and its gradients on the processor.

use super::NegativeLogDensity;
use crate::{
    gradients::Gradients,
    op::{
        Dropout,
        flow::{Flow, cpu::FlowBlock},
    },
    plan::{LossBlock, LossOfBlock, LossOperation},
    source::Source,
};

impl LossOperation for NegativeLogDensity {
    fn condition_dim(&self) -> usize {
        self.flow.condition_dim
    }

    fn target_dim(&self) -> usize {
        self.flow.dim
    }

    fn dropout_dim(&self) -> usize {
        self.flow.dropout_dim
    }

    fn block(&self, block: &LossBlock<'_>, gradients: &mut Gradients<'_>) -> LossOfBlock {
        let Flow { dim, condition_dim, dropout_dim, .. } = self.flow;
        let rows = FlowBlock {
            operands: block.operands,
            rows: block.targets,
            condition: (condition_dim > 0).then(|| Source::new(block.condition, condition_dim)),
            dropout: Dropout { values: block.dropout, width: dropout_dim },
        };
        let mut out = Vec::with_capacity(block.rows * (dim + 1));
        let tapes = self.flow.forward_block(&rows, &mut out);

        // −ln q = z²/2 + D/2 ln 2π − ln|det ∂z/∂θ|; the gradients of z and of the log-determinant take their places.
        let constant = self.all_constants();
        let mut weighted_sum = 0.0;
        for (row, out) in out.chunks_exact_mut(dim + 1).enumerate() {
            let (z, log_det) = out.split_at_mut(dim);
            let squares: f64 = z.iter().map(|&z| f64::from(z) * f64::from(z)).sum();
            weighted_sum += f64::from(block.weight(row)) * (0.5 * squares + constant - f64::from(log_det[0]));
            let share = block.share(row);
            z.iter_mut().for_each(|z| *z *= share);
            log_det[0] = -share;
        }
        let grad = self.flow.backward_block(&rows, &tapes, &out, block.wants_condition, gradients);
        LossOfBlock { weighted_sum, grad_condition: grad.condition }
    }

    fn density(&self) -> Option<&NegativeLogDensity> {
        Some(self)
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(&self) -> Option<&dyn crate::plan::gpu::GpuLoss> {
        Some(self)
    }
}
