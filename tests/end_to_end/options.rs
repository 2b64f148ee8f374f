//! Turns each option of a training, and looks at what it changes.

use crate::models::{direct_networks, normal_means, short_run, small_networks, training};
use bayesburn::{
    amortizers::{DefaultConfigurator, PosteriorNetworks},
    networks::{AnyInferenceConfig, DeepSet, moved_towards},
    prelude::*,
    trainers::{
        Callback, Decay, EpochReport, FinalWeights, RunContext, Source, StepReport, TrainedPart, TrainerBuilder,
        TrainerError, Validation,
    },
};
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};
use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

fn builder() -> TrainerBuilder {
    Trainer::builder(normal_means(), small_networks()).seed(5).progress(Progress::Hidden)
}

fn trained(config: &TrainingConfig) -> Trainer {
    let mut trainer = builder().build().expect("valid networks");
    trainer.train(short_run(), config).expect("training succeeds");
    trainer
}

/// A validation loss on 100 simulations of a seed of its own.
fn loss(trainer: &Trainer) -> f32 {
    let test = trainer.simulate(100, 77).expect("simulates");
    trainer.amortizer().negative_log_prob(&test).expect("the pilot widths")
}

/// A rate so large that the loss soon grows, on few simulations.
fn overfitting() -> (Offline, TrainingConfig) {
    let data = Dataset::from_simulations(normal_means().simulate(64, 3).expect("simulates")).expect("sound");
    let source = Offline::new(data).with_epochs(60).with_batch_size(8).with_validation(Validation::Fraction(0.25));
    let schedule = Schedule::new().with_initial_rate(1e-2).with_decay(Decay::Constant);
    (source, TrainingConfig::new().with_schedule(schedule))
}

#[test]
fn early_stopping_ends_the_run_with_the_best_or_the_last_weights() {
    let run = |final_weights| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (source, config) = overfitting();
        let stopping = EarlyStopping::new().with_patience(4).with_final_weights(final_weights);
        let mut trainer = builder().checkpoints(folder.path()).keep_checkpoints(1).build().expect("an empty folder");
        trainer.train(source, &config.with_early_stopping(Some(stopping))).expect("training succeeds");
        (folder, trainer)
    };
    let (_folder, last) = run(FinalWeights::Last);
    let losses: Vec<f32> = last.history().validation_losses().iter().map(|(_, loss)| *loss).collect();
    let best = losses.iter().copied().fold(f32::INFINITY, f32::min);
    assert!(losses.len() < 60, "it stops before the last epoch");
    assert_eq!(losses.iter().position(|loss| *loss == best), Some(losses.len() - 5), "4 epochs after the best");

    let (folder, trainer) = run(FinalWeights::Best);
    assert_eq!(trainer.history(), last.history());
    assert_ne!(loss(&trainer), loss(&last));
    // The best epoch's checkpoint is kept beside the newest, and has the weights that the run ended with.
    let place = trainer.best_checkpoint().expect("there was validation");
    let kept: Vec<_> = fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().contains("step-"))
        .collect();
    assert!(kept.len() == 2 && kept.contains(&place), "{kept:?}");
    let saved: AmortizedPosterior = AmortizedPosterior::load(&place, &Device::default()).expect("whole");
    let test = trainer.simulate(20, 7).expect("simulates");
    let of = |posterior: &AmortizedPosterior| posterior.negative_log_prob(&test).expect("the pilot widths");
    assert_eq!(of(&saved), of(trainer.amortizer()));
}

