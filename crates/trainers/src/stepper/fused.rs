//! Takes steps on the processor with all parameters in one array, without Burn's graph.

use super::{Next, Outcome, Stepper, Updater};
use crate::{TrainedPart, TrainerError, TrainingConfig};
use bayesburn_amortizers::{Amortizer, AmortizerError, Configured, DensityPart, DirectLoss};
use bayesburn_networks::Pass;
use burn::{module::Module, tensor::Device};

/// The parameters during a sequence of steps, and their gradients. The amortizer has the parameters from before it,
/// until they are put back.
pub(crate) struct FusedStepper {
    loss: DirectLoss,
    values: Vec<f32>,
    gradients: Vec<f32>,
    trained: &'static [DensityPart],
    clip_norm: Option<f64>,
    /// The loss and the norm of the gradients.
    computed: Option<(f32, f64)>,
}

/// The parts of the networks that are trained.
pub(super) fn parts(trained: TrainedPart) -> &'static [DensityPart] {
    match trained {
        TrainedPart::All => &[DensityPart::Summary, DensityPart::Inference],
        TrainedPart::Summary => &[DensityPart::Summary],
        TrainedPart::Inference => &[DensityPart::Inference],
    }
}

/// Whether the networks are on Burn Flex, whose numbers the kernels work on.
pub(super) fn runs_here<A: Amortizer>(amortizer: &A) -> bool {
    amortizer.networks().devices().iter().all(|device| *device == Device::flex())
}

impl FusedStepper {
    pub(super) fn new(loss: DirectLoss, values: Vec<f32>, config: &TrainingConfig) -> Self {
        let gradients = vec![0.0; values.len()];
        let (trained, clip_norm) = (parts(config.trained_part), config.clip_norm);
        Self { loss, values, gradients, trained, clip_norm, computed: None }
    }
}

impl<A: Amortizer> Stepper<A> for FusedStepper {
    fn gradients(&mut self, _amortizer: &A, batch: &Configured, pass: &mut Pass) -> Result<(), AmortizerError> {
        let Self { loss, values, gradients, trained, .. } = self;
        self.computed = Some(loss.with_gradients(batch, values, trained, gradients, pass)?);
        Ok(())
    }

    fn update(
        &mut self,
        _amortizer: &mut A,
        updater: &mut Updater,
        rate: f64,
        _next: Next<'_>,
    ) -> Result<Outcome, AmortizerError> {
        let (loss, gradient_norm) = self.computed.take().expect("gradients come before the update");
        if !loss.is_finite() {
            return Ok(Outcome::loss_is(f64::from(loss)));
        }
        let parameters = self.loss.parameters().filter(|(_, part, _)| self.trained.contains(part));
        let parameters = parameters.map(|(id, _, place)| (id, place));
        let gradients = (&self.gradients[..], gradient_norm);
        Ok(match updater.step_directly(parameters, &mut self.values, gradients, rate, self.clip_norm) {
            Ok(()) => Outcome::Taken { loss, gradient_norm },
            Err(norm) => Outcome::norm_is(norm),
        })
    }

    fn put_back(&self, amortizer: &mut A, _updater: &mut Updater) -> Result<(), TrainerError> {
        amortizer.set_networks(self.loss.put(amortizer.networks().clone(), &self.values));
        Ok(())
    }
}
