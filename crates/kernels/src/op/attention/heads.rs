//! Computes softmax(Q Kᵀ / √d) V for each data set and head.

use crate::{
    memory::Buffer,
    op::product::{Matrix, Product},
    vector::{dot, exp, max_of, sum, vectorised},
};

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
        let scale = self.scale(q);
        for ((set, head), probabilities) in self.each().zip(probabilities.chunks_exact_mut(queries * keys)) {
            let [q, k, v] = [(q, queries), (k, keys), (v, keys)].map(|(rows, n)| self.head(rows, n, set, head));
            Product::new(q, k.transposed()).write(probabilities);
            let mask = self.mask.map(|mask| &mask[set * keys..(set + 1) * keys]);
            softmax(probabilities, keys, scale, mask);
            let attended = Product::new(Matrix::new(probabilities, queries, keys), v);
            self.write(attended, &mut out, queries, set, head);
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
        let [mut grad_q, mut grad_k, mut grad_v] = [q, k, v].map(|rows| Buffer::new(rows.len()));
        let mut grad_scores = Buffer::new(queries * keys);
        let scale = self.scale(q);
        for ((set, head), probabilities) in self.each().zip(probabilities.chunks_exact(queries * keys)) {
            let [q, k, v] = [(q, queries), (k, keys), (v, keys)].map(|(rows, n)| self.head(rows, n, set, head));
            let grad = self.head(grad_output, queries, set, head);
            let p = Matrix::new(probabilities, queries, keys);
            self.write(Product::new(p.transposed(), grad), &mut grad_v, keys, set, head);
            Product::new(grad, v.transposed()).write(&mut grad_scores);
            softmax_backward(&mut grad_scores, probabilities, keys, scale);
            let of_scores = Matrix::new(&grad_scores, queries, keys);
            self.write(Product::new(of_scores, k), &mut grad_q, queries, set, head);
            self.write(Product::new(of_scores.transposed(), q), &mut grad_k, keys, set, head);
        }
        [grad_q, grad_k, grad_v]
    }

    /// All pairs of a set and a head, in the order of the probabilities.
    fn each(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let heads = self.heads;
        (0..self.sets).flat_map(move |set| (0..heads).map(move |head| (set, head)))
    }

    /// 1 / √d.
    fn scale(&self, q: HeadRows<'_>) -> f32 {
        1.0 / ((q.len() / (self.sets * self.queries * self.heads)) as f32).sqrt()
    }

    /// Where the first row of this set and head begins, of n rows for each set; how wide it is; from row to row.
    fn place(&self, len: usize, n: usize, set: usize, head: usize) -> (usize, usize, usize) {
        let width = len / (self.sets * n);
        let depth = width / self.heads;
        (set * n * width + head * depth, depth, width)
    }

    /// The rows of one head.
    fn head<'r>(&self, rows: HeadRows<'r>, n: usize, set: usize, head: usize) -> Matrix<'r> {
        let (first, depth, width) = self.place(rows.len(), n, set, head);
        Matrix::strided(&rows[first..], n, depth, width)
    }

    /// Writes a product where the rows of one head are.
    fn write(&self, product: Product<'_>, rows: &mut [f32], n: usize, set: usize, head: usize) {
        let (first, _, width) = self.place(rows.len(), n, set, head);
        product.write_strided(&mut rows[first..], width);
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
