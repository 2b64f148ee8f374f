//! The training loop.

use crate::{
    EpochSummary, LossHistory, OnlineConfig, Progress, StepLoss, TrainerBuilder, TrainerError,
    checkpoint::{Checkpoints, Position, Run},
    clip::clip_global_norm,
    progress::EpochBar,
};
use bayesburn_amortizers::{AmortizedPosterior, Configurator, Configured, Difference, PosteriorConfig};
use bayesburn_core::{Purpose, Simulations, derive_seed, stream};
use bayesburn_networks::{DeepSetConfig, Pass, SummaryConfig};
use bayesburn_simulation::GenerativeModel;
use burn::{
    optim::{GradientsParams, OptimizerRecord, module_optimizer::ModuleOptimizer},
    tensor::Bytes,
};
use rand::Rng;
use std::{path::Path, sync::Arc};

/// Trains an amortized posterior on a generative model.
///
/// Everything random comes from the trainer's seed; on the CPU the result does not depend on the number of threads, to the bit.
pub struct Trainer<C: SummaryConfig = DeepSetConfig> {
    pub(crate) model: GenerativeModel,
    pub(crate) amortizer: AmortizedPosterior<C>,
    pub(crate) configurator: Arc<dyn Configurator>,
    pub(crate) position: Position,
    pub(crate) history: LossHistory,
    /// The number of the run that the next training call begins or goes on with.
    pub(crate) run: usize,
    /// The optimizer of that run, if it was interrupted by an error in this process.
    pub(crate) optimizer: Option<ModuleOptimizer>,
    /// The run that the resumed checkpoint interrupted, and its optimizer's state, until that run takes it up.
    pub(crate) saved_optimizer: Option<(usize, Vec<u8>)>,
    pub(crate) checkpoints: Option<Checkpoints>,
    #[cfg(feature = "tensorboard")]
    pub(crate) events: Option<crate::tensorboard::Events>,
    pub(crate) progress: Progress,
}

