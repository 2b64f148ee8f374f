//! Implements the closed-form loss for rounds whose parameters a posterior proposed, where both the proposal and the
//! network are mixtures of normals.
//!
//! Simulations of a proposal p̃ have the posterior q(θ | x) p̃(θ) / (p(θ) Z(x)). Proposal and prior do not depend on
//! the network, so its negative logarithm is, up to a constant, −ln q(θ | x) + ln Z(x), with Z(x) = ∫ q(θ | x) p̃(θ) /
//! p(θ) dθ. The integral has a closed form if q and p̃ are mixtures of normals and p is normal or uniform (Greenberg et
//! al. 2019, appendix A.1). The ratio p̃ / p is computed in f64 and in the parameters' own units, then standardised as
//! the trained network's parameters are, whichever inference the proposal comes from.

use crate::{InferenceError, Posterior};
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Configured, PosteriorConfig};
use bayesburn_core::Interval;
use bayesburn_networks::{MixtureParameters, Pass, QuadraticSum, QuadraticTerm, SummaryConfig};
use bayesburn_simulation::Prior;
use bayesburn_trainers::TrainingLoss;
use burn::tensor::{Int, Tensor, TensorData};
use nalgebra::{Cholesky, DMatrix, DVector};
use ndarray::Array2;
use std::sync::OnceLock;

/// w N(mean, precision⁻¹), in the parameters' own units.
#[derive(Debug, Clone)]
struct Normal {
    log_weight: f64,
    mean: DVector<f64>,
    precision: DMatrix<f64>,
    log_det: f64,
}

impl Normal {
    fn new(log_weight: f64, mean: DVector<f64>, precision: DMatrix<f64>) -> Option<Self> {
        let log_det = Cholesky::new(precision.clone())?.ln_determinant();
        Some(Self { log_weight, mean, precision, log_det })
    }

    /// The components of a mixture for one row, converted back from parameters that were standardised by these means
    /// and standard deviations.
    fn of_mixture(mixture: &MixtureParameters, (means, stds): &(Vec<f32>, Vec<f32>)) -> Option<Vec<Self>> {
        let [_, k, dim] = mixture.means.dims();
        let numbers = |tensor: Tensor<3>| -> Vec<f64> {
            let values: Vec<f32> = tensor.into_data_as::<f32>().try_into_vec().expect("converted to f32");
            values.into_iter().map(f64::from).collect()
        };
        let of = |d: usize| (f64::from(means[d]), f64::from(stds[d]));
        let log_weights = numbers(mixture.log_weights.clone().unsqueeze());
        let (centres, log_diagonals) = (numbers(mixture.means.clone()), numbers(mixture.log_diagonals.clone()));
        let below = mixture.below_diagonals.clone().map(numbers);
        let component = |c: usize| {
            let mean = DVector::from_fn(dim, |d, _| of(d).0 + of(d).1 * centres[c * dim + d]);
            let factor = DMatrix::from_fn(dim, dim, |i, j| {
                let entry = match (i, &below) {
                    (i, _) if i == j => log_diagonals[c * dim + i].exp(),
                    (i, Some(below)) if i > j => below[c * dim * (dim - 1) / 2 + i * (i - 1) / 2 + j],
                    _ => 0.0,
                };
                entry / of(j).1
            });
            Self::new(log_weights[c], mean, factor.transpose() * factor)
        };
        (0..k).map(component).collect()
    }
}

/// A posterior proposal in the form that the closed form needs.
#[derive(Debug, Clone)]
pub(crate) struct MixtureProposal {
    components: Vec<Normal>,
    /// The prior, if it is normal; `None` if it is uniform.
    prior: Option<Normal>,
}

impl MixtureProposal {
    /// The proposal `posterior` of an inference that has this prior and trains these networks.
    pub(crate) fn new<C: SummaryConfig>(
        posterior: &Posterior<C>,
        prior: &Prior,
        trained: &PosteriorConfig<C>,
    ) -> Result<Self, InferenceError> {
        let amortizer = posterior.amortizer();
        let mapped = |support: &Vec<Interval>| support.iter().any(|interval| *interval != Interval::Real);
        if [&trained.support, &amortizer.config().support].into_iter().flatten().any(mapped) {
            let needs =
                "parameters of proposal and networks as they are, `ParameterSpace::Bounded`, not mapped to the reals";
            return Err(InferenceError::ClosedForm { needs });
        }
        let support = |prior: &Prior| prior.density().map(|density| density.support().to_vec());
        if support(posterior.prior()) != support(prior) {
            let needs = "a proposal whose prior has the same support";
            return Err(InferenceError::ClosedForm { needs });
        }
        let x = posterior.observation().ok_or(InferenceError::NoObservation)?;
        let conditions = posterior.conditions(x)?;
        let mixture = amortizer.mixture(&conditions, &mut Pass::inference(0)).map_err(|error| match error {
            AmortizerError::NoMixture => {
                InferenceError::ClosedForm { needs: "a mixture density network, `MixtureConfig`" }
            }
            error => error.into(),
        })?;
        let components = Normal::of_mixture(&mixture, &amortizer.parameter_standardization());
        let components = components.ok_or(InferenceError::ClosedForm { needs: "a proposal of full rank" })?;
        let density = prior.density().expect("an inference has checked that there is one");
        let prior = match density.as_normal() {
            _ if density.is_uniform() => None,
            Some((mean, covariance)) => {
                let dim = mean.len();
                let factor = Cholesky::new(DMatrix::from_fn(dim, dim, |i, j| covariance[[i, j]]));
                let precision = factor.map(|factor| factor.inverse());
                let normal =
                    precision.and_then(|precision| Normal::new(0.0, DVector::from_vec(mean.to_vec()), precision));
                Some(normal.ok_or(InferenceError::ClosedForm { needs: "a prior of full rank" })?)
            }
            None => return Err(InferenceError::ClosedForm { needs: "a prior that is uniform or normal" }),
        };
        Ok(Self { components, prior })
    }

