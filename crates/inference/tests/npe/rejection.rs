//! Draws from a posterior that leaks out of its prior, until limits are reached and before.

use crate::{config_of, npe, shifted, small};
use bayesburn_amortizers::Standardization;
use bayesburn_inference::{InferenceError, NpeTraining, Posterior, RejectionConfig, WhenUnfinished};
use ndarray::{Axis, arr1, arr2, s};
use std::{sync::OnceLock, time::Duration};

/// θ between −2 and 2, and x = θ + 1 + noise: at x = 3.8 much of the density leaks, at x = 4.5 nearly all. (With the
/// regression on the data, which stays in the box, half of it would be inside at any x.)
fn posterior() -> Posterior {
    static POSTERIOR: OnceLock<Posterior> = OnceLock::new();
    let train = || {
        let training = NpeTraining::new().with_batch_size(50).with_max_epochs(60).with_learning_rate(2e-3);
        let training = training.with_weight_average(None);
        let mut config = config_of(small(), training);
        config.networks = config.networks.with_standardization(Standardization::Moments);
        let mut npe = npe(shifted(1, 0.5), config, 1);
        npe.simulate(500).expect("it simulates");
        npe.train().expect("it trains")
    };
    POSTERIOR.get_or_init(train).clone()
}

/// Noise comes in blocks of 1,024 draws, and more are drawn at a time when more are wanted.
#[test]
fn draws_do_not_depend_on_how_many_are_drawn_nor_on_other_data_sets() {
    let x = arr2(&[[3.8], [0.0], [4.4]]);
    let many = posterior().sample_for(&x, 5000, 7).expect("a sound request").into_values();
    let few = posterior().sample_for(&x, 1000, 7).expect("a sound request").into_values();
    assert_eq!(many.slice(s![.., ..1000, ..]), few);
    let first = posterior().sample_for(&arr1(&[3.8]), 5000, 7).expect("a sound request").into_values();
    assert_eq!(many.slice(s![..1, .., ..]), first);
    let two = posterior().sample_for(&x.slice(s![..2, ..]).to_owned(), 1000, 7).expect("a sound request");
    assert_eq!(few.slice(s![..2, .., ..]), two.values());
    let other = posterior().sample_for(&x, 1000, 8).expect("a sound request").into_values();
    assert_ne!(few, other, "the twin: another seed");
}

/// Bit for bit, also where many draws are outside and drawn again.
#[test]
fn observations_drawn_for_by_their_number_have_the_draws_of_one_call() {
    let x = arr2(&[[0.0], [3.8], [4.4], [3.8]]);
    let all = posterior().sample_for(&x, 1000, 7).expect("a sound request").into_values();
    for (m, of_one) in x.outer_iter().enumerate() {
        let numbered = posterior().sample_numbered(&of_one.to_owned(), m, 1000, 7).expect("a sound request");
        assert_eq!(numbered.data_set(0), all.index_axis(Axis(0), m), "observation {m}");
    }
    let two = posterior().sample_numbered(&x.slice(s![1..3, ..]).to_owned(), 1, 1000, 7).expect("a sound request");
    assert_eq!(two.values(), all.slice(s![1..3, .., ..]));
    let repeated = posterior().sample_for(&arr1(&[3.8]), 1000, 7).expect("a sound request").into_values();
    assert_ne!(repeated.index_axis(Axis(0), 0), all.index_axis(Axis(0), 3), "the twin: without its number");
    assert!(posterior().sample_numbered(&arr1(&[3.8]), 1 << 32, 10, 7).is_err());
}

#[test]
fn the_report_counts_tries_and_warns_below_one_percent() {
    let x = arr2(&[[0.0], [3.8], [4.5]]);
    let sampled = posterior().sample_with_report(&x, 50, 1).expect("a sound request");
    assert!(sampled.is_complete());
    let rates: Vec<f64> = sampled.acceptance().iter().map(|acceptance| acceptance.rate()).collect();
    assert!(rates[0] > 0.95 && (0.2..0.8).contains(&rates[1]) && rates[2] < 0.01, "{rates:?}");
    let warning = sampled.warning().expect("below 1%");
    let percent = format!("only {:.3}% of the draws for data set 2", 100.0 * rates[2]);
    for part in [percent.as_str(), "train with more simulations", "`NpeConfig::with_space`"] {
        assert!(warning.contains(part), "`{part}` is not in: {warning}");
    }
    assert_eq!(sampled.data_set(2).dim(), (50, 1));
    let fine = posterior().sample_with_report(&x.slice(s![..2, ..]).to_owned(), 50, 1).expect("a sound request");
    assert_eq!(fine.warning(), None);
}

