//! Says how a command ended, to a program and to a shell.

use bayesburn_core::with_causes;
use std::{error::Error, process::ExitCode};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The command is done, and what it judged passed.
    Passed,
    /// The command judged a posterior, which failed.
    Failed,
}

/// What the help of every program says of exit codes.
pub(crate) const EXIT_CODES: &str =
    "Exit codes: 0 if a command ran, 1 if a posterior was judged and failed, 2 if a command could not run.";

/// The exit code of a command: 0 if it ran, 1 if a posterior was judged and failed, 2 if it could not run. Prints an
/// error, with its causes, to standard error; lines after its first are indented, so that none of them looks like
/// output of its own.
#[must_use]
#[allow(clippy::print_stderr, reason = "the program talks to its user")]
pub fn exit_code(outcome: Result<Outcome, Box<dyn Error>>) -> ExitCode {
    match outcome {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("Error: {}", with_causes(&*error).replace('\n', "\n  "));
            ExitCode::from(2)
        }
    }
}
