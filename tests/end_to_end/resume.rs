//! Kills trainings of every mode at random moments, resumes them in new processes, and compares what they end with.

use crate::models::{direct_networks, normal_means, short_run, small_networks, training};
use bayesburn::{
    core::{Purpose, stream},
    prelude::*,
    trainers::{Optimizer, Validation},
};
use burn::optim::RmsPropConfig;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const FOLDER: &str = "BAYESBURN_TEST_FOLDER";
pub(crate) const MODE: &str = "BAYESBURN_TEST_MODE";
const KILLS: usize = 20;
const TRAINING: &str = "resume::training_process";

/// The training that the tests below run as processes of their own; does nothing when it is not called by them.
#[test]
fn training_process() {
    let Ok(mode) = std::env::var(MODE) else { return };
    let Some(folder) = folder_of_process(&mode) else { return };
    let model = normal_means();
    // Half of the modes with steps by Burn's graph, and half without.
    let networks = if matches!(mode.as_str(), "online" | "offline") { direct_networks() } else { small_networks() };
    let mut trainer = Trainer::builder(model.clone(), networks)
        .seed(7)
        .checkpoints(&folder)
        .resume()
        .memory(3)
        // Three of the second run's, and the last of the first.
        .keep_checkpoints(4)
        .progress(Progress::Hidden)
        .build()
        .expect("the folder is empty or holds this run");
    // 600 steps in 30 epochs, or a little more. Half of the modes average weights: one by the graph, and one without.
    let average = matches!(mode.as_str(), "replay" | "offline").then_some(0.8);
    let config =
        training().with_early_stopping(Some(EarlyStopping::new().with_patience(30))).with_weight_average(average);
    match mode.as_str() {
        "online" => {
            let source = Online::new().with_epochs(30).with_iterations_per_epoch(20).with_batch_size(8);
            trainer.train(source, &config).map(|_| ())
        }
        "replay" => {
            let source = Replay::new().with_epochs(30).with_iterations_per_epoch(20).with_batch_size(8);
            trainer.train(source.with_capacity(15).with_replayed_per_fresh(2), &config).map(|_| ())
        }
        "rounds" => {
            let source = Rounds::new().with_rounds(4).with_simulations_per_round(80).with_epochs_per_round(7);
            trainer.train(source.with_batch_size(8).with_window(3), &config).map(|_| ())
        }
        "offline" => {
            let data = Dataset::from_simulations(model.simulate(160, 1).expect("simulates")).expect("sound");
            let source = Offline::new(data).with_epochs(30).with_batch_size(8);
            // Validation from the data, so that early stopping has it.
            let config = config.with_validation_simulations(0);
            trainer.train(source.with_validation(Validation::Fraction(0.1)), &config).map(|_| ())
        }
        other => panic!("no mode {other}"),
    }
    .expect("training succeeds");
    // A second call in the same program: its schedule and optimizer begin anew.
    let optimizer = Optimizer::RmsProp(RmsPropConfig::new().with_momentum(0.5));
    trainer.train(short_run(), &training().with_optimizer(optimizer)).expect("training succeeds");
    fs::write(folder.join("done"), "").expect("writable");
}

/// The folder of a training that a test runs as a process of its own, in this mode.
pub(crate) fn folder_of_process(mode: &str) -> Option<PathBuf> {
    let is_asked_for = std::env::var(MODE).is_ok_and(|asked| asked == mode);
    is_asked_for.then(|| std::env::var(FOLDER).ok().map(PathBuf::from)).flatten()
}

/// Runs one test, which trains, as a process.
fn start(folder: &Path, (test, mode): (&str, &str), threads: usize) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    command.args(["--exact", test]).env(FOLDER, folder).env(MODE, mode);
    command.env("RAYON_NUM_THREADS", threads.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the process starts")
}

