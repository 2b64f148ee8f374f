//! Computes linear maps and their gradients on the processor.

use super::Linear;
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        chain::cpu::{RowOperation, RowTape, Rows},
        product::{Matrix, Product, Start},
    },
    source::Source,
    vector::sum_rows,
};

impl Linear {
    fn weight<'a>(&self, width: usize, arrays: Arrays<'a>) -> Matrix<'a> {
        Matrix::new(arrays.operands[self.weight], width, self.units)
    }

    /// x W + b of rows of this width.
    pub(crate) fn rows(&self, x: &[f32], width: usize, arrays: Arrays<'_>) -> Buffer {
        let rows = x.len() / width;
        let mut out = Buffer::new(rows * self.units);
        let start = self.bias.map_or(Start::Zero, |bias| Start::Rows(Source::of_all(arrays.operands[bias])));
        let (a, b) = (Matrix::new(x, rows, width), self.weight(width, arrays));
        Product { a, b, start, relu: false }.write(&mut out);
        out
    }

    /// Writes the gradients of W and b, and adds that of x to `grad_x`, or writes it where there is none yet.
    pub(crate) fn gradients(
        &self,
        (x, width): (&[f32], usize),
        grad_output: &[f32],
        grad_x: Option<&mut Option<Buffer>>,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) {
        let rows = x.len() / width;
        let grad = Matrix::new(grad_output, rows, self.units);
        if let Some(grad_weight) = gradients.of(self.weight) {
            Product::new(Matrix::new(x, rows, width).transposed(), grad).write(grad_weight);
        }
        if let Some(grad_bias) = self.bias.and_then(|bias| gradients.of(bias)) {
            sum_rows(grad_output, grad_bias);
        }
        let Some(grad_x) = grad_x else { return };
        let (a, b) = (grad, self.weight(width, arrays).transposed());
        match grad_x {
            Some(sum) => Product { a, b, start: Start::There, relu: false }.write(sum),
            none => Product::new(a, b).write(none.insert(Buffer::new(rows * width))),
        }
    }
}

impl RowOperation for Linear {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        RowTape::of_rows(x, self.rows(x.values, x.width, arrays), ())
    }

    fn backward(
        &self,
        x: Rows<'_>,
        _: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        pass: (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let mut grad_x = None;
        self.gradients((x.values, x.width), &grad_output, wants_x.then_some(&mut grad_x), pass);
        grad_x
    }
}
