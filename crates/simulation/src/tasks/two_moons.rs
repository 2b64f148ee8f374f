//! Infers two parameters of which two crescents of values are equally good.

use super::{Task, cube};
use crate::Simulator;
use bayesburn_core::StreamRng;
use ndarray::arr1;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, PI, TAU};

/// Mean and standard deviation of the radius.
const RADIUS: (f64, f64) = (0.1, 0.01);
/// The middle of the half circle, on the first axis.
const MIDDLE: f64 = 0.25;
const BOUND: f64 = 1.0;
/// Of a million simulated data sets one or so has so little of its posterior in the box that this many do not find it.
const MAX_TRIES: u32 = 1_000_000;

/// Two crescents, with D = F = 2; 0.01² is a variance.
///
/// ```text
/// prior      θ ~ U[−1, 1]²
/// simulator  a ~ U(−π/2, π/2),  r ~ N(0.1, 0.01²),  p = (0.25 + r cos a, r sin a)
///            z = ((θ₁ + θ₂)/√2, (θ₂ − θ₁)/√2)
///            x = (p₁ − |z₁|, p₂ + z₂)
/// likelihood p(x | θ) = N(ρ; 0.1, 0.01²) / (π ρ) for u > 0, and 0 otherwise, where
///            (u, v) = p − (0.25, 0) = (x₁ + |z₁| − 0.25, x₂ − z₂) and ρ² = u² + v²
/// posterior  p as above, given that p₁ ≥ x₁;  z = (±(p₁ − x₁), x₂ − p₂), either sign with probability ½;
///            θ = ((z₁ − z₂)/√2, (z₁ + z₂)/√2), given that it lies in [−1, 1]²
/// ```
///
/// The density of p is that of r and a over the area ρ dρ da of polar coordinates. That the posterior is drawn in this
/// way follows from z ↦ p given x, which shifts and mirrors and so keeps areas, and from the prior, which is the same
/// everywhere.
///
/// Lueckmann et al. (2021), appendix T.8, after Greenberg, Nonnenmacher and Macke, *Automatic Posterior Transformation
/// for Likelihood-Free Inference*, ICML 2019. Two departures from sbibm's code: its likelihood leaves out πρ, which its
/// simulator and its reference posteriors do not; and it maps a p of which p₁ < x₁, which no θ gives, to some θ. That
/// happens to data of x₁ > 0.25 or so alone: simulations where θ₁ + θ₂ is nearly 0.
///
/// ```
/// let task = bayesburn_simulation::tasks::two_moons();
/// // At the middle of the half circle, p = (0.35, 0): the mode of the radius.
/// let expected = -(0.01 * std::f64::consts::TAU.sqrt()).ln() - (0.1 * std::f64::consts::PI).ln();
/// let got = task.log_likelihood(&[0.0, 0.0], &[0.35, 0.0])?;
/// assert!((got - expected).abs() < 1e-5);
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
#[must_use]
pub fn two_moons() -> Task {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        let ([p1, p2], [z1, z2]) = (half_circle(rng), rotate(theta));
        arr1(&[(p1 - z1.abs()) as f32, (p2 + z2) as f32])
    });
    Task::new("two_moons", cube::<2>(BOUND), simulator, log_likelihood, Some(posterior))
}

/// p, a point near the half circle.
fn half_circle(rng: &mut StreamRng) -> [f64; 2] {
    let angle = rng.random_range(-FRAC_PI_2..FRAC_PI_2);
    let radius = RADIUS.0 + RADIUS.1 * rng.sample::<f64, _>(StandardNormal);
    [MIDDLE + radius * angle.cos(), radius * angle.sin()]
}

/// z of θ.
fn rotate(theta: &[f32]) -> [f64; 2] {
    let (theta1, theta2) = (f64::from(theta[0]), f64::from(theta[1]));
    [FRAC_1_SQRT_2 * (theta1 + theta2), FRAC_1_SQRT_2 * (theta2 - theta1)]
}

fn log_likelihood(theta: &[f32], x: &[f32]) -> f64 {
    let [z1, z2] = rotate(theta);
    let (u, v) = (f64::from(x[0]) + z1.abs() - MIDDLE, f64::from(x[1]) - z2);
    // A radius below 0, ten standard deviations off, would end there: 1 simulation in 10²³.
    if u <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let rho = u.hypot(v);
    let of_radius = -0.5 * (((rho - RADIUS.0) / RADIUS.1).powi(2) + TAU.ln()) - RADIUS.1.ln();
    of_radius - (PI * rho).ln()
}

fn posterior(rng: &mut StreamRng, x: &[f32]) -> Option<Vec<f32>> {
    let inside = |theta: &f32| f64::from(theta.abs()) <= BOUND;
    (0..MAX_TRIES).find_map(|_| {
        let [p1, p2] = half_circle(rng);
        let sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
        let (distance, z2) = (p1 - f64::from(x[0]), f64::from(x[1]) - p2);
        let z1 = sign * distance;
        let theta = [(z1 - z2) * FRAC_1_SQRT_2, (z1 + z2) * FRAC_1_SQRT_2].map(|value| value as f32);
        (distance >= 0.0 && theta.iter().all(inside)).then(|| theta.to_vec())
    })
}
