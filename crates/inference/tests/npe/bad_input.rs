//! Refuses what cannot be right, and says what was expected, what came and what to do.

use crate::{box_prior, builder, config_of, npe, shifted, short, small};
use bayesburn_amortizers::{Configurator, DefaultConfigurator};
use bayesburn_core::{Interval, Simulations};
use bayesburn_inference::{
    Correction, InferenceError, Npe, NpeConfig, NpeTraining, ParameterSpace, Posterior, Proposal, infer,
};
use bayesburn_simulation::{ContextGenerator, GenerativeModel, Prior, SimulationError, Simulator, Univariate};
use ndarray::{Array1, Array2, arr1, array};
use rand::RngExt;

fn says(error: &InferenceError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

fn trained() -> Posterior {
    let mut npe = npe(shifted(2, 0.5), short(), 1);
    npe.simulate(100).expect("it simulates");
    npe.train().expect("it trains")
}

#[test]
fn parameters_that_the_prior_cannot_have() {
    let mut npe = npe(box_prior(2), short(), 1);
    let error = npe.append(array![[0.0, 0.0], [1.0, 2.5]], array![[1.0], [2.0]]).expect_err("outside of the box");
    assert!(matches!(error, InferenceError::OutsidePrior { simulation: 1, .. }), "{error:?}");
    says(&error, &["simulation 1", "[1.0, 2.5]", "`theta_1` can be [-2, 2]", "widen the prior"]);
    assert_eq!(npe.num_simulations(), 0, "nothing of it is kept");
    // Where a density is 0 inside of the intervals.
    let triangle = Prior::from_fn(["start", "end"], |rng, _| {
        let (a, b) = (rng.random::<f32>(), rng.random::<f32>());
        [a.min(b), a.max(b)]
    });
    let log = |t: &[f32]| if t[0] <= t[1] { 2_f64.ln() } else { f64::NEG_INFINITY };
    let triangle = triangle.with_log_prob([Interval::Between(0.0, 1.0); 2], log).expect("two intervals");
    let mut npe = crate::npe(triangle, short(), 1);
    let error = npe.append(array![[0.7, 0.2]], array![[1.0]]).expect_err("the wrong order");
    says(&error, &["simulation 0", "[0.7, 0.2]", "density is 0"]);
    npe.append(array![[0.2, 0.7]], array![[1.0]]).expect("the right order");
}

#[test]
fn observations_of_another_shape() {
    let posterior = trained();
    let error = posterior.clone().with_observation(arr1(&[0.5])).expect_err("one of two numbers");
    says(&error, &["shape [1]", "shape [2]", "as the simulator returns it"]);
    assert!(posterior.clone().with_observation(array![[0.5, 0.5]]).is_err(), "a batch is no observation of one's own");
    let wrong = Array2::zeros((3, 5));
    let errors = [
        posterior.sample_for(&wrong, 10, 1).map(|_| ()),
        posterior.acceptance_for(&wrong, 1).map(|_| ()),
        posterior.log_prob_for(&Array2::zeros((3, 2)), &wrong).map(|_| ()),
        posterior.map_for(&wrong, 1).map(|_| ()),
        posterior.sample_for(&array![[[0.5, 0.5]]], 10, 1).map(|_| ()),
    ];
    for result in errors {
        assert!(matches!(result, Err(InferenceError::Observation { .. })), "{result:?}");
    }
    assert_eq!(posterior.sample_for(&Array2::zeros((3, 2)), 10, 1).expect("a batch").values().dim(), (3, 10, 2));
}

#[test]
fn observations_that_are_not_finite() {
    let posterior = trained();
    let error = posterior.clone().with_observation(arr1(&[0.5, f32::NAN])).expect_err("NaN");
    says(&error, &["NaN at position [1]", "remove or replace"]);
    let error = posterior.sample_for(&array![[0.5, 0.5], [f32::INFINITY, 0.5]], 10, 1).expect_err("infinity");
    assert!(
        matches!(&error, InferenceError::NonFiniteObservation { position, .. } if *position == [1, 0]),
        "{error:?}"
    );
}

#[test]
fn no_observation() {
    let posterior = trained();
    let errors = [
        posterior.sample(10, 1).map(|_| ()),
        posterior.log_prob(&array![[0.0, 0.0]]).map(|_| ()),
        posterior.map(1).map(|_| ()),
    ];
    for result in errors {
        let error = result.expect_err("no observation");
        assert!(matches!(error, InferenceError::NoObservation), "{error:?}");
        says(&error, &["pass one, or set it by `with_observation`"]);
    }
}

#[test]
fn parameters_of_another_width_or_number() {
    let posterior = trained().with_observation(arr1(&[0.5, 0.5])).expect("two numbers");
    assert!(posterior.log_prob(&array![[0.0]]).is_err());
    assert!(posterior.log_prob(&array![[0.0, f32::NAN]]).is_err());
    assert!(posterior.log_prob_for(&Array2::zeros((3, 2)), &Array2::zeros((2, 2))).is_err());
    let mut npe = npe(shifted(2, 0.5), short(), 1);
    let error = npe.append(array![[0.0]], array![[1.0, 1.0]]).expect_err("one parameter of two");
    says(&error, &["the number of columns of the parameters` is 1", "as many as the prior has"]);
    let error = npe.append(array![[0.0, 0.0]], array![[1.0], [1.0]]).expect_err("two data for one");
    says(&error, &["the number of rows of the parameters` is 1", "that of the data's"]);
    npe.append(array![[0.0, 0.0]], array![[1.0, 1.0]]).expect("sound");
    let error = npe.append(array![[0.0, 0.0]], array![[1.0, 1.0, 1.0]]).expect_err("three numbers after two");
    says(&error, &["[3]", "[2]"]);
}

#[test]
fn priors_without_a_density() {
    let function = || Prior::from_fn(["a"], |rng, _| [rng.random::<f32>()]);
    let simulator = || Simulator::from_fn(|_, theta, _| arr1(&[theta[0]]));
    let model = GenerativeModel::new(function(), simulator()).expect("it simulates");
    let contextual = Prior::independent([("a", Univariate::normal(0.0, 1.0).expect("valid"))]);
    let contextual = contextual.with_context(ContextGenerator::new());
    let errors = [
        builder(model, short(), 1).build().map(|_| ()),
        builder(function(), short(), 1).build().map(|_| ()),
        builder(contextual, short(), 1).build().map(|_| ()),
        infer(simulator(), function(), short(), 10, 1).map(|_| ()),
    ];
    for result in errors {
        let error = result.expect_err("no density");
        assert!(matches!(error, InferenceError::Prior { .. }), "{error:?}");
        says(&error, &["[\"a\"]", "make it from distributions", "`Prior::with_log_prob`"]);
    }
    let log_prob = |_: &[f32]| 0.0;
    let with = function().with_log_prob([Interval::Between(0.0, 1.0)], log_prob).expect("one interval");
    assert!(infer(simulator(), with, short(), 100, 1).is_ok());
}

#[test]
fn too_few_simulations_to_hold_some_out() {
    let mut npe = npe(shifted(1, 0.5), short(), 1);
    assert!(matches!(npe.train(), Err(InferenceError::NoSimulations)));
    npe.simulate(9).expect("it simulates");
    let error = npe.train().expect_err("0.9 of one");
    says(
        &error,
        &["of 9 simulations a validation fraction of 0.1 leaves 0 to validate on and 9 to train on", "least 10 in all"],
    );
    npe.simulate(1).expect("it simulates");
    npe.train().expect("one to validate on");
}

#[test]
fn no_simulator_and_no_simulations() {
    let mut npe = npe(box_prior(1), short(), 1);
    let error = npe.simulate(10).expect_err("a prior alone");
    says(&error, &["there is no simulator", "append simulations of your own by `append`"]);
    let error = npe.train().expect_err("nothing to train on");
    says(&error, &["call `simulate` or `append` first"]);
    let mut npe = crate::npe(shifted(1, 0.5), short(), 1);
    let error = npe.simulate(0).expect_err("none");
    says(&error, &["`num_simulations` is 0, but must be at least 1"]);
}

#[test]
fn settings_out_of_range() {
    let training = NpeTraining::new;
    let cases = [
        (training().with_batch_size(0), "`batch_size` is 0, but must be at least 1"),
        (training().with_learning_rate(0.0), "`learning_rate` is 0"),
        (training().with_learning_rate(f64::NAN), "`learning_rate` is NaN"),
        (training().with_validation_fraction(0.0), "`validation_fraction` is 0"),
        (training().with_validation_fraction(1.0), "`validation_fraction` is 1"),
        (training().with_stop_after_epochs(0), "`stop_after_epochs` is 0"),
        (training().with_max_epochs(0), "`max_epochs` is 0"),
        (training().with_weight_average(Some(1.5)), "`weight_average` is 1.5"),
        (training().with_clip_norm(Some(-1.0)), "`clip_norm` is -1"),
        (training().with_correction(Correction::Atomic { atoms: 1 }), "`atoms` is 1, but must be at least 2"),
        (training().with_correction(Correction::AtomicCombined { atoms: 0 }), "`atoms` is 0"),
    ];
    for (training, part) in cases {
        let error = builder(shifted(1, 0.5), config_of(small(), training), 1).build().map(|_| ()).expect_err(part);
        says(&error, &[part]);
    }
    // Those of networks are found when they are made.
    let mut npe = npe(shifted(1, 0.5), config_of(small().with_components(0), NpeTraining::new()), 1);
    npe.simulate(100).expect("it simulates");
    assert!(npe.train().is_err());
}

#[test]
fn simulators_that_fail() {
    let broken = Simulator::from_fn(|_, theta, _| {
        assert!(theta[0] < 1.9, "theta is too large");
        arr1(&[theta[0]])
    });
    let model = GenerativeModel::new(box_prior(1), broken).expect("the pilot run is fine");
    let error = npe(model, short(), 1).simulate(1000).expect_err("it panics");
    assert!(matches!(&error, InferenceError::Simulation(SimulationError::Panicked { .. })), "{error:?}");
    says(&error, &["theta is too large"]);
}

/// Bounds of one's own that are not the prior's.
#[test]
fn a_density_mapped_from_another_support() {
    let mut config: NpeConfig = short();
    config.networks.support = Some(vec![Interval::Between(-1.0, 1.0)]);
    let mut npe: Npe = npe(shifted(1, 0.5), config, 1);
    npe.simulate(100).expect("it simulates");
    assert!(npe.train().is_err(), "simulations are outside");
    let error = Proposal::posterior(trained()).expect_err("no observation");
    assert!(matches!(error, InferenceError::NoObservation));
    assert_eq!(short().with_space(ParameterSpace::Unconstrained).networks.support, None, "set when it is built");
    let wide = Array1::from_elem(2, 0.5);
    assert!(trained().with_observation(wide).is_ok());
}

/// With one simulation in a batch, or held out, there is no other parameter to choose: the loss would be 0 whatever the
/// network.
#[test]
fn atoms_need_others_to_choose_from() {
    let after_one_round = |training: NpeTraining| {
        let mut npe = npe(shifted(1, 0.5), config_of(small(), training.with_max_epochs(2)), 1);
        npe.simulate(20).expect("it simulates");
        let posterior = npe.train().expect("it trains").with_observation(arr1(&[0.5])).expect("sound");
        npe.set_proposal(Proposal::posterior(posterior).expect("an observation"));
        npe.simulate(20).expect("it simulates");
        npe.train()
    };
    let alone = after_one_round(NpeTraining::new().with_batch_size(1)).expect_err("one in a batch");
    says(&alone, &["`batch_size` is 1", "at least 2 for atoms"]);
    let closed = NpeTraining::new().with_batch_size(1).with_correction(Correction::ClosedForm);
    assert!(after_one_round(closed).is_ok() && after_one_round(NpeTraining::new().with_batch_size(2)).is_ok());
}

#[test]
fn pairs_of_which_there_are_none() {
    let mut npe = npe(box_prior(2), short(), 1);
    let none = npe.append(Array2::zeros((0, 2)), Array2::<f32>::zeros((0, 2))).expect_err("no pairs");
    says(&none, &["`the number of pairs` is 0", "at least 1"]);
    assert!(npe.append(Array2::zeros((0, 2)), ndarray::arr0(1.0f32)).is_err());
}

#[test]
fn a_number_of_observations_that_varies() {
    let model = |most| {
        let simulator = Simulator::from_fn(|_, theta, context| Array1::from_elem(context.num_observations(), theta[0]));
        let context = ContextGenerator::num_observations(5..=most);
        GenerativeModel::new(box_prior(1), simulator.with_context(context)).expect("it simulates")
    };
    let error = builder(model(50), short(), 1).build().expect_err("any of 46");
    says(&error, &["5 to 50 observations", "fix their number", "train on sets of any size by `Trainer`"]);

    // Of one number it is context nonetheless, which an observation has not.
    let error = builder(model(5), short(), 1).build().expect_err("the networks would see it");
    says(&error, &["context", "leave it out by a configurator"]);
    let without = |simulations: &Simulations| {
        let simulations = Simulations { sim_non_batchable_context: None, ..simulations.clone() };
        DefaultConfigurator.configure(&simulations)
    };
    let mut npe = builder(model(5), short(), 1).configurator(without).build().expect("it takes care of it");
    npe.simulate(100).expect("it simulates");
    npe.train().expect("it trains").sample_for(&Array1::from_elem(5, 0.5), 10, 1).expect("it draws");
}
