//! Runs a plan on a GPU: its parameters, and what its operations there are to it.

mod density;
mod training;

pub use self::{
    density::GpuDensity,
    training::{GpuBatch, GpuStep, GpuStepBegun, GpuTraining},
};

use super::{DensityPart, Loss, Plan, Summary};
use crate::gpu::{Gpu, Numbers, Rows, client};
use burn::tensor::Device;
use std::{fmt, ops::Range};

/// A summary network on a GPU.
pub trait GpuSummary: fmt::Debug {
    /// The most numbers that a row of data is in it.
    fn widest(&self) -> usize;

    /// Goes from data to summaries.
    fn forward<'a>(&'a self, pass: GpuPass<'a>, inputs: &'a [GpuInput]) -> Box<dyn GpuSummaries + 'a>;
}

/// Summaries of data sets, with the way back.
pub trait GpuSummaries {
    /// `[B, S]`.
    fn output(&self) -> &Rows;

    /// Writes the gradients of the parameters, from those of the summaries.
    fn backward(self: Box<Self>, grad_output: Rows, gradients: &GpuGradients);
}

/// The network behind the condition, and its loss, on a GPU.
pub trait GpuLoss: fmt::Debug {
    /// The most numbers that a row of targets is in it, with the condition.
    fn widest(&self) -> usize;

    /// Arrays that it needs on the GPU beside parameters, uploaded once.
    fn constants(&self, _gpu: &Gpu) -> Vec<Numbers> {
        Vec::new()
    }

    /// The weighted loss of each row, and its gradients.
    fn loss(&self, pass: GpuPass<'_>, rows: GpuLossRows<'_>, gradients: &GpuGradients) -> GpuLosses;
}

/// The device, parameters and other arrays that all operations of a part share in a pass.
#[derive(Debug, Clone, Copy)]
pub struct GpuPass<'a> {
    pub(crate) gpu: &'a Gpu,
    /// Operands by their places.
    pub(crate) operands: &'a [Numbers],
    /// The arrays of [`GpuLoss::constants`].
    pub(crate) constants: &'a [Numbers],
    /// The masks of dropped units.
    pub(crate) dropout: Option<&'a Rows>,
    /// Whether a backward pass follows.
    pub(crate) keeps: bool,
}

/// Data sets on a GPU.
#[derive(Debug)]
pub struct GpuInput {
    /// Row after row; sets of a shape `[N, F]` have N rows each.
    pub(crate) rows: Rows,
    /// The shape of one data set.
    pub(crate) shape: Vec<usize>,
    /// Which rows are there; `None`: all.
    pub(crate) mask: Option<Numbers>,
}

/// The rows of a batch on a GPU.
#[derive(Debug, Clone, Copy)]
pub struct GpuLossRows<'a> {
    /// Of width 0 if there is no condition.
    pub(crate) condition: &'a Rows,
    pub(crate) targets: &'a Rows,
    pub(crate) weights: Option<&'a Numbers>,
    /// Whether the gradient of the condition is wanted.
    pub(crate) wants_condition: bool,
}

/// The losses of a batch's rows, and the gradient of the condition.
#[derive(Debug)]
pub struct GpuLosses {
    /// Of each row, times its weight.
    pub(crate) losses: Numbers,
    pub(crate) grad_condition: Option<Rows>,
}

/// Where gradients go: an array for each part of the rows, one after the other, with the gradients of all parameters in
/// it.
#[derive(Debug)]
pub struct GpuGradients {
    pub(crate) values: Numbers,
    pub(crate) parts: usize,
    /// Numbers of an array.
    pub(crate) stride: usize,
    /// Where in the first array the gradient of each operand is, if it is wanted.
    pub(crate) places: Vec<Option<usize>>,
}

impl GpuGradients {
    pub(crate) fn of(&self, operand: usize) -> Option<Numbers> {
        self.places[operand].map(|place| self.values.from(place))
    }

    pub(crate) fn parts(&self) -> (usize, usize) {
        (self.parts, self.stride)
    }
}

/// A plan with values of its parameters, on a GPU.
#[derive(Debug)]
struct GpuPlan {
    gpu: Gpu,
    summary: Option<Summary>,
    loss: Loss,
    /// Where each part's operands are among the values of all, in the order of their places.
    operands: [Vec<Range<usize>>; 2],
    /// Where each part's parameters are.
    ranges: [Range<usize>; 2],
    values: Numbers,
    constants: Vec<Numbers>,
}

impl GpuPlan {
    /// `None` if the device is not a GPU, or an operation has no GPU code.
    fn new(device: &Device, plan: &Plan, values: &[f32]) -> Option<Self> {
        let Plan { summary, loss, parameters, .. } = plan;
        if summary.as_ref().is_some_and(|summary| summary.on_gpu().is_none()) {
            return None;
        }
        let gpu = Gpu::new(client(device)?);
        let constants = loss.on_gpu()?.constants(&gpu);
        let operands = [DensityPart::Summary, DensityPart::Inference].map(|part| {
            let of_part = parameters.iter().filter(|parameter| parameter.part == part);
            of_part.map(|parameter| parameter.range.clone()).collect::<Vec<_>>()
        });
        let middle = operands[0].last().map_or(0, |range| range.end);
        Some(Self {
            summary: summary.clone(),
            loss: loss.clone(),
            operands,
            ranges: [0..middle, middle..values.len()],
            values: gpu.upload(values.to_vec()),
            constants,
            gpu,
        })
    }

    fn summary(&self) -> Option<&dyn GpuSummary> {
        self.summary.as_ref().and_then(Summary::on_gpu)
    }

    fn loss(&self) -> &dyn GpuLoss {
        self.loss.on_gpu().expect("a plan whose loss has code for a GPU")
    }

    /// A part's operands.
    fn operands(&self, part: DensityPart) -> Vec<Numbers> {
        self.operands[part.index()].iter().map(|range| self.values.part(range.clone())).collect()
    }

    fn pass<'a>(&'a self, operands: &'a [Numbers], dropout: Option<&'a Rows>, keeps: bool) -> GpuPass<'a> {
        GpuPass { gpu: &self.gpu, operands, constants: &self.constants, dropout, keeps }
    }
}
