//! Holds the state of a training: amortizer, history, position and checkpoints.

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
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The origin of a trainer's simulations. Its pilot run takes some to determine widths and standardisation constants.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a program has one, until its trainer is built")]
pub enum Origin {
    /// A model, which simulates when simulations are needed.
    Model(GenerativeModel),
    /// Existing data. The trainer can then only train offline.
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

/// Trains an [`Amortizer`], by default an amortized posterior.
///
/// All randomness derives from the trainer's seed. On the CPU the result is bitwise independent of the number of
/// threads.
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
    /// Where the checkpoints are that were in the folder before.
    pub(crate) set_aside: Option<PathBuf>,
    /// The most batches of [`Trainer::memory`], and these.
    pub(crate) memory: (usize, NumberedBatches),
    pub(crate) checkpoints: Option<Checkpoints>,
    /// Whether something was trained since the last checkpoint.
    pub(crate) checkpoint_is_due: bool,
    /// Whether a stepper could not return the weights of steps that are counted.
    pub(crate) weights_are_lost: bool,
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
    /// Begins to build a trainer for the amortizer of this configuration, on a [`GenerativeModel`], or on a [`Dataset`]
    /// for offline training only.
    ///
    /// If the model's prior has a density, its parameters are mapped from their intervals to the reals, so that draws
    /// of an amortized posterior stay inside. This is not done if the configuration has a support or bounds, or if you
    /// set your own configurator. To switch it off, pass [`Interval::Real`](bayesburn_core::Interval::Real) for each
    /// parameter to [`PosteriorConfig::with_support`](bayesburn_amortizers::PosteriorConfig::with_support).
    pub fn builder<K: AmortizerConfig<Amortizer = A>>(origin: impl Into<Origin>, config: K) -> TrainerBuilder<K> {
        TrainerBuilder::new(origin.into(), config)
    }

    /// The generative model; `None` if the trainer was made from data.
    #[must_use]
    pub fn model(&self) -> Option<&GenerativeModel> {
        self.model.as_ref()
    }

    /// The amortizer as trained so far, with averaged weights if the run averages them.
    #[must_use]
    pub fn amortizer(&self) -> &A {
        &self.amortizer
    }

    /// Converts into the amortizer.
    #[must_use]
    pub fn into_amortizer(self) -> A {
        self.amortizer
    }

    /// The losses of all runs so far, including those before a resumption.
    #[must_use]
    pub fn history(&self) -> &LossHistory {
        &self.history
    }

    /// The most recent training batches, oldest first, as many as [`TrainerBuilder::memory`] set.
    pub fn memory(&self) -> impl Iterator<Item = &Simulations> {
        self.memory.1.iter()
    }

    /// Damaged checkpoints found on resuming. They were renamed, unless the folder is opened
    /// [read-only](TrainerBuilder::read_only), and an older checkpoint was used.
    #[must_use]
    pub fn damaged_checkpoints(&self) -> &[DamagedCheckpoint] {
        &self.damaged
    }

    /// The checkpoint that the trainer was resumed from, until a run continues it.
    #[must_use]
    pub fn resumed_from(&self) -> Option<&Path> {
        self.resumed.as_ref().map(|checkpoint| checkpoint.folder.as_path())
    }

    /// Where the checkpoints of an earlier training are, if [`TrainerBuilder::set_aside`] moved any.
    #[must_use]
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// The checkpoint of the newest run's epoch with the lowest validation loss, if it is there. It is a folder that
    /// [`Amortizer::load`] reads, and is kept until another epoch is better.
    #[must_use]
    pub fn best_checkpoint(&self) -> Option<PathBuf> {
        let run = self.position.runs.len().checked_sub(1)?;
        let place = self.checkpoints.as_ref()?.place(self.best_steps(run, usize::MAX)?);
        Some(place).filter(|place| place.is_dir())
    }

    /// Applies the configurator to simulations: the networks' inputs and targets.
    ///
    /// # Errors
    /// What the configurator reports.
    pub fn configure(&self, simulations: &Simulations) -> Result<Configured, TrainerError> {
        Ok(self.configurator.configure(simulations)?)
    }

    /// Applies the configurator to data without parameters, such as observations with their contexts.
    ///
    /// # Errors
    /// What the configurator reports.
    pub fn conditions(&self, given: &Given<'_>) -> Result<Conditions, TrainerError> {
        Ok(self.configurator.conditions(given)?)
    }

    /// Simulates and configures test data sets, as one batch. Training, validation and pilot use seeds derived from the
    /// trainer's, so test data never coincide with theirs.
    ///
    /// Context that a batch shares, such as the number of observations, is the same in all of them. If the model has
    /// such context, use [`Trainer::simulate_over_contexts`] to test over its whole range.
    ///
    /// # Errors
    /// Errors of the generative model or the configurator; a trainer without generative model.
    pub fn simulate(&self, num_simulations: usize, seed: u64) -> Result<Configured, TrainerError> {
        let model = self.model.as_ref().ok_or(TrainerError::NoModel)?;
        self.configure(&model.simulate(num_simulations, seed)?)
    }

