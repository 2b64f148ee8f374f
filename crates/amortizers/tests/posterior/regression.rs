//! Checks what is predicted of parameters by regression, and that it changes where estimators begin and nothing else.

use crate::{config, device, normals, rng, untrained};
use bayesburn_amortizers::{
    AmortizedPosterior, AmortizerError, Conditions, Configured, PosteriorConfig, Standardization,
};
use bayesburn_core::Interval;
use bayesburn_networks::{
    AnyInferenceConfig, AutoregressiveFlowConfig, DenseSummaryConfig, IdentityConfig, InvertibleNetworkConfig,
    MixtureConfig, Pass, SummaryConfig,
};
use burn::tensor::{Tensor, TensorData};
use ndarray::{Array1, Array2, Array3, Axis, array, s};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::TAU;
use tempfile::tempdir;

const NOISE: [f64; 2] = [0.5, 0.2];

/// The mean of the parameters that go with two numbers.
fn mean(x: [f64; 2]) -> [f64; 2] {
    [2.0 * x[0] - x[1] + 1.0, 10.0 - 3.0 * x[0]]
}

/// Simulations whose posterior is normal, with this mean and noise of these standard deviations.
fn linear(rows: usize, index: u64) -> Configured {
    let mut rng = rng(index);
    let x = Array3::from_shape_fn((rows, 1, 2), |(_, _, f)| [4.0, 0.5][f] * rng.sample::<f32, _>(StandardNormal) - 1.0);
    let parameters = Array2::from_shape_fn((rows, 2), |(m, d)| {
        let mean = mean([f64::from(x[[m, 0, 0]]), f64::from(x[[m, 0, 1]])]);
        (mean[d] + NOISE[d] * rng.sample::<f64, _>(StandardNormal)) as f32
    });
    Configured::new(parameters, Conditions::new(x)).expect("sound")
}

fn exact_log_prob(batch: &Configured) -> f64 {
    let x = &batch.conditions.sets();
    let rows = batch.parameters.outer_iter().enumerate().map(|(m, theta)| {
        let mean = mean([f64::from(x[[m, 0, 0]]), f64::from(x[[m, 0, 1]])]);
        let of =
            |d: usize| -0.5 * ((f64::from(theta[d]) - mean[d]) / NOISE[d]).powi(2) - NOISE[d].ln() - 0.5 * TAU.ln();
        of(0) + of(1)
    });
    rows.sum::<f64>() / batch.len() as f64
}

fn estimators() -> [AnyInferenceConfig; 4] {
    [
        InvertibleNetworkConfig::new().with_num_coupling_layers(2).into(),
        InvertibleNetworkConfig::neural_spline_flow().into(),
        AutoregressiveFlowConfig::new().into(),
        MixtureConfig::gaussian().into(),
    ]
}

fn mean_log_prob<C: SummaryConfig>(posterior: &AmortizedPosterior<C>, batch: &Configured) -> f64 {
    -f64::from(posterior.negative_log_prob(batch).expect("sound"))
}

/// 2,000 simulations give six numbers and two standard deviations: they cost (6 + 2) / 2 / 2,000 = 0.002 of ln q.
#[test]
fn where_the_posterior_is_normal_and_linear_estimators_begin_there() {
    let (pilot, fresh) = (linear(2000, 1), linear(2000, 2));
    let exact = exact_log_prob(&fresh);
    for inference in estimators() {
        let of = |standardization| {
            let config = PosteriorConfig::new(IdentityConfig::new(), inference.clone());
            mean_log_prob(&untrained(config.with_standardization(standardization), &pilot, 1), &fresh)
        };
        let with = of(Standardization::All);
        assert!((exact - with).abs() < 0.01, "{with} against {exact}");
        // The twin: by means and standard deviations alone it begins far from there.
        assert!(exact - of(Standardization::Moments) > 1.0);
    }
    // Before a network that learns summaries of one vector, too.
    let config = PosteriorConfig::new(DenseSummaryConfig::new(3), MixtureConfig::gaussian());
    assert!((exact - mean_log_prob(&untrained(config, &pilot, 1), &fresh)).abs() < 0.01);
}

/// More simulations than are fitted to, sorted by a parameter: the first of them have the lower values alone.
#[test]
fn simulations_may_be_in_an_order() {
    let all = linear(30_000, 1);
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&a, &b| all.parameters[[a, 0]].total_cmp(&all.parameters[[b, 0]]));
    let parameters = all.parameters.select(Axis(0), &order);
    let pilot = Configured::new(parameters, all.conditions.select(&order)).expect("sound");
    let fresh = linear(2000, 2);
    let posterior = untrained(PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::gaussian()), &pilot, 1);
    assert!((exact_log_prob(&fresh) - mean_log_prob(&posterior, &fresh)).abs() < 0.01);
}