/// A second run whose rate is so large that it only gets worse, on the same held-out simulations: refining ends with
/// the weights of the first, also if it was interrupted in between. The twin is a run of its own.
#[test]
fn a_run_that_refines_another_is_never_worse() {
    let stopping = |config: TrainingConfig| config.with_early_stopping(Some(EarlyStopping::new().with_patience(20)));
    let program = |folder: &Path, refines: bool, interrupted: bool| {
        let (source, config) = overfitting();
        let flag = Arc::new(AtomicBool::new(false));
        let builder = builder().checkpoints(folder).keep_checkpoints(1).resume().stop_on(flag.clone());
        let raised = flag.clone();
        let stop = move |steps: usize| raised.store(interrupted && steps == 75, Ordering::SeqCst);
        let mut trainer = builder.callback(AtStep(Box::new(stop))).build().expect("the folder is empty or holds this");
        let first = stopping(config.clone());
        trainer.train(source.clone().with_epochs(10), &first).expect("training succeeds");
        let wild = Schedule::new().with_initial_rate(0.2).with_decay(Decay::Constant);
        let second = stopping(config.with_schedule(wild));
        let refined = match refines {
            true => trainer.refine(source, &second).map(|_| ()),
            false => trainer.train(source, &second).map(|_| ()),
        };
        assert_eq!(refined.is_err(), interrupted, "{refined:?}");
        trainer
    };
    let place = || tempfile::tempdir().expect("a temporary folder");
    let folders = [place(), place(), place()];
    let refined = program(folders[0].path(), true, false);
    let best = refined.best_epoch_of_run(1).expect("it was validated");
    let losses: Vec<f32> = refined.history().epochs.iter().filter_map(|epoch| epoch.validation_loss).collect();
    assert!(best < refined.epochs_of_run(0).len() && losses.iter().all(|loss| losses[best] <= *loss), "{losses:?}");
    // The first run's alone, which ends with its best.
    let (source, config) = overfitting();
    let mut first = builder().build().expect("sound");
    first.train(source.with_epochs(10), &stopping(config)).expect("training succeeds");
    assert_eq!(loss(&first), loss(&refined));
    program(folders[1].path(), true, true);
    assert_eq!(loss(&program(folders[1].path(), true, false)), loss(&refined), "interrupted in the second run");
    let twin = program(folders[2].path(), false, false);
    assert!(
        loss(&twin) != loss(&refined) && twin.best_epoch_of_run(1) >= Some(twin.epochs_of_run(0).len()),
        "the twin"
    );
}

/// Is told the number of each step.
struct AtStep(Box<dyn Fn(usize) + Send>);

impl Callback for AtStep {
    fn on_step(&mut self, report: &StepReport) -> ControlFlow<String> {
        (self.0)(report.steps);
        ControlFlow::Continue(())
    }
}

/// Kernels that are 0 for nearly all simulations, by steps without a graph and by Burn's: batches of no weight change
/// nothing but what Adam has kept.
#[test]
fn batches_without_a_weight_are_taken() {
    let configurator = |simulations: &Simulations| {
        let configured = DefaultConfigurator.configure(simulations)?;
        let means = configured.conditions.sets().mean_axis(Axis(1)).expect("10 observations");
        let weights = means.column(0).mapv(|mean| if (mean - 0.5).abs() < 0.05 { 20.0 } else { 0.0 });
        configured.with_weights(weights)
    };
    for networks in [direct_networks(), small_networks()] {
        let builder = Trainer::builder(normal_means(), networks).seed(5).progress(Progress::Hidden);
        let mut trainer = builder.configurator(configurator).build().expect("some of the pilot have a weight");
        let config = training().with_validation_simulations(200);
        trainer.train(short_run(), &config).expect("training succeeds");
        let steps = &trainer.history().steps;
        assert_eq!(steps.iter().filter(|step| step.loss.is_none()).count(), 0);
        let of_nothing = steps.iter().filter(|step| step.loss == Some(0.0)).count();
        assert!((9..18).contains(&of_nothing), "{of_nothing} of 18");
        assert!(loss_of(&trainer).is_finite());
    }
    let nothing = |simulations: &Simulations| {
        DefaultConfigurator.configure(simulations)?.with_weights(Array1::zeros(simulations.len()))
    };
    let error = builder().configurator(nothing).build().expect_err("no weight").to_string();
    assert!(error.contains("all 512 pilot simulations are 0"), "{error}");
}

/// That of the last validation.
fn loss_of(trainer: &Trainer) -> f32 {
    trainer.history().epochs.last().and_then(|epoch| epoch.validation_loss).unwrap_or(f32::NAN)
}

