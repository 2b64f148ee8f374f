//! Computes chains of coupling layers, and their gradients, on a GPU.

#![allow(clippy::too_many_arguments, reason = "each array of a kernel is an argument")]
#![allow(clippy::collapsible_if, reason = "what is known when a kernel is compiled is asked by itself")]

use super::{Flow, FlowLayer};
use crate::{
    gpu::{Gpu, Numbers, Rows},
    op::{
        coupling::{
            Coupling,
            gpu::{CouplingTape, GradTo, Half, To, give},
        },
        normalization::gpu::{GradNormalized, denormalize, normalize},
    },
    plan::gpu::{GpuGradients, GpuPass},
};
use cubecl::prelude::*;

/// What the backward pass needs of a layer.
#[derive(Debug)]
pub(crate) struct LayerTape {
    input: Rows,
    /// After normalisation and permutation.
    u: Rows,
    first: Option<CouplingTape>,
    second: CouplingTape,
}

/// Latents and log-determinants of targets, with what the backward pass needs.
#[derive(Debug)]
pub(crate) struct Latents {
    pub(crate) z: Rows,
    pub(crate) log_det: Numbers,
    pub(crate) tapes: Vec<LayerTape>,
}

/// Gradients of latents and log-determinants, and whether those of the condition are wanted.
#[derive(Debug)]
pub(crate) struct GradLatents<'a> {
    pub(crate) z: Rows,
    pub(crate) log_det: &'a Numbers,
    pub(crate) wants_condition: bool,
}

/// Rows, their width, that of their first half, and the width and repetition of the condition's rows.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    rows: usize,
    dim: usize,
    d1: usize,
    condition_width: usize,
    /// How many rows each of the condition's is for.
    repeat: usize,
}

impl SizesLaunch {
    /// Of a flow's rows, where the first half has `d1` columns.
    fn new_of(rows: &Rows, d1: usize, condition: &Rows) -> Self {
        let repeat = rows.rows / condition.rows.max(1);
        Self { rows: rows.rows, dim: rows.width, d1, condition_width: condition.width, repeat }
    }
}

/// What the kernel before a layer's couplings is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct How {
    norm: bool,
    is_first: bool,
    has_halves: bool,
}

/// What its backward pass is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct BackHow {
    norm: bool,
    has_next: bool,
    gives_condition: bool,
    is_first: bool,
}

impl FlowLayer {
    /// Both halves of these rows.
    fn halves<'a>(&self, rows: &'a Rows) -> [Half<'a>; 2] {
        let [d1, d2] = self.split(rows.width);
        [Half { rows, first: 0, dim: d1 }, Half { rows, first: d1, dim: d2 }]
    }

    /// Scale and bias, or arrays that are not read.
    fn scale_and_bias<'a>(&self, pass: GpuPass<'a>, none: &'a Numbers) -> [&'a Numbers; 2] {
        self.normalization.map_or([none, none], |normalization| normalization.constants(pass))
    }
}

impl Flow {
    /// The most numbers that a row of targets is in it, with what the networks see.
    pub(crate) fn widest(&self) -> usize {
        let couplings = self.layers.iter().flat_map(|layer| layer.first.iter().chain([&layer.second]));
        couplings.map(Coupling::widest).max().unwrap_or(0).max(self.dim + self.condition_dim)
    }

    /// The order of dimensions in each layer, which passes have as their constants.
    pub(crate) fn orders(&self, gpu: &Gpu) -> Vec<Numbers> {
        self.layers.iter().map(|layer| layer.permutation.upload(gpu)).collect()
    }

