//! Checks draws that are drawn again because they are outside of the prior.

use crate::{npe, short, zeros};
use bayesburn_core::Interval;
use bayesburn_inference::{InferenceError, Npe, Posterior, RejectionConfig, WhenUnfinished};
use bayesburn_simulation::Prior;
use ndarray::Array2;
use rand::RngExt;
use std::time::Duration;

fn posterior() -> Posterior {
    let mut npe = npe(2, short(), 6);
    npe.simulate(300).expect("simulations");
    npe.train().expect("a training")
}

/// Draws are the first that are inside of one sequence, and each observation has its own.
#[test]
fn draws_do_not_depend_on_how_many_are_asked_for() {
    let posterior = posterior();
    let x = Array2::from_shape_fn((3, 2), |(m, _)| m as f32 + 0.9);
    let few = posterior.sample_for(&x, 1000, 1).expect("draws");
    let many = posterior.sample_for(&x, 5000, 1).expect("draws");
    assert_eq!(few.values(), many.values().slice(ndarray::s![.., ..1000, ..]));
    assert!(many.values().iter().all(|theta| theta.abs() <= 2.0));
    let alone = posterior.sample_for(&x.row(0).to_owned(), 1000, 1).expect("draws");
    assert_eq!(alone.data_set(0), few.data_set(0));
}

/// Two parameters that are nearly the same: a density that has hardly learnt anything has little in so thin a band.
#[test]
fn few_draws_inside_are_told() {
    let band = |t: &[f32]| if (t[0] - t[1]).abs() <= 0.002 { 0.0 } else { f64::NEG_INFINITY };
    let prior = Prior::from_fn(["a", "b"], |rng, _| {
        let a = rng.random_range(-1.9f32..1.9);
        [a, a + rng.random_range(-0.001f32..0.001)]
    });
    let prior = prior.with_log_density([Interval::Between(-2.0, 2.0); 2], band).expect("two intervals");
    let theta = prior.sample(300, 1).expect("draws");
    let mut npe = Npe::builder(prior, short()).seed(2).build().expect("valid settings");
    npe.append(theta.clone(), theta).expect("pairs");
    let posterior = npe.train().expect("a training");
    let far = zeros(2);
    let limited = |when| RejectionConfig::new().with_max_tries_per_draw(5).with_when_unfinished(when);
    let error = posterior.clone().with_rejection(limited(WhenUnfinished::Error)).sample_for(&far, 1000, 1);
    let error = error.expect_err("hardly anything is inside").to_string();
    assert!(error.contains("of 1000 draws") && error.contains("with_support"), "{error}");
    let partial = posterior.clone().with_rejection(limited(WhenUnfinished::Partial));
    let sampled = partial.sample_with_report(&far, 1000, 1).expect("what there is");
    let acceptance = sampled.acceptance()[0];
    assert!(!sampled.is_complete() && acceptance.tried >= 5000 && acceptance.rate() < 0.01, "{acceptance:?}");
    assert_eq!(sampled.data_set(0).nrows(), acceptance.accepted);
    let warning = sampled.warning().expect("below 1%");
    assert!(warning.contains("data set 0") && warning.contains("PosteriorConfig::with_support"), "{warning}");
    assert!(matches!(sampled.into_draws(), Err(InferenceError::Rejection { data_set: 0, .. })));

    let timed = posterior.clone().with_rejection(limited(WhenUnfinished::Partial).with_max_time(Duration::ZERO));
    let sampled = timed.sample_with_report(&far, 100_000, 1).expect("what there is");
    assert!(!sampled.is_complete());
}
