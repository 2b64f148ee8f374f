//! Checks that the posterior of every density estimator is normalised, inside the prior, and that of its draws.

use crate::{KS_BOUND, config_of, kolmogorov_smirnov, npe, shifted};
use bayesburn_inference::{NpeTraining, ParameterSpace, Posterior};
use bayesburn_networks::{
    AnyInferenceConfig, AutoregressiveFlowConfig, Covariance, DenseNetConfig, InvertibleNetworkConfig, MixtureConfig,
};
use ndarray::{Array1, Array2, Axis};

/// Every estimator, small.
fn estimators() -> Vec<(&'static str, AnyInferenceConfig)> {
    let net = || DenseNetConfig::new().with_units(8).with_shortcut(true);
    vec![
        ("gaussian, diagonal", MixtureConfig::gaussian().with_covariance(Covariance::Diagonal).with_net(net()).into()),
        ("gaussian, full", MixtureConfig::gaussian().with_net(net()).into()),
        ("mixture", MixtureConfig::new().with_components(3).with_net(net()).into()),
        ("autoregressive", AutoregressiveFlowConfig::new().with_num_layers(2).with_units(8).into()),
        ("affine", InvertibleNetworkConfig::new().with_num_coupling_layers(2).into()),
        ("spline", InvertibleNetworkConfig::neural_spline_flow().with_num_coupling_layers(2).into()),
    ]
}

/// Trained for some epochs. Where the density can leak, at an observation for which 5% or more of it does.
fn posterior(estimator: AnyInferenceConfig, space: ParameterSpace, dim: usize) -> Posterior {
    let x = match space {
        ParameterSpace::Bounded => 3.3,
        // Nearer to the bound the map to the reals is steeper than a grid tells.
        ParameterSpace::Unconstrained => 2.0,
    };
    let training = NpeTraining::new().with_batch_size(50).with_max_epochs(10).with_learning_rate(2e-3);
    let mut npe = npe(shifted(dim, 0.5), config_of(estimator, training).with_space(space), 1);
    npe.simulate(500).expect("it simulates");
    let posterior = npe.train().expect("it trains").with_observation(Array1::from_elem(dim, x));
    posterior.expect("a sound observation")
}

/// The middles of `steps` intervals between −2 and 2, and their width.
fn grid(steps: usize) -> (Vec<f64>, f64) {
    let width = 4.0 / steps as f64;
    ((0..steps).map(|i| -2.0 + width * (i as f64 + 0.5)).collect(), width)
}

/// The probability of each interval of a grid, in one dimension; in two that of each margin's. And of the whole box by
/// the density without correction.
fn margins(posterior: &Posterior, dim: usize, steps: usize) -> (Vec<Vec<f64>>, f64) {
    let (points, width) = grid(steps);
    let all = Array2::from_shape_fn((steps.pow(dim as u32), dim), |(row, d)| {
        points[if d == 0 { row % steps } else { row / steps }] as f32
    });
    let x = posterior.observation().expect("just set").clone();
    let mass = |log_prob: Array1<f32>| log_prob.mapv(|log| f64::from(log).exp() * width.powi(dim as i32));
    let leaky = mass(posterior.uncorrected_log_prob_for(&all, &x).expect("a sound request")).sum();
    let masses = mass(posterior.log_prob(&all).expect("a sound request"));
    let masses = masses.to_shape((masses.len() / steps, steps)).expect("rows of the grid").into_owned();
    let mut margins = vec![masses.sum_axis(Axis(0)).to_vec()];
    if dim == 2 {
        margins.push(masses.sum_axis(Axis(1)).to_vec());
    }
    (margins, leaky)
}

/// The distribution function that intervals between −2 and 2 have by their probabilities.
fn cdf_of(masses: &[f64]) -> impl Fn(f64) -> f64 + use<> {
    let mut sums = vec![0.0];
    sums.extend(masses.iter().scan(0.0, |sum, mass| {
        *sum += mass;
        Some(*sum)
    }));
    move |theta| {
        let position = ((theta + 2.0) / 4.0 * (sums.len() - 1) as f64).clamp(0.0, (sums.len() - 1) as f64);
        let left = (position as usize).min(sums.len() - 2);
        (sums[left] + (position - left as f64) * (sums[left + 1] - sums[left])) / sums[sums.len() - 1]
    }
}

/// Grids of 20,000 points, and of 400² in two dimensions. The share that leaks is of 400,000 draws: a standard error of
/// 0.3% where three quarters leak. Draws are n = 20,000 for each margin: 1.95 / √n, alpha 1e-3; the twin's draws are a
/// twentieth nearer to 0.
fn is_sound(dim: usize, space: ParameterSpace) {
    for (name, estimator) in estimators() {
        let name = format!("{name} in {dim} dimensions, {space:?}");
        let posterior = posterior(estimator, space, dim).with_leakage_draws(400_000);
        let (margins, leaky) = margins(&posterior, dim, [20_000, 400][dim - 1]);
        let draws = posterior.sample(20_000, 5).expect("a sound request").into_values();
        assert!(draws.iter().all(|theta| theta.abs() <= 2.0), "{name}");
        for (d, margin) in margins.iter().enumerate() {
            let sum: f64 = margin.iter().sum();
            assert!((sum - 1.0).abs() < 0.01, "{name}: the integral is {sum}");
            let draws: Vec<f32> = draws.slice(ndarray::s![0, .., d]).to_vec();
            let nearer = draws.iter().map(|draw| 0.95 * draw).collect();
            assert!(kolmogorov_smirnov(draws, cdf_of(margin)) < KS_BOUND, "{name}, parameter {d}");
            assert!(kolmogorov_smirnov(nearer, cdf_of(margin)) > KS_BOUND, "{name}, parameter {d}: the twin");
        }
        match space {
            ParameterSpace::Bounded => assert!(leaky < 0.95, "{name}: the twin, without correction, {leaky}"),
            ParameterSpace::Unconstrained => assert!((leaky - 1.0).abs() < 0.01, "{name}: nothing leaks, {leaky}"),
        }
    }
}

#[test]
fn densities_corrected_for_what_leaks_are_those_of_the_draws_in_one_dimension() {
    is_sound(1, ParameterSpace::Bounded);
}

#[test]
fn densities_corrected_for_what_leaks_are_those_of_the_draws_in_two_dimensions() {
    is_sound(2, ParameterSpace::Bounded);
}

#[test]
fn densities_mapped_to_the_reals_are_those_of_the_draws_in_one_dimension() {
    is_sound(1, ParameterSpace::Unconstrained);
}

#[test]
fn densities_mapped_to_the_reals_are_those_of_the_draws_in_two_dimensions() {
    is_sound(2, ParameterSpace::Unconstrained);
}

#[test]
fn outside_of_the_prior_the_density_is_zero() {
    for space in [ParameterSpace::Bounded, ParameterSpace::Unconstrained] {
        let posterior = posterior(MixtureConfig::gaussian().into(), space, 2);
        let theta = ndarray::array![[1.5, 1.5], [2.0, -2.0], [2.1, 0.0], [0.0, -3.0]];
        let log_prob = posterior.log_prob(&theta).expect("a sound request");
        assert!(log_prob[0].is_finite() && log_prob[1].is_finite(), "{log_prob}");
        assert!(log_prob[2] == f32::NEG_INFINITY && log_prob[3] == f32::NEG_INFINITY, "{log_prob}");
    }
}
