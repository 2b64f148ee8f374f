//! Computes affine transforms and their gradients on the processor.

use super::Affine;
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        columns::columns,
        coupling::{GradHalf, GradInputs},
        dense::cpu::{Seen, StackTape},
    },
    vector::{add, atan, exp, map},
};
use std::f32::consts::PI;

/// The values of a forward pass that the backward pass needs.
#[derive(Debug)]
pub(crate) struct AffineTape {
    scale: StackTape,
    translation: Option<StackTape>,
    /// s after clamping.
    s: Buffer,
}

impl AffineTape {
    /// Goes through numbers beside their translations: the second network's output, or the second half of the first
    /// one's.
    fn for_each_translation(&self, dim: usize, values: &mut [f32], f: impl Fn(&mut f32, f32)) {
        match &self.translation {
            Some(translation) => values.iter_mut().zip(translation.output()).for_each(|(value, t)| f(value, *t)),
            None => {
                let rows = values.chunks_exact_mut(dim).zip(self.scale.output().chunks_exact(2 * dim));
                for (values, both) in rows {
                    values.iter_mut().zip(&both[dim..]).for_each(|(value, t)| f(value, *t));
                }
            }
        }
    }
}

impl Affine {
    /// The networks' outputs, and s, for this many dimensions.
    fn networks(&self, seen: &Seen<'_>, dim: usize) -> AffineTape {
        let scale = self.scale.forward(seen);
        let translation = self.translation.as_ref().map(|translation| translation.forward(seen));
        let mut s = Buffer::new(seen.rows * dim);
        columns(scale.output(), self.scale.units(), dim, &mut s);
        if let Some(c) = self.soft_clamping {
            let factor = 2.0 * c / PI;
            map!(s in &mut s => atan(s / c) * factor);
        }
        AffineTape { scale, translation, s }
    }

    pub(crate) fn forward(&self, seen: &Seen<'_>, x: &[f32], log_det: &mut [f32]) -> (Buffer, AffineTape) {
        let dim = x.len() / seen.rows;
        let tape = self.networks(seen, dim);
        for (log_det, s) in log_det.iter_mut().zip(tape.s.chunks_exact(dim)) {
            *log_det += s.iter().sum::<f32>();
        }
        let mut y = Buffer::copy_of(&tape.s);
        map!(s in &mut y => exp(s));
        y.iter_mut().zip(x).for_each(|(y, x)| *y *= x);
        tape.for_each_translation(dim, &mut y, |y, t| *y += t);
        (y, tape)
    }

    pub(crate) fn inverse(&self, seen: &Seen<'_>, y: &[f32]) -> Buffer {
        let dim = y.len() / seen.rows;
        let mut tape = self.networks(seen, dim);
        map!(s in &mut tape.s => exp(-s));
        let mut x = Buffer::copy_of(y);
        tape.for_each_translation(dim, &mut x, |x, t| *x -= t);
        x.iter_mut().zip(&*tape.s).for_each(|(x, factor)| *x *= factor);
        x
    }

    pub(crate) fn backward(
        &self,
        seen: &Seen<'_>,
        tape: &AffineTape,
        GradHalf { x, grad_y, grad_log_det, wanted }: GradHalf<'_>,
        gradients: &mut Gradients<'_>,
    ) -> GradInputs {
        let dim = x.len() / seen.rows;
        let mut grad_x = Buffer::copy_of(&tape.s);
        map!(s in &mut grad_x => exp(s));
        grad_x.iter_mut().zip(grad_y).for_each(|(factor, grad_y)| *factor *= grad_y);
        // ∂y/∂s = x exp(s), and each s is a term of the log-determinant.
        let mut grad_s = Buffer::copy_of(&grad_x);
        for ((grad_s, x), grad_log_det) in grad_s.chunks_exact_mut(dim).zip(x.chunks_exact(dim)).zip(grad_log_det) {
            grad_s.iter_mut().zip(x).for_each(|(grad_s, x)| *grad_s = *grad_s * x + grad_log_det);
        }
        if let Some(c) = self.soft_clamping {
            let mut raw = Buffer::new(grad_s.len());
            columns(tape.scale.output(), self.scale.units(), dim, &mut raw);
            map!(grad_s in &mut grad_s, raw in &raw => {
                let ratio = raw / c;
                grad_s * (2.0 / PI) / (1.0 + ratio * ratio)
            });
        }
        let sources = match (&self.translation, &tape.translation) {
            (Some(translation), Some(second)) => {
                let mut sum = self.scale.backward(seen, &tape.scale, grad_s, wanted, gradients);
                let grad_t = Buffer::copy_of(grad_y);
                let terms = translation.backward(seen, second, grad_t, wanted, gradients);
                for (sum, term) in sum.iter_mut().zip(terms) {
                    if let (Some(sum), Some(term)) = (sum, term) {
                        add(sum, &term);
                    }
                }
                sum
            }
            _ => {
                let mut grad_both = Buffer::new(2 * grad_s.len());
                let halves = grad_s.chunks_exact(dim).zip(grad_y.chunks_exact(dim));
                for (both, (grad_s, grad_t)) in grad_both.chunks_exact_mut(2 * dim).zip(halves) {
                    both[..dim].copy_from_slice(grad_s);
                    both[dim..].copy_from_slice(grad_t);
                }
                self.scale.backward(seen, &tape.scale, grad_both, wanted, gradients)
            }
        };
        GradInputs { x: grad_x, sources }
    }
}
