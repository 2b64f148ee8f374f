//! Damages checkpoints, fills the disk and starts a second trainer on a folder.

use crate::models::{normal_means, short_run, small_networks, training};
use bayesburn::{
    core::files::{
        faults::{Fault, Faults, Operation},
        verify,
    },
    prelude::*,
    trainers::{Callback, EpochReport, TrainerError, Validation},
};
use std::{fs, io::ErrorKind, ops::ControlFlow, path::Path, process::Command};

fn trainer(folder: &Path) -> Result<Trainer, TrainerError> {
    let builder = Trainer::builder(normal_means(), small_networks()).seed(3).checkpoints(folder);
    builder.resume().progress(Progress::Hidden).build()
}

/// A folder with the three checkpoints of a short run.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    trainer(folder.path()).expect("an empty folder").train(short_run(), &training()).expect("training succeeds");
    folder
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Every byte flipped and every length cut to. A checkpoint is read only after `verify`, and every fiftieth damage is
/// brought to a trainer and to `load` as well: they name the damage, or go on from the checkpoint before it.
#[test]
fn every_flipped_byte_and_every_truncation_is_found() {
    let folder = trained();
    let newest = folder.path().join("step-00000018");
    let files = files(&newest);
    assert_eq!(files.len(), 7, "{files:?}");
    let mut count = 0;
    for file in &files {
        let whole = fs::read(file).expect("a file");
        for i in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[i] ^= (1 + i % 255) as u8;
            for damaged in [&flipped[..], &whole[..i]] {
                fs::write(file, damaged).expect("writable");
                assert!(verify(&newest).is_err(), "byte {i} of {}", file.display());
                count += 1;
                if count % 50 == 0 {
                    let loaded = AmortizedPosterior::<DeepSetConfig>::load(&newest, &Device::default());
                    assert!(loaded.is_err(), "byte {i} of {}", file.display());
                }
                if count % 1000 == 0 {
                    let resumed = trainer(folder.path()).expect("the checkpoint before it is whole");
                    assert_eq!(resumed.history().epochs.len(), 2);
                    let [set_aside] = resumed.damaged_checkpoints() else { panic!("one is damaged") };
                    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
                    assert!(set_aside.reason.contains(&name), "{}: {name}", set_aside.reason);
                    assert!(!newest.exists());
                    fs::rename(&set_aside.folder, &newest).expect("writable");
                }
            }
        }
        fs::write(file, &whole).expect("writable");
    }
    assert!(count > 10_000, "{count} damages");
    verify(&newest).expect("whole again");
}

#[test]
fn a_run_goes_on_from_the_checkpoint_before_a_damaged_one_as_if_nothing_had_happened() {
    let (folder, whole) = (trained(), trained());
    let weights = |folder: &Path| fs::read(folder.join("step-00000018/weights.safetensors")).expect("a checkpoint");
    let expected = weights(whole.path());
    let file = folder.path().join("step-00000018/weights.safetensors");
    fs::write(&file, &expected[..100]).expect("writable");
    let mut resumed = trainer(folder.path()).expect("the checkpoint before it is whole");
    resumed.train(short_run(), &training()).expect("training succeeds");
    assert!(weights(folder.path()) == expected);
    // What was damaged is still there, under another name.
    assert!(resumed.damaged_checkpoints()[0].folder.join("weights.safetensors").exists());
}

/// The best epoch's checkpoint is kept for every checkpoint that is kept, not for the newest alone: after damage an
/// older one is resumed from, which may know an older best. A process may be killed between its last checkpoint and the
/// deletion of the old ones; the next one deletes them.
#[test]
fn what_a_killed_process_did_not_delete_is_deleted() {
    let (folder, killed) = (trained(), trained());
    let newest = killed.path().join("step-00000018");
    for old in ["step-00000001", "step-00000002"] {
        let old = killed.path().join(old);
        fs::create_dir(&old).expect("writable");
        for file in files(&newest) {
            fs::copy(&file, old.join(file.file_name().expect("a name"))).expect("writable");
        }
    }
    let mut resumed = trainer(killed.path()).expect("its newest checkpoint is whole");
    resumed.train(short_run(), &training()).expect("the run is complete");
    let names =
        |folder: &Path| files(folder).iter().map(|path| path.file_name().map(ToOwned::to_owned)).collect::<Vec<_>>();
    assert_eq!(names(folder.path()), names(killed.path()));
}

