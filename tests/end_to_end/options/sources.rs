//! Trains on sources of every kind, with batches made ahead or not.

use super::{builder, loss};
use crate::models::{normal_means, short_run, small_networks, training};
use bayesburn::{
    prelude::*,
    trainers::{RunContext, Source, TrainerError, Validation},
};
use std::sync::{Arc, Mutex};

/// A source of one's own, in a few lines: odd steps repeat the batch of the step before.
struct Twice;

impl Source for Twice {
    fn epochs(&self) -> Result<Vec<usize>, TrainerError> {
        Ok(vec![4, 6])
    }

    fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError> {
        Ok(run.model()?.simulate_from(run.seed(), (step / 2 * 8) as u64, 8)?)
    }

    fn config(&self) -> serde_json::Value {
        serde_json::json!("twice")
    }
}

#[test]
fn a_source_of_ones_own_trains_and_its_batches_are_remembered() {
    let mut trainer = builder().memory(4).build().expect("valid networks");
    let history = trainer.train(Twice, &training()).expect("training succeeds");
    assert_eq!(history.epochs.iter().map(|epoch| epoch.steps).collect::<Vec<_>>(), [4, 10]);
    let memory: Vec<_> = trainer.memory().collect();
    assert_eq!(memory.len(), 4);
    assert!(memory[0] == memory[1] && memory[2] == memory[3] && memory[0] != memory[2]);
}

pub(super) struct Panics;

impl Source for Panics {
    fn epochs(&self) -> Result<Vec<usize>, TrainerError> {
        Ok(vec![4])
    }

    fn batch(&mut self, _step: usize, _run: &RunContext) -> Result<Simulations, TrainerError> {
        panic!("a mistake")
    }

    fn config(&self) -> serde_json::Value {
        serde_json::json!("panics")
    }
}

#[test]
fn a_source_that_panics_is_an_error() {
    for prefetch in [0, 4] {
        let mut trainer = builder().prefetch(prefetch).build().expect("valid networks");
        let error = trainer.train(Panics, &training()).map(|_| ()).expect_err("it panics").to_string();
        assert!(error.contains("panicked at step 0"), "{error}");
    }
}

/// Every mode gives the same bits whether batches are made ahead or not, and however many are.
#[test]
fn making_batches_ahead_changes_nothing() {
    let data = Dataset::from_simulations(normal_means().simulate(64, 3).expect("simulates")).expect("sound");
    let run = |mode: usize, prefetch| {
        let mut trainer = builder().prefetch(prefetch).build().expect("valid networks");
        match mode {
            0 => trainer.train(short_run(), &training()).map(|_| ()),
            1 => {
                let source = Replay::new().with_epochs(3).with_iterations_per_epoch(6).with_batch_size(8);
                trainer.train(source.with_capacity(2).with_replayed_per_fresh(1), &training()).map(|_| ())
            }
            2 => {
                let source = Rounds::new().with_rounds(3).with_simulations_per_round(20).with_epochs_per_round(2);
                trainer.train(source.with_batch_size(8), &training()).map(|_| ())
            }
            _ => trainer.train(Offline::new(data.clone()).with_epochs(3).with_batch_size(8), &training()).map(|_| ()),
        }
        .expect("training succeeds");
        (trainer.history().clone(), loss(&trainer))
    };
    for mode in 0..4 {
        let now = run(mode, 0);
        assert!(now == run(mode, 1) && now == run(mode, 7), "mode {mode}");
    }
}

