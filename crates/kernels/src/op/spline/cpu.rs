//! Computes spline transforms and their gradients on the processor.

use super::{SplineTransform, curve::Curves};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        coupling::{GradHalf, GradInputs},
        dense::cpu::{Seen, StackTape},
    },
};

/// The values of a forward pass that the backward pass needs.
#[derive(Debug)]
pub(crate) struct SplineTape {
    net: StackTape,
    positive: Buffer,
}

impl SplineTape {
    fn curves(&self) -> Curves<'_> {
        Curves { raw: self.net.output(), positive: &self.positive }
    }
}

impl SplineTransform {
    fn curves(&self, seen: &Seen<'_>) -> SplineTape {
        let net = self.net.forward(seen);
        let positive = self.spline.positive(net.output());
        SplineTape { net, positive }
    }

    pub(crate) fn forward(&self, seen: &Seen<'_>, x: &[f32], log_det: &mut [f32]) -> (Buffer, SplineTape) {
        let tape = self.curves(seen);
        (self.spline.forward(tape.curves(), x, log_det), tape)
    }

    pub(crate) fn inverse(&self, seen: &Seen<'_>, y: &[f32]) -> Buffer {
        self.spline.inverse(self.curves(seen).curves(), y)
    }

    pub(crate) fn backward(
        &self,
        seen: &Seen<'_>,
        tape: &SplineTape,
        GradHalf { x, grad_y, grad_log_det, wanted }: GradHalf<'_>,
        gradients: &mut Gradients<'_>,
    ) -> GradInputs {
        let (grad_x, grad_raw) = self.spline.backward(tape.curves(), x, grad_y, grad_log_det);
        GradInputs { x: grad_x, sources: self.net.backward(seen, &tape.net, grad_raw, wanted, gradients) }
    }
}
