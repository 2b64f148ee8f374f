//! Mixes dimensions between coupling layers.

use crate::{Bijection, ParameterInit, Pass};
use burn::{
    config::Config,
    linalg,
    module::{Module, Param},
    tensor::{Int, Tensor, TensorData},
};

/// How dimensions are mixed before each coupling.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum PermutationConfig {
    /// A random order, drawn once and kept.
    Fixed,
    /// A matrix that begins orthogonal and is trained.
    Learnable,
    /// Not at all.
    None,
}

/// A reordering of dimensions, or a learned linear map of them.
#[derive(Module, Debug)]
pub enum Permutation {
    /// z_i = x_{order(i)}.
    Fixed(FixedPermutation),
    /// z = x W.
    Learnable(LinearMap),
}

/// The order of a fixed permutation, `[D]`.
#[derive(Module, Debug)]
pub struct FixedPermutation {
    order: Param<Tensor<1, Int>>,
}

/// The matrix W of a learnable permutation, `[D, D]`.
#[derive(Module, Debug)]
pub struct LinearMap {
    weight: Param<Tensor<2>>,
}

impl PermutationConfig {
    /// A permutation of `dim` dimensions; none is needed for one dimension.
    pub fn init(self, dim: usize, init: &mut ParameterInit) -> Option<Permutation> {
        match self {
            _ if dim < 2 => None,
            Self::None => None,
            Self::Fixed => Some(Permutation::Fixed(FixedPermutation { order: init.permutation(dim) })),
            Self::Learnable => Some(Permutation::Learnable(LinearMap { weight: init.orthogonal(dim) })),
        }
    }
}

impl Permutation {
    /// The order of a fixed permutation, read from the device.
    #[cfg(feature = "flex")]
    pub(crate) fn order(&self) -> Option<Vec<usize>> {
        match self {
            Self::Fixed(fixed) => Some(fixed.order()),
            Self::Learnable(_) => None,
        }
    }
}

impl FixedPermutation {
    fn order(&self) -> Vec<usize> {
        let order = self.order.val().into_data_as::<i64>().try_into_vec::<i64>().expect("converted to i64");
        order.into_iter().map(|i| i as usize).collect()
    }

    /// The order that undoes this one. Burn's `argsort` gives it too, and its sorting of every type of number adds
    /// 0.9 MB to a program.
    fn inverse(&self) -> Tensor<1, Int> {
        let order = self.order();
        let mut inverse = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(&at, i)| inverse[at] = i);
        Tensor::from_data(TensorData::new::<i64, _>(inverse, [order.len()]), &self.order.val().device())
    }
}

impl Bijection for Permutation {
    fn forward(&self, targets: Tensor<2>, _condition: Option<Tensor<2>>, _pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        let [rows, _] = targets.dims();
        match self {
            Self::Fixed(fixed) => {
                let log_det = Tensor::zeros([rows], (&targets.device(), targets.dtype()));
                (targets.select(1, fixed.order.val()), log_det)
            }
            Self::Learnable(map) => {
                let weight = map.weight.val();
                let (log_det, inverse_transposed) = log_det_and_inverse_transposed(&weight);
                // The value of ln|det W|, with its gradient W⁻ᵀ: SVD has no backward pass of its own.
                let change = (weight.clone() - weight.clone().without_autodiff()) * inverse_transposed;
                (targets.matmul(weight), (log_det + change.sum()).expand([rows]))
            }
        }
    }

    fn inverse(&self, latents: Tensor<2>, _condition: Option<Tensor<2>>, _pass: &mut Pass) -> Tensor<2> {
        match self {
            Self::Fixed(fixed) => latents.select(1, fixed.inverse()),
            Self::Learnable(map) => {
                let (_, inverse_transposed) = log_det_and_inverse_transposed(&map.weight.val());
                latents.matmul(inverse_transposed.transpose())
            }
        }
    }
}

/// ln|det W|, `[1]`, and W⁻ᵀ, neither of which gradients enter: W = U S Vᵀ has ln|det W| = Σ ln s and W⁻ᵀ = U S⁻¹ Vᵀ.
fn log_det_and_inverse_transposed(weight: &Tensor<2>) -> (Tensor<1>, Tensor<2>) {
    // LAPACK allows 30 sweeps for each singular value.
    let (u, s, vt) = linalg::svd::<2, 1>(weight.clone().without_autodiff(), 30);
    let inverse_transposed = (u / s.clone().unsqueeze()).matmul(vt);
    (s.log().sum(), inverse_transposed)
}
