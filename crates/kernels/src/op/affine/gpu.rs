//! Computes affine transforms and their gradients on a GPU: a thread for each row.

#![allow(clippy::too_many_arguments, reason = "each array of a kernel is an argument")]

use super::Affine;
use crate::{
    gpu::Rows,
    op::{
        coupling::gpu::{CouplingTape, GradTo, Half, HalfSizes, To, give},
        dense::{
            Stack,
            gpu::{Seen, StackTape, WantedOwn},
        },
    },
    plan::gpu::{GpuGradients, GpuPass},
};
use cubecl::prelude::*;
use std::f32::consts::PI;

/// Widths of scales and translations, the first column of the latter, and the bound of the former.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct NetSizes {
    s_width: usize,
    t_width: usize,
    t_first: usize,
    bound: f32,
}

/// What the forward kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct How {
    clamps: bool,
    /// Whether the next networks see the result.
    gives: bool,
    inverts: bool,
}

/// What the backward kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct BackHow {
    clamps: bool,
    /// Whether translations have a network of their own.
    separate: bool,
    /// Whether the next networks saw the result.
    adds: bool,
}

impl CouplingTape {
    /// The translations, and the first column that counts.
    fn translations(&self, dim: usize) -> (&Rows, usize) {
        match &self.translation {
            Some(translation) => (translation.output(), 0),
            None => (self.net.output(), dim),
        }
    }
}

impl Affine {
    pub(crate) fn widest(&self) -> usize {
        self.scale.widest().max(self.translation.as_ref().map_or(0, Stack::widest))
    }

    pub(crate) fn apply_on_gpu(&self, pass: GpuPass<'_>, given: Rows, half: Half<'_>, to: To<'_>) -> CouplingTape {
        let gpu = pass.gpu;
        let net = self.scale.forward_on_gpu(pass, Seen::Own(given.clone()), false);
        let translation = self.translation.as_ref().map(|stack| stack.forward_on_gpu(pass, Seen::Own(given), false));
        let tape = CouplingTape { net, translation };
        let (t, t_first) = tape.translations(half.dim);
        let s = tape.net.output();
        let bound = self.soft_clamping.unwrap_or(1.0);
        let [condition, log_det, out, next] = to.args();
        let (count, threads) = gpu.each_row(half.rows.rows);
        affine::launch(
            &gpu.client,
            count,
            threads,
            half.rows.values.arg(),
            s.values.arg(),
            t.values.arg(),
            condition,
            log_det,
            out,
            next,
            half.sizes(to),
            NetSizesLaunch { s_width: s.width, t_width: t.width, t_first, bound },
            How { clamps: self.soft_clamping.is_some(), gives: to.next.is_some(), inverts: to.log_det.is_none() },
        );
        tape
    }

    pub(crate) fn backward_on_gpu(
        &self,
        pass: GpuPass<'_>,
        tape: &CouplingTape,
        half: Half<'_>,
        grad: GradTo<'_>,
        gradients: &GpuGradients,
    ) -> Rows {
        let (gpu, rows) = (pass.gpu, half.rows.rows);
        let s = tape.net.output();
        let grad_scale = gpu.rows(rows, s.width);
        let grad_translation = tape.translation.as_ref().map(|_| gpu.rows(rows, half.dim));
        let [grad_out, grad_log_det, grad_next, grad_half] = grad.args();
        let (count, threads) = gpu.each_row(rows);
        affine_backward::launch(
            &gpu.client,
            count,
            threads,
            half.rows.values.arg(),
            s.values.arg(),
            grad_out,
            grad_log_det,
            grad_next,
            grad_half,
            grad_scale.values.arg(),
            grad_translation.as_ref().unwrap_or(&grad_scale).values.arg(),
            half.grad_sizes(),
            NetSizesLaunch {
                s_width: s.width,
                t_width: grad.next_width(),
                t_first: 0,
                bound: self.soft_clamping.unwrap_or(1.0),
            },
            BackHow {
                clamps: self.soft_clamping.is_some(),
                separate: grad_translation.is_some(),
                adds: grad.next.is_some(),
            },
        );
        let back = |stack: &Stack, tape: &StackTape, grads: Rows, others: Option<&Rows>| {
            stack.backward_on_gpu(pass, tape, grads, WantedOwn { wants: true, others }, gradients).asked_for()
        };
        let grad_given = back(&self.scale, &tape.net, grad_scale, None);
        match (&self.translation, &tape.translation, grad_translation) {
            (Some(stack), Some(tape), Some(grads)) => back(stack, tape, grads, Some(&grad_given)),
            _ => grad_given,
        }
    }
}

