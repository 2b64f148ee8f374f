//! Updates the states of many series at one row each, and takes gradients back through the update.
//!
//! A function updates one series. Each of its slices is an argument, which the compiler then knows not to overlap the
//! others: it computes many units at once. Loops over parts of one row took three to six times as long.

#![allow(clippy::too_many_arguments, reason = "slices that are arguments do not overlap")]

use crate::vector::{sigmoid, tanh, vectorised};

/// The blocks of a row of gates.
#[inline(always)]
fn blocks<const K: usize>(row: &[f32]) -> [&[f32]; K] {
    let units = row.len() / K;
    std::array::from_fn(|k| &row[k * units..(k + 1) * units])
}

/// The same, to be written.
#[inline(always)]
fn blocks_mut<const K: usize>(row: &mut [f32]) -> [&mut [f32]; K] {
    let units = row.len() / K;
    let mut rest = row;
    std::array::from_fn(|_| {
        let (block, after) = std::mem::take(&mut rest).split_at_mut(units);
        rest = after;
        block
    })
}

/// The numbers of all series at one step, `[sets, width]` each.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) units: usize,
    /// 1 or 0 for each series: whether its row is there.
    pub(super) there: &'a [f32],
    /// h before the step.
    pub(super) h: &'a [f32],
}

impl Step<'_> {
    /// Writes h after a step of a GRU. `gates` comes as input(x) and becomes r, z and n, where rows are there. What
    /// state(h) contributes to n is kept in `kept`.
    pub(super) fn gru(&self, gates: &mut [f32], of_state: &[f32], kept: &mut [f32], h_next: &mut [f32]) {
        let units = self.units;
        let rows = gates.chunks_exact_mut(3 * units).zip(of_state.chunks_exact(3 * units));
        let states = h_next.chunks_exact_mut(units).zip(self.h.chunks_exact(units));
        let rows = rows.zip(kept.chunks_exact_mut(units)).zip(states).zip(self.there);
        vectorised!(for ((((a, b), kept), (h_next, h)), there) in rows {
            if *there == 0.0 {
                h_next.copy_from_slice(h);
            } else {
                let ([r, z, n], [b_r, b_z, b_n]) = (blocks_mut(a), blocks(b));
                kept.copy_from_slice(b_n);
                gru(r, z, n, b_r, b_z, b_n, h, h_next);
            }
        });
    }

    /// Replaces the gradient of h after a step of a GRU by its part that does not go through state(h), and writes the
    /// gradients of input(x) and state(h).
    pub(super) fn gru_backward(
        &self,
        (gates, kept): (&[f32], &[f32]),
        grad_h: &mut [f32],
        [grad_input, grad_state]: [&mut [f32]; 2],
    ) {
        let units = self.units;
        let rows = gates.chunks_exact(3 * units).zip(kept.chunks_exact(units));
        let grads = grad_input.chunks_exact_mut(3 * units).zip(grad_state.chunks_exact_mut(3 * units));
        let states = grad_h.chunks_exact_mut(units).zip(self.h.chunks_exact(units)).zip(self.there);
        vectorised!(for (((a, b_n), (of_a, of_b)), ((grad_h, h), there)) in rows.zip(grads).zip(states) {
            if *there == 0.0 {
                of_a.fill(0.0);
                of_b.fill(0.0);
            } else {
                let ([r, z, n], [a_r, a_z, a_n], [b_r, b_z, of_b_n]) = (blocks(a), blocks_mut(of_a), blocks_mut(of_b));
                gru_backward(r, z, n, b_n, h, grad_h, a_r, a_z, a_n, of_b_n);
                b_r.copy_from_slice(a_r);
                b_z.copy_from_slice(a_z);
            }
        });
    }

    /// Writes h and c after a step of an LSTM. `gates` comes as input(x) + state(h) and becomes i, f, g and o, where
    /// rows are there.
    pub(super) fn lstm(&self, gates: &mut [f32], c: &[f32], h_next: &mut [f32], c_next: &mut [f32]) {
        let units = self.units;
        let states = h_next.chunks_exact_mut(units).zip(self.h.chunks_exact(units));
        let cells = c_next.chunks_exact_mut(units).zip(c.chunks_exact(units));
        let rows = gates.chunks_exact_mut(4 * units).zip(states).zip(cells).zip(self.there);
        vectorised!(for (((a, (h_next, h)), (c_next, c)), there) in rows {
            if *there == 0.0 {
                h_next.copy_from_slice(h);
                c_next.copy_from_slice(c);
            } else {
                let [i, f, g, o] = blocks_mut(a);
                lstm(i, f, g, o, c, h_next, c_next);
            }
        });
    }

    /// Replaces the gradients of h and c after a step of an LSTM by their parts that do not go through state(h), and
    /// writes the gradient of input(x) + state(h).
    pub(super) fn lstm_backward(
        &self,
        (gates, c, c_next): (&[f32], &[f32], &[f32]),
        [grad_h, grad_c]: [&mut [f32]; 2],
        grad: &mut [f32],
    ) {
        let units = self.units;
        let rows = gates.chunks_exact(4 * units).zip(grad.chunks_exact_mut(4 * units));
        let states = grad_h.chunks_exact_mut(units).zip(grad_c.chunks_exact_mut(units));
        let cells = c.chunks_exact(units).zip(c_next.chunks_exact(units)).zip(self.there);
        vectorised!(for (((a, grad), (grad_h, grad_c)), ((c, c_next), there)) in rows.zip(states).zip(cells) {
            if *there == 0.0 {
                grad.fill(0.0);
            } else {
                let ([i, f, g, o], [grad_i, grad_f, grad_g, grad_o]) = (blocks(a), blocks_mut(grad));
                lstm_backward(i, f, g, o, c, c_next, grad_h, grad_c, grad_i, grad_f, grad_g, grad_o);
            }
        });
    }
}

