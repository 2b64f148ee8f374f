//! Compares learned posteriors with the exact ones of the normal model with known variance.

use bayesburn::prelude::*;
use ndarray::{ArrayView3, Axis};

/// How far the learned posteriors are from the exact ones.
pub(crate) struct Comparison {
    /// |learned mean − exact mean|, averaged over data sets and parameters.
    pub(crate) mean_abs_error: f64,
    /// Learned sd over exact sd, averaged likewise.
    pub(crate) sd_ratio: f64,
}

/// The smallest possible mean of −log p(μ | x): dim/2 · (ln 2π + 1 − ln(n + 1)).
pub(crate) fn nll(dim: usize, n: usize) -> f64 {
    0.5 * dim as f64 * (std::f64::consts::TAU.ln() + 1.0 - (n as f64 + 1.0).ln())
}

/// The mean of −log p(μ | x) over these simulations, of data `[M, n, D]`: what no network can be expected to beat on
/// them.
pub(crate) fn nll_of(simulations: &Configured) -> f64 {
    let data = simulations.conditions.sets().mapv(f64::from);
    let n = data.dim().1 as f64;
    let error = simulations.parameters.mapv(f64::from) - data.sum_axis(Axis(1)) / (n + 1.0);
    let log_prob = error.mapv(|e| 0.5 * ((n + 1.0).ln() - std::f64::consts::TAU.ln() - e * e * (n + 1.0)));
    -log_prob.sum() / simulations.parameters.nrows() as f64
}

/// Compares draws with N(n·x̄/(n+1), 1/(n+1)) for data `[M, n, D]`.
pub(crate) fn compare(draws: &Draws, data: ArrayView3<'_, f32>) -> Comparison {
    let n = data.dim().1 as f64;
    let exact_mean = data.mapv(f64::from).sum_axis(Axis(1)) / (n + 1.0);
    let exact_sd = (n + 1.0).sqrt().recip();
    let error = (draws.mean() - exact_mean).mapv(f64::abs);
    let ratio = draws.std() / exact_sd;
    Comparison { mean_abs_error: error.mean().unwrap_or(f64::NAN), sd_ratio: ratio.mean().unwrap_or(f64::NAN) }
}