#[test]
fn a_run_that_wants_its_best_weights_survives_damage_to_its_newest_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = Dataset::from_simulations(normal_means().simulate(64, 3).expect("simulates")).expect("sound");
    let rate = Schedule::new().with_initial_rate(1e-2).with_decay(bayesburn::trainers::Decay::Constant);
    let stopping = EarlyStopping::new().with_patience(100);
    let config = TrainingConfig::new().with_schedule(rate).with_early_stopping(Some(stopping));
    let source = |epochs| {
        Offline::new(data.clone()).with_epochs(epochs).with_batch_size(8).with_validation(Validation::Fraction(0.25))
    };
    // Without statistics, which are so near the exact posterior that epochs hardly differ.
    let networks = || small_networks().with_statistics(Statistics::None);
    let build = |folder: &Path| {
        let builder = Trainer::builder(normal_means(), networks()).seed(3).checkpoints(folder).keep_checkpoints(2);
        builder.resume().progress(Progress::Hidden).build().expect("whole")
    };
    let mut trainer = build(folder.path());
    let losses: Vec<f32> =
        trainer.train(source(30), &config).expect("trains").validation_losses().iter().map(|(_, l)| *l).collect();
    let best_of = |epochs: usize| (0..epochs).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).expect("some");
    // An epoch that is the best until then, after two or more that were not.
    let newest = (4..30).find(|e| best_of(e + 1) == *e && best_of(*e) + 2 < *e);
    let newest = newest.expect("with this seed there is one") + 1;
    drop(trainer);

    // The same run, given up by a callback after that epoch; then its checkpoint is damaged.
    struct StopAfter(usize);
    impl Callback for StopAfter {
        fn on_epoch(&mut self, epoch: &EpochReport<'_>) -> ControlFlow<String> {
            if epoch.epoch + 1 == self.0 { ControlFlow::Break("enough".into()) } else { ControlFlow::Continue(()) }
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let builder = Trainer::builder(normal_means(), networks()).seed(3).checkpoints(folder.path());
    let builder = builder.keep_checkpoints(2).callback(StopAfter(newest)).progress(Progress::Hidden);
    builder.build().expect("empty").train(source(30), &config).expect("stopped");
    let file = folder.path().join(format!("step-{:08}/history.json", 6 * newest));
    fs::write(&file, "{}").expect("writable");
    let mut resumed = build(folder.path());
    assert_eq!(resumed.history().epochs.len(), newest - 1);
    resumed.train(source(30), &config).expect("the best until then was kept");
    let weights = |trainer: &Trainer, name: &str| {
        let path = folder.path().join(name);
        trainer.amortizer().write_weights(&path).expect("writable");
        fs::read(path).expect("written")
    };
    let expected = weights(&resumed, "expected");
    drop(resumed);

    // The same, stopped after an epoch that was not the best; then the checkpoint of the best is lost.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let builder = Trainer::builder(normal_means(), networks()).seed(3).checkpoints(folder.path());
    let builder = builder.keep_checkpoints(2).progress(Progress::Hidden);
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    struct RaiseAfter(usize, std::sync::Arc<std::sync::atomic::AtomicBool>);
    impl Callback for RaiseAfter {
        fn on_epoch(&mut self, epoch: &EpochReport<'_>) -> ControlFlow<String> {
            self.1.store(epoch.epoch + 1 == self.0, std::sync::atomic::Ordering::SeqCst);
            ControlFlow::Continue(())
        }
    }
    let builder = builder.callback(RaiseAfter(newest - 1, flag.clone())).stop_on(flag);
    let mut trainer = builder.build().expect("empty");
    trainer.train(source(30), &config).expect_err("interrupted");
    let best = trainer.best_checkpoint().expect("validated");
    drop(trainer);
    assert!(!best.ends_with(format!("step-{:08}", 6 * (newest - 1))), "not the newest");
    fs::remove_dir_all(&best).expect("it is there");
    let mut resumed = build(folder.path());
    assert_eq!(resumed.best_checkpoint(), None);
    resumed.train(source(30), &config).expect("its weights are in the newest as well");
    assert!(weights(&resumed, "weights") == expected);
}

/// What a program or the system leaves in a checkpoint is no damage, nor is a file that cannot be read just now.
#[test]
fn a_good_checkpoint_is_not_given_up() {
    let folder = trained();
    let newest = folder.path().join("step-00000018");
    for name in [".DS_Store", "._weights.safetensors", ".nfs000001", "draws.csv"] {
        fs::write(newest.join(name), "x").expect("writable");
    }
    for file in files(&newest).into_iter().filter(|file| file.extension().is_some_and(|end| end != "csv")) {
        for kind in [ErrorKind::PermissionDenied, ErrorKind::StaleNetworkFileHandle, ErrorKind::Other] {
            let at = file.clone();
            let _faults = Faults::new(folder.path(), move |_, operation, path| {
                (operation == Operation::Read && path == at).then_some(Fault::Error(kind))
            });
            if let Err(error) = trainer(folder.path()).map(|_| ()) {
                let text = error.to_string();
                assert!(text.contains("cannot read") && text.contains(&*file.to_string_lossy()), "{text}");
            }
        }
    }
    let resumed = trainer(folder.path()).expect("readable again");
    assert_eq!((resumed.history().steps.len(), resumed.damaged_checkpoints().len()), (18, 0));
    assert!(newest.exists());
}

/// Each read of a resumption fails once.
#[test]
fn a_read_that_fails_does_not_give_a_checkpoint_up() {
    let folder = trained();
    let mut failures = 0;
    for at in 0.. {
        let faults = Faults::new(folder.path(), move |n, operation, _| {
            (n == at && operation == Operation::Read).then_some(Fault::Error(ErrorKind::StaleNetworkFileHandle))
        });
        let resumed = trainer(folder.path());
        let seen = faults.seen();
        drop(faults);
        match resumed {
            Ok(resumed) => {
                assert_eq!((resumed.history().steps.len(), resumed.damaged_checkpoints().len()), (18, 0), "read {at}");
            }
            Err(error) => {
                failures += 1;
                assert!(error.to_string().contains("cannot read"), "read {at}: {error}");
            }
        }
        if seen <= at {
            break;
        }
    }
    // The seal, seven files to compare with it, and what is taken from them.
    assert!(failures > 10, "{failures} reads");
}

/// As on a network file system where another program has its files open.
#[test]
fn an_old_checkpoint_that_cannot_be_deleted_does_not_end_a_training() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let builder = Trainer::builder(normal_means(), small_networks()).seed(3).checkpoints(folder.path());
    let mut trainer = builder.keep_checkpoints(1).progress(Progress::Hidden).build().expect("empty");
    let faults = Faults::new(folder.path(), |_, operation, _| {
        (operation == Operation::Delete).then_some(Fault::Error(ErrorKind::PermissionDenied))
    });
    trainer.train(short_run(), &training()).expect("all checkpoints were written");
    drop(faults);
    drop(trainer);
    let hidden = |folder: &Path| files(folder).iter().filter(|path| path.to_string_lossy().contains("/.step-")).count();
    assert_eq!(hidden(folder.path()), 2, "under names that no resumption takes for checkpoints");
    assert_eq!(self::trainer(folder.path()).expect("whole").history().steps.len(), 18);
    assert_eq!(hidden(folder.path()), 0, "they are deleted when that is possible");
}

