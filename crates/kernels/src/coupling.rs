//! Transforms one half of the targets given the other half and the condition.

use crate::{
    gradients::Gradients,
    memory::Buffer,
    source::Source,
    spline::Spline,
    stack::{Stack, StackTape},
    vector::{atan, exp, map},
};
use std::f32::consts::PI;

/// The transform of one half.
#[derive(Debug, Clone)]
pub enum Coupling {
    /// y = x · exp(s) + t.
    Affine {
        /// Makes s or, without a network for the translation, s and t side by side.
        scale: Stack,
        /// Makes t.
        translation: Option<Stack>,
        /// Bound c of s ← (2c/π) atan(s/c).
        soft_clamping: Option<f32>,
    },
    /// A monotone rational-quadratic spline.
    Spline {
        /// Makes the spline's numbers.
        net: Stack,
        /// How they are read.
        spline: Spline,
    },
}

/// What the backward pass needs of a forward pass.
#[derive(Debug)]
pub(crate) enum CouplingTape {
    Affine { scale: StackTape, translation: Option<StackTape>, s: Buffer },
    Spline { net: StackTape, positive: Buffer },
}

/// What a backward pass gives back: gradients of x and of each input of the networks.
pub(crate) struct OfInputs {
    pub(crate) x: Buffer,
    pub(crate) given: Vec<Option<Buffer>>,
}

impl Coupling {
    /// As [`Stack::widest`].
    #[cfg(feature = "gpu")]
    pub(crate) fn widest(&self) -> usize {
        match self {
            Self::Affine { scale, translation, .. } => {
                scale.widest().max(translation.as_ref().map_or(0, Stack::widest))
            }
            Self::Spline { net, .. } => net.widest(),
        }
    }

    /// Says where the masks of dropped units are.
    pub(crate) fn set_masks(&mut self, operand: usize, width: usize) {
        let stacks = match self {
            Self::Affine { scale, translation, .. } => [Some(scale), translation.as_mut()],
            Self::Spline { net, .. } => [Some(net), None],
        };
        let masks =
            stacks.into_iter().flatten().flat_map(|stack| &mut stack.layers).filter_map(|layer| layer.mask.as_mut());
        masks.for_each(|mask| (mask.operand, mask.width) = (operand, width));
    }

