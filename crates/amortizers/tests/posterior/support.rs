//! Checks posteriors of parameters within bounds, and every density estimator behind a posterior: normalised, inside,
//! and consistent.

use crate::{KS_BOUND, cdf_of, data_sets, kolmogorov_smirnov, perturbed, perturbed_by, pilot, untrained};
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Conditions, Configured, PosteriorConfig};
use bayesburn_core::Interval;
use bayesburn_networks::{
    AnyInferenceConfig, AutoregressiveFlowConfig, Covariance, DeepSetConfig, DenseNetConfig, DenseSummaryConfig,
    IdentityConfig, InvertibleNetworkConfig, MixtureConfig, Pass,
};
use ndarray::{Array2, Axis, array};
use std::f64::consts::PI;

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

const BOX: Interval = Interval::Between(-2.0, 2.0);

/// Simulations with parameters in [`BOX`].
fn bounded_pilot(dim: usize) -> Configured {
    let mut pilot = pilot(dim);
    pilot.parameters.mapv_inplace(|value| 2.0 * (0.1 * value).tanh());
    pilot
}

fn bounded(estimator: AnyInferenceConfig, dim: usize) -> AmortizedPosterior {
    let config = PosteriorConfig::new(DeepSetConfig::new(2).with_units(4), estimator);
    // With more noise than this, most of the probability is nearer to a bound than a grid tells.
    perturbed_by(0.1, config.with_support(vec![BOX; dim]), &bounded_pilot(dim), 4)
}

fn density(posterior: &AmortizedPosterior, data: &Conditions, theta: &Array2<f32>) -> Vec<f64> {
    let log_prob = posterior.log_prob(theta, data).expect("the request is sound");
    log_prob.iter().map(|&l| f64::from(l).exp()).collect()
}

/// The middles of intervals between −2 and 2, and their width.
fn grid(steps: usize) -> (Vec<f64>, f64) {
    let width = 4.0 / steps as f64;
    ((0..steps).map(|i| -2.0 + width * (i as f64 + 0.5)).collect(), width)
}

/// Points between −2 and 2, ever nearer to each other towards both, and what each stands for: the middles of intervals
/// of t in θ = 2 sin t.
fn grid_to_the_bounds(steps: usize) -> Vec<(f32, f64)> {
    let width = PI / steps as f64;
    let angles = (0..steps).map(|i| width * (i as f64 + 0.5) - 0.5 * PI);
    angles.map(|t| ((2.0 * t.sin()) as f32, 2.0 * t.cos() * width)).collect()
}

/// Densities may be steep near a bound: a normal in the reals that is wider than the standard normal becomes infinite
/// there. Hence these grids, and 1%.
#[test]
fn densities_within_bounds_integrate_to_one() {
    let data = data_sets(1, 5, 3);
    for (name, estimator) in estimators() {
        let grid = grid_to_the_bounds(20_000);
        let theta = Array2::from_shape_fn((grid.len(), 1), |(i, _)| grid[i].0);
        let densities = density(&bounded(estimator.clone(), 1), &data, &theta);
        let sum: f64 = densities.iter().zip(&grid).map(|(density, (_, width))| density * width).sum();
        assert!((sum - 1.0).abs() < 0.01, "{name}: {sum} in one dimension");

        let grid = grid_to_the_bounds(500);
        let of = |row: usize| [grid[row / grid.len()], grid[row % grid.len()]];
        let all = Array2::from_shape_fn((grid.len().pow(2), 2), |(row, d)| of(row)[d].0);
        let densities = density(&bounded(estimator, 2), &data, &all).into_iter().enumerate();
        let sum: f64 = densities.map(|(row, density)| density * of(row)[0].1 * of(row)[1].1).sum();
        assert!((sum - 1.0).abs() < 0.01, "{name}: {sum} in two dimensions");
    }
}

