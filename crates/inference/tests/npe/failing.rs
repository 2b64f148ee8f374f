//! Infers with simulators that return one number, fail at times or panic, and predicts with them.

use crate::{builder, short};
use bayesburn_inference::{Npe, infer};
use bayesburn_simulation::{GenerativeModel, InvalidSimulations, Panics, Prior, Simulator, Univariate};
use ndarray::{arr0, arr1, arr2};
use rand::RngExt;
use rand_distr::StandardNormal;

fn prior() -> Prior {
    Prior::independent([("growth", Univariate::normal(0.0, 1.0).expect("sound"))])
}

/// NaN where θ is in the upper tenth of its prior.
fn diverging() -> Simulator {
    Simulator::from_fn(|rng, theta, _| {
        let x = theta[0] + 0.5 * rng.sample::<f32, _>(StandardNormal);
        arr1(&[if theta[0] > 1.2816 { f32::NAN } else { x }])
    })
}

#[test]
fn a_simulator_may_return_one_number() {
    let number = Simulator::from_fn(|rng, theta, _| arr0(theta[0] + rng.sample::<f32, _>(StandardNormal)));
    let vector = Simulator::from_fn(|rng, theta, _| arr1(&[theta[0] + rng.sample::<f32, _>(StandardNormal)]));
    let [number, vector] =
        [number, vector].map(|simulator| infer(simulator, prior(), short(), 200, 1).expect("it trains"));
    let expected = vector.sample_for(&arr1(&[0.5]), 20, 1).expect("one observation");
    assert_eq!(number.sample_for(&arr0(0.5), 20, 1).expect("one number"), expected);
    assert_eq!(number.sample_for(&arr1(&[0.5]), 20, 1).expect("a vector of one"), expected);
    let many = vector.sample_for(&arr2(&[[0.5], [1.5], [2.5]]), 20, 1).expect("three");
    assert_eq!(number.sample_for(&arr1(&[0.5, 1.5, 2.5]), 20, 1).expect("three numbers"), many);
    let own = number.with_observation(arr0(0.5)).expect("one number");
    assert_eq!(own.sample(20, 1).expect("its own"), expected);
}

/// What an inference takes, a model takes: the default policy refuses when it simulates.
#[test]
fn models_and_inferences_take_the_same_simulators() {
    let infers = infer(diverging(), prior(), short(), 300, 1).expect("a tenth is left out");
    let model = GenerativeModel::new(prior(), diverging()).expect("most are valid");
    let error = model.simulate(300, 1).expect_err("a tenth is not finite").to_string();
    assert!(error.contains("`Simulator::on_invalid`"), "{error}");
    let mut npe: Npe = builder(model.clone(), short(), 1).build().expect("sound");
    npe.simulate(300).expect("a tenth is left out");
    let posterior = npe.train().expect("it trains");
    assert_eq!(posterior.summary().map(|summary| summary.excluded), infers.summary().map(|summary| summary.excluded));
}

#[test]
fn predictions_follow_every_policy() {
    let posterior = infer(diverging(), prior(), short(), 300, 1).expect("it trains");
    let x = arr1(&[0.9]);
    let predict = |policy| {
        let model = GenerativeModel::new(prior(), diverging().on_invalid(policy)).expect("most are valid");
        posterior.predict(&model, &x, 200, 1).expect("it predicts")
    };
    let drop = predict(InvalidSimulations::Drop);
    assert!(drop.len() < 200 && drop.len() + drop.invalid.len() == 200, "some are left out");
    assert_eq!(predict(InvalidSimulations::Error), drop, "as they are from the training");
    // Whether it fails is certain here, given the parameters: no redraw helps.
    let redrawn = predict(InvalidSimulations::Redraw { max_attempts: 5 });
    assert_eq!((&redrawn.parameters, &redrawn.data.values()), (&drop.parameters, &drop.data.values()));
    assert_eq!(redrawn.invalid.len(), 5 * drop.invalid.len());
    let masked = predict(InvalidSimulations::Mask);
    assert!(masked.len() == 200 && masked.observations().iter().filter(|x| x.is_nan()).count() == drop.invalid.len());
}

#[test]
fn panics_are_left_out_where_the_simulator_says_so_and_told_of() {
    let crash = || {
        Simulator::from_fn(|rng, theta, _| {
            assert!(theta[0] < 1.0, "no convergence at {}", theta[0]);
            arr1(&[theta[0] + rng.sample::<f32, _>(StandardNormal)])
        })
    };
    let error = infer(crash(), prior(), short(), 300, 1).expect_err("a panic is an error").to_string();
    assert!(error.contains("no convergence") && error.contains("`Simulator::on_panic`"), "{error}");
    let model = GenerativeModel::new(prior(), crash().on_panic(Panics::AsInvalid)).expect("most are valid");
    let mut npe: Npe = builder(model.clone(), short(), 1).build().expect("sound");
    npe.simulate(300).expect("some are left out");
    let posterior = npe.train().expect("it trains");
    let panicked: usize = npe.simulations().map(|part| part.panicked.len()).sum();
    let summary = posterior.summary().expect("just trained").clone();
    assert!(panicked > 20 && summary.excluded == panicked, "{panicked}, {summary}");
    let told = format!("{panicked} simulations panicked");
    assert!(summary.warnings.iter().any(|text| text.contains(&told) && text.contains("no convergence")), "{summary}");
    assert!(posterior.predict(&model, &arr1(&[0.9]), 100, 1).expect("most converge").len() < 100);
}
