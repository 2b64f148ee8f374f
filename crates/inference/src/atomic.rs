//! Implements the atomic loss (SNPE-C) for rounds whose parameters a posterior proposed.
//!
//! Simulations of proposed parameters have the density p̃(θ) p(x | θ), and the loss −ln q(θ | x) would make q the
//! posterior under the proposal p̃. Greenberg et al. (2019) ask instead which of some parameters, atoms, an observation
//! belongs to: under a uniform choice among atoms, the posterior probability of θ_0 is f_0 / Σ_j f_j with f_j = p(θ_j |
//! x) / p(θ_j), whatever the proposal. So
//!
//! −ln q(θ_0 | x) + ln p(θ_0) + ln Σ_j q(θ_j | x) / p(θ_j)
//!
//! is minimal where q is the posterior under the prior p (their eq. 7 and 8). Atoms are the parameters of other
//! simulations of the batch.
//!
//! The loss is the same for q and any multiple of q, so that probability mass where there are no atoms costs nothing;
//! in more than one dimension, a narrow posterior fits into the gaps between some thousand simulations. The combined
//! loss adds −ln q(θ | x) for simulations from the prior. It has the same minimum, and penalises mass elsewhere.

use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Configured};
use bayesburn_core::{Purpose, stream};
use bayesburn_networks::{Pass, SummaryConfig, log_sum_exp};
use bayesburn_simulation::Prior;
use bayesburn_trainers::TrainingLoss;
use burn::tensor::{Tensor, TensorData};
use ndarray::{Array2, Axis};
use rand::seq::index::sample;

pub(crate) struct AtomicLoss {
    pub(crate) prior: Prior,
    /// Number of atoms, including the simulation's own parameters.
    pub(crate) atoms: usize,
    /// Whether −ln q(θ | x) is added for parameters from the prior.
    pub(crate) combined: bool,
}

impl AtomicLoss {
    /// The loss of each simulation, `[B]`, with its weight.
    fn of_each<C: SummaryConfig>(
        &self,
        posterior: &AmortizedPosterior<C>,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        let rows = batch.len();
        let atoms = self.atoms.min(rows);
        let mut rng = stream(pass.seed(), const { Purpose::new("atoms") }, 0);
        let mut chosen = Vec::with_capacity(rows * atoms);
        for row in 0..rows {
            chosen.push(row);
            // Drawn from the other rows without replacement: numbers from `row` on are shifted by one.
            let others = sample(&mut rng, rows - 1, atoms - 1);
            chosen.extend(others.into_iter().map(|other| other + usize::from(other >= row)));
        }
        let parameters: Array2<f32> = batch.parameters.select(Axis(0), &chosen);
        let log_q = posterior.log_prob_of_each(&parameters, &batch.conditions, pass)?;
        let log_prior = self.prior.log_prob(&batch.parameters);
        let log_prior = log_prior.map_err(|error| AmortizerError::Configurator(error.to_string()))?;
        let log_prior: Vec<f32> = chosen.iter().map(|&row| log_prior[row] as f32).collect();
        let log_prior = Tensor::<2>::from_data(TensorData::new(log_prior, [rows, atoms]), &log_q.device());
        let log_q = log_q.reshape([rows, atoms]);
        let f = log_q.clone() - log_prior;
        let own = |values: Tensor<2>| values.narrow(1, 0, 1).reshape([rows]);
        let atomic = log_sum_exp(f.clone()) - own(f);
        let each = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values, [rows]), &log_q.device());
        let loss = match (&batch.proposals, self.combined) {
            (Some(proposals), true) => {
                let of_prior = proposals.iter().map(|&proposal| f32::from(u8::from(proposal == 0))).collect();
                atomic - own(log_q.clone()) * each(of_prior)
            }
            _ => atomic,
        };
        Ok(match &batch.weights {
            Some(weights) => loss * each(weights.to_vec()),
            None => loss,
        })
    }
}

impl<C: SummaryConfig> TrainingLoss<AmortizedPosterior<C>> for AtomicLoss {
    fn training(
        &self,
        posterior: &AmortizedPosterior<C>,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        Ok(self.of_each(posterior, batch, pass)?.mean())
    }

    /// Uses the same atoms each time.
    fn validation(&self, posterior: &AmortizedPosterior<C>, data: &Configured) -> Result<f32, AmortizerError> {
        Ok(self.of_each(posterior, data, &mut Pass::inference(0))?.mean().into_scalar())
    }
}
