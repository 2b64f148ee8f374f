//! Says what the networks see of pairs.

use bayesburn_amortizers::{AmortizerError, Configurator, Configured};
use bayesburn_core::Simulations;
use ndarray::ArrayD;
use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// What the weights of simulations are to the loss of a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Weights {
    /// There are none.
    None,
    /// 1 for parameters from the prior, 0 for others.
    Prior,
    /// The number of the proposal.
    Proposal,
}

/// What networks see of pairs: the data of each as they are, or as one vector; and what their parameters came from, where the loss asks for it.
pub(crate) struct PairsConfigurator {
    inner: Arc<dyn Configurator>,
    flatten: bool,
    weights: AtomicU8,
}

impl PairsConfigurator {
    pub(crate) fn new(inner: Arc<dyn Configurator>, flatten: bool) -> Self {
        Self { inner, flatten, weights: AtomicU8::new(Weights::None as u8) }
    }

    /// Sets what the weights are in the next training.
    pub(crate) fn set_weights(&self, weights: Weights) {
        self.weights.store(weights as u8, Ordering::Relaxed);
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
        let mode = self.weights.load(Ordering::Relaxed);
        let weights = proposals.filter(|_| mode != Weights::None as u8).map(|proposals| {
            let weight = |proposal: f32| match mode == Weights::Prior as u8 {
                true => f32::from(u8::from(proposal == 0.0)),
                false => proposal,
            };
            proposals.iter().map(|&proposal| weight(proposal)).collect()
        });
        Ok(Configured { weights, ..configured })
    }
}

/// `[M, ...]` to `[M, F]`.
pub(crate) fn as_vectors(data: &ArrayD<f32>) -> ArrayD<f32> {
    let rows = data.shape()[0];
    let flat = data.to_shape((rows, data.len() / rows.max(1))).expect("as many values as before");
    flat.into_owned().into_dyn()
}
