//! Holds what a training has come to: amortizer, history, position and checkpoints.

use crate::{
    Callback, DamagedCheckpoint, EpochSummary, LossHistory, Progress, RunContext, Source, TrainedPart, TrainerBuilder,
    TrainerError, TrainingConfig, TrainingLoss,
    checkpoint::{Checkpoint, Checkpoints, Position, Run},
    error::in_range,
    interrupt::Interrupt,
    loss::OwnLoss,
    session::Session,
    source::NumberedBatches,
    stepper::Updater,
    stopping::best_epoch,
    weights::Weights,
};
use bayesburn_amortizers::{
    AmortizedPosterior, Amortizer, AmortizerConfig, Conditions, Configurator, Configured, Difference,
};
use bayesburn_core::{Given, ParameterNames, Purpose, Simulations, stream};
use bayesburn_simulation::{Dataset, GenerativeModel};
use rand::Rng;
use serde_json::json;
use std::{path::PathBuf, sync::Arc};

/// Where a trainer's simulations come from: what its pilot run takes to find widths and standardisation constants.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a program has one, until its trainer is built")]
pub enum Origin {
    /// They are drawn when they are needed.
    Model(GenerativeModel),
    /// They are there: the trainer can train offline only.
    Data(Dataset),
}

impl From<GenerativeModel> for Origin {
    fn from(model: GenerativeModel) -> Self {
        Self::Model(model)
    }
}

impl From<Dataset> for Origin {
    fn from(data: Dataset) -> Self {
        Self::Data(data)
    }
}

/// Trains an [`Amortizer`]: an amortized posterior, if nothing else is said.
///
/// Everything random comes from the trainer's seed; on the CPU the result does not depend on the number of threads, to
/// the bit.
pub struct Trainer<A: Amortizer = AmortizedPosterior> {
    pub(crate) model: Option<GenerativeModel>,
    /// Those of the model or the data.
    pub(crate) parameter_names: ParameterNames,
    pub(crate) amortizer: A,
    pub(crate) configurator: Arc<dyn Configurator>,
    /// In place of the amortizer's.
    pub(crate) own_loss: Option<OwnLoss<A>>,
    pub(crate) callbacks: Vec<Box<dyn Callback<A>>>,
    pub(crate) interrupts: Vec<Interrupt>,
    pub(crate) prefetch: usize,
    pub(crate) position: Position,
    pub(crate) history: LossHistory,
    /// The number of the run that the next training call begins or goes on with.
    pub(crate) run: usize,
    /// The optimizer of that run, if it was interrupted by an error in this process.
    pub(crate) updater: Option<Updater>,
    /// The weights of that run beside those of the amortizer.
    pub(crate) weights: Weights<A::Networks>,
    /// The checkpoint that was resumed from, until the run that it interrupted takes it up.
    pub(crate) resumed: Option<Checkpoint>,
    pub(crate) damaged: Vec<DamagedCheckpoint>,
    /// The most batches of [`Trainer::memory`], and these.
    pub(crate) memory: (usize, NumberedBatches),
    pub(crate) checkpoints: Option<Checkpoints>,
    /// Whether something was trained since the last checkpoint.
    pub(crate) checkpoint_is_due: bool,
    #[cfg(feature = "tensorboard")]
    pub(crate) events: Option<crate::tensorboard::Events>,
    pub(crate) progress: Progress,
}