#[cube]
fn clamp(s: f32, bound: f32, #[comptime] clamps: bool) -> f32 {
    let mut clamped = s;
    if comptime!(clamps) {
        clamped = (s / bound).atan() * (bound * comptime!(2.0 / PI));
    }
    clamped
}

/// y = x exp(s) + t and its log-determinant, or x of y.
#[cube(launch)]
fn affine(
    u: &[f32],
    scales: &[f32],
    translations: &[f32],
    condition: &[f32],
    log_det: &mut [f32],
    out: &mut [f32],
    next: &mut [f32],
    sizes: HalfSizes,
    nets: NetSizes,
    #[comptime] how: How,
) {
    let r = ABSOLUTE_POS;
    if r < sizes.rows {
        let (first, dim, condition_width) = (sizes.first, sizes.dim, sizes.condition_width);
        let mut sum = 0.0f32;
        for i in 0..dim {
            let s = clamp(scales[r * nets.s_width + i], nets.bound, comptime!(how.clamps));
            let t = translations[r * nets.t_width + nets.t_first + i];
            let x = u[r * sizes.width + first + i];
            let mut y = x * s.exp() + t;
            if comptime!(how.inverts) {
                y = (x - t) * (-s).exp();
            }
            sum += s;
            out[r * sizes.width + first + i] = y;
            if comptime!(how.gives) {
                next[r * (dim + condition_width) + i] = y;
            }
        }
        if comptime!(how.gives) {
            give(condition, next, r, dim, condition_width, sizes.repeat);
        }
        if comptime!(!how.inverts) {
            log_det[r] += sum;
        }
    }
}

/// The width of what the next networks gave back is that of the translations.
#[cube(launch)]
fn affine_backward(
    u: &[f32],
    scales: &[f32],
    grad_out: &[f32],
    grad_log_det: &[f32],
    grad_next: &[f32],
    grad_u: &mut [f32],
    grad_scales: &mut [f32],
    grad_translations: &mut [f32],
    sizes: HalfSizes,
    nets: NetSizes,
    #[comptime] how: BackHow,
) {
    let r = ABSOLUTE_POS;
    if r < sizes.rows {
        let (width, first, dim) = (sizes.width, sizes.first, sizes.dim);
        for i in 0..dim {
            let raw = scales[r * nets.s_width + i];
            let factor = clamp(raw, nets.bound, comptime!(how.clamps)).exp();
            let x = u[r * width + first + i];
            let mut grad_y = grad_out[r * width + first + i];
            if comptime!(how.adds) {
                grad_y += grad_next[r * nets.t_width + i];
            }
            let mut grad_s = grad_y * factor * x + grad_log_det[r];
            if comptime!(how.clamps) {
                let ratio = raw / nets.bound;
                grad_s = grad_s * comptime!(2.0 / PI) / (1.0f32 + ratio * ratio);
            }
            grad_u[r * width + first + i] = grad_y * factor;
            grad_scales[r * nets.s_width + i] = grad_s;
            if comptime!(how.separate) {
                grad_translations[r * dim + i] = grad_y;
            } else {
                grad_scales[r * nets.s_width + dim + i] = grad_y;
            }
        }
    }
}
