//! Chains of coupling layers, as in [`crate::flow`].

use super::{
    Gpu, Numbers, Rows,
    coupling::{Columns, CouplingTape, give},
    stack::{Gradients, Operands, operand},
};
use crate::flow::{Flow, FlowLayer};
use cubecl::prelude::*;

/// What the backward pass needs of a layer.
#[derive(Debug)]
pub(super) struct LayerTape {
    input: Rows,
    /// After normalisation and permutation.
    u: Rows,
    first: Option<CouplingTape>,
    second: CouplingTape,
}

impl Flow {
    fn condition_width(&self) -> usize {
        self.condition.map_or(0, |(_, width)| width)
    }
}

impl FlowLayer {
    /// The columns of both halves.
    fn columns(&self, dim: usize) -> [Columns; 2] {
        let (d1, d2) = self.split(dim);
        [Columns { first: 0, dim: d1 }, Columns { first: d1, dim: d2 }]
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
            let [first_half, second_half] = layer.columns(dim);
            let (d1, d2) = (first_half.dim, second_half.dim);
            let u = self.rows(rows, dim);
            // The first network sees the second half; where there is no first one, the second sees the condition alone.
            let given = self.rows(rows, if d1 > 0 { d2 } else { 0 } + c);
            let norm = layer.act_norm.map(|[scale, bias]| (operand(operands, scale), operand(operands, bias)));
            let (scale, bias) = norm.unwrap_or((&x.values, &x.values));
            let (count, threads) = self.each_row(rows);
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
                    let to = (&out, Some(&next), Some(&log_det));
                    let tape = self.couple(first, operands, given, &u, first_half, to, &conditions.rows, keeps);
                    (Some(tape), next)
                }
                None => (None, given),
            };
            let to = (&out, None, Some(&log_det));
            let second = self.couple(&layer.second, operands, given, &u, second_half, to, &conditions.rows, keeps);
            if keeps {
                tapes.push(LayerTape { input: x, u, first, second });
            }
            x = out;
        }
        (x, log_det, tapes)
    }

    /// Targets of latents.
    pub(super) fn inverse_flow(
        &self,
        flow: &Flow,
        operands: &Operands,
        latents: &Rows,
        conditions: &Conditions,
    ) -> Rows {
        let (rows, dim, c) = (latents.rows, flow.dim, flow.condition_width());
        let mut z = latents.clone();
        for (i, layer) in flow.layers.iter().enumerate().rev() {
            let [first_half, second_half] = layer.columns(dim);
            let (d1, d2) = (first_half.dim, second_half.dim);
            let given = self.rows(rows, d1 + c);
            let (count, threads) = self.each_row(rows);
            given_of::launch(
                &self.client,
                count,
                threads,
                z.values.arg(),
                conditions.rows.values.arg(),
                given.values.arg(),
                rows,
                dim,
                d1,
                c,
                rows / conditions.rows.rows.max(1),
            );
            let u = self.rows(rows, dim);
            let next = layer.first.as_ref().map(|_| self.rows(rows, d2 + c));
            let to = (&u, next.as_ref(), None);
            self.couple(&layer.second, operands, given, &z, second_half, to, &conditions.rows, false);
            if let (Some(first), Some(given)) = (&layer.first, next) {
                self.couple(first, operands, given, &z, first_half, (&u, None, None), &conditions.rows, false);
            }
            let x = self.rows(rows, dim);
            let norm = layer.act_norm.map(|[scale, bias]| (operand(operands, scale), operand(operands, bias)));
            let (scale, bias) = norm.unwrap_or((&u.values, &u.values));
            let (count, threads) = self.each(rows * dim);
            unprepare::launch(
                &self.client,
                count,
                threads,
                u.values.arg(),
                conditions.orders[i].arg(),
                scale.arg(),
                bias.arg(),
                x.values.arg(),
                rows * dim,
                dim,
                norm.is_some(),
            );
            z = x;
        }
        z
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
        let last = flow.layers.len() - 1;
        let mut of_out = of_latents;
        for (i, ((layer, tape), order)) in flow.layers.iter().zip(tapes).zip(&conditions.orders).enumerate().rev() {
            let [first_half, second_half] = layer.columns(dim);
            let of_u = self.rows(rows, dim);
            let of = (&of_out, of_log_det);
            let back = |coupling, of_coupling, half, of_next: Option<&Rows>| {
                self.couple_backward(coupling, operands, of_coupling, &tape.u, half, of, of_next, &of_u, gradients)
            };
            let mut of_given = back(&layer.second, &tape.second, second_half, None);
            let mut of_next = None;
            if let (Some(first), Some(first_tape)) = (&layer.first, &tape.first) {
                let of_first = back(first, first_tape, first_half, Some(&of_given));
                of_next = Some(std::mem::replace(&mut of_given, of_first));
            }
            let norm = layer.act_norm.map(|[scale, bias]| (operand(operands, scale), [scale, bias]));
            let (of_normed, of_x) = (self.rows(rows, dim), self.rows(rows, dim));
            let scale = norm.map_or(&of_u.values, |(scale, _)| scale);
            let (count, threads) = self.each_row(rows);
            prepare_backward::launch(
                &self.client,
                count,
                threads,
                of_u.values.arg(),
                of_given.values.arg(),
                of_next.as_ref().unwrap_or(&of_given).values.arg(),
                order.arg(),
                scale.arg(),
                of_normed.values.arg(),
                of_x.values.arg(),
                if wants_condition { &of_condition } else { &of_u }.values.arg(),
                rows,
                dim,
                first_half.dim,
                of_given.width - c,
                c,
                norm.is_some(),
                of_next.is_some(),
                wants_condition,
                i == last,
            );
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
        give(condition, given, r, half, condition_width, repeat);
        if comptime!(is_first) {
            log_det[r] = log_scale;
        } else {
            log_det[r] += log_scale;
        }
    }
}

/// What the networks of the second half see when it goes back: the first half and the condition.
#[cube(launch)]
fn given_of(
    z: &[f32],
    condition: &[f32],
    given: &mut [f32],
    rows: usize,
    dim: usize,
    d1: usize,
    condition_width: usize,
    repeat: usize,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        for i in 0..d1 {
            given[r * (d1 + condition_width) + i] = z[r * dim + i];
        }
        give(condition, given, r, d1, condition_width, repeat);
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
            value = (value - bias[to]) / scale[to];
        }
        x[at / dim * dim + to] = value;
    }
}

/// Back through permutation and normalisation. `of_given` is what the first network gave back of the second half and of the condition,
/// `of_next` what the second gave back of the first half, which has gone further by then, and of the condition.
#[cube(launch)]
fn prepare_backward(
    of_u: &[f32],
    of_given: &[f32],
    of_next: &[f32],
    order: &[u32],
    scale: &[f32],
    of_normed: &mut [f32],
    of_x: &mut [f32],
    of_condition: &mut [f32],
    rows: usize,
    dim: usize,
    d1: usize,
    half: usize,
    condition_width: usize,
    #[comptime] norm: bool,
    #[comptime] has_next: bool,
    #[comptime] gives_condition: bool,
    #[comptime] is_first: bool,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        for i in 0..dim {
            let mut value = of_u[r * dim + i];
            if i >= d1 && i < d1 + half {
                value += of_given[r * (half + condition_width) + i - d1];
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
                let mut value = of_given[r * (half + condition_width) + half + i];
                if comptime!(has_next) {
                    value += of_next[r * (d1 + condition_width) + d1 + i];
                }
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
