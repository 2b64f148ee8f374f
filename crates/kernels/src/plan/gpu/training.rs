//! Takes training steps on a GPU: the loss of a plan, all its gradients, and Adam's step, without anything coming back
//! but two numbers.

#![allow(clippy::assign_op_pattern, reason = "shared memory is indexed once for reading and once for writing")]

use super::{GpuGradients, GpuInput, GpuLossRows, GpuLosses, GpuPlan};
use crate::{
    gpu::{Gpu, GpuFailure, Numbers, Rows},
    op::adam::{
        Adam,
        gpu::{AdamArrays, AdamStep},
    },
    plan::{Batch, DensityPart, Input, Plan, batch::Widths},
};
use burn::tensor::Device;
use cubecl::prelude::*;

const PARTS: [DensityPart; 2] = [DensityPart::Summary, DensityPart::Inference];

/// Parameters, their gradients and what Adam keeps of them, on a GPU.
#[derive(Debug)]
pub struct GpuTraining {
    plan: GpuPlan,
    /// The numbers that arrays of a batch have for each row of targets.
    widths: Widths,
    gradients: Numbers,
    first: Numbers,
    second: Numbers,
    /// Rows of targets, and of each input, of the last step.
    shape: Vec<usize>,
}

/// A batch that is on the GPU, or on its way there.
#[derive(Debug)]
pub struct GpuBatch {
    inputs: Vec<GpuInput>,
    direct: Rows,
    targets: Rows,
    weights: Option<Numbers>,
    dropout: Option<Rows>,
}

/// The loss and the gradients of a batch, which the GPU is computing.
#[derive(Debug)]
pub struct GpuStepBegun {
    results: Numbers,
    sets: usize,
}

/// How far a step goes.
#[derive(Debug, Clone, Copy)]
pub struct GpuStep {
    /// The constants of Adam.
    pub adam: Adam,
    /// The learning rate.
    pub rate: f32,
    /// The largest norm of the gradients together; infinite for none.
    pub max_norm: f32,
    /// The number of the step, from 1, for each part's parameters; 0 for those that are not trained.
    pub times: [usize; 2],
}

impl GpuTraining {
    /// Of this plan, on this device, with values of all parameters and Adam's averages of their gradients and of the
    /// squares of these. `None` if the device is not a GPU, or an operation has no GPU code.
    #[must_use]
    pub fn new(device: &Device, plan: &Plan, state: [&[f32]; 3]) -> Option<Self> {
        let [values, first, second] = state;
        let widths = plan.widths();
        let plan = GpuPlan::new(device, plan, values)?;
        let gpu = &plan.gpu;
        let (gradients, first, second) =
            (gpu.empty(values.len()), gpu.upload(first.to_vec()), gpu.upload(second.to_vec()));
        Some(Self { gradients, first, second, shape: Vec::new(), widths, plan })
    }

    /// Has a batch copied to the GPU, behind what that has to do already.
    ///
    /// # Panics
    /// If the lengths of the batch's arrays do not fit the networks or each other.
    #[must_use]
    pub fn upload(&self, batch: Batch) -> GpuBatch {
        let (gpu, widths) = (&self.plan.gpu, self.widths);
        let sets = batch.check(widths);
        let Batch { inputs, direct, targets, weights, dropout } = batch;
        let rows = |values: Vec<f32>, width: usize| Rows { values: gpu.upload(values), rows: sets, width };
        GpuBatch {
            inputs: inputs.into_iter().map(|input| GpuInput::new(gpu, input)).collect(),
            direct: rows(direct, widths.direct),
            targets: rows(targets, widths.targets),
            weights: weights.map(|weights| gpu.upload(weights)),
            dropout: (widths.dropout > 0).then(|| rows(dropout, widths.dropout)),
        }
    }

