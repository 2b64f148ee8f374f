//! Joins and takes columns on a GPU.

use crate::gpu::{Gpu, Rows};
use cubecl::prelude::*;

impl Gpu {
    /// The first columns of rows.
    pub(crate) fn columns(&self, values: &Rows, width: usize) -> Rows {
        let out = self.rows(values.rows, width);
        let (count, dim) = self.each(out.values.len);
        let (from, to, numbers) = (values.values.arg(), out.values.arg(), out.values.len);
        first_columns::launch(&self.client, count, dim, from, to, numbers, values.width, width);
        out
    }

    /// Rows of both, side by side.
    pub(crate) fn join(&self, first: &Rows, second: &Rows) -> Rows {
        let out = self.rows(first.rows, first.width + second.width);
        let (count, dim) = self.each(out.values.len);
        let (left, right) = (first.values.arg(), second.values.arg());
        let (to, numbers) = (out.values.arg(), out.values.len);
        join::launch(&self.client, count, dim, left, right, to, numbers, out.width, first.width);
        out
    }
}

#[cube(launch)]
fn first_columns(values: &[f32], out: &mut [f32], numbers: usize, from_width: usize, width: usize) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        out[at] = values[at / width * from_width + at % width];
    }
}

#[cube(launch)]
fn join(first: &[f32], second: &[f32], out: &mut [f32], numbers: usize, width: usize, first_width: usize) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let (r, i) = (at / width, at % width);
        if i < first_width {
            out[at] = first[r * first_width + i];
        } else {
            out[at] = second[r * (width - first_width) + i - first_width];
        }
    }
}
