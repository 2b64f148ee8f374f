//! Defines the errors of priors, simulators and contexts: which simulation failed, and the remedy.

use crate::{InvalidSimulations, PriorError, ProcessError, tasks::TaskError};
use bayesburn_core::{InvalidData, PanickedSimulation, SimulationId};
use std::fmt;
use thiserror::Error;

/// One of the quantities that a generative model draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// The prior's parameters θ.
    Parameters,
    /// The simulated data x.
    SimData,
    /// The prior's batchable context.
    PriorBatchableContext,
    /// The prior's non-batchable context.
    PriorNonBatchableContext,
    /// The simulator's batchable context.
    SimBatchableContext,
    /// The simulator's non-batchable context.
    SimNonBatchableContext,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parameters => "prior",
            Self::SimData => "simulator",
            Self::PriorBatchableContext => "prior's batchable context",
            Self::PriorNonBatchableContext => "prior's non-batchable context",
            Self::SimBatchableContext => "simulator's batchable context",
            Self::SimNonBatchableContext => "simulator's non-batchable context",
        })
    }
}

impl Quantity {
    /// The field of [`Simulations`](bayesburn_core::Simulations) that holds it.
    fn field(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::SimData => "data",
            Self::PriorBatchableContext => "prior_batchable_context",
            Self::PriorNonBatchableContext => "prior_non_batchable_context",
            Self::SimBatchableContext => "sim_batchable_context",
            Self::SimNonBatchableContext => "sim_non_batchable_context",
        }
    }
}

/// The attempt, printed after the seed, unless it is the first.
fn of_attempt(attempt: &u32) -> String {
    if *attempt == 0 { String::new() } else { format!(", attempt {attempt}") }
}

/// The remedy beside mending the model: only data may be invalid.
fn or_a_policy(quantity: &Quantity) -> &'static str {
    match quantity {
        Quantity::SimData => ", or have such simulations redrawn, dropped or masked by `Simulator::on_invalid`",
        _ => "",
    }
}

/// The remedy for a panic beside mending the model.
fn or_as_invalid(quantity: &Quantity) -> &'static str {
    match quantity {
        Quantity::SimData => {
            "; if the simulator reports failures by panicking, have such simulations redrawn, dropped or masked by \
             `Simulator::on_panic` and `on_invalid`"
        }
        _ => "",
    }
}

/// The first panic's message, if there was one.
fn first_panic(panicked: &[PanickedSimulation]) -> String {
    panicked.first().map_or(String::new(), |first| {
        format!(" ({} panicked, number {} with: {})", panicked.len(), first.id.index, first.message)
    })
}

/// The remedy for data that were read or given.
fn or_a_policy_for_rows(quantity: &Quantity) -> &'static str {
    match quantity {
        Quantity::SimData => ", or have such rows dropped or masked by `InvalidSimulations::Drop` or `Mask`",
        _ => "",
    }
}

/// The place in data that were read or given.
fn of_row(row: &Option<u64>) -> String {
    row.map_or("all rows".to_owned(), |row| format!("row {row}"))
}

