//! Checks that bad input is told, with what to do.

use crate::{config, model, npe, prior, short, zeros};
use bayesburn_inference::{Correction, InferenceError, Npe, NpeTraining, Proposal};
use bayesburn_simulation::{GenerativeModel, InvalidSimulations, Prior, Simulator};
use ndarray::{Array2, arr1, arr2};

fn message<T>(result: Result<T, InferenceError>) -> String {
    result.err().expect("refused").to_string()
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn pairs_that_do_not_fit_are_refused() {
    let mut npe = Npe::builder(prior(2), short()).build().expect("valid settings");
    let outside = message(npe.append(arr2(&[[0.0, 0.0], [0.0, 2.5]]), Array2::<f32>::zeros((2, 2))));
    assert_says(&outside, &["simulation 1", "2.5", "theta_2", "[-2, 2]", "widen the prior"]);
    assert_says(&message(npe.append(Array2::zeros((2, 2)), Array2::<f32>::zeros((3, 2)))), &["3 data sets for 2"]);
    assert_says(&message(npe.append(Array2::zeros((2, 3)), Array2::<f32>::zeros((2, 2)))), &["2 names for 3"]);
    assert_says(&message(npe.append(Array2::zeros((2, 2)), Array2::from_elem((2, 2), f32::NAN))), &["none of 2"]);
    assert_says(&message(npe.simulate(10)), &["no simulator"]);
    assert_says(&message(npe.train()), &["no simulations"]);
    npe.append(Array2::zeros((9, 2)), Array2::<f32>::zeros((9, 2))).expect("pairs");
    assert_says(&message(npe.append(Array2::zeros((9, 2)), Array2::<f32>::zeros((9, 3)))), &["[3]", "[2]"]);
    assert_says(&message(npe.train()), &["of 9 simulations", "at least 10"]);
}

/// A tenth of them is not finite, and one number is always 7.
#[test]
fn invalid_pairs_are_left_out_and_counted_and_constant_data_told() {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        let x = theta[0] + rand::RngExt::random::<f32>(rng);
        arr1(&[if theta[0] > 1.6 { f32::NAN } else { x }, 7.0])
    })
    .on_invalid(InvalidSimulations::Drop);
    let prior = Prior::box_uniform(["theta"], &[-2.0], &[2.0]).expect("a box");
    let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
    let mut npe = Npe::builder(model, short()).seed(3).build().expect("valid settings");
    npe.simulate(500).expect("simulations");
    let posterior = npe.train().expect("a training").with_observation(arr1(&[0.0, 7.0])).expect("an observation");
    let summary = &npe.summaries()[0];
    assert!((20..90).contains(&summary.excluded) && summary.excluded + npe.num_simulations() == 500, "{summary}");
    assert_says(&summary.to_string(), &["left out as not finite", "position [1]", "same in all simulations"]);
    // Parameters of a posterior proposal that fail would be weighed down.
    let mut wild = npe;
    wild.set_proposal(Proposal::posterior(posterior).expect("an observation"));
    let theta = Array2::from_elem((20, 1), 1.5);
    let data = Array2::from_shape_fn((20, 2), |(m, _)| if m == 0 { f32::NAN } else { 0.0 });
    assert_says(&message(wild.append(theta, data)), &["1 of 20", "Proposal::truncated"]);
}

#[test]
fn observations_that_do_not_fit_are_refused() {
    let mut npe = npe(2, short(), 2);
    npe.simulate(200).expect("simulations");
    let posterior = npe.train().expect("a training");
    assert_says(&message(posterior.sample(10, 1)), &["no observation of its own"]);
    assert_says(&message(Proposal::posterior(posterior.clone())), &["with_observation"]);
    assert_says(&message(posterior.clone().with_observation(zeros(3))), &["[3]", "[2]"]);
    assert_says(&message(posterior.clone().with_observation(arr1(&[0.0, f32::NAN]))), &["NaN", "position [0, 1]"]);
    assert_says(&message(posterior.sample_for(&Array2::<f32>::zeros((4, 3)), 10, 1)), &["[4, 3]", "[2]"]);
    assert_says(&message(posterior.sample_for(&zeros(2), 0, 1)), &["at least 1"]);
}

/// Pairs that are said to come from the posterior of x = 0, but are those of x = 2.
#[test]
fn a_proposal_that_does_not_cover_the_posterior_is_told() {
    let mut npe = npe(1, config(), 2);
    npe.simulate(500).expect("simulations");
    let posterior = npe.train().expect("a training").with_observation(zeros(1)).expect("an observation");
    npe.set_proposal(Proposal::truncated(posterior).expect("an observation"));
    npe.append(Array2::from_shape_fn((5000, 1), |(m, _)| 0.9 + 4e-5 * m as f32), Array2::<f32>::zeros((5000, 1)))
        .expect("pairs");
    npe.train().expect("a training");
    assert_says(&npe.summaries()[1].to_string(), &["hardly any simulations", "simulate another round"]);
}

#[test]
fn settings_and_folders_that_cannot_be_used_are_refused() {
    let build = |training: NpeTraining| {
        Npe::builder(prior(1), short().with_training(training)).build().expect_err("refused").to_string()
    };
    assert_says(&build(NpeTraining::new().with_batch_size(0)), &["`batch_size` is 0"]);
    assert_says(&build(NpeTraining::new().with_validation_fraction(1.0)), &["validation_fraction"]);
    assert_says(&build(NpeTraining::new().with_correction(Correction::Atomic { atoms: 1 })), &["`atoms` is 1"]);
    let function = Prior::from_fn(["theta"], |_, _| [0.5]);
    assert_says(&message(Npe::builder(function, short()).build()), &["theta", "with_log_density"]);
    assert_says(&message(Npe::builder(prior(1), short()).resume().build()), &["`resume`", "with a folder"]);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = |resume: bool| {
        let builder = Npe::builder(model(1), short()).folder(folder.path());
        if resume { builder.resume() } else { builder }.build()
    };
    open(false).expect("an empty folder").simulate(100).expect("simulations");
    assert_says(&message(open(false)), &["not empty", "resume()"]);
    let other = message(open(true).expect("it was just made").simulate(200));
    assert_says(&other, &["100 simulations from the prior", "200 simulations"]);

    let training = NpeTraining::new().with_max_epochs(2).with_correction(Correction::ClosedForm);
    let mut flow = Npe::builder(model(1), bayesburn_inference::NpeConfig::new().with_training(training)).build();
    let flow = flow.as_mut().expect("valid settings");
    flow.simulate(100).expect("simulations");
    let posterior = flow.train().expect("a training").with_observation(zeros(1)).expect("an observation");
    flow.set_proposal(Proposal::posterior(posterior).expect("an observation"));
    assert_says(&message(flow.simulate(100)), &["MixtureConfig", "Correction::Atomic"]);
}
