//! Checks that densities are normalised, in the parameters' own units, and those of the draws.

use crate::{
    KS_BOUND, cdf_of, config, config_of, data_sets, designs, kolmogorov_smirnov, mean_config, perturbed, pilot,
    untrained,
};
use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig, Standardization};
use bayesburn_networks::CouplingDesign;
use ndarray::{Array1, Array2, Axis};
use std::f64::consts::TAU;

/// An even grid that reaches as far beyond 4,096 draws as they reach.
fn grid(posterior: &AmortizedPosterior, data: &Conditions, dim: usize, points: usize) -> (f64, f64) {
    let draws = posterior.sample(data, 4096, 3).expect("the request is sound").into_values();
    let draws = draws.index_axis(Axis(2), dim).mapv(f64::from);
    let (low, high) = (draws.fold(f64::MAX, |m, &v| m.min(v)), draws.fold(f64::MIN, |m, &v| m.max(v)));
    let (start, end) = (2.0 * low - high, 2.0 * high - low);
    (start, (end - start) / (points - 1) as f64)
}

/// Densities on the grid, as they are and with the log-determinant left out: N(z; 0, I) alone.
fn densities(posterior: &AmortizedPosterior, data: &Conditions, theta: Array2<f32>) -> [Vec<f64>; 2] {
    let configured = Configured { parameters: theta, conditions: data.clone(), weights: None, proposals: None };
    let (z, log_prob) = posterior.latent(&configured).expect("the request is sound");
    let normal = |z: ndarray::ArrayView1<'_, f32>| {
        z.iter().map(|&z| (-0.5 * f64::from(z).powi(2)).exp() / TAU.sqrt()).product::<f64>()
    };
    [log_prob.iter().map(|&l| f64::from(l).exp()).collect(), z.outer_iter().map(normal).collect()]
}

fn grid_1d(posterior: &AmortizedPosterior, data: &Conditions) -> (f64, f64, [Vec<f64>; 2]) {
    let points = 20_001;
    let (start, step) = grid(posterior, data, 0, points);
    let theta = Array2::from_shape_fn((points, 1), |(i, _)| (start + step * i as f64) as f32);
    (start, step, densities(posterior, data, theta))
}

/// All designs, with and without standardisation of parameters that have standard deviation 10.
fn all_posteriors(dim: usize) -> Vec<AmortizedPosterior> {
    let of = |design: CouplingDesign, standardization| {
        perturbed(config_of(design).with_standardization(standardization), &pilot(dim), 4)
    };
    let standardized = designs().map(|design| of(design, Standardization::All));
    let parameters = designs().map(|design| of(design, Standardization::Parameters));
    let raw = designs().map(|design| of(design, Standardization::None));
    standardized.into_iter().chain(parameters).chain(raw).collect()
}

/// The trapezoid rule on 20,001 points is exact to 1e-4 here. Without the log-determinant the integral is off by the
/// scale.
#[test]
fn one_dimensional_densities_integrate_to_one() {
    for posterior in all_posteriors(1) {
        let (_, step, [density, without_log_det]) = grid_1d(&posterior, &data_sets(1, 5, 3));
        let integral = step * density.iter().sum::<f64>();
        assert!((integral - 1.0).abs() < 1e-3, "{:?}: {integral}", posterior.config());
        let planted = step * without_log_det.iter().sum::<f64>();
        assert!((planted - 1.0).abs() > 0.1, "{:?}: {planted}", posterior.config());
    }
}

#[test]
fn two_dimensional_densities_integrate_to_one() {
    let points = 400;
    for posterior in all_posteriors(2) {
        let data = data_sets(1, 5, 3);
        let axes = [0, 1].map(|dim| grid(&posterior, &data, dim, points));
        let theta = Array2::from_shape_fn((points * points, 2), |(row, dim)| {
            let (start, step) = axes[dim];
            (start + step * [row / points, row % points][dim] as f64) as f32
        });
        let cell = axes[0].1 * axes[1].1;
        let [integral, planted] = densities(&posterior, &data, theta).map(|d| cell * d.iter().sum::<f64>());
        assert!((integral - 1.0).abs() < 5e-3, "{:?}: {integral}", posterior.config());
        assert!((planted - 1.0).abs() > 0.1, "{:?}: {planted}", posterior.config());
    }
}

/// n = 20,000 draws against the distribution function of exp(log_prob) on a grid; bound 1.95/√n (alpha 1e-3). The twins
/// are draws for another data set, and draws that are shifted by 0.3 in 10.
#[test]
fn draws_follow_the_density() {
    for posterior in designs().map(|design| perturbed(config_of(design), &pilot(1), 4)) {
        let data = data_sets(1, 5, 3);
        let (start, step, [density, _]) = grid_1d(&posterior, &data);
        let cdf = cdf_of(start, step, &density);
        let draws = |data: &Conditions| -> Vec<f32> {
            posterior.sample(data, 20_000, 11).expect("the request is sound").into_values().into_iter().collect()
        };
        let distance = kolmogorov_smirnov(draws(&data), &cdf);
        assert!(distance < KS_BOUND, "{distance}");
        assert!(kolmogorov_smirnov(draws(&data_sets(1, 5, 4)), &cdf) > KS_BOUND);
        let shifted = draws(&data).into_iter().map(|v| v + 0.3).collect();
        assert!(kolmogorov_smirnov(shifted, &cdf) > KS_BOUND);
    }
}

