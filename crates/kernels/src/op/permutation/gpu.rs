//! Puts the orders of dimensions on a GPU.

use super::Permutation;
use crate::gpu::{Gpu, Numbers};

impl Permutation {
    /// The order, as kernels read it.
    pub(crate) fn upload(&self, gpu: &Gpu) -> Numbers {
        gpu.upload_indices(&self.order.iter().map(|&from| from as u32).collect::<Vec<_>>())
    }
}