    /// p̃ / p up to a constant, of parameters that are standardised by these means and standard deviations: each
    /// component around its own mean.
    fn terms(&self, (means, stds): &(Vec<f32>, Vec<f32>)) -> Vec<QuadraticTerm> {
        let dim = means.len();
        let std = |d: usize| f64::from(stds[d]);
        let term = |Normal { log_weight, mean, precision, log_det }: &Normal| {
            let (mut precision, mut shift) = (precision.clone(), DVector::zeros(dim));
            let mut log_factor = log_weight + 0.5 * log_det;
            if let Some(prior) = &self.prior {
                let from_prior = mean - &prior.mean;
                shift = &prior.precision * &from_prior;
                log_factor += 0.5 * from_prior.dot(&shift) - 0.5 * prior.log_det;
                precision -= &prior.precision;
            }
            QuadraticTerm {
                centre: (0..dim).map(|d| (mean[d] - f64::from(means[d])) / std(d)).collect(),
                precision: (0..dim * dim).map(|at| precision[at] * std(at / dim) * std(at % dim)).collect(),
                shift: (0..dim).map(|d| shift[d] * std(d)).collect(),
                log_factor,
            }
        };
        self.components.iter().map(term).collect()
    }
}

pub(crate) struct ClosedFormLoss {
    /// Proposals 1, 2 and so on, at least one; 0 is the prior.
    proposals: Vec<MixtureProposal>,
    /// The same for the trained network, whose standardisation does not change.
    sums: OnceLock<Vec<QuadraticSum>>,
}

impl ClosedFormLoss {
    pub(crate) fn new(proposals: Vec<MixtureProposal>) -> Self {
        Self { proposals, sums: OnceLock::new() }
    }

    /// The mean loss of the simulations, `[1]`, each with its weight.
    fn of<C: SummaryConfig>(
        &self,
        posterior: &AmortizedPosterior<C>,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        let (rows, device) = (batch.len(), posterior.device());
        let mixture = posterior.mixture(&batch.conditions, pass)?;
        let standardization @ (means, stds) = &posterior.parameter_standardization();
        let sums = self.sums.get_or_init(|| {
            let sum = |proposal: &MixtureProposal| QuadraticSum::new(&proposal.terms(standardization), device);
            self.proposals.iter().map(sum).collect()
        });
        let standardized = Array2::from_shape_fn(batch.parameters.dim(), |(row, d)| {
            let distance = f64::from(batch.parameters[[row, d]]) - f64::from(means[d]);
            (distance / f64::from(stds[d])) as f32
        });
        let targets = TensorData::new(standardized.into_raw_vec_and_offset().0, [rows, means.len()]);
        let log_std: f64 = stds.iter().map(|std| f64::from(*std).ln()).sum();
        let weight = |row: usize| batch.weights.as_ref().map_or(1.0, |weights| weights[row]);
        let weighted = |values: Tensor<1>, of: Vec<f32>| match batch.weights {
            Some(_) => values * Tensor::from_data(TensorData::new(of.clone(), [of.len()]), device),
            None => values,
        };
        let total: f64 = (0..rows).map(|row| f64::from(weight(row))).sum();
        let log_q = mixture.clone().log_prob(Tensor::from_data(targets, device)).1;
        let log_q = weighted(log_q, (0..rows).map(weight).collect());
        let mut sum = log_q.neg().sum().add_scalar(total * log_std);
        for (i, terms) in sums.iter().enumerate() {
            let is_of_this = |row: &i64| batch.proposals.as_ref().is_some_and(|p| p[*row as usize] as usize == i + 1);
            let of_this: Vec<i64> = (0..rows as i64).filter(is_of_this).collect();
            if !of_this.is_empty() {
                let (count, weights) = (of_this.len(), of_this.iter().map(|&row| weight(row as usize)).collect());
                let of_this = Tensor::<1, Int>::from_data(TensorData::new(of_this, [count]), device);
                let log_z = mixture.select(of_this).log_integral_of_product(terms);
                sum = sum + weighted(log_z, weights).sum();
            }
        }
        Ok(sum.div_scalar(rows as f64))
    }
}

impl<C: SummaryConfig> TrainingLoss<AmortizedPosterior<C>> for ClosedFormLoss {
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