/// An error of a model: a prior, a program or a task that cannot be used, or a simulation that failed.
///
/// To reproduce a failed simulation, call `simulate_from(seed, index, 1)`: it fails again in the same way.
/// [`GenerativeModel::replay`](crate::GenerativeModel::replay) returns a simulation with its NaN or infinite values,
/// for inspection. A simulation that depends on its batch, through non-batchable context or a function of a whole
/// batch, is replayed with that batch.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// A prior that cannot be made, or lacks a density.
    #[error(transparent)]
    Prior(#[from] PriorError),
    /// A program that simulates.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A task of [`tasks`](crate::tasks).
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The feature names do not fit the data.
    #[error(
        "the feature names {names:?} do not fit data with {expected} features, the length of their last axis: give \
         each feature a name of its own"
    )]
    FeatureNames {
        /// The names.
        names: Vec<String>,
        /// F, the number of features.
        expected: usize,
    },
    /// No simulation was asked for.
    #[error("0 simulations were asked for: ask for at least 1")]
    NoSimulations,
    /// The prior's draw and its names disagree.
    #[error(
        "the prior has {expected} parameter names, but draw {index} has {got} values: return one value for each name"
    )]
    ParameterCount {
        /// The number of the simulation.
        index: u64,
        /// The number of names.
        expected: usize,
        /// The number of values.
        got: usize,
    },
    /// A function of a whole batch returned another shape than `[batch, ...]`.
    #[error(
        "the {quantity} function of a whole batch returned shape {got:?} for a batch of {expected}: its first axis \
         must be the batch, and at least one more axis must hold the values of each simulation"
    )]
    BatchShape {
        /// Whose function.
        quantity: Quantity,
        /// The batch size.
        expected: usize,
        /// The shape returned.
        got: Vec<usize>,
    },
    /// One draw differs in shape from the first of its batch.
    #[error(
        "the {quantity} returned shape {got:?} in simulation {index} (seed {seed}{}), but {expected:?} earlier in the \
         same batch: only the first axis of data with several axes may change between simulations; context that \
         changes any other axis must be drawn once for each batch, as non-batchable context",
        of_attempt(.attempt)
    )]
    ShapeChanged {
        /// Which quantity.
        quantity: Quantity,
        /// The number of the simulation.
        index: u64,
        /// The seed.
        seed: u64,
        /// 0, or the number of the redraw.
        attempt: u32,
        /// The shape of the first draw of the batch.
        expected: Vec<usize>,
        /// The shape of this draw.
        got: Vec<usize>,
    },
    /// One draw has other inputs than the first of its batch.
    #[error(
        "the simulator returned the inputs {got:?} in simulation {index} (seed {seed}{}), but {expected:?} earlier in \
         the same batch: return the same inputs each time, in the same order",
        of_attempt(.attempt)
    )]
    InputsChanged {
        /// The number of the simulation.
        index: u64,
        /// The seed.
        seed: u64,
        /// 0, or the number of the redraw.
        attempt: u32,
        /// The inputs of the first draw of the batch.
        expected: Vec<String>,
        /// The inputs of this draw.
        got: Vec<String>,
    },
    /// Data whose inputs or masks do not fit each other.
    #[error(transparent)]
    InvalidData(#[from] InvalidData),
    /// A draw without a single value.
    #[error("the {quantity} returned an empty array of shape {got:?} in simulation {index}: return at least one value")]
    Empty {
        /// Which quantity.
        quantity: Quantity,
        /// The number of the simulation.
        index: u64,
        /// The shape returned.
        got: Vec<usize>,
    },
    /// A value is NaN or infinite.
    #[error(
        "the {quantity} returned {value} at position {position:?} of simulation {} (seed {}{}): a network cannot learn \
         from it; inspect it with `replay({id:?})`, reproduce the failure with `simulate_from({}, {}, {})`, and fix \
         the model or bound its parameters{}",
        .id.index, .id.seed, of_attempt(&.id.attempt), .id.seed, .id.first, .id.batch, or_a_policy(.quantity)
    )]
    NonFinite {
        /// Which quantity.
        quantity: Quantity,
        /// The simulation's identity, for [`GenerativeModel::replay`](crate::GenerativeModel::replay).
        id: SimulationId,
        /// Where in the draw.
        position: Vec<usize>,
        /// The value.
        value: f32,
    },
    /// All redraws of a simulation were non-finite.
    #[error(
        "simulation {} (seed {}) was not finite in each of {attempts} attempts; inspect the last with \
         `replay({id:?})`, and fix the simulator, narrow the prior, or allow a larger `max_attempts`",
        .id.index, .id.seed
    )]
    TooManyInvalid {
        /// The last attempt.
        id: SimulationId,
        /// How many there were.
        attempts: u32,
    },
    /// No simulation of the pilot run is valid.
    #[error(
        "none of the {tried} simulations of the pilot run (seed 0) is valid, and `InvalidSimulations::{policy:?}` \
         needs some that are: in the first, {reason}; mend the simulator, or narrow the prior to where it works"
    )]
    NoneValid {
        /// How many there were.
        tried: usize,
        /// The policy for invalid simulations.
        policy: InvalidSimulations,
        /// What is wrong with the first.
        reason: String,
    },
    /// Every simulation of a batch was dropped.
    #[error(
        "all {count} simulations from number {} on are invalid and were dropped{}: mend the simulator, narrow the \
         prior, or take larger batches",
        .first.index, first_panic(.panicked)
    )]
    NothingLeft {
        /// The number of simulations.
        count: usize,
        /// The first of them.
        first: SimulationId,
        /// Those of them that panicked.
        panicked: Vec<PanickedSimulation>,
    },
    /// A value of data that were read or given is NaN or infinite.
    #[error(
        "`{}` of {} holds {value} at position {position:?}: a network cannot learn from it; correct or remove it{}",
        .quantity.field(), of_row(.row), or_a_policy_for_rows(.quantity)
    )]
    NonFiniteRow {
        /// Which quantity.
        quantity: Quantity,
        /// The number of the row; `None` for context that all rows share.
        row: Option<u64>,
        /// Where in the row.
        position: Vec<usize>,
        /// The value.
        value: f32,
    },
    /// Row numbers that do not fit the data.
    #[error("{got} row numbers for {expected} simulations: give one for each")]
    RowNumbers {
        /// The number of simulations.
        expected: usize,
        /// The number of row numbers.
        got: usize,
    },
    /// Redrawing was requested for data that were read or given.
    #[error(
        "data for given parameters cannot be redrawn, as `Simulator::on_invalid` requests: drop or mask non-finite \
         data instead, for example by `GenerativeModel::with_invalid_simulations`; for predictions, \
         `GenerativeModel::predict` redraws them"
    )]
    CannotRedraw,
    /// An identity whose index lies outside of its batch.
    #[error(
        "{id:?} is not one of the {} simulations from {} on: pass an identity as it was reported",
        .id.batch, .id.first
    )]
    NotInBatch {
        /// The identity.
        id: SimulationId,
    },
    /// The user's function panicked.
    #[error(
        "the {quantity} panicked in simulation {index} (seed {seed}{}): {message}; check that the prior and the \
         simulator agree on the number of parameters ({num_parameters}) and that every context it reads has a \
         generator{}",
        of_attempt(.attempt), or_as_invalid(.quantity)
    )]
    Panicked {
        /// Which quantity.
        quantity: Quantity,
        /// The number of the simulation.
        index: u64,
        /// The seed.
        seed: u64,
        /// 0, or the number of the redraw.
        attempt: u32,
        /// The number of parameters of the prior.
        num_parameters: usize,
        /// The panic's message.
        message: String,
    },
}

/// Checks that feature names are non-empty and distinct, and that there are as many as features.
pub(crate) fn check_feature_names(names: &[String], expected: usize) -> Result<(), SimulationError> {
    let fits = |(i, name): (usize, &String)| !name.is_empty() && !names[..i].contains(name);
    match names.len() == expected && names.iter().enumerate().all(fits) {
        true => Ok(()),
        false => Err(SimulationError::FeatureNames { names: names.to_vec(), expected }),
    }
}
