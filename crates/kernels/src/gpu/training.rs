//! Training steps on a GPU: the loss of both networks, all its gradients, and Adam's step, as in [`crate::density_loss`] and
//! [`crate::adam`], without anything coming back but two numbers.

use super::{Gpu, GpuDensity, GpuFailure, Numbers, Rows, stack::Gradients};
use crate::{
    adam::Adam,
    density_loss::{DensityBatch, DensityLoss},
};
use burn::tensor::Device;
use cubecl::prelude::*;

/// Parameters, their gradients and what Adam keeps of them, on a GPU.
#[derive(Debug)]
pub struct GpuTraining {
    density: GpuDensity,
    gradients: Numbers,
    first: Numbers,
    second: Numbers,
    /// Data sets and observations of the last step.
    shape: [usize; 2],
}

/// A batch that is on the GPU, or on its way there.
#[derive(Debug)]
pub struct GpuBatch {
    data: Rows,
    observations: usize,
    direct: Rows,
    targets: Rows,
    weights: Option<Numbers>,
    masks: Option<Numbers>,
}

/// A step that the GPU is taking.
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
    /// The number of the step, from 1, for each network's parameters; 0 for those that are not trained.
    pub times: [usize; 2],
}

impl GpuTraining {
    /// Of this loss, on this device, with values of all parameters and Adam's averages of their gradients and of the squares of these. `None`
    /// if the device is no GPU.
    #[must_use]
    pub fn new(device: &Device, loss: &DensityLoss, state: [&[f32]; 3]) -> Option<Self> {
        let [values, first, second] = state;
        let density = GpuDensity::new(device, loss, values)?;
        let gpu = &density.gpu;
        let (gradients, first, second) =
            (gpu.empty(values.len()), gpu.upload(first.to_vec()), gpu.upload(second.to_vec()));
        Some(Self { gradients, first, second, shape: [0, 0], density })
    }

    /// Has a batch copied to the GPU, behind what that has to do already.
    ///
    /// # Panics
    /// If the lengths of the batch's arrays do not fit the networks or each other.
    #[must_use]
    pub fn upload(&self, batch: DensityBatch) -> GpuBatch {
        let GpuDensity { gpu, summary, inference, .. } = &self.density;
        let targets = self.density.targets(batch.targets);
        let sets = targets.rows;
        let (features, units) = summary.as_ref().map_or((0, 0), |summary| (summary.features, summary.after.units()));
        assert_eq!(batch.data.len(), sets * batch.observations * features, "data of as many sets as targets");
        let given = inference.condition.map_or(0, |(_, width)| width - units);
        assert_eq!(batch.direct.len(), sets * given, "direct conditions of each set");
        let dropped = inference.masks.map_or(0, |(_, width)| width);
        assert_eq!(batch.masks.len(), sets * dropped, "masks of each set");
        assert!(batch.weights.as_ref().is_none_or(|weights| weights.len() == sets), "a weight for each set");
        GpuBatch {
            data: Rows { rows: batch.data.len() / features.max(1), values: gpu.upload(batch.data), width: features },
            observations: batch.observations,
            direct: Rows { values: gpu.upload(batch.direct), rows: sets, width: given },
            targets,
            weights: batch.weights.map(|weights| gpu.upload(weights)),
            masks: (dropped > 0).then(|| gpu.upload(batch.masks)),
        }
    }

    /// Has the GPU take a step, and does not wait for it. If the loss or the norm of the gradients is not finite, nothing changes.
    #[must_use]
    pub fn begin(&mut self, batch: GpuBatch, step: &GpuStep) -> GpuStepBegun {
        let GpuDensity { gpu, inference, ranges, .. } = &self.density;
        let GpuBatch { data, observations, direct, targets, weights, masks } = batch;
        let sets = targets.rows;
        let shape = [sets, observations];
        if self.shape != shape {
            self.shape = shape;
            gpu.give_back();
        }
        let [of_summary, mut of_inference] = [0, 1].map(|network| self.density.network_operands(network));
        if let Some((place, _)) = inference.masks {
            of_inference[place] = masks;
        }

        let network = self.density.summary.as_ref();
        let summary = network.map(|network| (network, gpu.set(network, &of_summary, &data, observations, true)));
        let summaries = summary.as_ref().map(|(_, tape)| tape.output());
        let conditions = self.density.conditions(gpu.condition(summaries, direct));
        let (latents, log_det, tapes) = gpu.flow(inference, &of_inference, &targets, &conditions, true);

        let losses = gpu.losses(&latents, &log_det, weights.as_ref(), self.density.constant as f32);

        let [trains_summary, trains_inference] = step.times.map(|time| time > 0);
        let of_flow = self.partial(1, sets, trains_inference);
        let wants_condition = summary.is_some() && trains_summary;
        let of_condition = gpu.flow_backward(
            inference,
            &of_inference,
            &tapes,
            &conditions,
            (latents, &log_det),
            wants_condition,
            &of_flow,
        );
        drop(tapes);
        let mut squares = Vec::new();
        if let (Some((network, tape)), Some(of_condition)) = (&summary, of_condition) {
            let of_set = self.partial(0, sets * observations, true);
            let of_output = gpu.columns(&of_condition, network.after.units());
            gpu.set_backward(network, &of_summary, &data, tape, of_output, &of_set);
            squares.push(gpu.reduce(&of_set, &self.gradients.part(ranges[0].clone())));
        }
        if trains_inference {
            squares.push(gpu.reduce(&of_flow, &self.gradients.part(ranges[1].clone())));
        }
        let results = gpu.finish(&losses, &squares);
        for (range, time) in ranges.iter().zip(step.times) {
            if time > 0 && !range.is_empty() {
                let arrays = [&self.density.values, &self.gradients, &self.first, &self.second];
                gpu.adam(arrays.map(|array| array.part(range.clone())), &results, step, time);
            }
        }
        GpuStepBegun { results, sets }
    }

