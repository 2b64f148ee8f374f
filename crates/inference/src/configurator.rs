//! Says what the networks see of pairs.

use bayesburn_amortizers::{AmortizerError, Configurator, Configured};
use bayesburn_core::Simulations;
use std::sync::Arc;

/// What networks see of pairs: the data of each as they are, or as one vector; and which proposal their parameters came from.
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
