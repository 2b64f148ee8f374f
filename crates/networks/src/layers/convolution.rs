//! Convolves series.

use crate::ParameterInit;
#[cfg(feature = "flex")]
use crate::dense::row_map;
#[cfg(feature = "flex")]
use bayesburn_kernels::{Convolution, Operands, RowLayer, Windows};
use burn::{
    module::Module,
    nn::Linear,
    tensor::{Tensor, ops::PadMode},
};

/// Where the windows of a convolution lie. All of them begin at the first row, so that padding at the end moves none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alignment {
    /// Around each row: k rows, of which (k − 1) / 2, rounded down, come before it.
    Centred,
    /// At each row, with the k − 1 rows before it.
    Causal,
    /// One after the other: rows 0 to k − 1, k to 2k − 1, and so on. The last one may reach beyond the end.
    Strided,
}

/// A convolution of a series: in each window of k rows a linear layer of all of their features.
#[derive(Module, Debug)]
pub(crate) struct SeriesConvolution {
    /// `[kernel_size · features, filters]`, the first row of the window first.
    linear: Linear,
    #[module(skip)]
    kernel_size: usize,
    #[module(skip)]
    alignment: Alignment,
}

impl SeriesConvolution {
    pub(crate) fn new(
        alignment: Alignment,
        kernel_size: usize,
        (features, filters): (usize, usize),
        init: &mut ParameterInit,
    ) -> Self {
        // Sizes from a file may be anything: those too large for a product are too large for the budget as well.
        let [d_input, fan_out] = [features, filters].map(|width| kernel_size.saturating_mul(width));
        let weight = init.glorot_uniform([d_input, filters], d_input, fan_out);
        let linear = Linear { weight, bias: Some(init.constant([filters], 0.0)) };
        Self { linear, kernel_size, alignment }
    }

    /// The same as a layer of a kernel.
    #[cfg(feature = "flex")]
    pub(crate) fn layer(&self, operands: &mut Operands) -> RowLayer {
        let windows = match self.alignment {
            Alignment::Centred => Windows::Around,
            Alignment::Causal => Windows::Before,
            Alignment::Strided => Windows::Apart,
        };
        let linear = row_map(&self.linear, operands);
        RowLayer::Convolution(Convolution { linear, kernel: [self.kernel_size, 1], windows })
    }

    /// `[B, N, features]` to `[B, windows, filters]`, and the mask `[B, windows, 1]` of the windows that exist.
    ///
    /// What is outside of the series, and rows of which the mask `[B, N, 1]` is 0, count as 0. A strided window exists
    /// if one of its rows does, the others if their own row does. The result at windows that do not exist is arbitrary.
    pub(crate) fn forward(&self, x: Tensor<3>, mask: Option<&Tensor<3>>) -> (Tensor<3>, Option<Tensor<3>>) {
        let [series, rows, features] = x.dims();
        let x = match mask {
            Some(mask) => x * mask.clone(),
            None => x,
        };
        let k = self.kernel_size;
        let before = match self.alignment {
            Alignment::Centred => (k - 1) / 2,
            Alignment::Causal => k - 1,
            Alignment::Strided => return self.strided(x, mask),
        };
        let x = padded_rows(x, before, k - 1 - before);
        let windows = (0..k).map(|row| x.clone().narrow(1, row, rows)).collect();
        let windows = Tensor::cat(windows, 2).reshape([series, rows, k * features]);
        (self.linear.forward(windows), mask.cloned())
    }

    fn strided(&self, x: Tensor<3>, mask: Option<&Tensor<3>>) -> (Tensor<3>, Option<Tensor<3>>) {
        let [series, rows, features] = x.dims();
        let (k, windows) = (self.kernel_size, rows.div_ceil(self.kernel_size));
        let beyond = windows * k - rows;
        let x = padded_rows(x, 0, beyond).reshape([series, windows, k * features]);
        let mask = mask.map(|mask| padded_rows(mask.clone(), 0, beyond).reshape([series, windows, k]).max_dim(2));
        (self.linear.forward(x), mask)
    }
}

/// As many rows of zeros before and after those of `[B, N, F]`.
fn padded_rows(x: Tensor<3>, before: usize, after: usize) -> Tensor<3> {
    if before + after == 0 { x } else { x.pad([(before, after), (0, 0)], PadMode::Constant(0.0)) }
}
