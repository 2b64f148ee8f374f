//! Computes what the networks are to learn: the posterior of the sine model, by Bayes' rule on a grid, and the losses
//! that follow from it.

use std::f64::consts::{PI, TAU};

/// Standard deviation of the noise.
pub(crate) const NOISE: f64 = 0.05;
/// Cells of the grid of θ in [0, 1]: 0.0005 wide, a hundredth of the noise.
const CELLS: usize = 2000;

/// f(θ) = θ + 0.3 sin(2πθ), which x is without its noise.
pub(crate) fn forward(theta: f64) -> f64 {
    theta + 0.3 * (2.0 * PI * theta).sin()
}

/// The middles of cells that share the interval equally: the points of the midpoint rule.
pub(crate) fn midpoints(low: f64, high: f64, cells: usize) -> impl ExactSizeIterator<Item = f64> + Clone {
    (0..cells).map(move |i| low + (high - low) * (i as f64 + 0.5) / cells as f64)
}

/// p(x | θ).
fn likelihood(theta: f64, x: f64) -> f64 {
    let z = (x - forward(theta)) / NOISE;
    (-0.5 * z * z).exp() / (TAU.sqrt() * NOISE)
}

/// p(x) = ∫ p(x | θ) dθ over the prior, whose density is 1 on [0, 1].
fn evidence(x: f64) -> f64 {
    midpoints(0.0, 1.0, CELLS).map(|theta| likelihood(theta, x)).sum::<f64>() / CELLS as f64
}

/// p(θ | x) at each θ in [0, 1].
pub(crate) fn posterior(thetas: &[f64], x: f64) -> Vec<f64> {
    let evidence = evidence(x);
    thetas.iter().map(|&theta| likelihood(theta, x) / evidence).collect()
}

/// The smallest mean of −ln q(θ | x) that can be expected of any density q, and of a normal one.
pub(crate) struct Best {
    /// Of q = p, the posterior.
    pub(crate) any: f64,
    /// Of the normal distributions that have the mean and standard deviation of each posterior.
    pub(crate) normal: f64,
}

/// That of the model: ∫∫ −ln q(θ | x) p(θ, x) dθ dx, which for q = p is the conditional entropy H(θ | x).
///
/// By the midpoint rule, with x as far as 8 standard deviations of the noise beyond [0, 1], where f begins and ends.
pub(crate) fn best() -> Best {
    let thetas: Vec<f64> = midpoints(0.0, 1.0, CELLS).collect();
    let (low, high) = (-8.0 * NOISE, 1.0 + 8.0 * NOISE);
    let mut best = Best { any: 0.0, normal: 0.0 };
    for x in midpoints(low, high, CELLS) {
        let (weight, density) = (evidence(x) * (high - low) / CELLS as f64, posterior(&thetas, x));
        let inside = density.iter().filter(|p| **p > 0.0);
        best.any -= weight * inside.map(|p| p * p.ln()).sum::<f64>() / CELLS as f64;
        // −ln N(θ; μ, σ) = ln(√(2π) σ) + (θ − μ)² / 2σ², and the mean of the square is σ².
        best.normal += weight * (0.5 * TAU.ln() + moments(&thetas, &density).1.ln() + 0.5);
    }
    best
}

/// That on these pairs, which differs from [`best`] by chance.
pub(crate) fn best_on(pairs: &[(f64, f64)]) -> Best {
    let thetas: Vec<f64> = midpoints(0.0, 1.0, CELLS / 4).collect();
    let mut best = Best { any: 0.0, normal: 0.0 };
    for &(theta, x) in pairs {
        let (mean, std) = moments(&thetas, &posterior(&thetas, x));
        best.any -= (likelihood(theta, x) / evidence(x)).ln() / pairs.len() as f64;
        best.normal += (0.5 * TAU.ln() + std.ln() + 0.5 * ((theta - mean) / std).powi(2)) / pairs.len() as f64;
    }
    best
}

/// Mean and standard deviation of a density on a grid.
pub(crate) fn moments(thetas: &[f64], density: &[f64]) -> (f64, f64) {
    let mass: f64 = density.iter().sum();
    let mean = thetas.iter().zip(density).map(|(theta, p)| theta * p).sum::<f64>() / mass;
    let variance = thetas.iter().zip(density).map(|(theta, p)| (theta - mean).powi(2) * p).sum::<f64>() / mass;
    (mean, variance.sqrt())
}

/// Where a density on a grid has its modes: local maxima of at least a twentieth of the highest.
pub(crate) fn modes(thetas: &[f64], density: &[f64]) -> Vec<f64> {
    let least = 0.05 * density.iter().copied().fold(0.0, f64::max);
    let peaks = density.windows(3).zip(&thetas[1..]).filter(|(p, _)| p[0] < p[1] && p[1] >= p[2] && p[1] >= least);
    peaks.map(|(_, theta)| *theta).collect()
}
