//! Defines the ways in which a worker process can fail.

use std::time::Duration;
use thiserror::Error;

/// The way in which a worker process of a [`ProcessSimulator`](crate::ProcessSimulator) failed to answer with data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WorkerFault {
    /// It ended, or closed its standard output.
    #[error(
        "it ended ({status}) after {answered} answers: a worker answers every line of its standard input, until that \
         ends"
    )]
    Exited {
        /// Its exit status, in words.
        status: String,
        /// How many answers it had given since it started.
        answered: usize,
    },
    /// It did not answer in time, and was killed.
    #[error(
        "it gave no answer within {limit:?}: flush the output after each answer, or raise \
         `ProcessSimulator::time_limit`"
    )]
    TimedOut {
        /// The time limit.
        limit: Duration,
    },
    /// It wrote a line that is not an answer.
    #[error(
        "it wrote the line `{line}`, which is not an answer: {problem}; standard output takes one answer a line, such \
         as {{\"id\":12,\"data\":[[0.5],[1.5]]}}, and all else goes to standard error"
    )]
    Nonsense {
        /// The beginning of the line.
        line: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It answered an unknown request.
    #[error("it answered id {id}, which it was not asked or had answered: repeat the id of the request, once")]
    UnknownId {
        /// The id of the answer.
        id: u64,
    },
    /// It answered with data that are not an array.
    #[error("its data are not an array of numbers: {problem}")]
    Data {
        /// What is wrong with the data.
        problem: String,
    },
    /// It answered with an error.
    #[error("it answered with the error \"{message}\"")]
    Reported {
        /// The error.
        message: String,
    },
}

impl WorkerFault {
    /// Whether another attempt at the same simulation, with the same seed, may end differently.
    pub(super) fn may_pass(&self) -> bool {
        !matches!(self, Self::Data { .. } | Self::Reported { .. })
    }
}

/// A simulation at which a worker process of a [`ProcessSimulator`](crate::ProcessSimulator) failed.
#[derive(Debug, Error)]
#[non_exhaustive]
#[error(
    "the simulator `{program}` failed in simulation {index} (seed {seed}, attempt {attempts}): {fault}; {}; replay it \
     with `simulate_from({seed}, {first}, {num_simulations})`, or give the program the line {request}",
    said(stderr)
)]
pub struct FailedProcess {
    /// Program and arguments.
    pub program: String,
    /// The number of the simulation.
    pub index: u64,
    /// The seed of the batch; that of the simulation is in the request.
    pub seed: u64,
    /// The first simulation of the smallest batch that replays it.
    pub first: u64,
    /// How many simulations that batch has.
    pub num_simulations: usize,
    /// How often the simulation was tried.
    pub attempts: u32,
    /// How the worker failed.
    pub fault: WorkerFault,
    /// The end of what the worker wrote to standard error, with control characters escaped.
    pub stderr: String,
    /// The request, up to 200 characters.
    pub request: String,
}

fn said(stderr: &str) -> String {
    match stderr {
        "" => "it wrote nothing to standard error".into(),
        text => format!("its standard error ends with\n{text}\n"),
    }
}