impl<C: SummaryConfig> std::fmt::Debug for Trainer<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("model", &self.model)
            .field("config", self.amortizer.config())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl<C: SummaryConfig> Trainer<C> {
    /// Begins to build a trainer for this model and these networks.
    pub fn builder(model: GenerativeModel, config: PosteriorConfig<C>) -> TrainerBuilder<C> {
        TrainerBuilder::new(model, config)
    }

    /// The generative model.
    #[must_use]
    pub fn model(&self) -> &GenerativeModel {
        &self.model
    }

    /// The posterior as trained so far.
    #[must_use]
    pub fn amortizer(&self) -> &AmortizedPosterior<C> {
        &self.amortizer
    }

    /// The posterior, when training is over.
    #[must_use]
    pub fn into_amortizer(self) -> AmortizedPosterior<C> {
        self.amortizer
    }

    /// The losses of all runs so far, those before a resumption included.
    #[must_use]
    pub fn history(&self) -> &LossHistory {
        &self.history
    }

    /// What the networks see of these simulations.
    ///
    /// # Errors
    /// What the configurator reports.
    pub fn configure(&self, simulations: &Simulations) -> Result<Configured, TrainerError> {
        Ok(self.configurator.configure(simulations)?)
    }

    /// Simulates and configures data sets to test on. Training, validation and pilot draw from seeds
    /// derived from the trainer's, so that none of theirs is among them.
    ///
    /// # Errors
    /// What the generative model or the configurator reports.
    pub fn simulate(&self, num_simulations: usize, seed: u64) -> Result<Configured, TrainerError> {
        self.configure(&self.model.simulate(num_simulations, seed)?)
    }

    /// Trains on fresh simulations, and returns the history.
    ///
    /// A second call begins a new run, with a new optimizer and schedule, from the weights of the first. In a resumed program,
    /// calls that were complete return at once and the interrupted one goes on where its last checkpoint was written.
    ///
    /// # Errors
    /// A setting outside its range; an interrupted run of another configuration; simulations that fail; a loss or gradient that is
    /// not finite; a checkpoint that cannot be written. What was trained until then stays in the trainer, and another call of the
    /// same configuration goes on from there.
    pub fn train_online(&mut self, config: &OnlineConfig) -> Result<&LossHistory, TrainerError> {
        config.check()?;
        self.enter_run(config)?;
        let mut optimizer = match self.optimizer.take() {
            Some(optimizer) => optimizer,
            None => self.restored_optimizer(config.optimizer.init())?,
        };
        if let Err(error) = self.online_epochs(config, &mut optimizer) {
            self.optimizer = Some(optimizer);
            return Err(error);
        }
        self.run += 1;
        Ok(&self.history)
    }

    /// The epochs of the current run that are still to do, from the step after the last one that succeeded.
    fn online_epochs(&mut self, config: &OnlineConfig, optimizer: &mut ModuleOptimizer) -> Result<(), TrainerError> {
        let epochs_done = self.position.runs[self.run].epochs_done;
        if epochs_done == config.epochs {
            return Ok(());
        }
        let validation = self.validation_set(config.validation_simulations)?;
        let seed = derive_seed(self.position.seed, const { Purpose::new("training simulations") });
        let (iterations, total) = (config.iterations_per_epoch, config.epochs * config.iterations_per_epoch);
        for epoch in epochs_done..config.epochs {
            let mut bar = EpochBar::new(self.progress, epoch + 1, config.epochs, iterations);
            for iteration in self.steps_of_epoch().len()..iterations {
                let rate = config.schedule.rate(epoch * iterations + iteration, total);
                let batch = self.model.simulate_from(seed, self.position.next_simulation, config.batch_size)?;
                let batch = self.configurator.configure(&batch)?;
                let loss = self.step(&batch, optimizer, rate, config.clip_norm)?;
                self.position.next_simulation += config.batch_size as u64;
                bar.step(loss, rate);
            }
            bar.finish(self.finish_epoch(validation.as_ref())?);
            self.write_checkpoint(optimizer)?;
        }
        Ok(())
    }

    /// Makes sure that the current run is the one that this call asks for: a new one, or one that was interrupted, here or before
    /// the program was resumed.
    fn enter_run(&mut self, config: &OnlineConfig) -> Result<(), TrainerError> {
        let now = serde_json::to_value(config).expect("a configuration is plain data");
        let Some(interrupted) = self.position.runs.get(self.run) else {
            self.position.runs.push(Run { config: now, epochs_done: 0 });
            return Ok(());
        };
        match Difference::first(&interrupted.config, &now) {
            None => Ok(()),
            Some(difference) => {
                let folder =
                    self.checkpoints.as_ref().map_or(Path::new("in memory"), |checkpoints| checkpoints.folder());
                Err(TrainerError::mismatch(folder, difference))
            }
        }
    }

    /// The optimizer with the state that the checkpoint has of it, if the current run is the one that was interrupted.
    fn restored_optimizer(&mut self, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer, TrainerError> {
        let Some((_, bytes)) = self.saved_optimizer.take_if(|(run, _)| *run == self.run) else { return Ok(optimizer) };
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|error| {
            let folder = self.checkpoints.as_ref().map(|c| c.folder().to_owned()).unwrap_or_default();
            TrainerError::DamagedCheckpoint { folder, reason: format!("optimizer state: {error}") }
        })?;
        Ok(optimizer.load_record(record))
    }

    /// The steps of the epoch that is not finished yet.
    fn steps_of_epoch(&self) -> &[StepLoss] {
        &self.history.steps[self.history.epochs.last().map_or(0, |epoch| epoch.steps)..]
    }

    fn validation_set(&self, num: usize) -> Result<Option<Configured>, TrainerError> {
        let seed = derive_seed(self.position.seed, const { Purpose::new("validation simulations") });
        (num > 0).then(|| self.simulate(num, seed)).transpose()
    }

    /// One step on one batch; returns the loss before it.
    fn step(
        &mut self,
        batch: &Configured,
        optimizer: &mut ModuleOptimizer,
        rate: f64,
        clip_norm: Option<f64>,
    ) -> Result<f32, TrainerError> {
        let number = self.history.steps.len() as u64;
        let pass_seed = stream(self.position.seed, const { Purpose::new("training pass") }, number).next_u64();
        let loss = self.amortizer.loss(batch, &mut Pass::training(pass_seed))?;
        let value: f32 = loss.clone().into_scalar();
        let steps = self.history.steps.len();
        finite("training loss", steps, f64::from(value))?;
        let networks = self.amortizer.networks();
        let gradients = GradientsParams::from_grads(loss.backward(), networks);
        let (gradients, norm) = clip_global_norm(networks, gradients, clip_norm);
        finite("norm of the gradients", steps, norm)?;
        self.amortizer.set_networks(optimizer.step(rate, networks.clone(), gradients));
        self.history.steps.push(StepLoss { loss: value, learning_rate: rate });
        #[cfg(feature = "tensorboard")]
        if let Some(events) = &mut self.events {
            events.step(self.history.steps.len(), value, rate)?;
        }
        Ok(value)
    }

    /// Adds the epoch to the history, and returns the validation loss.
    fn finish_epoch(&mut self, validation: Option<&Configured>) -> Result<Option<f32>, TrainerError> {
        let validation_loss = validation.map(|set| self.amortizer.negative_log_likelihood(set)).transpose()?;
        let steps = self.history.steps.len();
        if let Some(loss) = validation_loss {
            finite("validation loss", steps, f64::from(loss))?;
        }
        let losses = self.steps_of_epoch();
        let sum: f64 = losses.iter().map(|step| f64::from(step.loss)).sum();
        let summary = EpochSummary { steps, mean_loss: (sum / losses.len() as f64) as f32, validation_loss };
        tracing::info!(epoch = self.history.epochs.len() + 1, ?summary);
        self.history.epochs.push(summary);
        self.position.runs[self.run].epochs_done += 1;
        #[cfg(feature = "tensorboard")]
        if let Some(events) = &mut self.events {
            events.epoch(steps, validation_loss)?;
        }
        Ok(validation_loss)
    }

    fn write_checkpoint(&self, optimizer: &ModuleOptimizer) -> Result<(), TrainerError> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let state = optimizer.to_record().into_bytes().map_err(|error| TrainerError::Io {
            action: "write",
            path: checkpoints.folder().to_owned(),
            source: std::io::Error::other(error),
        })?;
        checkpoints.write(&self.position, &self.history, &state, |folder| Ok(self.amortizer.save(folder)?))
    }
}

/// An error unless the value is finite.
pub(crate) fn finite(what: &'static str, steps: usize, value: f64) -> Result<(), TrainerError> {
    if value.is_finite() { Ok(()) } else { Err(TrainerError::NonFinite { what, steps, value }) }
}