/// Every file of the checkpoints, and every simulation kept beside them. The optimizer's state, and with it the
/// checksums, has no fixed order of entries; that it is restored shows in the weights.
fn outcome(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("inside").to_string_lossy().into_owned();
            if name.contains('/') && !name.ends_with("optimizer.bpk") && !name.ends_with("checksums.txt") {
                files.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

/// The steps of the newest checkpoint.
fn steps(folder: &Path) -> usize {
    let names = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").file_name());
    let steps = |name: std::ffi::OsString| name.to_str()?.strip_prefix("step-")?.parse().ok();
    names.filter_map(steps).max().unwrap_or(0)
}

/// The names of the files that differ.
fn differences(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
    names.filter(|name| left.get(*name) != right.get(*name)).cloned().collect()
}

/// `SIGKILL` at 20 moments drawn at random, on 1 and 2 threads in turn; then the run ends as it would have on its own.
pub(crate) fn survives_kills(test: &str, mode: &str, saved: &str) {
    let process = (test, mode);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = folder.path().join("whole");
    let begin = Instant::now();
    assert!(start(&whole, process, 1).wait().expect("it runs").success(), "{mode}");
    let time = begin.elapsed();
    let expected = outcome(&whole);
    assert!(expected.keys().any(|name| name.contains(saved)), "{saved} in {:?}", expected.keys());

    // Each process gets some time, as much at most as lets 20 of them, which first have to start, come about half way.
    // Where the machine was slower before than it is now, they are done too soon, and it is tried again with less.
    let mut longest = Duration::from_millis(300) + time / KILLS as u32;
    let killed = (0..6).map(|attempt| folder.path().join(format!("killed-{attempt}"))).find(|killed| {
        let is_killed = kill_repeatedly(killed, process, longest, steps(&whole));
        longest /= 2;
        is_killed
    });
    let killed = killed.unwrap_or_else(|| panic!("{mode} is always over before it was killed {KILLS} times"));
    assert!(start(&killed, process, 2).wait().expect("it runs").success(), "{mode} after {KILLS} kills");
    assert_eq!(differences(&expected, &outcome(&killed)), Vec::<String>::new(), "{mode}");
}

/// Starts and kills the training 20 times; whether it was unfinished each time.
fn kill_repeatedly(folder: &Path, process_of: (&str, &str), mut longest: Duration, total: usize) -> bool {
    let mut rng = stream(1, const { Purpose::new("kill moments") }, 0);
    for kills in 0..KILLS {
        let mut process = start(folder, process_of, 1 + kills % 2);
        sleep(longest.mul_f64(rng.random()));
        process.kill().expect("it can be killed");
        process.wait().expect("it ends");
        if folder.join("done").exists() {
            return false;
        }
        let is_ahead = steps(folder) * 2 * KILLS > total * (kills + 1);
        longest = longest.mul_f64(if is_ahead { 0.6 } else { 1.3 });
    }
    true
}

#[test]
fn online_training_survives_kills() {
    survives_kills(TRAINING, "online", "memory-0.safetensors");
}

#[test]
fn replay_survives_kills() {
    survives_kills(TRAINING, "replay", "step-00000600/buffer-0.safetensors");
}

#[test]
fn rounds_survive_kills() {
    survives_kills(TRAINING, "rounds", "run-000/round-003");
}

#[test]
fn offline_training_survives_kills() {
    survives_kills(TRAINING, "offline", "step-00000540/weights.safetensors");
}

/// The comparison above can fail: another seed gives other bits.
#[test]
fn another_seed_ends_with_other_weights() {
    let outcome_of = |seed| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut trainer = Trainer::builder(normal_means(), small_networks())
            .seed(seed)
            .checkpoints(folder.path())
            .progress(Progress::Hidden)
            .build()
            .expect("an empty folder");
        trainer.train(short_run(), &training()).expect("training succeeds");
        outcome(folder.path())
    };
    let first = outcome_of(1);
    assert_eq!(differences(&first, &outcome_of(1)), Vec::<String>::new());
    let differing = differences(&first, &outcome_of(2)).join(" ");
    assert!(differing.contains("weights.safetensors") && differing.contains("history.json"), "{differing}");
}
