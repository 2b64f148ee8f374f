//! Reorders dimensions on the processor.

use super::Permutation;
use crate::memory::Buffer;

impl Permutation {
    /// The reordered rows of x in two halves, the first of which has d1 dimensions.
    pub(crate) fn split(&self, x: &[f32], [d1, d2]: [usize; 2]) -> [Buffer; 2] {
        let rows = x.len() / (d1 + d2);
        let (mut u1, mut u2) = (Buffer::new(rows * d1), Buffer::new(rows * d2));
        for (r, x) in x.chunks_exact(d1 + d2).enumerate() {
            let (u1, u2) = (&mut u1[r * d1..(r + 1) * d1], &mut u2[r * d2..(r + 1) * d2]);
            u1.iter_mut().chain(u2).zip(&self.order).for_each(|(u, &from)| *u = x[from]);
        }
        [u1, u2]
    }

    /// The inverse of [`Permutation::split`], and its transpose: rows from their reordered halves.
    pub(crate) fn join(&self, [u1, u2]: [&[f32]; 2], [d1, d2]: [usize; 2]) -> Buffer {
        let mut x = Buffer::new(u1.len() + u2.len());
        for (r, x) in x.chunks_exact_mut(d1 + d2).enumerate() {
            let (u1, u2) = (&u1[r * d1..(r + 1) * d1], &u2[r * d2..(r + 1) * d2]);
            u1.iter().chain(u2).zip(&self.order).for_each(|(u, &to)| x[to] = *u);
        }
        x
    }
}