#[test]
fn a_plateau_lowers_the_rate_after_the_epochs_that_it_waits() {
    let (source, config) = overfitting();
    let decay = Decay::Plateau { patience: 2, min_improvement: 0.0, factor: 0.1 };
    let config = config.with_schedule(Schedule::new().with_initial_rate(1e-2).with_decay(decay));
    let mut trainer = builder().build().expect("valid networks");
    let history = trainer.train(source.with_epochs(15), &config).expect("training succeeds");
    let (mut best, mut without, mut rate) = (f32::INFINITY, 0, 1e-2f64);
    for epoch in &history.epochs {
        let in_epoch = history.steps[epoch.steps - 1].learning_rate;
        assert!((f64::from(in_epoch) / rate - 1.0).abs() < 1e-6, "{in_epoch} and {rate}");
        let loss = epoch.validation_loss.expect("a quarter is held out");
        without = if loss < best { 0 } else { without + 1 };
        best = best.min(loss);
        if without > 0 && without % 2 == 0 {
            rate *= 0.1;
        }
    }
    assert!(rate < 1e-2, "there was a plateau");
}

#[test]
fn what_needs_validation_says_so() {
    let mut trainer = builder().build().expect("valid networks");
    let config = TrainingConfig::new().with_early_stopping(Some(EarlyStopping::new()));
    let error = trainer.train(short_run(), &config).map(|_| ()).expect_err("no validation").to_string();
    assert!(
        error.contains("early stopping needs a validation loss") && error.contains("validation_simulations"),
        "{error}"
    );
}

/// After one epoch the mean of the weights before and after it; after two, that of all three.
#[test]
fn averaged_weights_are_the_mean_of_the_first_epochs() {
    let constant = Schedule::constant(1e-3);
    let after = |epochs: usize, average| {
        let mut trainer = builder().build().expect("valid networks");
        let config = training().with_schedule(constant.clone()).with_weight_average(average);
        let source = short_run().with_epochs(epochs);
        trainer.train(source, &config).expect("training succeeds");
        trainer
    };
    let of = |trainer: &Trainer| trainer.amortizer().networks().clone();
    let first = builder().build().expect("valid networks");
    let mean = moved_towards(of(&first), &of(&after(1, None)), 1.0 / 2.0);
    let log_prob = |networks: PosteriorNetworks<DeepSet>| {
        let mut posterior = first.amortizer().clone();
        posterior.set_networks(networks);
        let test = first.simulate(100, 77).expect("simulates");
        posterior.log_prob(&test.parameters, &test.conditions).expect("the pilot widths")
    };
    assert_eq!(log_prob(of(&after(1, Some(0.9)))), log_prob(mean.clone()));
    let mean = moved_towards(mean, &of(&after(2, None)), 1.0 / 3.0);
    assert_eq!(log_prob(of(&after(2, Some(0.9)))), log_prob(mean.clone()));
    // A decay that is reached at once: from the second epoch on, half of the way.
    assert_ne!(log_prob(of(&after(2, Some(0.5)))), log_prob(mean));
    assert_ne!(log_prob(of(&after(2, None))), log_prob(of(&after(2, Some(0.9)))));
}

/// Raises a flag after so many steps.
struct Raise(Arc<AtomicBool>, usize);

impl Callback for Raise {
    fn on_step(&mut self, report: &StepReport) -> ControlFlow<String> {
        self.0.store(report.steps == self.1, Ordering::SeqCst);
        ControlFlow::Continue(())
    }
}

/// Interrupted in the midst of the second of three epochs.
fn interrupted(folder: &Path, config: &TrainingConfig) -> Trainer {
    let flag = Arc::new(AtomicBool::new(false));
    let raises = builder().callback(Raise(flag.clone(), 9)).stop_on(flag).checkpoints(folder);
    let mut trainer = raises.build().expect("an empty folder");
    assert!(matches!(trainer.train(short_run(), config), Err(TrainerError::Interrupted { steps: 9, .. })));
    trainer
}

