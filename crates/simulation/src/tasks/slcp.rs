//! Infers mean and covariance of four points: a simple likelihood, and a complex posterior of four modes.

use super::{Task, cube};
use crate::Simulator;
use ndarray::Array1;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

/// Points of one simulation.
const POINTS: usize = 4;
/// Added to both variances, so that the covariance is positive definite.
const EPSILON: f64 = 1e-6;

/// Simple likelihood, complex posterior, with D = 5 and F = 8: four points in the plane, one after the other.
///
/// ```text
/// prior      θ ~ U[−3, 3]⁵
/// simulator  x = (y₁, y₂, y₃, y₄),  each y ~ N(m, S),  where
///            m = (θ₁, θ₂),  s₁ = θ₃²,  s₂ = θ₄²,  ρ = tanh θ₅,
///            S = [s₁² + ε, ρ s₁ s₂; ρ s₁ s₂, s₂² + ε],  ε = 10⁻⁶
/// posterior  no closed form to draw from; the same for either sign of θ₃ and of θ₄
/// ```
///
/// Lueckmann et al. (2021), appendix T.3, after Papamakarios, Sterratt and Murray, *Sequential Neural Likelihood*,
/// AISTATS 2019.
///
/// ```
/// let task = bayesburn_simulation::tasks::slcp();
/// let x = task.model().simulate(1, 2023)?.data.iter().copied().collect::<Vec<f32>>();
/// let [one, other] = [1.2, -1.2].map(|theta_3| task.log_likelihood(&[0.7, -2.9, theta_3, 0.9, 0.6], &x));
/// assert_eq!(one?, other?);
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
#[must_use]
pub fn slcp() -> Task {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        let (mean, [l11, l21, l22]) = (mean(theta), factor(theta));
        let mut point = || {
            let [e1, e2]: [f64; 2] = [(); 2].map(|()| rng.sample(StandardNormal));
            [mean[0] + l11 * e1, mean[1] + l21 * e1 + l22 * e2].map(|value| value as f32)
        };
        (0..POINTS).flat_map(|_| point()).collect::<Array1<f32>>()
    });
    Task::new("slcp", cube::<5>(3.0), simulator, log_likelihood, None)
}

fn mean(theta: &[f32]) -> [f64; 2] {
    [theta[0], theta[1]].map(f64::from)
}

/// The Cholesky factor L of S = L Lᵀ: L₁₁, L₂₁ and L₂₂.
fn factor(theta: &[f32]) -> [f64; 3] {
    let [s1, s2] = [theta[2], theta[3]].map(|value| f64::from(value).powi(2));
    let rho = f64::from(theta[4]).tanh();
    let l11 = (s1 * s1 + EPSILON).sqrt();
    let l21 = rho * s1 * s2 / l11;
    [l11, l21, (s2 * s2 + EPSILON - l21 * l21).sqrt()]
}

/// −½ Σ ‖L⁻¹ (y − m)‖² − 4 (ln 2π + ln L₁₁ L₂₂).
fn log_likelihood(theta: &[f32], x: &[f32]) -> f64 {
    let (mean, [l11, l21, l22]) = (mean(theta), factor(theta));
    let square = |point: &[f32]| {
        let e1 = (f64::from(point[0]) - mean[0]) / l11;
        let e2 = (f64::from(point[1]) - mean[1] - l21 * e1) / l22;
        e1 * e1 + e2 * e2
    };
    let squares: f64 = x.chunks_exact(2).map(square).sum();
    -0.5 * squares - POINTS as f64 * (TAU * l11 * l22).ln()
}
