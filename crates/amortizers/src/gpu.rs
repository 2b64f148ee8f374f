//! Networks on a GPU by kernels of our own: for inference, and for training steps.

use crate::{
    AmortizedPosterior, AmortizerError, Conditions, Configured, DirectLoss, direct::KernelInputs, encoded::EncodedRows,
};
use bayesburn_kernels::{GpuBatch, GpuDensity, GpuFailure, GpuStep, GpuStepBegun, GpuTraining};
use bayesburn_networks::{InferenceConfig, Pass, SummaryConfig};
use burn::tensor::Device;
use ndarray::Array2;

/// A posterior's networks, without gradients.
#[derive(Debug)]
pub(crate) struct GpuNetworks {
    loss: DirectLoss,
    density: GpuDensity,
}

impl GpuNetworks {
    /// `None` if the posterior's device is no GPU, or there are no kernels for its networks.
    pub(crate) fn new<C: SummaryConfig, I: InferenceConfig>(posterior: &AmortizedPosterior<C, I>) -> Option<Self> {
        if !bayesburn_kernels::is_gpu(posterior.device()) {
            return None;
        }
        let (loss, values) = posterior.direct(&Pass::inference(0))?;
        let density = GpuDensity::new(posterior.device(), &loss.plan, &values)?;
        Some(Self { loss, density })
    }

    /// As [`GpuDensity::rows_at_once`].
    pub(crate) fn rows_at_once(&self) -> [usize; 2] {
        self.density.rows_at_once()
    }

    /// As [`GpuDensity::release`].
    pub(crate) fn release(&self) {
        self.density.release();
    }

    /// See [`PosteriorNetworks::encode`](crate::PosteriorNetworks).
    pub(crate) fn encode(&self, conditions: &Conditions) -> Result<EncodedRows, AmortizerError> {
        let KernelInputs { inputs, direct, predicted } = self.loss.given(conditions);
        let summaries = self.density.summaries(inputs).map_err(failed)?;
        let rows = |part: Vec<f32>| {
            let shape = (conditions.len(), part.len() / conditions.len());
            Array2::from_shape_vec(shape, part).expect("as many numbers for each data set")
        };
        Ok(EncodedRows { summaries: rows(summaries), direct: rows(direct), predicted: rows(predicted) })
    }

    /// Noise to targets, of as many rows for each of the data sets.
    pub(crate) fn draw(&self, noise: Vec<f32>, encoded: &EncodedRows) -> Result<Vec<f32>, AmortizerError> {
        let mut targets = self.density.draw(noise, encoded.joined_condition()).map_err(failed)?;
        self.loss.to_parameters(&mut targets, &numbers(&encoded.predicted));
        Ok(targets)
    }

    /// Latents and ln q(θ | condition) of targets, of as many rows for each of the data sets.
    pub(crate) fn evaluate(
        &self,
        targets: &Array2<f32>,
        encoded: &EncodedRows,
    ) -> Result<(Vec<f32>, Vec<f32>), AmortizerError> {
        let targets = self.loss.standardized_targets(targets, &numbers(&encoded.predicted));
        self.density.evaluate(targets, encoded.joined_condition()).map_err(failed)
    }
}

/// An array's numbers, row after row.
fn numbers(array: &Array2<f32>) -> Vec<f32> {
    array.iter().copied().collect()
}

/// Training steps that a GPU takes by itself: [`DirectLoss`] and Adam, whose numbers stay there.
#[derive(Debug)]
pub struct GpuSteps {
    loss: DirectLoss,
    training: GpuTraining,
    /// What the next step trains on.
    next: Option<Result<Uploaded, AmortizerError>>,
    /// The step whose gradients are being computed, and what the map to the reals takes off its loss.
    begun: Option<(GpuStepBegun, f64)>,
}

/// A batch, and what the map to the reals takes off its loss.
type Uploaded = (GpuBatch, f64);

impl GpuSteps {
    /// On this device, from these parameters and Adam's averages of their gradients and of the squares of these. `None`
    /// if the device is no GPU.
    #[must_use]
    pub fn new(loss: DirectLoss, device: &Device, state: [&[f32]; 3]) -> Option<Self> {
        let training = GpuTraining::new(device, &loss.plan, state)?;
        Some(Self { loss, training, next: None, begun: None })
    }

    /// The loss whose steps these are.
    #[must_use]
    pub fn loss(&self) -> &DirectLoss {
        &self.loss
    }

    /// Has the GPU compute the loss and the gradients of the parts that are trained, of this batch: the one that the
    /// step before has staged, if it has.
    ///
    /// # Errors
    /// As [`DirectLoss::with_gradients`].
    pub fn gradients(&mut self, batch: &Configured, trained: [bool; 2], pass: &mut Pass) -> Result<(), AmortizerError> {
        let (batch, of_map) = self.next.take().unwrap_or_else(|| self.upload(batch, pass))?;
        self.begun = Some((self.training.gradients(batch, trained), of_map));
        Ok(())
    }

    /// Updates the parameters by the gradients; returns the loss before it and the norm of the gradients. If one of
    /// them is not finite, nothing has changed.
    ///
    /// While the GPU works, the `next` step's batch is standardised and staged, if it is there: it must then be what
    /// [`GpuSteps::gradients`] is called with for the next step.
    ///
    /// # Errors
    /// A GPU that fails.
    ///
    /// # Panics
    /// If no gradients were computed.
    pub fn update<'n>(
        &mut self,
        step: &GpuStep,
        next: impl FnOnce() -> Option<(&'n Configured, Pass)>,
    ) -> Result<(f32, f64), AmortizerError> {
        let (begun, of_map) = self.begun.take().expect("gradients come before the update");
        self.training.update(&begun, step);
        self.next = next().map(|(batch, mut pass)| self.upload(batch, &mut pass));
        let (loss, norm) = self.training.finish(&begun).map_err(failed)?;
        Ok(((loss - of_map) as f32, norm))
    }

    fn upload(&self, batch: &Configured, pass: &mut Pass) -> Result<Uploaded, AmortizerError> {
        let (batch, of_map) = self.loss.arrays(batch, pass)?;
        Ok((self.training.upload(batch), of_map))
    }

    /// The parameters as they are now, and the averages.
    ///
    /// # Errors
    /// A GPU that fails.
    pub fn state(&self) -> Result<[Vec<f32>; 3], AmortizerError> {
        self.training.state().map_err(failed)
    }
}

fn failed(failure: GpuFailure) -> AmortizerError {
    AmortizerError::Gpu { reason: failure.to_string() }
}
