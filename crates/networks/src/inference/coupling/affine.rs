//! Scales and translates one half by what networks make of the other half and the condition.

use super::transform_net;
use crate::{ConfigError, DenseNet, DenseNetConfig, ParameterInit, Pass, inference::sum_dimensions};
use bayesburn_core::settings::in_range;
#[cfg(feature = "flex")]
use bayesburn_kernels::{Affine, Operands};
use burn::{config::Config, module::Module, tensor::Tensor};
use std::f64::consts::PI;

/// Which networks make scale and translation.
#[derive(Config, Debug, PartialEq)]
pub enum AffineNets {
    /// One network makes both: half the arithmetic.
    Shared(DenseNetConfig),
    /// One network for each, as in BayesFlow v1.
    Separate(SeparateNets),
}

/// Configuration of two networks.
#[derive(Config, Debug, PartialEq)]
pub struct SeparateNets {
    /// The network of the log-scale s.
    pub scale: DenseNetConfig,
    /// The network of the translation t.
    pub translation: DenseNetConfig,
}

/// Configuration of an [`AffineCoupling`].
#[derive(Config, Debug, PartialEq)]
pub struct AffineConfig {
    /// The networks.
    #[config(default = "AffineNets::Shared(DenseNetConfig::new().with_shortcut(true))")]
    pub nets: AffineNets,
    /// Bound c > 0 of the log-scale: s ← (2c/π) atan(s/c), so that one layer scales by at most e^±c. `None`: no bound.
    #[config(default = "Some(1.9)")]
    pub soft_clamping: Option<f64>,
}

impl AffineConfig {
    pub(super) fn init(
        &self,
        dim: usize,
        d_input: usize,
        init: &mut ParameterInit,
    ) -> Result<AffineCoupling, ConfigError> {
        if let Some(clamp) = self.soft_clamping {
            in_range(clamp > 0.0 && clamp.is_finite(), "soft_clamping", "above 0", clamp)?;
        }
        let (scale, translation) = match &self.nets {
            AffineNets::Shared(net) => (transform_net(net, d_input, 2 * dim, init)?, None),
            AffineNets::Separate(nets) => (
                transform_net(&nets.scale, d_input, dim, init)?,
                Some(transform_net(&nets.translation, d_input, dim, init)?),
            ),
        };
        Ok(AffineCoupling { scale, translation, soft_clamping: self.soft_clamping })
    }
}

/// y = x · exp(s) + t, ln|det| = Σ s (Dinh et al. 2017, eq. 5 and 6), with softly clamped s (Ardizzone et al. 2019).
#[derive(Module, Debug)]
pub struct AffineCoupling {
    scale: DenseNet,
    translation: Option<DenseNet>,
    #[module(skip)]
    soft_clamping: Option<f64>,
}

impl AffineCoupling {
    fn scale_and_translation(&self, dim: usize, given: Tensor<2>, pass: &mut Pass) -> (Tensor<2>, Tensor<2>) {
        let (scale, translation) = match &self.translation {
            Some(translation) => (self.scale.forward(given.clone(), pass), translation.forward(given, pass)),
            None => {
                let both = self.scale.forward(given, pass);
                (both.clone().narrow(1, 0, dim), both.narrow(1, dim, dim))
            }
        };
        let scale = match self.soft_clamping {
            Some(c) => scale.div_scalar(c).atan().mul_scalar(2.0 * c / PI),
            None => scale,
        };
        (scale, translation)
    }

    /// The same as a part of a kernel.
    #[cfg(feature = "flex")]
    pub(super) fn kernel(&self, widths: &[usize], pass: &Pass, operands: &mut Operands) -> Option<Affine> {
        Some(Affine {
            scale: self.scale.stack(widths, pass, operands)?,
            translation: match &self.translation {
                Some(translation) => Some(translation.stack(widths, pass, operands)?),
                None => None,
            },
            soft_clamping: self.soft_clamping.map(|c| c as f32),
        })
    }

    pub(super) fn forward(&self, x: Tensor<2>, given: Tensor<2>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        let (scale, translation) = self.scale_and_translation(x.dims()[1], given, pass);
        (x * scale.clone().exp() + translation, sum_dimensions(scale))
    }

    pub(super) fn inverse(&self, y: Tensor<2>, given: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let (scale, translation) = self.scale_and_translation(y.dims()[1], given, pass);
        (y - translation) * scale.neg().exp()
    }
}
