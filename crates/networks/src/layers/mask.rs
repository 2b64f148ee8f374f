//! Keeps networks from data sets without a row.

use burn::tensor::{Tensor, s};

/// A mask `[B, N]` in which every data set has a row, and which of them have one without that, `[B, 1]`.
///
/// Where there is none, the first row counts as existing: a mean over nothing would be NaN, and so would all gradients,
/// even if the result is multiplied by 0.
pub(crate) fn with_a_row(mask: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let any = mask.clone().max_dim(1);
    let first = mask.clone().narrow(1, 0, 1) + any.clone().equal_elem(0.0).float().cast(mask.dtype());
    (mask.slice_assign(s![.., 0..1], first), any)
}