    /// From targets to latents. Rows of the condition, of width 0 if there is none, may each be for several rows of
    /// targets.
    pub(crate) fn forward_on_gpu(&self, pass: GpuPass<'_>, targets: &Rows, condition: &Rows) -> Latents {
        let GpuPass { gpu, keeps, .. } = pass;
        let (rows, dim, c) = (targets.rows, self.dim, self.condition_dim);
        let log_det = gpu.empty(rows);
        let mut x = targets.clone();
        let mut tapes = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let [d1, d2] = layer.split(dim);
            let u = gpu.rows(rows, dim);
            // The first network sees the second half; where there is no first one, the second sees the condition alone.
            let given = gpu.rows(rows, if d1 > 0 { d2 } else { 0 } + c);
            let [scale, bias] = layer.scale_and_bias(pass, &x.values);
            let (count, threads) = gpu.each_row(rows);
            prepare::launch(
                &gpu.client,
                count,
                threads,
                x.values.arg(),
                pass.constants[i].arg(),
                scale.arg(),
                bias.arg(),
                condition.values.arg(),
                log_det.arg(),
                u.values.arg(),
                given.values.arg(),
                SizesLaunch::new_of(&x, d1, condition),
                How { norm: layer.normalization.is_some(), is_first: i == 0, has_halves: d1 > 0 },
            );
            let out = gpu.rows(rows, dim);
            let [first_half, second_half] = layer.halves(&u);
            let to = To { out: &out, next: None, log_det: Some(&log_det), condition };
            let (first, given) = match &layer.first {
                Some(first) => {
                    let next = gpu.rows(rows, d1 + c);
                    let tape = first.apply_on_gpu(pass, given, first_half, To { next: Some(&next), ..to });
                    (Some(tape), next)
                }
                None => (None, given),
            };
            let second = layer.second.apply_on_gpu(pass, given, second_half, to);
            if keeps {
                tapes.push(LayerTape { input: x, u, first, second });
            }
            x = out;
        }
        Latents { z: x, log_det, tapes }
    }

    /// From latents to targets.
    pub(crate) fn inverse_on_gpu(&self, pass: GpuPass<'_>, latents: &Rows, condition: &Rows) -> Rows {
        let gpu = pass.gpu;
        let (rows, dim, c) = (latents.rows, self.dim, self.condition_dim);
        let mut z = latents.clone();
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let [d1, d2] = layer.split(dim);
            let given = gpu.rows(rows, d1 + c);
            let (count, threads) = gpu.each_row(rows);
            given_of::launch(
                &gpu.client,
                count,
                threads,
                z.values.arg(),
                condition.values.arg(),
                given.values.arg(),
                SizesLaunch::new_of(&z, d1, condition),
            );
            let u = gpu.rows(rows, dim);
            let next = layer.first.as_ref().map(|_| gpu.rows(rows, d2 + c));
            let [first_half, second_half] = layer.halves(&z);
            let to = To { out: &u, next: None, log_det: None, condition };
            layer.second.apply_on_gpu(pass, given, second_half, To { next: next.as_ref(), ..to });
            if let (Some(first), Some(given)) = (&layer.first, next) {
                first.apply_on_gpu(pass, given, first_half, to);
            }
            let x = gpu.rows(rows, dim);
            let [scale, bias] = layer.scale_and_bias(pass, &u.values);
            let (count, threads) = gpu.each(rows * dim);
            unprepare::launch(
                &gpu.client,
                count,
                threads,
                u.values.arg(),
                pass.constants[i].arg(),
                scale.arg(),
                bias.arg(),
                x.values.arg(),
                rows * dim,
                dim,
                layer.normalization.is_some(),
            );
            z = x;
        }
        z
    }

    /// Writes the gradients of the parameters, and returns that of the condition if it is wanted.
    pub(crate) fn backward_on_gpu(
        &self,
        pass: GpuPass<'_>,
        tapes: &[LayerTape],
        grad: GradLatents<'_>,
        gradients: &GpuGradients,
    ) -> Option<Rows> {
        let gpu = pass.gpu;
        let (rows, dim, c) = (grad.z.rows, self.dim, self.condition_dim);
        let grad_condition = gpu.rows(rows, c);
        let GradLatents { z: mut grad_out, log_det, wants_condition } = grad;
        let last = self.layers.len() - 1;
        for (i, (layer, tape)) in self.layers.iter().zip(tapes).enumerate().rev() {
            let [first_half, second_half] = layer.halves(&tape.u);
            let grad_u = gpu.rows(rows, dim);
            let to = GradTo { out: &grad_out, next: None, log_det, half: &grad_u };
            let mut grad_given = layer.second.backward_on_gpu(pass, &tape.second, second_half, to, gradients);
            let mut grad_next = None;
            if let (Some(first), Some(first_tape)) = (&layer.first, &tape.first) {
                let to = GradTo { next: Some(&grad_given), ..to };
                let of_first = first.backward_on_gpu(pass, first_tape, first_half, to, gradients);
                grad_next = Some(std::mem::replace(&mut grad_given, of_first));
            }
            let (grad_normed, grad_x) = (gpu.rows(rows, dim), gpu.rows(rows, dim));
            let [scale, _] = layer.scale_and_bias(pass, &grad_u.values);
            let (count, threads) = gpu.each_row(rows);
            prepare_backward::launch(
                &gpu.client,
                count,
                threads,
                grad_u.values.arg(),
                grad_given.values.arg(),
                grad_next.as_ref().unwrap_or(&grad_given).values.arg(),
                pass.constants[i].arg(),
                scale.arg(),
                grad_normed.values.arg(),
                grad_x.values.arg(),
                if wants_condition { &grad_condition } else { &grad_u }.values.arg(),
                SizesLaunch { rows, dim, d1: first_half.dim, condition_width: c, repeat: 1 },
                grad_given.width - c,
                BackHow {
                    norm: layer.normalization.is_some(),
                    has_next: grad_next.is_some(),
                    gives_condition: wants_condition,
                    is_first: i == last,
                },
            );
            if let Some(normalization) = &layer.normalization {
                let of = GradNormalized { input: &tape.input, grads: &grad_normed, grad_log_det: log_det };
                normalization.write_gradients(pass, of, gradients);
            }
            grad_out = grad_x;
        }
        wants_condition.then_some(grad_condition)
    }
}

