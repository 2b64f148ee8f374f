//! Chains of affine coupling layers, as in [`crate::flow`].

use super::{
    Gpu, Numbers, Rows,
    stack::{Gradients, Input, Operands, StackTape, operand},
};
use crate::{
    coupling::Coupling,
    flow::{Flow, FlowLayer},
    stack::Stack,
};
use cubecl::prelude::*;
use std::f32::consts::PI;

/// What the backward pass needs of a layer.
#[derive(Debug)]
pub(super) struct LayerTape {
    input: Rows,
    /// After normalisation and permutation.
    u: Rows,
    first: Option<CouplingTape>,
    second: CouplingTape,
}

#[derive(Debug)]
struct CouplingTape {
    scale: StackTape,
    translation: Option<StackTape>,
}

impl CouplingTape {
    /// The translations: an array, its width, and the first column that counts.
    fn translations(&self, dim: usize) -> (&Rows, usize) {
        match &self.translation {
            Some(translation) => (translation.output(), 0),
            None => (self.scale.output(), dim),
        }
    }
}

/// An affine coupling's networks.
struct Affine<'a> {
    scale: &'a Stack,
    translation: Option<&'a Stack>,
    soft_clamping: Option<f32>,
}

/// Columns that are coupled: the first of them, and how many.
type Columns = (usize, usize);

fn affine(coupling: &Coupling) -> Affine<'_> {
    match coupling {
        Coupling::Affine { scale, translation, soft_clamping } => {
            Affine { scale, translation: translation.as_ref(), soft_clamping: *soft_clamping }
        }
        Coupling::Spline { .. } => unreachable!("flows with splines are not supported"),
    }
}

impl Flow {
    /// Whether a GPU has kernels for its layers.
    pub(super) fn is_supported(&self) -> bool {
        let affine = |coupling: &Coupling| matches!(coupling, Coupling::Affine { .. });
        self.layers.iter().all(|layer| layer.first.iter().all(affine) && affine(&layer.second))
    }

    fn condition_width(&self) -> usize {
        self.condition.map_or(0, |(_, width)| width)
    }
}

/// What goes through the layers beside the targets.
#[derive(Debug)]
pub(super) struct Conditions {
    /// Rows that may each be for several rows of targets; of width 0 if there is no condition.
    pub(super) rows: Rows,
    /// The order of dimensions in each layer.
    pub(super) orders: Vec<Numbers>,
}

impl Gpu {
    pub(super) fn orders(&self, flow: &Flow) -> Vec<Numbers> {
        let order = |layer: &FlowLayer| layer.order.iter().map(|&from| from as u32).collect::<Vec<_>>();
        flow.layers.iter().map(|layer| self.upload_indices(&order(layer))).collect()
    }

    /// Latents and log-determinants of targets, and what the backward pass needs.
    pub(super) fn flow(
        &self,
        flow: &Flow,
        operands: &Operands,
        targets: &Rows,
        conditions: &Conditions,
        keeps: bool,
    ) -> (Rows, Numbers, Vec<LayerTape>) {
        let (rows, dim, c) = (targets.rows, flow.dim, flow.condition_width());
        let log_det = self.empty(rows);
        let mut x = targets.clone();
        let mut tapes = Vec::with_capacity(flow.layers.len());
        for (i, layer) in flow.layers.iter().enumerate() {
            let (d1, d2) = layer.split(dim);
            let u = self.rows(rows, dim);
            // The first network sees the second half; where there is no first one, the second sees the condition alone.
            let given = self.rows(rows, if d1 > 0 { d2 } else { 0 } + c);
            let norm = layer.act_norm.map(|[scale, bias]| (operand(operands, scale), operand(operands, bias)));
            let (scale, bias) = norm.unwrap_or((&x.values, &x.values));
            let (count, threads) = self.each(rows);
            prepare::launch(
                &self.client,
                count,
                threads,
                x.values.arg(),
                conditions.orders[i].arg(),
                scale.arg(),
                bias.arg(),
                conditions.rows.values.arg(),
                log_det.arg(),
                u.values.arg(),
                given.values.arg(),
                rows,
                dim,
                d1,
                c,
                rows / conditions.rows.rows.max(1),
                norm.is_some(),
                i == 0,
                d1 > 0,
            );
            let out = self.rows(rows, dim);
            let (first, given) = match &layer.first {
                Some(first) => {
                    let next = self.rows(rows, d1 + c);
                    let to = (&out, Some(&next), &log_det);
                    let tape = self.couple(first, operands, given, &u, (0, d1), to, conditions, keeps);
                    (Some(tape), next)
                }
                None => (None, given),
            };
            let to = (&out, None, &log_det);
            let second = self.couple(&layer.second, operands, given, &u, (d1, d2), to, conditions, keeps);
            if keeps {
                tapes.push(LayerTape { input: x, u, first, second });
            }
            x = out;
        }
        (x, log_det, tapes)
    }

