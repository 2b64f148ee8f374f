//! Runs this test program again, for tests that stop it, or in which it cannot start threads.

use crate::{assert_says, error_of, model, process, process_at};
use bayesburn_simulation::ProcessSimulator;
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const ROLE: &str = "BAYESBURN_TEST_ROLE";
const FOLDER: &str = "BAYESBURN_TEST_ROLE_FOLDER";

/// Twice as long as the "slow" worker takes.
const LIMIT: Duration = Duration::from_secs(2);

/// The process that the other tests of this file run; does nothing when it is not called by them.
#[test]
fn another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let at = |task: &str| {
        let folder = PathBuf::from(std::env::var_os(FOLDER).expect("a folder"));
        model(process_at(task, 20, 9, &folder).time_limit(LIMIT)).simulate(50, 9)
    };
    match role.as_str() {
        "slow" => {
            let expected = model(process("simulate")).simulate(50, 9).expect("sound");
            assert_eq!(at("slow").expect("every answer counts"), expected);
        }
        "hang" => assert_says(&at("hang").expect_err("it hangs"), &["no answer within 2s"]),
        "no threads" => {
            // The last thread of this process that can be started.
            rayon::ThreadPoolBuilder::new().num_threads(1).stack_size(1 << 20).build_global().expect("one thread");
            let error = error_of(ProcessSimulator::new("sleep").args(["60"]));
            let any = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
            assert_eq!(any.map(|_| "a child runs, or nobody has waited for it"), Err(Errno::CHILD));
            assert_says(&error, &["cannot start the simulator `sleep 60`", "no more processes or threads"]);
        }
        other => panic!("no role {other}"),
    }
}

fn rerun(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    command.args(["--exact", "reruns::another_process", "--test-threads", "1"]).env(ROLE, role);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn assert_passes(output: &std::process::Output) {
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{}\n{}", text[0], text[1]);
}

/// Stops the program for longer than the time limit, from when the worker is at the simulation that takes time.
#[track_caller]
fn stop(role: &str, begun: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let child = rerun(role).env(FOLDER, folder.path()).spawn().expect("the process starts");
    let end = Instant::now() + Duration::from_secs(60);
    while !folder.path().join(begun).exists() && Instant::now() < end {
        sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::STOP).expect("it runs");
    sleep(LIMIT + Duration::from_millis(500));
    kill_process(Pid::from_child(&child), Signal::CONT).expect("it is stopped");
    assert_passes(&child.wait_with_output().expect("it ends"));
    assert!(fs::exists(folder.path().join(begun)).expect("a folder"), "it was stopped too early");
}

/// The workers are in groups of their own, and go on.
#[test]
fn answers_count_that_came_while_the_program_was_stopped() {
    stop("slow", "begun");
}

#[test]
fn a_worker_that_hangs_is_late_also_after_the_program_was_stopped() {
    stop("hang", "pids");
}

/// Every thread without a stack size of its own would need a stack of 2⁵⁰ bytes.
#[test]
fn a_worker_without_its_threads_is_killed_and_waited_for() {
    let output = rerun("no threads").env("RUST_MIN_STACK", (1_u64 << 50).to_string()).output();
    assert_passes(&output.expect("the process runs"));
}
