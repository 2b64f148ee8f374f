//! Tests the benchmark's tasks: simulators against closed forms, likelihoods against simulators, exact posteriors
//! against likelihoods and against the reference posteriors of sbibm.

mod golden;
mod interface;
mod likelihoods;
mod posteriors;
mod simulators;

use bayesburn_simulation::tasks::Task;
use ndarray::{Array2, ArrayView2};
use std::f64::consts::FRAC_1_SQRT_2;

/// Draws of a test of a distribution.
const N: usize = 20_000;

/// N data sets `[N, F]` given these parameters.
fn simulate(task: &Task, parameters: &[f32], seed: u64) -> Array2<f32> {
    let parameters = Array2::from_shape_fn((N, parameters.len()), |(_, d)| parameters[d]);
    let simulations = task.model().simulate_given(&parameters, seed, 0).expect("the model is sound");
    simulations.data.observations().into_dimensionality().expect("a vector for each simulation")
}

/// z of θ, for two moons: along which the crescents lie apart, and along which they extend.
fn rotate(theta: &[f64]) -> [f64; 2] {
    [FRAC_1_SQRT_2 * (theta[0] + theta[1]), FRAC_1_SQRT_2 * (theta[1] - theta[0])]
}

/// What moments are compared of, row by row: θ itself, and where there are several modes, these laid over one another
/// as well.
fn coordinates(task: &Task, draws: ArrayView2<'_, f32>) -> Vec<Vec<f64>> {
    let of_one = |theta: Vec<f64>| match task.name() {
        "two_moons" => {
            let [z1, z2] = rotate(&theta);
            vec![z1.abs(), z2, z1, z1.abs() * z2]
        }
        "slcp" => {
            let (s1, s2) = (theta[2].abs(), theta[3].abs());
            [&theta[..], &[s1, s2]].concat()
        }
        _ => theta,
    };
    draws.outer_iter().map(|theta| of_one(theta.iter().map(|&value| f64::from(value)).collect())).collect()
}

/// The mean, and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares.sqrt() / n)
}

/// Whether draws are distributed as the weights of quadrature points, of which each has a value: the Kolmogorov-Smirnov
/// distance is below the bound of alpha 1e-4, 2.23 / √n. That the points are not dense adds to it less than half of
/// what weight one value has.
fn follows(mut draws: Vec<f64>, mut points: Vec<(f64, f64)>) -> bool {
    let n = draws.len() as f64;
    draws.sort_by(f64::total_cmp);
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = points.iter().map(|(_, weight)| weight).sum();
    let (mut below, mut next, mut distance) = (0.0, 0, 0.0_f64);
    for (rank, &draw) in draws.iter().enumerate() {
        while next < points.len() && points[next].0 <= draw {
            below += points[next].1 / total;
            next += 1;
        }
        distance = distance.max((below - (rank as f64 + 0.5) / n).abs());
    }
    distance < 2.23 / n.sqrt()
}