    /// Transforms some columns of u given what the networks see, and writes what the next networks see, if they see it.
    fn couple(
        &self,
        coupling: &Coupling,
        operands: &Operands,
        given: Rows,
        u: &Rows,
        (first, dim): Columns,
        (out, next, log_det): (&Rows, Option<&Rows>, &Numbers),
        conditions: &Conditions,
        keeps: bool,
    ) -> CouplingTape {
        let Affine { scale, translation, soft_clamping } = affine(coupling);
        let scale = self.stack(scale, operands, Input::Own(given.clone()), false, keeps);
        let translation = translation.map(|stack| self.stack(stack, operands, Input::Own(given), false, keeps));
        let tape = CouplingTape { scale, translation };
        let (t, t_first) = tape.translations(dim);
        let s = tape.scale.output();
        let none = &out.values;
        let (count, threads) = self.each(u.rows);
        couple::launch(
            &self.client,
            count,
            threads,
            u.values.arg(),
            s.values.arg(),
            t.values.arg(),
            conditions.rows.values.arg(),
            log_det.arg(),
            out.values.arg(),
            next.map_or(none, |next| &next.values).arg(),
            u.rows,
            u.width,
            first,
            dim,
            s.width,
            t.width,
            t_first,
            next.map_or(0, |next| next.width - dim),
            u.rows / conditions.rows.rows.max(1),
            soft_clamping.unwrap_or(1.0),
            soft_clamping.is_some(),
            next.is_some(),
        );
        tape
    }

    /// Writes the gradients of the parameters, and returns that of the condition if it is wanted.
    pub(super) fn flow_backward(
        &self,
        flow: &Flow,
        operands: &Operands,
        tapes: &[LayerTape],
        conditions: &Conditions,
        (of_latents, of_log_det): (Rows, &Numbers),
        wants_condition: bool,
        gradients: &Gradients,
    ) -> Option<Rows> {
        let (rows, dim, c) = (of_latents.rows, flow.dim, flow.condition_width());
        let of_condition = self.rows(rows, c);
        let mut is_first = true;
        let mut of_out = of_latents;
        for ((layer, tape), order) in flow.layers.iter().zip(tapes).zip(&conditions.orders).rev() {
            let (d1, d2) = layer.split(dim);
            let of_u = self.rows(rows, dim);
            let of_condition = wants_condition.then_some(&of_condition);
            let to = (&of_u, of_condition, is_first);
            let mut of_given = self.couple_backward(
                &layer.second,
                operands,
                &tape.second,
                &tape.u,
                (d1, d2),
                (&of_out, of_log_det),
                None,
                to,
                gradients,
            );
            if let (Some(first), Some(first_tape)) = (&layer.first, &tape.first) {
                let of = (&of_out, of_log_det);
                of_given = self.couple_backward(
                    first,
                    operands,
                    first_tape,
                    &tape.u,
                    (0, d1),
                    of,
                    Some(&of_given),
                    to,
                    gradients,
                );
                is_first = false;
            }
            let norm = layer.act_norm.map(|[scale, bias]| (operand(operands, scale), [scale, bias]));
            let (of_normed, of_x) = (self.rows(rows, dim), self.rows(rows, dim));
            let scale = norm.map_or(&of_u.values, |(scale, _)| scale);
            let (count, threads) = self.each(rows);
            prepare_backward::launch(
                &self.client,
                count,
                threads,
                of_u.values.arg(),
                of_given.values.arg(),
                order.arg(),
                scale.arg(),
                of_normed.values.arg(),
                of_x.values.arg(),
                of_condition.unwrap_or(&of_u).values.arg(),
                rows,
                dim,
                d1,
                if d1 > 0 { d2 } else { 0 },
                of_given.width,
                c,
                norm.is_some(),
                wants_condition,
                is_first,
            );
            is_first = false;
            if let Some((scale, [scale_place, bias_place])) = norm
                && let (Some(of_scale), Some(of_bias)) = (gradients.of(scale_place), gradients.of(bias_place))
            {
                let (count, threads) = self.each(gradients.parts * dim);
                norm_gradients::launch(
                    &self.client,
                    count,
                    threads,
                    of_normed.values.arg(),
                    tape.input.values.arg(),
                    of_log_det.arg(),
                    scale.arg(),
                    of_scale.arg(),
                    of_bias.arg(),
                    rows,
                    dim,
                    rows.div_ceil(gradients.parts),
                    gradients.parts * dim,
                    gradients.stride,
                );
            }
            of_out = of_x;
        }
        wants_condition.then_some(of_condition)
    }

