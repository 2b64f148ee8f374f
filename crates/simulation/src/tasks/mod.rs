//! Provides four tasks of the benchmark sbibm, with likelihoods and exact posteriors, for tests and benchmarks.
//!
//! | task | D | F | what is hard about it | exact posterior |
//! |---|---|---|---|---|
//! | [`gaussian_linear`] | 10 | 10 | nothing | yes |
//! | [`gaussian_linear_uniform`] | 10 | 10 | a posterior that the prior's bounds cut | yes |
//! | [`slcp`] | 5 | 8 | four modes, and a simple likelihood that makes a complex posterior | no |
//! | [`two_moons`] | 2 | 2 | two modes, each a thin crescent | yes |
//!
//! A [`Task`] has a [`GenerativeModel`] as a user would write it, whose data are one vector for each simulation, `[B,
//! F]`, and in addition its likelihood and exact posterior draws. Names, settings and conventions are those of the
//! paper: Lueckmann, Boelts, Greenberg, Gonçalves and Macke, *Benchmarking Simulation-Based Inference*, AISTATS 2021
//! ([arXiv:2101.04653](https://arxiv.org/abs/2101.04653)), appendix T, and of its code, sbibm 1.1.0.
//!
//! ```
//! use bayesburn_simulation::tasks;
//!
//! let task = tasks::two_moons();
//! assert_eq!(task.model().simulate(100, 2023)?.data.values().shape(), [100, 2]);
//!
//! // What a trained posterior given this observation is to be compared with:
//! let observed = [-0.6, 0.2];
//! let draws = task.exact_posterior(&observed, 1000, 1)?; // [1, 1000, 2]
//! for theta in draws.data_set(0).outer_iter() {
//!     // On either of two crescents, which mirror each other at θ₁ = −θ₂.
//!     assert!((theta[0] + theta[1]).abs() > 1.2 && task.log_likelihood(&theta.to_vec(), &observed)? > -15.0);
//! }
//! # Ok::<(), bayesburn_simulation::SimulationError>(())
//! ```

mod error;
mod gaussian_linear;
mod gaussian_linear_uniform;
mod slcp;
mod two_moons;

pub use error::TaskError;
pub use gaussian_linear::gaussian_linear;
pub use gaussian_linear_uniform::gaussian_linear_uniform;
pub use slcp::slcp;
pub use two_moons::two_moons;

use crate::{GenerativeModel, Prior, PriorError, SimulationError, Simulator};
use bayesburn_core::{Draws, Purpose, StreamRng, stream};
use ndarray::Array3;

const PURPOSE: Purpose = Purpose::new("exact posterior");

/// A name, and what makes the task.
type Named = (&'static str, fn() -> Task);

const ALL: [Named; 4] = [
    ("gaussian_linear", gaussian_linear),
    ("gaussian_linear_uniform", gaussian_linear_uniform),
    ("slcp", slcp),
    ("two_moons", two_moons),
];

/// All four tasks.
#[must_use]
pub fn all() -> [Task; 4] {
    ALL.map(|(_, task)| task())
}

/// The task with this name, which is also the name of its function. For command lines.
///
/// # Errors
/// An unknown name.
pub fn by_name(name: &str) -> Result<Task, TaskError> {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, task)| task())
        .ok_or_else(|| TaskError::Unknown { name: name.to_owned(), known: ALL.map(|(known, _)| known).to_vec() })
}

/// ln p(x | θ).
type LogLikelihood = fn(&[f32], &[f32]) -> f64;
/// One draw of the posterior given x; `None` if there is none, or none is found.
type Posterior = fn(&mut StreamRng, &[f32]) -> Option<Vec<f32>>;

/// A generative model with a known likelihood and, for most tasks, a known posterior.
#[derive(Debug, Clone)]
pub struct Task {
    name: &'static str,
    model: GenerativeModel,
    log_likelihood: LogLikelihood,
    posterior: Option<Posterior>,
}

impl Task {
    /// A task whose prior and simulator are known to agree.
    fn new(
        name: &'static str,
        prior: Result<Prior, PriorError>,
        simulator: Simulator,
        log_likelihood: LogLikelihood,
        posterior: Option<Posterior>,
    ) -> Self {
        let model = prior.map_err(SimulationError::from).and_then(|prior| GenerativeModel::new(prior, simulator));
        Self { name, model: model.expect("a model that every test of tasks makes"), log_likelihood, posterior }
    }

    /// The name, such as `two_moons`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Prior and simulator. The prior has a density, and data are one vector of F values for each simulation.
    #[must_use]
    pub fn model(&self) -> &GenerativeModel {
        &self.model
    }

    /// ln p(x | θ), normalised over x, for θ of D and x of F values. The prior's support is not checked.
    ///
    /// # Errors
    /// Another number of values than D or F.
    pub fn log_likelihood(&self, parameters: &[f32], x: &[f32]) -> Result<f64, TaskError> {
        self.check("parameters", parameters.len(), self.model.shapes().parameters[0])?;
        self.check_data(x)?;
        Ok((self.log_likelihood)(parameters, x))
    }

    /// Whether [`Task::exact_posterior`] can draw.
    #[must_use]
    pub fn has_exact_posterior(&self) -> bool {
        self.posterior.is_some()
    }

    /// Independent draws from p(θ | x) given x of F values, `[1, num_draws, D]`: no Markov chain and no approximation.
    /// Draw i of a seed is the same for any number of draws. Give each observation its own seed; with the same seed,
    /// their sampling errors are correlated.
    ///
    /// # Errors
    /// A task without exact posterior (see [`Task::has_exact_posterior`]); another number of values than F; zero draws;
    /// an observation that the model cannot produce, or so rarely that no parameters are found.
    pub fn exact_posterior(&self, x: &[f32], num_draws: usize, seed: u64) -> Result<Draws, TaskError> {
        let posterior = self.posterior.ok_or(TaskError::NoExactPosterior { task: self.name })?;
        self.check_data(x)?;
        if num_draws == 0 {
            return Err(TaskError::NoDraws);
        }
        let names = self.model.parameter_names().clone();
        let mut values = Vec::with_capacity(num_draws * names.len());
        for index in 0..num_draws as u64 {
            let draw = posterior(&mut stream(seed, PURPOSE, index), x);
            values.extend(draw.ok_or_else(|| TaskError::ImpossibleData { task: self.name, observed: x.to_vec() })?);
        }
        let values = Array3::from_shape_vec((1, num_draws, names.len()), values).expect("a value for each parameter");
        Ok(Draws::new(names, values).expect("a name for each parameter"))
    }

    fn check_data(&self, x: &[f32]) -> Result<(), TaskError> {
        self.check("values of data", x.len(), self.model.shapes().data[0])
    }

    fn check(&self, what: &'static str, got: usize, expected: usize) -> Result<(), TaskError> {
        if got == expected { Ok(()) } else { Err(TaskError::Lengths { task: self.name, what, expected, got }) }
    }
}

/// `theta_1` to `theta_D`.
fn parameter_names<const D: usize>() -> [String; D] {
    std::array::from_fn(|d| format!("theta_{}", d + 1))
}

/// A prior that is uniform on the cube from −bound to bound.
fn cube<const D: usize>(bound: f64) -> Result<Prior, PriorError> {
    Prior::box_uniform(parameter_names::<D>(), &[-bound; D], &[bound; D])
}
