//! Pools the observations of a set, or the rows of a series, to one vector.

use burn::{config::Config, tensor::Tensor};

/// How the observations of a set become one vector.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over observations.
    Mean,
    /// The largest value of each unit.
    Max,
}

impl Pooling {
    /// `[B, N, U]` to `[B, 1, U]`, over the observations that the mask `[B, N, 1]` says exist.
    pub(super) fn apply(self, x: Tensor<3>, mask: Option<&Tensor<3>>) -> Tensor<3> {
        match (self, mask) {
            (Self::Mean, None) => x.mean_dim(1),
            (Self::Max, None) => x.max_dim(1),
            (Self::Mean, Some(mask)) => (x * mask.clone()).sum_dim(1) / mask.clone().sum_dim(1),
            (Self::Max, Some(mask)) => {
                let padding = mask.clone().equal_elem(0.0).expand(x.dims());
                x.mask_fill(padding, f32::MIN).max_dim(1)
            }
        }
    }
}