    /// The loss before a step, and the norm of its gradients.
    ///
    /// # Errors
    /// As [`GpuDensity::summaries`].
    pub fn finish(&self, step: &GpuStepBegun) -> Result<(f64, f64), GpuFailure> {
        let results = self.density.gpu.read(&step.results)?;
        Ok((f64::from(results[0]) / step.sets as f64, f64::from(results[1]).sqrt()))
    }

    /// Values of all parameters, and Adam's averages of their gradients and of the squares of these.
    ///
    /// # Errors
    /// As [`GpuTraining::finish`].
    pub fn state(&self) -> Result<[Vec<f32>; 3], GpuFailure> {
        let GpuDensity { gpu, values, .. } = &self.density;
        Ok([gpu.read(values)?, gpu.read(&self.first)?, gpu.read(&self.second)?])
    }

    /// Where the parts of so many rows put the gradients of a network's parameters.
    fn partial(&self, network: usize, rows: usize, wanted: bool) -> Gradients {
        let GpuDensity { gpu, places: places_of, operands, ranges, .. } = &self.density;
        let stride = ranges[network].len();
        let parts = if wanted { (rows / 256).clamp(1, 256) } else { 0 };
        let mut places = vec![None; operands[network]];
        for (operand, range) in &places_of[network] {
            places[*operand] = wanted.then_some(range.start - ranges[network].start);
        }
        Gradients { values: gpu.empty(parts * stride), parts, stride, places }
    }
}

impl Gpu {
    /// The loss of each row; the gradients of latents and log-determinants take their places.
    fn losses(&self, latents: &Rows, log_det: &Numbers, weights: Option<&Numbers>, constant: f32) -> Numbers {
        let losses = self.empty(latents.rows);
        let (count, dim) = self.each_row(latents.rows);
        density::launch(
            &self.client,
            count,
            dim,
            latents.values.arg(),
            log_det.arg(),
            weights.unwrap_or(log_det).arg(),
            losses.arg(),
            latents.rows,
            latents.width,
            constant,
            1.0 / latents.rows as f32,
            weights.is_some(),
        );
        losses
    }

    /// The sums of the parts' gradients, and sums of their squares.
    fn reduce(&self, parts: &Gradients, gradients: &Numbers) -> Numbers {
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
            losses.len,
            len(first),
            len(second),
            self.threads as usize,
        );
        results
    }

    fn adam(&self, [values, gradients, first, second]: [Numbers; 4], results: &Numbers, step: &GpuStep, time: usize) {
        let Adam { beta_1, beta_2, epsilon, weight_decay } = step.adam;
        let correction_2 = (1.0 - beta_2.powi(time as i32)).sqrt();
        let rate = step.rate * correction_2 / (1.0 - beta_1.powi(time as i32));
        let (count, dim) = self.each(values.len);
        adam_step::launch(
            &self.client,
            count,
            dim,
            values.arg(),
            gradients.arg(),
            first.arg(),
            second.arg(),
            results.arg(),
            values.len,
            beta_1,
            beta_2,
            epsilon * correction_2,
            rate,
            1.0 - step.rate * weight_decay,
            step.max_norm,
        );
    }
}

/// −log q = z²/2 + constant − ln|det ∂z/∂θ|.
#[cube(launch)]
fn density(
    latents: &mut [f32],
    log_det: &mut [f32],
    weights: &[f32],
    losses: &mut [f32],
    rows: usize,
    dim: usize,
    constant: f32,
    share: f32,
    #[comptime] weighted: bool,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        let mut weight = 1.0f32;
        if comptime!(weighted) {
            weight = weights[r];
        }
        let mut squares = 0.0f32;
        for i in 0..dim {
            let z = latents[r * dim + i];
            squares += z * z;
            latents[r * dim + i] = z * weight * share;
        }
        losses[r] = weight * (0.5f32 * squares + constant - log_det[r]);
        log_det[r] = -(weight * share);
    }
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
fn finish(
    losses: &[f32],
    first: &[f32],
    second: &[f32],
    results: &mut [f32],
    losses_len: usize,
    first_len: usize,
    second_len: usize,
    #[comptime] threads: usize,
) {
    let loss = sum_of_all(losses, losses_len, threads);
    let of_first = sum_of_all(first, first_len, threads);
    let of_second = sum_of_all(second, second_len, threads);
    if UNIT_POS == 0 {
        results[0] = loss;
        results[1] = of_first + of_second;
    }
}

#[cube(launch)]
fn adam_step(
    values: &mut [f32],
    gradients: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    results: &[f32],
    numbers: usize,
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    rate: f32,
    keep: f32,
    max_norm: f32,
) {
    let at = ABSOLUTE_POS;
    // False of what is no number.
    let is_finite = results[0].abs() <= f32::MAX && results[1] <= f32::MAX;
    if at < numbers && is_finite {
        let norm = results[1].sqrt();
        let mut factor = 1.0f32;
        if norm > max_norm {
            factor = max_norm / norm;
        }
        let g = gradients[at] * factor;
        let m = beta_1 * first[at] + (1.0f32 - beta_1) * g;
        let v = beta_2 * second[at] + (1.0f32 - beta_2) * g * g;
        first[at] = m;
        second[at] = v;
        values[at] = keep * values[at] - rate * m / (v.sqrt() + epsilon);
    }
}