/// Normalises and permutes rows, and writes what the first network sees: the second half and the condition.
#[cube(launch)]
fn prepare(
    x: &[f32],
    order: &[u32],
    scale: &[f32],
    bias: &[f32],
    condition: &[f32],
    log_det: &mut [f32],
    u: &mut [f32],
    given: &mut [f32],
    sizes: Sizes,
    #[comptime] how: How,
) {
    let r = ABSOLUTE_POS;
    if r < sizes.rows {
        let (dim, d1, condition_width) = (sizes.dim, sizes.d1, sizes.condition_width);
        let mut log_scale = 0.0f32;
        let mut half = 0usize.runtime();
        if comptime!(how.has_halves) {
            half = dim - d1;
        }
        let width = half + condition_width;
        for i in 0..dim {
            let from = order[i] as usize;
            let mut value = x[r * dim + from];
            if comptime!(how.norm) {
                value = normalize(value, scale, bias, from);
                log_scale += scale[from].abs().ln();
            }
            u[r * dim + i] = value;
            if comptime!(how.has_halves) {
                if i >= d1 {
                    given[r * width + i - d1] = value;
                }
            }
        }
        give(condition, given, r, half, condition_width, sizes.repeat);
        if comptime!(how.is_first) {
            log_det[r] = log_scale;
        } else {
            log_det[r] += log_scale;
        }
    }
}

/// What the networks of the second half see when it goes back: the first half and the condition.
#[cube(launch)]
fn given_of(z: &[f32], condition: &[f32], given: &mut [f32], sizes: Sizes) {
    let r = ABSOLUTE_POS;
    if r < sizes.rows {
        let (dim, d1, condition_width) = (sizes.dim, sizes.d1, sizes.condition_width);
        for i in 0..d1 {
            given[r * (d1 + condition_width) + i] = z[r * dim + i];
        }
        give(condition, given, r, d1, condition_width, sizes.repeat);
    }
}

/// Undoes permutation and normalisation, number by number.
#[cube(launch)]
fn unprepare(
    u: &[f32],
    order: &[u32],
    scale: &[f32],
    bias: &[f32],
    x: &mut [f32],
    numbers: usize,
    dim: usize,
    #[comptime] norm: bool,
) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let to = order[at % dim] as usize;
        let mut value = u[at];
        if comptime!(norm) {
            value = denormalize(value, scale, bias, to);
        }
        x[at / dim * dim + to] = value;
    }
}

/// Back through permutation and normalisation. `grad_given` is what the first network gave back of the second half and
/// of the condition, `grad_next` what the second gave back of the first half, which has gone further by then, and of
/// the condition.
#[cube(launch)]
fn prepare_backward(
    grad_u: &[f32],
    grad_given: &[f32],
    grad_next: &[f32],
    order: &[u32],
    scale: &[f32],
    grad_normed: &mut [f32],
    grad_x: &mut [f32],
    grad_condition: &mut [f32],
    sizes: Sizes,
    half: usize,
    #[comptime] how: BackHow,
) {
    let r = ABSOLUTE_POS;
    if r < sizes.rows {
        let (dim, d1, condition_width) = (sizes.dim, sizes.d1, sizes.condition_width);
        for i in 0..dim {
            let mut value = grad_u[r * dim + i];
            if i >= d1 && i < d1 + half {
                value += grad_given[r * (half + condition_width) + i - d1];
            }
            let from = order[i] as usize;
            grad_normed[r * dim + from] = value;
            if comptime!(how.norm) {
                value *= scale[from];
            }
            grad_x[r * dim + from] = value;
        }
        if comptime!(how.gives_condition) {
            for i in 0..condition_width {
                let at = r * condition_width + i;
                let mut value = grad_given[r * (half + condition_width) + half + i];
                if comptime!(how.has_next) {
                    value += grad_next[r * (d1 + condition_width) + d1 + i];
                }
                if comptime!(how.is_first) {
                    grad_condition[at] = value;
                } else {
                    grad_condition[at] += value;
                }
            }
        }
    }
}
