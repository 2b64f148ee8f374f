//! Gives the trainer what it cannot use, and reads what it says.

use crate::models::{direct_networks, normal_means, short_run, small_networks, training};
use bayesburn::{
    core::files::seal,
    prelude::*,
    trainers::{Decay, LossHistory, NonFiniteSteps, StepLoss, TrainerError, Validation},
};
use std::{fs, path::Path};

fn trainer(folder: &Path, config: PosteriorConfig, resume: bool) -> Result<Trainer, TrainerError> {
    let builder = Trainer::builder(normal_means(), config).seed(3).checkpoints(folder).progress(Progress::Hidden);
    if resume { builder.resume() } else { builder }.build()
}

/// A folder with the checkpoints of a short run.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut trainer = trainer(folder.path(), small_networks(), false).expect("an empty folder");
    trainer.train(short_run(), &training()).expect("training succeeds");
    folder
}

fn message<T: std::fmt::Debug>(result: Result<T, TrainerError>) -> String {
    result.expect_err("it must be refused").to_string()
}

/// A rate that is multiplied by this factor with every step.
fn decaying(factor: f64) -> TrainingConfig {
    training().with_schedule(Schedule::new().with_decay(Decay::Step { every: 1, factor }))
}

/// JSON has no infinity and no NaN. Histories with a rate that became infinite are on disk, and hold `null`.
#[test]
fn a_history_is_read_whatever_its_numbers_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("history.json");
    let mut history = LossHistory::default();
    for (loss, learning_rate) in
        [(Some(0.5), 1e-3), (Some(f32::NAN), f32::INFINITY), (Some(f32::INFINITY), f32::NAN), (None, 2.0)]
    {
        history.steps.push(StepLoss { loss, learning_rate });
    }
    history.save(&path).expect("written");
    let text = fs::read_to_string(&path).expect("written");
    assert!(text.contains("[0.5,0.001],[null,null],[null,null],[null,2.0]"), "{text}");
    let read = LossHistory::load(&path).expect("readable");
    assert_eq!(read.train_losses(), [0.5]);
    assert_eq!([read.steps[0], read.steps[3]], [history.steps[0], history.steps[3]]);
    assert!(read.steps[1..3].iter().all(|step| step.learning_rate.is_nan() && step.loss.is_none()));
}

#[test]
fn settings_outside_their_range_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut trainer = trainer(folder.path(), small_networks(), false).expect("an empty folder");
    for (source, name) in [
        (short_run().with_epochs(0), "`epochs` is 0"),
        (short_run().with_batch_size(0), "`batch_size` is 0"),
        (short_run().with_iterations_per_epoch(0), "`iterations_per_epoch` is 0"),
    ] {
        let text = message(trainer.train(source, &training()).map(|_| ()));
        assert!(text.contains(name) && text.contains("must be"), "{text}");
    }
    for (config, name) in [
        (training().with_clip_norm(Some(0.0)), "`clip_norm` is 0"),
        (training().with_weight_average(Some(1.0)), "`weight_average` is 1"),
        (training().with_micro_batches(0), "`micro_batches` is 0"),
        (training().with_schedule(Schedule::new().with_initial_rate(-1.0)), "`schedule.initial_rate` is -1"),
        (training().with_early_stopping(Some(EarlyStopping::new().with_patience(0))), "`patience` is 0"),
        (decaying(1.5), "`schedule.decay.factor` is 1.5"),
        (decaying(f64::INFINITY), "`schedule.decay.factor` is inf"),
        (decaying(f64::NAN), "`schedule.decay.factor` is NaN"),
        (training().with_schedule(Schedule::constant(1e39)), "`schedule.initial_rate` is 1000"),
    ] {
        let text = message(trainer.train(short_run(), &config).map(|_| ()));
        assert!(text.contains(name) && text.contains("must be"), "{text}");
    }
    assert!(trainer.history().steps.is_empty());
}

#[test]
fn a_folder_with_another_run_is_not_overwritten() {
    let folder = trained();
    let text = message(trainer(folder.path(), small_networks(), false));
    assert!(text.contains("resume()") && text.contains("another folder"), "{text}");
}

#[test]
fn a_checkpoint_of_another_architecture_is_named_by_the_setting_that_differs() {
    let folder = trained();
    let mut other = small_networks();
    other.summary.units = 8;
    let text = message(trainer(folder.path(), other, true));
    assert!(text.contains("`config.summary.units` = 16, and this run has 8"), "{text}");
}

