//! Joins a prior and a simulator into a generative model.

use crate::{Prior, SimulationError, Simulator, stack::Batch};
use bayesburn_core::{ParameterNames, Simulations};
use ndarray::ArrayD;
use std::fmt;

/// The joint model p(θ, x): draws parameters and data together.
///
/// ```
/// # use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
/// # use ndarray::Array2;
/// # use rand::RngExt;
/// # use rand_distr::StandardNormal;
/// # let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
/// # let simulator = Simulator::from_fn(|rng, mu, _| {
/// #     Array2::from_shape_fn((50, 1), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
/// # });
/// let model = GenerativeModel::new(prior, simulator)?;
/// println!("{}", model.shapes());
/// assert_eq!(model.simulate(1000, 7)?, model.simulate(1000, 7)?);
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
#[derive(Debug, Clone)]
pub struct GenerativeModel {
    prior: Prior,
    simulator: Simulator,
    shapes: Shapes,
}

/// The shapes of a pilot run of two simulations. The batch axis is left out; `None` where the model has no such context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shapes {
    /// Of the parameters, `[D]`.
    pub parameters: Vec<usize>,
    /// Of the data of one simulation. Where non-batchable context sets the number of observations, that axis varies.
    pub sim_data: Vec<usize>,
    /// Of the prior's batchable context.
    pub prior_batchable_context: Option<Vec<usize>>,
    /// Of the prior's non-batchable context.
    pub prior_non_batchable_context: Option<Vec<usize>>,
    /// Of the simulator's batchable context.
    pub sim_batchable_context: Option<Vec<usize>>,
    /// Of the simulator's non-batchable context.
    pub sim_non_batchable_context: Option<Vec<usize>>,
}

impl fmt::Display for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batch = |shape: &[usize]| {
            shape.iter().fold("[B".to_string(), |mut text, n| {
                text += &format!(", {n}");
                text
            }) + "]"
        };
        let optional = |shape: &Option<Vec<usize>>, batchable| match shape {
            None => "none".to_string(),
            Some(shape) if batchable => batch(shape),
            Some(shape) => format!("{shape:?}"),
        };
        writeln!(f, "parameters                    {}", batch(&self.parameters))?;
        writeln!(f, "sim_data                      {}", batch(&self.sim_data))?;
        writeln!(f, "prior batchable context       {}", optional(&self.prior_batchable_context, true))?;
        writeln!(f, "prior non-batchable context   {}", optional(&self.prior_non_batchable_context, false))?;
        writeln!(f, "sim batchable context         {}", optional(&self.sim_batchable_context, true))?;
        write!(f, "sim non-batchable context     {}", optional(&self.sim_non_batchable_context, false))
    }
}

impl GenerativeModel {
    /// Joins the two and makes a pilot run of two simulations, which finds most mistakes at once.
    ///
    /// # Errors
    /// Whatever goes wrong in the pilot run: a prior that returns another number of values than it has names, a simulator that
    /// panics (for example on a parameter that the prior does not have), shapes that change, values that are not finite.
    pub fn new(prior: Prior, simulator: Simulator) -> Result<Self, SimulationError> {
        prior.check_names()?;
        let nothing = Shapes {
            parameters: Vec::new(),
            sim_data: Vec::new(),
            prior_batchable_context: None,
            prior_non_batchable_context: None,
            sim_batchable_context: None,
            sim_non_batchable_context: None,
        };
        let mut model = Self { prior, simulator, shapes: nothing };
        let pilot = model.simulate(2, 0)?;
        let one = |array: &ArrayD<f32>| array.shape()[1..].to_vec();
        model.shapes = Shapes {
            parameters: vec![pilot.parameters.ncols()],
            sim_data: one(&pilot.sim_data),
            prior_batchable_context: pilot.prior_batchable_context.as_ref().map(one),
            prior_non_batchable_context: pilot.prior_non_batchable_context.map(|c| c.shape().to_vec()),
            sim_batchable_context: pilot.sim_batchable_context.as_ref().map(one),
            sim_non_batchable_context: pilot.sim_non_batchable_context.map(|c| c.shape().to_vec()),
        };
        tracing::info!(shapes = ?model.shapes, "pilot run of 2 simulations");
        Ok(model)
    }

    /// The prior.
    #[must_use]
    pub fn prior(&self) -> &Prior {
        &self.prior
    }

    /// The parameters' names.
    #[must_use]
    pub fn parameter_names(&self) -> &ParameterNames {
        self.prior.names()
    }

    /// The shapes seen in the pilot run; they print as a table.
    #[must_use]
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Simulates one batch: simulations 0 to `num_simulations` of this seed.
    ///
    /// # Errors
    /// Zero simulations, or a prior, simulator or context that returns a wrong or changing shape or a value that is not finite,
    /// or panics: the error names the simulation.
    pub fn simulate(&self, num_simulations: usize, seed: u64) -> Result<Simulations, SimulationError> {
        self.simulate_from(seed, 0, num_simulations)
    }

    /// Simulates one batch that begins at simulation `first`: what an online training takes step by step, and what replays a
    /// simulation that an error names (see [`SimulationError`]).
    ///
    /// # Errors
    /// As [`GenerativeModel::simulate`].
    pub fn simulate_from(&self, seed: u64, first: u64, num_simulations: usize) -> Result<Simulations, SimulationError> {
        let batch = Batch {
            seed,
            first,
            len: num_simulations,
            num_parameters: self.prior.names().len(),
            independent: self.prior.is_independent() && self.simulator.is_independent(),
        };
        batch.check()?;
        let (parameters, prior_context) = self.prior.draw(&batch)?;
        let (sim_data, sim_context) = self.simulator.draw(&batch, &parameters)?;
        Ok(Simulations {
            parameter_names: self.prior.names().clone(),
            parameters,
            sim_data,
            sim_data_mask: None,
            prior_batchable_context: prior_context.batchable,
            prior_non_batchable_context: prior_context.non_batchable,
            sim_batchable_context: sim_context.batchable,
            sim_non_batchable_context: sim_context.non_batchable,
            invalid: Vec::new(),
        })
    }
}
