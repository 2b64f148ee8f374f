//! Defines the errors of benchmark tasks, with their remedies.

use thiserror::Error;

/// An unknown task, or a request that a [`Task`](super::Task) cannot serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// No task has this name.
    #[error("no task is named `{name}`: take one of {known:?}")]
    Unknown {
        /// The name.
        name: String,
        /// The names of all tasks.
        known: Vec<&'static str>,
    },
    /// The number of parameters or data differs from the task's.
    #[error("{got} {what} for the task `{task}`, which has {expected}: give as many")]
    Lengths {
        /// The task.
        task: &'static str,
        /// What was counted.
        what: &'static str,
        /// How many the task has.
        expected: usize,
        /// How many were given.
        got: usize,
    },
    /// The task's posterior has no closed form, so that there are no exact draws.
    #[error("the posterior of the task `{task}` has no closed form: ask `Task::has_exact_posterior` first")]
    NoExactPosterior {
        /// The task.
        task: &'static str,
    },
    /// The observation has no, or nearly no, probability under the task's model.
    #[error(
        "no parameters that the prior of the task `{task}` allows give data {observed:?}, or too few to be found: \
         take data that are finite and near to what the task's model simulates"
    )]
    ImpossibleData {
        /// The task.
        task: &'static str,
        /// The data.
        observed: Vec<f32>,
    },
    /// No draw was asked for.
    #[error("0 draws were asked for: ask for at least 1")]
    NoDraws,
}