    /// y, and ln|det ∂y/∂x| added to `log_det`.
    pub(crate) fn forward(
        &self,
        operands: &[&[f32]],
        x: &[f32],
        given: &[Source<'_>],
        log_det: &mut [f32],
    ) -> (Buffer, CouplingTape) {
        let rows = log_det.len();
        let mut y = Buffer::new(x.len());
        match self {
            Self::Affine { scale, translation, soft_clamping } => {
                let (scale, translation, s) = affine(operands, scale, translation, *soft_clamping, x, given, rows);
                let dim = x.len() / rows;
                for (log_det, s) in log_det.iter_mut().zip(s.chunks_exact(dim)) {
                    *log_det += s.iter().sum::<f32>();
                }
                y.copy_from_slice(&s);
                map!(s in &mut y => exp(s));
                y.iter_mut().zip(x).for_each(|(y, x)| *y *= x);
                for_each_translation(&scale, translation.as_ref(), dim, &mut y, |y, t| *y += t);
                (y, CouplingTape::Affine { scale, translation, s })
            }
            Self::Spline { net, spline } => {
                let net = net.forward(operands, given, rows);
                let positive = spline.positive(net.output());
                spline.forward(net.output(), &positive, x, &mut y, log_det);
                (y, CouplingTape::Spline { net, positive })
            }
        }
    }

    /// x, given y.
    pub(crate) fn inverse(&self, operands: &[&[f32]], y: &[f32], given: &[Source<'_>], rows: usize) -> Buffer {
        match self {
            Self::Affine { scale, translation, soft_clamping } => {
                let (scale, translation, mut s) = affine(operands, scale, translation, *soft_clamping, y, given, rows);
                map!(s in &mut s => exp(-s));
                let mut x = Buffer::copy_of(y);
                for_each_translation(&scale, translation.as_ref(), y.len() / rows, &mut x, |x, t| *x -= t);
                x.iter_mut().zip(&*s).for_each(|(x, factor)| *x *= factor);
                x
            }
            Self::Spline { net, spline } => {
                let net = net.forward(operands, given, rows);
                let positive = spline.positive(net.output());
                let mut x = Buffer::new(y.len());
                spline.inverse(net.output(), &positive, y, &mut x);
                x
            }
        }
    }

    /// Gradients, from those of y and of each row's log-determinant.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of `forward`, its tape and the gradients of what it gave"
    )]
    pub(crate) fn backward(
        &self,
        operands: &[&[f32]],
        x: &[f32],
        given: &[Source<'_>],
        tape: &CouplingTape,
        of_y: &[f32],
        of_log_det: &[f32],
        wanted: &[bool],
        gradients: &mut Gradients<'_>,
    ) -> OfInputs {
        let dim = x.len() / of_log_det.len();
        match (self, tape) {
            (
                Self::Affine { scale, translation, soft_clamping },
                CouplingTape::Affine { scale: tape, translation: second, s },
            ) => {
                let mut of_x = Buffer::copy_of(s);
                map!(s in &mut of_x => exp(s));
                of_x.iter_mut().zip(of_y).for_each(|(factor, of_y)| *factor *= of_y);
                // ∂y/∂s = x exp(s), and each s is a term of the log-determinant.
                let mut of_s = Buffer::copy_of(&of_x);
                for ((of_s, x), of_log_det) in of_s.chunks_exact_mut(dim).zip(x.chunks_exact(dim)).zip(of_log_det) {
                    of_s.iter_mut().zip(x).for_each(|(of_s, x)| *of_s = *of_s * x + of_log_det);
                }
                let width = scale.units();
                if let Some(c) = soft_clamping {
                    let mut raw = Buffer::new(of_s.len());
                    columns(tape.output(), width, dim, &mut raw);
                    map!(of_s in &mut of_s, raw in &raw => {
                        let ratio = raw / c;
                        of_s * (2.0 / PI) / (1.0 + ratio * ratio)
                    });
                }
                let given_gradients = match (translation, second) {
                    (Some(translation), Some(second)) => {
                        let mut sum = scale.backward(operands, given, tape, of_s, wanted, gradients);
                        let of_t = Buffer::copy_of(of_y);
                        let of_given = translation.backward(operands, given, second, of_t, wanted, gradients);
                        for (sum, term) in sum.iter_mut().zip(of_given) {
                            if let (Some(sum), Some(term)) = (sum, term) {
                                crate::vector::add(sum, &term);
                            }
                        }
                        sum
                    }
                    _ => {
                        let mut of_both = Buffer::new(2 * of_s.len());
                        let halves = of_s.chunks_exact(dim).zip(of_y.chunks_exact(dim));
                        for (both, (of_s, of_t)) in of_both.chunks_exact_mut(2 * dim).zip(halves) {
                            both[..dim].copy_from_slice(of_s);
                            both[dim..].copy_from_slice(of_t);
                        }
                        scale.backward(operands, given, tape, of_both, wanted, gradients)
                    }
                };
                OfInputs { x: of_x, given: given_gradients }
            }
            (Self::Spline { net, spline }, CouplingTape::Spline { net: tape, positive }) => {
                let mut of_x = Buffer::new(x.len());
                let mut of_raw = Buffer::zeros(tape.output().len());
                spline.backward(tape.output(), positive, x, of_y, of_log_det, &mut of_x, &mut of_raw);
                OfInputs { x: of_x, given: net.backward(operands, given, tape, of_raw, wanted, gradients) }
            }
            _ => unreachable!("a tape is used with the coupling that wrote it"),
        }
    }
}

/// The networks' outputs, and s after clamping.
fn affine(
    operands: &[&[f32]],
    scale: &Stack,
    translation: &Option<Stack>,
    soft_clamping: Option<f32>,
    x: &[f32],
    given: &[Source<'_>],
    rows: usize,
) -> (StackTape, Option<StackTape>, Buffer) {
    let width = scale.units();
    let scale = scale.forward(operands, given, rows);
    let translation = translation.as_ref().map(|translation| translation.forward(operands, given, rows));
    let mut s = Buffer::new(x.len());
    columns(scale.output(), width, x.len() / rows, &mut s);
    if let Some(c) = soft_clamping {
        let factor = 2.0 * c / PI;
        map!(s in &mut s => atan(s / c) * factor);
    }
    (scale, translation, s)
}

/// The first `dim` columns of rows of this width.
pub(crate) fn columns(values: &[f32], width: usize, dim: usize, out: &mut [f32]) {
    for (out, row) in out.chunks_exact_mut(dim).zip(values.chunks_exact(width)) {
        out.copy_from_slice(&row[..dim]);
    }
}

/// Goes through numbers beside their translations: the second network's output, or the second half of the first one's.
fn for_each_translation(
    scale: &StackTape,
    translation: Option<&StackTape>,
    dim: usize,
    values: &mut [f32],
    f: impl Fn(&mut f32, f32),
) {
    match translation {
        Some(translation) => values.iter_mut().zip(translation.output()).for_each(|(value, t)| f(value, *t)),
        None => {
            for (values, both) in values.chunks_exact_mut(dim).zip(scale.output().chunks_exact(2 * dim)) {
                values.iter_mut().zip(&both[dim..]).for_each(|(value, t)| f(value, *t));
            }
        }
    }
}
