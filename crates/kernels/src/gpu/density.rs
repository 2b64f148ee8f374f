//! A set network and a flow on a GPU: summaries, densities and draws, as in [`crate::density_loss`].

use super::{Gpu, GpuFailure, Numbers, Rows, flow::Conditions};
use crate::{deep_set::SetNetwork, density_loss::DensityLoss, flow::Flow};
use burn::tensor::Device;
use cubecl::prelude::*;
use std::{f64::consts::TAU, ops::Range};

/// A network's parameters among those of both: the operand, and where its values are.
type Places = Vec<(usize, Range<usize>)>;

/// The networks of a [`DensityLoss`], with values of their parameters, on a GPU.
#[derive(Debug)]
pub struct GpuDensity {
    pub(super) gpu: Gpu,
    pub(super) summary: Option<SetNetwork>,
    pub(super) inference: Flow,
    /// Added to each −log q.
    pub(super) constant: f64,
    pub(super) places: [Places; 2],
    /// The numbers of operands.
    pub(super) operands: [usize; 2],
    /// Where each network's parameters are.
    pub(super) ranges: [Range<usize>; 2],
    pub(super) values: Numbers,
    orders: Vec<Numbers>,
}

impl GpuDensity {
    /// The networks of this loss, on this device, with values of all parameters. `None` if the device is no GPU.
    #[must_use]
    pub fn new(device: &Device, loss: &DensityLoss, values: &[f32]) -> Option<Self> {
        let DensityLoss { summary, inference, constant, parameters, operands } = loss;
        let gpu = Gpu::new(super::client(device)?);
        let mut places = [Places::new(), Places::new()];
        for parameter in parameters {
            places[parameter.part.index()].push((parameter.operand, parameter.range.clone()));
        }
        let middle = places[0].last().map_or(0, |(_, range)| range.end);
        Some(Self {
            summary: summary.clone(),
            inference: inference.clone(),
            constant: *constant + 0.5 * inference.dim as f64 * TAU.ln(),
            places,
            operands: *operands,
            ranges: [0..middle, middle..values.len()],
            values: gpu.upload(values.to_vec()),
            orders: gpu.orders(inference),
            gpu,
        })
    }

    /// How many observations of data sets, and rows of targets, are to be given at a time: as many as make 134 MB in the widest layer.
    #[must_use]
    pub fn rows_at_once(&self) -> [usize; 2] {
        const AT_ONCE: usize = 1 << 25;
        let of_flow = self.inference.widest();
        // Without a set network, data are part of the flow's condition.
        let of_set = self.summary.as_ref().map_or(of_flow, SetNetwork::widest);
        [of_set, of_flow].map(|widest| (AT_ONCE / widest).max(1))
    }

    /// Gives back the memory that jobs have used, which the next one of the same sizes would have used again.
    pub fn give_back(&self) {
        self.gpu.give_back();
    }

    /// The set network's output, `[B, S]`, for data `[B, N, F]`; nothing if there is no set network.
    ///
    /// # Errors
    /// What the GPU or its driver failed at: memory that is not there, for one.
    ///
    /// # Panics
    /// If the data are not of whole sets.
    pub fn summaries(&self, data: Vec<f32>, observations: usize) -> Result<Vec<f32>, GpuFailure> {
        let Some(network) = &self.summary else { return Ok(Vec::new()) };
        assert!(data.len().is_multiple_of(observations * network.features), "data of whole sets");
        let data = Rows::new(self.gpu.upload(data), network.features);
        let tape = self.gpu.set(network, &self.network_operands(0), &data, observations, false);
        self.gpu.read(&tape.output().values)
    }

    /// Latents `[B, D]` and ln q `[B]` of targets `[B, D]`, given the flow's condition, `[M, C]`, of which each row belongs to B / M rows of
    /// targets that follow one another.
    ///
    /// # Errors
    /// As [`GpuDensity::summaries`].
    ///
    /// # Panics
    /// If targets are not whole rows, M does not divide B, or the flow drops units.
    pub fn evaluate(&self, targets: Vec<f32>, condition: Vec<f32>) -> Result<(Vec<f32>, Vec<f32>), GpuFailure> {
        assert!(self.inference.masks.is_none(), "no units are dropped at inference");
        let targets = self.targets(targets);
        let conditions = self.conditions(self.condition_rows(condition, targets.rows));
        let (latents, log_det, _) =
            self.gpu.flow(&self.inference, &self.network_operands(1), &targets, &conditions, false);
        let (z, log_det) = (self.gpu.read(&latents.values)?, self.gpu.read(&log_det)?);
        let log_q = z.chunks_exact(latents.width).zip(log_det).map(|(z, log_det)| {
            let squares: f64 = z.iter().map(|&z| f64::from(z) * f64::from(z)).sum();
            (f64::from(log_det) - 0.5 * squares - self.constant) as f32
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
        assert!(self.inference.masks.is_none(), "no units are dropped at inference");
        let latents = self.targets(latents);
        let conditions = self.conditions(self.condition_rows(condition, latents.rows));
        let targets = self.gpu.inverse_flow(&self.inference, &self.network_operands(1), &latents, &conditions);
        self.gpu.read(&targets.values)
    }

    pub(super) fn targets(&self, values: Vec<f32>) -> Rows {
        assert!(values.len().is_multiple_of(self.inference.dim), "targets of whole rows");
        Rows::new(self.gpu.upload(values), self.inference.dim)
    }

    pub(super) fn conditions(&self, rows: Rows) -> Conditions {
        Conditions { rows, orders: self.orders.clone() }
    }

    /// Of width 0, one for each row of targets, if the flow has no condition.
    fn condition_rows(&self, values: Vec<f32>, targets: usize) -> Rows {
        let width = self.inference.condition.map_or(0, |(_, width)| width);
        let rows = values.len().checked_div(width).unwrap_or(targets);
        let fits = rows > 0 && values.len() == rows * width && targets.is_multiple_of(rows);
        assert!(fits, "{} numbers for a condition of width {width}, for {targets} rows of targets", values.len());
        Rows { values: self.gpu.upload(values), rows, width }
    }

    pub(super) fn network_operands(&self, network: usize) -> Vec<Option<Numbers>> {
        let mut operands = vec![None; self.operands[network]];
        for (operand, range) in &self.places[network] {
            operands[*operand] = Some(self.values.part(range.clone()));
        }
        operands
    }
}

impl Gpu {
    /// The flow's condition for a batch: the set network's output, if there is one, and what is given directly.
    pub(super) fn condition(&self, summaries: Option<&Rows>, direct: Rows) -> Rows {
        match summaries {
            None => direct,
            Some(summaries) if direct.width == 0 => summaries.clone(),
            Some(summaries) => self.join(summaries, &direct.values, summaries.width + direct.width),
        }
    }

    /// Summaries, and behind each the numbers given directly.
    fn join(&self, summaries: &Rows, direct: &Numbers, width: usize) -> Rows {
        let out = self.rows(summaries.rows, width);
        let numbers = out.values.len;
        let (count, dim) = self.each(numbers);
        let (of, direct) = (out.values.arg(), direct.arg());
        join::launch(&self.client, count, dim, summaries.values.arg(), direct, of, numbers, width, summaries.width);
        out
    }
}

#[cube(launch)]
fn join(summaries: &[f32], direct: &[f32], out: &mut [f32], numbers: usize, width: usize, summary_width: usize) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let (r, i) = (at / width, at % width);
        if i < summary_width {
            out[at] = summaries[r * summary_width + i];
        } else {
            out[at] = direct[r * (width - summary_width) + i - summary_width];
        }
    }
}
