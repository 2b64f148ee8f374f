//! Interrupts trainings by flags and by Ctrl-C, at the ends of runs and when several run at once.

use crate::{
    failures::{FailsOnce, Raise},
    models::{normal_means, short_run, small_networks, training},
};
use bayesburn::{
    prelude::*,
    trainers::{Callback, StepReport, TrainerBuilder, TrainerError},
};
use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::Duration,
};
use tempfile::TempDir;

fn builder() -> TrainerBuilder {
    Trainer::builder(normal_means(), small_networks()).seed(5).progress(Progress::Hidden)
}

/// A trainer whose first run, of 18 steps, is interrupted after its last step.
fn interrupted_at_its_end(folder: &Path) -> Trainer {
    let flag = Arc::new(AtomicBool::new(false));
    let builder = builder().checkpoints(folder).stop_on(flag.clone()).callback(Raise(flag.clone(), 18));
    let mut trainer = builder.build().expect("an empty folder");
    let error = trainer.train(short_run(), &training()).map(|_| ()).expect_err("the program learns of it");
    assert!(matches!(error, TrainerError::Interrupted { steps: 18, .. }), "{error}");
    assert!(error.to_string().contains("step-00000018") && folder.join("step-00000018").exists(), "{error}");
    assert_eq!(trainer.stop_reason(), Some("all epochs are done"));
    assert!(!flag.load(Ordering::SeqCst), "it is lowered");
    trainer
}

/// Repeats a call that is complete, and makes another run of 18 steps.
fn goes_on(trainer: &mut Trainer) {
    assert_eq!(trainer.train(short_run(), &training()).expect("it returns at once").steps.len(), 18);
    assert_eq!(trainer.train(short_run(), &training()).expect("another run").steps.len(), 36);
}

#[test]
fn an_interruption_after_the_last_step_completes_the_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    goes_on(&mut interrupted_at_its_end(folder.path()));
}

#[test]
fn a_run_that_was_interrupted_at_its_end_is_complete_for_a_program_that_resumes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    drop(interrupted_at_its_end(folder.path()));
    goes_on(&mut builder().checkpoints(folder.path()).resume().build().expect("whole"));
}

/// Also if the program calls `end_run` after each error; resumed, it finds both runs complete.
#[test]
fn another_configuration_may_follow_a_run_that_was_interrupted_at_its_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let other = || short_run().with_batch_size(9);
    let mut trainer = interrupted_at_its_end(folder.path());
    trainer.end_run();
    assert_eq!(trainer.train(other(), &training()).expect("another run").steps.len(), 36);
    drop(trainer);
    let mut trainer = builder().checkpoints(folder.path()).resume().build().expect("whole");
    trainer.end_run();
    trainer.train(short_run(), &training()).expect("`end_run` does not skip what is complete");
    assert_eq!(trainer.train(other(), &training()).expect("it returns at once").steps.len(), 36);
}

/// The flag is raised at an epoch's last step, and its validation fails.
#[test]
fn a_request_before_an_error_is_not_left_for_the_next_call() {
    let flag = Arc::new(AtomicBool::new(false));
    let mut trainer = builder().stop_on(flag.clone()).callback(Raise(flag.clone(), 6)).build().expect("sound");
    let source = FailsOnce(short_run(), Arc::new(AtomicBool::new(true)));
    let error = trainer.train(source, &training()).map(|_| ()).expect_err("it fails").to_string();
    assert!(error.contains("the disk is gone"), "{error}");
    assert!(!flag.load(Ordering::SeqCst), "it is lowered");
    let source = FailsOnce(short_run(), Arc::new(AtomicBool::new(false)));
    assert_eq!(trainer.train(source, &training()).expect("it goes on").steps.len(), 18);
}

#[test]
fn a_flag_raised_before_a_training_ends_it_after_a_step() {
    let flag = Arc::new(AtomicBool::new(true));
    let mut trainer = builder().stop_on(flag.clone()).build().expect("sound");
    let error = trainer.train(short_run(), &training()).map(|_| ()).expect_err("interrupted");
    assert!(matches!(error, TrainerError::Interrupted { steps: 1, .. }), "{error}");
    assert!(!flag.load(Ordering::SeqCst), "it is lowered");
    assert_eq!(trainer.train(short_run(), &training()).expect("it goes on").steps.len(), 18);
}

const MODE: &str = "BAYESBURN_TEST_INTERRUPTION";
const FOLDER: &str = "BAYESBURN_TEST_INTERRUPTED";

/// The folder of a process with trainings, and the files by which its threads and the test wait for each other.
#[derive(Clone)]
struct Files(PathBuf);

