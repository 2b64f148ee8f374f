//! Chooses among Burn's optimizers.

use burn::{
    config::Config,
    optim::{AdamConfig, AdamWConfig, RmsPropConfig, SgdConfig, module_optimizer::ModuleOptimizer},
};

/// Burn's optimizers, with Burn's settings. Gradients are already clipped by their global norm: leave the optimizers'
/// own clipping, which works tensor by tensor, switched off.
#[derive(Config, Debug)]
pub enum Optimizer {
    /// Adam (Kingma & Ba 2015).
    Adam(AdamConfig),
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019): for training on a fixed set of simulations.
    AdamW(AdamWConfig),
    /// RMSProp (Tieleman & Hinton 2012).
    RmsProp(RmsPropConfig),
    /// Stochastic gradient descent.
    Sgd(SgdConfig),
}

impl Default for Optimizer {
    /// Adam with Keras' constants, as BayesFlow v1 uses it: β = (0.9, 0.999), ε = 1e-7.
    fn default() -> Self {
        Self::Adam(AdamConfig::new().with_epsilon(1e-7))
    }
}

impl Optimizer {
    pub(crate) fn init(&self) -> ModuleOptimizer {
        match self {
            Self::Adam(config) => config.init(),
            Self::AdamW(config) => config.init(),
            Self::RmsProp(config) => config.init(),
            Self::Sgd(config) => config.init(),
        }
    }
}