/// The share inside is estimated by n = 10,240 draws as by those that were tried: 4 standard errors of each (alpha
/// 6e-5). The twin is that of another observation.
#[test]
fn acceptance_is_what_tries_come_to() {
    let tried = posterior().sample_with_report(&arr1(&[3.8]), 5000, 2).expect("a sound request").acceptance()[0];
    let (p, n) = (tried.rate(), tried.tried as f64);
    let bound = 4.0 * (p * (1.0 - p) * (1.0 / n + 1.0 / 10_240.0)).sqrt();
    let estimated = posterior().acceptance_for(&arr2(&[[3.8], [3.9]]), 1).expect("a sound request");
    assert_eq!(estimated[0].tried, 10_240);
    assert!((estimated[0].rate() - p).abs() < bound, "{estimated:?}, {tried:?}");
    assert!((estimated[1].rate() - p).abs() > bound, "the twin: {estimated:?}, {tried:?}");
}

#[test]
fn too_few_tries_are_an_error_that_says_what_to_do() {
    let strict = posterior().with_rejection(RejectionConfig::new().with_max_tries_per_draw(5));
    let x = arr2(&[[0.0], [4.5]]);
    let error = strict.sample_for(&x, 1000, 1).expect_err("few are inside");
    assert!(
        matches!(error, InferenceError::Rejection { data_set: 1, wanted: 1000, tried: 5000..6500, .. }),
        "{error:?}"
    );
    let text = error.to_string();
    for part in ["of 1000 draws for data set 1", "% accepted", "`RejectionConfig`", "`WhenUnfinished::Partial`"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(strict.sample_for(&arr1(&[0.0]), 1000, 1).is_ok(), "where the density is inside, five are enough");
}

/// A hundred standard deviations away nothing is inside, and 1,000 draws would be tried for ten million times.
#[test]
fn what_has_nothing_inside_is_given_up_early() {
    let far = posterior().sample_for(&arr2(&[[0.0], [60.0]]), 1000, 1).expect_err("nothing is inside");
    let InferenceError::Rejection { data_set: 1, accepted: 0, tried, .. } = far else { panic!("{far}") };
    assert!((100_000..110_000).contains(&tried), "{tried}");
}

#[test]
fn or_there_are_as_many_draws_as_were_found() {
    let limited = RejectionConfig::new().with_max_tries_per_draw(5).with_when_unfinished(WhenUnfinished::Partial);
    let x = arr2(&[[0.0], [4.5]]);
    let sampled = posterior().with_rejection(limited).sample_with_report(&x, 1000, 1).expect("partial");
    assert!(!sampled.is_complete());
    assert_eq!(sampled.data_set(0).nrows(), 1000);
    let few = sampled.data_set(1);
    assert_eq!(few.nrows(), sampled.acceptance()[1].accepted);
    assert!(few.nrows() < 100, "{}", few.nrows());
    // They are the first of those that more tries give.
    let all = posterior().sample_for(&x, 100, 1).expect("ten thousand tries are enough").into_values();
    assert_eq!(few, all.index_axis(Axis(0), 1).slice(s![..few.nrows(), ..]));
    assert!(matches!(sampled.into_draws(), Err(InferenceError::Rejection { data_set: 1, .. })));
}

/// The first round of tries is always made: it is enough at x = 0, and not at x = 4.5.
#[test]
fn time_is_a_limit_too() {
    let hasty = posterior().with_rejection(RejectionConfig::new().with_max_time(Duration::ZERO));
    assert!(hasty.sample_for(&arr1(&[0.0]), 1000, 1).is_ok());
    let error = hasty.sample_for(&arr1(&[4.5]), 1000, 1).expect_err("no time");
    assert!(matches!(error, InferenceError::Rejection { tried: 1000..3000, .. }), "{error:?}");
}

#[test]
fn zero_draws_are_refused() {
    assert!(posterior().sample_for(&arr1(&[0.0]), 0, 1).is_err());
}
