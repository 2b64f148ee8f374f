//! Defines losses that replace the amortizer's own in a training.

use bayesburn_amortizers::{AmortizedPosterior, Amortizer, AmortizerError, Configured};
use bayesburn_networks::Pass;
use burn::tensor::Tensor;
use std::sync::Arc;

/// A loss in place of [`Amortizer::loss`].
///
/// # To implement this
/// Implement the training loss of a batch. If the amortizer's validation loss is no measure of progress for your loss,
/// implement the validation loss too. If you only have a function for the training loss, pass it to
/// [`TrainerBuilder::loss`](crate::TrainerBuilder::loss).
pub trait TrainingLoss<A: Amortizer = AmortizedPosterior>: Send + Sync {
    /// The training loss, `[1]`, with gradients.
    ///
    /// # Errors
    /// A batch that does not fit the posterior.
    fn training(&self, amortizer: &A, batch: &Configured, pass: &mut Pass) -> Result<Tensor<1>, AmortizerError>;

    /// The mean loss of validation data: deterministic, and by default the amortizer's own.
    ///
    /// # Errors
    /// Data that do not fit the posterior.
    fn validation(&self, amortizer: &A, data: &Configured) -> Result<f32, AmortizerError> {
        amortizer.validation_loss(data)
    }
}

pub(crate) type OwnLoss<A> = Arc<dyn TrainingLoss<A>>;

/// A function as a loss.
pub(crate) struct LossFunction<F>(pub(crate) F);

impl<A: Amortizer, F> TrainingLoss<A> for LossFunction<F>
where
    F: Fn(&A, &Configured, &mut Pass) -> Result<Tensor<1>, AmortizerError> + Send + Sync,
{
    fn training(&self, amortizer: &A, batch: &Configured, pass: &mut Pass) -> Result<Tensor<1>, AmortizerError> {
        (self.0)(amortizer, batch, pass)
    }
}

/// The training loss, `[1]`: one's own, or the amortizer's.
pub(crate) fn training_loss<A: Amortizer>(
    amortizer: &A,
    own: Option<&OwnLoss<A>>,
    batch: &Configured,
    pass: &mut Pass,
) -> Result<Tensor<1>, AmortizerError> {
    match own {
        Some(own) => own.training(amortizer, batch, pass),
        None => amortizer.loss(batch, pass),
    }
}

/// The validation loss of one part of the data.
pub(crate) fn validation_loss<A: Amortizer>(
    amortizer: &A,
    own: Option<&OwnLoss<A>>,
    data: &Configured,
) -> Result<f32, AmortizerError> {
    match own {
        Some(own) => own.validation(amortizer, data),
        None => amortizer.validation_loss(data),
    }
}
