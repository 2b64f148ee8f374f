//! Normalises each row over its features.

use crate::ParameterInit;
#[cfg(feature = "flex")]
use bayesburn_kernels::{Operands, RowNorm};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// Added to the mean square or the variance, so that a row of zeros has a finite gradient. With 1e-6 a row whose
/// features are of order 1e-3 is normalised to within a third.
const EPSILON: f64 = 1e-6;

/// Divides by the root mean square: x / √(mean(x²) + ε) ⊙ g (Zhang & Sennrich 2019, eq. 4). g begins as 1.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    gain: Param<Tensor<1>>,
}

impl RmsNorm {
    pub(crate) fn new(width: usize, init: &mut ParameterInit) -> Self {
        Self { gain: init.constant([width], 1.0) }
    }

    /// The same as a layer of a kernel.
    #[cfg(feature = "flex")]
    pub(crate) fn layer(&self, operands: &mut Operands) -> RowNorm {
        let scale = operands.push_parameter(&self.gain);
        RowNorm { centred: false, scale, bias: None, epsilon: EPSILON as f32 }
    }

    /// `[B, N, width]` to the same shape.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        scaled_to_one(x) * self.gain.val().unsqueeze()
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
    pub(crate) fn new(width: usize, init: &mut ParameterInit) -> Self {
        Self { gain: init.constant([width], 1.0), bias: init.constant([width], 0.0) }
    }

    /// The same as a layer of a kernel.
    #[cfg(feature = "flex")]
    pub(crate) fn layer(&self, operands: &mut Operands) -> RowNorm {
        let [scale, bias] = [&self.gain, &self.bias].map(|parameter| operands.push_parameter(parameter));
        RowNorm { centred: true, scale, bias: Some(bias), epsilon: EPSILON as f32 }
    }

    /// `[B, N, width]` to the same shape.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let centred = x.clone() - x.mean_dim(2);
        scaled_to_one(centred) * self.gain.val().unsqueeze() + self.bias.val().unsqueeze()
    }
}

fn scaled_to_one(x: Tensor<3>) -> Tensor<3> {
    let mean_square = x.clone().square().mean_dim(2);
    x / mean_square.add_scalar(EPSILON).sqrt()
}
