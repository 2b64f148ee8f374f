//! Computes −ln q and its gradients on a GPU.

#![allow(clippy::too_many_arguments, reason = "each array of a kernel is an argument")]

use super::NegativeLogDensity;
use crate::{
    gpu::{Gpu, Numbers},
    op::flow::gpu::{GradLatents, Latents},
    plan::gpu::{GpuGradients, GpuLoss, GpuLossRows, GpuLosses, GpuPass},
};
use cubecl::prelude::*;

/// Rows of latents, their width, what is added to each −ln q, and one over the number of rows.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    rows: usize,
    dim: usize,
    constant: f32,
    share: f32,
}

impl NegativeLogDensity {
    /// The loss of each row; the gradients of latents and log-determinants take their places.
    fn losses(&self, gpu: &Gpu, latents: &Latents, weights: Option<&Numbers>) -> Numbers {
        let Latents { z, log_det, .. } = latents;
        let losses = gpu.empty(z.rows);
        let (count, dim) = gpu.each_row(z.rows);
        log_density::launch(
            &gpu.client,
            count,
            dim,
            z.values.arg(),
            log_det.arg(),
            weights.unwrap_or(log_det).arg(),
            losses.arg(),
            SizesLaunch {
                rows: z.rows,
                dim: z.width,
                constant: self.all_constants() as f32,
                share: 1.0 / z.rows as f32,
            },
            weights.is_some(),
        );
        losses
    }
}

impl GpuLoss for NegativeLogDensity {
    fn widest(&self) -> usize {
        self.flow.widest()
    }

    fn constants(&self, gpu: &Gpu) -> Vec<Numbers> {
        self.flow.orders(gpu)
    }

    fn loss(&self, pass: GpuPass<'_>, rows: GpuLossRows<'_>, gradients: &GpuGradients) -> GpuLosses {
        let GpuLossRows { condition, targets, weights, wants_condition } = rows;
        let latents = self.flow.forward_on_gpu(pass, targets, condition);
        let losses = self.losses(pass.gpu, &latents, weights);
        let Latents { z, log_det, tapes } = latents;
        let grad = GradLatents { z, log_det: &log_det, wants_condition };
        let grad_condition = self.flow.backward_on_gpu(pass, &tapes, grad, gradients);
        GpuLosses { losses, grad_condition }
    }
}

/// −ln q = z²/2 + constant − ln|det ∂z/∂θ|.
#[cube(launch)]
fn log_density(
    latents: &mut [f32],
    log_det: &mut [f32],
    weights: &[f32],
    losses: &mut [f32],
    sizes: Sizes,
    #[comptime] weighted: bool,
) {
    let r = ABSOLUTE_POS;
    if r < sizes.rows {
        let (dim, share) = (sizes.dim, sizes.share);
        let mut weight = 1.0f32;
        if comptime!(weighted) {
            weight = weights[r];
        }
        let mut squares = 0.0f32;
        for i in 0..dim {
            let z = latents[r * dim + i];
            squares += z * z;
            latents[r * dim + i] = z * weight * share;
        }
        losses[r] = weight * (0.5f32 * squares + sizes.constant - log_det[r]);
        log_det[r] = -(weight * share);
    }
}