    /// Has the GPU compute the loss and the gradients of the parts that are trained, and does not wait for it.
    #[must_use]
    pub fn gradients(&mut self, batch: GpuBatch, trained: [bool; 2]) -> GpuStepBegun {
        let GpuBatch { inputs, direct, targets, weights, dropout } = batch;
        let sets = targets.rows;
        let shape: Vec<usize> = std::iter::once(sets).chain(inputs.iter().map(|input| input.rows.rows)).collect();
        let plan = &self.plan;
        if self.shape != shape {
            self.shape = shape;
            plan.gpu.release();
        }
        let [of_summary, of_loss] = PARTS.map(|part| plan.operands(part));
        let summaries = plan.summary().map(|summary| summary.forward(plan.pass(&of_summary, None, true), &inputs));
        let condition = match summaries.as_ref().map(|summaries| summaries.output()) {
            None => direct,
            Some(summaries) if direct.width == 0 => summaries.clone(),
            Some(summaries) => plan.gpu.join(summaries, &direct),
        };

        let [trains_summary, trains_inference] = trained;
        let loss_gradients = self.partial(DensityPart::Inference, sets, trains_inference);
        let rows = GpuLossRows {
            condition: &condition,
            targets: &targets,
            weights: weights.as_ref(),
            wants_condition: trains_summary && !plan.ranges[0].is_empty(),
        };
        let pass = plan.pass(&of_loss, dropout.as_ref(), true);
        let GpuLosses { losses, grad_condition } = plan.loss().loss(pass, rows, &loss_gradients);

        let mut squares = Vec::new();
        if let (Some(summaries), Some(grad_condition)) = (summaries, grad_condition) {
            let rows = inputs.first().map_or(sets, |input| input.rows.rows);
            let gradients = self.partial(DensityPart::Summary, rows, true);
            let grad_output = plan.gpu.columns(&grad_condition, summaries.output().width);
            summaries.backward(grad_output, &gradients);
            squares.push(plan.gpu.reduce(&gradients, &self.gradients.part(plan.ranges[0].clone())));
        }
        if trains_inference {
            squares.push(plan.gpu.reduce(&loss_gradients, &self.gradients.part(plan.ranges[1].clone())));
        }
        GpuStepBegun { results: plan.gpu.finish(&losses, &squares), sets }
    }

    /// Has the GPU update the parameters by the gradients, and does not wait for it. If the loss or the norm of the
    /// gradients is not finite, nothing changes.
    pub fn update(&mut self, begun: &GpuStepBegun, step: &GpuStep) {
        let plan = &self.plan;
        for (range, time) in plan.ranges.iter().zip(step.times) {
            if time > 0 && !range.is_empty() {
                let [values, gradients, first, second] =
                    [&plan.values, &self.gradients, &self.first, &self.second].map(|array| array.part(range.clone()));
                let arrays = AdamArrays { values, gradients, first, second };
                let step = AdamStep { adam: step.adam, rate: step.rate, max_norm: step.max_norm, time };
                plan.gpu.adam(&arrays, &begun.results, step);
            }
        }
    }

    /// The loss before a step, and the norm of its gradients.
    ///
    /// # Errors
    /// As [`GpuDensity::summaries`](crate::GpuDensity::summaries).
    pub fn finish(&self, step: &GpuStepBegun) -> Result<(f64, f64), GpuFailure> {
        let results = self.plan.gpu.read(&step.results)?;
        Ok((f64::from(results[0]) / step.sets as f64, f64::from(results[1]).sqrt()))
    }

    /// Values of all parameters, and Adam's averages of their gradients and of the squares of these.
    ///
    /// # Errors
    /// As [`GpuTraining::finish`].
    pub fn state(&self) -> Result<[Vec<f32>; 3], GpuFailure> {
        let GpuPlan { gpu, values, .. } = &self.plan;
        Ok([gpu.read(values)?, gpu.read(&self.first)?, gpu.read(&self.second)?])
    }

    /// Where the parts of so many rows put the gradients of a part's parameters.
    fn partial(&self, part: DensityPart, rows: usize, wanted: bool) -> GpuGradients {
        let GpuPlan { gpu, operands, ranges, .. } = &self.plan;
        let range = &ranges[part.index()];
        let parts = if wanted { (rows / 256).clamp(1, 256) } else { 0 };
        let places = operands[part.index()].iter().map(|of| wanted.then_some(of.start - range.start)).collect();
        GpuGradients { values: gpu.empty(parts * range.len()), parts, stride: range.len(), places }
    }
}