fn resumed(folder: &Path) -> Trainer {
    builder().checkpoints(folder).resume().build().expect("its folder")
}

#[test]
fn an_interrupted_average_goes_on_to_the_bit() {
    let config = training().with_weight_average(Some(0.9));
    let expected = loss(&trained(&config));
    assert_ne!(expected, loss(&trained(&training())), "the twin: without an average");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut trainer = interrupted(folder.path(), &config);
    trainer.train(short_run(), &config).expect("it goes on");
    assert_eq!(loss(&trainer), expected);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = loss(&interrupted(folder.path(), &config));
    let mut other = resumed(folder.path());
    assert_eq!(here, loss(&other), "the posterior is the average in both");
    other.train(short_run(), &config).expect("it goes on");
    assert_eq!(loss(&other), expected);
}

/// In this process and in one that resumes, from the average.
#[test]
fn after_an_average_that_is_given_up_the_next_run_begins_with_it() {
    let config = training().with_weight_average(Some(0.9));
    let losses = [false, true].map(|resumes| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut trainer = interrupted(folder.path(), &config);
        if resumes {
            drop(trainer);
            trainer = resumed(folder.path());
        }
        trainer.end_run();
        trainer.train(short_run(), &training()).expect("another run");
        loss(&trainer)
    });
    assert_eq!(losses[0], losses[1]);
}

/// What a run that took no step began to average is not saved by the next.
#[test]
fn an_average_without_a_step_is_forgotten() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut trainer = builder().checkpoints(folder.path()).build().expect("an empty folder");
    assert!(trainer.train(Panics, &training().with_weight_average(Some(0.9))).is_err(), "in its first batch");
    trainer.train(short_run(), &training()).expect("it trains");
    let expected = loss(&trainer);
    drop(trainer);
    assert_eq!(loss(&resumed(folder.path())), expected);
}

/// Untrained, so that draws go wherever they can. The twins: a configurator of one's own, which may have made anything
/// of parameters, and a configuration that asks for none of it.
#[test]
fn draws_stay_inside_a_prior_with_a_density() {
    let prior = || {
        Prior::independent([
            ("rate", Univariate::log_normal(0.0, 1.0).expect("sound")),
            ("share", Univariate::uniform(0.0, 1.0).expect("sound")),
            ("mean", Univariate::normal(0.0, 1.0).expect("sound")),
        ])
    };
    let trainer = |own: bool, real: bool| {
        let simulator =
            Simulator::from_fn(|rng, theta, _| Array2::from_shape_fn((5, 3), |(_, d)| theta[d] + rng.random::<f32>()));
        let model = GenerativeModel::new(prior(), simulator).expect("it simulates");
        let networks = PosteriorConfig::new(
            DeepSetConfig::new(4).with_units(16),
            InvertibleNetworkConfig::new().with_num_coupling_layers(1),
        );
        let networks = if real { networks.with_support([Interval::Real; 3]) } else { networks };
        let builder = Trainer::builder(model, networks).seed(1).progress(Progress::Hidden);
        let builder = if own { builder.configurator(DefaultConfigurator) } else { builder };
        builder.build().expect("valid networks")
    };
    let inside = |trainer: &Trainer| {
        let draws = trainer.amortizer().sample(&Conditions::one(Array2::zeros((5, 3))), 1000, 1).expect("it draws");
        draws.data_set(0).outer_iter().all(|theta| theta[0] > 0.0 && (0.0..=1.0).contains(&theta[1]))
    };
    let within = trainer(false, false);
    assert_eq!(within.amortizer().config().support.as_deref(), prior().density().map(|density| density.support()));
    assert!(inside(&within) && !inside(&trainer(true, false)) && !inside(&trainer(false, true)));
    let outside = arr2(&[[-1.0, 0.5, 0.0]]);
    let log_prob = within.amortizer().log_prob(&outside, &Conditions::one(Array2::zeros((5, 3)))).expect("a density");
    assert_eq!(log_prob[0], f32::NEG_INFINITY);
}

