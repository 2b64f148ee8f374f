//! Computes time embeddings and their gradients on the processor.

use super::{RowTime, TimeEmbedding};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        chain::cpu::{RowOperation, RowTape, Rows},
    },
};

impl TimeEmbedding {
    /// The time of row `i` of all data sets' rows.
    fn time(&self, x: Rows<'_>, i: usize) -> f32 {
        match self.time {
            RowTime::Index(unit) => (i % x.n()) as f32 * unit,
            RowTime::Column(column) => x.values[i * x.width + column],
        }
    }
}

impl RowOperation for TimeEmbedding {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let (factors, offsets) = (arrays.operands[self.factors], arrays.operands[self.offsets]);
        let mut out = Buffer::new(x.all() * (x.width + self.number));
        for (i, row) in out.chunks_exact_mut(x.width + self.number).enumerate() {
            let (own, columns) = row.split_at_mut(x.width);
            own.copy_from_slice(&x.values[i * x.width..(i + 1) * x.width]);
            let time = self.time(x, i);
            for (c, (column, (factor, offset))) in columns.iter_mut().zip(factors.iter().zip(offsets)).enumerate() {
                let phase = time * factor + offset;
                *column = if c == 0 { phase } else { phase.sin() };
            }
        }
        RowTape::of_rows(x, out, ())
    }

    fn backward(
        &self,
        x: Rows<'_>,
        _: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let (factors, offsets) = (arrays.operands[self.factors], arrays.operands[self.offsets]);
        let mut grads = [Buffer::zeros(self.number), Buffer::zeros(self.number)];
        let mut grad_x = wants_x.then(|| Buffer::new(x.values.len()));
        for (i, grad) in grad_output.chunks_exact(x.width + self.number).enumerate() {
            let (own, columns) = grad.split_at(x.width);
            let (time, mut grad_time) = (self.time(x, i), 0.0);
            for c in 0..self.number {
                let slope = if c == 0 { 1.0 } else { (time * factors[c] + offsets[c]).cos() };
                let grad_phase = columns[c] * slope;
                grads[0][c] += grad_phase * time;
                grads[1][c] += grad_phase;
                grad_time += grad_phase * factors[c];
            }
            if let Some(grad_x) = &mut grad_x {
                let row = &mut grad_x[i * x.width..(i + 1) * x.width];
                row.copy_from_slice(own);
                if let RowTime::Column(column) = self.time {
                    row[column] += grad_time;
                }
            }
        }
        for (place, grad) in [self.factors, self.offsets].into_iter().zip(&grads) {
            if let Some(out) = gradients.of(place) {
                out.copy_from_slice(grad);
            }
        }
        grad_x
    }
}
