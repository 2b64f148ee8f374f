//! Checks what is simulated for given parameters: moments against closed forms, distributions against likelihoods.

use crate::{N, follows, mean_and_error, simulate};
use bayesburn_simulation::tasks::{self, Task};
use ndarray::Array2;
use std::f64::consts::PI;

/// Whether the data have this mean and covariance. n = 20,000; each bound is 4.5 standard errors (alpha 7e-6 for each
/// of at most 65), and the error of a covariance is estimated from the data.
fn has_moments(data: &Array2<f32>, mean: &[f64], covariance: impl Fn(usize, usize) -> f64) -> bool {
    let data = data.mapv(f64::from);
    let near = |values: Vec<f64>, expected: f64| {
        let (mean, error) = mean_and_error(&values);
        (mean - expected).abs() < 4.5 * error
    };
    let product = |i: usize, j: usize| data.outer_iter().map(|x| (x[i] - mean[i]) * (x[j] - mean[j])).collect();
    (0..mean.len())
        .all(|i| near(data.column(i).to_vec(), mean[i]) && (0..=i).all(|j| near(product(i, j), covariance(i, j))))
}

/// The twin takes 0.1 for a standard deviation, or 5% more for the variance.
#[test]
fn gaussian_data_have_the_parameters_as_mean_and_variance_0_1() {
    for task in [tasks::gaussian_linear(), tasks::gaussian_linear_uniform()] {
        let theta: [f32; 10] = std::array::from_fn(|d| 0.2 * d as f32 - 0.9);
        let data = simulate(&task, &theta, 11);
        let fits =
            |variance: f64| has_moments(&data, &theta.map(f64::from), |i, j| if i == j { variance } else { 0.0 });
        assert!(fits(0.1) && !fits(0.01) && !fits(0.105), "{}", task.name());
    }
}

/// x = p + (−|z₁|, z₂), and cos a has mean 2/π, cos² a and sin² a have 1/2, r² has 0.1² + 0.01². The twins rotate the
/// other way, and take 0.01 for the variance of the radius.
#[test]
fn crescents_have_the_moments_of_the_half_circle() {
    let task = tasks::two_moons();
    for [theta1, theta2] in [[0.3_f32, 0.5], [-0.8, 0.1], [0.0, 0.0]] {
        let data = simulate(&task, &[theta1, theta2], 12);
        let fits = |turn: f64, variance: f64| {
            let z = [theta1 + theta2, theta2 - theta1].map(|sum| f64::from(sum) / 2_f64.sqrt());
            let mean = [0.25 + 0.1 * 2.0 / PI - z[0].abs(), turn * z[1]];
            let square = 0.5 * (0.01 + variance);
            let of_cosine = square - (0.1 * 2.0 / PI).powi(2);
            has_moments(&data, &mean, |i, j| [[of_cosine, 0.0], [0.0, square]][i][j])
        };
        assert!(fits(1.0, 1e-4) && !fits(1.0, 1e-2));
        assert_eq!(fits(-1.0, 1e-4), theta1 == theta2);
    }
}

/// The twins take θ₃ and θ₄ for the standard deviations, and θ₅ for the correlation.
#[test]
fn points_have_the_covariance_of_the_parameters() {
    let theta = [0.7_f32, -2.9, -1.3, 0.8, 0.6];
    let data = simulate(&tasks::slcp(), &theta, 13);
    let [m1, m2, t3, t4, t5] = theta.map(f64::from);
    let fits = |s1: f64, s2: f64, rho: f64| {
        let of_one = [[s1 * s1, rho * s1 * s2], [rho * s1 * s2, s2 * s2]];
        has_moments(&data, &[m1, m2].repeat(4), |i, j| if i / 2 == j / 2 { of_one[i % 2][j % 2] } else { 0.0 })
    };
    assert!(fits(t3 * t3, t4 * t4, t5.tanh()));
    assert!(!fits(t3, t4, t5.tanh()) && !fits(t3 * t3, t4 * t4, t5));
}

/// Whether −2 ln of the likelihood ratio to the mode of x has a χ² distribution of F degrees of freedom, as it has for
/// normal data, where noise is stretched by a factor; n = 20,000, and the bound of [`follows`].
fn ratios_are_chi_square(task: &Task, theta: &[f32], mode: &[f32], stretch: f64) -> bool {
    let log_likelihood = |x: &[f32]| task.log_likelihood(theta, x).expect("lengths fit");
    let data = simulate(task, theta, 14);
    let at_mode = log_likelihood(mode);
    let ratios = data.outer_iter().map(|x| stretch * stretch * 2.0 * (at_mode - log_likelihood(&x.to_vec())));
    let power = 0.5 * mode.len() as f64 - 1.0;
    let density = |t: f64| t.powf(power) * (-0.5 * t).exp();
    let points = (0..10_000).map(|k| 0.01 * (f64::from(k) + 0.5)).map(|t| (t, density(t))).collect();
    follows(ratios.collect(), points)
}

/// The twins stretch the noise by 3%.
#[test]
fn likelihoods_of_normal_data_are_those_of_the_simulators() {
    let theta: [f32; 10] = std::array::from_fn(|d| 0.2 * d as f32 - 0.9);
    let points = [0.7_f32, -2.9, -1.3, 0.8, 0.6];
    let cases = [
        (tasks::gaussian_linear(), &theta[..], theta.to_vec()),
        (tasks::gaussian_linear_uniform(), &theta[..], theta.to_vec()),
        (tasks::slcp(), &points[..], points[..2].repeat(4)),
    ];
    for (task, theta, mode) in cases {
        assert!(ratios_are_chi_square(&task, theta, &mode, 1.0), "{}", task.name());
        assert!(!ratios_are_chi_square(&task, theta, &mode, 1.03), "{}", task.name());
    }
}

/// Both axes and two diagonals of simulated data against the likelihood's marginals by quadrature; n = 20,000, and the
/// bound of [`follows`]. The twin's data are shifted by half a standard deviation of the radius.
#[test]
fn the_likelihood_of_crescents_is_that_of_the_simulator() {
    let (task, theta) = (tasks::two_moons(), [0.3_f32, 0.5]);
    let z1 = f64::from(theta[0] + theta[1]) / 2_f64.sqrt();
    let z2 = f64::from(theta[1] - theta[0]) / 2_f64.sqrt();
    let step = 5e-4;
    let mut points = Vec::new();
    for i in 0..340 {
        for j in -340..340 {
            let x = [0.25 - z1 + step * (f64::from(i) + 0.5), z2 + step * (f64::from(j) + 0.5)];
            let log_likelihood = task.log_likelihood(&theta, &x.map(|x| x as f32)).expect("lengths fit");
            points.push((x, step * step * log_likelihood.exp()));
        }
    }
    let total: f64 = points.iter().map(|(_, weight)| weight).sum();
    assert!((total - 1.0).abs() < 1e-4, "it integrates to {total}");

    let data = simulate(&task, &theta, 15);
    for [a, b] in [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]] {
        let fits = |shift: f64| {
            let draws = data.outer_iter().map(|x| a * (f64::from(x[0]) + shift) + b * (f64::from(x[1]) + shift));
            follows(draws.collect(), points.iter().map(|(x, weight)| (a * x[0] + b * x[1], *weight)).collect())
        };
        assert!(fits(0.0), "along {a}, {b}");
        // What moves both axes alike does not show in their difference.
        assert_eq!(fits(0.005), b < 0.0, "along {a}, {b}");
    }
    assert_eq!(data.nrows(), N);
}
