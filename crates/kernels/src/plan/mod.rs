//! Computes a training loss and all its gradients in one pass: a summary of the data, a condition, and a loss.
//!
//! One thread takes a block of the batch forward through the summary network and the loss, and back through both,
//! before anything is added up. So threads synchronise twice, instead of six times with both networks as operations of
//! Burn's graph; results of the forward pass are still in the cache when the backward pass needs them; and no graph is
//! built.

mod batch;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
mod loss;
mod summary;

pub use self::{
    batch::{Batch, Data, Input},
    loss::{Loss, LossBlock, LossOfBlock, LossOperation},
    summary::{Summary, SummaryBlock, SummaryOperation},
};

use self::batch::Widths;
use crate::{
    blocks::{blocks, on_each},
    gradients::{Gradients, groups, write_sum},
    memory::Buffer,
    op::{
        adam::sum_of_squares,
        columns::{columns, join},
    },
    operation::Operands,
};
use burn::module::ParamId;
use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// An operation with its operands.
#[derive(Debug)]
pub struct Part<O> {
    /// The operation, which names operands by their places.
    pub operation: O,
    /// The operands: parameters.
    pub operands: Operands,
}

/// A training loss: the mean of the weighted losses of a batch's rows.
///
/// Data go through a summary network, if there is one. Its summaries and the direct conditions, side by side, are the
/// condition of the loss. All parameters are in one array, and so are all gradients.
#[derive(Debug)]
pub struct Plan {
    pub(crate) summary: Option<Summary>,
    pub(crate) loss: Loss,
    pub(crate) parameters: Vec<Parameter>,
    /// The number of operands of each part.
    pub(crate) operands: [usize; 2],
}

#[derive(Debug)]
pub(crate) struct Parameter {
    id: ParamId,
    pub(crate) part: DensityPart,
    /// Its place among the operands of its part.
    pub(crate) operand: usize,
    /// Where its values are among those of all parameters.
    pub(crate) range: Range<usize>,
}

/// The part of a plan that a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DensityPart {
    /// The summary network.
    Summary,
    /// The network behind the condition, which has the loss.
    Inference,
}

impl DensityPart {
    /// The index of the part in pairs.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Summary => 0,
            Self::Inference => 1,
        }
    }
}

/// Values of both parts' operands, and of which gradients are wanted.
struct Pass<'a> {
    operands: [Vec<&'a [f32]>; 2],
    wanted: [Vec<bool>; 2],
    wants_condition: bool,
}

/// A block's share of the loss, and of the gradients of both parts' operands.
struct BlockOfLoss {
    loss: f64,
    gradients: [Vec<Option<Buffer>>; 2],
}

impl Plan {
    /// A plan of a loss and, if there is one, the summary network in front of it.
    ///
    /// # Panics
    /// If an operand is not a parameter.
    #[must_use]
    pub fn new(summary: Option<Part<Summary>>, loss: Part<Loss>) -> Self {
        let (summary, of_summary) = match summary {
            Some(Part { operation, operands }) => (Some(operation), operands),
            None => (None, Operands::default()),
        };
        let (mut parameters, mut numbers) = (Vec::new(), 0);
        for (part, operands) in [(DensityPart::Summary, &of_summary), (DensityPart::Inference, &loss.operands)] {
            assert_eq!(operands.parameters().count(), operands.len(), "operands that are parameters");
            for (operand, id, len) in operands.parameters() {
                let range = numbers..numbers + len;
                numbers += len;
                parameters.push(Parameter { id, part, operand, range });
            }
        }
        let operands = [of_summary.len(), loss.operands.len()];
        Self { summary, loss: loss.operation, parameters, operands }
    }

    /// Whether the loss is −ln q of the targets.
    #[must_use]
    pub fn is_of_density(&self) -> bool {
        self.loss.density().is_some()
    }

    /// All parameters in their order: identity, part, and where their values are.
    pub fn parameters(&self) -> impl Iterator<Item = (ParamId, DensityPart, Range<usize>)> {
        self.parameters.iter().map(|parameter| (parameter.id, parameter.part, parameter.range.clone()))
    }