/// n = 3,000 data sets with one draw each, 6,000 latents; bound 1.95/√n (alpha 1e-3). The twin gives each data set the
/// draw of the next.
#[test]
fn latents_of_own_draws_are_standard_normal() {
    let step = 1e-3;
    let density: Vec<f64> = (0..12_001).map(|i| (-0.5 * (i as f64 * step - 6.0).powi(2)).exp() / TAU.sqrt()).collect();
    let normal = cdf_of(-6.0, step, &density);
    for design in designs() {
        let posterior = perturbed(config_of(design), &pilot(2), 4);
        let conditions = data_sets(3000, 5, 3);
        let draws = posterior.sample(&conditions, 1, 11).expect("the request is sound").into_values();
        let parameters = draws.index_axis_move(Axis(1), 0);
        let distance = |parameters: Array2<f32>| {
            let configured = Configured::new(parameters, conditions.clone()).expect("one draw for each data set");
            let (z, _) = posterior.latent(&configured).expect("the request is sound");
            kolmogorov_smirnov(z.into_iter().collect(), &normal)
        };
        let own = distance(parameters.clone());
        assert!(own < KS_BOUND, "{own}");
        let next = Array2::from_shape_fn((3000, 2), |(m, d)| parameters[[(m + 1) % 3000, d]]);
        assert!(distance(next) > KS_BOUND);
    }
}

/// One data set for many parameter vectors is the same as that data set repeated, and as one call for each row.
#[test]
fn one_data_set_serves_all_rows() {
    for design in designs() {
        let posterior = perturbed(config_of(design), &pilot(2), 4);
        let (data, theta) = (data_sets(1, 5, 3), pilot(2).parameters);
        let log_prob =
            |theta: &Array2<f32>, data: &Conditions| posterior.log_prob(theta, data).expect("the request is sound");
        let broadcast = log_prob(&theta, &data);
        let (_, n, f) = data.sets().dim();
        let repeated = data.sets().broadcast((64, n, f)).expect("one data set").to_owned();
        assert_eq!(log_prob(&theta, &Conditions::new(repeated)), broadcast);
        let one = |row: usize| log_prob(&theta.select(Axis(0), &[row]), &data)[0];
        assert_eq!((0..64).map(one).collect::<Array1<_>>(), broadcast);
        assert!(broadcast.iter().any(|&l| l != broadcast[0]));
    }
}

/// More rows than a chunk of 2,048.
#[test]
fn rows_of_all_chunks_keep_their_places() {
    let posterior = perturbed(config(), &pilot(2), 4);
    let conditions = data_sets(5000, 5, 3);
    let theta = posterior.sample(&conditions, 1, 1).expect("sound").into_values().index_axis_move(Axis(1), 0);
    let all = posterior.log_prob(&theta, &conditions).expect("the request is sound");
    for row in [0, 2047, 2048, 4999] {
        let data = conditions.sets().select(Axis(0), &[row]);
        let alone = posterior.log_prob(&theta.select(Axis(0), &[row]), &Conditions::new(data)).expect("sound");
        assert_eq!(alone[0], all[row], "row {row}");
    }
}

/// An untrained posterior is the pilot's normal distribution in every dimension: log q(θ) in closed form.
#[test]
fn an_untrained_posterior_is_the_pilots_normal() {
    for standardization in [Standardization::All, Standardization::Parameters] {
        let posterior = untrained(config().with_standardization(standardization), &pilot(2), 1);
        assert_closed_form(&posterior);
    }
    let config: PosteriorConfig<_> = mean_config();
    let posterior = untrained(config, &pilot(2), 1);
    assert_closed_form(&posterior);
}

fn assert_closed_form<C: bayesburn_networks::SummaryConfig>(posterior: &AmortizedPosterior<C>) {
    let pilot = pilot(2);
    let log_prob = posterior.log_prob(&pilot.parameters, &pilot.conditions).expect("the request is sound");
    let theta = pilot.parameters.mapv(f64::from);
    let means = theta.mean_axis(Axis(0)).expect("64 rows");
    let stds = theta.std_axis(Axis(0), 1.0);
    for (row, &got) in theta.outer_iter().zip(&log_prob) {
        let terms = row
            .iter()
            .zip(&means)
            .zip(&stds)
            .map(|((&x, mean), std)| -0.5 * ((x - mean) / std).powi(2) - std.ln() - 0.5 * TAU.ln());
        let expected: f64 = terms.sum();
        assert!((f64::from(got) - expected).abs() < 1e-4, "{got} against {expected}");
    }
}
