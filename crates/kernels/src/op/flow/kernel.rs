//! Makes a chain of coupling layers, and its inverse, operations of Burn's graph.

use super::{
    Flow,
    cpu::{FlowBlock, GradBlock},
    layer::LayerTape,
};
use crate::{
    blocks::{blocks, on_each},
    gradients::{Gradients, sum_blocks},
    op::Dropout,
    operation::Kernel,
    source::Source,
    vector::add,
};
use std::ops::Range;

/// A flow and the places of what it is a function of. Output `[B, D + 1]`: latents, then the log-determinant.
#[derive(Debug, Clone)]
pub struct FlowKernel {
    /// The flow, whose parameters are among the same operands.
    pub flow: Flow,
    /// The place of the targets, `[B, D]`.
    pub targets: usize,
    /// The place of the condition, `[M, C]`, of which each row belongs to B / M rows of the targets that follow one
    /// another.
    pub condition: Option<usize>,
    /// The place of the masks of dropped units, `[B, W]`.
    pub dropout: Option<usize>,
}

/// The same from latents to targets, without gradients. Output `[B, D]`.
#[derive(Debug, Clone)]
pub struct InverseFlow(pub FlowKernel);

/// What the backward pass needs of each block of rows.
#[derive(Debug)]
pub struct FlowTape(Vec<Vec<LayerTape>>);

impl FlowKernel {
    fn rows(&self, operands: &[&[f32]]) -> usize {
        operands[self.targets].len() / self.flow.dim
    }

    /// Rows of a batch, and which rows of the condition they see.
    fn block<'a>(&self, operands: &'a [&'a [f32]], rows: Range<usize>) -> (FlowBlock<'a>, Range<usize>) {
        let Flow { dim, condition_dim: width, dropout_dim, .. } = self.flow;
        let dropout = self
            .dropout
            .map_or(Dropout::default(), |place| Dropout { values: operands[place], width: dropout_dim }.rows(&rows));
        let (condition_rows, condition) = match self.condition.map(|place| operands[place]) {
            None => (0..0, None),
            Some(values) => {
                let repeat = self.rows(operands) / (values.len() / width);
                let condition_rows = rows.start / repeat..rows.end.div_ceil(repeat);
                let values = &values[condition_rows.start * width..condition_rows.end * width];
                (condition_rows, Some(Source::repeated(values, width, repeat, rows.start % repeat)))
            }
        };
        let rows = &operands[self.targets][rows.start * dim..rows.end * dim];
        (FlowBlock { operands, rows, condition, dropout }, condition_rows)
    }
}

impl Kernel for FlowKernel {
    type Tape = FlowTape;

    fn forward(&self, operands: &[&[f32]], with_gradients: bool) -> (Vec<f32>, [usize; 2], FlowTape) {
        let rows = self.rows(operands);
        let width = self.flow.dim + 1;
        let parts = on_each(&blocks(rows, with_gradients), |rows| {
            let mut out = Vec::with_capacity(rows.len() * width);
            let tapes = self.flow.forward_block(&self.block(operands, rows).0, &mut out);
            // Without gradients the tapes are dropped block by block.
            (out, with_gradients.then_some(tapes))
        });
        let (out, tapes): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (out.concat(), [rows, width], FlowTape(tapes.into_iter().flatten().collect()))
    }

    fn backward(
        &self,
        operands: &[&[f32]],
        tape: &FlowTape,
        grad_output: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>> {
        let width = self.flow.dim + 1;
        let wants_condition = self.condition.is_some_and(|place| wanted[place]);
        let blocks = blocks(self.rows(operands), true);
        let parts = on_each(&(0..blocks.len()).map(|i| i..i + 1).collect::<Vec<_>>(), |i| {
            let (rows, tapes) = (&blocks[i.start], &tape.0[i.start]);
            let (block, condition_rows) = self.block(operands, rows.clone());
            let mut gradients = Gradients::new(operands, wanted);
            let grad_rows = &grad_output[rows.start * width..rows.end * width];
            let GradBlock { targets, condition } =
                self.flow.backward_block(&block, tapes, grad_rows, wants_condition, &mut gradients);
            (targets, (condition_rows, condition), gradients.into_values())
        });
        let mut grad_targets = Vec::new();
        let condition_dim = self.flow.condition_dim;
        let mut grad_condition = self.condition.map(|place| vec![0.0; operands[place].len()]);
        let mut grad_parameters = Vec::with_capacity(parts.len());
        for (targets, (condition_rows, condition), gradients) in parts {
            grad_targets.extend_from_slice(&targets);
            if let (Some(sum), Some(rows)) = (&mut grad_condition, condition) {
                add(&mut sum[condition_rows.start * condition_dim..condition_rows.end * condition_dim], &rows);
            }
            grad_parameters.push(gradients);
        }
        let mut gradients = sum_blocks(grad_parameters);
        gradients[self.targets] = Some(grad_targets);
        if let Some(place) = self.condition {
            gradients[place] = grad_condition;
        }
        gradients
    }
}

impl Kernel for InverseFlow {
    type Tape = ();

    fn forward(&self, operands: &[&[f32]], _with_gradients: bool) -> (Vec<f32>, [usize; 2], ()) {
        let Self(kernel) = self;
        let rows = kernel.rows(operands);
        let parts =
            on_each(&blocks(rows, false), |rows| kernel.flow.inverse_block(&kernel.block(operands, rows).0).to_vec());
        (parts.concat(), [rows, kernel.flow.dim], ())
    }

    fn backward(&self, _: &[&[f32]], (): &(), _: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        unreachable!("the inverse is computed without gradients")
    }
}
