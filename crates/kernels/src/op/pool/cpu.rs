//! Pools the rows of data sets on the processor.

use super::Pool;
use crate::{
    memory::Buffer,
    vector::{add, sum_rows, vectorised},
};

/// The rows of data sets one after the other, as many for each.
#[derive(Clone, Copy)]
pub(crate) struct SetRows<'a> {
    pub(crate) values: &'a [f32],
    /// N, the rows of a set.
    pub(crate) n: usize,
    pub(crate) width: usize,
    /// Which rows are there, 1 or 0 for each; `None`: all. The others neither enter the pooled rows nor have a
    /// gradient.
    pub(crate) mask: Option<&'a [f32]>,
}

impl<'a> SetRows<'a> {
    /// The sets, each with its part of the mask.
    fn sets(self) -> impl Iterator<Item = (&'a [f32], Option<&'a [f32]>)> {
        let mask = move |set: usize| self.mask.map(|mask| &mask[set * self.n..(set + 1) * self.n]);
        self.values.chunks_exact(self.n * self.width).enumerate().map(move |(set, values)| (values, mask(set)))
    }
}

/// Whether a row is there.
fn is_there(mask: Option<&[f32]>, row: usize) -> bool {
    mask.is_none_or(|mask| mask[row] != 0.0)
}

/// How many rows of a set are there.
fn count(mask: Option<&[f32]>, n: usize) -> f32 {
    mask.map_or(n, |mask| mask.iter().filter(|there| **there != 0.0).count()) as f32
}

impl Pool {
    pub(crate) fn forward(self, rows: SetRows<'_>) -> Buffer {
        let SetRows { values, n, width, .. } = rows;
        let mut pooled = Buffer::new(values.len() / n);
        for ((set, mask), pooled) in rows.sets().zip(pooled.chunks_exact_mut(width)) {
            match self {
                Self::Mean => {
                    if mask.is_none() {
                        sum_rows(set, pooled);
                    } else {
                        pooled.fill(0.0);
                        let there = set.chunks_exact(width).enumerate().filter(|(row, _)| is_there(mask, *row));
                        there.for_each(|(_, row)| add(pooled, row));
                    }
                    let count = count(mask, n);
                    pooled.iter_mut().for_each(|sum| *sum /= count);
                }
                Self::Max => {
                    pooled.fill(f32::NEG_INFINITY);
                    vectorised!(for (i, row) in set.chunks_exact(width).enumerate() {
                        if is_there(mask, i) {
                            for (most, x) in pooled.iter_mut().zip(row) {
                                *most = if *x > *most { *x } else { *most };
                            }
                        }
                    });
                }
            }
        }
        pooled
    }

    /// The gradient of each row; with [`Pool::Max`], that of the first which has the largest value.
    pub(crate) fn backward(self, rows: SetRows<'_>, pooled: &[f32], grad_pooled: &[f32]) -> Buffer {
        let SetRows { values, n, width, .. } = rows;
        let mut grad_values = Buffer::new(values.len());
        let sets = grad_values.chunks_exact_mut(n * width).zip(rows.sets());
        let pooled = pooled.chunks_exact(width).zip(grad_pooled.chunks_exact(width));
        for ((grad_set, (set, mask)), (pooled, grad_pooled)) in sets.zip(pooled) {
            match self {
                Self::Mean => {
                    let (mut share, count) = (Buffer::new(width), count(mask, n));
                    share.iter_mut().zip(grad_pooled).for_each(|(share, grad)| *share = grad / count);
                    for (i, grad_row) in grad_set.chunks_exact_mut(width).enumerate() {
                        if is_there(mask, i) {
                            grad_row.copy_from_slice(&share);
                        } else {
                            grad_row.fill(0.0);
                        }
                    }
                }
                Self::Max => {
                    let mut left = Buffer::copy_of(grad_pooled);
                    let rows = grad_set.chunks_exact_mut(width).zip(set.chunks_exact(width));
                    for (r, (grad_row, row)) in rows.enumerate() {
                        let there = is_there(mask, r);
                        for i in 0..width {
                            let hit = there && row[i] == pooled[i];
                            grad_row[i] = if hit { left[i] } else { 0.0 };
                            left[i] = if hit { 0.0 } else { left[i] };
                        }
                    }
                }
            }
        }
        grad_values
    }
}
