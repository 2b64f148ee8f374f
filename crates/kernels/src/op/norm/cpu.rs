//! Computes normalisations of rows and their gradients on the processor.

use super::RowNorm;
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        chain::cpu::{RowOperation, RowTape, Rows},
    },
    source::Source,
    vector::{dot, sum, sum_rows, vectorised},
};

impl RowNorm {
    /// The output for rows of this width, and what [`RowNorm::gradients`] needs: rows before scale and bias, and
    /// 1 / √(s² + ε) of each.
    pub(crate) fn rows(&self, x: &[f32], width: usize, arrays: Arrays<'_>) -> (Buffer, (Buffer, Buffer)) {
        let (mut normalised, mut factors) = (Buffer::new(x.len()), Buffer::new(x.len() / width));
        let mut out = Buffer::new(x.len());
        let scale = &arrays.operands[self.scale][..width];
        let share = 1.0 / width as f32;
        let outputs = out.chunks_exact_mut(width).zip(normalised.chunks_exact_mut(width)).zip(factors.iter_mut());
        vectorised!(for (((out, normalised), factor), x) in outputs.zip(x.chunks_exact(width)) {
            let mean = if self.centred { sum(x) * share } else { 0.0 };
            for i in 0..width {
                normalised[i] = x[i] - mean;
            }
            *factor = 1.0 / (dot(normalised, normalised) * share + self.epsilon).sqrt();
            for i in 0..width {
                normalised[i] *= *factor;
                out[i] = normalised[i] * scale[i];
            }
        });
        if let Some(bias) = self.bias {
            Source::of_all(arrays.operands[bias]).add_to(&mut out);
        }
        (out, (normalised, factors))
    }

    /// Writes the gradients of scale and bias, and replaces the gradients of the output by those of the input.
    pub(crate) fn gradients(
        &self,
        (normalised, factors): &(Buffer, Buffer),
        grads: &mut [f32],
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) {
        let scale = arrays.operands[self.scale];
        let width = scale.len();
        if let Some(grad_bias) = self.bias.and_then(|bias| gradients.of(bias)) {
            sum_rows(grads, grad_bias);
        }
        if let Some(grad_scale) = gradients.of(self.scale) {
            grad_scale.fill(0.0);
            vectorised!(for (grad, x) in grads.chunks_exact(width).zip(normalised.chunks_exact(width)) {
                for ((sum, grad), x) in grad_scale.iter_mut().zip(grad).zip(x) {
                    *sum += grad * x;
                }
            });
        }
        let share = 1.0 / width as f32;
        let rows = grads.chunks_exact_mut(width).zip(normalised.chunks_exact(width)).zip(factors.iter());
        vectorised!(for ((grad, x), factor) in rows {
            for (grad, scale) in grad.iter_mut().zip(scale) {
                *grad *= scale;
            }
            // What changes mean and scale of the row does not change its normalised numbers.
            let mean = if self.centred { sum(grad) * share } else { 0.0 };
            let along = dot(grad, x) * share;
            for (grad, x) in grad.iter_mut().zip(x) {
                *grad = (*grad - mean - x * along) * factor;
            }
        });
    }
}

impl RowOperation for RowNorm {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let (out, kept) = self.rows(x.values, x.width, arrays);
        RowTape::of_rows(x, out, kept)
    }

    fn backward(
        &self,
        _: Rows<'_>,
        tape: &RowTape,
        mut grad_output: Buffer,
        _: bool,
        pass: (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        self.gradients(tape.inner(), &mut grad_output, pass);
        Some(grad_output)
    }
}
