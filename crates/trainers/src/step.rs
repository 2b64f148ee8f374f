//! Takes one optimizer step: loss, gradients, clipping, update.

use crate::{
    AfterLimit, TrainedPart, TrainingConfig,
    loss::{OwnLoss, training_loss},
    updater::Updater,
};
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Configured};
use bayesburn_networks::{Pass, SummaryConfig};
use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::{GradientsAccumulator, GradientsParams},
    tensor::Tensor,
};

/// What came of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// The weights were changed.
    Taken { loss: f32, gradient_norm: f64 },
    /// The loss or the gradients are not finite, and nothing was changed.
    NonFinite { what: &'static str, value: f64 },
}

/// One step on one batch with this learning rate, by Burn's graph; the loss is measured before it.
pub(crate) fn step<C: SummaryConfig>(
    posterior: &mut AmortizedPosterior<C>,
    updater: &mut Updater,
    batch: &Configured,
    own_loss: Option<&OwnLoss<C>>,
    pass: &mut Pass,
    rate: f64,
    config: &TrainingConfig,
) -> Result<Outcome, AmortizerError> {
    let (mut value, mut sum, mut gradients) = (0.0, GradientsAccumulator::new(), GradientsParams::new());
    let parts = config.micro_batches.min(batch.len());
    for part in 0..parts {
        let rows = part * batch.len() / parts..(part + 1) * batch.len() / parts;
        let (loss, share) = match parts {
            1 => (training_loss(posterior, own_loss, batch, pass)?, 1.0),
            _ => {
                let share = rows.len() as f64 / batch.len() as f64;
                (training_loss(posterior, own_loss, &batch.rows(rows), pass)?, share)
            }
        };
        let of_part: f32 = loss.clone().into_scalar();
        value += share * f64::from(of_part);
        if !value.is_finite() {
            return Ok(Outcome::NonFinite { what: "training loss", value });
        }
        if parts == 1 {
            gradients = GradientsParams::from_grads(loss.backward(), posterior.networks());
        } else {
            let of_part = GradientsParams::from_grads(loss.mul_scalar(share).backward(), posterior.networks());
            sum.accumulate(posterior.networks(), of_part);
        }
    }
    if parts > 1 {
        gradients = sum.grads();
    }
    match config.trained_part {
        TrainedPart::All => {}
        TrainedPart::Summary => freeze(posterior.networks().inference(), &mut gradients),
        TrainedPart::Inference => freeze(posterior.networks().summary(), &mut gradients),
    }
    Ok(match updater.step(posterior.networks(), gradients, rate, config.clip_norm) {
        Ok((networks, gradient_norm)) => {
            posterior.set_networks(networks);
            Outcome::Taken { loss: value as f32, gradient_norm }
        }
        Err(value) => Outcome::NonFinite { what: "norm of the gradients", value },
    })
}

/// Takes the gradients of a part away: the optimizer leaves parameters without gradients as they are.
fn freeze<M: Module>(part: &M, gradients: &mut GradientsParams) {
    struct Remove<'a>(&'a mut GradientsParams);
    impl ModuleVisitor for Remove<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.remove::<D>(param.id);
        }
    }
    part.visit(&mut Remove(gradients));
}

impl AfterLimit {
    /// What the learning rate is multiplied by after this many returns to earlier weights.
    pub(crate) fn rate_factor(self, rollbacks: usize) -> f64 {
        match self {
            Self::Stop => 1.0,
            Self::RollBack { rate_factor, .. } => rate_factor.powi(rollbacks as i32),
        }
    }
}