#[test]
fn a_file_named_writable_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("writable"), "mine").expect("writable");
    trainer(folder.path()).expect("no checkpoints yet");
    assert_eq!(fs::read(folder.path().join("writable")).expect("still there"), b"mine");
}

#[test]
fn simulations_of_an_earlier_program_are_not_taken_over_unasked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("run-000")).expect("writable");
    let builder = Trainer::builder(normal_means(), small_networks()).checkpoints(folder.path());
    let text = builder.build().map(|_| ()).expect_err("in use").to_string();
    assert!(text.contains("resume()") && text.contains("another folder"), "{text}");
}

#[test]
fn with_no_whole_checkpoint_a_run_does_not_begin_anew() {
    let folder = trained();
    for step in ["step-00000006", "step-00000012", "step-00000018"] {
        fs::write(folder.path().join(step).join("history.json"), "{}").expect("writable");
    }
    let text = trainer(folder.path()).map(|_| ()).expect_err("all are damaged").to_string();
    assert!(
        text.contains("step-00000018") && text.contains("history.json") && text.contains("another folder"),
        "{text}"
    );
    assert!(folder.path().join("step-00000018").exists(), "nothing is renamed");
}

#[test]
fn a_second_trainer_on_a_folder_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = trainer(folder.path()).expect("an empty folder");
    let text = trainer(folder.path()).map(|_| ()).expect_err("locked").to_string();
    assert!(text.contains("another trainer is writing") && text.contains("another folder"), "{text}");
    drop(first);
    trainer(folder.path()).expect("free again");
}

