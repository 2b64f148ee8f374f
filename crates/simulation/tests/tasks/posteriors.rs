//! Checks exact posteriors against the reference posteriors of sbibm, and against prior times likelihood by quadrature.

use crate::{
    N, coordinates, follows,
    golden::{self, Reference},
    mean_and_error, rotate, simulate,
};
use bayesburn_simulation::tasks::{self, Task};
use ndarray::{Array2, arr1};
use std::f64::consts::FRAC_1_SQRT_2;

fn references() -> [(Task, [Reference; 5]); 3] {
    [
        (tasks::gaussian_linear(), golden::GAUSSIAN_LINEAR),
        (tasks::gaussian_linear_uniform(), golden::GAUSSIAN_LINEAR_UNIFORM),
        (tasks::two_moons(), golden::TWO_MOONS),
    ]
}

fn draws(task: &Task, x: &[f32], num_draws: usize, seed: u64) -> Array2<f32> {
    task.exact_posterior(x, num_draws, seed).expect("it has a posterior").data_set(0).to_owned()
}

/// Whether 10,000 draws, stretched about the mean of each coordinate, have the moments of as many reference draws. The
/// bound is 4.5 standard errors of the difference, alpha 7e-6 for each of at most 20, 0.2% for all 15 observations.
fn has_moments(rows: &[Vec<f64>], reference: &Reference, stretch: impl Fn(f64) -> f64) -> bool {
    let near = |values: Vec<f64>, expected: f64| {
        let (mean, error) = mean_and_error(&values);
        (mean - expected).abs() < 4.5 * 2_f64.sqrt() * error
    };
    reference.means.iter().zip(reference.stds).enumerate().all(|(c, (&mean, &std))| {
        let deviations: Vec<f64> = rows.iter().map(|row| stretch(std) * (row[c] - mean)).collect();
        let squares = deviations.iter().map(|deviation| deviation * deviation).collect();
        near(deviations, 0.0) && near(squares, std * std)
    })
}

/// The twins have variances for standard deviations, standard deviations that are off by 6%, or are given the next
/// observation.
#[test]
fn exact_posteriors_have_the_moments_of_the_references() {
    for (task, references) in references() {
        for (k, reference) in references.iter().enumerate() {
            let rows = coordinates(&task, draws(&task, reference.observation, 10_000, k as u64).view());
            let case = format!("{}, observation {}", task.name(), k + 1);
            assert!(has_moments(&rows, reference, |_| 1.0), "{case}");
            assert!(!has_moments(&rows, reference, |std| std), "{case}, variance for standard deviation");
            assert!(!has_moments(&rows, reference, |_| 1.06), "{case}, 6% wider");
            assert!(!has_moments(&rows, &references[(k + 1) % 5], |_| 1.0), "{case}, another observation");
        }
    }
}

/// Points of one axis through 0.4 x, weighted by prior times likelihood; the posterior has independent parameters, so
/// that this is one of them.
fn along_axis(task: &Task, x: &[f32], axis: usize) -> Vec<(f64, f64)> {
    let density = task.model().prior().density().expect("it has one");
    let mut theta: Vec<f32> = x.iter().map(|x| 0.4 * x).collect();
    let step = 1e-3;
    let mut log_posterior = |value: f64| {
        theta[axis] = value as f32;
        density.log_prob(&theta) + task.log_likelihood(&theta, x).expect("lengths fit")
    };
    let points: Vec<(f64, f64)> =
        (-2500..2500).map(|k| step * (f64::from(k) + 0.5)).map(|value| (value, log_posterior(value))).collect();
    let largest = points.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    points.into_iter().map(|(value, log)| (value, (log - largest).exp())).collect()
}

/// n = 20,000, and the bound of [`follows`] for each of 10 parameters, one observation far outside the prior's bounds
/// among them. The twin's observation is off by 0.1.
#[test]
fn gaussian_posteriors_are_prior_times_likelihood() {
    for task in [tasks::gaussian_linear(), tasks::gaussian_linear_uniform()] {
        let x = [0.0_f32, 0.3, -0.9, 1.2, -1.0, 2.4, -1.8, 0.05, -0.5, 0.7];
        let of = |x: &[f32]| draws(&task, x, N, 21).mapv(f64::from);
        let (exact, off) = (of(&x), of(&x.map(|x| x - 0.1)));
        for axis in 0..10 {
            let fits = |draws: &Array2<f64>| follows(draws.column(axis).to_vec(), along_axis(&task, &x, axis));
            assert!(fits(&exact), "{}, parameter {axis}", task.name());
            assert!(!fits(&off), "{}, parameter {axis}", task.name());
        }
    }
}