/// Data sets of several observations are not regressed on, and direct conditions beside them are.
#[test]
fn direct_conditions_predict_beside_a_set_network() {
    let direct = |batch: Configured| {
        let given = batch.conditions.sets().index_axis(Axis(1), 0).to_owned();
        let sets = Array3::from_shape_fn((batch.len(), 5, 2), |(m, n, _)| ((m * 31 + n * 7) % 11) as f32);
        Configured { conditions: Conditions::new(sets).with_direct(given), ..batch }
    };
    let fresh = linear(2000, 2);
    let exact = exact_log_prob(&fresh);
    let posterior = untrained(config(), &direct(linear(2000, 1)), 1);
    assert!((exact - mean_log_prob(&posterior, &direct(fresh))).abs() < 0.01);
}

#[test]
fn draws_are_where_the_density_is() {
    let posterior =
        untrained(PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::gaussian()), &linear(2000, 1), 1);
    let x = Conditions::new(array![[[2.0, -1.0]], [[-3.0, 0.0]]]);
    let draws = posterior.sample(&x, 10_000, 1).expect("sound");
    for (m, x) in [[2.0, -1.0], [-3.0, 0.0]].into_iter().enumerate() {
        for (d, noise) in NOISE.into_iter().enumerate() {
            // 10,000 draws have their mean within 4 / 100 of a standard deviation, and their standard deviation within
            // 3%.
            assert!((draws.mean()[[m, d]] - mean(x)[d]).abs() < 0.1 * noise);
            assert!((draws.std()[[m, d]] / noise - 1.0).abs() < 0.06);
        }
    }
}

/// With 60 features of noise and 64 simulations, least squares would leave a quarter of the parameters' standard
/// deviation, and be wrong by several times that in new simulations.
#[test]
fn nothing_is_predicted_from_noise() {
    let noise = |index| {
        let mut rng = rng(index);
        let x = Array3::from_shape_simple_fn((64, 1, 60), || rng.sample::<f32, _>(StandardNormal));
        let parameters = Array2::from_shape_simple_fn((64, 2), || rng.sample::<f32, _>(StandardNormal));
        Configured::new(parameters, Conditions::new(x)).expect("sound")
    };
    let (pilot, fresh) = (noise(1), noise(2));
    let of = |standardization| {
        let config = PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::gaussian());
        mean_log_prob(&untrained(config.with_standardization(standardization), &pilot, 1), &fresh)
    };
    let (with, without) = (of(Standardization::All), of(Standardization::Moments));
    assert!(without - with < 0.1, "{with} against {without}");
}

/// Of 200 rows with 100 features, the least leave-one-out error has residuals of 0.57 of what is left of others, and a
/// network that trains on them would take them for the truth.
#[test]
fn rows_that_were_fitted_to_are_not_predicted_much_better_than_others() {
    let slopes: Vec<f32> = normals(&mut rng(1), (1, 1, 100)).iter().map(|slope| 0.1 * slope).collect();
    let linear = |rows, index| {
        let x = normals(&mut rng(index), (rows, 1, 100));
        let noise = normals(&mut rng(100 + index), (rows, 1, 1));
        let parameters = Array2::from_shape_fn((rows, 1), |(m, _)| {
            slopes.iter().zip(x.slice(s![m, 0, ..])).map(|(slope, x)| slope * x).sum::<f32>() + 0.5 * noise[[m, 0, 0]]
        });
        Configured::new(parameters, Conditions::new(x)).expect("sound")
    };
    let pilot = linear(200, 2);
    let config = PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::gaussian());
    let posterior = untrained(config, &pilot, 1);
    let std = f64::from(posterior.parameter_standardization().1[0]);
    let residual = |batch: &Configured| {
        (-2.0 * (mean_log_prob(&posterior, batch) + std.ln() + 0.5 * TAU.ln())).sqrt() // of −z²/2 − ln std − ln(2π)/2
    };
    let (fitted, fresh) = (residual(&pilot), residual(&linear(2000, 3)));
    assert!(fitted > 0.7 && (fresh - 1.0).abs() < 0.2, "{fitted} and {fresh} of what is left");
}

/// Data a thousand standard deviations away are outside of what was seen; the parameters are not.
#[test]
fn predictions_stay_near_the_parameters_of_the_pilot() {
    let pilot = linear(2000, 1);
    let posterior = untrained(PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::gaussian()), &pilot, 1);
    let far = Conditions::new(array![[[4000.0, 0.0]], [[-4000.0, 0.0]]]);
    let draws = posterior.sample(&far, 1000, 1).expect("sound");
    for (d, noise) in NOISE.into_iter().enumerate() {
        let column = pilot.parameters.column(d);
        let (low, high) = column.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        let margin = 0.5 * (high - low) + 5.0 * noise as f32;
        assert!(draws.values().slice(s![.., .., d]).iter().all(|&v| v > low - margin && v < high + margin));
    }
}