/// Data that were simulated elsewhere are enough, also with values that are missing.
#[test]
fn a_trainer_made_from_data_trains_offline_alone() {
    let mut simulations = normal_means().simulate(80, 3).expect("simulates");
    simulations.data.update(|mut values| values[[7, 3, 1]] = f32::NAN);
    let data = Dataset::from_simulations(simulations).expect("sound");
    let source = |data: &Dataset| Offline::new(data.clone()).with_epochs(2).with_batch_size(8);
    let build = |data: &Dataset| Trainer::builder(data.clone(), small_networks()).progress(Progress::Hidden).build();

    let error = build(&data).map(|_| ()).expect_err("one value is NaN").to_string();
    assert!(error.contains("row 7") && error.contains("NaN"), "{error}");
    for (policy, features, rows) in [(InvalidSimulations::Drop, 2, 79), (InvalidSimulations::Mask, 4, 80)] {
        let data = data.clone().on_invalid(policy).expect("data cannot be redrawn, but dropped or masked");
        let mut trainer = build(&data).expect("sound now");
        let history = trainer.train(source(&data), &TrainingConfig::new()).expect("training succeeds");
        let invalid: usize = history.epochs.iter().map(|epoch| epoch.invalid_simulations).sum();
        let held_out = invalid == 0; // in which case it is never trained on
        assert!(held_out || invalid == 2, "{policy:?}: {invalid} in two epochs");
        let all = trainer.configure(&data.select(&(0..80).collect::<Vec<_>>()).expect("rows")).expect("configures");
        assert_eq!((all.conditions.sets().dim().2, all.len()), (features, rows), "{policy:?}");
        let error = trainer.train(short_run(), &TrainingConfig::new()).map(|_| ()).expect_err("no model").to_string();
        assert!(error.contains("needs a generative model") && error.contains("offline"), "{error}");
    }
}

/// What is held out stays held out: a second run does not train on what the first was validated on.
#[test]
fn two_offline_runs_hold_out_the_same_simulations() {
    let simulations = normal_means().simulate(80, 3).expect("simulates");
    let data = Dataset::from_simulations(simulations.clone()).expect("sound");
    let mut trainer = builder().memory(1000).build().expect("valid networks");
    for _ in 0..2 {
        let source = Offline::new(data.clone()).with_epochs(2).with_batch_size(8);
        trainer.train(source, &TrainingConfig::new()).expect("training succeeds");
    }
    let trained: Vec<f32> = trainer.memory().flat_map(|batch| batch.parameters.column(0).to_vec()).collect();
    assert_eq!(trained.len(), 4 * 72);
    let never = simulations.parameters.column(0).iter().filter(|theta| !trained.contains(theta)).count();
    assert_eq!(never, 8);
}

/// A last batch of one simulation, which is invalid and dropped, ends nothing.
#[test]
fn a_batch_of_which_all_is_dropped_is_passed_over() {
    let mut simulations = normal_means().simulate(17, 3).expect("simulates");
    simulations.data.update(|mut values| values.slice_axis_mut(ndarray::Axis(0), (0..9).into()).fill(f32::NAN));
    let data = Dataset::from_simulations(simulations).and_then(|data| data.on_invalid(InvalidSimulations::Drop));
    let data = data.expect("sound");
    let networks = small_networks();
    let mut trainer = Trainer::builder(data.clone(), networks).progress(Progress::Hidden).build().expect("8 are valid");
    let source = Offline::new(data).with_epochs(20).with_batch_size(2).with_validation(Validation::None);
    let history = trainer.train(source, &TrainingConfig::new()).expect("8 are valid");
    assert_eq!(history.steps.len(), 20 * 9);
}

/// Validation of a model with a varying number of observations sees many of them: its loss is that of simulated batches
/// of 16.
#[test]
fn validation_of_varying_shapes_has_many_batches() {
    let prior = Prior::from_fn(["mu_1", "mu_2"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let seen = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let numbers = seen.clone();
    let simulator = Simulator::from_fn(move |rng, mu, context| {
        numbers.lock().expect("not poisoned").insert(context.num_observations());
        Array2::from_shape_fn((context.num_observations(), 2), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
    })
    .with_context(ContextGenerator::num_observations(2..=50));
    let model = GenerativeModel::new(prior, simulator).expect("sound");
    let mut trainer =
        Trainer::builder(model, small_networks()).prefetch(0).progress(Progress::Hidden).build().expect("valid");
    seen.lock().expect("not poisoned").clear();
    let one_step = Online::new().with_epochs(1).with_iterations_per_epoch(1).with_batch_size(4);
    trainer.train(one_step, &training().with_validation_simulations(160)).expect("training succeeds");
    // 10 batches of validation and 1 of training: with this seed at most one number comes twice.
    assert!(seen.lock().expect("not poisoned").len() >= 8, "{seen:?}");
}
