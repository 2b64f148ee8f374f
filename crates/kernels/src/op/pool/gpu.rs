//! Pools the rows of data sets on a GPU.

#![allow(clippy::too_many_arguments, reason = "each array of a kernel is an argument")]
#![allow(clippy::collapsible_if, reason = "what is known when a kernel is compiled is asked by itself")]

use super::Pool;
use crate::gpu::{Gpu, Numbers, Rows};
use cubecl::prelude::*;

/// Numbers that are gone through, in rows of which width, and how many rows each set has; what a sum over all is
/// multiplied by.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    numbers: usize,
    width: usize,
    n: usize,
    factor: f32,
}

/// The rows of data sets, `n` of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetRows<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) n: usize,
    /// Which rows are there, 1 or 0 for each; `None`: all. The others neither enter the pooled rows nor have a
    /// gradient.
    pub(crate) mask: Option<&'a Numbers>,
}

/// Rows that were pooled, and what they became.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PooledRows<'a> {
    pub(crate) sets: SetRows<'a>,
    pub(crate) pooled: &'a Rows,
}

impl Gpu {
    /// Of each set one row: the mean of its rows, or the largest number of each column.
    pub(crate) fn pool(&self, sets: SetRows<'_>, pool: Pool) -> Rows {
        self.pool_by(sets, pool, 1.0 / sets.n as f32)
    }

    /// The sum of each `n` rows.
    pub(crate) fn gather(&self, rows: &Rows, n: usize) -> Rows {
        self.pool_by(SetRows { rows, n, mask: None }, Pool::Mean, 1.0)
    }

    fn pool_by(&self, SetRows { rows, n, mask }: SetRows<'_>, pool: Pool, factor: f32) -> Rows {
        let out = self.rows(rows.rows / n, rows.width);
        let (count, dim) = self.each(out.values.len);
        let sizes = SizesLaunch { numbers: out.values.len, width: rows.width, n, factor };
        let (values, there) = (rows.values.arg(), mask.unwrap_or(&rows.values).arg());
        pool_rows::launch(&self.client, count, dim, values, there, out.values.arg(), sizes, pool, mask.is_some());
        out
    }

    /// The gradients of rows that were pooled, from those of what they became, added to others if there are any.
    pub(crate) fn unpool(
        &self,
        PooledRows { sets, pooled }: PooledRows<'_>,
        grad_pooled: &Rows,
        pool: Pool,
        others: Option<Rows>,
    ) -> Rows {
        let SetRows { rows, n, mask } = sets;
        let adds = others.is_some();
        let out = others.unwrap_or_else(|| self.rows(rows.rows, rows.width));
        let (count, dim) = self.each(pooled.values.len);
        let sizes = SizesLaunch { numbers: pooled.values.len, width: rows.width, n, factor: 1.0 / n as f32 };
        unpool_rows::launch(
            &self.client,
            count,
            dim,
            rows.values.arg(),
            pooled.values.arg(),
            grad_pooled.values.arg(),
            mask.unwrap_or(&rows.values).arg(),
            out.values.arg(),
            sizes,
            pool,
            adds,
            mask.is_some(),
        );
        out
    }
}

/// What the sum over a set's rows is multiplied by for the mean of those that are there.
#[cube]
fn mean_factor(mask: &[f32], set: usize, sizes: &Sizes, #[comptime] masked: bool) -> f32 {
    let mut factor = sizes.factor;
    if comptime!(masked) {
        let mut count = 0.0f32;
        for i in 0..sizes.n {
            if mask[set * sizes.n + i] != 0.0 {
                count += 1.0f32;
            }
        }
        factor = 1.0f32 / count;
    }
    factor
}

#[cube(launch)]
fn pool_rows(
    values: &[f32],
    mask: &[f32],
    out: &mut [f32],
    sizes: Sizes,
    #[comptime] pool: Pool,
    #[comptime] masked: bool,
) {
    let at = ABSOLUTE_POS;
    if at < sizes.numbers {
        let width = sizes.width;
        let set = at / width;
        let first = set * sizes.n * width + at % width;
        match pool {
            Pool::Mean => {
                let mut sum = 0.0f32;
                for i in 0..sizes.n {
                    if comptime!(masked) {
                        if mask[set * sizes.n + i] != 0.0 {
                            sum += values[first + i * width];
                        }
                    } else {
                        sum += values[first + i * width];
                    }
                }
                out[at] = sum * mean_factor(mask, set, &sizes, masked);
            }
            Pool::Max => {
                let mut most = values[first];
                if comptime!(masked) {
                    most = f32::MIN;
                }
                for i in 0..sizes.n {
                    let value = values[first + i * width];
                    if comptime!(masked) {
                        if mask[set * sizes.n + i] != 0.0 && value > most {
                            most = value;
                        }
                    } else if value > most {
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
    grad_pooled: &[f32],
    mask: &[f32],
    out: &mut [f32],
    sizes: Sizes,
    #[comptime] pool: Pool,
    #[comptime] adds: bool,
    #[comptime] masked: bool,
) {
    let at = ABSOLUTE_POS;
    if at < sizes.numbers {
        let width = sizes.width;
        let set = at / width;
        let first = set * sizes.n * width + at % width;
        let mut left = grad_pooled[at];
        if comptime!(pool == Pool::Mean) {
            left *= mean_factor(mask, set, &sizes, masked);
        }
        for i in 0..sizes.n {
            let place = first + i * width;
            let mut value = left;
            if comptime!(pool == Pool::Max) {
                let mut hit = values[place] == pooled[at];
                if comptime!(masked) {
                    hit = hit && mask[set * sizes.n + i] != 0.0;
                }
                if hit {
                    left = 0.0f32;
                } else {
                    value = 0.0f32;
                }
            } else if comptime!(masked) {
                if mask[set * sizes.n + i] == 0.0 {
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
