//! Joins a prior and a simulator into a generative model.

mod given;
mod over_contexts;

use crate::{
    InvalidSimulations, Panics, Prior, Quantity, Shapes, SimulationError, Simulator,
    context::DrawnContext,
    error::check_feature_names,
    invalid::redraw,
    stack::{Batch, Finite, first_of_row},
};
use bayesburn_core::{PanickedSimulation, ParameterNames, SimulationId, Simulations};
use ndarray::Array2;

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

impl GenerativeModel {
    /// Joins prior and simulator and makes a pilot run, which finds most mistakes early. It makes two simulations, and
    /// if neither is valid more, until one is valid or 1,022 have been tried. The policy for invalid simulations
    /// applies only later, when the model simulates. A trainer makes its own pilot simulations, for standardisation.
    ///
    /// # Errors
    /// Errors of the pilot run: a prior that returns another number of values than it has names; a simulator that
    /// panics (for example on a parameter that the prior does not have), unless [`Panics::AsInvalid`] is set; shapes
    /// that change; non-finite parameters or contexts; no valid simulation; feature names that do not fit the data.
    pub fn new(prior: Prior, simulator: Simulator) -> Result<Self, SimulationError> {
        prior.check_names()?;
        let nothing = Shapes {
            parameters: Vec::new(),
            data: Vec::new(),
            inputs: Vec::new(),
            prior_batchable_context: None,
            prior_non_batchable_context: None,
            sim_batchable_context: None,
            sim_non_batchable_context: None,
        };
        let mut model = Self { prior, simulator, shapes: nothing };
        let pilot = model.pilot()?;
        model.shapes = Shapes::of(&pilot);
        if let Some(names) = model.simulator.feature_names() {
            check_feature_names(names, model.shapes.num_features())?;
        }
        tracing::info!(shapes = ?model.shapes, "pilot run");
        Ok(model)
    }

    /// The first batch of seed 0 with a valid simulation; each batch is twice as large as the one before.
    fn pilot(&self) -> Result<Simulations, SimulationError> {
        /// Batches of 2, 4, … 512. If 1% of simulations is valid, all 1,022 are invalid with probability 3e-5.
        const BATCHES: u32 = 9;
        let policy = self.simulator.invalid_simulations();
        let (mut tried, mut first) = (0, None);
        for len in (1..=BATCHES).map(|power| 2_usize.pow(power)) {
            let batch = Batch { finite: Finite::AllButData, ..self.batch(0, tried as u64, len) };
            let (simulations, invalid) = self.draw(&batch)?;
            let useless = match policy {
                // Missing values are part of the data.
                InvalidSimulations::Mask => simulations.panicked.len(),
                _ => invalid.len(),
            };
            if useless < len {
                return Ok(simulations);
            }
            if first.is_none() {
                let panic = simulations.panicked.into_iter().find(|panic| panic.id.index == 0);
                first = Some((panic, first_of_row(&simulations.data, 0)));
            }
            tried += len;
        }
        let reason = match first.unwrap_or_default() {
            (None, Some((position, value))) if policy == InvalidSimulations::Error => {
                let id = self.batch(0, 0, 2).id(0);
                return Err(SimulationError::NonFinite { quantity: Quantity::SimData, id, position, value });
            }
            (None, Some((position, value))) => format!("the simulator returned {value} at position {position:?}"),
            (Some(panic), _) => format!("the simulator panicked: {}", panic.message),
            (None, None) => "the data are not finite".to_owned(),
        };
        Err(SimulationError::NoneValid { tried, policy, reason })
    }

    /// The prior.
    #[must_use]
    pub fn prior(&self) -> &Prior {
        &self.prior
    }

    /// The range of the number of observations, if the simulator's context is
    /// [`ContextGenerator::num_observations`](crate::ContextGenerator::num_observations).
    #[must_use]
    pub fn num_observations(&self) -> Option<&std::ops::RangeInclusive<u32>> {
        self.simulator.observations()
    }

    /// The parameters' names.
    #[must_use]
    pub fn parameter_names(&self) -> &ParameterNames {
        self.prior.names()
    }

    /// The names of the features, as set by [`Simulator::with_feature_names`].
    #[must_use]
    pub fn feature_names(&self) -> Option<&[String]> {
        self.simulator.feature_names()
    }

    /// The policy for invalid simulations, as set by [`Simulator::on_invalid`].
    #[must_use]
    pub fn invalid_simulations(&self) -> InvalidSimulations {
        self.simulator.invalid_simulations()
    }

    /// The model with another policy for invalid simulations.
    #[must_use]
    pub fn with_invalid_simulations(mut self, policy: InvalidSimulations) -> Self {
        self.simulator = self.simulator.on_invalid(policy);
        self
    }

    /// The model, with invalid simulations dropped unless its simulator sets another policy. Inferences simulate from
    /// this model, and their posteriors are tested against it.
    #[must_use]
    pub fn leaving_out_invalid(self) -> Self {
        match self.invalid_simulations() {
            InvalidSimulations::Error => self.with_invalid_simulations(InvalidSimulations::Drop),
            _ => self,
        }
    }

    /// Whether simulation i of a seed is the same in every batch, that is whether there is no function of a whole batch
    /// and no context shared by a batch.
    #[must_use]
    pub fn simulations_are_independent(&self) -> bool {
        self.prior.is_independent() && self.simulator.is_independent()
    }

