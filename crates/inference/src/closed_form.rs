//! The loss of rounds whose parameters a posterior proposed, in closed form: both it and the network are mixtures of normals.
//!
//! Simulations of a proposal p̃ have the posterior q(θ | x) p̃(θ) / (p(θ) Z(x)). Proposal and prior do not depend on the network, so that what
//! is left of its −ln is −ln q(θ | x) + ln Z(x), with Z(x) = ∫ q(θ | x) p̃(θ) / p(θ) dθ: normals all of them, or p uniform (Greenberg et al. 2019,
//! appendix A.1).

use crate::{InferenceError, Posterior};
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Configured};
use bayesburn_networks::{NaturalMixture, Pass, SummaryConfig};
use bayesburn_simulation::Prior;
use bayesburn_trainers::TrainingLoss;
use burn::tensor::{Tensor, TensorData};
use nalgebra::DMatrix;

/// A proposal that was a posterior, as the closed form needs it.
#[derive(Debug, Clone)]
pub(crate) struct MixtureProposal {
    proposal: NaturalMixture,
    /// The prior, if it is not uniform.
    prior: Option<NaturalMixture>,
}

impl MixtureProposal {
    pub(crate) fn new<C: SummaryConfig>(posterior: &Posterior<C>, prior: &Prior) -> Result<Self, InferenceError> {
        let amortizer = posterior.amortizer();
        if amortizer.config().support.is_some() {
            return Err(InferenceError::ClosedForm { needs: "parameters as they are, not mapped to the reals" });
        }
        let x = posterior.observation().ok_or(InferenceError::NoObservation)?;
        let conditions = posterior.conditions(x)?;
        let mixture = amortizer.mixture(&conditions, &mut Pass::inference(0)).map_err(|error| match error {
            AmortizerError::NoMixture => {
                InferenceError::ClosedForm { needs: "a mixture density network, `MixtureConfig`" }
            }
            error => error.into(),
        })?;
        let density = prior.density().expect("an inference has checked that there is one");
        let prior = match density.as_normal() {
            _ if density.is_uniform() => None,
            Some((mean, covariance)) => {
                let (means, stds) = amortizer.parameter_standardization();
                let dim = means.len();
                let of = |i: usize, j: usize| covariance[[i, j]] / (f64::from(stds[i]) * f64::from(stds[j]));
                let precision = DMatrix::from_fn(dim, dim, of).try_inverse();
                let precision = precision.ok_or(InferenceError::ClosedForm { needs: "a prior of full rank" })?;
                let mean: Vec<f64> = (0..dim).map(|d| (mean[d] - f64::from(means[d])) / f64::from(stds[d])).collect();
                Some(NaturalMixture::normal(&mean, precision.as_slice(), amortizer.device()))
            }
            None => return Err(InferenceError::ClosedForm { needs: "a prior that is uniform or normal" }),
        };
        Ok(Self { proposal: mixture.natural().detach(), prior })
    }
}

pub(crate) struct ClosedFormLoss {
    /// Proposal 1, 2 and so on; 0 is the prior.
    pub(crate) proposals: Vec<MixtureProposal>,
}

impl ClosedFormLoss {
    /// The loss of each simulation, `[B]`; its weight is the number of its proposal.
    fn of_each<C: SummaryConfig>(
        &self,
        posterior: &AmortizedPosterior<C>,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        let (rows, device) = (batch.len(), posterior.device());
        let mixture = posterior.mixture(&batch.conditions, pass)?;
        let (means, stds) = posterior.parameter_standardization();
        let targets: Vec<f32> = batch
            .parameters
            .outer_iter()
            .flat_map(|row| row.iter().zip(&means).zip(&stds).map(|((x, m), s)| (x - m) / s).collect::<Vec<_>>())
            .collect();

        let targets = Tensor::<2>::from_data(TensorData::new(targets, [rows, means.len()]), device);
        let natural = mixture.natural();
        let log_std: f64 = stds.iter().map(|std| f64::from(*std).ln()).sum();
        let mut loss = mixture.log_density(targets).1.neg().add_scalar(log_std);
        let numbers = batch.weights.as_ref();
        for (i, MixtureProposal { proposal, prior }) in self.proposals.iter().enumerate() {
            let of_this = |row: usize| numbers.is_some_and(|numbers| numbers[row] as usize == i + 1);
            let mask: Vec<f32> = (0..rows).map(|row| f32::from(u8::from(of_this(row)))).collect();
            if mask.iter().any(|mask| *mask > 0.0) {
                let log_integral = natural.log_integral_of_product(proposal, prior.as_ref());
                loss = loss + log_integral * Tensor::<1>::from_data(TensorData::new(mask, [rows]), device);
            }
        }
        Ok(loss)
    }
}

impl<C: SummaryConfig> TrainingLoss<C> for ClosedFormLoss {
    fn training(
        &self,
        posterior: &AmortizedPosterior<C>,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        Ok(self.of_each(posterior, batch, pass)?.mean())
    }

    fn validation(&self, posterior: &AmortizedPosterior<C>, data: &Configured) -> Result<f32, AmortizerError> {
        Ok(self.of_each(posterior, data, &mut Pass::inference(0))?.mean().into_scalar())
    }
}
