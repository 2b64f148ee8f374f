//! Says what went wrong in a user's prior, simulator or context, in which simulation, and what to do.

use std::fmt;
use thiserror::Error;

/// One of the quantities that a generative model yields.
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

/// A simulation that failed.
///
/// `simulate_from(seed, index, 1)` replays the one that is named. A simulation that depends on its batch, by non-batchable context
/// or a function of a whole batch, is replayed with that batch.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// A prior without parameters.
    #[error("a prior needs at least one parameter name")]
    NoParameters,
    /// Two parameters of one name.
    #[error("two parameters are named `{name}`: give each its own name")]
    DuplicateName {
        /// The name.
        name: String,
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
        "the {quantity} function of a whole batch returned shape {got:?} for a batch of {expected}: its first axis must be the \
         batch, and at least one more axis must hold the values of each simulation"
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
        "the {quantity} returned shape {got:?} in simulation {index} (seed {seed}), but {expected:?} earlier in the same batch: \
         what changes shape, such as the number of observations, must be drawn once for each batch, as non-batchable context"
    )]
    ShapeChanged {
        /// Which quantity.
        quantity: Quantity,
        /// The number of the simulation.
        index: u64,
        /// The seed.
        seed: u64,
        /// The shape of the first draw of the batch.
        expected: Vec<usize>,
        /// The shape of this draw.
        got: Vec<usize>,
    },
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
    /// NaN or infinity.
    #[error(
        "the {quantity} returned {value} at position {position:?} of simulation {index} (seed {seed}): \
         a network cannot learn from it; replay it with `simulate_from({seed}, {first}, {num_simulations})` and mend or bound the model"
    )]
    NonFinite {
        /// Which quantity.
        quantity: Quantity,
        /// The number of the simulation.
        index: u64,
        /// The seed.
        seed: u64,
        /// Where the smallest batch that replays it begins.
        first: u64,
        /// How many simulations that batch has.
        num_simulations: usize,
        /// Where in the draw.
        position: Vec<usize>,
        /// The value.
        value: f32,
    },
    /// The user's function panicked.
    #[error(
        "the {quantity} panicked in simulation {index} (seed {seed}): {message}; \
         check that the prior and the simulator agree on the number of parameters ({num_parameters}) and that every context that \
         is read has a generator"
    )]
    Panicked {
        /// Which quantity.
        quantity: Quantity,
        /// The number of the simulation.
        index: u64,
        /// The seed.
        seed: u64,
        /// The number of parameters of the prior.
        num_parameters: usize,
        /// The panic's message.
        message: String,
    },
}