#[test]
fn a_checkpoint_of_another_seed_or_run_is_refused() {
    let folder = trained();
    let other = Trainer::builder(normal_means(), small_networks()).seed(4).checkpoints(folder.path()).resume().build();
    assert!(message(other).contains("`seed` = 3, and this run has 4"));
    let mut resumed = trainer(folder.path(), small_networks(), true).expect("the same run");
    let text = message(resumed.train(short_run().with_batch_size(9), &training()).map(|_| ()));
    assert!(text.contains("`source.online.batch_size` = 8, and this run has 9"), "{text}");
}

#[test]
fn a_folder_that_cannot_be_written_is_found_out_before_training() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("writable");
    let text = message(trainer(&file.join("run"), small_networks(), false));
    assert!(text.contains("cannot write") && text.contains("check that"), "{text}");
    let events = Trainer::builder(normal_means(), small_networks()).tensorboard(file.join("events")).build();
    assert!(message(events).contains("cannot write"));
}

#[test]
fn a_configurator_that_changes_its_width_is_told_both_widths() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let config = move |simulations: &Simulations| {
        // Right in the pilot run, and wrong from then on: one summary condition too few.
        let late = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 32;
        let data = simulations.data.values().clone().into_dimensionality::<ndarray::Ix3>().expect("[B, N, F]");
        let width = if late { 1 } else { 2 };
        let data = data.slice_axis(ndarray::Axis(2), ndarray::Slice::from(..width)).to_owned();
        Configured::new(simulations.parameters.clone(), Conditions::new(data))
    };
    let mut trainer = Trainer::builder(normal_means(), small_networks())
        .configurator(config)
        .progress(Progress::Hidden)
        .build()
        .expect("the pilot is right");
    let text = message(trainer.train(short_run(), &training()).map(|_| ()));
    assert!(
        text.contains("have 1 values each, but the network was made for 2") && text.contains("configure"),
        "{text}"
    );
}

/// Some of the parameters, transformed, under names of their own.
#[test]
fn a_configurator_may_infer_other_parameters_than_the_priors() {
    let config = |simulations: &Simulations| {
        let first = simulations.parameters.slice_axis(ndarray::Axis(1), ndarray::Slice::from(..1)).mapv(f32::exp);
        let data = simulations.data.values().clone().into_dimensionality::<ndarray::Ix3>().expect("[B, N, F]");
        Configured::new(first, Conditions::new(data))
    };
    let build =
        |builder: bayesburn::trainers::TrainerBuilder| builder.configurator(config).progress(Progress::Hidden).build();
    let text = message(build(Trainer::builder(normal_means(), small_networks())));
    assert!(text.contains("have 1 values each, but the network was made for 2"), "{text}");
    let named = Trainer::builder(normal_means(), small_networks()).parameter_names(["exp(mu_1)"]);
    let mut trainer = build(named).expect("one name for one parameter");
    trainer.train(short_run(), &training()).expect("training succeeds");
    let draws =
        trainer.amortizer().sample(&trainer.simulate(2, 1).expect("simulates").conditions, 5, 1).expect("5 draws");
    assert_eq!((draws.names()[0].as_str(), draws.num_parameters()), ("exp(mu_1)", 1));
}

/// A gradient that is not finite leaves the weights as they were, and another call goes on from there.
#[test]
fn an_infinite_gradient_stops_the_run_before_the_weights_change() {
    for networks in [small_networks(), direct_networks()] {
        the_weights_stay_finite(networks);
    }
}

fn the_weights_stay_finite(networks: PosteriorConfig) {
    // Values whose square overflows in f32, until the simulator is mended.
    let bad = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = bad.clone();
    let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
    let simulator = Simulator::from_fn(move |_, mu, _| {
        let bad = seen.load(std::sync::atomic::Ordering::SeqCst) && mu[0] > 1.5;
        Array2::from_elem((5, 1), if bad { f32::MAX } else { mu[0] })
    });
    let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
    let mut trainer =
        Trainer::builder(model, networks).progress(Progress::Hidden).build().expect("the pilot is finite");
    bad.store(true, std::sync::atomic::Ordering::SeqCst);
    let config = TrainingConfig::new().with_non_finite_steps(NonFiniteSteps::new().with_limit(0));
    let text = message(trainer.train(short_run(), &config).map(|_| ()));
    assert!(text.contains("in 1 consecutive steps") && text.contains("try"), "{text}");
    let (steps, losses) = (trainer.history().steps.len(), trainer.history().train_losses().len());
    assert_eq!(losses, steps - 1);
    bad.store(false, std::sync::atomic::Ordering::SeqCst);
    let test = trainer.simulate(5, 1).expect("simulates");
    let density = trainer.amortizer().log_prob(&test.parameters, &test.conditions).expect("fits");
    assert!(density.iter().all(|l| l.is_finite()), "{density}");
    // The same call goes on after the step that was left out, and another configuration is refused.
    let other = message(trainer.train(short_run().with_batch_size(9), &config).map(|_| ()));
    assert!(other.contains("`source.online.batch_size` = 8, and this run has 9"), "{other}");
    let history = trainer.train(short_run(), &config).expect("training goes on");
    assert_eq!((history.steps.len(), history.epochs.len(), history.train_losses().len()), (18, 3, 17));
}

