//! Encodes times as numbers that attention can compare.

use crate::ParameterInit;
#[cfg(feature = "flex")]
use bayesburn_kernels::{Operands, RowTime, TimeEmbedding};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// Time2Vec (Kazemi et al. 2019): [w₀ t + b₀, sin(w₁ t + b₁), …, sin(w₇ t + b₇)], with all w and b trained.
///
/// At first w₀ = 1, b = 0, and w₁ to w₇ are 1, 2, 4, …, 64. So waves have periods from 6.3, more than the range of
/// standardised times, to 0.1. A sine at one frequency does not say where in the period a time is, but those at several
/// do.
#[derive(Module, Debug)]
pub(crate) struct Time2Vec {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

impl Time2Vec {
    /// The numbers of a time.
    pub(crate) const WIDTH: usize = 8;

    pub(crate) fn new(init: &mut ParameterInit) -> Self {
        let waves = (0..Self::WIDTH - 1).map(|k| 2_f32.powi(k as i32));
        let weight = [1.0].into_iter().chain(waves).collect();
        Self { weight: init.values(weight, [Self::WIDTH]), bias: init.constant([Self::WIDTH], 0.0) }
    }

    /// Rows with their features and the numbers of their time, as a layer of a kernel.
    #[cfg(feature = "flex")]
    pub(crate) fn layer(&self, time: RowTime, operands: &mut Operands) -> TimeEmbedding {
        let [factors, offsets] = [&self.weight, &self.bias].map(|parameter| operands.push_parameter(parameter));
        TimeEmbedding { factors, offsets, number: Self::WIDTH, time }
    }

    /// `[B, N, 1]` to `[B, N, 8]`.
    pub(crate) fn forward(&self, times: Tensor<3>) -> Tensor<3> {
        let phases = times * self.weight.val().unsqueeze() + self.bias.val().unsqueeze();
        let linear = phases.clone().narrow(2, 0, 1);
        Tensor::cat(vec![linear, phases.narrow(2, 1, Self::WIDTH - 1).sin()], 2)
    }
}
