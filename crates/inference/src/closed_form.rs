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
use burn::tensor::{Int, Tensor, TensorData};
use nalgebra::{Cholesky, DMatrix};

/// A proposal that was a posterior, as the closed form needs it.
#[derive(Debug, Clone)]
pub(crate) struct MixtureProposal {
    proposal: NaturalMixture,
    /// The prior, if it is not uniform.
    prior: Option<NaturalMixture>,
    /// Means and standard deviations of the parameters that all of this is of; the same for all proposals of an inference.
    standardization: (Vec<f32>, Vec<f32>),
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
        let standardization @ (means, stds) = &amortizer.parameter_standardization();
        let density = prior.density().expect("an inference has checked that there is one");
        let prior = match density.as_normal() {
            _ if density.is_uniform() => None,
            Some((mean, covariance)) => {
                let dim = means.len();
                let of = |i: usize, j: usize| covariance[[i, j]] / (f64::from(stds[i]) * f64::from(stds[j]));
                let factor = Cholesky::new(DMatrix::from_fn(dim, dim, of));
                let factor = factor.ok_or(InferenceError::ClosedForm { needs: "a prior of full rank" })?;
                let mean: Vec<f64> = (0..dim).map(|d| (mean[d] - f64::from(means[d])) / f64::from(stds[d])).collect();
                let precision = factor.inverse();
                let device = amortizer.device();
                Some(NaturalMixture::normal(&mean, precision.as_slice(), -factor.ln_determinant(), device))
            }
            None => return Err(InferenceError::ClosedForm { needs: "a prior that is uniform or normal" }),
        };
        Ok(Self { proposal: mixture.natural().detach(), prior, standardization: standardization.clone() })
    }
}

pub(crate) struct ClosedFormLoss {
    /// Proposal 1, 2 and so on, one at least; 0 is the prior.
    pub(crate) proposals: Vec<MixtureProposal>,
}

impl ClosedFormLoss {
    /// The mean loss of the simulations, `[1]`; the weight of each is the number of its proposal.
    fn of<C: SummaryConfig>(
        &self,
        posterior: &AmortizedPosterior<C>,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        let (rows, device) = (batch.len(), posterior.device());
        let mixture = posterior.mixture(&batch.conditions, pass)?;
        let (means, stds) = &self.proposals[0].standardization;
        let standardized = batch.parameters.outer_iter().flat_map(|row| {
            row.into_iter().zip(means).zip(stds).map(|((x, mean), std)| (x - mean) / std).collect::<Vec<_>>()
        });
        let targets = TensorData::new(standardized.collect::<Vec<f32>>(), [rows, means.len()]);
        let natural = mixture.natural();
        let log_std: f64 = stds.iter().map(|std| f64::from(*std).ln()).sum();
        let log_q = mixture.log_density(Tensor::from_data(targets, device)).1;
        let mut sum = log_q.neg().sum().add_scalar(rows as f64 * log_std);
        for (i, MixtureProposal { proposal, prior, .. }) in self.proposals.iter().enumerate() {
            let is_of_this = |row: &i64| batch.weights.as_ref().is_some_and(|w| w[*row as usize] as usize == i + 1);
            let of_this: Vec<i64> = (0..rows as i64).filter(is_of_this).collect();
            if !of_this.is_empty() {
                let count = of_this.len();
                let of_this = Tensor::<1, Int>::from_data(TensorData::new(of_this, [count]), device);
                sum = sum + natural.select(of_this).log_integral_of_product(proposal, prior.as_ref()).sum();
            }
        }
        Ok(sum.div_scalar(rows as f64))
    }
}

impl<C: SummaryConfig> TrainingLoss<C> for ClosedFormLoss {
    fn training(
        &self,
        posterior: &AmortizedPosterior<C>,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        self.of(posterior, batch, pass)
    }

    fn validation(&self, posterior: &AmortizedPosterior<C>, data: &Configured) -> Result<f32, AmortizerError> {
        Ok(self.of(posterior, data, &mut Pass::inference(0))?.into_scalar())
    }
}
