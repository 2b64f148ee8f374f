//! Computes a posterior's training loss and all its gradients at once.
//!
//! A block of the batch goes through both networks, the loss, and back through both, on one thread, before anything is added up. So the
//! cores meet twice, where they meet six times if both networks are operations of Burn's graph, what the forward pass leaves is still
//! near when the backward pass needs it, and there is no graph to build.

use crate::{
    adam::sum_of_squares,
    blocks::{blocks, on_each},
    coupling::columns,
    deep_set::SetNetwork,
    flow::{Flow, join},
    gradients::{groups, write_sum},
    memory::Buffer,
    operation::Operands,
};
use burn::module::ParamId;
use std::{
    f64::consts::TAU,
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// The mean of −w log q(θ | x), where q is a flow whose condition is a set network's output, if there is one, and behind it numbers given
/// directly.
#[derive(Debug)]
pub struct DensityLoss {
    pub(crate) summary: Option<SetNetwork>,
    pub(crate) inference: Flow,
    /// Added to each −log q.
    pub(crate) constant: f64,
    pub(crate) parameters: Vec<Parameter>,
    /// The number of operands of both networks.
    pub(crate) operands: [usize; 2],
}

#[derive(Debug)]
pub(crate) struct Parameter {
    id: ParamId,
    pub(crate) part: DensityPart,
    /// Its place among the operands of its network.
    pub(crate) operand: usize,
    /// Where its values are among those of all parameters.
    pub(crate) range: Range<usize>,
}

/// The part of the networks that a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DensityPart {
    /// The set network.
    Summary,
    /// The flow.
    Inference,
}

/// Simulations to compute the loss of, B of them.
#[derive(Debug, Clone)]
pub struct DensityBatch {
    /// x, `[B, N, F]`; empty where there is no set network.
    pub data: Vec<f32>,
    /// N.
    pub observations: usize,
    /// What the condition has beside the set network's output, `[B, C]`; may be empty.
    pub direct: Vec<f32>,
    /// θ, `[B, D]`.
    pub targets: Vec<f32>,
    /// w, `[B]`; `None`: 1 for all.
    pub weights: Option<Vec<f32>>,
    /// The masks of the flow's dropped units, `[B, W]`; empty where none are.
    pub masks: Vec<f32>,
}

impl DensityPart {
    /// The place of its network in pairs of what both have.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Summary => 0,
            Self::Inference => 1,
        }
    }
}

/// A block's share of the loss, and of the gradients of both networks' operands.
struct BlockOfLoss {
    loss: f64,
    gradients: [Vec<Option<Buffer>>; 2],
}

impl DensityLoss {
    /// Of one or both networks with their operands, among which are their parameters.
    #[must_use]
    pub fn new(summary: Option<(SetNetwork, Operands)>, inference: (Flow, Operands), constant: f64) -> Self {
        let (mut parameters, mut numbers) = (Vec::new(), 0);
        let summary = match summary {
            Some((network, operands)) => (Some(network), operands),
            None => (None, Operands::default()),
        };
        for (part, operands) in [(DensityPart::Summary, &summary.1), (DensityPart::Inference, &inference.1)] {
            for (operand, id, len) in operands.parameters() {
                let range = numbers..numbers + len;
                numbers += len;
                parameters.push(Parameter { id, part, operand, range });
            }
        }
        let operands = [summary.1.len(), inference.1.len()];
        Self { summary: summary.0, inference: inference.0, constant, parameters, operands }
    }

    /// All parameters in their order: identity, part, and where their values are.
    pub fn parameters(&self) -> impl Iterator<Item = (ParamId, DensityPart, Range<usize>)> {
        self.parameters.iter().map(|parameter| (parameter.id, parameter.part, parameter.range.clone()))
    }