    /// The gradients of what the networks saw. Those of the columns go to `of_u`. `of_next` is what the networks that saw the result gave
    /// back of it and of the condition.
    fn couple_backward(
        &self,
        coupling: &Coupling,
        operands: &Operands,
        tape: &CouplingTape,
        u: &Rows,
        (first, dim): Columns,
        (of_out, of_log_det): (&Rows, &Numbers),
        of_next: Option<&Rows>,
        (of_u, of_condition, is_first): (&Rows, Option<&Rows>, bool),
        gradients: &Gradients,
    ) -> Rows {
        let Affine { scale, translation, soft_clamping } = affine(coupling);
        let s = tape.scale.output();
        let of_scale = self.rows(u.rows, s.width);
        let of_translation = tape.translation.as_ref().map(|_| self.rows(u.rows, dim));
        let none = &of_u.values;
        let (count, threads) = self.each(u.rows);
        couple_backward::launch(
            &self.client,
            count,
            threads,
            u.values.arg(),
            s.values.arg(),
            of_out.values.arg(),
            of_log_det.arg(),
            of_next.map_or(none, |of| &of.values).arg(),
            of_u.values.arg(),
            of_scale.values.arg(),
            of_translation.as_ref().unwrap_or(&of_scale).values.arg(),
            of_condition.map_or(none, |of| &of.values).arg(),
            u.rows,
            u.width,
            first,
            dim,
            s.width,
            of_next.map_or(0, |of| of.width),
            soft_clamping.unwrap_or(1.0),
            soft_clamping.is_some(),
            of_translation.is_some(),
            of_next.is_some(),
            of_condition.is_some() && of_next.is_some(),
            is_first,
        );
        let (of_given, _) = self.stack_backward(scale, operands, &tape.scale, of_scale, true, None, gradients);
        let of_given = match (translation, &tape.translation, of_translation) {
            (Some(stack), Some(tape), Some(of)) => {
                self.stack_backward(stack, operands, tape, of, true, of_given.as_ref(), gradients).0
            }
            _ => of_given,
        };
        of_given.expect("it was asked for")
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
    rows: usize,
    dim: usize,
    d1: usize,
    condition_width: usize,
    repeat: usize,
    #[comptime] norm: bool,
    #[comptime] is_first: bool,
    #[comptime] has_halves: bool,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        let mut log_scale = 0.0f32;
        let mut half = 0usize.runtime();
        if comptime!(has_halves) {
            half = dim - d1;
        }
        let width = half + condition_width;
        for i in 0..dim {
            let from = order[i] as usize;
            let mut value = x[r * dim + from];
            if comptime!(norm) {
                value = value * scale[from] + bias[from];
                log_scale += scale[from].abs().ln();
            }
            u[r * dim + i] = value;
            if comptime!(has_halves) {
                if i >= d1 {
                    given[r * width + i - d1] = value;
                }
            }
        }
        for i in 0..condition_width {
            given[r * width + half + i] = condition[r / repeat * condition_width + i];
        }
        if comptime!(is_first) {
            log_det[r] = log_scale;
        } else {
            log_det[r] += log_scale;
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

/// y = x exp(s) + t and its log-determinant.
#[cube(launch)]
fn couple(
    u: &[f32],
    scales: &[f32],
    translations: &[f32],
    condition: &[f32],
    log_det: &mut [f32],
    out: &mut [f32],
    next: &mut [f32],
    rows: usize,
    width: usize,
    first: usize,
    dim: usize,
    s_width: usize,
    t_width: usize,
    t_first: usize,
    condition_width: usize,
    repeat: usize,
    bound: f32,
    #[comptime] clamps: bool,
    #[comptime] gives: bool,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        let mut sum = 0.0f32;
        for i in 0..dim {
            let s = clamp(scales[r * s_width + i], bound, clamps);
            let t = translations[r * t_width + t_first + i];
            let x = u[r * width + first + i];
            let y = x * s.exp() + t;
            sum += s;
            out[r * width + first + i] = y;
            if comptime!(gives) {
                next[r * (dim + condition_width) + i] = y;
            }
        }
        if comptime!(gives) {
            for i in 0..condition_width {
                next[r * (dim + condition_width) + dim + i] = condition[r / repeat * condition_width + i];
            }
        }
        log_det[r] += sum;
    }
}

#[cube(launch)]
fn couple_backward(
    u: &[f32],
    scales: &[f32],
    of_out: &[f32],
    of_log_det: &[f32],
    of_next: &[f32],
    of_u: &mut [f32],
    of_scales: &mut [f32],
    of_translations: &mut [f32],
    of_condition: &mut [f32],
    rows: usize,
    width: usize,
    first: usize,
    dim: usize,
    s_width: usize,
    next_width: usize,
    bound: f32,
    #[comptime] clamps: bool,
    #[comptime] separate: bool,
    #[comptime] adds: bool,
    #[comptime] gives_condition: bool,
    #[comptime] is_first: bool,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        for i in 0..dim {
            let raw = scales[r * s_width + i];
            let factor = clamp(raw, bound, clamps).exp();
            let x = u[r * width + first + i];
            let mut of_y = of_out[r * width + first + i];
            if comptime!(adds) {
                of_y += of_next[r * next_width + i];
            }
            let mut of_s = of_y * factor * x + of_log_det[r];
            if comptime!(clamps) {
                let ratio = raw / bound;
                of_s = of_s * comptime!(2.0 / PI) / (1.0f32 + ratio * ratio);
            }
            of_u[r * width + first + i] = of_y * factor;
            of_scales[r * s_width + i] = of_s;
            if comptime!(separate) {
                of_translations[r * dim + i] = of_y;
            } else {
                of_scales[r * s_width + dim + i] = of_y;
            }
        }
        if comptime!(gives_condition) {
            let condition_width = next_width - dim;
            for i in 0..condition_width {
                let at = r * condition_width + i;
                let value = of_next[r * next_width + dim + i];
                if comptime!(is_first) {
                    of_condition[at] = value;
                } else {
                    of_condition[at] += value;
                }
            }
        }
    }
}