#[test]
fn sources_outside_their_ranges_are_refused_by_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut trainer = trainer(folder.path(), small_networks(), false).expect("an empty folder");
    let config = TrainingConfig::new();
    let data = |num| Dataset::from_simulations(normal_means().simulate(num, 1).expect("simulates")).expect("sound");
    let text = message(trainer.train(Replay::new().with_capacity(0), &config).map(|_| ()));
    assert!(text.contains("`capacity` is 0") && text.contains("at least 1"), "{text}");
    let text = message(trainer.train(Offline::new(data(10)).with_batch_size(32), &config).map(|_| ()));
    assert!(text.contains("has 32 simulations, but there are 9") && text.contains("smaller"), "{text}");
    let text = message(trainer.train(Rounds::new().with_simulations_per_round(10), &config).map(|_| ()));
    assert!(text.contains("has 32 simulations, but there are 10"), "{text}");
    let text = message(trainer.train(Rounds::new().with_window(0), &config).map(|_| ()));
    assert!(text.contains("`window` is 0"), "{text}");
    let all = Validation::Fraction(1.0);
    let text = message(trainer.train(Offline::new(data(100)).with_validation(all), &config).map(|_| ()));
    assert!(text.contains("`validation fraction` is 1"), "{text}");
    // Parameters of other names, as of a file whose columns are in another order.
    let swapped = data(40).with_parameter_names(["mu_2", "mu_1"]).expect("two names");
    let text = message(trainer.train(Offline::new(swapped), &config).map(|_| ()));
    assert!(text.contains("[\"mu_1\", \"mu_2\"]") && text.contains("with_parameter_names"), "{text}");
    // Validation data of another shape: three features in place of two.
    let three = Simulator::from_fn(|_, mu, _| Array2::from_elem((10, 3), mu[0]));
    let prior = Prior::from_fn(["mu_1", "mu_2"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let other = GenerativeModel::new(prior, three).and_then(|model| model.simulate(20, 1)).expect("simulates");
    let other = Validation::Data(Dataset::from_simulations(other).expect("sound"));
    let source = Offline::new(data(40)).with_epochs(1).with_batch_size(8).with_validation(other);
    let text = message(trainer.train(source, &config).map(|_| ()));
    assert!(text.contains("have 3 values each, but the network was made for 2"), "{text}");
}

#[test]
fn a_checkpoint_of_another_version_is_not_called_damaged() {
    let folder = trained();
    let manifest = folder.path().join("step-00000018/manifest.json");
    let text = fs::read_to_string(&manifest).expect("a whole checkpoint");
    let newer = text.replace("\"format_version\": 2", "\"format_version\": 3");
    assert_ne!(newer, text);
    fs::write(&manifest, newer).expect("writable");
    seal(&folder.path().join("step-00000018")).expect("writable");
    let text = message(trainer(folder.path(), small_networks(), true));
    assert!(
        text.contains("format version 3") && text.contains("version of bayesburn") && !text.contains("damaged"),
        "{text}"
    );
}

#[test]
fn no_draws_are_an_error_and_not_an_empty_array() {
    let trainer = Trainer::builder(normal_means(), small_networks()).build().expect("the pilot run succeeds");
    let test = trainer.simulate(3, 1).expect("the simulator succeeds");
    let error = trainer.amortizer().sample(&test.conditions, 0, 1).expect_err("zero draws").to_string();
    assert!(error.contains("at least 1 draw"), "{error}");
}

#[test]
fn a_simulator_that_fails_in_training_is_named_with_its_simulation() {
    // Finite in the 2 + 512 pilot simulations, NaN at one simulation of the training.
    let count = std::sync::atomic::AtomicUsize::new(0);
    let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
    let simulator = Simulator::from_fn(move |_, mu, _| {
        let bad = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 2 + 512 + 20 + 30;
        Array2::from_elem((5, 1), if bad { f32::NAN } else { mu[0] })
    });
    let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
    let mut trainer =
        Trainer::builder(model, small_networks()).progress(Progress::Hidden).build().expect("the pilot is finite");
    let error = trainer.train(short_run(), &training()).map(|_| ()).expect_err("NaN").to_string();
    assert!(error.contains("NaN") && error.contains("simulation ") && error.contains("seed"), "{error}");
    // The steps before it are kept: batches of 8, so the bad one is in step 4.
    assert_eq!(trainer.history().steps.len(), 3);
}
