//! Shifts and scales inputs by constants that are stored beside the weights.

use crate::networks::to_vec;
use burn::{
    module::{Module, Param, ParamId},
    tensor::{Device, Tensor, TensorData},
};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// (x − mean) / std for each feature; gradients do not reach the constants.
#[derive(Module, Debug)]
pub(crate) struct Standardizer {
    mean: Param<Tensor<1>>,
    std: Param<Tensor<1>>,
}

/// One column of the pilot simulations: a feature of the observations, or a parameter. Values that are missing do not
/// count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnMoments {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, with divisor n − 1.
    pub std: f64,
    /// The smallest value.
    pub low: f32,
    /// The largest value.
    pub high: f32,
    /// The share of values that are there, in `[0, 1]`: 1 where nothing was missing.
    pub there: f64,
}

impl ColumnMoments {
    /// Of each column of these arrays, `[rows, width]` each. Behind the first `masked` columns are those of their mask:
    /// 0 for a value that is missing and does not count.
    pub(crate) fn of_columns<'a>(rows: impl Iterator<Item = ArrayView2<'a, f32>> + Clone, masked: usize) -> Vec<Self> {
        let width = rows.clone().next().map_or(0, |part| part.ncols());
        let total: usize = rows.clone().map(|part| part.nrows()).sum();
        let mut counts = vec![0usize; width];
        let mut moments =
            vec![Self { mean: 0.0, std: 0.0, low: f32::INFINITY, high: f32::NEG_INFINITY, there: 0.0 }; width];
        // The values of each row that are there, with the number of their column.
        let for_each = |f: &mut dyn FnMut(usize, f32)| {
            for part in rows.clone() {
                let part = part.as_standard_layout();
                let values = part.as_slice().expect("in standard layout");
                for row in values.chunks_exact(width.max(1)) {
                    row.iter().enumerate().filter(|(i, _)| is_there(row, *i, masked)).for_each(|(i, &x)| f(i, x));
                }
            }
        };
        for_each(&mut |i, x| {
            counts[i] += 1;
            let of = &mut moments[i];
            of.mean += f64::from(x);
            (of.low, of.high) = (of.low.min(x), of.high.max(x));
        });
        for (of, &count) in moments.iter_mut().zip(&counts) {
            of.mean /= count.max(1) as f64;
            of.there = count as f64 / total.max(1) as f64;
        }
        let means: Vec<f64> = moments.iter().map(|of| of.mean).collect();
        for_each(&mut |i, x| moments[i].std += (f64::from(x) - means[i]).powi(2));
        for (of, count) in moments.iter_mut().zip(counts) {
            of.std = (of.std / (count.max(2) - 1) as f64).sqrt();
            if count == 0 {
                (of.low, of.high) = (0.0, 0.0);
            }
        }
        moments
    }

    /// The distance between neighbouring values of f32 where this column's are largest.
    pub(crate) fn resolution(&self) -> f64 {
        let largest = self.low.abs().max(self.high.abs());
        f64::from(largest.next_up()) - f64::from(largest)
    }

    /// Whether the column varies by more than rounding of f32 around a constant, whatever its unit.
    pub(crate) fn varies(&self) -> bool {
        self.std > 0.5 * self.resolution()
    }
}

/// Whether a column's value is there. Behind the first `masked` columns of an observation are those of their mask.
pub(crate) fn is_there(observation: &[f32], column: usize, masked: usize) -> bool {
    column >= masked || observation[masked + column] != 0.0
}

impl Standardizer {
    /// The identity on `width` features.
    pub(crate) fn identity(width: usize, device: &Device) -> Self {
        Self::of(vec![0.0; width], vec![1.0; width], device)
    }

    /// From the moments of each feature. One that does not vary is only shifted.
    pub(crate) fn fitted(moments: &[ColumnMoments], device: &Device) -> Self {
        let stds = moments.iter().map(|of| if of.varies() { of.std as f32 } else { 1.0 });
        Self::of(moments.iter().map(|of| of.mean as f32).collect(), stds.collect(), device)
    }

    pub(crate) fn of(mean: Vec<f32>, std: Vec<f32>, device: &Device) -> Self {
        let constant = |values: Vec<f32>| {
            let width = values.len();
            Param::<Tensor<1>>::from_data(TensorData::new(values, [width]), device).set_require_grad(false)
        };
        Self { mean: constant(mean), std: constant(std) }
    }

    /// For some of the features.
    pub(crate) fn part(&self, first: usize, features: usize) -> Self {
        let part = |of: &Param<Tensor<1>>| {
            Param::<Tensor<1>>::initialized(ParamId::new(), of.val().narrow(0, first, features)).set_require_grad(false)
        };
        Self { mean: part(&self.mean), std: part(&self.std) }
    }

    pub(crate) fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        (x - self.mean.val().unsqueeze()) / self.std.val().unsqueeze()
    }

    pub(crate) fn inverse(&self, x: Tensor<2>) -> Tensor<2> {
        x * self.std.val().unsqueeze() + self.mean.val().unsqueeze()
    }

    /// Means and standard deviations.
    pub(crate) fn constants(&self) -> [Vec<f32>; 2] {
        [&self.mean, &self.std].map(|constants| to_vec(constants.val()))
    }

    /// Σ ln std, `[1]`: minus the log-determinant of [`Standardizer::forward`].
    pub(crate) fn sum_log_std(&self) -> Tensor<1> {
        self.std.val().log().sum()
    }
}
