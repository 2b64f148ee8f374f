//! Updates the states of many series at one row each, and takes gradients back through the update.

use super::Cell;
use crate::vector::{sigmoid, tanh, vectorised};

/// The numbers of all series at one step, `[sets, width]` each.
pub(super) struct Step<'a> {
    pub(super) units: usize,
    /// 1 or 0 for each series: whether its row is there.
    pub(super) there: &'a [f32],
    /// state(h), `[sets, gates · units]`.
    pub(super) of_state: &'a [f32],
    /// h before the step.
    pub(super) h: &'a [f32],
    /// c before the step; empty for a GRU.
    pub(super) c: &'a [f32],
}

impl Step<'_> {
    /// Writes h and c after the step. `gates` comes as input(x) and becomes the gates after their activation.
    pub(super) fn forward(&self, cell: Cell, gates: &mut [f32], h_next: &mut [f32], c_next: &mut [f32]) {
        match cell {
            Cell::Gru => self.gru(gates, h_next),
            Cell::Lstm => self.lstm(gates, h_next, c_next),
        }
    }

    fn gru(&self, gates: &mut [f32], h_next: &mut [f32]) {
        let units = self.units;
        let rows = gates.chunks_exact_mut(3 * units).zip(self.of_state.chunks_exact(3 * units));
        let states = h_next.chunks_exact_mut(units).zip(self.h.chunks_exact(units)).zip(self.there);
        vectorised!(for ((a, b), ((h_next, h), there)) in rows.zip(states) {
            let (r, a) = a.split_at_mut(units);
            let (z, n) = a.split_at_mut(units);
            let (b_r, b) = b.split_at(units);
            let (b_z, b_n) = b.split_at(units);
            for i in 0..units {
                r[i] = sigmoid(r[i] + b_r[i]);
                z[i] = sigmoid(z[i] + b_z[i]);
                n[i] = tanh(n[i] + r[i] * b_n[i]);
                let next = n[i] + z[i] * (h[i] - n[i]);
                h_next[i] = if *there == 0.0 { h[i] } else { next };
            }
        });
    }

    fn lstm(&self, gates: &mut [f32], h_next: &mut [f32], c_next: &mut [f32]) {
        let units = self.units;
        let rows = gates.chunks_exact_mut(4 * units).zip(self.of_state.chunks_exact(4 * units));
        let states = h_next.chunks_exact_mut(units).zip(self.h.chunks_exact(units));
        let cells = c_next.chunks_exact_mut(units).zip(self.c.chunks_exact(units)).zip(self.there);
        vectorised!(for (((a, b), (h_next, h)), ((c_next, c), there)) in rows.zip(states).zip(cells) {
            let (i_gate, a) = a.split_at_mut(units);
            let (f, a) = a.split_at_mut(units);
            let (g, o) = a.split_at_mut(units);
            for i in 0..units {
                i_gate[i] = sigmoid(i_gate[i] + b[i]);
                f[i] = sigmoid(f[i] + b[units + i]);
                g[i] = tanh(g[i] + b[2 * units + i]);
                o[i] = sigmoid(o[i] + b[3 * units + i]);
                let next = f[i] * c[i] + i_gate[i] * g[i];
                c_next[i] = if *there == 0.0 { c[i] } else { next };
                h_next[i] = if *there == 0.0 { h[i] } else { o[i] * tanh(next) };
            }
        });
    }

    /// Replaces the gradients of h and c after the step by the parts of those before it that do not go through
    /// state(h), and writes the gradients of input(x) and state(h).
    pub(super) fn backward(
        &self,
        cell: Cell,
        gates: &[f32],
        [grad_h, grad_c]: [&mut [f32]; 2],
        [grad_input, grad_state]: [&mut [f32]; 2],
    ) {
        match cell {
            Cell::Gru => self.gru_backward(gates, grad_h, [grad_input, grad_state]),
            Cell::Lstm => {
                self.lstm_backward(gates, [grad_h, grad_c], grad_input);
                grad_state.copy_from_slice(grad_input);
            }
        }
    }

    fn gru_backward(&self, gates: &[f32], grad_h: &mut [f32], [grad_input, grad_state]: [&mut [f32]; 2]) {
        let units = self.units;
        let rows = gates.chunks_exact(3 * units).zip(self.of_state.chunks_exact(3 * units));
        let grads = grad_input.chunks_exact_mut(3 * units).zip(grad_state.chunks_exact_mut(3 * units));
        let states = grad_h.chunks_exact_mut(units).zip(self.h.chunks_exact(units)).zip(self.there);
        vectorised!(for (((a, b), (of_a, of_b)), ((grad_h, h), there)) in rows.zip(grads).zip(states) {
            let (r, a) = a.split_at(units);
            let (z, n) = a.split_at(units);
            let b_n = &b[2 * units..];
            let (a_r, of_a) = of_a.split_at_mut(units);
            let (a_z, a_n) = of_a.split_at_mut(units);
            let (b_r, of_b) = of_b.split_at_mut(units);
            let (b_z, of_b_n) = of_b.split_at_mut(units);
            for i in 0..units {
                let is_there = if *there == 0.0 { 0.0 } else { 1.0 };
                let grad = grad_h[i] * is_there;
                let of_n = grad * (1.0 - z[i]) * (1.0 - n[i] * n[i]);
                let of_r = of_n * b_n[i] * r[i] * (1.0 - r[i]);
                let of_z = grad * (h[i] - n[i]) * z[i] * (1.0 - z[i]);
                a_r[i] = of_r;
                a_z[i] = of_z;
                a_n[i] = of_n;
                b_r[i] = of_r;
                b_z[i] = of_z;
                of_b_n[i] = of_n * r[i];
                grad_h[i] = if *there == 0.0 { grad_h[i] } else { grad * z[i] };
            }
        });
    }

    fn lstm_backward(&self, gates: &[f32], [grad_h, grad_c]: [&mut [f32]; 2], grad_input: &mut [f32]) {
        let units = self.units;
        let rows = gates.chunks_exact(4 * units).zip(grad_input.chunks_exact_mut(4 * units));
        let states = grad_h.chunks_exact_mut(units).zip(grad_c.chunks_exact_mut(units));
        let cells = self.c.chunks_exact(units).zip(self.there);
        vectorised!(for (((a, of_a), (grad_h, grad_c)), (c, there)) in rows.zip(states).zip(cells) {
            let (i_gate, a) = a.split_at(units);
            let (f, a) = a.split_at(units);
            let (g, o) = a.split_at(units);
            for i in 0..units {
                let is_there = if *there == 0.0 { 0.0 } else { 1.0 };
                let tanh_c = tanh(f[i] * c[i] + i_gate[i] * g[i]);
                let of_h = grad_h[i] * is_there;
                let of_c = grad_c[i] * is_there + of_h * o[i] * (1.0 - tanh_c * tanh_c);
                of_a[i] = of_c * g[i] * i_gate[i] * (1.0 - i_gate[i]);
                of_a[units + i] = of_c * c[i] * f[i] * (1.0 - f[i]);
                of_a[2 * units + i] = of_c * i_gate[i] * (1.0 - g[i] * g[i]);
                of_a[3 * units + i] = of_h * tanh_c * o[i] * (1.0 - o[i]);
                grad_c[i] = if *there == 0.0 { grad_c[i] } else { of_c * f[i] };
                grad_h[i] = if *there == 0.0 { grad_h[i] } else { 0.0 };
            }
        });
    }
}
