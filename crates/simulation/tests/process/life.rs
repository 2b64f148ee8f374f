//! Checks how worker processes begin and end.

use crate::{assert_says, error_of, model, process, process_at, runs};
use bayesburn_simulation::{GenerativeModel, ProcessError, ProcessSimulator, SimulationError};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// The processes that answered.
fn pids(model: &GenerativeModel, num_simulations: usize) -> BTreeSet<u32> {
    let data = model.simulate(num_simulations, 1).expect("sound").data;
    data.iter().map(|&pid| pid as u32).collect()
}

#[test]
fn workers_live_from_batch_to_batch_and_end_with_the_last_clone() {
    let first = model(process("pid").workers(3));
    let all = pids(&first, 500);
    assert_eq!(all.len(), 3);
    let clone = first.clone();
    drop(first);
    assert_eq!(pids(&clone, 500), all);
    assert!(all.iter().all(|&pid| runs(pid)));
    drop(clone);
    assert!(!all.iter().any(|&pid| runs(pid)), "{all:?}");
}

#[test]
fn a_worker_that_does_not_end_with_its_input_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let deaf = model(process_at("deaf", 0, 0, folder.path()).workers(1));
    let pid = fs::read_to_string(folder.path().join("pid")).expect("it has begun").parse().expect("a number");
    assert!(runs(pid));
    drop(deaf);
    assert!(!runs(pid));
}

#[test]
fn a_worker_that_was_killed_between_batches_is_replaced() {
    let model = model(process("pid"));
    let before = pids(&model, 500);
    for pid in &before {
        let kill = std::process::Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status();
        assert!(kill.expect("sh runs").success());
    }
    while before.iter().any(|&pid| runs(pid)) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let after = pids(&model, 500);
    assert!(after.len() == 2 && after.is_disjoint(&before));
}

/// A worker and a process that it started.
fn noted_pids(folder: &Path) -> Vec<u32> {
    let pids = fs::read_to_string(folder.join("pids")).expect("it has begun");
    pids.split(' ').map(|pid| pid.parse().expect("a number")).collect()
}

/// A worker is waited for; its children end when the system next lets them.
#[track_caller]
fn assert_ended(pids: &[u32]) {
    let end = Instant::now() + Duration::from_secs(10);
    while let Some(pid) = pids.iter().find(|pid| runs(**pid)) {
        assert!(Instant::now() < end, "{pid} of {pids:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Also the processes that it started are gone.
#[test]
fn a_worker_that_hangs_is_killed_with_its_children() {
    let folder = tempfile::tempdir().expect("a folder");
    let hanging = process_at("hang", 3, 9, folder.path()).time_limit(Duration::from_secs(3));
    model(hanging).simulate(8, 9).expect_err("it hangs");
    assert_ended(&noted_pids(folder.path()));
}

#[test]
fn the_children_of_a_worker_that_dies_are_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let dying = process_at("die before a child", 3, 9, folder.path()).time_limit(Duration::from_secs(10));
    let error = model(dying).simulate(8, 9).expect_err("it dies");
    assert_ended(&noted_pids(folder.path()));
    assert_says(&error, &["it ended (exit status: 3)"]);
}

/// It ends by itself when its standard input is closed.
#[test]
fn the_children_of_a_worker_are_killed_when_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let parent = model(process_at("have a child", 0, 0, folder.path()).workers(1));
    let pids = noted_pids(folder.path());
    assert!(pids.iter().all(|&pid| runs(pid)), "{pids:?}");
    drop(parent);
    assert_ended(&pids);
}

/// A daemon writes to the standard output of the worker until nobody can read it: no thread waits for more.
#[test]
fn the_output_of_a_worker_that_died_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let dying = process_at("die before a daemon", 3, 9, folder.path()).time_limit(Duration::from_secs(10));
    let dying = model(dying);
    let error = dying.simulate(8, 9).expect_err("it dies");
    assert_ended(&noted_pids(folder.path()));
    assert_says(&error, &["it ended (exit status: 3)"]);
    drop(dying);
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = error_of(ProcessSimulator::new("no-such-simulator").args(["--fast"]));
    assert_says(&error, &["cannot start the simulator `no-such-simulator --fast`", "PATH"]);
    let error = error_of(ProcessSimulator::new("sh").current_dir("/no/such/folder"));
    assert_says(&error, &["`ProcessSimulator::current_dir`", "/no/such/folder is none"]);
}

#[test]
fn a_file_that_cannot_be_run_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("simulator.py");
    fs::write(&script, "print(1)\n").expect("a file");
    assert_says(&error_of(ProcessSimulator::new(&script)), &["simulator.py", "make the file executable"]);
}

#[test]
fn a_program_that_ends_at_once_is_quoted() {
    let error = error_of(process("ends at once"));
    assert!(matches!(error, SimulationError::Process(ProcessError::Failed(_))));
    assert_says(&error, &["it ended (exit status: 3) after 0 answers", "worker ends at once begins"]);
}