    /// Computes the loss, and the norm of all gradients of these parts together. Gradients have the same places as the
    /// parameters' values; gradients of other parts are not changed.
    ///
    /// # Panics
    /// If the lengths of the batch's arrays do not fit the networks or each other, or those of `values` or `gradients`
    /// the parameters.
    pub fn with_gradients(
        &self,
        batch: &Batch,
        values: &[f32],
        trained: &[DensityPart],
        gradients: &mut [f32],
    ) -> (f64, f64) {
        let numbers = self.parameters.last().map_or(0, |parameter| parameter.range.end);
        assert_eq!((values.len(), gradients.len()), (numbers, numbers), "numbers of all parameters, and of gradients");
        let sets = batch.check(self.widths());
        let pass = self.pass(values, trained);
        let parts = on_each(&blocks(sets, true), |block| self.block(batch, block, sets, &pass));
        let loss = parts.iter().map(|part| part.loss).sum();
        (loss, self.sum(&parts, gradients))
    }

    /// The numbers that a batch's arrays have for each row.
    pub(crate) fn widths(&self) -> Widths {
        let summary_dim = self.summary.as_ref().map_or(0, Summary::summary_dim);
        Widths {
            direct: self.loss.condition_dim() - summary_dim,
            targets: self.loss.target_dim(),
            dropout: self.loss.dropout_dim(),
        }
    }

    fn pass<'a>(&self, values: &'a [f32], trained: &[DensityPart]) -> Pass<'a> {
        let mut operands = self.operands.map(|len| vec![&[][..]; len]);
        let mut wanted = self.operands.map(|len| vec![false; len]);
        for Parameter { part, operand, range, .. } in &self.parameters {
            operands[part.index()][*operand] = &values[range.clone()];
            wanted[part.index()][*operand] = trained.contains(part);
        }
        let wants_condition = wanted[DensityPart::Summary.index()].contains(&true);
        Pass { operands, wanted, wants_condition }
    }

    fn block(&self, batch: &Batch, block: Range<usize>, sets: usize, pass: &Pass<'_>) -> BlockOfLoss {
        let rows = block.len();
        let of_block = |values: &'_ [f32]| block.start * (values.len() / sets)..block.end * (values.len() / sets);
        let [of_summary, of_loss] = &pass.operands;
        let [mut summary_gradients, mut loss_gradients] =
            [0, 1].map(|part| Gradients::new(&pass.operands[part], &pass.wanted[part]));

        let inputs: Vec<Data<'_>> = batch.inputs.iter().map(|input| input.block(&block)).collect();
        let wanted = vec![false; inputs.len()];
        let summaries = self
            .summary
            .as_ref()
            .map(|summary| summary.forward(SummaryBlock { operands: of_summary, inputs: &inputs, wanted: &wanted }));
        let output = summaries.as_ref().map_or(&[][..], |summaries| summaries.output());
        let direct = &batch.direct[of_block(&batch.direct)];
        let widths = [output.len() / rows, direct.len() / rows];
        let mut condition = Buffer::new(output.len() + direct.len());
        join(output, direct, widths, &mut condition);

        let loss_block = LossBlock {
            operands: of_loss,
            rows,
            batch: sets,
            condition: &condition,
            targets: &batch.targets[of_block(&batch.targets)],
            weights: batch.weights.as_ref().map(|weights| &weights[block.clone()]),
            dropout: &batch.dropout[of_block(&batch.dropout)],
            wants_condition: pass.wants_condition,
        };
        let LossOfBlock { weighted_sum, grad_condition } = self.loss.block(&loss_block, &mut loss_gradients);

        if let (Some(summaries), Some(grad_condition)) = (&summaries, grad_condition) {
            let mut grad_output = Buffer::new(output.len());
            columns(&grad_condition, widths[0] + widths[1], widths[0], &mut grad_output);
            summaries.backward(&grad_output, &mut summary_gradients);
        }
        let gradients = [summary_gradients.into_values(), loss_gradients.into_values()];
        BlockOfLoss { loss: weighted_sum / sets as f64, gradients }
    }

    /// Sums over blocks in their order, independent of threads; returns the norm of all gradients together.
    fn sum(&self, parts: &[BlockOfLoss], gradients: &mut [f32]) -> f64 {
        let mut rest = gradients;
        let mut places = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            let (this, others) = rest.split_at_mut(parameter.range.len());
            places.push(Mutex::new(this));
            rest = others;
        }
        let sum = |index: usize| {
            let Parameter { part, operand, .. } = &self.parameters[index];
            let mut place = places[index].lock().unwrap_or_else(PoisonError::into_inner);
            let terms = parts.iter().filter_map(|block| block.gradients[part.index()][*operand].as_deref());
            if terms.clone().next().is_none() {
                return 0.0;
            }
            write_sum(&mut place, terms);
            sum_of_squares(&place)
        };
        let squares = on_each(&groups(self.parameters.len()), |group| group.map(sum).sum::<f64>());
        squares.iter().sum::<f64>().sqrt()
    }
}
