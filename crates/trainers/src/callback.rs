//! Defines callbacks, which observe every step and epoch of a training and may stop it.

use crate::{EpochSummary, StepLoss};
use bayesburn_amortizers::{AmortizedPosterior, Amortizer};
use std::ops::ControlFlow;

/// Observes every step and epoch of a training, and may stop it with a reason. A stopped run is complete: its last
/// checkpoint is written, and the training call returns.
///
/// In a resumed run, calls continue where the run continues. State of the callback itself is not saved in checkpoints.
///
/// # To implement this
/// Override one or both methods.
///
/// ```
/// use bayesburn_amortizers::Amortizer;
/// use bayesburn_trainers::{Callback, EpochReport, StepReport};
/// use std::{ops::ControlFlow, time::{Duration, Instant}};
///
/// /// Stops a training when its time is over.
/// struct TimeLimit(Instant, Duration);
///
/// impl<A: Amortizer> Callback<A> for TimeLimit {
///     fn on_step(&mut self, _step: &StepReport) -> ControlFlow<String> {
///         match self.0.elapsed() < self.1 {
///             true => ControlFlow::Continue(()),
///             false => ControlFlow::Break("out of time".into()),
///         }
///     }
/// }
/// ```
pub trait Callback<A: Amortizer = AmortizedPosterior>: Send {
    /// After each step.
    fn on_step(&mut self, _step: &StepReport) -> ControlFlow<String> {
        ControlFlow::Continue(())
    }

    /// After each epoch and its validation, before its checkpoint is written.
    fn on_epoch(&mut self, _epoch: &EpochReport<'_, A>) -> ControlFlow<String> {
        ControlFlow::Continue(())
    }
}

/// A step of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The number of steps of all runs so far, including this one.
    pub steps: usize,
    /// The step's number in its run, from 0.
    pub step: usize,
    /// The number of its epoch in its run, from 0.
    pub epoch: usize,
    /// Simulations in the step's batch.
    pub batch_size: usize,
    /// What the history has of it.
    pub loss: StepLoss,
    /// The global norm of the gradients before clipping; `None` if the loss was not finite.
    pub gradient_norm: Option<f64>,
}

/// An epoch of a training.
#[derive(Debug)]
pub struct EpochReport<'a, A: Amortizer = AmortizedPosterior> {
    /// The epoch's number in its run, from 0.
    pub epoch: usize,
    /// What the history has of it.
    pub summary: &'a EpochSummary,
    /// The amortizer after the epoch.
    pub amortizer: &'a A,
}
