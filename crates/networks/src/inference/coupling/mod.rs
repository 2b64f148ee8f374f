//! Couples two halves of the targets: each is transformed given the other and the condition.

mod affine;
mod spline;

pub use affine::{AffineConfig, AffineCoupling, AffineNets, SeparateNets};
pub use spline::{SplineConfig, SplineCoupling};

use crate::{
    ActNorm, ActNormConfig, Bijection, ConfigError, DenseNet, DenseNetConfig, OutputInit, ParameterInit, Pass,
    Permutation, PermutationConfig, inference::chain::add,
};
#[cfg(feature = "flex")]
use bayesburn_kernels::{self as kernels, FlowLayer, Operands};
use burn::{config::Config, module::Module, tensor::Tensor};

/// The transform of a coupling.
#[derive(Config, Debug, PartialEq)]
pub enum CouplingConfig {
    /// Scale and translation.
    Affine(AffineConfig),
    /// A monotone rational-quadratic spline.
    Spline(SplineConfig),
}

/// The transform of one half, whose parameters come from networks that see the other half and the condition.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a module holds its fields by value")]
pub enum Coupling {
    /// Scale and translation.
    Affine(AffineCoupling),
    /// A monotone rational-quadratic spline.
    Spline(SplineCoupling),
}

impl CouplingConfig {
    /// A transform of `dim` dimensions given `d_input` numbers.
    ///
    /// # Errors
    /// A setting outside its range, or nothing to condition on.
    pub fn init(&self, dim: usize, d_input: usize, init: &mut ParameterInit) -> Result<Coupling, ConfigError> {
        if d_input == 0 {
            return Err(ConfigError::NothingToConditionOn);
        }
        Ok(match self {
            Self::Affine(config) => Coupling::Affine(config.init(dim, d_input, init)?),
            Self::Spline(config) => Coupling::Spline(config.init(dim, d_input, init)?),
        })
    }
}

impl Coupling {
    /// The same as a part of a kernel.
    #[cfg(feature = "flex")]
    fn kernel(&self, widths: &[usize], pass: &Pass, operands: &mut Operands) -> Option<kernels::Coupling> {
        match self {
            Self::Affine(affine) => affine.kernel(widths, pass, operands).map(kernels::Coupling::Affine),
            Self::Spline(spline) => spline.kernel(widths, pass, operands).map(kernels::Coupling::Spline),
        }
    }

    fn forward(&self, x: Tensor<2>, given: Tensor<2>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        match self {
            Self::Affine(affine) => affine.forward(x, given, pass),
            Self::Spline(spline) => spline.forward(x, given, pass),
        }
    }

    fn inverse(&self, y: Tensor<2>, given: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        match self {
            Self::Affine(affine) => affine.inverse(y, given, pass),
            Self::Spline(spline) => spline.inverse(y, given, pass),
        }
    }
}

/// A network whose zero-initialised output makes the transform begin as the identity.
fn transform_net(
    config: &DenseNetConfig,
    d_input: usize,
    d_output: usize,
    init: &mut ParameterInit,
) -> Result<DenseNet, ConfigError> {
    config.init(d_input, d_output, OutputInit::Zeros, init)
}

/// Activation normalisation, permutation, coupling, in this order; both halves change.
///
/// With u split into u₁ (⌊D/2⌋ dimensions) and u₂, and condition c: v₁ = f₁(u₁; u₂, c), v₂ = f₂(u₂; v₁, c). For D = 1
/// there is no u₁, and v₂ = f₂(u₂; c).
#[derive(Module, Debug)]
pub struct CouplingLayer {
    pub(crate) act_norm: Option<ActNorm>,
    permutation: Option<Permutation>,
    first: Option<Coupling>,
    second: Coupling,
    #[module(skip)]
    dim: usize,
    #[module(skip)]
    split: usize,
}

impl CouplingLayer {
    pub(crate) fn new(
        dim: usize,
        condition_dim: usize,
        coupling: &CouplingConfig,
        permutation: PermutationConfig,
        act_norm: ActNormConfig,
        init: &mut ParameterInit,
    ) -> Result<Self, ConfigError> {
        let split = dim / 2;
        Ok(Self {
            act_norm: (act_norm != ActNormConfig::None).then(|| ActNorm::new(dim, init)),
            permutation: permutation.init(dim, init),
            first: (split > 0).then(|| coupling.init(split, dim - split + condition_dim, init)).transpose()?,
            second: coupling.init(dim - split, split + condition_dim, init)?,
            dim,
            split,
        })
    }

    /// The same as a part of a kernel, for a condition of this width.
    #[cfg(feature = "flex")]
    pub(crate) fn kernel(&self, condition_dim: usize, pass: &Pass, operands: &mut Operands) -> Option<FlowLayer> {
        let order = match &self.permutation {
            None => (0..self.dim).collect(),
            Some(permutation) => permutation.order()?,
        };
        let widths = |half: usize| [half, condition_dim].into_iter().filter(|&width| width > 0).collect::<Vec<_>>();
        Some(FlowLayer {
            normalization: self.act_norm.as_ref().map(|act_norm| act_norm.kernel(operands)),
            permutation: kernels::Permutation { order },
            first: match &self.first {
                Some(first) => Some(first.kernel(&widths(self.dim - self.split), pass, operands)?),
                None => None,
            },
            second: self.second.kernel(&widths(self.split), pass, operands)?,
        })
    }

    fn halves(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [_, dim] = x.dims();
        (x.clone().narrow(1, 0, self.split), x.narrow(1, self.split, dim - self.split))
    }
}

/// What a half is transformed given: the other half, the condition, or both side by side.
fn given(half: Tensor<2>, condition: Option<&Tensor<2>>) -> Tensor<2> {
    match condition {
        Some(condition) => Tensor::cat(vec![half, condition.clone()], 1),
        None => half,
    }
}

impl Bijection for CouplingLayer {
    fn forward(&self, targets: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        let (mut u, mut log_det) = (targets, None);
        if let Some(act_norm) = &self.act_norm {
            let (out, this) = act_norm.forward(u, None, pass);
            (u, log_det) = (out, Some(this));
        }
        if let Some(permutation) = &self.permutation {
            let (out, this) = permutation.forward(u, None, pass);
            (u, log_det) = (out, Some(add(log_det, this)));
        }
        let Some(first) = &self.first else {
            let condition = condition.expect("one dimension is coupled to a condition");
            let (v, this) = self.second.forward(u, condition, pass);
            return (v, add(log_det, this));
        };
        let (u1, u2) = self.halves(u);
        let (v1, this) = first.forward(u1, given(u2.clone(), condition.as_ref()), pass);
        log_det = Some(add(log_det, this));
        let (v2, this) = self.second.forward(u2, given(v1.clone(), condition.as_ref()), pass);
        (Tensor::cat(vec![v1, v2], 1), add(log_det, this))
    }

    fn inverse(&self, latents: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Tensor<2> {
        let mut u = match &self.first {
            None => {
                let condition = condition.expect("one dimension is coupled to a condition");
                self.second.inverse(latents, condition, pass)
            }
            Some(first) => {
                let (v1, v2) = self.halves(latents);
                let u2 = self.second.inverse(v2, given(v1.clone(), condition.as_ref()), pass);
                let u1 = first.inverse(v1, given(u2.clone(), condition.as_ref()), pass);
                Tensor::cat(vec![u1, u2], 1)
            }
        };
        if let Some(permutation) = &self.permutation {
            u = permutation.inverse(u, None, pass);
        }
        match &self.act_norm {
            Some(act_norm) => act_norm.inverse(u, None, pass),
            None => u,
        }
    }
}
