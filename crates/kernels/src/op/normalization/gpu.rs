//! Computes normalisations and their gradients on a GPU, number by number inside the kernels of a coupling layer.

use super::Normalization;
use crate::{
    gpu::{Gpu, Numbers, Rows},
    plan::gpu::{GpuGradients, GpuPass},
};
use cubecl::prelude::*;

/// Rows, their width, and how many of them are in a part of the gradients; numbers that are gone through, and how many
/// numbers parts are apart.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    rows: usize,
    dim: usize,
    rows_of_part: usize,
    numbers: usize,
    stride: usize,
}

/// What the gradients of scale and bias are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GradNormalized<'a> {
    /// The input.
    pub(crate) input: &'a Rows,
    /// Gradients of the output.
    pub(crate) grads: &'a Rows,
    pub(crate) grad_log_det: &'a Numbers,
}

impl Normalization {
    /// Scale and bias.
    pub(crate) fn constants<'a>(&self, pass: GpuPass<'a>) -> [&'a Numbers; 2] {
        [&pass.operands[self.scale], &pass.operands[self.bias]]
    }

    /// Writes the gradients of scale and bias, if they are wanted.
    pub(crate) fn write_gradients(&self, pass: GpuPass<'_>, of: GradNormalized<'_>, gradients: &GpuGradients) {
        let (Some(grad_scale), Some(grad_bias)) = (gradients.of(self.scale), gradients.of(self.bias)) else { return };
        let GradNormalized { input, grads, grad_log_det } = of;
        let Rows { rows, width: dim, .. } = *grads;
        let gpu: &Gpu = pass.gpu;
        let (count, threads) = gpu.each(gradients.parts * dim);
        normalization_gradients::launch(
            &gpu.client,
            count,
            threads,
            grads.values.arg(),
            input.values.arg(),
            grad_log_det.arg(),
            self.constants(pass)[0].arg(),
            grad_scale.arg(),
            grad_bias.arg(),
            SizesLaunch {
                rows,
                dim,
                rows_of_part: rows.div_ceil(gradients.parts),
                numbers: gradients.parts * dim,
                stride: gradients.stride,
            },
        );
    }
}

#[cube]
pub(crate) fn normalize(x: f32, scale: &[f32], bias: &[f32], i: usize) -> f32 {
    x * scale[i] + bias[i]
}

#[cube]
pub(crate) fn denormalize(y: f32, scale: &[f32], bias: &[f32], i: usize) -> f32 {
    (y - bias[i]) / scale[i]
}

/// The gradients of scale and bias, of each part of the rows.
#[cube(launch)]
fn normalization_gradients(
    grads: &[f32],
    input: &[f32],
    grad_log_det: &[f32],
    scale: &[f32],
    grad_scale: &mut [f32],
    grad_bias: &mut [f32],
    sizes: Sizes,
) {
    let at = ABSOLUTE_POS;
    if at < sizes.numbers {
        let dim = sizes.dim;
        let part = at / dim;
        let i = at % dim;
        let first = part * sizes.rows_of_part;
        let mut end = first + sizes.rows_of_part;
        if end > sizes.rows {
            end = sizes.rows;
        }
        let mut sum = 0.0f32;
        let mut sum_of_scale = 0.0f32;
        for r in first..end {
            let value = grads[r * dim + i];
            sum += value;
            sum_of_scale += value * input[r * dim + i] + grad_log_det[r] / scale[i];
        }
        grad_bias[part * sizes.stride + i] = sum;
        grad_scale[part * sizes.stride + i] = sum_of_scale;
    }
}
