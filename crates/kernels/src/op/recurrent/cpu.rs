//! Computes recurrent layers and their gradients on the processor.
//!
//! The products with rows are one product for all rows. What is left for each row is a product with the states of all
//! series, and the gates. All buffers are step after step, so that a step's numbers of all series lie together.

use super::{Recurrent, gates::Step};
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

/// The values of a forward pass, step after step.
struct Kept {
    /// The rows of x, `[steps, sets, width]`.
    x: Buffer,
    /// Whether they are there, `[steps, sets]`.
    there: Buffer,
    /// The gates, `[steps, sets, gates · units]`.
    gates: Buffer,
    /// state(h), of the same shape.
    of_state: Buffer,
    /// h before each step and after the last, `[steps + 1, sets, units]`.
    h: Buffer,
    /// c likewise; of length 0 for a GRU.
    c: Buffer,
}

impl Recurrent {
    /// The columns of the gates.
    fn columns(&self) -> usize {
        self.cell.num_gates() * self.units
    }

    /// The rows of x in the order in which they are read, `[steps, sets, width]`, from those of data sets; or back.
    fn by_steps(&self, x: Rows<'_>, width: usize, values: &[f32], to_steps: bool) -> Buffer {
        let n = x.n();
        let mut out = Buffer::new(values.len());
        for set in 0..x.sets {
            for row in 0..n {
                let step = if self.reversed { n - 1 - row } else { row };
                let (by_set, by_step) = ((set * n + row) * width, (step * x.sets + set) * width);
                let (from, to) = if to_steps { (by_set, by_step) } else { (by_step, by_set) };
                out[to..to + width].copy_from_slice(&values[from..from + width]);
            }
        }
        out
    }

    /// The numbers of c of all series: none for a GRU.
    fn cell_len(&self, sets: usize) -> usize {
        if self.cell == super::Cell::Lstm { sets * self.units } else { 0 }
    }
}

/// A step's part of a buffer of so many numbers for each step.
fn step_of(values: &[f32], step: usize, len: usize) -> &[f32] {
    &values[step * len..(step + 1) * len]
}

impl RowOperation for Recurrent {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let (sets, steps, columns) = (x.sets, x.n(), self.columns());
        let rows = self.by_steps(x, x.width, x.values, true);
        let there = match x.mask {
            Some(mask) => self.by_steps(x, 1, mask, true),
            None => {
                let mut all = Buffer::new(sets * steps);
                all.fill(1.0);
                all
            }
        };
        let mut gates = self.input.rows(&rows, x.width, arrays);
        let mut of_state = Buffer::new(gates.len());
        let (state_len, cell_len) = (sets * self.units, self.cell_len(sets));
        let (mut h, mut c) = (Buffer::new((steps + 1) * state_len), Buffer::new((steps + 1) * cell_len));
        h[..state_len].fill(0.0);
        c[..cell_len].fill(0.0);
        let weight = Matrix::new(arrays.operands[self.state.weight], self.units, columns);
        let start = self.state.bias.map_or(Start::Zero, |bias| Start::Rows(Source::of_all(arrays.operands[bias])));
        for step in 0..steps {
            let of_state = &mut of_state[step * sets * columns..(step + 1) * sets * columns];
            let (before, after) = h.split_at_mut((step + 1) * state_len);
            let h_before = step_of(before, step, state_len);
            let a = Matrix::new(h_before, sets, self.units);
            Product { a, b: weight, start, relu: false }.write(of_state);
            let (c_before, c_after) = c.split_at_mut((step + 1) * cell_len);
            let update = Step {
                units: self.units,
                there: step_of(&there, step, sets),
                of_state,
                h: h_before,
                c: step_of(c_before, step, cell_len),
            };
            let gates = &mut gates[step * sets * columns..(step + 1) * sets * columns];
            update.forward(self.cell, gates, &mut after[..state_len], &mut c_after[..cell_len]);
        }
        let last = Buffer::copy_of(step_of(&h, steps, state_len));
        RowTape::new(sets, [1, 1], (last, None), Kept { x: rows, there, gates, of_state, h, c })
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let Kept { x: rows, there, gates, of_state, h, c } = tape.inner();
        let (sets, steps, columns) = (x.sets, x.n(), self.columns());
        let (state_len, cell_len) = (sets * self.units, self.cell_len(sets));
        let mut grad_h = grad_output;
        let mut grad_c = Buffer::zeros(cell_len);
        let (mut grad_input, mut grad_state) = (Buffer::new(gates.len()), Buffer::new(gates.len()));
        // Transposed once: a product with a transposed matrix would copy it at each step.
        let weight = transposed(arrays.operands[self.state.weight], self.units, columns);
        let weight = Matrix::new(&weight, columns, self.units);
        for step in (0..steps).rev() {
            let place = step * sets * columns..(step + 1) * sets * columns;
            let update = Step {
                units: self.units,
                there: step_of(there, step, sets),
                of_state: &of_state[place.clone()],
                h: step_of(h, step, state_len),
                c: step_of(c, step, cell_len),
            };
            let grads = [&mut grad_input[place.clone()], &mut grad_state[place.clone()]];
            update.backward(self.cell, &gates[place.clone()], [&mut grad_h, &mut grad_c], grads);
            if step > 0 {
                let a = Matrix::new(&grad_state[place], sets, columns);
                Product { a, b: weight, start: Start::There, relu: false }.write(&mut grad_h);
            }
        }
        if let Some(grad_weight) = gradients.of(self.state.weight) {
            let states = Matrix::new(&h[..steps * state_len], steps * sets, self.units);
            Product::new(states.transposed(), Matrix::new(&grad_state, steps * sets, columns)).write(grad_weight);
        }
        if let Some(grad_bias) = self.state.bias.and_then(|bias| gradients.of(bias)) {
            sum_rows(&grad_state, grad_bias);
        }
        let mut grad_rows = None;
        let wanted = wants_x.then_some(&mut grad_rows);
        self.input.gradients((&**rows, x.width), &grad_input, wanted, (arrays, gradients));
        grad_rows.map(|grad: Buffer| self.by_steps(x, x.width, &grad, false))
    }
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Buffer {
    let mut out = Buffer::new(values.len());
    for (i, row) in values.chunks_exact(columns).enumerate() {
        for (j, value) in row.iter().enumerate() {
            out[j * rows + i] = *value;
        }
    }
    out
}
