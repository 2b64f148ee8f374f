//! Runs this test program again, for a test in which it cannot start threads.

use crate::{assert_says, error_of};
use bayesburn_simulation::ProcessSimulator;
use rustix::{
    io::Errno,
    process::{WaitId, WaitIdOptions, waitid},
};
use std::process::{Command, Stdio};

const ROLE: &str = "BAYESBURN_TEST_ROLE";

/// The process that the other tests of this file run; does nothing when it is not called by them.
#[test]
fn another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match role.as_str() {
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

/// Every thread without a stack size of its own would need a stack of 2⁵⁰ bytes.
#[test]
fn a_worker_without_its_threads_is_killed_and_waited_for() {
    let output = rerun("no threads").env("RUST_MIN_STACK", (1_u64 << 50).to_string()).output();
    assert_passes(&output.expect("the process runs"));
}
