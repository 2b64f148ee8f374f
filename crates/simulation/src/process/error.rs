//! Says why a program that simulates cannot be run, and what to do.

use crate::FailedProcess;
use std::io;
use thiserror::Error;

/// A [`ProcessSimulator`](crate::ProcessSimulator) that cannot be run, or whose worker process failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// Settings that no batch can be run with.
    #[error("the simulator `{program}` has {problem}")]
    Settings {
        /// Program and arguments.
        program: String,
        /// Which setting, and what to do.
        problem: &'static str,
    },
    /// A worker process cannot be started.
    #[error("cannot start the simulator `{program}`: {source}; {remedy}")]
    NotStarted {
        /// Program and arguments.
        program: String,
        /// What to do.
        remedy: String,
        /// What the system reports.
        source: io::Error,
    },
    /// A worker process failed; boxed, since it has much to say.
    #[error(transparent)]
    Failed(Box<FailedProcess>),
}
