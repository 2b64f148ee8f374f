//! Appends pairs that are not what they are said to be: copies of one another, or parameters from elsewhere; and some
//! at a time.

use crate::{box_prior, builder, npe, rng, shifted, short};
use bayesburn_amortizers::{Configurator, DefaultConfigurator};
use bayesburn_core::{Interval, Simulations};
use bayesburn_inference::{InferenceError, Npe, Proposal};
use bayesburn_simulation::{Prior, Univariate};
use ndarray::{Array2, Axis, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::sync::{Arc, Mutex};

fn simulated(count: usize) -> Simulations {
    shifted(1, 0.5).simulate(count, 4).expect("it simulates")
}

fn appended(npe: &mut Npe, simulations: &Simulations) {
    npe.append(simulations.parameters.clone(), simulations.data.clone()).expect("sound pairs");
}

/// Each of 100 simulations ten times, in one call and in ten, mixed up: 10 of the 100 are held out, and none of them is
/// trained on. The twins differ from one another by a thousandth of the data, so that nobody tells.
#[test]
fn copies_are_held_out_together_and_told_of() {
    let once = simulated(100);
    let rows: Vec<usize> = (0..1000).map(|i| i * 7 % 100).collect();
    let of = |calls: usize, noise: f32| {
        let seen: Arc<Mutex<Vec<Vec<f32>>>> = Arc::default();
        let sees = seen.clone();
        let configurator = move |simulations: &Simulations| {
            sees.lock().expect("no panic").push(simulations.parameters.iter().copied().collect());
            DefaultConfigurator.configure(simulations)
        };
        let mut npe = builder(box_prior(1), short(), 1).configurator(configurator).build().expect("sound");
        let mut rng = rng(8);
        for part in rows.chunks(1000 / calls) {
            let mut part = once.select(part);
            part.data.update(|mut values| {
                values.mapv_inplace(|x| x * (1.0 + noise * rng.sample::<f32, _>(StandardNormal)));
            });
            appended(&mut npe, &part);
        }
        npe.train().expect("it trains");
        let sets = std::mem::take(&mut *seen.lock().expect("no panic"));
        let (validated, others): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| set.len() == 100);
        let is_known = others.concat().iter().any(|theta| validated[0].contains(theta));
        (is_known, npe.summaries()[0].clone())
    };
    for calls in [1, 10] {
        let (is_known, summary) = of(calls, 0.0);
        assert_eq!((summary.trained, summary.held_out, is_known), (900, 100, false), "{calls} calls");
        let [warning] = &summary.warnings[..] else { panic!("one warning: {summary}") };
        assert!(warning.contains("900 of 1000 simulations are copies of others"), "{warning}");
        let (is_known, twin) = of(calls, 1e-3);
        assert!(is_known && twin.warnings.is_empty(), "the twin: {twin}");
    }
}

#[test]
fn copies_of_one_simulation_are_refused() {
    let mut npe = npe(box_prior(1), short(), 1);
    appended(&mut npe, &simulated(1).select(&[0; 500]));
    let error = npe.train().expect_err("one simulation");
    assert!(matches!(error, InferenceError::Copies { got: 500, copies: 499, .. }), "{error:?}");
    assert!(error.to_string().contains("append more that differ"), "{error}");
}

/// Equal pairs of whole numbers are no copies.
#[test]
fn equal_simulations_of_whole_numbers_are_split_as_others_are() {
    let prior = Prior::from_fn(["n"], |rng, _| [f32::from(rng.random_range(0..4u8))]);
    let prior = prior.with_log_prob([Interval::Between(0.0, 3.0)], |_| 0.25_f64.ln()).expect("one interval");
    let theta = prior.sample(1000, 3).expect("it draws");
    let mut rng = rng(9);
    let x = theta.mapv(|n| n + f32::from(rng.random_bool(0.5)));
    let mut npe = npe(prior, short(), 1);
    npe.append(theta, x).expect("sound pairs");
    npe.train().expect("it trains");
    let summary = &npe.summaries()[0];
    assert_eq!((summary.trained, summary.held_out, summary.warnings.len()), (900, 100, 0), "{summary}");
}

/// A tenth of 300 pairs is held out, however they come; what is held out of some stays so when more come.
#[test]
fn pairs_that_come_a_few_at_a_time_are_held_out_too() {
    let all = simulated(300);
    for chunk in [1, 3, 7, 9] {
        let mut npe = npe(box_prior(1), short(), 1);
        let rows: Vec<usize> = (0..300).collect();
        for part in rows.chunks(chunk) {
            appended(&mut npe, &all.select(part));
        }
        npe.train().expect("it trains");
        let summary = &npe.summaries()[0];
        assert_eq!((summary.trained, summary.held_out), (270, 30), "in chunks of {chunk}");
    }
}

fn foreign(npe: &Npe) -> Vec<&String> {
    npe.summaries().iter().flat_map(|summary| &summary.warnings).filter(|w| w.contains("do not look like")).collect()
}

/// n = 400 parameters each, at alpha = 1e-4 for all comparisons of a training: from the prior, with and without those
/// of data that are not finite, whose parameters are the high ones; and from the posterior that was proposed. The
/// twins: a narrower distribution, at once and in chunks; and a posterior that was not proposed.
#[test]
fn parameters_that_are_not_from_the_prior_are_warned_of() {
    let prior = || Prior::independent([("t", Univariate::normal(0.0, 1.0).expect("settings"))]);
    let data = |theta: &Array2<f32>, valid: f32| {
        let mut rng = rng(5);
        theta.mapv(|t| if t > valid { f32::NAN } else { t + 0.5 * rng.sample::<f32, _>(StandardNormal) })
    };
    let of = |theta: Array2<f32>, valid: f32, chunk: usize| {
        let mut npe = npe(prior(), short(), 1);
        for rows in theta.axis_chunks_iter(Axis(0), chunk) {
            npe.append(rows.to_owned(), data(&rows.to_owned(), valid)).expect("some are finite");
        }
        npe.train().expect("it trains");
        npe
    };
    let from_prior = |seed: u64| prior().sample(400, seed).expect("it draws");
    for seed in 1..=5 {
        assert!(foreign(&of(from_prior(seed), 10.0, 400)).is_empty());
    }
    let dropped = of(from_prior(1), 0.5, 400);
    assert!(dropped.summaries()[0].excluded > 100 && foreign(&dropped).is_empty());
    let narrow = Prior::independent([("t", Univariate::normal(0.5, 0.5).expect("settings"))]);
    let narrow = || narrow.sample(400, 1).expect("it draws");
    for chunk in [400, 5] {
        let npe = of(narrow(), 10.0, chunk);
        let [warning] = foreign(&npe)[..] else { panic!("one warning: {:?}", npe.summaries()) };
        for part in ["400 appended simulations", "draws from the prior", "`t` does not", "by `set_proposal`"] {
            assert!(warning.contains(part), "`{part}` is not in: {warning}");
        }
    }
    for is_said in [true, false] {
        let mut npe = of(from_prior(1), 10.0, 400);
        let training = npe.train().expect("it trains");
        let posterior = training.with_observation(arr1(&[1.0])).expect("one number");
        let theta = posterior.sample(400, 3).expect("it draws").data_set(0).to_owned();
        if is_said {
            npe.set_proposal(Proposal::posterior(posterior).expect("it has an observation"));
        }
        npe.append(theta.clone(), data(&theta, 100.0)).expect("all are finite");
        npe.train().expect("it trains");
        assert_eq!(foreign(&npe).len(), usize::from(!is_said), "{:?}", npe.summaries().last());
    }
}
