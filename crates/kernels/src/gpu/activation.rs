//! Activations and their derivatives.

use crate::stack::Activation;
use cubecl::prelude::*;

#[cube]
pub(super) fn sigmoid(x: f32) -> f32 {
    let small = (-x.abs()).exp();
    let above = 1.0f32 / (1.0f32 + small);
    let mut y = above;
    if x < 0.0 {
        y = small * above;
    }
    y
}

#[cube]
pub(super) fn softplus(x: f32) -> f32 {
    let mut above = x;
    if x < 0.0 {
        above = 0.0f32;
    }
    // As on the processor. CubeCL's own `log1p` is ln(1 + u), which is 6e-8 off however small u is, where bins of splines are of 1e-4 and more.
    let small = (-x.abs()).exp();
    let s = small / (2.0f32 + small);
    let square = s * s;
    let series = 1.0f32 / 9.0f32 + square * (1.0f32 / 11.0f32 + square * (1.0f32 / 13.0f32));
    let series = 1.0f32 + square * (1.0f32 / 3.0f32 + square * (0.2f32 + square * (1.0f32 / 7.0f32 + square * series)));
    above + 2.0f32 * s * series
}

#[cube]
pub(super) fn activate(x: f32, #[comptime] activation: Activation) -> f32 {
    let mut y = x;
    match activation {
        // Not `max`, which would make 0 of what is no number.
        Activation::Relu => {
            if x < 0.0 {
                y = 0.0f32;
            }
        }
        Activation::Silu => y = x * sigmoid(x),
        Activation::Elu => {
            if x < 0.0 {
                y = x.exp() - 1.0f32;
            }
        }
        Activation::Tanh => y = x.tanh(),
        Activation::Softplus => y = softplus(x),
    }
    y
}

/// The gradient of x from that of the output. Of max(x, 0) the output, above 0 where x is, does as well as x.
#[cube]
pub(super) fn derivative(gradient: f32, x: f32, #[comptime] activation: Activation) -> f32 {
    let mut of_x = gradient;
    match activation {
        Activation::Relu => {
            if x <= 0.0 {
                of_x = 0.0f32;
            }
        }
        Activation::Silu => {
            let s = sigmoid(x);
            of_x = gradient * s * (1.0f32 + x * (1.0f32 - s));
        }
        Activation::Elu => {
            if x < 0.0 {
                of_x = gradient * x.exp();
            }
        }
        Activation::Tanh => {
            let y = x.tanh();
            of_x = gradient * (1.0f32 - y * y);
        }
        Activation::Softplus => of_x = gradient * sigmoid(x),
    }
    of_x
}
