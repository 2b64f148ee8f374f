//! Runs the training loop of one call: steps, epochs, validation, checkpoints and stopping.

mod checkpoints;
#[cfg(test)]
mod tests;
mod validation;

use crate::{
    AfterLimit, EpochReport, FinalWeights, RunContext, Source, StepLoss, StepReport, Trainer, TrainerError,
    TrainingConfig,
    error::in_range,
    interrupt::Listening,
    prefetch::{Batch, Batches, SharedSource},
    progress::EpochBar,
    stepper::{Next, Outcome, Stepper, Updater, choose},
    stopping::best_epoch,
};
use bayesburn_amortizers::{Amortizer, Configured};
use bayesburn_core::{Purpose, stream};
use bayesburn_networks::{Pass, moved_towards};
use rand::Rng;
use std::{
    ops::{ControlFlow, Range},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Mutex,
};

/// One call of [`Trainer::train`], starting at the run's present position.
pub(crate) struct Session<'a, A: Amortizer> {
    trainer: &'a mut Trainer<A>,
    config: &'a TrainingConfig,
    /// The steps of each epoch.
    epochs: Vec<Range<usize>>,
    updater: Updater,
    /// Takes steps, and holds the parameters between the first and the last of them.
    stepper: Option<Box<dyn Stepper<A>>>,
    /// Requests to interrupt this call.
    requests: Listening,
}

impl<'a, A: Amortizer> Session<'a, A> {
    pub(crate) fn new(
        trainer: &'a mut Trainer<A>,
        config: &'a TrainingConfig,
        epochs: &[usize],
    ) -> Result<Self, TrainerError> {
        in_range(
            !epochs.is_empty() && !epochs.contains(&0),
            "epochs",
            "at least 1, of at least 1 step each",
            epochs.len(),
        )?;
        let mut ranges = Vec::with_capacity(epochs.len());
        let mut start = 0usize;
        for steps in epochs {
            let end = start.saturating_add(*steps);
            in_range(end < usize::MAX, "steps", "fewer in all than an integer holds", steps)?;
            ranges.push(start..end);
            start = end;
        }
        let requests = Listening::to(&trainer.interrupts)?;
        let updater = match trainer.updater.take() {
            Some(updater) => updater,
            None => Updater::new(&config.optimizer),
        };
        Ok(Self { trainer, config, epochs: ranges, updater, stepper: None, requests })
    }