/// The best epoch's checkpoint cannot be read, and then it can.
#[test]
fn an_average_is_taken_up_again_after_an_error() {
    let stopping = Some(EarlyStopping::new().with_patience(10));
    let config =
        training().with_validation_simulations(20).with_early_stopping(stopping).with_weight_average(Some(0.9));
    let expected = loss(&trained(&config));
    let folder = tempfile::tempdir().expect("a temporary folder");
    drop(interrupted(folder.path(), &config));
    let mut trainer = resumed(folder.path());
    let best = trainer.best_checkpoint().expect("after the first epoch");
    let away = folder.path().join("away");
    fs::rename(&best, &away).expect("it is there");
    assert!(matches!(trainer.train(short_run(), &config), Err(TrainerError::DamagedCheckpoint { .. })));
    fs::rename(&away, &best).expect("it is there");
    trainer.train(short_run(), &config).expect("it goes on");
    assert_eq!(loss(&trainer), expected);
}

/// ln x is θ with noise of 0.1, which a network of dropped units tells worse than it does when none is: what it then
/// takes for the noise is too large. n = 1,000, of which half should be in the middle half of the draws, with a
/// standard error of 0.016.
#[test]
fn a_run_without_dropout_mends_what_was_learnt_with_it() {
    let prior = Prior::independent([("theta", Univariate::normal(0.0, 1.0).expect("finite"))]);
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array1::from_shape_fn(8, |_| (theta[0] + 0.28 * rng.sample::<f32, _>(StandardNormal)).exp())
    });
    let model = GenerativeModel::new(prior, simulator).expect("it simulates");
    let configurator = |simulations: &Simulations| {
        let data =
            simulations.data.values().clone().insert_axis(ndarray::Axis(1)).into_dimensionality().expect("[B, 1, 8]");
        Configured::new(simulations.parameters.clone(), Conditions::new(data))
    };
    let normal = AnyInferenceConfig::from(MixtureConfig::gaussian()).with_dropout(0.3);
    let networks = PosteriorConfig::new(IdentityConfig::new(), normal);
    let builder = Trainer::builder(model, networks).configurator(configurator).seed(1).progress(Progress::Hidden);
    let mut trainer = builder.build().expect("valid networks");
    let test = trainer.simulate(1000, 9).expect("it simulates");
    let mut in_the_middle = |dropout| {
        let source = Online::new().with_epochs(4).with_iterations_per_epoch(150).with_batch_size(100);
        trainer.train(source, &training().with_dropout(dropout)).expect("it trains");
        let draws = trainer.amortizer().sample(&test.conditions, 199, 1).expect("it draws");
        let ranks = diagnostics::sbc_ranks(&draws, &test.parameters).expect("as many");
        ranks.values().iter().filter(|rank| (50..150).contains(*rank)).count() as f64 / 1000.0
    };
    let (with, without) = (in_the_middle(true), in_the_middle(false));
    assert!(with > 0.58, "the twin: {with}");
    assert!((without - 0.5).abs() < 0.06, "{without}");
}

#[test]
fn micro_batches_take_the_step_of_the_whole_batch() {
    // Without dropout: its masks are drawn for each part.
    let run = |micro_batches| {
        let mut trainer = Trainer::builder(normal_means(), small_networks().with_dropout(0.0))
            .seed(5)
            .progress(Progress::Hidden)
            .build()
            .expect("valid");
        // SGD: Adam would blow rounding up where a gradient is almost 0.
        let sgd = bayesburn::trainers::Optimizer::Sgd(burn::optim::SgdConfig::new());
        let config = training().with_micro_batches(micro_batches).with_optimizer(sgd);
        trainer.train(short_run(), &config).expect("training succeeds").train_losses()
    };
    let whole = run(1);
    // 3 parts of 8 simulations are unequal; 100 are as many as there are simulations.
    for parts in [2, 3, 100] {
        for (step, (a, b)) in whole.iter().zip(run(parts)).enumerate() {
            assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{parts} parts, step {step}: {a} and {b}");
        }
    }
}

