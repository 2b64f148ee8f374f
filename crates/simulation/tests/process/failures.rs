//! Plants each way in which a worker can fail, reads the error, and checks what `Replace` makes of it.

use crate::{assert_says, error_of, model, prior, process, process_at};
use bayesburn_simulation::{
    FailedProcess, GenerativeModel, InvalidSimulations, Panics, ProcessError, SimulationError, Simulator,
    WorkerFailure, WorkerFault,
};
use std::time::Duration;

const REPLACE: WorkerFailure = WorkerFailure::Replace { max_retries: 1 };

/// Long enough for a worker to start on a busy machine.
const LIMIT: Duration = Duration::from_secs(3);

fn failed(error: SimulationError) -> FailedProcess {
    match error {
        SimulationError::Process(ProcessError::Failed(failed)) => *failed,
        other => panic!("another error: {other}"),
    }
}

/// A worker that always fails at simulation 20 of seed 9 fails the batch, after a retry if there is one; the next batch
/// is right. A worker that fails there once does so only where there is no retry.
#[track_caller]
fn check(task: &str, may_pass: bool, parts: &[&str]) {
    let reference = model(process("simulate"));
    let folder = tempfile::tempdir().expect("a folder");
    // Only what hangs needs to wait for its limit; the others get time for a loaded machine.
    let limit = if task == "hang" { LIMIT } else { Duration::from_secs(60) };
    let at = |task: &str| process_at(task, 20, 9, folder.path()).time_limit(limit);
    for (policy, attempts) in [(WorkerFailure::Error, 1), (REPLACE, if may_pass { 2 } else { 1 })] {
        let always = model(at(task).on_failure(policy));
        let error = always.simulate(50, 9).expect_err("a planted failure");
        assert_says(&error, &["`sh -c exec", "simulation 20 (seed 9", "simulate_from(9, 20, 1)", "\"seed\":"]);
        assert_says(&error, parts);
        assert_eq!(failed(error).attempts, attempts, "{task}, {policy:?}");
        let (next, expected) = (always.simulate(50, 10), reference.simulate(50, 10));
        assert_eq!(next.expect("the next batch is sound"), expected.expect("sound"));
    }
    let once = |policy| model(at(&format!("once {task}")).on_failure(policy)).simulate(50, 9);
    if may_pass {
        assert_eq!(once(REPLACE).expect("the retry is sound"), reference.simulate(50, 9).expect("sound"));
        std::fs::remove_file(folder.path().join("failed")).expect("it failed once");
    }
    assert_says(&once(WorkerFailure::Error).expect_err("it fails once"), parts);
}

#[test]
fn a_worker_that_dies() {
    check("die", true, &["it ended (exit status: 3)", "standard error ends with", "the disk is full"]);
}

/// Its child holds its standard output open for an hour.
#[test]
fn a_worker_that_dies_before_a_child() {
    check("die before a child", true, &["it ended (exit status: 3)"]);
}

/// The daemon is in another group, so it lives on. The batch does not wait for it.
#[test]
fn a_worker_that_dies_before_a_daemon() {
    let folder = tempfile::tempdir().expect("a folder");
    let once = model(process_at("once die before a daemon", 20, 9, folder.path()).on_failure(REPLACE));
    let expected = model(process("simulate")).simulate(50, 9).expect("sound");
    assert_eq!(once.simulate(50, 9).expect("the retry is sound"), expected);
}

#[test]
fn escape_sequences_of_a_worker_do_not_reach_the_terminal() {
    let error = error_of(process("die in colour"));
    let text = "\\u{1b}[2J\\u{1b}]0;the title\\u{7}the disk\n\tis full\\u{9b}1A";
    assert_says(&error, &["standard error ends with", text]);
    assert!(!error.to_string().contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')), "{error:?}");
}

#[test]
fn a_worker_that_is_killed() {
    check("be killed", true, &["it ended (signal: 9 (SIGKILL))"]);
}

#[test]
fn a_worker_that_dies_in_the_middle_of_a_line() {
    check("die in the middle of a line", true, &["it ended (exit status: 3)"]);
}

#[test]
fn a_worker_that_hangs() {
    check("hang", true, &["no answer within 3s", "`ProcessSimulator::time_limit`"]);
}

#[test]
fn a_worker_that_writes_nonsense() {
    let long = "=".repeat(200 - "Iteration 1 of 1 ".len());
    let quoted = format!("`Iteration 1 of 1 {long}...`");
    check("nonsense", true, &[&quoted, "no JSON object", "all else goes to standard error"]);
}

#[test]
fn a_worker_that_answers_another_id() {
    check("wrong id", true, &["it answered id 1000000, which it was not asked"]);
}

#[test]
fn a_worker_whose_data_are_ragged() {
    check("ragged", false, &["not an array of numbers: lists of 2 and of 1 stand beside each other"]);
}

#[test]
fn a_worker_that_answers_with_an_error() {
    check("error", false, &["it answered with the error \"no root in [0, 1]\""]);
}

/// Counted as a panic, where the simulator says so: dropped, listed with the message, and no worker is replaced for it.
#[test]
fn an_error_that_a_worker_answers_with_may_be_an_invalid_simulation() {
    let folder = tempfile::tempdir().expect("a folder");
    let simulator = Simulator::from_process(process_at("error", 20, 9, folder.path()));
    let simulator = simulator.on_invalid(InvalidSimulations::Drop).on_panic(Panics::AsInvalid);
    let dropping = GenerativeModel::new(prior(), simulator).expect("the pilot run is sound");
    let simulations = dropping.simulate(50, 9).expect("one is dropped");
    let [panic] = &simulations.panicked[..] else { panic!("{:?}", simulations.panicked) };
    assert_eq!((panic.id.index, panic.message.as_str()), (20, "no root in [0, 1]"));
    let rest: Vec<usize> = (0..50).filter(|row| *row != 20).collect();
    let all = model(process("simulate")).simulate(50, 9).expect("sound");
    assert_eq!(simulations.data.values(), all.select(&rest).data.values());
    assert!(matches!(dropping.replay(panic.id), Err(SimulationError::Process(ProcessError::Failed(_)))));
}

/// The second answer is heard with the next request of the worker, or after its last: the simulation that is named is
/// near.
#[test]
fn a_worker_that_answers_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = model(process_at("answer twice", 20, 9, folder.path())).simulate(50, 9).expect_err("a planted failure");
    assert!(matches!(failed(error).fault, WorkerFault::UnknownId { .. }));
}

#[test]
fn a_worker_that_writes_between_its_answers() {
    assert_says(&error_of(process("chat").workers(1)), &["`done`", "no JSON object"]);
}

/// A worker that does not go on to its next line is told so, or replaced each time. The last simulation may be sent to
/// several that have answered and are about to end.
#[test]
fn a_worker_that_ends_after_each_answer() {
    let error = error_of(process("one each").workers(1));
    assert_says(&error, &["it ended (exit status: 0) after 1 answers: a worker answers every line"]);
    let replaced = model(process("one each").on_failure(WorkerFailure::Replace { max_retries: 9 }))
        .simulate(20, 9)
        .expect("replaced each time");
    assert_eq!(replaced, model(process("simulate")).simulate(20, 9).expect("sound"));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    assert_says(&error_of(process("simulate").workers(0)), &["0 workers", "at least 1"]);
    assert_says(&error_of(process("simulate").time_limit(Duration::ZERO)), &["a time limit of 0"]);
}
