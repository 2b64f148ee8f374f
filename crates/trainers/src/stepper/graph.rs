//! Takes steps by Burn's graph.

use super::{Next, Outcome, Stepper, Updater};
use crate::{
    TrainedPart, TrainerError, TrainingConfig,
    loss::{OwnLoss, training_loss},
};
use bayesburn_amortizers::{Amortizer, AmortizerError, Configured};
use bayesburn_networks::{Pass, parameter_ids};
use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    optim::{GradientsAccumulator, GradientsParams},
    tensor::Tensor,
};
use std::collections::HashSet;

pub(crate) struct GraphStepper<A> {
    own_loss: Option<OwnLoss<A>>,
    micro_batches: usize,
    clip_norm: Option<f64>,
    frozen: HashSet<ParamId>,
    computed: Option<Computed>,
}

/// The loss of a batch, and its gradients unless it is not finite.
struct Computed {
    loss: f64,
    gradients: GradientsParams,
}

impl<A: Amortizer> GraphStepper<A> {
    pub(super) fn new(amortizer: &A, own_loss: Option<OwnLoss<A>>, config: &TrainingConfig) -> Self {
        let of_summary = || amortizer.summary_parameters().unwrap_or_default();
        let frozen = match config.trained_part {
            TrainedPart::All => HashSet::new(),
            TrainedPart::Summary => &parameter_ids(amortizer.networks()) - &of_summary(),
            TrainedPart::Inference => of_summary(),
        };
        Self { own_loss, micro_batches: config.micro_batches, clip_norm: config.clip_norm, frozen, computed: None }
    }
}

impl<A: Amortizer> Stepper<A> for GraphStepper<A> {
    fn gradients(&mut self, amortizer: &A, batch: &Configured, pass: &mut Pass) -> Result<(), AmortizerError> {
        let (mut value, mut sum, mut gradients) = (0.0, GradientsAccumulator::new(), GradientsParams::new());
        let parts = self.micro_batches.min(batch.len());
        let own_loss = self.own_loss.as_ref();
        for part in 0..parts {
            let rows = part * batch.len() / parts..(part + 1) * batch.len() / parts;
            let (loss, share) = match parts {
                1 => (training_loss(amortizer, own_loss, batch, pass)?, 1.0),
                _ => {
                    let share = rows.len() as f64 / batch.len() as f64;
                    (training_loss(amortizer, own_loss, &batch.rows(rows), pass)?, share)
                }
            };
            let of_part: f32 = loss.clone().into_scalar();
            value += share * f64::from(of_part);
            if !value.is_finite() {
                self.computed = Some(Computed { loss: value, gradients });
                return Ok(());
            }
            if parts == 1 {
                gradients = GradientsParams::from_grads(loss.backward(), amortizer.networks());
            } else {
                let of_part = GradientsParams::from_grads(loss.mul_scalar(share).backward(), amortizer.networks());
                sum.accumulate(amortizer.networks(), of_part);
            }
        }
        if parts > 1 {
            gradients = sum.grads();
        }
        // The optimizer leaves parameters without gradients as they are.
        if !self.frozen.is_empty() {
            amortizer.networks().visit(&mut Remove { frozen: &self.frozen, gradients: &mut gradients });
        }
        self.computed = Some(Computed { loss: value, gradients });
        Ok(())
    }

    fn update(
        &mut self,
        amortizer: &mut A,
        updater: &mut Updater,
        rate: f64,
        _next: Next<'_>,
    ) -> Result<Outcome, AmortizerError> {
        let Computed { loss, gradients } = self.computed.take().expect("gradients come before the update");
        if !loss.is_finite() {
            return Ok(Outcome::loss_is(loss));
        }
        Ok(match updater.step(amortizer.networks(), gradients, rate, self.clip_norm) {
            Ok((networks, gradient_norm)) => {
                amortizer.set_networks(networks);
                Outcome::Taken { loss: loss as f32, gradient_norm }
            }
            Err(norm) => Outcome::norm_is(norm),
        })
    }

    fn put_back(&self, _amortizer: &mut A, _updater: &mut Updater) -> Result<(), TrainerError> {
        Ok(())
    }
}

/// Takes gradients away.
struct Remove<'a> {
    frozen: &'a HashSet<ParamId>,
    gradients: &'a mut GradientsParams,
}

impl ModuleVisitor for Remove<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.frozen.contains(&param.id) {
            self.gradients.remove::<D>(param.id);
        }
    }
}
