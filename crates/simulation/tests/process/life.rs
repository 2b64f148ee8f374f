//! Checks how worker processes begin and end.

use crate::{assert_says, error_of, model, process, process_at, runs};
use bayesburn_simulation::{GenerativeModel, ProcessError, ProcessSimulator, SimulationError};
use std::{
    collections::BTreeSet,
    fs,
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

/// Also the processes that it started are gone.
#[test]
fn a_worker_that_hangs_is_killed_with_its_children() {
    let folder = tempfile::tempdir().expect("a folder");
    let hanging = process_at("hang", 3, 9, folder.path()).time_limit(Duration::from_secs(3));
    model(hanging).simulate(8, 9).expect_err("it hangs");
    let pids = fs::read_to_string(folder.path().join("pids")).expect("it has begun");
    // The worker was waited for; its children end when the system next lets them.
    let end = Instant::now() + Duration::from_secs(10);
    for pid in pids.split(' ').map(|pid| pid.parse().expect("a number")) {
        while runs(pid) {
            assert!(Instant::now() < end, "{pid} of {pids}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
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
