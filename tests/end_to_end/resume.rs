//! Kills a training at some simulation, resumes it in a new process, and compares what it ends with.

use crate::models::{short_run, small_networks};
use bayesburn::{prelude::*, trainers::Optimizer};
use burn::optim::RmsPropConfig;
use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

const FOLDER: &str = "BAYESBURN_TEST_FOLDER";
const CRASH_AT: &str = "BAYESBURN_TEST_CRASH_AT";

/// The training that the tests below run as processes of their own; does nothing when it is not called by them.
#[test]
fn training_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let crash_at = std::env::var(CRASH_AT).ok().map(|at| at.parse::<usize>().expect("a number of simulations"));
    let simulated = Arc::new(AtomicUsize::new(0));
    let prior = Prior::from_fn(["mu_1", "mu_2"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(move |rng, mu, _| {
        if Some(simulated.fetch_add(1, Ordering::Relaxed)) == crash_at {
            std::process::abort();
        }
        Array2::from_shape_fn((10, 2), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
    let mut trainer = Trainer::builder(model, small_networks())
        .seed(7)
        .checkpoints(folder)
        .resume()
        .progress(Progress::Hidden)
        .build()
        .expect("the folder is empty or holds this run");
    trainer.train_online(&short_run()).expect("training succeeds");
    // A second call in the same program: its schedule and optimizer begin anew.
    trainer.train_online(&second_run()).expect("training succeeds");
}

/// With momentum in its optimizer's state, and another optimizer than the first run's.
fn second_run() -> OnlineConfig {
    short_run().with_epochs(2).with_optimizer(Optimizer::RmsProp(RmsPropConfig::new().with_momentum(0.5)))
}

fn run(folder: &Path, threads: usize, crash_at: Option<usize>) -> bool {
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    command.args(["--exact", "resume::training_process"]).env(FOLDER, folder);
    command.env("RAYON_NUM_THREADS", threads.to_string());
    if let Some(at) = crash_at {
        command.env(CRASH_AT, at.to_string());
    }
    command.output().expect("the process starts").status.success()
}

/// Weights, history and, in the manifest, the position and the checksums of everything but the optimizer's state, whose entries Burn
/// writes in no fixed order.
fn outcome(folder: &Path) -> (Vec<u8>, Vec<u8>, serde_json::Value) {
    let read = |file| fs::read(folder.join("epoch-000005").join(file)).expect("a checkpoint");
    let manifest: serde_json::Value = serde_json::from_slice(&read("manifest.json")).expect("JSON");
    (read("weights.safetensors"), read("history.json"), manifest["position"].clone())
}

#[test]
fn a_killed_and_resumed_run_ends_with_the_bits_of_an_uninterrupted_one() {
    let folder = |name: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        (folder.path().join(name), folder)
    };
    let (whole, _guard) = folder("whole");
    assert!(run(&whole, 1, None));
    let expected = outcome(&whole);

    // A process simulates 2 + 512 in the pilot, 20 for validation, then 8 a step: 48 an epoch. Killed in the pilot and in epoch 1,
    // nothing is saved; then each process finishes one epoch and is killed in the next: epochs 2 and 3 of the first run and, where
    // the first call returns at once, both epochs of the second.
    for threads in [1, 2] {
        let (killed, _guard) = folder("killed");
        for crash_at in [100, 550, 590, 590, 590, 590] {
            assert!(!run(&killed, threads, Some(crash_at)), "not killed at {crash_at}");
        }
        assert!(run(&killed, threads, None));
        assert!(outcome(&killed) == expected, "other bits on {threads} threads");
    }
    let (two_threads, _guard) = folder("two threads");
    assert!(run(&two_threads, 2, None));
    assert!(outcome(&two_threads) == expected, "other bits on 2 threads");
}

/// The comparison above can fail: another seed, or another number of steps, gives other bits.
#[test]
fn another_seed_ends_with_other_weights() {
    let weights = |seed| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut trainer = Trainer::builder(crate::models::normal_means(), small_networks())
            .seed(seed)
            .checkpoints(folder.path())
            .progress(Progress::Hidden)
            .build()
            .expect("an empty folder");
        trainer.train_online(&short_run()).expect("training succeeds");
        fs::read(folder.path().join("epoch-000003/weights.safetensors")).expect("a checkpoint")
    };
    let first = weights(1);
    assert!(first == weights(1), "the same seed gives other weights");
    assert!(first != weights(2), "another seed gives the same weights");
}
