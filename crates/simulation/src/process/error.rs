//! Defines the errors of programs that simulate, with their remedies.

use crate::FailedProcess;
use std::io;
use thiserror::Error;

/// A [`ProcessSimulator`](crate::ProcessSimulator) that cannot be run, or whose worker process failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// A setting is outside its range.
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
        /// The operating system's error.
        source: io::Error,
    },
    /// A worker process failed; boxed because the variant is large.
    #[error(transparent)]
    Failed(Box<FailedProcess>),
}