/// n = 20,000 draws against the distribution function of exp(log_prob): 1.95 / √n, alpha 1e-3. The twin's draws are a
/// twentieth nearer to 0.
#[test]
fn draws_within_bounds_have_the_density_and_lie_inside() {
    let data = data_sets(1, 5, 3);
    for (name, estimator) in estimators() {
        let posterior = bounded(estimator, 1);
        let (points, width) = grid(20_000);
        let theta = Array2::from_shape_fn((points.len(), 1), |(i, _)| points[i] as f32);
        let cdf = cdf_of(points[0], width, &density(&posterior, &data, &theta));
        let draws = posterior.sample(&data, 20_000, 5).expect("the request is sound").into_values();
        assert!(draws.iter().all(|&draw| BOX.contains(draw)), "{name}");
        let draws: Vec<f32> = draws.iter().copied().collect();
        let nearer = draws.iter().map(|draw| 0.95 * draw).collect();
        assert!(kolmogorov_smirnov(draws, &cdf) < KS_BOUND, "{name}");
        assert!(kolmogorov_smirnov(nearer, &cdf) > KS_BOUND, "{name}: the twin");
    }
}

#[test]
fn outside_of_the_support_the_density_is_zero_and_simulations_an_error() {
    let posterior = bounded(InvertibleNetworkConfig::new().into(), 2);
    let data = data_sets(1, 5, 3);
    let theta = array![[0.0, 0.0], [2.0, -2.0], [2.1, 0.0], [0.0, -3.0]];
    let log_prob = posterior.log_prob(&theta, &data).expect("the request is sound");
    assert!(log_prob[0].is_finite() && log_prob[1].is_finite(), "{log_prob}");
    assert!(log_prob[2] == f32::NEG_INFINITY && log_prob[3] == f32::NEG_INFINITY, "{log_prob}");

    let mut batch = bounded_pilot(2);
    batch.parameters[[7, 1]] = 2.5;
    let error = posterior.loss(&batch, &mut Pass::training(1)).expect_err("outside").to_string();
    for part in ["`p1`", "simulation 7", "2.5", "[-2, 2]", "widen the support"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    let config = PosteriorConfig::new(DeepSetConfig::new(2), InvertibleNetworkConfig::new());
    let make = |support: Vec<Interval>| {
        AmortizedPosterior::new(
            config.clone().with_support(support),
            ["a", "b"],
            &[bounded_pilot(2)],
            1,
            &crate::device(),
        )
        .expect_err("refused")
    };
    assert!(matches!(make(vec![BOX]), AmortizerError::Support { expected: 2, got: 1 }));
    assert!(matches!(make(vec![BOX, Interval::Between(1.0, 1.0)]), AmortizerError::Interval(_)));
    assert!(matches!(make(vec![BOX, Interval::Between(0.0, 1.0)]), AmortizerError::OutsideSupport { .. }));
}

/// Several parameter vectors for a data set at once have the densities that they have one by one.
#[test]
fn densities_of_each_data_set_are_those_of_rows() {
    for (name, estimator) in estimators() {
        let posterior = bounded(estimator, 2);
        let parameters = bounded_pilot(2).parameters.slice(ndarray::s![..6, ..]).to_owned();
        let data = data_sets(3, 5, 8);
        let each = posterior.log_prob_of_each(&parameters, &data, &mut Pass::inference(1)).expect("2 for each");
        let each: Vec<f32> = each.into_data().iter::<f32>().collect();
        for (row, theta) in parameters.axis_chunks_iter(Axis(0), 1).enumerate() {
            let set = Conditions::new(data.sets().slice(ndarray::s![row / 2..=row / 2, .., ..]).to_owned());
            let alone = posterior.log_prob(&theta.to_owned(), &set).expect("one row")[0];
            assert!(
                (alone - each[row]).abs() < 1e-4 * alone.abs().max(1.0),
                "{name}, row {row}: {alone}, {}",
                each[row]
            );
        }
        let error = posterior.log_prob_of_each(&parameters, &data_sets(4, 5, 8), &mut Pass::inference(1));
        assert!(matches!(error.expect_err("6 for 4"), AmortizerError::Multiple { expected: 4, got: 6 }));
    }
}

/// By central differences, in steps of 1e-3 of 4: f32 leaves 1e-3 of slopes of 10 and more.
#[test]
fn gradients_by_parameters_are_those_of_differences() {
    const STEP: f32 = 2e-3;
    let data = data_sets(1, 5, 3);
    for (name, estimator) in estimators() {
        for posterior in [bounded(estimator.clone(), 2), {
            let config = PosteriorConfig::new(DeepSetConfig::new(2).with_units(4), estimator);
            perturbed_by(0.1, config, &bounded_pilot(2), 4)
        }] {
            let theta = array![[0.3, -0.8], [-1.2, 0.4]];
            let (log_prob, gradient) = posterior.log_prob_and_gradient(&theta, &data).expect("inside");
            let log = |theta: &Array2<f32>| posterior.log_prob(theta, &data).expect("inside");
            assert!(log_prob.iter().zip(log(&theta)).all(|(a, b)| (a - b).abs() < 1e-4 * b.abs().max(1.0)), "{name}");
            for d in 0..2 {
                let moved = |step: f32| {
                    let mut theta = theta.clone();
                    theta.column_mut(d).mapv_inplace(|value| value + step);
                    log(&theta)
                };
                let slopes = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                for (got, expected) in gradient.column(d).iter().zip(slopes) {
                    assert!((got - expected).abs() < 0.02 * expected.abs().max(1.0), "{name}: {got}, {expected}");
                }
            }
        }
    }
    let posterior = bounded(InvertibleNetworkConfig::new().into(), 2);
    assert!(matches!(
        posterior.log_prob_and_gradient(&array![[0.0, 3.0]], &data),
        Err(AmortizerError::OutsideSupport { .. })
    ));
}

/// Data that are one vector need no summary network, and sets of them are refused.
#[test]
fn vectors_are_conditions_as_they_are_or_through_a_dense_network() {
    let one = |m| Conditions::new(data_sets(m, 1, 3).sets().to_owned());
    let pilot = Configured::new(bounded_pilot(1).parameters, one(64)).expect("a sound pilot");
    let estimator = || InvertibleNetworkConfig::new().with_num_coupling_layers(2);
    let identity = perturbed(PosteriorConfig::new(IdentityConfig::new(), estimator()), &pilot, 1);
    let dense = perturbed(PosteriorConfig::new(DenseSummaryConfig::new(4), estimator()), &pilot, 1);
    assert_eq!(identity.summaries(&one(3)).expect("vectors").dim(), (3, 2));
    assert_eq!(dense.summaries(&one(3)).expect("vectors").dim(), (3, 4));
    assert_eq!(identity.sample(&one(3), 10, 1).expect("vectors").values().dim(), (3, 10, 1));
    let error = identity.sample(&data_sets(3, 5, 3), 10, 1).expect_err("five observations").to_string();
    assert!(error.contains("5 observations") && error.contains("takes 1"), "{error}");
    let batch = Configured { conditions: data_sets(64, 5, 3), ..pilot };
    assert!(matches!(
        dense.loss(&batch, &mut Pass::training(1)),
        Err(AmortizerError::Observations { expected: 1, got: 5 })
    ));
}

#[test]
fn every_estimator_is_saved_and_loaded() {
    for (name, estimator) in estimators() {
        let posterior = bounded(estimator, 2);
        let folder = tempfile::tempdir().expect("a temporary folder");
        posterior.save(folder.path()).expect("writable");
        let loaded = AmortizedPosterior::<DeepSetConfig>::load(folder.path(), &crate::device()).expect("just saved");
        assert_eq!(loaded.config(), posterior.config(), "{name}");
        let sample = |posterior: &AmortizedPosterior| posterior.sample(&data_sets(2, 5, 3), 10, 1).expect("sound");
        assert_eq!(sample(&loaded), sample(&posterior), "{name}");
    }
}

#[test]
fn a_mixture_has_no_latents() {
    let of = |components| {
        let config = PosteriorConfig::new(DeepSetConfig::new(2), MixtureConfig::new().with_components(components));
        untrained(config, &pilot(2), 1).latent(&pilot(2))
    };
    assert!(of(1).is_ok());
    assert!(matches!(of(2), Err(AmortizerError::NoLatents)));
}
