//! Infers the linear Gaussian example from 2,000 simulations and holds the result against the exact posterior.

use crate::{linear_gaussian, normal_cdf, npe};
use bayesburn_inference::{NpeConfig, Posterior};
use ndarray::arr1;
use std::{f64::consts::TAU, sync::OnceLock};

const NOISE: f64 = 0.1;
/// The mean of −ln of the exact posterior, which the box truncates, over simulations from the prior. Of a normal
/// density, which leaks out of the box, it is −2.651 at best.
const EXACT: f64 = -2.786;

/// Of seeds 1 to 20, all have a negative log-likelihood of at most −2.65, one of at most −2.73 with correction,
/// standard deviations within 7% and means within 0.02.
const SEED: u64 = 1;

/// Trained once for all tests here, as by default.
fn posterior() -> &'static Posterior {
    static POSTERIOR: OnceLock<Posterior> = OnceLock::new();
    POSTERIOR.get_or_init(|| {
        let mut npe = npe(linear_gaussian(), NpeConfig::new(), SEED);
        npe.simulate(2000).expect("it simulates");
        npe.train().expect("it trains")
    })
}

/// n = 10,000 draws: standard errors are 0.001 for a mean and 0.7% for a standard deviation.
#[test]
fn the_posterior_has_the_exact_mean_and_standard_deviation() {
    let draws = posterior().sample_for(&arr1(&[0.0; 3]), 10_000, 1).expect("a sound request");
    for (mean, std) in draws.mean().iter().zip(&draws.std()) {
        assert!((mean + 1.0).abs() < 0.02, "mean {mean}");
        assert!((std / NOISE - 1.0).abs() < 0.1, "standard deviation {std}");
    }
}

/// At x = 3 the exact posterior is cut in the middle, in each of three dimensions.
#[test]
fn draws_lie_inside_the_box_where_the_density_leaks() {
    for (x, most) in [(0.0, 1.0), (2.0, 1.0), (3.0, 0.3)] {
        let x = arr1(&[x; 3]);
        let sampled = posterior().sample_with_report(&x, 2000, 1).expect("a sound request");
        assert!(sampled.data_set(0).iter().all(|theta| theta.abs() <= 2.0), "{x}");
        assert!(sampled.acceptance()[0].rate() <= most, "{x}: {:?}", sampled.acceptance());
        assert_eq!(sampled.warning(), None);
    }
    let x = arr1(&[3.0f32; 3]);
    let as_estimated = posterior().amortizer().sample(&posterior().conditions(&x).expect("three numbers"), 2000, 1);
    let leaks = as_estimated.expect("a sound request").into_values().iter().any(|theta| theta.abs() > 2.0);
    assert!(leaks, "the twin: without rejection");
}

#[test]
fn the_most_probable_parameters_are_where_the_density_is_highest() {
    let map = posterior().map_for(&arr1(&[0.0; 3]), 1).expect("a sound request");
    assert!(map.parameters.iter().all(|theta| (theta + 1.0).abs() < 0.05), "{map:?}");
    let draws = posterior().sample_for(&arr1(&[0.0; 3]), 1000, 1).expect("a sound request").data_set(0).to_owned();
    let logs = posterior().uncorrected_log_prob_for(&draws, &arr1(&[0.0; 3])).expect("a sound request");
    assert!(logs.iter().all(|log| *log <= map.log_prob + 1e-4), "{map:?}");
    let at_bound = posterior().map_for(&arr1(&[3.2; 3]), 1).expect("a sound request");
    assert!(at_bound.parameters.iter().all(|theta| (1.9..=2.0).contains(theta)), "{at_bound:?}");
}

/// ln of the exact posterior: N(x − 1, 0.1²), cut to the box, in each dimension.
fn exact_log_posterior(theta: f32, x: f32) -> f64 {
    let mean = f64::from(x) - 1.0;
    let z = (f64::from(theta) - mean) / NOISE;
    let inside = normal_cdf((2.0 - mean) / NOISE) - normal_cdf((-2.0 - mean) / NOISE);
    -0.5 * z * z - (NOISE * TAU.sqrt() * inside).ln()
}

/// n = 4,000 simulations. The exact posterior's mean has a standard error of √(3/2) / √n = 0.019, of which 4 are
/// allowed (alpha 6e-5). What is tested is the difference to it on the same simulations, whose standard error is 0.006.
/// The correction is of 256 draws each.
#[test]
fn the_negative_log_likelihood_comes_near_to_the_exact_one() {
    let fresh = linear_gaussian().simulate(4000, 99).expect("it simulates");
    let x = fresh.data.values().clone();
    let pairs = fresh.parameters.iter().zip(&x);
    let exact = pairs.map(|(&theta, &x)| exact_log_posterior(theta, x)).sum::<f64>() / 4000.0;
    assert!((-exact - EXACT).abs() < 4.0 * 0.0194, "{exact}");
    let nll = |log_prob: ndarray::Array1<f32>| EXACT + exact - log_prob.mapv(f64::from).mean().expect("4,000");
    let plain = nll(posterior().uncorrected_log_prob_for(&fresh.parameters, &x).expect("a sound request"));
    let corrected = posterior().clone().with_leakage_draws(256);
    let corrected = nll(corrected.log_prob_for(&fresh.parameters, &x).expect("a sound request"));
    assert!(plain <= -2.60, "{plain}");
    assert!(corrected <= -2.72, "{corrected}");
    assert!(plain > -2.72, "the twin, without correction: {plain}");
}
