//! Transforms of one half of the targets given the other half and the condition, as in [`crate::coupling`].

use super::{
    Gpu, Numbers, Rows,
    stack::{Gradients, Input, Operands, StackTape},
};
use crate::coupling::Coupling;
use cubecl::prelude::*;
use std::f32::consts::PI;

/// What the backward pass needs of a forward pass.
#[derive(Debug)]
pub(super) struct CouplingTape {
    /// Of the network that makes scales, or scales and translations, or a spline's numbers.
    net: StackTape,
    translation: Option<StackTape>,
}

/// Columns that are coupled: the first of them, and how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) first: usize,
    pub(super) dim: usize,
}

impl CouplingTape {
    /// The translations: an array, its width, and the first column that counts.
    fn translations(&self, dim: usize) -> (&Rows, usize) {
        match &self.translation {
            Some(translation) => (translation.output(), 0),
            None => (self.net.output(), dim),
        }
    }
}

impl Gpu {
    /// Transforms some columns of u given what the networks see: towards latents if there are log-determinants to add to, and else back.
    /// Writes also what the next networks see, if any do: the result and the condition.
    pub(super) fn couple(
        &self,
        coupling: &Coupling,
        operands: &Operands,
        given: Rows,
        u: &Rows,
        columns: Columns,
        to: (&Rows, Option<&Rows>, Option<&Numbers>),
        condition: &Rows,
        keeps: bool,
    ) -> CouplingTape {
        let (scale, translation, soft_clamping) = match coupling {
            Coupling::Affine { scale, translation, soft_clamping } => (scale, translation, soft_clamping),
            Coupling::Spline { net, spline } => {
                let net = self.stack(net, operands, Input::Own(given), false, keeps);
                self.through_splines(spline, net.output(), u, columns, to, condition);
                return CouplingTape { net, translation: None };
            }
        };
        let net = self.stack(scale, operands, Input::Own(given.clone()), false, keeps);
        let translation =
            translation.as_ref().map(|stack| self.stack(stack, operands, Input::Own(given), false, keeps));
        let tape = CouplingTape { net, translation };
        let (Columns { first, dim }, (out, next, log_det)) = (columns, to);
        let (t, t_first) = tape.translations(dim);
        let s = tape.net.output();
        let none = &out.values;
        let (count, threads) = self.each_row(u.rows);
        affine::launch(
            &self.client,
            count,
            threads,
            u.values.arg(),
            s.values.arg(),
            t.values.arg(),
            condition.values.arg(),
            log_det.unwrap_or(none).arg(),
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
            u.rows / condition.rows.max(1),
            soft_clamping.unwrap_or(1.0),
            soft_clamping.is_some(),
            next.is_some(),
            log_det.is_none(),
        );
        tape
    }

    /// Writes the gradients of the columns to `of_u`, and returns those of what the networks saw. `of_next` is what the networks that saw the
    /// result gave back of it and of the condition.
    pub(super) fn couple_backward(
        &self,
        coupling: &Coupling,
        operands: &Operands,
        tape: &CouplingTape,
        u: &Rows,
        columns: Columns,
        of: (&Rows, &Numbers),
        of_next: Option<&Rows>,
        of_u: &Rows,
        gradients: &Gradients,
    ) -> Rows {
        let (net, translation, soft_clamping) = match coupling {
            Coupling::Affine { scale, translation, soft_clamping } => (scale, translation.as_ref(), *soft_clamping),
            Coupling::Spline { net, spline } => {
                let of_raw = self.back_through_splines(spline, tape.net.output(), u, columns, of, of_next, of_u);
                let (of_given, _) = self.stack_backward(net, operands, &tape.net, of_raw, true, None, gradients);
                return of_given.expect("it was asked for");
            }
        };
        let (Columns { first, dim }, (of_out, of_log_det)) = (columns, of);
        let s = tape.net.output();
        let of_scale = self.rows(u.rows, s.width);
        let of_translation = tape.translation.as_ref().map(|_| self.rows(u.rows, dim));
        let (count, threads) = self.each_row(u.rows);
        affine_backward::launch(
            &self.client,
            count,
            threads,
            u.values.arg(),
            s.values.arg(),
            of_out.values.arg(),
            of_log_det.arg(),
            of_next.unwrap_or(of_u).values.arg(),
            of_u.values.arg(),
            of_scale.values.arg(),
            of_translation.as_ref().unwrap_or(&of_scale).values.arg(),
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
        );
        let (of_given, _) = self.stack_backward(net, operands, &tape.net, of_scale, true, None, gradients);
        let of_given = match (translation, &tape.translation, of_translation) {
            (Some(stack), Some(tape), Some(of)) => {
                self.stack_backward(stack, operands, tape, of, true, of_given.as_ref(), gradients).0
            }
            _ => of_given,
        };
        of_given.expect("it was asked for")
    }
}

/// Writes the condition of row r behind the numbers that are there already.
#[cube]
pub(super) fn give(condition: &[f32], next: &mut [f32], r: usize, dim: usize, condition_width: usize, repeat: usize) {
    for i in 0..condition_width {
        next[r * (dim + condition_width) + dim + i] = condition[r / repeat * condition_width + i];
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
    #[comptime] inverts: bool,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        let mut sum = 0.0f32;
        for i in 0..dim {
            let s = clamp(scales[r * s_width + i], bound, clamps);
            let t = translations[r * t_width + t_first + i];
            let x = u[r * width + first + i];
            let mut y = x * s.exp() + t;
            if comptime!(inverts) {
                y = (x - t) * (-s).exp();
            }
            sum += s;
            out[r * width + first + i] = y;
            if comptime!(gives) {
                next[r * (dim + condition_width) + i] = y;
            }
        }
        if comptime!(gives) {
            give(condition, next, r, dim, condition_width, repeat);
        }
        if comptime!(!inverts) {
            log_det[r] += sum;
        }
    }
}

#[cube(launch)]
fn affine_backward(
    u: &[f32],
    scales: &[f32],
    of_out: &[f32],
    of_log_det: &[f32],
    of_next: &[f32],
    of_u: &mut [f32],
    of_scales: &mut [f32],
    of_translations: &mut [f32],
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
    }
}