/// Back through permutation and normalisation; `of_given` is what the first network gave back of the second half and of the condition.
#[cube(launch)]
fn prepare_backward(
    of_u: &[f32],
    of_given: &[f32],
    order: &[u32],
    scale: &[f32],
    of_normed: &mut [f32],
    of_x: &mut [f32],
    of_condition: &mut [f32],
    rows: usize,
    dim: usize,
    d1: usize,
    half: usize,
    given_width: usize,
    condition_width: usize,
    #[comptime] norm: bool,
    #[comptime] gives_condition: bool,
    #[comptime] is_first: bool,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        for i in 0..dim {
            let mut value = of_u[r * dim + i];
            if i >= d1 && i < d1 + half {
                value += of_given[r * given_width + i - d1];
            }
            let from = order[i] as usize;
            of_normed[r * dim + from] = value;
            if comptime!(norm) {
                value *= scale[from];
            }
            of_x[r * dim + from] = value;
        }
        if comptime!(gives_condition) {
            for i in 0..condition_width {
                let at = r * condition_width + i;
                let value = of_given[r * given_width + half + i];
                if comptime!(is_first) {
                    of_condition[at] = value;
                } else {
                    of_condition[at] += value;
                }
            }
        }
    }
}

/// The gradients of scale and bias, of each part of the rows.
#[cube(launch)]
fn norm_gradients(
    of_normed: &[f32],
    input: &[f32],
    of_log_det: &[f32],
    scale: &[f32],
    of_scale: &mut [f32],
    of_bias: &mut [f32],
    rows: usize,
    dim: usize,
    rows_of_part: usize,
    numbers: usize,
    stride: usize,
) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let part = at / dim;
        let i = at % dim;
        let first = part * rows_of_part;
        let mut end = first + rows_of_part;
        if end > rows {
            end = rows;
        }
        let mut sum = 0.0f32;
        let mut sum_of_scale = 0.0f32;
        for r in first..end {
            let value = of_normed[r * dim + i];
            sum += value;
            sum_of_scale += value * input[r * dim + i] + of_log_det[r] / scale[i];
        }
        of_bias[part * stride + i] = sum;
        of_scale[part * stride + i] = sum_of_scale;
    }
}