impl GpuInput {
    pub(super) fn new(gpu: &Gpu, input: Input) -> Self {
        let Input { values, shape, mask } = input;
        let width = shape.last().copied().unwrap_or(1);
        Self { rows: Rows::new(gpu.upload(values), width), shape, mask: mask.map(|mask| gpu.upload(mask)) }
    }
}

impl Gpu {
    /// The sums of the parts' gradients, and sums of their squares.
    fn reduce(&self, parts: &GpuGradients, gradients: &Numbers) -> Numbers {
        let (count, dim) = self.each(parts.stride);
        let squares = self.empty(parts.stride.div_ceil(self.threads as usize));
        let values = parts.values.arg();
        let (of, sums) = (gradients.arg(), squares.arg());
        let threads = self.threads as usize;
        reduce::launch(&self.client, count, dim, values, of, sums, parts.stride, parts.parts, threads);
        squares
    }

    /// The sum of the losses, and that of all squares.
    fn finish(&self, losses: &Numbers, squares: &[Numbers]) -> Numbers {
        let results = self.empty(2);
        let [first, second] = [0, 1].map(|i| squares.get(i));
        let len = |squares: Option<&Numbers>| squares.map_or(0, |squares| squares.len);
        finish::launch(
            &self.client,
            CubeCount::Static(1, 1, 1),
            CubeDim::new_1d(self.threads),
            losses.arg(),
            first.unwrap_or(losses).arg(),
            second.unwrap_or(losses).arg(),
            results.arg(),
            SumsLaunch { losses: losses.len, first: len(first), second: len(second) },
            self.threads as usize,
        );
        results
    }
}

/// How many numbers are added up.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sums {
    losses: usize,
    first: usize,
    second: usize,
}

/// The sum of a cube's numbers, in an order of its own, the same each time.
#[cube]
fn sum_of_cube(value: f32, #[comptime] threads: usize) -> f32 {
    let mut sums = Shared::<[f32]>::new_slice(threads);
    let thread = UNIT_POS as usize;
    sums[thread] = value;
    sync_cube();
    let mut half = comptime!(threads / 2).runtime();
    while half > 0 {
        if thread < half {
            sums[thread] = sums[thread] + sums[thread + half];
        }
        sync_cube();
        half /= 2;
    }
    sums[0]
}

#[cube(launch)]
fn reduce(
    parts: &[f32],
    gradients: &mut [f32],
    squares: &mut [f32],
    numbers: usize,
    count: usize,
    #[comptime] threads: usize,
) {
    let at = ABSOLUTE_POS;
    let mut sum = 0.0f32;
    if at < numbers {
        for part in 0..count {
            sum += parts[part * numbers + at];
        }
        gradients[at] = sum;
    }
    let total = sum_of_cube(sum * sum, threads);
    if UNIT_POS == 0 {
        squares[CUBE_POS_X as usize] = total;
    }
}

/// The sum of all numbers; each thread keeps what rounding loses of its own (Kahan 1965).
#[cube]
fn sum_of_all(values: &[f32], len: usize, #[comptime] threads: usize) -> f32 {
    let mut sum = 0.0f32;
    let mut lost = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < len {
        let term = values[at] - lost;
        let next = sum + term;
        lost = (next - sum) - term;
        sum = next;
        at += threads;
    }
    sum_of_cube(sum, threads)
}

#[cube(launch)]
fn finish(losses: &[f32], first: &[f32], second: &[f32], results: &mut [f32], lens: Sums, #[comptime] threads: usize) {
    let loss = sum_of_all(losses, lens.losses, threads);
    let of_first = sum_of_all(first, lens.first, threads);
    let of_second = sum_of_all(second, lens.second, threads);
    if UNIT_POS == 0 {
        results[0] = loss;
        results[1] = of_first + of_second;
    }
}
