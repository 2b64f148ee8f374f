//! Applies activations and their derivatives on the processor.

use super::Activation;
use crate::vector::{exp, exp_m1, map, sigmoid, softplus, tanh};

impl Activation {
    /// Replaces each number by the activation of it.
    pub(crate) fn apply(self, values: &mut [f32]) {
        match self {
            // Not `max`, which would make 0 of NaN.
            Self::Relu => map!(x in values => if x < 0.0 { 0.0 } else { x }),
            Self::Silu => map!(x in values => x * sigmoid(x)),
            Self::Elu => map!(x in values => if x > 0.0 { x } else { exp_m1(x) }),
            Self::Tanh => map!(x in values => tanh(x)),
            Self::Softplus => map!(x in values => softplus(x)),
            Self::Mish => map!(x in values => x * tanh_of_softplus(x)),
        }
    }

    /// Multiplies gradients of the output by the derivative at these inputs. For max(x, 0) the outputs, which are above
    /// 0 where the inputs are, do as well.
    pub(crate) fn apply_backward(self, inputs: &[f32], gradients: &mut [f32]) {
        match self {
            Self::Relu => map!(g in gradients, x in inputs => if x > 0.0 { g } else { 0.0 }),
            Self::Silu => map!(g in gradients, x in inputs => {
                let s = sigmoid(x);
                g * s * (1.0 + x * (1.0 - s))
            }),
            Self::Elu => map!(g in gradients, x in inputs => if x > 0.0 { g } else { g * exp(x) }),
            Self::Tanh => map!(g in gradients, x in inputs => {
                let y = tanh(x);
                g * (1.0 - y * y)
            }),
            Self::Softplus => map!(g in gradients, x in inputs => g * sigmoid(x)),
            Self::Mish => map!(g in gradients, x in inputs => {
                let t = tanh_of_softplus(x);
                g * (t + x * (1.0 - t * t) * sigmoid(x))
            }),
        }
    }
}

/// tanh(ln(1 + exp(x))): with e = exp(x), e (e + 2) / (e (e + 2) + 2). From 20 on it is 1 in f32.
#[inline(always)]
fn tanh_of_softplus(x: f32) -> f32 {
    let e = exp(if x > 20.0 { 20.0 } else { x });
    let product = e * (e + 2.0);
    product / (product + 2.0)
}
