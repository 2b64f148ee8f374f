//! Turns a prior and a simulator, written as plain closures, into a [`GenerativeModel`] that simulates in parallel.
//!
//! | type | what it is |
//! |---|---|
//! | [`Prior`] | draws parameters θ: from distributions, or from a function of one draw or of a whole batch |
//! | [`Univariate`] | a distribution of one parameter |
//! | [`Density`] | a prior's density, and where each parameter can lie |
//! | [`Simulator`] | draws data x given θ: a function of one simulation or of a batch, or an external program |
//! | [`ProcessSimulator`] | an external program as a pool of worker processes, and its protocol |
//! | [`ContextGenerator`] | draws further inputs of prior or simulator: design variables, the number of observations |
//! | [`Context`] | the context as a closure sees it |
//! | [`InvalidSimulations`] | the policy for simulations that are not finite: an error, redrawn, dropped or masked |
//! | [`Panics`] | whether a simulation that panics is invalid, or an error |
//! | [`GenerativeModel`] | prior and simulator together: shapes from a pilot run, batches of simulations |
//! | [`Presimulation`] | settings of [`GenerativeModel::presimulate`], which stores simulations ahead of training |
//! | [`Dataset`] | existing simulations: a store, a file of any program, or arrays in memory |
//! | [`Group`] | the rows of a data set that fit into one batch |
//! | [`tasks`] | four tasks of the benchmark sbibm, with likelihoods and exact posteriors |
//!
//! A batch of simulations is a [`Simulations`](bayesburn_core::Simulations). Closures receive their random generator.
//! Simulation i of a seed is the same for any batch size and any number of threads. Only functions of a whole batch,
//! and context shared by a batch, depend on where the batch begins and ends. [`save_simulations`] and
//! [`load_simulations`] keep one batch in a file.
//!
//! ```
//! use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
//! use ndarray::Array2;
//! use rand::RngExt;
//! use rand_distr::StandardNormal;
//!
//! let prior = Prior::from_fn(["mu_1", "mu_2"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
//! let simulator = Simulator::from_fn(|rng, mu, _| {
//!     Array2::from_shape_fn((50, 2), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
//! });
//! let model = GenerativeModel::new(prior, simulator)?;
//! assert_eq!(model.simulate(3, 2023)?.data.values().shape(), [3, 50, 2]);
//! # Ok::<(), bayesburn_simulation::SimulationError>(())
//! ```

mod context;
mod data;
mod error;
mod invalid;
mod model;
mod prior;
mod process;
mod progress;
mod rows;
mod shapes;
mod simulator;
mod stack;
pub mod tasks;

pub use context::{Context, ContextGenerator};
pub use data::{Copies, DataError, Dataset, Group, Presimulation, load_simulations, save_simulations};
pub use error::{Quantity, SimulationError};
pub use invalid::{InvalidSimulations, Panics};
pub use model::GenerativeModel;
pub use prior::{Density, Prior, PriorError, PriorMoments, Univariate};
pub use process::{FailedProcess, ProcessError, ProcessSimulator, WorkerFailure, WorkerFault};
pub use progress::{Progress, SimulationBar};
pub use shapes::Shapes;
pub use simulator::Simulator;