/// With bounds, the prediction for such data is a bound: half of the density is inside.
#[test]
fn predictions_stay_inside_of_bounds() {
    let (pilot, bound) = (linear(2000, 1), 40.0);
    let bounds = [Interval::Between(-bound, bound), Interval::Real];
    let config = PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::gaussian());
    let posterior = untrained(config.clone().with_bounds(bounds), &pilot, 1);
    let far = Conditions::new(array![[[4000.0, 0.0]], [[-4000.0, 0.0]]]);
    let draws = posterior.sample(&far, 1000, 1).expect("sound");
    for (of_set, bound) in draws.values().outer_iter().zip([bound, -bound]) {
        let inside = of_set.column(0).iter().filter(|value| value.abs() < 40.0).count();
        // n = 1,000 draws of probability 1/2: 5 standard errors, alpha 6e-7.
        assert!((420..580).contains(&inside), "{inside} of 1,000 below {bound}");
    }
    let error =
        AmortizedPosterior::new(config.clone().with_bounds(bounds[..1].to_vec()), ["a", "b"], &[pilot], 1, &device());
    assert!(matches!(error.expect_err("one interval of two"), AmortizerError::Support { expected: 2, got: 1 }));
    let outside = config.with_bounds([Interval::Between(100.0, 200.0), Interval::Real]);
    let error = AmortizedPosterior::new(outside, ["a", "b"], &[linear(2000, 1)], 1, &device());
    assert!(
        matches!(error.expect_err("no parameter is there"), AmortizerError::OutsideSupport { name, .. } if name == "a")
    );
}

/// Without noise nothing would be left to divide by.
#[test]
fn parameters_that_data_tell_exactly_are_finite() {
    let mut pilot = linear(500, 1);
    let x = pilot.conditions.sets().slice(s![.., 0, 0]).to_owned();
    pilot.parameters.column_mut(0).assign(&x.mapv(|x| 3.0 * x + 1.0));
    pilot.parameters.column_mut(1).fill(5.0);
    pilot.parameters[[7, 1]] += 5e-7; // rounding
    let posterior = untrained(PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::gaussian()), &pilot, 1);
    assert!(mean_log_prob(&posterior, &pilot).is_finite());
    assert_eq!(posterior.parameter_standardization().1[1], 1.0, "what does not vary is only shifted");
    let draws = posterior.sample(&Conditions::new(array![[[2.0, 0.0]]]), 1000, 1).expect("sound");
    assert!((draws.mean()[[0, 0]] - 7.0).abs() < 0.01, "{}", draws.mean()[[0, 0]]);
}

#[test]
fn units_of_the_data_do_not_matter() {
    let of = |scale: f32, shift: f32| {
        let other = |mut batch: Configured| {
            batch.conditions.data.update(|mut values| values.mapv_inplace(|x| scale * x + shift));
            batch
        };
        let config = PosteriorConfig::new(IdentityConfig::new(), InvertibleNetworkConfig::neural_spline_flow());
        let posterior = crate::perturbed_by(0.1, config, &other(linear(500, 1)), 1);
        let fresh = other(linear(500, 2));
        posterior.log_prob(&fresh.parameters, &fresh.conditions).expect("sound")
    };
    let (one, other) = (of(1.0, 0.0), of(1000.0, -5.0));
    assert!((one - other).iter().all(|difference: &f32| difference.abs() < 1e-2));
}

/// In the coordinates of [`AmortizedPosterior::parameter_standardization`], whatever is predicted.
#[test]
fn mixtures_are_of_standardised_parameters() {
    let config = PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::new().with_components(3));
    let posterior = crate::perturbed(config, &linear(500, 1), 1);
    let batch = linear(50, 2);
    let mixture = posterior.mixture(&batch.conditions, &mut Pass::inference(0)).expect("a mixture");
    let (means, stds) = posterior.parameter_standardization();
    let standardized = (&batch.parameters - &Array1::from(means)) / Array1::from(stds.clone());
    let values = TensorData::new(standardized.iter().copied().collect::<Vec<f32>>(), [50, 2]);
    let of_mixture = mixture.log_prob(Tensor::from_data(values, posterior.device())).1;
    let of_mixture: Vec<f32> = of_mixture.into_data().try_into_vec().expect("f32");
    let log_std: f32 = stds.iter().map(|std| std.ln()).sum();
    let log_prob = posterior.log_prob(&batch.parameters, &batch.conditions).expect("sound");
    for (a, b) in of_mixture.iter().zip(&log_prob) {
        assert!((a - log_std - b).abs() < 1e-3 * b.abs().max(1.0), "{} against {b}", a - log_std);
    }
}

#[test]
fn the_regression_is_saved_and_not_trained() {
    let config = || PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::gaussian());
    let posterior = untrained(config(), &linear(500, 1), 1);
    let without = untrained(config().with_standardization(Standardization::Moments), &linear(500, 1), 1);
    assert_eq!(posterior.num_trainable_parameters(), without.num_trainable_parameters());
    let folder = tempdir().expect("a temporary folder");
    posterior.save(folder.path()).expect("writable");
    let loaded = AmortizedPosterior::<IdentityConfig>::load(folder.path(), &device()).expect("just saved");
    let fresh = linear(50, 2);
    let log_prob = |posterior: &AmortizedPosterior<IdentityConfig>| {
        posterior.log_prob(&fresh.parameters, &fresh.conditions).expect("sound")
    };
    assert_eq!(log_prob(&posterior), log_prob(&loaded));
    assert_ne!(log_prob(&posterior), log_prob(&without));
}
