//! Infers in one call: simulate, train, posterior.

use crate::{InferenceError, Npe, NpeConfig, Posterior};
use bayesburn_networks::SummaryConfig;
use bayesburn_simulation::{GenerativeModel, InvalidSimulations, Prior, Simulator};

/// Simulates from the prior, trains, and returns the posterior of any observation; [`Npe`] has what lies between.
///
/// # Errors
/// A prior without a density; simulations that fail; a training that does.
pub fn infer<C: SummaryConfig>(
    simulator: impl Into<Simulator>,
    prior: Prior,
    config: NpeConfig<C>,
    num_simulations: usize,
    seed: u64,
) -> Result<Posterior<C>, InferenceError> {
    let simulator = match simulator.into() {
        // Left out, as `Npe` does, in the model's pilot run too.
        simulator if simulator.invalid_simulations() == InvalidSimulations::Error => {
            simulator.on_invalid(InvalidSimulations::Drop)
        }
        simulator => simulator,
    };
    let mut npe = Npe::builder(GenerativeModel::new(prior, simulator)?, config).seed(seed).build()?;
    npe.simulate(num_simulations)?;
    npe.train()
}
