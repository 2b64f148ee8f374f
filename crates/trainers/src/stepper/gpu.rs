//! Takes steps on a GPU, where parameters and the optimizer's state stay.

use super::{Next, Outcome, Stepper, Updater, fused::parts, one_pass::DirectState};
use crate::{TrainerError, TrainingConfig};
use bayesburn_amortizers::{Amortizer, AmortizerError, Configured, DensityPart, DirectLoss, GpuSteps};
use bayesburn_networks::Pass;
use burn::module::Module;

pub(crate) struct GpuStepper {
    steps: GpuSteps,
    trained: &'static [DensityPart],
    clip_norm: Option<f64>,
    /// The steps that were taken with each part.
    times: [usize; 2],
}

impl GpuStepper {
    /// `None` if the networks are on no GPU, or parameters of one part have taken unequal numbers of steps.
    pub(super) fn new<A: Amortizer>(
        amortizer: &A,
        updater: &Updater,
        loss: DirectLoss,
        values: &[f32],
        config: &TrainingConfig,
    ) -> Option<Self> {
        let device = amortizer.networks().devices().first()?.clone();
        let state = updater.direct_state(amortizer.networks(), &loss)?;
        let times = state.times;
        let steps = GpuSteps::new(loss, &device, [values, &state.first, &state.second])?;
        Some(Self { steps, trained: parts(config.trained_part), clip_norm: config.clip_norm, times })
    }

    fn is_trained(&self) -> [bool; 2] {
        [DensityPart::Summary, DensityPart::Inference].map(|part| self.trained.contains(&part))
    }
}

impl<A: Amortizer> Stepper<A> for GpuStepper {
    /// Does not wait for the GPU, and reads nothing from it: the loss comes with the update.
    fn gradients(&mut self, _amortizer: &A, batch: &Configured, pass: &mut Pass) -> Result<(), AmortizerError> {
        self.steps.gradients(batch, self.is_trained(), pass)
    }

    fn update(
        &mut self,
        _amortizer: &mut A,
        updater: &mut Updater,
        rate: f64,
        next: Next<'_>,
    ) -> Result<Outcome, AmortizerError> {
        let is_trained = self.is_trained();
        let after = [0, 1].map(|part| if is_trained[part] { self.times[part] + 1 } else { 0 });
        let step = updater.gpu_step(rate, self.clip_norm, after);
        let (loss, gradient_norm) = self.steps.update(&step, next)?;
        if !loss.is_finite() {
            return Ok(Outcome::loss_is(f64::from(loss)));
        }
        if !gradient_norm.is_finite() {
            return Ok(Outcome::norm_is(gradient_norm));
        }
        for (time, after) in self.times.iter_mut().zip(after) {
            *time = after.max(*time);
        }
        Ok(Outcome::Taken { loss, gradient_norm })
    }

    fn put_back(&self, amortizer: &mut A, updater: &mut Updater) -> Result<(), TrainerError> {
        let [values, first, second] = self.steps.state()?;
        amortizer.set_networks(self.steps.loss().put(amortizer.networks().clone(), &values));
        let state = DirectState { times: self.times, first, second };
        updater.set_direct_state(amortizer.networks(), self.steps.loss(), &state);
        Ok(())
    }
}
