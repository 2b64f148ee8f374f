//! Cuts priors to where posteriors are.

use crate::{KS_BOUND, config_of, kolmogorov_smirnov, npe, shifted, small};
use bayesburn_inference::{InferenceError, NpeTraining, Posterior, Proposal, TruncatedPrior};
use ndarray::{Array1, Array2, arr1};
use std::sync::OnceLock;

/// At x = 2.5, whose posterior reaches the prior's upper bound.
fn posterior(dim: usize) -> Posterior {
    static POSTERIORS: [OnceLock<Posterior>; 2] = [OnceLock::new(), OnceLock::new()];
    let train = || {
        let training = NpeTraining::new().with_batch_size(50).with_max_epochs(60).with_learning_rate(2e-3);
        let mut npe = npe(shifted(dim, 0.3), config_of(small(), training), 1);
        npe.simulate(500).expect("it simulates");
        npe.train().expect("it trains").with_observation(Array1::from_elem(dim, 2.5)).expect("a sound observation")
    };
    POSTERIORS[dim - 1].get_or_init(train).clone()
}

#[test]
fn draws_are_inside_the_region_and_inside_the_prior() {
    for dim in [1, 2] {
        let region = TruncatedPrior::new(posterior(dim), 1e-3).expect("it has an observation");
        let draws = region.sample(2000, 3).expect("not too small");
        assert_eq!(draws.dim(), (2000, dim));
        assert!(draws.iter().all(|theta| theta.abs() <= 2.0));
        assert!(region.contains(&draws).expect("rows of its width").iter().all(|inside| *inside));
        let prior = shifted(dim, 0.3).prior().sample(2000, 3).expect("a box");
        let inside = region.contains(&prior).expect("rows of its width").iter().filter(|inside| **inside).count();
        assert!(inside < 1500, "the twin: {inside} of 2000 draws from the prior");
        // Fewer draws are the first of more.
        assert_eq!(region.sample(100, 3).expect("not too small"), draws.slice(ndarray::s![..100, ..]));
    }
}

/// n = 5,000 draws against the uniform distribution on the part of the box that is in the region: 1.95 / √n, alpha
/// 1e-3. The twin's region is a twentieth wider.
#[test]
fn draws_have_the_priors_density() {
    let region = TruncatedPrior::new(posterior(1), 1e-3).expect("it has an observation");
    let grid = Array2::from_shape_fn((40_001, 1), |(i, _)| -2.0 + i as f32 * 1e-4);
    let inside = region.contains(&grid).expect("rows of its width");
    let inside: Vec<f64> =
        grid.iter().zip(&inside).filter(|(_, inside)| **inside).map(|(&t, _)| f64::from(t)).collect();
    let (low, high) = (inside[0], inside[inside.len() - 1]);
    assert!((inside.len() as f64 - 1e4 * (high - low)).abs() < 10.0, "one interval, from {low} to {high}");
    let draws: Vec<f32> = region.sample(5000, 3).expect("not too small").into_iter().collect();
    let uniform = |low: f64| move |theta: f64| ((theta - low) / (high - low)).clamp(0.0, 1.0);
    assert!(kolmogorov_smirnov(draws.clone(), uniform(low)) < KS_BOUND);
    assert!(kolmogorov_smirnov(draws, uniform(low - 0.05 * (high - low))) > KS_BOUND, "the twin");
}

/// Of n = 20,000 draws a share ε = 0.01 is expected outside, with a standard deviation of √(n ε (1 − ε) (1 + n /
/// 100,000)) = 15.4, since the threshold is a quantile of 100,000 draws; 4 are allowed (alpha 6e-5).
#[test]
fn the_tail_is_the_share_of_the_posterior_outside() {
    let outside = |tail: f64| {
        let region = TruncatedPrior::new(posterior(2), tail).expect("it has an observation");
        let draws = posterior(2).sample(20_000, 11).expect("a sound request").data_set(0).to_owned();
        region.contains(&draws).expect("rows of its width").iter().filter(|inside| !**inside).count() as f64
    };
    assert!((outside(0.01) - 200.0).abs() < 62.0, "{}", outside(0.01));
    assert!((outside(0.02) - 200.0).abs() > 62.0, "the twin: {}", outside(0.02));
}

#[test]
fn proposals_need_an_observation_and_a_tail_between_0_and_1() {
    let mut npe = npe(shifted(1, 0.3), crate::short(), 1);
    npe.simulate(100).expect("it simulates");
    let without = npe.train().expect("it trains");
    assert!(matches!(Proposal::posterior(without.clone()), Err(InferenceError::NoObservation)));
    assert!(matches!(Proposal::truncated(without.clone()), Err(InferenceError::NoObservation)));
    assert!(matches!(TruncatedPrior::new(without.clone(), 0.1), Err(InferenceError::NoObservation)));
    let with = without.with_observation(arr1(&[0.5])).expect("one number");
    for tail in [0.0, 1.0, -0.1, f64::NAN] {
        let error = TruncatedPrior::new(with.clone(), tail).expect_err("out of range").to_string();
        assert!(error.contains("`tail`") && error.contains("above 0 and below 1"), "{error}");
    }
}
