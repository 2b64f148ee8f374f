//! Says what the networks see of pairs.

use bayesburn_amortizers::{AmortizerError, Configurator, Configured};
use bayesburn_core::Simulations;
use ndarray::ArrayD;
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
        let proposals = simulations.prior_batchable_context.take();
        if self.flatten {
            simulations.sim_data = as_vectors(&simulations.sim_data);
            simulations.sim_data_mask = simulations.sim_data_mask.as_ref().map(as_vectors);
        }
        let configured = self.inner.configure(&simulations)?;
        let proposals = proposals.map(|proposals| proposals.iter().map(|&proposal| proposal as u32).collect());
        Ok(Configured { proposals, ..configured })
    }
}

/// `[M, ...]` to `[M, F]`.
pub(crate) fn as_vectors(data: &ArrayD<f32>) -> ArrayD<f32> {
    let rows = data.shape()[0];
    let flat = data.to_shape((rows, data.len() / rows.max(1))).expect("as many values as before");
    flat.into_owned().into_dyn()
}
