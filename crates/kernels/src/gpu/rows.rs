//! What goes through rows of numbers one by one: gradients of activations, pooling, sums over parts.

use super::{Gpu, Numbers, Rows, activation::derivative};
use crate::{deep_set::Pool, stack::Activation};
use cubecl::prelude::*;

impl Gpu {
    /// Gradients of a layer's sums, from those of its output: times the mask, if units are dropped, and the activation's derivative.
    pub(super) fn through_activation(
        &self,
        of_output: &Rows,
        input: Option<(Activation, &Numbers)>,
        mask: Option<(&Numbers, usize, usize)>,
    ) -> Rows {
        let Rows { rows, width, ref values } = *of_output;
        let out = self.rows(rows, width);
        let (activation, inputs) = input.unzip();
        let (masks, mask_stride, mask_first) = mask.unwrap_or((values, 0, 0));
        let (count, dim) = self.each(values.len);
        through_activation::launch(
            &self.client,
            count,
            dim,
            values.arg(),
            inputs.unwrap_or(values).arg(),
            masks.arg(),
            out.values.arg(),
            values.len,
            width,
            mask_stride,
            mask_first,
            activation,
            mask.is_some(),
        );
        out
    }

    /// Of each `n` rows one: their mean, or the largest number of each column.
    pub(super) fn pool(&self, values: &Rows, n: usize, pool: Pool) -> Rows {
        self.pool_by(values, n, pool, 1.0 / n as f32)
    }

    /// The sum of each `n` rows.
    pub(super) fn gather(&self, values: &Rows, n: usize) -> Rows {
        self.pool_by(values, n, Pool::Mean, 1.0)
    }

    fn pool_by(&self, values: &Rows, n: usize, pool: Pool, factor: f32) -> Rows {
        let out = self.rows(values.rows / n, values.width);
        let (count, dim) = self.each(out.values.len);
        let (of, numbers) = (&out.values, out.values.len);
        pool_rows::launch(
            &self.client,
            count,
            dim,
            values.values.arg(),
            of.arg(),
            numbers,
            values.width,
            n,
            factor,
            pool,
        );
        out
    }

    /// The gradients of rows that were pooled, from those of what they became, added to others if there are any.
    pub(super) fn unpool(
        &self,
        values: &Rows,
        pooled: &Rows,
        of_pooled: &Rows,
        pool: Pool,
        others: Option<Rows>,
    ) -> Rows {
        let n = values.rows / pooled.rows;
        let adds = others.is_some();
        let out = others.unwrap_or_else(|| self.rows(values.rows, values.width));
        let (count, dim) = self.each(pooled.values.len);
        unpool_rows::launch(
            &self.client,
            count,
            dim,
            values.values.arg(),
            pooled.values.arg(),
            of_pooled.values.arg(),
            out.values.arg(),
            pooled.values.len,
            values.width,
            n,
            1.0 / n as f32,
            pool,
            adds,
        );
        out
    }

    /// The first columns of rows.
    pub(super) fn columns(&self, values: &Rows, width: usize) -> Rows {
        let out = self.rows(values.rows, width);
        let (count, dim) = self.each(out.values.len);
        let numbers = out.values.len;
        first_columns::launch(
            &self.client,
            count,
            dim,
            values.values.arg(),
            out.values.arg(),
            numbers,
            values.width,
            width,
        );
        out
    }
}

#[cube(launch)]
fn through_activation(
    gradients: &[f32],
    inputs: &[f32],
    mask: &[f32],
    out: &mut [f32],
    numbers: usize,
    width: usize,
    mask_stride: usize,
    mask_first: usize,
    #[comptime] activation: Option<Activation>,
    #[comptime] masked: bool,
) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let mut value = gradients[at];
        if comptime!(masked) {
            value *= mask[at / width * mask_stride + mask_first + at % width];
        }
        if comptime!(activation.is_some()) {
            value = derivative(value, inputs[at], comptime!(activation.unwrap_or(Activation::Relu)));
        }
        out[at] = value;
    }
}

#[cube(launch)]
fn pool_rows(
    values: &[f32],
    out: &mut [f32],
    numbers: usize,
    width: usize,
    n: usize,
    factor: f32,
    #[comptime] pool: Pool,
) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let first = at / width * n * width + at % width;
        match pool {
            Pool::Mean => {
                let mut sum = 0.0f32;
                for i in 0..n {
                    sum += values[first + i * width];
                }
                out[at] = sum * factor;
            }
            Pool::Max => {
                let mut most = values[first];
                for i in 1..n {
                    let value = values[first + i * width];
                    if value > most {
                        most = value;
                    }
                }
                out[at] = most;
            }
        }
    }
}

/// With [`Pool::Max`], the gradient is that of the first which has the largest value.
#[cube(launch)]
fn unpool_rows(
    values: &[f32],
    pooled: &[f32],
    of_pooled: &[f32],
    out: &mut [f32],
    numbers: usize,
    width: usize,
    n: usize,
    factor: f32,
    #[comptime] pool: Pool,
    #[comptime] adds: bool,
) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let first = at / width * n * width + at % width;
        let mut left = of_pooled[at];
        if comptime!(pool == Pool::Mean) {
            left *= factor;
        }
        for i in 0..n {
            let place = first + i * width;
            let mut value = left;
            if comptime!(pool == Pool::Max) {
                if values[place] == pooled[at] {
                    left = 0.0f32;
                } else {
                    value = 0.0f32;
                }
            }
            if comptime!(adds) {
                value += out[place];
            }
            out[place] = value;
        }
    }
}

#[cube(launch)]
fn first_columns(values: &[f32], out: &mut [f32], numbers: usize, from_width: usize, width: usize) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        out[at] = values[at / width * from_width + at % width];
    }
}
