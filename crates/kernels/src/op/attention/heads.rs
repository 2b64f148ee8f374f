//! Computes softmax(Q Kᵀ / √d) V for each data set and head.

use crate::{
    memory::Buffer,
    op::product::{Matrix, Product},
    vector::{dot, exp, max_of, sum, vectorised},
};
use std::ops::Range;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads<'a> {
    pub(super) sets: usize,
    pub(super) heads: usize,
    /// Rows of a data set that attend.
    pub(super) queries: usize,
    /// Rows of a data set that are attended to.
    pub(super) keys: usize,
    /// 1 or 0 for each of these: whether it is there.
    pub(super) mask: Option<&'a [f32]>,
}

/// Rows of queries, keys or values: all heads side by side.
pub(super) type HeadRows<'a> = &'a [f32];

impl Heads<'_> {
    /// The output of all heads side by side, and the probabilities `[sets, heads, queries, keys]`.
    pub(super) fn forward(&self, q: HeadRows<'_>, k: HeadRows<'_>, v: HeadRows<'_>) -> (Buffer, Buffer) {
        let Self { queries, keys, .. } = *self;
        let width = v.len() / (self.sets * keys);
        let mut out = Buffer::new(self.sets * queries * width);
        let mut probabilities = Buffer::new(self.sets * self.heads * queries * keys);
        let depth = width / self.heads;
        let mut head_out = Buffer::new(queries * depth);
        for ((set, head), probabilities) in self.each().zip(probabilities.chunks_exact_mut(queries * keys)) {
            let [q, k, v] = [(q, queries), (k, keys), (v, keys)].map(|(rows, n)| self.head(rows, n, set, head));
            Product::new(q.matrix(), k.matrix().transposed()).write(probabilities);
            softmax(
                probabilities,
                keys,
                self.scale(q.depth),
                self.mask.map(|mask| &mask[set * keys..(set + 1) * keys]),
            );
            Product::new(Matrix::new(probabilities, queries, keys), v.matrix()).write(&mut head_out);
            self.put(&mut out, &head_out, queries, set, head);
        }
        (out, probabilities)
    }

    /// The gradients of queries, keys and values.
    pub(super) fn backward(
        &self,
        [q, k, v]: [HeadRows<'_>; 3],
        probabilities: &[f32],
        grad_output: &[f32],
    ) -> [Buffer; 3] {
        let Self { queries, keys, .. } = *self;
        let mut grads = [q, k, v].map(|rows| Buffer::new(rows.len()));
        let mut grad_scores = Buffer::new(queries * keys);
        for ((set, head), p) in self.each().zip(probabilities.chunks_exact(queries * keys)) {
            let [q, k, v] = [(q, queries), (k, keys), (v, keys)].map(|(rows, n)| self.head(rows, n, set, head));
            let grad = self.head(grad_output, queries, set, head);
            let p = Matrix::new(p, queries, keys);
            let mut grad_head = Buffer::new(keys * v.depth);
            Product::new(p.transposed(), grad.matrix()).write(&mut grad_head);
            self.put(&mut grads[2], &grad_head, keys, set, head);
            Product::new(grad.matrix(), v.matrix().transposed()).write(&mut grad_scores);
            softmax_backward(&mut grad_scores, p.values(), keys, self.scale(q.depth));
            let of_scores = Matrix::new(&grad_scores, queries, keys);
            let mut grad_head = Buffer::new(queries * q.depth);
            Product::new(of_scores, k.matrix()).write(&mut grad_head);
            self.put(&mut grads[0], &grad_head, queries, set, head);
            let mut grad_head = Buffer::new(keys * k.depth);
            Product::new(of_scores.transposed(), q.matrix()).write(&mut grad_head);
            self.put(&mut grads[1], &grad_head, keys, set, head);
        }
        grads
    }

    /// All pairs of a set and a head, in the order of the probabilities.
    fn each(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let heads = self.heads;
        (0..self.sets).flat_map(move |set| (0..heads).map(move |head| (set, head)))
    }

    fn scale(&self, depth: usize) -> f32 {
        1.0 / (depth as f32).sqrt()
    }

    /// Where a row of this set and head is, of n rows for each set.
    fn place(&self, width: usize, n: usize, set: usize, head: usize) -> impl Fn(usize) -> Range<usize> + use<> {
        let depth = width / self.heads;
        move |row| {
            let first = (set * n + row) * width + head * depth;
            first..first + depth
        }
    }

    /// The rows of one head, copied: products are of rows that lie one after the other.
    fn head(&self, rows: &[f32], n: usize, set: usize, head: usize) -> Head {
        let width = rows.len() / (self.sets * n);
        let (depth, place) = (width / self.heads, self.place(width, n, set, head));
        let mut values = Buffer::new(n * depth);
        for (row, value) in values.chunks_exact_mut(depth).enumerate() {
            value.copy_from_slice(&rows[place(row)]);
        }
        Head { values, rows: n, depth }
    }

    /// Puts the rows of one head where they belong.
    fn put(&self, all: &mut [f32], values: &[f32], n: usize, set: usize, head: usize) {
        let width = all.len() / (self.sets * n);
        let place = self.place(width, n, set, head);
        for (row, value) in values.chunks_exact(width / self.heads).enumerate() {
            all[place(row)].copy_from_slice(value);
        }
    }
}

/// The rows of one head.
struct Head {
    values: Buffer,
    rows: usize,
    depth: usize,
}

impl Head {
    fn matrix(&self) -> Matrix<'_> {
        Matrix::new(&self.values, self.rows, self.depth)
    }
}

/// Replaces each row of scores by softmax(scale · row) over the keys that are there; the others get 0.
fn softmax(scores: &mut [f32], keys: usize, scale: f32, mask: Option<&[f32]>) {
    vectorised!(for row in scores.chunks_exact_mut(keys) {
        if let Some(mask) = mask {
            for (score, there) in row.iter_mut().zip(mask) {
                *score = if *there == 0.0 { f32::NEG_INFINITY } else { *score };
            }
        }
        let most = max_of(row);
        for score in &mut *row {
            *score = exp((*score - most) * scale);
        }
        let share = 1.0 / sum(row);
        for score in &mut *row {
            *score *= share;
        }
    });
}

/// Replaces the gradients of probabilities by those of scores.
fn softmax_backward(gradients: &mut [f32], probabilities: &[f32], keys: usize, scale: f32) {
    let rows = gradients.chunks_exact_mut(keys).zip(probabilities.chunks_exact(keys));
    vectorised!(for (grad, p) in rows {
        let mean = dot(grad, p);
        for (grad, p) in grad.iter_mut().zip(p) {
            *grad = (*grad - mean) * p * scale;
        }
    });
}