/// Of one series.
#[inline(always)]
fn gru(
    r: &mut [f32],
    z: &mut [f32],
    n: &mut [f32],
    b_r: &[f32],
    b_z: &[f32],
    b_n: &[f32],
    h: &[f32],
    h_next: &mut [f32],
) {
    let units = h.len();
    let (r, z, n, h_next) = (&mut r[..units], &mut z[..units], &mut n[..units], &mut h_next[..units]);
    let (b_r, b_z, b_n) = (&b_r[..units], &b_z[..units], &b_n[..units]);
    for i in 0..units {
        r[i] = sigmoid(r[i] + b_r[i]);
        z[i] = sigmoid(z[i] + b_z[i]);
        n[i] = tanh(n[i] + r[i] * b_n[i]);
        h_next[i] = n[i] + z[i] * (h[i] - n[i]);
    }
}

/// Of one series. The gradients of b_r and b_z are those of a_r and a_z.
#[inline(always)]
fn gru_backward(
    r: &[f32],
    z: &[f32],
    n: &[f32],
    b_n: &[f32],
    h: &[f32],
    grad_h: &mut [f32],
    grad_a_r: &mut [f32],
    grad_a_z: &mut [f32],
    grad_a_n: &mut [f32],
    grad_b_n: &mut [f32],
) {
    let units = h.len();
    let (r, z, n, b_n, grad_h) = (&r[..units], &z[..units], &n[..units], &b_n[..units], &mut grad_h[..units]);
    let (grad_a_r, grad_a_z) = (&mut grad_a_r[..units], &mut grad_a_z[..units]);
    let (grad_a_n, grad_b_n) = (&mut grad_a_n[..units], &mut grad_b_n[..units]);
    for i in 0..units {
        let grad = grad_h[i];
        let grad_n = grad * (1.0 - z[i]) * (1.0 - n[i] * n[i]);
        grad_a_r[i] = grad_n * b_n[i] * r[i] * (1.0 - r[i]);
        grad_a_z[i] = grad * (h[i] - n[i]) * z[i] * (1.0 - z[i]);
        grad_a_n[i] = grad_n;
        grad_b_n[i] = grad_n * r[i];
        grad_h[i] = grad * z[i];
    }
}

/// Of one series.
#[inline(always)]
fn lstm(i: &mut [f32], f: &mut [f32], g: &mut [f32], o: &mut [f32], c: &[f32], h_next: &mut [f32], c_next: &mut [f32]) {
    let units = c.len();
    let (i, f, g, o) = (&mut i[..units], &mut f[..units], &mut g[..units], &mut o[..units]);
    let (h_next, c_next) = (&mut h_next[..units], &mut c_next[..units]);
    for u in 0..units {
        i[u] = sigmoid(i[u]);
        f[u] = sigmoid(f[u]);
        g[u] = tanh(g[u]);
        o[u] = sigmoid(o[u]);
        c_next[u] = f[u] * c[u] + i[u] * g[u];
        h_next[u] = o[u] * tanh(c_next[u]);
    }
}

/// Of one series. The gradient of h is used up.
#[inline(always)]
fn lstm_backward(
    i: &[f32],
    f: &[f32],
    g: &[f32],
    o: &[f32],
    c: &[f32],
    c_next: &[f32],
    grad_h: &mut [f32],
    grad_c: &mut [f32],
    grad_i: &mut [f32],
    grad_f: &mut [f32],
    grad_g: &mut [f32],
    grad_o: &mut [f32],
) {
    let units = c.len();
    let (i, f, g, o, c_next) = (&i[..units], &f[..units], &g[..units], &o[..units], &c_next[..units]);
    let (grad_h, grad_c) = (&mut grad_h[..units], &mut grad_c[..units]);
    let (grad_i, grad_f) = (&mut grad_i[..units], &mut grad_f[..units]);
    let (grad_g, grad_o) = (&mut grad_g[..units], &mut grad_o[..units]);
    for u in 0..units {
        let tanh_c = tanh(c_next[u]);
        let of_c = grad_c[u] + grad_h[u] * o[u] * (1.0 - tanh_c * tanh_c);
        grad_i[u] = of_c * g[u] * i[u] * (1.0 - i[u]);
        grad_f[u] = of_c * c[u] * f[u] * (1.0 - f[u]);
        grad_g[u] = of_c * i[u] * (1.0 - g[u] * g[u]);
        grad_o[u] = grad_h[u] * tanh_c * o[u] * (1.0 - o[u]);
        grad_c[u] = of_c * f[u];
        grad_h[u] = 0.0;
    }
}
