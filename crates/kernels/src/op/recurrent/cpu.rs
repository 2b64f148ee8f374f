//! Computes recurrent layers and their gradients on the processor.
//!
//! The products with rows are one product for all rows. What is left for each row is a product with the states of all
//! series, and the gates. All buffers are step after step, so that a step's numbers of all series lie together.

use super::{Cell, Recurrent, gates::Step};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        chain::cpu::{RowOperation, RowTape, Rows},
        product::{Matrix, Product, Start, transpose},
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
    /// What state(h) contributes to n of a GRU, `[steps, sets, units]`; of length 0 for an LSTM.
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

    /// The numbers of h, and of c, of all series: a GRU has no c.
    fn state_lens(&self, sets: usize) -> [usize; 2] {
        let len = sets * self.units;
        [len, if self.cell == Cell::Lstm { len } else { 0 }]
    }
}

/// A step's part of a buffer of so many numbers for each step.
fn step_of(values: &[f32], step: usize, len: usize) -> &[f32] {
    &values[step * len..(step + 1) * len]
}

fn step_mut(values: &mut [f32], step: usize, len: usize) -> &mut [f32] {
    &mut values[step * len..(step + 1) * len]
}

/// The states before and after a step.
fn around(values: &mut [f32], step: usize, len: usize) -> (&[f32], &mut [f32]) {
    let (before, after) = values.split_at_mut((step + 1) * len);
    (&before[step * len..], &mut after[..len])
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
        let [h_len, c_len] = self.state_lens(sets);
        let (mut h, mut c) = (Buffer::new((steps + 1) * h_len), Buffer::new((steps + 1) * c_len));
        h[..h_len].fill(0.0);
        c[..c_len].fill(0.0);
        let b = Matrix::new(arrays.operands[self.state.weight], self.units, columns);
        let bias = self.state.bias.map(|bias| Start::Rows(Source::of_all(arrays.operands[bias])));
        let mut of_state = Buffer::new(steps * (h_len - c_len));
        let mut sums = Buffer::new(if self.cell == Cell::Gru { sets * columns } else { 0 });
        for step in 0..steps {
            let (h, h_next) = around(&mut h, step, h_len);
            let (c, c_next) = around(&mut c, step, c_len);
            let gates = step_mut(&mut gates, step, sets * columns);
            let a = Matrix::new(h, sets, self.units);
            let update = Step { units: self.units, there: step_of(&there, step, sets), h };
            match self.cell {
                Cell::Gru => {
                    Product { a, b, start: bias.unwrap_or(Start::Zero), relu: false }.write(&mut sums);
                    update.gru(gates, &sums, step_mut(&mut of_state, step, h_len), h_next);
                }
                Cell::Lstm => {
                    assert!(bias.is_none(), "the bias of an LSTM is that of its input");
                    Product { a, b, start: Start::There, relu: false }.write(gates);
                    update.lstm(gates, c, h_next, c_next);
                }
            }
        }
        let last = Buffer::copy_of(step_of(&h, steps, h_len));
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
        let [h_len, c_len] = self.state_lens(sets);
        let (mut grad_h, mut grad_c) = (grad_output, Buffer::zeros(c_len));
        let mut grad_input = Buffer::new(gates.len());
        // Of an LSTM it is the same.
        let mut grad_state = (self.cell == Cell::Gru).then(|| Buffer::new(gates.len()));
        // Transposed once: a product with a transposed matrix would copy it at each step.
        let mut weight = Buffer::new(columns * self.units);
        transpose(arrays.operands[self.state.weight], &mut weight, columns);
        let weight = Matrix::new(&weight, columns, self.units);
        for step in (0..steps).rev() {
            let update = Step { units: self.units, there: step_of(there, step, sets), h: step_of(h, step, h_len) };
            let gates = step_of(gates, step, sets * columns);
            let grad_input = step_mut(&mut grad_input, step, sets * columns);
            let grad = match &mut grad_state {
                Some(grad_state) => {
                    let grad_state = step_mut(grad_state, step, sets * columns);
                    let kept = (gates, step_of(of_state, step, h_len));
                    update.gru_backward(kept, &mut grad_h, [grad_input, &mut *grad_state]);
                    grad_state
                }
                None => {
                    let kept = (gates, step_of(c, step, c_len), step_of(c, step + 1, c_len));
                    update.lstm_backward(kept, [&mut grad_h, &mut grad_c], grad_input);
                    grad_input
                }
            };
            if step > 0 {
                let a = Matrix::new(grad, sets, columns);
                Product { a, b: weight, start: Start::There, relu: false }.write(&mut grad_h);
            }
        }
        let grad_state = grad_state.as_ref().unwrap_or(&grad_input);
        if let Some(grad_weight) = gradients.of(self.state.weight) {
            let states = Matrix::new(&h[..steps * h_len], steps * sets, self.units);
            Product::new(states.transposed(), Matrix::new(grad_state, steps * sets, columns)).write(grad_weight);
        }
        if let Some(grad_bias) = self.state.bias.and_then(|bias| gradients.of(bias)) {
            sum_rows(grad_state, grad_bias);
        }
        let mut grad_rows = None;
        let wanted = wants_x.then_some(&mut grad_rows);
        self.input.gradients((&**rows, x.width), &grad_input, wanted, (arrays, gradients));
        grad_rows.map(|grad: Buffer| self.by_steps(x, x.width, &grad, false))
    }
}
