//! Tests simulators that are programs: results, failures, and the life of the processes. The worker is this binary
//! itself.
#![cfg(unix)]

mod failures;
mod life;
mod reruns;
mod results;
mod worker;

use bayesburn_simulation::{GenerativeModel, Prior, ProcessSimulator, SimulationError, Simulator};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::path::Path;

/// Workers that do this; see `worker.rs`. The test harness writes to standard output, so the worker's answers take
/// another way.
fn process(task: &str) -> ProcessSimulator {
    let this = std::env::current_exe().expect("this test binary");
    ProcessSimulator::new("sh")
        .args(["-c", "exec \"$0\" --exact worker::worker_process --nocapture 3>&1 >&2"])
        .args([this])
        .envs([(worker::TASK, task)])
        .workers(2)
}

/// Like [`process`], for a task that is about one simulation, and may remember something in a folder.
fn process_at(task: &str, simulation: u64, seed: u64, folder: &Path) -> ProcessSimulator {
    let draws = prior().sample(simulation as usize + 1, seed).expect("a sound prior");
    let at = draws[[simulation as usize, 0]].to_string();
    process(task).envs([(worker::AT, at.as_ref()), (worker::FOLDER, folder.as_os_str())])
}

fn prior() -> Prior {
    Prior::from_fn(["mu", "nu"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)))
}

fn model(process: ProcessSimulator) -> GenerativeModel {
    GenerativeModel::new(prior(), Simulator::from_process(process)).expect("the pilot run is sound")
}

fn error_of(process: ProcessSimulator) -> SimulationError {
    GenerativeModel::new(prior(), process.into()).expect_err("the simulator has a planted mistake")
}

#[track_caller]
fn assert_says(error: &SimulationError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// Whether a process runs; one that has ended and is not yet waited for does not.
fn runs(pid: u32) -> bool {
    // Where there is `/proc`, there may be no `ps`. The state follows the name, which is in parentheses.
    if std::path::Path::new("/proc/self/stat").exists() {
        // A process that was killed can be waited for when the last of its threads has ended, maybe not the first one.
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let states = threads.map(|thread| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default());
        let ended = |rest: &str| rest.is_empty() || rest.starts_with(['Z', 'X']);
        return states.into_iter().any(|stat| stat.rsplit(") ").next().is_some_and(|rest| !ended(rest)));
    }
    let ps = std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().expect("ps runs");
    let state = String::from_utf8_lossy(&ps.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}
