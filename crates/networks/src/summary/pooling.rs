//! Pools the observations of a set, or the rows of a series, to one vector.

use burn::{config::Config, tensor::Tensor};

/// How the observations of a set become one vector.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over observations.
    Mean,
    /// The largest value of each unit.
    Max,
    /// The sum over observations, divided by 100. It grows with the number of observations, which the others do not
    /// see; a posterior is given this number anyway if it varies. The hundredth keeps units of order 1 for tens to
    /// hundreds of observations.
    Sum,
    /// By attention of one trained seed with 4 heads (Lee et al. 2019), so that the network learns which observations
    /// count. Equivariant modules take the mean, as in BayesFlow 2. The width before the last pooling must be a
    /// multiple of 4.
    Attention,
}

/// What a sum is divided by.
const SUM_OF: f64 = 100.0;

impl Pooling {
    /// `[B, N, U]` to `[B, 1, U]`, over the observations that the mask `[B, N, 1]` says exist; without seeds, attention
    /// is the mean.
    pub(super) fn apply(self, x: Tensor<3>, mask: Option<&Tensor<3>>) -> Tensor<3> {
        match (self, mask) {
            (Self::Mean | Self::Attention, None) => x.mean_dim(1),
            (Self::Max, None) => x.max_dim(1),
            (Self::Sum, None) => x.sum_dim(1).div_scalar(SUM_OF),
            (Self::Mean | Self::Attention, Some(mask)) => (x * mask.clone()).sum_dim(1) / mask.clone().sum_dim(1),
            (Self::Max, Some(mask)) => {
                let padding = mask.clone().equal_elem(0.0).expand(x.dims());
                x.mask_fill(padding, f32::MIN).max_dim(1)
            }
            (Self::Sum, Some(mask)) => (x * mask.clone()).sum_dim(1).div_scalar(SUM_OF),
        }
    }
}
