//! Holds one batch of simulations: the six quantities that a generative model yields.

use ndarray::{Array2, ArrayD};
use std::sync::Arc;

/// One name for each parameter, in the order of the parameter axis.
pub type ParameterNames = Arc<[String]>;

/// A batch of B simulations.
///
/// *Batchable* context differs between the simulations of a batch and has the batch as first axis; *non-batchable* context,
/// such as the number of observations, is shared by the batch and has none.
///
/// # Shapes
/// B simulations of D parameters; the axes after B are the model's own, usually `[N, features]` for N observations.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulations {
    /// The parameters' names, D of them.
    pub parameter_names: ParameterNames,
    /// Prior draws θ, `[B, D]`.
    pub parameters: Array2<f32>,
    /// Simulated data x, `[B, ...]`.
    pub sim_data: ArrayD<f32>,
    /// The prior's batchable context, `[B, ...]`.
    pub prior_batchable_context: Option<ArrayD<f32>>,
    /// The prior's non-batchable context.
    pub prior_non_batchable_context: Option<ArrayD<f32>>,
    /// The simulator's batchable context, `[B, ...]`.
    pub sim_batchable_context: Option<ArrayD<f32>>,
    /// The simulator's non-batchable context.
    pub sim_non_batchable_context: Option<ArrayD<f32>>,
}

impl Simulations {
    /// The number of simulations, B.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parameters.nrows()
    }

    /// Whether there is no simulation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
