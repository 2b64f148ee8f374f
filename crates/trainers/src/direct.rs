//! Takes steps with all parameters in one array, without Burn's graph.

use crate::{TrainedPart, TrainingConfig, step::Outcome, updater::Updater};
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Configured, DensityPart, DirectLoss};
use bayesburn_networks::{Pass, SummaryConfig};

/// The parameters during a stretch of steps. The posterior has those from before it, until they are put back.
#[derive(Debug)]
pub(crate) struct Direct {
    loss: DirectLoss,
    values: Vec<f32>,
    gradients: Vec<f32>,
}

impl Direct {
    /// `None` where kernels do not have the posterior's loss or the optimizer, or batches are taken in parts to save memory.
    pub(crate) fn new<C: SummaryConfig>(
        posterior: &AmortizedPosterior<C>,
        updater: &Updater,
        config: &TrainingConfig,
    ) -> Option<Self> {
        if config.micro_batches > 1 || !updater.steps_directly() {
            return None;
        }
        let (loss, values) = posterior.direct_loss()?;
        let gradients = vec![0.0; values.len()];
        Some(Self { loss, values, gradients })
    }

    /// As [`step`](crate::step::step).
    pub(crate) fn step(
        &mut self,
        updater: &mut Updater,
        batch: &Configured,
        pass: &mut Pass,
        rate: f64,
        config: &TrainingConfig,
    ) -> Result<Outcome, AmortizerError> {
        let Self { loss, values, gradients } = self;
        let trained: &[DensityPart] = match config.trained_part {
            TrainedPart::All => &[DensityPart::Summary, DensityPart::Inference],
            TrainedPart::Summary => &[DensityPart::Summary],
            TrainedPart::Inference => &[DensityPart::Inference],
        };
        let (value, norm) = loss.with_gradients(batch, values, trained, gradients, pass)?;
        if !value.is_finite() {
            return Ok(Outcome::NonFinite { what: "training loss", value: f64::from(value) });
        }
        let parameters = loss.parameters().filter(|(_, part, _)| trained.contains(part));
        let parameters = parameters.map(|(id, _, place)| (id, place));
        Ok(match updater.step_directly(parameters, values, (gradients, norm), rate, config.clip_norm) {
            Ok(()) => Outcome::Taken { loss: value, gradient_norm: norm },
            Err(value) => Outcome::NonFinite { what: "norm of the gradients", value },
        })
    }

    /// Gives the posterior the parameters as they are now.
    pub(crate) fn put_back<C: SummaryConfig>(&self, posterior: &mut AmortizedPosterior<C>) {
        posterior.set_parameters(&self.loss, &self.values);
    }
}
