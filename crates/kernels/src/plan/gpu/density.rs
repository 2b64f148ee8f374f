//! Computes summaries, densities and draws on a GPU.

use super::{GpuInput, GpuPlan};
use crate::{
    gpu::{GpuFailure, Rows},
    op::{
        flow::{Flow, gpu::Latents},
        log_density::NegativeLogDensity,
    },
    plan::{DensityPart, Input, Plan},
};
use burn::tensor::Device;

/// A plan whose loss is a negative log density, with values of its parameters, on a GPU.
#[derive(Debug)]
pub struct GpuDensity {
    plan: GpuPlan,
    density: NegativeLogDensity,
}

impl GpuDensity {
    /// The networks of this plan, on this device, with values of all parameters. `None` if the device is not a GPU, an
    /// operation has no GPU code, or the loss is not a [`NegativeLogDensity`].
    #[must_use]
    pub fn new(device: &Device, plan: &Plan, values: &[f32]) -> Option<Self> {
        Some(Self { density: plan.loss.density()?.clone(), plan: GpuPlan::new(device, plan, values)? })
    }

    /// How many observations of data sets, and rows of targets, are to be given at a time: as many as make 134 MB in
    /// the widest layer.
    #[must_use]
    pub fn rows_at_once(&self) -> [usize; 2] {
        const AT_ONCE: usize = 1 << 25;
        let of_flow = self.plan.loss().widest();
        let of_summary = self.plan.summary().map_or(of_flow, |summary| summary.widest());
        [of_summary, of_flow].map(|widest| (AT_ONCE / widest).max(1))
    }

    /// Gives back the memory that jobs have used, which the next one of the same sizes would have used again.
    pub fn release(&self) {
        self.plan.gpu.release();
    }

    /// Summaries, `[B, S]`, of data sets; nothing if there is no summary network.
    ///
    /// # Errors
    /// What the GPU or its driver failed at: memory that is not there, for one.
    ///
    /// # Panics
    /// If the data have another shape than the network takes.
    pub fn summaries(&self, inputs: Vec<Input>) -> Result<Vec<f32>, GpuFailure> {
        let (Some(summary), gpu) = (self.plan.summary(), &self.plan.gpu) else { return Ok(Vec::new()) };
        let inputs: Vec<GpuInput> = inputs.into_iter().map(|input| GpuInput::new(gpu, input)).collect();
        let operands = self.plan.operands(DensityPart::Summary);
        let summaries = summary.forward(self.plan.pass(&operands, None, false), &inputs);
        gpu.read(&summaries.output().values)
    }

    fn flow(&self) -> &Flow {
        &self.density.flow
    }

    /// Rows of targets or latents, and the condition's, uploaded.
    fn upload(&self, values: Vec<f32>, condition: Vec<f32>) -> [Rows; 2] {
        let (gpu, Flow { dim, condition_dim: width, dropout_dim, .. }) = (&self.plan.gpu, self.flow());
        assert_eq!(*dropout_dim, 0, "no units are dropped at inference");
        assert!(values.len().is_multiple_of(*dim), "targets of whole rows");
        let targets = values.len() / dim;
        // Of width 0, one for each row of targets, if the flow has no condition.
        let rows = condition.len().checked_div(*width).unwrap_or(targets);
        let fits = rows > 0 && condition.len() == rows * width && targets.is_multiple_of(rows);
        assert!(fits, "{} numbers for a condition of width {width}, for {targets} rows of targets", condition.len());
        let condition = Rows { values: gpu.upload(condition), rows, width: *width };
        [Rows::new(gpu.upload(values), *dim), condition]
    }

    /// Latents `[B, D]` and ln q `[B]` of targets `[B, D]`, given the flow's condition, `[M, C]`, of which each row
    /// belongs to B / M rows of targets that follow one another.
    ///
    /// # Errors
    /// As [`GpuDensity::summaries`].
    ///
    /// # Panics
    /// If targets are not whole rows, M does not divide B, or the flow drops units.
    pub fn evaluate(&self, targets: Vec<f32>, condition: Vec<f32>) -> Result<(Vec<f32>, Vec<f32>), GpuFailure> {
        let [targets, condition] = self.upload(targets, condition);
        let operands = self.plan.operands(DensityPart::Inference);
        let latents = self.flow().forward_on_gpu(self.plan.pass(&operands, None, false), &targets, &condition);
        let Latents { z: latents, log_det, .. } = latents;
        let (z, log_det) = (self.plan.gpu.read(&latents.values)?, self.plan.gpu.read(&log_det)?);
        let constant = self.density.all_constants();
        let log_q = z.chunks_exact(latents.width).zip(log_det).map(|(z, log_det)| {
            let squares: f64 = z.iter().map(|&z| f64::from(z) * f64::from(z)).sum();
            (f64::from(log_det) - 0.5 * squares - constant) as f32
        });
        let log_q = log_q.collect();
        Ok((z, log_q))
    }

    /// Targets `[B, D]` of latents, given the condition as in [`GpuDensity::evaluate`].
    ///
    /// # Errors
    /// As [`GpuDensity::summaries`].
    ///
    /// # Panics
    /// As [`GpuDensity::evaluate`].
    pub fn draw(&self, latents: Vec<f32>, condition: Vec<f32>) -> Result<Vec<f32>, GpuFailure> {
        let [latents, condition] = self.upload(latents, condition);
        let operands = self.plan.operands(DensityPart::Inference);
        let pass = self.plan.pass(&operands, None, false);
        self.plan.gpu.read(&self.flow().inverse_on_gpu(pass, &latents, &condition).values)
    }
}
