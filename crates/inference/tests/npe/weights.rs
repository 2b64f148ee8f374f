//! Checks that a configurator's weights hold in every round, whatever the loss.

use crate::{box_prior, config_of, shifted, small};
use bayesburn_amortizers::{AmortizerError, Configurator, Configured, DefaultConfigurator};
use bayesburn_core::Simulations;
use bayesburn_inference::{Correction, InferenceError, Npe, NpeTraining, Proposal};
use bayesburn_simulation::Progress;
use bayesburn_trainers::TrainerError;
use ndarray::arr1;

fn weighing(weight: fn(f32) -> f32) -> impl Configurator {
    move |simulations: &Simulations| -> Result<Configured, AmortizerError> {
        let weights = simulations.parameters.column(0).mapv(weight);
        DefaultConfigurator.configure(simulations)?.with_weights(weights)
    }
}

fn training() -> NpeTraining {
    NpeTraining::new().with_batch_size(50).with_learning_rate(5e-3).with_max_epochs(60)
}

/// θ is uniform on [−2, 2] and x − 1 = θ + noise of standard deviation 1. Weights of 2 above 0 and 0 below it make the
/// prior one of [0, 2]: at x = 1 half of the posterior of equal weights is below 0, and none of the other one's. n =
/// 1,000 draws: below 0.2, since two normals do not end at 0, and between 0.4 and 0.6.
fn share_below_zero(weight: fn(f32) -> f32, correction: Option<Correction>) -> f64 {
    let correction_of = correction.unwrap_or(Correction::Atomic { atoms: 10 });
    let config = config_of(small(), training().with_correction(correction_of));
    let builder = Npe::builder(shifted(1, 1.0), config).configurator(weighing(weight)).seed(3);
    let mut npe = builder.progress(Progress::Hidden).build().expect("sound");
    npe.simulate(800).expect("it simulates");
    let mut posterior = npe.train().expect("it trains").with_observation(arr1(&[1.0])).expect("one number");
    if correction.is_some() {
        npe.set_proposal(Proposal::posterior(posterior).expect("it has an observation"));
        npe.simulate(800).expect("it simulates");
        posterior = npe.train().expect("it trains").with_observation(arr1(&[1.0])).expect("one number");
    }
    let draws = posterior.sample(1000, 1).expect("a sound request");
    draws.values().iter().filter(|theta| **theta < 0.0).count() as f64 / 1000.0
}

#[test]
fn weights_hold_in_rounds_of_every_loss() {
    let half = |theta: f32| if theta > 0.0 { 2.0 } else { 0.0 };
    let all = [None, Some(Correction::Atomic { atoms: 10 }), Some(Correction::AtomicCombined { atoms: 10 })];
    for correction in all.into_iter().chain([Some(Correction::ClosedForm)]) {
        let share = share_below_zero(half, correction);
        assert!(share < 0.2, "{correction:?}: {share}");
    }
    let twin = share_below_zero(|_| 1.0, None);
    assert!((twin - 0.5).abs() < 0.1, "the twin, of equal weights: {twin}");
}

/// Of batches of 10, two thirds have no weight.
#[test]
fn kernels_that_are_zero_for_most_simulations_train() {
    let config = config_of(small(), training().with_batch_size(10));
    let kernel = |theta: f32| if (theta - 1.0).abs() < 0.1 { 20.0 } else { 0.0 };
    let builder = Npe::builder(shifted(1, 1.0), config.clone()).configurator(weighing(kernel)).seed(3);
    let mut npe = builder.progress(Progress::Hidden).build().expect("sound");
    npe.simulate(1000).expect("it simulates");
    let posterior = npe.train().expect("it trains");
    let steps = &npe.history().expect("it has trained").steps;
    let of_nothing = steps.iter().filter(|step| step.loss == Some(0.0)).count();
    assert!(of_nothing > steps.len() / 3 && steps.iter().all(|step| step.loss.is_some()), "{of_nothing}");
    let mean = posterior.sample_for(&arr1(&[1.0]), 1000, 1).expect("a sound request").mean()[[0, 0]];
    assert!((mean - 1.0).abs() < 0.25, "{mean}");
    let nothing = Npe::builder(box_prior(1), config).configurator(weighing(|_| 0.0)).build();
    let mut nothing = nothing.expect("sound");
    let pairs = npe.simulations().next().expect("a call").clone();
    nothing.append(pairs.parameters, pairs.data).expect("sound pairs");
    let error = nothing.train().expect_err("no weight");
    let none = |error: &InferenceError| {
        matches!(error, InferenceError::Trainer(TrainerError::Amortizer(AmortizerError::NoWeight { .. })))
    };
    assert!(none(&error) && error.to_string().contains("all 900 pilot simulations are 0"), "{error}");
}
