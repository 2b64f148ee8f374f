//! Chooses the transform of a half on the processor.

use super::Coupling;
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{affine::AffineTape, dense::cpu::Seen, spline::SplineTape},
};

/// The values of a forward pass that the backward pass needs.
#[derive(Debug)]
pub(crate) enum CouplingTape {
    Affine(AffineTape),
    Spline(SplineTape),
}

/// A half before its transform, and the gradients of what the transform gave.
#[derive(Clone, Copy)]
pub(crate) struct GradHalf<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) grad_y: &'a [f32],
    /// Of each row's log-determinant.
    pub(crate) grad_log_det: &'a [f32],
    /// Of which inputs of the networks gradients are wanted.
    pub(crate) wanted: &'a [bool],
}

/// Gradients of x and of each input of the networks.
pub(crate) struct GradInputs {
    pub(crate) x: Buffer,
    pub(crate) sources: Vec<Option<Buffer>>,
}

impl Coupling {
    /// y, and ln|det ∂y/∂x| added to `log_det`.
    pub(crate) fn forward(&self, seen: &Seen<'_>, x: &[f32], log_det: &mut [f32]) -> (Buffer, CouplingTape) {
        match self {
            Self::Affine(affine) => {
                let (y, tape) = affine.forward(seen, x, log_det);
                (y, CouplingTape::Affine(tape))
            }
            Self::Spline(spline) => {
                let (y, tape) = spline.forward(seen, x, log_det);
                (y, CouplingTape::Spline(tape))
            }
        }
    }

    /// x, given y.
    pub(crate) fn inverse(&self, seen: &Seen<'_>, y: &[f32]) -> Buffer {
        match self {
            Self::Affine(affine) => affine.inverse(seen, y),
            Self::Spline(spline) => spline.inverse(seen, y),
        }
    }

    /// Gradients, from those of y and of each row's log-determinant.
    pub(crate) fn backward(
        &self,
        seen: &Seen<'_>,
        tape: &CouplingTape,
        half: GradHalf<'_>,
        gradients: &mut Gradients<'_>,
    ) -> GradInputs {
        match (self, tape) {
            (Self::Affine(affine), CouplingTape::Affine(tape)) => affine.backward(seen, tape, half, gradients),
            (Self::Spline(spline), CouplingTape::Spline(tape)) => spline.backward(seen, tape, half, gradients),
            _ => unreachable!("a tape is used with the coupling that wrote it"),
        }
    }
}