impl Files {
    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("writable");
    }

    /// A minute at most.
    fn wait_for(&self, name: &str) {
        let is_there = (0..12_000).any(|_| {
            sleep(Duration::from_millis(5));
            self.0.join(name).exists()
        });
        assert!(is_there, "{name} was not written");
    }

    /// Lets the test press Ctrl-C.
    fn press(&self) {
        self.write("ready", "");
        self.wait_for("pressed");
    }

    /// Trains until Ctrl-C, with a function that is called after one of the steps. The file `NAME-ended` then has the
    /// number of steps until the interruption, or 0 if there was none.
    fn train(&self, name: &str, epochs: usize, at: usize, call: impl Fn(&Self) + Send + 'static) -> Trainer {
        let (files, folder) = (self.clone(), self.0.join(name));
        let builder = builder().checkpoints(folder).stop_on_ctrl_c();
        let mut trainer = builder.callback(AtStep(at, move || call(&files))).build().expect("an empty folder");
        let ended = match trainer.train(short_run().with_epochs(epochs), &training()) {
            Ok(_) => 0,
            Err(TrainerError::Interrupted { steps, checkpoint: Some(place) }) if place.exists() => steps,
            Err(error) => panic!("{error}"),
        };
        self.write(&format!("{name}-ended"), &ended.to_string());
        trainer
    }

    fn ended(&self, name: &str) -> usize {
        let text = fs::read_to_string(self.0.join(format!("{name}-ended"))).expect("the training ended");
        text.parse().expect("a number")
    }
}

struct AtStep<F>(usize, F);

impl<F: Fn() + Send> Callback for AtStep<F> {
    fn on_step(&mut self, step: &StepReport) -> ControlFlow<String> {
        if step.steps == self.0 {
            (self.1)();
        }
        ControlFlow::Continue(())
    }
}

/// Trainings that Ctrl-C interrupts; does nothing when it is not called by the tests below.
#[test]
fn trainings_until_ctrl_c() {
    let (Ok(mode), Ok(folder)) = (std::env::var(MODE), std::env::var(FOLDER)) else { return };
    let files = Files(folder.into());
    match mode.as_str() {
        "within a run" => drop(files.train("one", 100, 9, Files::press)),
        "after its last step" => {
            let mut trainer = files.train("one", 3, 18, Files::press);
            goes_on(&mut trainer);
            files.write("went-on", "");
        }
        "two" => std::thread::scope(|scope| {
            scope.spawn(|| {
                files.train("one", 100, 9, |files| {
                    files.write("one-begun", "");
                    files.wait_for("pressed");
                })
            });
            files.wait_for("one-begun");
            files.train("other", 100, 9, Files::press);
        }),
        "after another" => std::thread::scope(|scope| {
            scope.spawn(|| {
                files.train("one", 100, 9, |files| {
                    files.write("one-begun", "");
                    files.wait_for("other-ended");
                    files.press();
                })
            });
            files.wait_for("one-begun");
            files.train("other", 1, 1, |_| ());
        }),
        "twice" => drop(files.train("one", 100, 9, |files| {
            files.press();
            files.wait_for("nothing");
        })),
        "no training" => {
            drop(files.train("one", 1, 1, |_| ()));
            files.press();
        }
        other => panic!("no mode {other}"),
    }
}

/// Runs such a process, and presses Ctrl-C when it is ready, this often.
#[cfg(unix)]
fn with_ctrl_c(mode: &str, times: usize) -> (TempDir, Files, ExitStatus) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Files(folder.path().to_owned());
    let mut process = Command::new(std::env::current_exe().expect("this test binary"))
        .args(["--exact", "interruptions::trainings_until_ctrl_c"])
        .envs([(MODE, mode.as_ref()), (FOLDER, folder.path().as_os_str())])
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    files.wait_for("ready");
    for _ in 0..times {
        assert!(process.try_wait().expect("it runs").is_none(), "it ended on its own");
        // The shell's own `kill`: a bare machine may have no other.
        let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", process.id())]).status();
        assert!(kill.expect("sh runs").success());
        // The handler runs on another thread, perhaps after others on a busy machine.
        sleep(Duration::from_millis(300));
    }
    files.write("pressed", "");
    let status = process.wait().expect("it ends");
    (folder, files, status)
}

#[cfg(unix)]
#[test]
fn ctrl_c_is_an_interruption() {
    let (_folder, files, status) = with_ctrl_c("within a run", 1);
    assert!(status.success(), "{status}");
    assert!((9..600).contains(&files.ended("one")));
}

#[cfg(unix)]
#[test]
fn ctrl_c_after_the_last_step_does_not_interrupt_the_next_run() {
    let (_folder, files, status) = with_ctrl_c("after its last step", 1);
    assert!(status.success(), "{status}");
    assert_eq!(files.ended("one"), 18);
    assert!(files.0.join("went-on").exists());
}

#[cfg(unix)]
#[test]
fn one_ctrl_c_interrupts_all_trainings() {
    let (_folder, files, status) = with_ctrl_c("two", 1);
    assert!(status.success(), "{status}");
    for name in ["one", "other"] {
        assert!((9..600).contains(&files.ended(name)), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn the_end_of_another_training_does_not_make_ctrl_c_end_the_process() {
    let (_folder, files, status) = with_ctrl_c("after another", 1);
    assert!(status.success(), "{status}");
    assert_eq!(files.ended("other"), 0);
    assert!((9..600).contains(&files.ended("one")));
}

/// The second during one training, and the first when there is none.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_process_otherwise() {
    use std::os::unix::process::ExitStatusExt;
    for (mode, times) in [("twice", 2), ("no training", 1)] {
        let (_folder, _, status) = with_ctrl_c(mode, times);
        assert_eq!(status.signal(), Some(2), "{mode}: {status}");
    }
}
