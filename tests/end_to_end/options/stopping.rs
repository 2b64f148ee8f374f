//! Ends runs early: by early stopping, by a plateau of the loss, by a callback.

use super::{builder, builder_of, loss, overfitting};
use crate::models::{short_run, small_networks, training};
use bayesburn::{
    prelude::*,
    trainers::{Callback, Decay, EpochReport, FinalWeights, StepReport},
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
    // With statistics, which are near the exact posterior, the first run has little to get worse from.
    let builder = || builder_of(small_networks().with_statistics(Statistics::None));
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