/// The largest of 45 correlations of n = 20,000 draws is below 4.5 / √n (alpha 7e-6 each), where a tenth of the first
/// parameter is added to the others in the twin.
#[test]
fn gaussian_posteriors_have_independent_parameters() {
    for task in [tasks::gaussian_linear(), tasks::gaussian_linear_uniform()] {
        let largest = |leak: f64| {
            let mut draws = draws(&task, &[0.4; 10], N, 22).mapv(f64::from);
            let first = draws.column(0).to_owned();
            for mut column in draws.columns_mut() {
                column.scaled_add(leak, &first);
                let (mean, error) = mean_and_error(&column.to_vec());
                column.mapv_inplace(|value| (value - mean) / (error * (N as f64).sqrt()));
            }
            let pairs = (0..10).flat_map(|i| (0..i).map(move |j| (i, j)));
            pairs.map(|(i, j)| (draws.column(i).dot(&draws.column(j)) / N as f64).abs()).fold(0.0, f64::max)
        };
        let bound = 4.5 / (N as f64).sqrt();
        assert!(largest(0.0) < bound && largest(0.1) > bound, "{}", task.name());
    }
}

/// Points of both crescents, weighted by prior times likelihood; 6 standard deviations of the radius.
fn on_crescents(task: &Task, x: [f32; 2]) -> Vec<([f64; 2], f64)> {
    let density = task.model().prior().density().expect("it has one");
    let step = 5e-4;
    let mut points = Vec::new();
    for i in 0..320 {
        let distance = 0.25 - f64::from(x[0]) + step * (f64::from(i) + 0.5);
        if distance < 0.0 {
            continue;
        }
        for (sign, j) in [1.0, -1.0].into_iter().flat_map(|sign| (-320..320).map(move |j| (sign, j))) {
            let (z1, z2) = (sign * distance, f64::from(x[1]) - step * (f64::from(j) + 0.5));
            let theta = [FRAC_1_SQRT_2 * (z1 - z2), FRAC_1_SQRT_2 * (z1 + z2)];
            let of_task = theta.map(|value| value as f32);
            let log = density.log_prob(&of_task) + task.log_likelihood(&of_task, &x).expect("lengths fit");
            points.push((theta, log.exp()));
        }
    }
    points
}

/// Whether draws follow the points in θ₁, θ₂, z₁ and z₂; n = 20,000, and the bound of [`follows`] for each.
fn follow_crescents(draws: &Array2<f32>, points: &[([f64; 2], f64)]) -> bool {
    let values = |theta: &[f64; 2]| {
        let [z1, z2] = rotate(theta);
        [theta[0], theta[1], z1, z2]
    };
    (0..4).all(|c| {
        let of_draws = draws.outer_iter().map(|theta| values(&[theta[0], theta[1]].map(f64::from))[c]);
        follows(of_draws.collect(), points.iter().map(|(theta, weight)| (values(theta)[c], *weight)).collect())
    })
}

/// Beside the benchmark's observations, of which the fifth has crescents that the box cuts, one that cuts them more,
/// and one near where they touch: there p₁ may be less than x₁. The twin, which takes such p for others, is what
/// sbibm's own sampler does.
#[test]
fn crescents_are_prior_times_likelihood() {
    let task = tasks::two_moons();
    let more = [[-1.0_f32, 0.1], [0.3, 0.02]];
    let observations = golden::TWO_MOONS.map(|reference| [reference.observation[0], reference.observation[1]]);
    for (k, x) in observations.into_iter().chain(more).enumerate() {
        let exact = draws(&task, &x, N, 23 + k as u64);
        assert!(follow_crescents(&exact, &on_crescents(&task, x)), "{x:?}");
    }
    // Given θ = 0 the data are p itself.
    let x = more[1];
    let mut twin = simulate(&task, &[0.0, 0.0], 30);
    for (i, mut row) in twin.outer_iter_mut().enumerate() {
        let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
        let (z1, z2) = (sign * (row[0] - x[0]), x[1] - row[1]);
        row.assign(&(arr1(&[z1 - z2, z1 + z2]) * FRAC_1_SQRT_2 as f32));
    }
    assert!(!follow_crescents(&twin, &on_crescents(&task, x)));
}
