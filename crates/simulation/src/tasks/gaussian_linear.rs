//! Infers the mean of a normal distribution under a normal prior: the task whose posterior is normal too.

use super::{Task, parameter_names};
use crate::{Prior, PriorError, Simulator, Univariate};
use bayesburn_core::StreamRng;
use ndarray::Array1;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

const D: usize = 10;
/// Of the prior and of the noise. sbibm's code calls it a scale, and passes it on as a variance.
pub(super) const VARIANCE: f64 = 0.1;

/// A normal mean under a normal prior, with D = F = 10; 0.1 and 0.05 are variances.
///
/// ```text
/// prior      θ ~ N(0, 0.1 I)
/// simulator  x ~ N(θ, 0.1 I)
/// posterior  θ ~ N(x / 2, 0.05 I)
/// ```
///
/// Lueckmann et al. (2021), appendix T.1.
///
/// ```
/// let task = bayesburn_simulation::tasks::gaussian_linear();
/// let draws = task.exact_posterior(&[1.0; 10], 10_000, 1)?;
/// assert!((draws.mean() - 0.5).iter().all(|error| error.abs() < 0.01));
/// assert!((draws.std() - 0.05_f64.sqrt()).iter().all(|error| error.abs() < 0.01));
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
#[must_use]
pub fn gaussian_linear() -> Task {
    Task::new("gaussian_linear", prior(), simulator(), log_likelihood, Some(posterior))
}

fn prior() -> Result<Prior, PriorError> {
    let normal = Univariate::normal(0.0, VARIANCE.sqrt())?;
    Ok(Prior::independent(parameter_names::<D>().map(|name| (name, normal))))
}

pub(super) fn simulator() -> Simulator {
    Simulator::from_fn(|rng, theta, _| {
        let noise = |mean: &f32| f64::from(*mean) + VARIANCE.sqrt() * rng.sample::<f64, _>(StandardNormal);
        theta.iter().map(noise).map(|x| x as f32).collect::<Array1<f32>>()
    })
}

/// −½ (‖x − θ‖² / σ² + D ln 2πσ²).
pub(super) fn log_likelihood(theta: &[f32], x: &[f32]) -> f64 {
    let square: f64 = theta.iter().zip(x).map(|(&mean, &x)| (f64::from(x) - f64::from(mean)).powi(2)).sum();
    -0.5 * (square / VARIANCE + D as f64 * (TAU * VARIANCE).ln())
}

fn posterior(rng: &mut StreamRng, x: &[f32]) -> Option<Vec<f32>> {
    // Prior and noise weigh the same.
    let of_one = |&x: &f32| Univariate::normal(0.5 * f64::from(x), (0.5 * VARIANCE).sqrt()).ok();
    x.iter().map(|x| Some(of_one(x)?.sample(rng))).collect()
}
