//! Normalises each row over its features.

use crate::ParameterInit;
#[cfg(feature = "flex")]
use bayesburn_kernels::{Operands, RowNorm};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// Divides by the root mean square: x / √(mean(x²) + ε) ⊙ g (Zhang & Sennrich 2019, eq. 4). g begins as 1.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    gain: Param<Tensor<1>>,
}

impl RmsNorm {
    /// ε, so that a row of zeros has a finite gradient. A row whose features are of order 1e-3 is normalised to within
    /// a third.
    const EPSILON: f64 = 1e-6;

    pub(crate) fn new(width: usize, init: &mut ParameterInit) -> Self {
        Self { gain: init.constant([width], 1.0) }
    }

    /// The same as a layer of a kernel.
    #[cfg(feature = "flex")]
    pub(crate) fn layer(&self, operands: &mut Operands) -> RowNorm {
        let scale = operands.push_parameter(&self.gain);
        RowNorm { centred: false, scale, bias: None, epsilon: Self::EPSILON as f32 }
    }

    /// `[B, N, width]` to the same shape.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        scaled_to_one(x, Self::EPSILON) * self.gain.val().unsqueeze()
    }
}

/// Subtracts the mean and divides by the standard deviation: (x − mean) / √(var + ε) ⊙ g + b (Ba et al. 2016, eq. 4).
/// g begins as 1 and b as 0.
#[derive(Module, Debug)]
pub(crate) struct LayerNorm {
    gain: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

impl LayerNorm {
    /// ε, that of Keras and so of BayesFlow.
    const EPSILON: f64 = 1e-3;

    pub(crate) fn new(width: usize, init: &mut ParameterInit) -> Self {
        Self { gain: init.constant([width], 1.0), bias: init.constant([width], 0.0) }
    }

    /// The same as a layer of a kernel.
    #[cfg(feature = "flex")]
    pub(crate) fn layer(&self, operands: &mut Operands) -> RowNorm {
        let [scale, bias] = [&self.gain, &self.bias].map(|parameter| operands.push_parameter(parameter));
        RowNorm { centred: true, scale, bias: Some(bias), epsilon: Self::EPSILON as f32 }
    }

    /// `[..., width]` to the same shape.
    pub(crate) fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        let centred = x.clone() - x.mean_dim(R - 1);
        scaled_to_one(centred, Self::EPSILON) * self.gain.val().unsqueeze() + self.bias.val().unsqueeze()
    }
}

fn scaled_to_one<const R: usize>(x: Tensor<R>, epsilon: f64) -> Tensor<R> {
    let mean_square = x.clone().square().mean_dim(R - 1);
    x / mean_square.add_scalar(epsilon).sqrt()
}
