//! Averages weights over steps, through interruptions and errors.

use super::sources::Panics;
use super::{builder, loss, trained};
use crate::models::{short_run, training};
use bayesburn::{
    amortizers::PosteriorNetworks,
    networks::{DeepSet, moved_towards},
    prelude::*,
    trainers::{Callback, StepReport, TrainerError},
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

/// The best weights cannot be read, and then those of the best epoch's checkpoint can, as in earlier versions, which
/// had them there alone.
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
    let newest = trainer.resumed_from().expect("the interrupted run").to_owned();
    fs::remove_file(newest.join("best.safetensors")).expect("it is there");
    let away = folder.path().join("away");
    fs::rename(&best, &away).expect("it is there");
    assert!(matches!(trainer.train(short_run(), &config), Err(TrainerError::DamagedCheckpoint { .. })));
    fs::rename(&away, &best).expect("it is there");
    trainer.train(short_run(), &config).expect("it goes on");
    assert_eq!(loss(&trainer), expected);
}
