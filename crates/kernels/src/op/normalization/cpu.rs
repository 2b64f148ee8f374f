//! Computes normalisations and their gradients on the processor.

use super::Normalization;
use crate::{gradients::Gradients, memory::Buffer, op::Arrays, vector::sum_rows};

impl Normalization {
    fn scale_and_bias<'a>(&self, arrays: Arrays<'a>) -> (&'a [f32], &'a [f32]) {
        (arrays.operands[self.scale], arrays.operands[self.bias])
    }

    /// x · scale + bias, and Σ ln|scale| added to `log_det`.
    pub(crate) fn forward(&self, arrays: Arrays<'_>, x: &[f32], log_det: &mut [f32]) -> Buffer {
        let (scale, bias) = self.scale_and_bias(arrays);
        let mut out = Buffer::new(x.len());
        for (out, x) in out.chunks_exact_mut(scale.len()).zip(x.chunks_exact(scale.len())) {
            for i in 0..scale.len() {
                out[i] = x[i] * scale[i] + bias[i];
            }
        }
        let log_scale: f32 = scale.iter().map(|scale| scale.abs().ln()).sum();
        log_det.iter_mut().for_each(|log_det| *log_det += log_scale);
        out
    }

    /// Replaces each number by (y − bias) / scale.
    pub(crate) fn inverse(&self, arrays: Arrays<'_>, y: &mut [f32]) {
        let (scale, bias) = self.scale_and_bias(arrays);
        for y in y.chunks_exact_mut(scale.len()) {
            for i in 0..scale.len() {
                y[i] = (y[i] - bias[i]) / scale[i];
            }
        }
    }

    /// Replaces the gradients of the output by those of the input `x`.
    pub(crate) fn backward(
        &self,
        arrays: Arrays<'_>,
        x: &[f32],
        grads: &mut [f32],
        grad_log_det: &[f32],
        gradients: &mut Gradients<'_>,
    ) {
        let (scale, _) = self.scale_and_bias(arrays);
        let dim = scale.len();
        if let Some(grad_bias) = gradients.of(self.bias) {
            sum_rows(grads, grad_bias);
        }
        if let Some(grad_scale) = gradients.of(self.scale) {
            let grad_log_scale: f32 = grad_log_det.iter().sum();
            grad_scale.iter_mut().zip(scale).for_each(|(grad_scale, scale)| *grad_scale = grad_log_scale / scale);
            for (grads, x) in grads.chunks_exact(dim).zip(x.chunks_exact(dim)) {
                for ((grad_scale, grad), x) in grad_scale.iter_mut().zip(grads).zip(x) {
                    *grad_scale += grad * x;
                }
            }
        }
        for grads in grads.chunks_exact_mut(dim) {
            grads.iter_mut().zip(scale).for_each(|(grad, scale)| *grad *= scale);
        }
    }
}
