//! Scales and shifts each dimension by learned constants.

use crate::{Bijection, ParameterInit, Pass};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// Activation normalisation (Kingma & Dhariwal 2018): z = scale · x + bias, one pair for each dimension.
#[derive(Module, Debug)]
pub struct ActNorm {
    scale: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

impl ActNorm {
    /// The identity on `dim` dimensions.
    pub fn new(dim: usize, init: &mut ParameterInit) -> Self {
        Self { scale: init.constant([dim], 1.0), bias: init.constant([dim], 0.0) }
    }

    /// Sets scale and bias so that these targets, `[B, D]`, come out with mean 0 and standard deviation 1. A dimension that does
    /// not vary is only shifted.
    #[must_use]
    pub fn normalising(mut self, targets: Tensor<2>) -> Self {
        let [_, dim] = targets.dims();
        let (var, mean) = targets.detach().var_mean_bias(0);
        // Below 1e-12 the dimension is constant up to rounding in f32.
        let constant = var.clone().lower_elem(1e-12);
        let scale = var.clamp_min(1e-12).sqrt().recip().mask_fill(constant, 1.0).reshape([dim]);
        let bias = mean.reshape([dim]).neg() * scale.clone();
        self.scale = self.scale.map(|old| scale.set_require_grad(old.is_require_grad()));
        self.bias = self.bias.map(|old| bias.set_require_grad(old.is_require_grad()));
        self
    }
}

impl Bijection for ActNorm {
    fn forward(&self, targets: Tensor<2>, _condition: Option<Tensor<2>>, _pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        let [rows, _] = targets.dims();
        let scale = self.scale.val();
        let log_det = scale.clone().abs().log().sum().expand([rows]);
        (targets * scale.unsqueeze() + self.bias.val().unsqueeze(), log_det)
    }

    fn inverse(&self, latents: Tensor<2>, _condition: Option<Tensor<2>>, _pass: &mut Pass) -> Tensor<2> {
        (latents - self.bias.val().unsqueeze()) / self.scale.val().unsqueeze()
    }
}
