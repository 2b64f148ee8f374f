//! Prepares batches on a second thread, some steps ahead of the training.

use crate::{RunContext, Source, TrainerError};
use bayesburn_amortizers::{Configurator, Configured};
use bayesburn_core::Simulations;
use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread::Scope,
};

/// What a step trains on.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) simulations: Simulations,
    pub(crate) configured: Configured,
}

/// A source, shared between the thread that makes batches and the one that trains.
pub(crate) struct SharedSource<'a> {
    pub(crate) source: Mutex<&'a mut dyn Source>,
    pub(crate) run: &'a RunContext,
    pub(crate) configurator: &'a dyn Configurator,
}

impl<'a> SharedSource<'a> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, &'a mut dyn Source> {
        // A panic of the source has become an error; its cached state is only an optimisation.
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the networks see of simulations, which must be of the trainer's parameters.
    pub(crate) fn configure(&self, simulations: &Simulations) -> Result<Configured, TrainerError> {
        let (expected, got) = (&self.run.parameter_names, &simulations.parameter_names);
        if expected != got {
            return Err(TrainerError::ParameterNames { expected: expected.to_vec(), got: got.to_vec() });
        }
        Ok(self.configurator.configure(simulations)?)
    }

    /// The batch of a step. A panic of the source becomes an error.
    fn batch(&self, step: usize) -> Result<Batch, TrainerError> {
        let made = catch_unwind(AssertUnwindSafe(|| {
            let simulations = self.lock().batch(step, self.run)?;
            let configured = self.configure(&simulations)?;
            Ok(Batch { simulations, configured })
        }));
        made.unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<&str>().map(ToString::to_string);
            let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(TrainerError::Source(format!("it panicked at step {step}: {message}")))
        })
    }
}

/// The batches of the steps still to do, in order.
pub(crate) struct Batches<'a, 's> {
    made: Made<'a, 's>,
    /// The next batch, if it was peeked at.
    next: Option<Result<Batch, TrainerError>>,
}

enum Made<'a, 's> {
    /// On another thread, as many ahead as the channel holds.
    Ahead(Receiver<Result<Batch, TrainerError>>),
    /// When they are asked for.
    Now { source: &'a SharedSource<'s>, steps: Range<usize> },
}

impl<'a, 's> Batches<'a, 's> {
    /// The batches of these steps, made up to `ahead` steps before they are needed; 0 to make each when it is needed.
    /// The thread ends after the last batch, after the first that fails, or, when this is dropped, after its current
    /// batch.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        source: &'a SharedSource<'s>,
        steps: Range<usize>,
        ahead: usize,
    ) -> Self
    where
        'a: 'scope,
        's: 'scope,
    {
        if ahead == 0 {
            return Self::new(Made::Now { source, steps });
        }
        // One more is in the thread's hands.
        let (sender, receiver) = sync_channel(ahead - 1);
        scope.spawn(move || {
            for step in steps {
                let batch = source.batch(step);
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        Self::new(Made::Ahead(receiver))
    }

    fn new(made: Made<'a, 's>) -> Self {
        Self { made, next: None }
    }

    /// The next batch.
    pub(crate) fn next(&mut self) -> Result<Batch, TrainerError> {
        if let Some(next) = self.next.take() {
            return next;
        }
        let over = || TrainerError::Source("no batch was made for the next step".into());
        match &mut self.made {
            Made::Ahead(receiver) => receiver.recv().map_err(|_| over())?,
            Made::Now { source, steps } => source.batch(steps.next().ok_or_else(over)?),
        }
    }

    /// The batch that [`Batches::next`] will return, if it is ready and did not fail. The thread then prepares one
    /// batch more.
    pub(crate) fn peek(&mut self) -> Option<&Batch> {
        if let (None, Made::Ahead(receiver)) = (&self.next, &self.made) {
            self.next = receiver.try_recv().ok();
        }
        self.next.as_ref()?.as_ref().ok()
    }
}