/// The weights of the inference network, to the bit.
fn inference_weights(trainer: &Trainer) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().into_data().try_into_vec().expect("f32"));
        }
    }
    let mut values = Values(Vec::new());
    trainer.amortizer().networks().inference().visit(&mut values);
    values.0
}

#[test]
fn a_frozen_part_keeps_its_weights() {
    for networks in [small_networks(), direct_networks()] {
        the_other_part_changes(networks);
    }
}

fn the_other_part_changes(networks: PosteriorConfig) {
    let summaries = |trainer: &Trainer| {
        let test = trainer.simulate(5, 1).expect("simulates");
        trainer.amortizer().summaries(&test.conditions).expect("the pilot widths")
    };
    // Trained for a while first: an inference network at its beginning does not look at the summaries.
    let builder = Trainer::builder(normal_means(), networks).seed(5).progress(Progress::Hidden);
    let mut trainer = builder.build().expect("valid networks");
    trainer.train(short_run(), &training()).expect("training succeeds");
    let (before, loss_before) = (summaries(&trainer), loss(&trainer));
    trainer.train(short_run(), &training().with_trained_part(TrainedPart::Inference)).expect("training succeeds");
    let loss_between = loss(&trainer);
    assert_eq!(summaries(&trainer), before);
    assert_ne!(loss_between, loss_before);
    let frozen = inference_weights(&trainer);
    trainer.train(short_run(), &training().with_trained_part(TrainedPart::Summary)).expect("training succeeds");
    assert_ne!(summaries(&trainer), before);
    assert!(inference_weights(&trainer) == frozen, "the inference network changed");
    assert_ne!(loss(&trainer), loss_between);
}

#[test]
fn a_loss_of_ones_own_replaces_the_default() {
    // Twice the default loss, with SGD at half the rate: the same steps.
    let config = |rate| {
        let sgd = bayesburn::trainers::Optimizer::Sgd(burn::optim::SgdConfig::new());
        training().with_optimizer(sgd).with_clip_norm(None).with_schedule(Schedule::new().with_initial_rate(rate))
    };
    let mut twice = builder()
        .loss(|posterior, batch, pass| Ok(posterior.log_prob_of_batch(batch, pass)?.mean().mul_scalar(-2.0)))
        .build()
        .expect("valid networks");
    let losses = twice.train(short_run(), &config(1e-3)).expect("training succeeds").train_losses();
    let default = trained(&config(2e-3)).history().train_losses();
    for (twice, once) in losses.iter().zip(default) {
        assert!((twice - 2.0 * once).abs() < 1e-3 * once.abs(), "{twice} and {once}");
    }
}

/// Notes what it sees, and stops after some epochs.
struct Notes(Arc<Mutex<Vec<(usize, f32)>>>, usize);

impl Callback for Notes {
    fn on_epoch(&mut self, epoch: &EpochReport<'_>) -> ControlFlow<String> {
        let loss = epoch.summary.validation_loss.unwrap_or(f32::NAN);
        self.0.lock().expect("not poisoned").push((epoch.summary.steps, loss));
        if epoch.epoch + 1 == self.1 { ControlFlow::Break("enough".into()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn a_callback_sees_every_epoch_and_may_stop_the_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let notes = Arc::new(Mutex::new(Vec::new()));
    let mut trainer =
        builder().checkpoints(folder.path()).callback(Notes(notes.clone(), 2)).build().expect("an empty folder");
    let history = trainer.train(short_run(), &training()).expect("stopping is no error").clone();
    assert_eq!(history.epochs.len(), 2);
    assert_eq!(*notes.lock().expect("not poisoned"), history.validation_losses());
    drop(trainer);
    // The run is complete: in a resumed program its call returns at once.
    let mut resumed = builder().checkpoints(folder.path()).resume().build().expect("whole");
    assert_eq!(*resumed.train(short_run(), &training()).expect("complete"), history);
}

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

struct Panics;

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
