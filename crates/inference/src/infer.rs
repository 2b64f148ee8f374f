//! Infers in one call: simulate, train, posterior.

use crate::{InferenceError, Npe, NpeConfig, Posterior};
use bayesburn_networks::SummaryConfig;
use bayesburn_simulation::{GenerativeModel, Prior, Simulator};

/// Simulates from the prior, trains, and returns the posterior, which applies to any observation. [`Npe`] does the same
/// step by step.
///
/// # Errors
/// A prior without a density; failed simulations; a failed training.
pub fn infer<C: SummaryConfig>(
    simulator: impl Into<Simulator>,
    prior: Prior,
    config: NpeConfig<C>,
    num_simulations: usize,
    seed: u64,
) -> Result<Posterior<C>, InferenceError> {
    let mut npe = Npe::builder(GenerativeModel::new(prior, simulator.into())?, config).seed(seed).build()?;
    npe.simulate(num_simulations)?;
    npe.train()
}
