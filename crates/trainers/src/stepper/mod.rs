//! Takes optimizer steps: loss and gradients of a batch, then the update of the weights.
//!
//! | stepper | how | for |
//! |---|---|---|
//! | [`graph`] | by Burn's graph | every amortizer, loss and device |
//! | [`fused`] | on the processor, all parameters in one array, without a graph | networks and losses with kernels |
//! | [`gpu`] | on a GPU, where parameters and the optimizer's state stay | networks and losses with kernels |
//!
//! A stepper is chosen once for each epoch. All code that depends on features of the build is in this folder.

mod clip;
#[cfg(feature = "flex")]
mod fused;
#[cfg(feature = "gpu")]
mod gpu;
mod graph;
#[cfg(feature = "flex")]
mod one_pass;
mod updater;

pub(crate) use updater::Updater;

use crate::{TrainerError, TrainingConfig, loss::OwnLoss};
use bayesburn_amortizers::{Amortizer, AmortizerError, Configured};
use bayesburn_networks::Pass;

/// The result of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// The weights were changed. The loss is that of the weights before.
    Taken { loss: f32, gradient_norm: f64 },
    /// The loss or the gradients are not finite, and nothing was changed.
    NonFinite { what: &'static str, value: f64 },
}

impl Outcome {
    fn loss_is(value: f64) -> Self {
        Self::NonFinite { what: "training loss", value }
    }

    fn norm_is(value: f64) -> Self {
        Self::NonFinite { what: "norm of the gradients", value }
    }
}

/// Gives the batch of the next step and its pass, if the batch is made already.
pub(crate) type Next<'n> = Box<dyn FnOnce() -> Option<(&'n Configured, Pass)> + 'n>;

/// A way to take steps. Gradients and update are separate methods, so that gradients could be summed over machines in
/// between. The GPU's stepper does both in [`Stepper::update`], in one submission.
pub(crate) trait Stepper<A: Amortizer> {
    /// Computes the loss and the gradients of a batch, and keeps them. On a GPU it only copies the batch there.
    fn gradients(&mut self, amortizer: &A, batch: &Configured, pass: &mut Pass) -> Result<(), AmortizerError>;

    /// Updates the weights by the gradients that [`Stepper::gradients`] kept, with this learning rate. On a GPU, the
    /// next batch is copied meanwhile.
    fn update(
        &mut self,
        amortizer: &mut A,
        updater: &mut Updater,
        rate: f64,
        next: Next<'_>,
    ) -> Result<Outcome, AmortizerError>;

    /// Returns the current weights to the amortizer and the state to the optimizer, if the stepper holds them.
    fn put_back(&self, amortizer: &mut A, updater: &mut Updater) -> Result<(), TrainerError>;
}

/// The fastest stepper that supports this amortizer, loss, optimizer and device.
pub(crate) fn choose<A: Amortizer>(
    amortizer: &A,
    updater: &Updater,
    own_loss: Option<&OwnLoss<A>>,
    config: &TrainingConfig,
) -> Box<dyn Stepper<A>> {
    #[cfg(feature = "flex")]
    if own_loss.is_none()
        && config.micro_batches == 1
        && updater.steps_directly()
        && let Some((loss, values)) = amortizer.direct_loss()
    {
        let runs_here = fused::runs_here(amortizer);
        if runs_here {
            return Box::new(fused::FusedStepper::new(loss, values, config));
        }
        #[cfg(feature = "gpu")]
        if let Some(stepper) = gpu::GpuStepper::new(amortizer, updater, loss, &values, config) {
            return Box::new(stepper);
        }
    }
    let _ = updater;
    Box::new(graph::GraphStepper::new(amortizer, own_loss.cloned(), config))
}
