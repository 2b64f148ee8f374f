//! Holds encoded data sets: the condition of the inference network, and what is predicted of parameters.

use crate::networks::{tensor, to_vec};
use bayesburn_networks::Condition;
use burn::tensor::{Device, Tensor};
use ndarray::{Array2, Axis, Slice, concatenate};

/// Data sets as the inference network is given them, on their device.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) condition: Condition,
    /// What is predicted of standardised parameters, `[M, D]`, if there is a regression.
    pub(crate) predicted: Option<Tensor<2>>,
}

/// The same as arrays, of which rows are chosen. Arrays of width 0 stand for what there is not.
#[derive(Debug, Clone)]
pub(crate) struct EncodedRows {
    /// `[M, S]`.
    pub(crate) summaries: Array2<f32>,
    /// `[M, C]`.
    pub(crate) direct: Array2<f32>,
    /// `[M, D]`.
    pub(crate) predicted: Array2<f32>,
}

impl Encoded {
    /// Without gradients of the summary network.
    pub(crate) fn detached(self) -> Self {
        let direct = self.condition.direct().map(|direct| direct.clone().detach());
        let condition = Condition::new(self.condition.summaries().clone().detach()).with_direct(direct);
        Self { condition, predicted: self.predicted.map(Tensor::detach) }
    }

    pub(crate) fn to_rows(&self) -> EncodedRows {
        let summaries = rows(self.condition.summaries());
        let or_none = |part: Option<&Tensor<2>>| part.map_or_else(|| Array2::zeros((summaries.nrows(), 0)), rows);
        let (direct, predicted) = (or_none(self.condition.direct()), or_none(self.predicted.as_ref()));
        EncodedRows { summaries, direct, predicted }
    }
}

impl EncodedRows {
    /// Those of all parts, one after the other.
    ///
    /// # Panics
    /// If there is no part, or parts are of different widths.
    pub(crate) fn joined(parts: &[Self]) -> Self {
        let of = |array: fn(&Self) -> &Array2<f32>| {
            let views: Vec<_> = parts.iter().map(|part| array(part).view()).collect();
            concatenate(Axis(0), &views).expect("parts of the same widths")
        };
        let [summaries, direct, predicted] =
            [of(|part| &part.summaries), of(|part| &part.direct), of(|part| &part.predicted)];
        Self { summaries, direct, predicted }
    }

    fn map(&self, of: impl Fn(&Array2<f32>) -> Array2<f32>) -> Self {
        Self { summaries: of(&self.summaries), direct: of(&self.direct), predicted: of(&self.predicted) }
    }

    /// The rows of these data sets.
    pub(crate) fn select(&self, data_sets: &[usize]) -> Self {
        self.map(|array| array.select(Axis(0), data_sets))
    }

    /// The rows of this range of data sets.
    pub(crate) fn range(&self, data_sets: std::ops::Range<usize>) -> Self {
        self.map(|array| array.slice_axis(Axis(0), Slice::from(data_sets.clone())).to_owned())
    }

    pub(crate) fn to_tensors(&self, device: &Device) -> Encoded {
        let there = |array: &Array2<f32>| (array.ncols() > 0).then(|| tensor::<2, _>(array, device));
        let condition = Condition::new(tensor::<2, _>(&self.summaries, device)).with_direct(there(&self.direct));
        Encoded { condition, predicted: there(&self.predicted) }
    }

    /// Summaries and direct conditions side by side, row after row.
    #[cfg(feature = "gpu")]
    pub(crate) fn joined_condition(&self) -> Vec<f32> {
        let rows = self.summaries.outer_iter().zip(self.direct.outer_iter());
        rows.flat_map(|(summary, direct)| summary.into_iter().chain(direct)).copied().collect()
    }
}

/// A tensor as an array.
pub(crate) fn rows(tensor: &Tensor<2>) -> Array2<f32> {
    Array2::from_shape_vec(tensor.dims(), to_vec(tensor.clone())).expect("as many numbers as the tensor has")
}
