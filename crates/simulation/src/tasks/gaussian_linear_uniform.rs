//! Infers the mean of a normal distribution under a uniform prior, whose bounds cut the posterior.

use super::{
    Task, cube,
    gaussian_linear::{VARIANCE, log_likelihood, simulator},
};
use crate::Univariate;
use bayesburn_core::StreamRng;

const BOUND: f64 = 1.0;

/// A normal mean under a uniform prior, with D = F = 10; 0.1 is a variance.
///
/// ```text
/// prior      θ ~ U[−1, 1]¹⁰
/// simulator  x ~ N(θ, 0.1 I)
/// posterior  θᵢ ~ N(xᵢ, 0.1) given that −1 ≤ θᵢ ≤ 1, each independent of the others
/// ```
///
/// Lueckmann et al. (2021), appendix T.2. An observation of which a value is more than 6 standard deviations of the
/// noise beyond a bound is taken for one that no parameters give.
///
/// ```
/// let task = bayesburn_simulation::tasks::gaussian_linear_uniform();
/// let draws = task.exact_posterior(&[0.9; 10], 1000, 1)?;
/// assert!(draws.values().iter().all(|theta| theta.abs() <= 1.0));
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
#[must_use]
pub fn gaussian_linear_uniform() -> Task {
    Task::new("gaussian_linear_uniform", cube::<10>(BOUND), simulator(), log_likelihood, Some(posterior))
}

fn posterior(rng: &mut StreamRng, x: &[f32]) -> Option<Vec<f32>> {
    let of_one = |&x: &f32| Univariate::normal(f64::from(x), VARIANCE.sqrt()).ok()?.truncated(-BOUND, BOUND).ok();
    x.iter().map(|x| Some(of_one(x)?.sample(rng))).collect()
}
