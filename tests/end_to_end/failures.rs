//! Lets simulators, losses and users interrupt a training, and looks at what is left of it.

use crate::models::{direct_networks, normal_means, short_run, small_networks, training};
use bayesburn::{
    prelude::*,
    trainers::{AfterLimit, Callback, NonFiniteSteps, RunContext, Source, StepReport, TrainerError},
};
use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

fn weights(folder: &Path, step: usize) -> Vec<u8> {
    fs::read(folder.join(format!("step-{step:08}/weights.safetensors"))).expect("a checkpoint")
}

/// A model whose simulator panics for large θ, until it is mended.
fn buggy(mended: &Arc<AtomicBool>) -> GenerativeModel {
    let mended = mended.clone();
    let prior = Prior::from_fn(["mu_1", "mu_2"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(move |rng, mu, _| {
        assert!(mu[0] < 2.9 || mended.load(Ordering::SeqCst), "theta is too large");
        Array2::from_shape_fn((10, 2), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
    });
    GenerativeModel::new(prior, simulator).expect("the pilot run succeeds")
}

/// P(θ > 2.9) is 0.19%: with this seed the pilot's 512 simulations and validation's 20 have none, and the training's
/// 2,000 some.
#[test]
fn a_panic_of_the_simulator_is_named_and_what_was_trained_is_saved() {
    let source = || Online::new().with_epochs(2).with_iterations_per_epoch(125).with_batch_size(8);
    let mended = Arc::new(AtomicBool::new(false));
    let build = |folder: &Path| {
        let builder = Trainer::builder(buggy(&mended), small_networks()).seed(11).checkpoints(folder);
        builder.resume().progress(Progress::Hidden).build().expect("the pilot has no large theta")
    };
    let (folder, whole) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut trainer = build(folder.path());
    let error = trainer.train(source(), &training()).map(|_| ()).expect_err("it panics").to_string();
    assert!(error.contains("panicked in simulation") && error.contains("theta is too large"), "{error}");
    let steps = trainer.history().steps.len();
    let index: usize =
        error.split("simulation ").nth(1).and_then(|s| s.split(' ').next()?.parse().ok()).expect("a number");
    assert_eq!(steps, index / 8, "the steps before the one that needs it");
    assert!(steps > 0 && folder.path().join(format!("step-{steps:08}")).exists());
    drop(trainer);
    // The simulator is mended, and the run goes on where it was.
    mended.store(true, Ordering::SeqCst);
    let mut trainer = build(folder.path());
    assert_eq!(trainer.history().steps.len(), steps);
    trainer.train(source(), &training()).expect("training succeeds");
    build(whole.path()).train(source(), &training()).expect("training succeeds");
    assert!(weights(folder.path(), 250) == weights(whole.path(), 250));
}

/// Data are NaN where the first θ is above 1: 15.9% of a standard normal's draws. Training takes 100 steps of 8; of
/// these 800 draws n·p = 127 are expected to be invalid, with standard deviation 10.3, and the bounds are 4 of them
/// away (alpha 6e-5, fixed seed).
fn with_invalid_draws(policy: InvalidSimulations) -> Result<(GenerativeModel, Trainer), TrainerError> {
    let prior = Prior::from_fn(["mu_1", "mu_2"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(move |rng, mu, _| {
        let noise = Array2::from_shape_fn((10, 2), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal));
        if is_bad(mu[0]) { noise.mapv(|x| x * f32::NAN) } else { noise }
    })
    .on_invalid(policy);
    let model = GenerativeModel::new(prior, simulator)?;
    let builder = Trainer::builder(model.clone(), small_networks()).seed(5).memory(100);
    let mut trainer = builder.progress(Progress::Hidden).build()?;
    let source = Online::new().with_epochs(2).with_iterations_per_epoch(50).with_batch_size(8);
    trainer.train(source, &training())?;
    Ok((model, trainer))
}

const EXPECTED_INVALID: std::ops::RangeInclusive<usize> = 86..=168;

#[test]
fn invalid_simulations_are_an_error_unless_it_is_said_what_to_do() {
    let error = with_invalid_draws(InvalidSimulations::Error).map(|_| ());
    let text = error.expect_err("some draws are NaN").to_string();
    assert!(text.contains("NaN") && text.contains("replay(") && text.contains("on_invalid"), "{text}");
}

#[test]
fn invalid_simulations_are_redrawn_dropped_or_masked_and_counted_and_can_be_replayed() {
    for policy in [InvalidSimulations::Redraw { max_attempts: 50 }, InvalidSimulations::Drop, InvalidSimulations::Mask]
    {
        let (model, trainer) = with_invalid_draws(policy).expect("training succeeds");
        let history = trainer.history();
        let counted: usize = history.epochs.iter().map(|epoch| epoch.invalid_simulations).sum();
        let rows: usize = trainer.memory().map(Simulations::len).sum();
        let bad_rows =
            trainer.memory().flat_map(|batch| batch.parameters.column(0).to_vec()).filter(|t| is_bad(*t)).count();
        match policy {
            // A redraw may be invalid again: 800·p/(1 − p) = 151 expected, standard deviation 13.4.
            InvalidSimulations::Redraw { .. } => {
                assert_eq!((rows, bad_rows), (800, 0));
                assert!((98..=204).contains(&counted), "{counted}");
            }
            InvalidSimulations::Drop => {
                assert_eq!((rows + counted, bad_rows), (800, 0));
                assert!(EXPECTED_INVALID.contains(&counted), "{counted}");
            }
            _ => {
                assert_eq!((rows, bad_rows), (800, counted));
                assert!(EXPECTED_INVALID.contains(&counted), "{counted}");
                let test = trainer.simulate(3, 1).expect("simulates");
                assert_eq!(test.conditions.sets().dim().2, 4, "the mask beside the data");
            }
        }
        assert_eq!(history.invalid_simulations.len(), counted.min(100));
        for id in &history.invalid_simulations {
            let replayed = model.replay(*id).expect("it runs");
            assert!(replayed.data.values().iter().any(|x| x.is_nan()) && is_bad(replayed.parameters[[0, 0]]), "{id:?}");
        }
    }
}

/// A loss that is NaN on batches whose first θ is above 1, about 16% of them.
fn with_bad_batches(config: &TrainingConfig) -> (Result<(), TrainerError>, Trainer) {
    let mut trainer = Trainer::builder(normal_means(), small_networks())
        .seed(5)
        .memory(100)
        .loss(|posterior, batch, pass| {
            let loss = posterior.loss(batch, pass)?;
            Ok(if is_bad(batch.parameters[[0, 0]]) { loss.mul_scalar(f32::NAN) } else { loss })
        })
        .progress(Progress::Hidden)
        .build()
        .expect("the first pilot batch is good");
    let source = Online::new().with_epochs(2).with_iterations_per_epoch(50).with_batch_size(8);
    (trainer.train(source, config).map(|_| ()), trainer)
}

fn is_bad(theta: f32) -> bool {
    theta > 1.0
}

#[test]
fn steps_that_are_not_finite_are_left_out_and_counted() {
    let (result, trainer) = with_bad_batches(&training());
    result.expect("never 11 in a row");
    let history = trainer.history();
    let bad: Vec<bool> = trainer.memory().map(|batch| is_bad(batch.parameters[[0, 0]])).collect();
    let left_out: Vec<bool> = history.steps.iter().map(|step| step.loss.is_none()).collect();
    assert_eq!(left_out, bad);
    let count = bad.iter().filter(|bad| **bad).count();
    // 16 expected, sd 3.7: between 4 sd below and above.
    assert!((2..=31).contains(&count), "{count} of 100");
    assert_eq!(history.epochs.iter().map(|epoch| epoch.skipped_steps).sum::<usize>(), count);
    assert_eq!(history.train_losses().len(), 100 - count);
    assert!(history.epochs.iter().all(|epoch| epoch.validation_loss.is_some() && epoch.mean_loss.is_some()));
}

#[test]
fn after_too_many_the_run_stops_with_the_weights_before_them() {
    let config = training().with_non_finite_steps(NonFiniteSteps::new().with_limit(0));
    let (result, trainer) = with_bad_batches(&config);
    let error = result.expect_err("no step may be left out").to_string();
    assert!(error.contains("training loss is NaN, in 1 consecutive steps") && error.contains("try"), "{error}");
    let test = trainer.simulate(5, 1).expect("simulates");
    assert!(trainer.amortizer().negative_log_prob(&test).expect("the pilot widths").is_finite());
}

#[test]
fn or_it_goes_back_to_earlier_weights_with_a_smaller_rate() {
    let after_limit = AfterLimit::RollBack { rate_factor: 0.5, times: 2 };
    let steps = NonFiniteSteps::new().with_limit(0).with_after_limit(after_limit);
    let constant = Schedule::new().with_decay(bayesburn::trainers::Decay::Constant);
    let config = training().with_non_finite_steps(steps).with_schedule(constant);
    let (result, trainer) = with_bad_batches(&config);
    let error = result.expect_err("the third return is one too many").to_string();
    assert!(error.contains("NaN"), "{error}");
    let history = trainer.history();
    let bad: Vec<usize> = (0..history.steps.len()).filter(|i| history.steps[*i].loss.is_none()).collect();
    assert_eq!(bad.len(), 3);
    for (i, step) in history.steps.iter().enumerate() {
        let returns = bad.iter().filter(|bad| **bad < i).count() as i32;
        assert_eq!(step.learning_rate, (5e-4 * 0.5f64.powi(returns)) as f32, "step {i}");
    }
    // Both returns were in the first epoch, to the weights it began with.
    assert!(bad[1] < 50, "{bad:?}");
}

/// Raises a flag, as a signal handler would, at one step.
pub(crate) struct Raise(pub(crate) Arc<AtomicBool>, pub(crate) usize);

impl Callback for Raise {
    fn on_step(&mut self, step: &StepReport) -> ControlFlow<String> {
        self.0.fetch_or(step.steps == self.1, Ordering::SeqCst);
        ControlFlow::Continue(())
    }
}

#[test]
fn an_interrupted_training_ends_after_its_step_with_a_checkpoint() {
    for networks in [small_networks(), direct_networks()] {
        an_interrupted_training_resumes(networks);
    }
}

fn an_interrupted_training_resumes(networks: PosteriorConfig) {
    let (folder, whole) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let builder = |folder: &Path| {
        let builder = Trainer::builder(normal_means(), networks.clone()).seed(5).checkpoints(folder);
        builder.resume().progress(Progress::Hidden)
    };
    // In the midst of an epoch, and after the last step of one.
    for at in [4, 12] {
        let flag = Arc::new(AtomicBool::new(false));
        let mut trainer =
            builder(folder.path()).stop_on(flag.clone()).callback(Raise(flag, at)).build().expect("whole or empty");
        let error = trainer.train(short_run(), &training()).map(|_| ()).expect_err("interrupted");
        assert!(matches!(error, TrainerError::Interrupted { steps, .. } if steps == at), "{error}");
        assert!(
            error.to_string().contains(&format!("step-{at:08}")) && error.to_string().contains("resume()"),
            "{error}"
        );
    }
    builder(folder.path()).build().expect("whole").train(short_run(), &training()).expect("training succeeds");
    builder(whole.path()).build().expect("empty").train(short_run(), &training()).expect("training succeeds");
    assert!(weights(folder.path(), 18) == weights(whole.path(), 18));
}

/// Short epochs whose validation data cannot be read, once.
pub(crate) struct FailsOnce(pub(crate) Online, pub(crate) Arc<AtomicBool>);

impl Source for FailsOnce {
    fn epochs(&self) -> Result<Vec<usize>, TrainerError> {
        self.0.epochs()
    }

    fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError> {
        self.0.batch(step, run)
    }

    fn config(&self) -> serde_json::Value {
        self.0.config()
    }

    fn validation(&mut self, _part: usize, _run: &RunContext) -> Result<Option<Simulations>, TrainerError> {
        match self.1.swap(false, Ordering::SeqCst) {
            true => Err(TrainerError::Source("the disk is gone".into())),
            false => Ok(None),
        }
    }
}

/// An error between the last step of an epoch and its end: the next call ends the epoch, in this process and in
/// another.
#[test]
fn an_epoch_that_could_not_be_validated_is_ended_by_the_next_call() {
    for networks in [small_networks(), direct_networks()] {
        the_next_call_ends_the_epoch(networks);
    }
}

fn the_next_call_ends_the_epoch(networks: PosteriorConfig) {
    let whole = tempfile::tempdir().expect("a folder");
    let build = |folder: &Path| {
        let builder = Trainer::builder(normal_means(), networks.clone()).seed(5).checkpoints(folder).resume();
        builder.progress(Progress::Hidden).build().expect("whole or empty")
    };
    build(whole.path()).train(short_run(), &training()).expect("training succeeds");
    for resumes in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut trainer = build(folder.path());
        let source = || FailsOnce(short_run(), Arc::new(AtomicBool::new(false)));
        let failing = FailsOnce(short_run(), Arc::new(AtomicBool::new(true)));
        // In the first epoch; without early stopping nothing asks for validation before that.
        let error = trainer.train(failing, &training()).map(|_| ()).expect_err("it fails").to_string();
        assert!(error.contains("the disk is gone"), "{error}");
        assert_eq!((trainer.history().steps.len(), trainer.history().epochs.len()), (6, 0));
        if resumes {
            drop(trainer);
            trainer = build(folder.path());
        }
        let history = trainer.train(source(), &training()).expect("training succeeds");
        assert_eq!(history.epochs.iter().map(|epoch| epoch.steps).collect::<Vec<_>>(), [6, 12, 18]);
        assert_eq!(trainer.stop_reason(), Some("all epochs are done"));
        assert!(weights(folder.path(), 18) == weights(whole.path(), 18));
    }
}

/// What an error before the first step asks for, another configuration, is possible; later the run is given up first.
#[test]
fn a_failed_run_leaves_the_way_open_for_another_configuration() {
    let mut trainer =
        Trainer::builder(normal_means(), small_networks()).progress(Progress::Hidden).build().expect("valid networks");
    let stopping = TrainingConfig::new().with_early_stopping(Some(EarlyStopping::new()));
    assert!(trainer.train(short_run(), &stopping).is_err(), "no validation");
    let flag = Arc::new(AtomicBool::new(false));
    trainer.train(short_run(), &stopping.with_validation_simulations(20)).expect("with validation it trains");
    let mut trainer = Trainer::builder(normal_means(), small_networks())
        .stop_on(flag.clone())
        .callback(Raise(flag, 4))
        .progress(Progress::Hidden)
        .build()
        .expect("valid networks");
    assert!(trainer.train(short_run(), &training()).is_err(), "interrupted");
    let refused = trainer.train(short_run().with_batch_size(9), &training()).map(|_| ()).expect_err("another run");
    assert!(refused.to_string().contains("end_run"), "{refused}");
    trainer.end_run();
    let history = trainer.train(short_run().with_batch_size(9), &training()).expect("a new run");
    assert_eq!(history.steps.len(), 4 + 18);
    assert_eq!(history.epochs.iter().map(|epoch| epoch.steps).collect::<Vec<_>>(), [4, 10, 16, 22]);
}

/// A program that gave a run up does so again when it is resumed.
#[test]
fn a_run_that_was_given_up_is_given_up_again_after_resuming() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = |interrupt_at: usize| {
        let flag = Arc::new(AtomicBool::new(false));
        let builder = Trainer::builder(normal_means(), small_networks()).checkpoints(folder.path()).resume();
        let builder = builder.stop_on(flag.clone()).callback(Raise(flag, interrupt_at)).progress(Progress::Hidden);
        let mut trainer = builder.build().expect("whole or empty");
        let limit_0 = training().with_non_finite_steps(NonFiniteSteps::new().with_limit(0));
        let first = trainer.train(short_run(), &limit_0).map(|_| ());
        if first.is_err() {
            trainer.end_run();
        }
        let second = trainer.train(short_run().with_batch_size(9), &training()).map(|_| ());
        (first.is_err(), second.is_err(), trainer.history().steps.len())
    };
    // Interrupted in the first run, which is given up; the second is complete.
    assert_eq!(program(4), (true, false, 22));
    // Resumed, it takes the same way, and finds the second complete.
    assert_eq!(program(0), (true, false, 22));
}