impl<A: Amortizer> std::fmt::Debug for Trainer<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("model", &self.model)
            .field("amortizer", &A::KIND)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl<A: Amortizer> Trainer<A> {
    /// Begins to build a trainer of what this configuration makes, on a [`GenerativeModel`], or on a [`Dataset`] for
    /// offline training alone.
    ///
    /// Where the model's prior has a density, draws of an amortized posterior are to stay in the interval of each
    /// parameter: unless its configuration has a support or bounds, or the parameters are those of a configurator, they
    /// are mapped to the reals from there
    /// ([`PosteriorConfig::with_support`](bayesburn_amortizers::PosteriorConfig::with_support), by which
    /// [`Interval::Real`](bayesburn_core::Interval::Real) of each asks for none of it).
    pub fn builder<K: AmortizerConfig<Amortizer = A>>(origin: impl Into<Origin>, config: K) -> TrainerBuilder<K> {
        TrainerBuilder::new(origin.into(), config)
    }

    /// The generative model; `None` if the trainer was made from data.
    #[must_use]
    pub fn model(&self) -> Option<&GenerativeModel> {
        self.model.as_ref()
    }

    /// The amortizer as trained so far: with the average of its weights, if the run takes one.
    #[must_use]
    pub fn amortizer(&self) -> &A {
        &self.amortizer
    }

    /// The amortizer, when training is over.
    #[must_use]
    pub fn into_amortizer(self) -> A {
        self.amortizer
    }

    /// The losses of all runs so far, those before a resumption included.
    #[must_use]
    pub fn history(&self) -> &LossHistory {
        &self.history
    }

    /// The simulations last trained on, oldest first: as many batches as [`TrainerBuilder::memory`] asked for.
    pub fn memory(&self) -> impl Iterator<Item = &Simulations> {
        self.memory.1.iter()
    }

    /// Checkpoints that resuming found damaged. They were renamed, and an older one was used.
    #[must_use]
    pub fn damaged_checkpoints(&self) -> &[DamagedCheckpoint] {
        &self.damaged
    }

    /// The checkpoint of the epoch, in the newest run, which has the lowest validation loss: a folder that
    /// [`Amortizer::load`] reads, and that is kept until another epoch is better.
    #[must_use]
    pub fn best_checkpoint(&self) -> Option<PathBuf> {
        let run = self.position.runs.len().checked_sub(1)?;
        Some(self.checkpoints.as_ref()?.place(self.best_steps(run, usize::MAX)?))
    }

    /// What the networks see of these simulations.
    ///
    /// # Errors
    /// What the configurator reports.
    pub fn configure(&self, simulations: &Simulations) -> Result<Configured, TrainerError> {
        Ok(self.configurator.configure(simulations)?)
    }

    /// What the networks see of data without parameters: of what was observed, with its contexts.
    ///
    /// # Errors
    /// What the configurator reports.
    pub fn conditions(&self, given: &Given<'_>) -> Result<Conditions, TrainerError> {
        Ok(self.configurator.conditions(given)?)
    }

    /// Simulates and configures data sets to test on, as one batch. Training, validation and pilot draw from seeds
    /// derived from the trainer's, so that none of theirs is among them.
    ///
    /// Context that a batch shares, such as the number of observations, is the same in all of them: where the model has
    /// such context, a test of these says nothing of any other, and [`Trainer::simulate_over_contexts`] covers all.
    ///
    /// # Errors
    /// What the generative model or the configurator reports; no generative model.
    pub fn simulate(&self, num_simulations: usize, seed: u64) -> Result<Configured, TrainerError> {
        let model = self.model.as_ref().ok_or(TrainerError::NoModel)?;
        self.configure(&model.simulate(num_simulations, seed)?)
    }

    /// Simulates and configures data sets to test on, over the context that a batch shares: batches of five, each with
    /// a context of its own ([`GenerativeModel::simulate_over_contexts`]). One batch where the model has no such
    /// context.
    ///
    /// [`AmortizedPosterior::sample_each`] draws for all of them: one call for each batch with one seed would repeat
    /// its latent numbers.
    ///
    /// # Errors
    /// As [`Trainer::simulate`].
    pub fn simulate_over_contexts(&self, num_simulations: usize, seed: u64) -> Result<Vec<Configured>, TrainerError> {
        let model = self.model.as_ref().ok_or(TrainerError::NoModel)?;
        model.simulate_over_contexts(num_simulations, seed)?.iter().map(|batch| self.configure(batch)).collect()
    }

    /// Trains on the batches of a source, and returns the history.
    ///
    /// A second call begins a new run, with a new optimizer and schedule, from the weights of the first. In a resumed
    /// program, calls that were complete return at once and the interrupted one goes on where its last checkpoint was
    /// written.
    ///
    /// ```no_run
    /// # use bayesburn_amortizers::PosteriorConfig;
    /// # use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
    /// # use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
    /// use bayesburn_trainers::{Online, Replay, Trainer, TrainingConfig};
    ///
    /// # let prior = Prior::from_fn(["mu"], |_, _| [0.0]);
    /// # let simulator = Simulator::from_fn(|_, _, _| ndarray::Array2::zeros((50, 1)));
    /// # let networks = PosteriorConfig::new(DeepSetConfig::new(4), InvertibleNetworkConfig::new());
    /// let mut trainer = Trainer::builder(GenerativeModel::new(prior, simulator)?, networks).build()?;
    /// let config = TrainingConfig::new().with_validation_simulations(200);
    /// trainer.train(Online::new().with_epochs(3), &config)?;
    /// trainer.train(Replay::new().with_epochs(3), &config)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A setting outside its range; an interrupted run of another configuration; simulations that fail; too many steps
    /// that are not finite; a checkpoint that cannot be written; an interruption. What was trained until then stays in
    /// the trainer, and is saved where checkpoints are; another call of the same configuration goes on from there.
    pub fn train(&mut self, source: impl Source, config: &TrainingConfig) -> Result<&LossHistory, TrainerError> {
        self.run_on(source, config, false)
    }

    /// As [`Trainer::train`], where the weights that the run begins with are among those that it chooses the best from:
    /// it never ends with a higher validation loss than the run before, which must have validated on the same data by
    /// the same loss. A first run is as by `train`.
    ///
    /// For a second stage, such as one without dropout or of the inference network alone. It needs early stopping, with
    /// the best weights at the end.
    ///
    /// # Errors
    /// As [`Trainer::train`].
    pub fn refine(&mut self, source: impl Source, config: &TrainingConfig) -> Result<&LossHistory, TrainerError> {
        self.run_on(source, config, true)
    }

    fn run_on(
        &mut self,
        mut source: impl Source,
        config: &TrainingConfig,
        refines: bool,
    ) -> Result<&LossHistory, TrainerError> {
        config.check()?;
        let has_parts = config.trained_part == TrainedPart::All || self.amortizer.summary_parameters().is_some();
        let expected = "`All` for an amortizer that names no parameters of a summary network";
        in_range(has_parts, "trained_part", expected, format!("{:?}", config.trained_part))?;
        let epochs = source.epochs()?;
        let steps = epochs.iter().fold(0usize, |sum, steps| sum.saturating_add(*steps));
        let plan = json!({ "epochs": epochs.len(), "steps": steps });
        self.enter_run(json!({ "source": source.config(), "plan": plan, "training": config }), refines)?;
        if self.position.runs[self.run].given_up {
            return Err(TrainerError::GivenUp);
        }
        // A run that was over, but could not be saved, is saved now.
        if self.position.runs[self.run].finished.is_none() || self.checkpoint_is_due {
            let of_run = u64::MAX - self.run as u64;
            let context = RunContext {
                model: self.model.clone(),
                // That of run 0 is `derive_seed(seed, purpose)`.
                seed: stream(self.position.seed, const { Purpose::new("training simulations") }, of_run).next_u64(),
                trainer_seed: self.position.seed,
                parameter_names: self.parameter_names.clone(),
                folder: self.checkpoints.as_ref().map(|checkpoints| checkpoints.folder_of_run(self.run)),
                prefetch: self.prefetch,
                progress: self.progress,
            };
            let trained = Session::new(self, config, &epochs).and_then(|session| session.train(&mut source, &context));
            if let Err(error) = trained {
                // Nothing was trained, so that nothing obliges the next call to this configuration.
                if self.position.runs[self.run].steps_done == 0 {
                    self.position.runs.pop();
                    self.weights.forget_run();
                }
                return Err(error);
            }
        } else if let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| self.run + 1 == self.position.runs.len())
        {
            checkpoints.tidy(|steps| self.best_steps(self.run, steps))?;
        }
        self.leave_run();
        Ok(&self.history)
    }

    /// Sets what the next runs minimise, and what their validation loss is; `None`: the amortizer's own loss.
    ///
    /// As for everything that is a function, a program that resumes must set what it set before.
    pub fn set_loss(&mut self, loss: Option<Arc<dyn TrainingLoss<A>>>) {
        self.own_loss = loss;
    }

    /// Gives up the run that an error or an interruption left unfinished: the next call of [`Trainer::train`] begins a
    /// new one, of any configuration, from the weights as they are. Without such a run nothing happens.
    ///
    /// Until that call has written a checkpoint, a program that resumes finds the unfinished run again; after that, the
    /// call of the run that was given up returns [`TrainerError::GivenUp`], so that the program comes here again.
    pub fn end_run(&mut self) {
        let Some(run) = self.position.runs.get_mut(self.run) else { return };
        if run.finished.is_none() {
            run.finished = Some("given up".to_owned());
            run.given_up = true;
            // The next run's first epoch begins after these steps.
            if !self.history.unfinished_epoch().is_empty() {
                self.history.finish_epoch(None);
            }
        }
        if run.given_up {
            self.leave_run();
        }
    }

    /// Why the newest run ended: all its epochs were done, it had stopped improving, or a callback's reason. `None`
    /// while it is unfinished.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&str> {
        self.position.runs.last()?.finished.as_deref()
    }

    /// The epochs of one run, from 0 for the first; none if there was no such run.
    #[must_use]
    pub fn epochs_of_run(&self, run: usize) -> &[EpochSummary] {
        let begins =
            |run: usize| self.position.runs.get(run).map_or(self.history.epochs.len(), |run| run.epochs_before);
        &self.history.epochs[begins(run)..begins(run + 1)]
    }

    /// As [`Trainer::stop_reason`], of one run, from 0 for the first.
    #[must_use]
    pub fn stop_reason_of(&self, run: usize) -> Option<&str> {
        self.position.runs.get(run)?.finished.as_deref()
    }

    /// The epoch whose weights were the best of a run, from 0 for the first: its number among all epochs of
    /// [`Trainer::history`], from 0. If the run was made by [`Trainer::refine`], that may be an epoch of the run
    /// before. `None` if nothing was validated, or there was no such run.
    #[must_use]
    pub fn best_epoch_of_run(&self, run: usize) -> Option<usize> {
        let next = self.position.runs.get(run + 1);
        let last = next.map_or(self.history.epochs.len(), |next| next.epochs_before).checked_sub(1)?;
        self.position.runs.get(run).and_then(|_| self.best_epoch_until(run, self.history.epochs[last].steps))
    }

    fn leave_run(&mut self) {
        self.run += 1;
        self.updater = None;
        self.weights.forget_run();
    }

    /// Makes sure that the current run is the one that this call asks for: a new one, or one that was interrupted, here
    /// or before the program was resumed.
    fn enter_run(&mut self, now: serde_json::Value, refines: bool) -> Result<(), TrainerError> {
        let Some(interrupted) = self.position.runs.get(self.run) else {
            let epochs_before = self.history.epochs.len();
            self.position.runs.push(Run {
                config: now,
                steps_done: 0,
                epochs_before,
                skipped_in_row: 0,
                rollbacks: 0,
                finished: None,
                given_up: false,
                refines,
            });
            return Ok(());
        };
        match Difference::first(&interrupted.config, &now) {
            None => Ok(()),
            Some(difference) => {
                let folder = self.checkpoints.as_ref().map_or("in memory".into(), |c| c.folder().to_owned());
                Err(TrainerError::mismatch(&folder, difference))
            }
        }
    }

    /// The validation losses of a run's epochs so far; the run is the newest.
    pub(crate) fn validation_losses(&self, run: usize) -> Vec<Option<f32>> {
        let epochs = &self.history.epochs[self.position.runs[run].epochs_before..];
        epochs.iter().map(|epoch| epoch.validation_loss).collect()
    }

    /// The number among all epochs of the best of those that a run has chosen from after `steps`: its own, and if it
    /// refines the run before, that one's. The first of several.
    pub(crate) fn best_epoch_until(&self, run: usize, steps: usize) -> Option<usize> {
        let Run { epochs_before, refines, .. } = self.position.runs[run];
        let epochs = &self.history.epochs;
        let end = epochs.partition_point(|epoch| epoch.steps <= steps);
        let losses: Vec<_> = epochs[epochs_before.min(end)..end].iter().map(|epoch| epoch.validation_loss).collect();
        let own = best_epoch(&losses).map(|epoch| epochs_before + epoch);
        let last_before = epochs_before.checked_sub(1).filter(|_| refines && run > 0);
        let before = last_before.and_then(|last| self.best_epoch_until(run - 1, epochs[last].steps));
        let both = [before, own].map(|epoch| epochs[epoch?].validation_loss);
        match best_epoch(&both)? {
            0 => before,
            _ => own,
        }
    }

    /// The steps after which that epoch ended.
    pub(crate) fn best_steps(&self, run: usize, steps: usize) -> Option<usize> {
        Some(self.history.epochs[self.best_epoch_until(run, steps)?].steps)
    }
}