    /// The loss, and the norm of the gradients of all parameters of these parts together. The gradients go where the parameters' values
    /// are; those of other parts stay as they are.
    ///
    /// # Panics
    /// If the lengths of the batch's arrays do not fit the networks or each other, or those of `values` or `gradients` the parameters.
    pub fn with_gradients(
        &mut self,
        batch: &DensityBatch,
        values: &[f32],
        trained: &[DensityPart],
        gradients: &mut [f32],
    ) -> (f64, f64) {
        let (mut features, mut units) = (0, 0);
        if let Some(summary) = &mut self.summary {
            summary.observations = batch.observations;
            (features, units) = (summary.features, summary.after.units());
        }
        let sets = batch.targets.len() / self.inference.dim;
        let numbers = self.parameters.last().map_or(0, |parameter| parameter.range.end);
        assert_eq!((values.len(), gradients.len()), (numbers, numbers), "numbers of all parameters, and of gradients");
        assert_eq!(batch.targets.len(), sets * self.inference.dim, "targets of whole rows");
        assert_eq!(batch.data.len(), sets * batch.observations * features, "data of as many sets as targets");
        let given = self.inference.condition.map_or(0, |(_, width)| width - units);
        assert_eq!(batch.direct.len(), sets * given, "direct conditions of each set");
        let dropped = self.inference.masks.map_or(0, |(_, width)| width);
        assert_eq!(batch.masks.len(), sets * dropped, "masks of each set");
        assert!(batch.weights.as_ref().is_none_or(|weights| weights.len() == sets), "a weight for each set");
        let mut operands = self.operands.map(|len| vec![&[][..]; len]);
        let mut wanted = self.operands.map(|len| vec![false; len]);
        for parameter in &self.parameters {
            let network = parameter.part.index();
            operands[network][parameter.operand] = &values[parameter.range.clone()];
            wanted[network][parameter.operand] = trained.contains(&parameter.part);
        }
        if let Some((condition, _)) = self.inference.condition {
            wanted[1][condition] = self.summary.is_some() && trained.contains(&DensityPart::Summary);
        }
        let parts = on_each(&blocks(sets, true), |block| self.block(batch, block, sets, &operands, &wanted));
        let loss = parts.iter().map(|part| part.loss).sum();
        (loss, self.sum(&parts, gradients))
    }

    fn block(
        &self,
        batch: &DensityBatch,
        block: Range<usize>,
        sets: usize,
        operands: &[Vec<&[f32]>; 2],
        wanted: &[Vec<bool>; 2],
    ) -> BlockOfLoss {
        let rows = block.len();
        let of_block = |values: &[f32]| block.start * (values.len() / sets)..block.end * (values.len() / sets);
        let [mut summary_operands, mut inference_operands] = operands.clone();
        if let Some(summary) = &self.summary {
            summary_operands[summary.data] = &batch.data[of_block(&batch.data)];
        }
        inference_operands[self.inference.targets] = &batch.targets[of_block(&batch.targets)];
        if let Some((place, _)) = self.inference.masks {
            inference_operands[place] = &batch.masks[of_block(&batch.masks)];
        }
        let direct = &batch.direct[of_block(&batch.direct)];
        let all = 0..rows;

        let summary = self.summary.as_ref().map(|network| (network, network.forward_block(&summary_operands, &all)));
        let output = summary.as_ref().map_or(&[][..], |(_, summary)| summary.output());
        let width = output.len() / rows;
        let mut condition = Buffer::new(output.len() + direct.len());
        join(output, direct, [width, direct.len() / rows], &mut condition);
        if let Some((place, _)) = self.inference.condition {
            inference_operands[place] = &condition;
        }
        let flow_block = self.inference.block(&inference_operands, all.clone());
        let dim = self.inference.dim;
        let mut out = Vec::with_capacity(rows * (dim + 1));
        let flow = self.inference.forward_block(&inference_operands, &flow_block, &mut out);

        // −log q = z²/2 + D/2 ln 2π − ln|det ∂z/∂θ|; the gradients of z and of the log-determinant take their places.
        let constant = self.constant + 0.5 * dim as f64 * TAU.ln();
        let mut loss = 0.0;
        for (row, out) in out.chunks_exact_mut(dim + 1).enumerate() {
            let weight = batch.weights.as_ref().map_or(1.0, |weights| weights[block.start + row]);
            let (z, log_det) = out.split_at_mut(dim);
            let squares: f64 = z.iter().map(|&z| f64::from(z) * f64::from(z)).sum();
            loss += f64::from(weight) * (0.5 * squares + constant - f64::from(log_det[0]));
            let share = weight / sets as f32;
            z.iter_mut().for_each(|z| *z *= share);
            log_det[0] = -share;
        }

        let (_, of_condition, of_inference) =
            self.inference.backward_block(&inference_operands, &flow_block, &flow, &out, &wanted[1]);
        let of_summary = match (&summary, of_condition) {
            (Some((network, summary)), Some(of_condition)) => {
                let mut of_output = Buffer::new(rows * width);
                columns(&of_condition, of_condition.len() / rows, width, &mut of_output);
                network.backward_block(&summary_operands, &all, summary, &of_output, &wanted[0]).1
            }
            _ => wanted[0].iter().map(|_| None).collect(),
        };
        BlockOfLoss { loss: loss / sets as f64, gradients: [of_summary, of_inference] }
    }

    /// The sums over blocks, in their order, whatever threads they came from; returns the norm of all together.
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
