//! Scales and shifts each dimension by learned constants.

use crate::{Bijection, ParameterInit, Pass};
use burn::{
    config::Config,
    module::{Module, Param},
    tensor::Tensor,
};

/// Whether a layer begins with activation normalisation, and with which constants.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum ActNormConfig {
    /// No activation normalisation.
    None,
    /// It begins as the identity.
    Identity,
    /// It begins with what makes a first batch of data come out with mean 0 and standard deviation 1, layer by layer.
    FromData,
}

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

    /// The same as a part of a kernel.
    #[cfg(feature = "flex")]
    pub(crate) fn kernel(&self, operands: &mut bayesburn_kernels::Operands) -> bayesburn_kernels::Normalization {
        bayesburn_kernels::Normalization {
            scale: operands.push_parameter(&self.scale),
            bias: operands.push_parameter(&self.bias),
        }
    }

    /// Sets scale and bias so that these targets, `[B, D]`, come out with mean 0 and standard deviation 1, whatever
    /// their unit. A dimension that does not vary is only shifted.
    #[must_use]
    pub fn normalising(mut self, targets: Tensor<2>) -> Self {
        let [_, dim] = targets.dims();
        let targets = targets.without_autodiff();
        // In units of a power of two, which changes no digit, so that no variance leaves the range of f32.
        let largest = targets.clone().abs().max_dim(0);
        let unit = largest.clone().log().div_scalar(std::f32::consts::LN_2).floor();
        let unit = Tensor::full([1, dim], 2.0, &targets.device()).powf(unit).mask_fill(largest.equal_elem(0.0), 1.0);
        let (var, mean) = (targets / unit.clone()).var_mean_bias(0);
        // A spread below 1e-5 of the mean is rounding of the mean in f32.
        let constant = var.clone().lower_equal(mean.clone().square().mul_scalar(1e-10));
        let scale = (var.sqrt() * unit.clone()).recip().mask_fill(constant, 1.0).reshape([dim]);
        let bias = (mean * unit).reshape([dim]).neg() * scale.clone();
        let trained_like =
            |old: Tensor<1>, new: Tensor<1>| if old.is_require_grad() { new.autodiff().require_grad() } else { new };
        self.scale = self.scale.map(|old| trained_like(old, scale));
        self.bias = self.bias.map(|old| trained_like(old, bias));
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
