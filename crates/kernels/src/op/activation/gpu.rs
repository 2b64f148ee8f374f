//! Applies activations and their derivatives on a GPU.

#![allow(clippy::too_many_arguments, reason = "each array of a kernel is an argument")]

use super::Activation;
use crate::gpu::{Gpu, Numbers, Rows};
use cubecl::prelude::*;

/// Columns of an array that has as many rows as what they are the masks of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask<'a> {
    pub(crate) values: &'a Numbers,
    /// Numbers of a row.
    pub(crate) stride: usize,
    /// The first column that counts.
    pub(crate) first: usize,
}

/// How many numbers there are, in rows of which width, and where the mask's columns are.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    numbers: usize,
    width: usize,
    mask_stride: usize,
    mask_first: usize,
}

impl Gpu {
    /// Gradients of a layer's sums, from those of its output: times the mask, if units are dropped, and the
    /// activation's derivative at these inputs.
    pub(crate) fn through_activation(
        &self,
        grad_output: &Rows,
        inputs: Option<(Activation, &Numbers)>,
        mask: Option<Mask<'_>>,
    ) -> Rows {
        let Rows { rows, width, ref values } = *grad_output;
        let out = self.rows(rows, width);
        let (activation, inputs) = inputs.unzip();
        let masked = mask.is_some();
        let mask = mask.unwrap_or(Mask { values, stride: 0, first: 0 });
        let (count, dim) = self.each(values.len);
        through_activation::launch(
            &self.client,
            count,
            dim,
            values.arg(),
            inputs.unwrap_or(values).arg(),
            mask.values.arg(),
            out.values.arg(),
            SizesLaunch { numbers: values.len, width, mask_stride: mask.stride, mask_first: mask.first },
            activation,
            masked,
        );
        out
    }
}

#[cube]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let small = (-x.abs()).exp();
    let above = 1.0f32 / (1.0f32 + small);
    let mut y = above;
    if x < 0.0 {
        y = small * above;
    }
    y
}

#[cube]
pub(crate) fn softplus(x: f32) -> f32 {
    let mut above = x;
    if x < 0.0 {
        above = 0.0f32;
    }
    // As on the processor. CubeCL's own `log1p` is ln(1 + u), which is 6e-8 off however small u is, where bins of
    // splines are of 1e-4 and more.
    let small = (-x.abs()).exp();
    let s = small / (2.0f32 + small);
    let square = s * s;
    let series = 1.0f32 / 9.0f32 + square * (1.0f32 / 11.0f32 + square * (1.0f32 / 13.0f32));
    let series = 1.0f32 + square * (1.0f32 / 3.0f32 + square * (0.2f32 + square * (1.0f32 / 7.0f32 + square * series)));
    above + 2.0f32 * s * series
}

/// tanh(ln(1 + exp(x))), as on the processor.
#[cube]
fn tanh_of_softplus(x: f32) -> f32 {
    let mut below = x;
    if x > 20.0 {
        below = 20.0f32;
    }
    let e = below.exp();
    let product = e * (e + 2.0f32);
    product / (product + 2.0f32)
}

#[cube]
pub(crate) fn activate(x: f32, #[comptime] activation: Activation) -> f32 {
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
        Activation::Mish => y = x * tanh_of_softplus(x),
    }
    y
}

/// The gradient of x from that of the output. Of max(x, 0) the output, above 0 where x is, does as well as x.
#[cube]
pub(crate) fn derivative(gradient: f32, x: f32, #[comptime] activation: Activation) -> f32 {
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
        Activation::Mish => {
            let t = tanh_of_softplus(x);
            of_x = gradient * (t + x * (1.0f32 - t * t) * sigmoid(x));
        }
    }
    of_x
}

#[cube(launch)]
fn through_activation(
    gradients: &[f32],
    inputs: &[f32],
    mask: &[f32],
    out: &mut [f32],
    sizes: Sizes,
    #[comptime] activation: Option<Activation>,
    #[comptime] masked: bool,
) {
    let at = ABSOLUTE_POS;
    if at < sizes.numbers {
        let mut value = gradients[at];
        if comptime!(masked) {
            value *= mask[at / sizes.width * sizes.mask_stride + sizes.mask_first + at % sizes.width];
        }
        if comptime!(activation.is_some()) {
            value = derivative(value, inputs[at], comptime!(activation.unwrap_or(Activation::Relu)));
        }
        out[at] = value;
    }
}
