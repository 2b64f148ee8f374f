//! Defines what a training minimises in place of the posterior's own loss.

use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Configured};
use bayesburn_networks::{DeepSetConfig, Pass, SummaryConfig};
use burn::tensor::Tensor;
use std::sync::Arc;

/// A loss in place of [`AmortizedPosterior::loss`].
///
/// # To implement this
/// Give the training loss of a batch; and, if the negative log-likelihood does not tell whether it gets smaller, that of validation data.
/// Where a function for the training loss is all there is, [`TrainerBuilder::loss`](crate::TrainerBuilder::loss) takes it.
pub trait TrainingLoss<C: SummaryConfig = DeepSetConfig>: Send + Sync {
    /// The training loss, `[1]`, with gradients.
    ///
    /// # Errors
    /// A batch that does not fit the posterior.
    fn training(
        &self,
        posterior: &AmortizedPosterior<C>,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError>;

    /// The mean loss of validation data, the same for the same posterior.
    ///
    /// # Errors
    /// Data that do not fit the posterior.
    fn validation(&self, posterior: &AmortizedPosterior<C>, data: &Configured) -> Result<f32, AmortizerError> {
        posterior.negative_log_prob(data)
    }
}

pub(crate) type OwnLoss<C> = Arc<dyn TrainingLoss<C>>;

/// A function as a loss.
pub(crate) struct LossFunction<F>(pub(crate) F);

impl<C: SummaryConfig, F> TrainingLoss<C> for LossFunction<F>
where
    F: Fn(&AmortizedPosterior<C>, &Configured, &mut Pass) -> Result<Tensor<1>, AmortizerError> + Send + Sync,
{
    fn training(
        &self,
        posterior: &AmortizedPosterior<C>,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        (self.0)(posterior, batch, pass)
    }
}

/// The training loss, `[1]`: one's own, or the posterior's.
pub(crate) fn training_loss<C: SummaryConfig>(
    posterior: &AmortizedPosterior<C>,
    own: Option<&OwnLoss<C>>,
    batch: &Configured,
    pass: &mut Pass,
) -> Result<Tensor<1>, AmortizerError> {
    match own {
        Some(own) => own.training(posterior, batch, pass),
        None => posterior.loss(batch, pass),
    }
}

/// The validation loss of one part of the data.
pub(crate) fn validation_loss<C: SummaryConfig>(
    posterior: &AmortizedPosterior<C>,
    own: Option<&OwnLoss<C>>,
    data: &Configured,
) -> Result<f32, AmortizerError> {
    match own {
        Some(own) => own.validation(posterior, data),
        None => posterior.negative_log_prob(data),
    }
}