const FULL: &str = "BAYESBURN_TEST_FULL";

/// Trains until a file may not grow further; does nothing when it is not called by the test below.
#[test]
fn training_on_a_full_disk() {
    let Ok(folder) = std::env::var(FULL) else { return };
    let mut trainer = Trainer::builder(normal_means(), small_networks())
        .seed(3)
        .checkpoints(&folder)
        .resume()
        // What checkpoints save grows by 80 kB an epoch.
        .memory(1000)
        .progress(Progress::Hidden)
        .build()
        .expect("the folder is empty or holds this run");
    let result = trainer.train(short_run().with_iterations_per_epoch(100), &training()).map(|_| ());
    fs::write(Path::new(&folder).join("result"), result.map_or_else(|e| e.to_string(), |()| "done".into()))
        .expect("small");
}

/// The system refuses to let a file grow beyond a limit, as it refuses on a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_checkpoint_before_it_whole_and_says_so() {
    let run = |folder: &Path, limit: &str| {
        let exe = std::env::current_exe().expect("this test binary");
        let script =
            format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" --exact checkpoints::training_on_a_full_disk");
        let output = Command::new("sh").args(["-c", &script]).arg(exe).env(FULL, folder).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        fs::read_to_string(folder.join("result")).expect("a result")
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    // In blocks of 512 or 1024 bytes: enough for the first or the first two checkpoints.
    let text = run(folder.path(), "250");
    assert!(text.contains("could not be written") && text.contains("File too large"), "{text}");
    let place = text.split("the one before it, ").nth(1).and_then(|rest| rest.split(", is whole").next());
    let before = Path::new(place.expect("the message names it"));
    verify(before).expect("whole");
    let left: Vec<_> = fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("step-"))
        .collect();
    assert!(left.iter().all(|name| !name.starts_with('.')), "nothing unfinished is left: {left:?}");
    // With room again, the run ends with the weights of one that always had it.
    assert_eq!(run(folder.path(), "unlimited"), "done");
    let other = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(run(other.path(), "unlimited"), "done");
    let weights = |folder: &Path| fs::read(folder.join("step-00000300/weights.safetensors")).expect("a checkpoint");
    assert!(weights(folder.path()) == weights(other.path()));
}