    /// The shapes found in the pilot run. They print as a table.
    #[must_use]
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Simulates one batch: simulations 0 to `num_simulations` of this seed.
    ///
    /// # Errors
    /// Zero simulations; a prior, simulator or context that returns a wrong or changing shape or a non-finite value, or
    /// panics: the error names the simulation. Non-finite data are an error unless [`Simulator::on_invalid`] sets
    /// another policy; then it is an error if the redraws are used up or no simulation is left.
    pub fn simulate(&self, num_simulations: usize, seed: u64) -> Result<Simulations, SimulationError> {
        self.simulate_from(seed, 0, num_simulations)
    }

    /// Simulates one batch that begins at simulation `first`. Online training calls it step by step; it also reproduces
    /// a simulation that an error names (see [`SimulationError`]). If invalid simulations are dropped, the batch is
    /// smaller.
    ///
    /// # Errors
    /// As [`GenerativeModel::simulate`].
    pub fn simulate_from(&self, seed: u64, first: u64, num_simulations: usize) -> Result<Simulations, SimulationError> {
        let batch = self.batch(seed, first, num_simulations);
        batch.check()?;
        let (simulations, invalid) = self.draw(&batch)?;
        self.settle(&batch, simulations, &invalid)
    }

    /// Repeats one attempt at one simulation, including NaN and infinity, under any policy for invalid simulations. The
    /// result is a batch of one, with the shared context of its original batch.
    ///
    /// Non-finite parameters and contexts are returned too. The simulator is called with them, although the original
    /// error occurred before it was called.
    ///
    /// # Errors
    /// [`SimulationError::Panicked`] if the simulation panicked; an index outside of its batch; the errors of
    /// [`GenerativeModel::simulate`] except those about finite values.
    pub fn replay(&self, id: SimulationId) -> Result<Simulations, SimulationError> {
        let row = id.index.checked_sub(id.first).and_then(|row| usize::try_from(row).ok());
        let rows = [row.filter(|&row| row < id.batch).ok_or(SimulationError::NotInBatch { id })?];
        let batch = self.batch(id.seed, id.first, id.batch);
        let (finite, panics) = (Finite::Nothing, Panics::Error);
        let batch = Batch { attempt: id.attempt, rows: Some(&rows), finite, panics, ..batch };
        Ok(self.draw(&batch)?.0)
    }

    /// The first attempt at all rows of a batch.
    fn batch(&self, seed: u64, first: u64, len: usize) -> Batch<'static> {
        Batch {
            seed,
            first,
            len,
            num_parameters: self.prior.names().len(),
            independent: self.simulations_are_independent(),
            attempt: 0,
            rows: None,
            finite: match self.simulator.invalid_simulations() {
                InvalidSimulations::Error => Finite::All,
                _ => Finite::AllButData,
            },
            panics: self.simulator.panics(),
        }
    }

    /// Draws the rows that a batch asks for. Also returns the rows with non-finite data.
    fn draw(&self, batch: &Batch<'_>) -> Result<(Simulations, Vec<usize>), SimulationError> {
        if let (true, Some(rows)) = (self.simulator.needs_whole_batch(), batch.rows) {
            let (all, invalid) = self.draw(&batch.whole_batch())?;
            let invalid = (0..rows.len()).filter(|&i| invalid.binary_search(&rows[i]).is_ok()).collect();
            return Ok((all.select(rows), invalid));
        }
        let (parameters, prior_context) = self.prior.draw(batch)?;
        self.given(batch, parameters, prior_context)
    }

    /// Draws the data of a batch, given its parameters.
    fn given(
        &self,
        batch: &Batch<'_>,
        parameters: Array2<f32>,
        prior_context: DrawnContext,
    ) -> Result<(Simulations, Vec<usize>), SimulationError> {
        let (mut data, sim_context) = self.simulator.draw(batch, &parameters)?;
        if data.values.values().is_empty() && batch.independent && !self.shapes.data.is_empty() {
            // All have panicked, in a model whose data are always of the pilot run's shape.
            data.values = self.shapes.nan(parameters.nrows());
        }
        let panicked = data.panicked.into_iter();
        let panicked = panicked.map(|(row, message)| PanickedSimulation { id: batch.id(batch.index(row)), message });
        let simulations = Simulations {
            parameter_names: self.prior.names().clone(),
            parameters,
            data: data.values,
            prior_batchable_context: prior_context.batchable,
            prior_non_batchable_context: prior_context.non_batchable,
            sim_batchable_context: sim_context.batchable,
            sim_non_batchable_context: sim_context.non_batchable,
            proposals: None,
            invalid: Vec::new(),
            panicked: panicked.collect(),
        };
        Ok((simulations, data.invalid))
    }

    /// Applies the simulator's policy to the invalid rows of a batch.
    fn settle(
        &self,
        batch: &Batch<'_>,
        simulations: Simulations,
        invalid: &[usize],
    ) -> Result<Simulations, SimulationError> {
        match self.simulator.invalid_simulations() {
            InvalidSimulations::Redraw { max_attempts } => {
                let (simulations, never) = redraw(simulations, invalid, max_attempts, batch, |again| self.draw(again))?;
                match (never.first(), simulations.invalid.iter().map(|id| id.attempt).max()) {
                    (Some(&row), Some(attempt)) => {
                        let id = SimulationId { attempt, ..batch.id(batch.index(row)) };
                        Err(SimulationError::TooManyInvalid { id, attempts: attempt + 1 })
                    }
                    _ => Ok(simulations),
                }
            }
            policy => policy.set_aside(simulations, invalid, |row| batch.id(batch.index(row))),
        }
    }
}
