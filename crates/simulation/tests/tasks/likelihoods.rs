//! Checks likelihoods against values worked out elsewhere, symmetries, and what they should integrate to.

use crate::{coordinates, golden};
use bayesburn_simulation::tasks;
use ndarray::Array2;
use std::f64::consts::{PI, TAU};

#[test]
fn gaussian_likelihoods_are_those_of_the_formula() {
    for task in [tasks::gaussian_linear(), tasks::gaussian_linear_uniform()] {
        let at = |x: f32| task.log_likelihood(&[0.25; 10], &[x; 10]).expect("lengths fit");
        let at_mean = -5.0 * (TAU * 0.1).ln();
        assert!((at(0.25) - at_mean).abs() < 1e-12);
        // (x − θ)² is 1/4 in each of ten dimensions, over 0.1 and halved.
        assert!((at(0.75) - at_mean + 12.5).abs() < 1e-12);
    }
}

#[test]
fn the_likelihood_of_crescents_is_that_of_polar_coordinates() {
    let task = tasks::two_moons();
    let at = |x: [f32; 2]| task.log_likelihood(&[0.0, 0.0], &x).expect("lengths fit");
    // u = 0.066, v = ±0.088: a radius of 0.11, one standard deviation more than its mean.
    let expected = -0.5 - (0.01 * TAU.sqrt()).ln() - (PI * 0.11).ln();
    for v in [0.088, -0.088] {
        assert!((at([0.316, v]) - expected).abs() < 1e-4, "{}", at([0.316, v]));
    }
    assert_eq!(at([0.184, 0.088]), f64::NEG_INFINITY); // u = −0.066
    // θ and its mirror image at θ₁ = −θ₂ give the same data.
    let of = |theta: [f32; 2]| task.log_likelihood(&theta, &[-0.22, -0.57]).expect("lengths fit");
    assert!((of([0.7, 0.1]) - of([-0.1, -0.7])).abs() < 1e-6 && of([0.7, 0.1]) > of([0.1, 0.7]));
}

/// By `scipy.stats.multivariate_normal` (SciPy 1.17.1, f64), at the parameters that observations 1 to 5 of sbibm were
/// simulated with.
#[test]
fn the_likelihood_of_points_is_that_of_scipy() {
    let expected = [
        ([-2.8581212, -0.44451332, 2.9473476, 1.2396116, 2.9712725], -10.853893186536881),
        ([-0.8669908, -2.6278377, 2.8607178, -1.8587376, -2.7437975], -15.97727152356314),
        ([2.1904812, -0.9653516, 2.2308893, -2.95686, 1.7665963], -21.5830316137912),
        ([-2.407025, 0.034922123, 1.4813509, 0.36865616, -2.4579406], 0.052966552618388896),
        ([2.6843572, 2.1535459, -2.8867972, 2.1739058, -2.0535889], -22.191495512596102),
    ];
    for (reference, (theta, expected)) in golden::SLCP.iter().zip(expected) {
        let got = tasks::slcp().log_likelihood(&theta, reference.observation).expect("lengths fit");
        assert!((got - expected).abs() < 1e-9, "{got} and not {expected}");
    }
}

#[test]
fn four_modes_of_points_are_the_same() {
    let task = tasks::slcp();
    for reference in &golden::SLCP {
        let at = |s1: f32, s2: f32| {
            task.log_likelihood(&[0.7, -1.9, s1, s2, 0.6], reference.observation).expect("lengths fit")
        };
        let modes = [at(1.3, 0.8), at(-1.3, 0.8), at(1.3, -0.8), at(-1.3, -0.8)];
        assert!(modes.iter().all(|&mode| mode == modes[0]), "{modes:?}");
        assert_ne!(at(0.8, 1.3), modes[0]);
    }
}

/// Four points are independent: at x = (c, c, c, c) each has a quarter of ln p, so that over any one of them p / p(c)³
/// integrates to 1.
#[test]
fn the_likelihood_of_points_integrates_to_one() {
    let (task, theta) = (tasks::slcp(), [0.7_f32, -2.9, -1.3, 0.8, 0.6]);
    let log_likelihood = |x: &[f32]| task.log_likelihood(&theta, x).expect("lengths fit");
    let centre = [0.5_f32, -2.5].repeat(4);
    let others = 0.75 * log_likelihood(&centre);
    let step = 0.05;
    for point in 0..4 {
        let mut x = centre.clone();
        let mut total = 0.0;
        for i in -280..280 {
            for j in -110..110 {
                x[2 * point] = theta[0] + step * i as f32;
                x[2 * point + 1] = theta[1] + step * j as f32;
                total += f64::from(step * step) * (log_likelihood(&x) - others).exp();
            }
        }
        assert!((total - 1.0).abs() < 1e-5, "point {point}: {total}");
    }
}

/// Draws from the prior, weighted by the likelihood, have the moments of the reference posteriors: those of
/// observations 3 and 5, which are wide enough that some 4,000 of 1,000,000 draws count. Means and standard deviations,
/// 14 each, within 4.5 standard errors (alpha 7e-6 each) of the weighted draws and of the reference's 10,000. The twin
/// takes |θ₃| and |θ₄| for the standard deviations.
#[test]
fn the_likelihood_of_points_makes_the_reference_posterior() {
    let task = tasks::slcp();
    let draws: Array2<f32> = task.model().prior().sample(1_000_000, 17).expect("the prior is sound");
    let rows = coordinates(&task, draws.view());
    let fits = |reference: &golden::Reference, change: fn(f32) -> f32| {
        let log_likelihood = |theta: &[f32]| {
            let theta = [theta[0], theta[1], change(theta[2]), change(theta[3]), theta[4]];
            task.log_likelihood(&theta, reference.observation).expect("lengths fit")
        };
        let logs: Vec<f64> =
            draws.outer_iter().map(|theta| log_likelihood(theta.as_slice().expect("rows are contiguous"))).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logs.iter().map(|log| (log - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let near = |of_row: &dyn Fn(&[f64]) -> f64, expected: f64| {
            let pairs = || weights.iter().zip(&rows).map(|(weight, row)| (weight / total, of_row(row)));
            let mean: f64 = pairs().map(|(weight, value)| weight * value).sum();
            let of_draws: f64 = pairs().map(|(weight, value)| (weight * (value - mean)).powi(2)).sum();
            let of_reference: f64 = pairs().map(|(weight, value)| weight * (value - mean).powi(2)).sum::<f64>() / 1e4;
            (mean - expected).abs() < 4.5 * (of_draws + of_reference).sqrt()
        };
        reference
            .means
            .iter()
            .zip(reference.stds)
            .enumerate()
            .all(|(c, (&mean, &std))| near(&|row| row[c], mean) && near(&|row| (row[c] - mean).powi(2), std * std))
    };
    for k in [2, 4] {
        assert!(fits(&golden::SLCP[k], |s| s), "observation {}", k + 1);
        assert!(!fits(&golden::SLCP[k], |s| s.abs().sqrt()), "observation {}", k + 1);
    }
}