    /// Trains until the run is over. After an error the trainer can continue it.
    pub(crate) fn train(mut self, source: &mut dyn Source, context: &RunContext) -> Result<(), TrainerError> {
        if let Some(checkpoint) = self.trainer.resumed.take()
            && let Err(error) = self.take_up(&checkpoint, source)
        {
            self.trainer.resumed = Some(checkpoint);
            return Err(error);
        }
        self.begin_best();
        self.begin_average();
        let configurator = self.trainer.configurator.clone();
        let shared = SharedSource { source: Mutex::new(source), run: context, configurator: &*configurator };
        // A callback may panic; if the caller catches the panic, the trainer is in the same state as after an error.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let validation = self.validation_set(&shared)?;
            let left = self.epochs[self.epochs.len() - 1].end.saturating_sub(self.run().steps_done);
            // All memory for the history is allocated and touched now, so that it does not grow with the steps: 12 MB
            // for 2²⁰ steps.
            let steps = &mut self.trainer.history.steps;
            let len = steps.len();
            steps.reserve_exact(left.min(1 << 20));
            steps.resize(steps.capacity(), StepLoss { loss: Some(0.0), learning_rate: 0.0 });
            steps.truncate(len);
            self.epochs(&shared, &validation)
        }));
        // Whatever the result is: a request left over would interrupt the next run.
        let is_interrupted = std::mem::take(&mut self.requests).end();
        match &result {
            // The run is complete, and another call of it returns at once.
            Ok(Ok(())) if is_interrupted => return Err(self.interruption()),
            Ok(Ok(())) => return Ok(()),
            // Already saved as far as possible, or in an unknown state.
            Ok(Err(TrainerError::CheckpointNotWritten { .. } | TrainerError::Interrupted { .. })) | Err(_) => {}
            // The steps since the last checkpoint are saved.
            Ok(Err(_)) if self.trainer.checkpoint_is_due => {
                if let Err(second) = self.write_checkpoint(&shared) {
                    tracing::error!(%second, "the state of the failed training could not be saved");
                }
            }
            Ok(Err(_)) => {}
        }
        if let Err(second) = self.put_parameters_back() {
            tracing::error!(%second);
        }
        let goes_on = self.run().steps_done > 0;
        let trainer = &mut *self.trainer;
        // The amortizer has the average, as in a process that resumes.
        trainer.weights.leave_average(&mut trainer.amortizer, goes_on);
        trainer.weights.forget_last_finite();
        self.trainer.updater = (self.run().steps_done > 0).then_some(self.updater);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Makes the initial weights the best so far, if the run refines the run before, which ended with its best.
    fn begin_best(&mut self) {
        let begins = self.run().refines && self.run().steps_done == 0 && self.keeps_best();
        if begins && self.trainer.best_steps(self.trainer.run, usize::MAX).is_some() {
            let networks = self.trainer.amortizer.networks().clone();
            self.trainer.weights.set_best(networks);
        }
    }

    /// Begins or continues the average of the weights, if the run averages them. Steps continue from the raw weights.
    fn begin_average(&mut self) {
        if self.config.weight_average.is_some() && self.run().finished.is_none() {
            let trainer = &mut *self.trainer;
            trainer.weights.begin_average(&mut trainer.amortizer);
        }
    }

    fn run(&mut self) -> &mut crate::checkpoint::Run {
        &mut self.trainer.position.runs[self.trainer.run]
    }

    fn keeps_best(&self) -> bool {
        self.config.early_stopping.as_ref().is_some_and(|stopping| stopping.final_weights == FinalWeights::Best)
    }

    /// Runs the remaining epochs. The next epoch's number is the number of epochs in the history: after an error
    /// between an epoch's last step and its end, only its end is missing.
    fn epochs(&mut self, shared: &SharedSource<'_>, validation: &[Configured]) -> Result<(), TrainerError> {
        // A checkpoint that an earlier call could not write comes first: it may contain the best weights.
        if self.trainer.checkpoint_is_due {
            self.write_checkpoint(shared)?;
        }
        self.remember_good();
        while self.run().finished.is_none() {
            let epoch = self.trainer.validation_losses(self.trainer.run).len();
            let Some(steps) = self.epochs.get(epoch).cloned() else {
                // A callback panicked at the end of the last epoch.
                if let Some(average) = self.trainer.weights.average().cloned() {
                    self.trainer.amortizer.set_networks(average);
                    self.trainer.weights.set_average(None);
                }
                self.end_run("all epochs are done".into());
                return self.write_checkpoint(shared);
            };
            let stop = std::thread::scope(|scope| {
                // Each epoch has its own thread. Otherwise a source that prepares the next epoch, for example by
                // simulating a whole round, would delay this epoch's validation and checkpoint.
                let left = self.run().steps_done..steps.end;
                let mut batches = Batches::start(scope, shared, left, shared.run.prefetch);
                let stop = self.steps(epoch, &mut batches, shared)?;
                self.put_parameters_back()?;
                Ok::<_, TrainerError>(stop)
            })?;
            self.end_epoch(epoch, stop, shared, validation)?;
            self.write_checkpoint(shared)?;
            self.remember_good();
            if self.run().finished.is_none() {
                self.end_if_interrupted(shared)?;
            }
        }
        Ok(())
    }

    /// Validates and finishes an epoch whose steps are done, with the averaged weights if there are any.
    fn end_epoch(
        &mut self,
        epoch: usize,
        stop: Option<String>,
        shared: &SharedSource<'_>,
        validation: &[Configured],
    ) -> Result<(), TrainerError> {
        let (Some(decay), Some(average)) = (self.config.weight_average, self.trainer.weights.average().cloned()) else {
            let loss = self.validate(shared, validation)?;
            return self.finish_epoch(epoch, loss, stop);
        };
        let weights = self.trainer.amortizer.networks().clone();
        let share = (1.0 - decay).max(1.0 / (epoch as f64 + 2.0));
        let average = moved_towards(average, &weights, share as f32);
        self.trainer.amortizer.set_networks(average.clone());
        // On errors and panics too, steps continue from the raw weights, and an epoch counts once.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let loss = self.validate(shared, validation)?;
            self.trainer.weights.set_average(Some(average));
            self.finish_epoch(epoch, loss, stop)
        }));
        if self.run().finished.is_none() {
            self.trainer.amortizer.set_networks(weights);
        } else {
            self.trainer.weights.set_average(None);
        }
        ended.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Takes the remaining steps of an epoch. Returns a callback's reason to stop before its end, if there is one.
    fn steps(
        &mut self,
        epoch: usize,
        batches: &mut Batches<'_, '_>,
        shared: &SharedSource<'_>,
    ) -> Result<Option<String>, TrainerError> {
        let (steps, losses) = (self.epochs[epoch].clone(), self.trainer.validation_losses(self.trainer.run));
        let best = || best_epoch(&losses).and_then(|best| Some((best + 1, losses[best]?)));
        let best = self.config.early_stopping.as_ref().map(|_| best());
        let mut bar = EpochBar::new(self.trainer.progress, (epoch + 1, self.epochs.len()), steps.len(), best);
        bar.resume(self.run().steps_done.saturating_sub(steps.start));
        let mut stop = None;
        while self.run().steps_done < steps.end && stop.is_none() {
            let batch = batches.next()?;
            let report = self.step(batch, epoch, &losses, batches)?;
            bar.step(&report.loss);
            for callback in &mut self.trainer.callbacks {
                if let ControlFlow::Break(reason) = callback.on_step(&report) {
                    stop.get_or_insert(reason);
                }
            }
            // After an epoch's last step, finishing the epoch comes first.
            if stop.is_none() && self.run().steps_done < steps.end {
                self.end_if_interrupted(shared)?;
            }
        }
        bar.finish();
        Ok(stop)
    }

    /// One step, whether its loss and gradients are finite or not.
    fn step(
        &mut self,
        batch: Batch,
        epoch: usize,
        losses: &[Option<f32>],
        batches: &mut Batches<'_, '_>,
    ) -> Result<StepReport, TrainerError> {
        let total = self.epochs.last().map_or(0, |epoch| epoch.end);
        let (number, rollbacks) = (self.run().steps_done, self.run().rollbacks);
        let factor = self.config.non_finite_steps.after_limit.rate_factor(rollbacks);
        let rate = factor * self.config.schedule.rate(number, total, losses);
        let trainer = &mut *self.trainer;
        let before = trainer.history.steps.len();
        let (seed, drops) = (trainer.position.seed, self.config.dropout);
        let pass_of = move |step: usize| {
            let pass = Pass::training(stream(seed, const { Purpose::new("training pass") }, step as u64).next_u64());
            if drops { pass } else { pass.without_dropout() }
        };
        let stepper = self
            .stepper
            .get_or_insert_with(|| choose(&trainer.amortizer, &self.updater, trainer.own_loss.as_ref(), self.config));
        stepper.gradients(&trainer.amortizer, &batch.configured, &mut pass_of(before))?;
        let next: Next<'_> = Box::new(move || batches.peek().map(|batch| (&batch.configured, pass_of(before + 1))));
        let outcome = stepper.update(&mut trainer.amortizer, &mut self.updater, rate, next)?;
        let (loss, gradient_norm) = match outcome {
            Outcome::Taken { loss, gradient_norm } => (Some(loss), Some(gradient_norm)),
            Outcome::NonFinite { .. } => (None, None),
        };
        let loss = StepLoss { loss, learning_rate: rate as f32 };
        trainer.history.steps.push(loss);
        trainer.history.count_invalid(&batch.simulations.invalid, &batch.simulations.panicked);
        trainer.amortizer.note_trained(&batch.configured);
        trainer.position.runs[trainer.run].steps_done += 1;
        trainer.checkpoint_is_due = true;
        let batch_size = batch.configured.len();
        let (capacity, memory) = &mut trainer.memory;
        if *capacity > 0 {
            memory.insert(before as u64, batch.simulations);
            memory.forget_before((before + 1).saturating_sub(*capacity) as u64);
        }
        // This comes last in the step, since it may fail.
        #[cfg(feature = "tensorboard")]
        let logged = trainer.events.as_mut().map_or(Ok(()), |events| events.step(before + 1, &loss));
        #[cfg(not(feature = "tensorboard"))]
        let logged: Result<(), TrainerError> = Ok(());
        match outcome {
            Outcome::Taken { .. } => self.run().skipped_in_row = 0,
            Outcome::NonFinite { what, value } => self.skipped(what, value)?,
        }
        logged?;
        Ok(StepReport { steps: before + 1, step: number, epoch, batch_size, loss, gradient_norm })
    }

    /// Counts a skipped step, and applies [`AfterLimit`] if there are too many.
    fn skipped(&mut self, what: &'static str, value: f64) -> Result<(), TrainerError> {
        let steps = self.trainer.history.steps.len();
        self.run().skipped_in_row += 1;
        let skipped = self.run().skipped_in_row;
        tracing::warn!(what, value, steps, "left a step out");
        if skipped <= self.config.non_finite_steps.limit {
            return Ok(());
        }
        let rollbacks = self.run().rollbacks;
        match (self.config.non_finite_steps.after_limit, self.trainer.weights.last_finite().cloned()) {
            (AfterLimit::RollBack { times, .. }, Some((networks, updater))) if rollbacks < times => {
                self.trainer.amortizer.set_networks(networks);
                self.updater = updater;
                self.stepper = None;
                self.run().rollbacks += 1;
                self.run().skipped_in_row = 0;
                tracing::warn!(steps, "went back to the weights that the epoch began with");
                Ok(())
            }
            _ => Err(TrainerError::NonFinite { what, value, skipped, steps }),
        }
    }

    /// Returns the stepper's weights to the amortizer. The next step chooses a new stepper. If that fails, the
    /// amortizer has the weights from before the epoch, which must not be saved or trained as those after the steps.
    fn put_parameters_back(&mut self) -> Result<(), TrainerError> {
        if self.trainer.weights_are_lost {
            return Err(TrainerError::WeightsLost);
        }
        let Some(stepper) = self.stepper.take() else { return Ok(()) };
        let result = stepper.put_back(&mut self.trainer.amortizer, &mut self.updater);
        self.trainer.weights_are_lost = result.is_err();
        result
    }

    fn remember_good(&mut self) {
        if matches!(self.config.non_finite_steps.after_limit, AfterLimit::RollBack { .. }) {
            let networks = self.trainer.amortizer.networks().clone();
            self.trainer.weights.set_last_finite(networks, self.updater.clone());
        }
    }

    /// Adds the epoch to the history, and decides whether the run is over; if so, sets its final weights.
    fn finish_epoch(&mut self, epoch: usize, loss: Option<f32>, stop: Option<String>) -> Result<(), TrainerError> {
        let trainer = &mut *self.trainer;
        let summary = trainer.history.finish_epoch(loss);
        trainer.checkpoint_is_due = true;
        tracing::info!(epoch = epoch + 1, ?summary);
        let losses = trainer.validation_losses(trainer.run);
        let best = trainer.best_epoch_until(trainer.run, usize::MAX);
        if self.keeps_best() && best == Some(self.trainer.history.epochs.len() - 1) {
            let networks = self.trainer.amortizer.networks().clone();
            self.trainer.weights.set_best(networks);
        }
        let trainer = &mut *self.trainer;
        let report = EpochReport { epoch, summary: &summary, amortizer: &trainer.amortizer };
        let mut stop = stop;
        for callback in &mut trainer.callbacks {
            if let ControlFlow::Break(reason) = callback.on_epoch(&report) {
                stop.get_or_insert(reason);
            }
        }
        let patience = self.config.early_stopping.as_ref().and_then(|stopping| stopping.reason(&losses));
        let complete = (epoch + 1 == self.epochs.len()).then(|| "all epochs are done".to_owned());
        if let Some(reason) = stop.or(patience).or(complete) {
            self.end_run(reason);
        }
        // Last, since it may fail.
        #[cfg(feature = "tensorboard")]
        if let Some(events) = &mut self.trainer.events {
            events.epoch(&summary)?;
        }
        Ok(())
    }

    /// Ends the run, with its best weights if it keeps them.
    fn end_run(&mut self, reason: String) {
        tracing::info!(reason, "the run is over");
        if let Some(networks) = self.trainer.weights.take_best() {
            self.trainer.amortizer.set_networks(networks);
        }
        self.run().finished = Some(reason);
    }

    fn end_if_interrupted(&mut self, shared: &SharedSource<'_>) -> Result<(), TrainerError> {
        if !self.requests.take() {
            return Ok(());
        }
        if self.trainer.checkpoint_is_due {
            self.write_checkpoint(shared)?;
        }
        Err(self.interruption())
    }

    fn interruption(&self) -> TrainerError {
        let steps = self.trainer.history.steps.len();
        let checkpoint = self.trainer.checkpoints.as_ref().map(|checkpoints| checkpoints.place(steps));
        TrainerError::Interrupted { steps, checkpoint }
    }
}