    /// Simulates and configures test data sets that cover the context shared by a batch: batches of five, each with its
    /// own context ([`GenerativeModel::simulate_over_contexts`]). Without such context there is one batch.
    ///
    /// Draw for all of them by [`AmortizedPosterior::sample_each`]: separate calls with the same seed would reuse the
    /// same latent variables.
    ///
    /// # Errors
    /// As [`Trainer::simulate`].
    pub fn simulate_over_contexts(&self, num_simulations: usize, seed: u64) -> Result<Vec<Configured>, TrainerError> {
        let model = self.model.as_ref().ok_or(TrainerError::NoModel)?;
        model.simulate_over_contexts(num_simulations, seed)?.iter().map(|batch| self.configure(batch)).collect()
    }

    /// Trains on the batches of a source, and returns the history.
    ///
    /// A second call begins a new run from the weights of the first, with a new optimizer and schedule. In a resumed
    /// program, calls that were complete return at once, and the interrupted one continues from its last checkpoint.
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
    /// A setting outside its range; an interrupted run with another configuration; simulations that fail; too many
    /// non-finite steps; a checkpoint or an event file that cannot be written; an interruption. The trainer keeps its
    /// state, and saves it if it writes checkpoints; another call with the same configuration continues from there. If
    /// the error or interruption came after the last step, so that the run is complete, that call returns at once.
    pub fn train(&mut self, source: impl Source, config: &TrainingConfig) -> Result<&LossHistory, TrainerError> {
        self.run_on(source, config, false)
    }

    /// As [`Trainer::train`], except that the initial weights compete for the best ones: the run never ends with a
    /// higher validation loss than the run before, which must have validated on the same data by the same loss. As a
    /// first run it is the same as `train`.
    ///
    /// Use it for a second stage, such as one without dropout or of the inference network only. It needs early stopping
    /// with [`FinalWeights::Best`](crate::FinalWeights::Best).
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
        if self.weights_are_lost {
            return Err(TrainerError::WeightsLost);
        }
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
        // A run that was complete but could not be saved is saved now.
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
                // Nothing was trained, so the next call may have another configuration.
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

    /// Sets the training and validation loss of the next runs; `None` for the amortizer's own.
    ///
    /// A loss is not saved: a resumed program must set it again.
    pub fn set_loss(&mut self, loss: Option<Arc<dyn TrainingLoss<A>>>) {
        self.own_loss = loss;
    }

    /// Gives up a run that an error or an interruption left unfinished. The next call of [`Trainer::train`] begins a
    /// new run from the current weights, with any configuration. A run that was complete when its call returned an
    /// error stays complete, and the next call begins a new run too. Without such a run nothing happens.
    ///
    /// Until that new run has written a checkpoint, a resumed program finds the unfinished run again. Afterwards,
    /// repeating the call of the run that was given up returns [`TrainerError::GivenUp`], and the program should call
    /// `end_run` again.
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
        // In a resumed trainer that has not trained yet, a complete run is one whose call comes next; otherwise it is
        // one whose call returned an error.
        if run.given_up || self.resumed.is_none() {
            self.leave_run();
        }
    }

    /// The reason why the newest run ended: all epochs were done, the validation loss no longer improved, or a
    /// callback's reason. `None` while it is unfinished.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&str> {
        self.position.runs.last()?.finished.as_deref()
    }

    /// The number of runs begun so far, including those before a resumption.
    #[must_use]
    pub fn num_runs(&self) -> usize {
        self.position.runs.len()
    }

    /// The epochs of one run, numbered from 0; empty if there was no such run.
    #[must_use]
    pub fn epochs_of_run(&self, run: usize) -> &[EpochSummary] {
        let begins =
            |run: usize| self.position.runs.get(run).map_or(self.history.epochs.len(), |run| run.epochs_before);
        &self.history.epochs[begins(run)..begins(run + 1)]
    }

    /// As [`Trainer::stop_reason`], for one run, numbered from 0.
    #[must_use]
    pub fn stop_reason_of(&self, run: usize) -> Option<&str> {
        self.position.runs.get(run)?.finished.as_deref()
    }

    /// The best epoch of a run, which is numbered from 0: its index in the epochs of [`Trainer::history`]. For a run by
    /// [`Trainer::refine`], it may be an epoch of the run before. `None` if nothing was validated, or there was no such
    /// run.
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
    pub(crate) fn enter_run(&mut self, now: serde_json::Value, refines: bool) -> Result<(), TrainerError> {
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
