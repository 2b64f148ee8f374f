//! Computes the networks' inputs from pairs of parameters and data.

use bayesburn_amortizers::{AmortizerError, Conditions, Configurator, Configured, TrainingTargets};
use bayesburn_core::{Given, Simulations};
use std::sync::Arc;

/// Configures pairs: the data unchanged or flattened to vectors, and the proposal that the parameters came from.
pub(crate) struct PairsConfigurator {
    inner: Arc<dyn Configurator>,
    flatten: bool,
}

impl PairsConfigurator {
    pub(crate) fn new(inner: Arc<dyn Configurator>, flatten: bool) -> Self {
        Self { inner, flatten }
    }
}

impl Configurator for PairsConfigurator {
    fn conditions(&self, given: &Given<'_>) -> Result<Conditions, AmortizerError> {
        let flat = if self.flatten { Some(given.data.flattened()?) } else { None };
        self.inner.conditions(&Given { data: flat.as_ref().unwrap_or(given.data), ..*given })
    }

    fn targets(&self, simulations: &Simulations) -> Result<TrainingTargets, AmortizerError> {
        match self.flatten {
            true => {
                let flat = simulations.data.flattened()?;
                self.inner.targets(&Simulations { data: flat, ..simulations.clone() })
            }
            false => self.inner.targets(simulations),
        }
    }

    fn configure(&self, simulations: &Simulations) -> Result<Configured, AmortizerError> {
        let mut simulations = simulations.clone();
        let proposals = simulations.proposals.take();
        if self.flatten {
            simulations.data = simulations.data.flattened()?;
        }
        let configured = self.inner.configure(&simulations)?;
        Ok(Configured { proposals, ..configured })
    }
}
