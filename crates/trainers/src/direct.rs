//! Takes steps with all parameters in one array, without Burn's graph.

use crate::{TrainedPart, TrainerError, TrainingConfig, step::Outcome, updater::Updater};
#[cfg(feature = "gpu")]
use bayesburn_amortizers::GpuSteps;
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Configured, DensityPart, DirectLoss};
use bayesburn_networks::{Pass, SummaryConfig};

/// The parameters during a stretch of steps. The posterior has those from before it, until they are put back.
#[derive(Debug)]
pub(crate) enum Direct {
    /// On the processor, and with them their gradients.
    Here { loss: Box<DirectLoss>, values: Vec<f32>, gradients: Vec<f32> },
    /// On a GPU, with the optimizer's state, and the steps that it has taken with each part.
    #[cfg(feature = "gpu")]
    Gpu { steps: Box<GpuSteps>, times: [usize; 2] },
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
        #[cfg(feature = "gpu")]
        if *posterior.device() != burn::tensor::Device::flex() {
            let state = updater.direct_state(posterior.networks(), &loss)?;
            let times = state.times;
            let steps = GpuSteps::new(loss, posterior.device(), [&values, &state.first, &state.second])?;
            return Some(Self::Gpu { steps: Box::new(steps), times });
        }
        let gradients = vec![0.0; values.len()];
        Some(Self::Here { loss: Box::new(loss), values, gradients })
    }

    /// As [`step`](crate::step::step). A GPU is given the `next` step's batch, if it is there, while it takes this one.
    pub(crate) fn step<'n>(
        &mut self,
        updater: &mut Updater,
        batch: &Configured,
        pass: &mut Pass,
        rate: f64,
        config: &TrainingConfig,
        next: impl FnOnce() -> Option<(&'n Configured, Pass)>,
    ) -> Result<Outcome, AmortizerError> {
        let trained: &[DensityPart] = match config.trained_part {
            TrainedPart::All => &[DensityPart::Summary, DensityPart::Inference],
            TrainedPart::Summary => &[DensityPart::Summary],
            TrainedPart::Inference => &[DensityPart::Inference],
        };
        match self {
            Self::Here { loss, values, gradients } => {
                let _ = next;
                let (value, norm) = loss.with_gradients(batch, values, trained, gradients, pass)?;
                if !value.is_finite() {
                    return Ok(Outcome::NonFinite { what: "training loss", value: f64::from(value) });
                }
                let parameters = loss.parameters().filter(|(_, part, _)| trained.contains(part));
                let parameters = parameters.map(|(id, _, place)| (id, place));
                let stepped = updater.step_directly(parameters, values, (gradients, norm), rate, config.clip_norm);
                Ok(match stepped {
                    Ok(()) => Outcome::Taken { loss: value, gradient_norm: norm },
                    Err(value) => Outcome::NonFinite { what: "norm of the gradients", value },
                })
            }
            #[cfg(feature = "gpu")]
            Self::Gpu { steps, times } => {
                let parts = [DensityPart::Summary, DensityPart::Inference];
                let is_trained = parts.map(|part| trained.contains(&part));
                let after = [0, 1].map(|part| if is_trained[part] { times[part] + 1 } else { 0 });
                let step = updater.gpu_step(rate, config.clip_norm, after);
                let (value, norm) = steps.step(batch, pass, &step, next)?;
                if !value.is_finite() {
                    return Ok(Outcome::NonFinite { what: "training loss", value: f64::from(value) });
                }
                if !norm.is_finite() {
                    return Ok(Outcome::NonFinite { what: "norm of the gradients", value: norm });
                }
                for (time, after) in times.iter_mut().zip(after) {
                    *time = after.max(*time);
                }
                Ok(Outcome::Taken { loss: value, gradient_norm: norm })
            }
        }
    }

    /// Gives the posterior the parameters as they are now, and the optimizer its state.
    ///
    /// # Errors
    /// A GPU that fails.
    #[cfg_attr(not(feature = "gpu"), expect(clippy::unnecessary_wraps, reason = "on a GPU it can fail"))]
    pub(crate) fn put_back<C: SummaryConfig>(
        &self,
        posterior: &mut AmortizedPosterior<C>,
        updater: &mut Updater,
    ) -> Result<(), TrainerError> {
        match self {
            Self::Here { loss, values, .. } => {
                let _ = updater;
                posterior.set_parameters(loss, values);
            }
            #[cfg(feature = "gpu")]
            Self::Gpu { steps, times } => {
                let [values, first, second] = steps.state()?;
                posterior.set_parameters(steps.loss(), &values);
                let state = crate::one_pass::DirectState { times: *times, first, second };
                updater.set_direct_state(posterior.networks(), steps.loss(), &state);
            }
        }
        Ok(())
    }
}
