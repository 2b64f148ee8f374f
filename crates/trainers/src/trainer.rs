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
use std::sync::Arc;

/// Trains an amortized posterior on a generative model.
///
/// Everything random comes from the trainer's seed; the result does not depend on the number of threads.
pub struct Trainer<C: SummaryConfig = DeepSetConfig> {
    pub(crate) model: GenerativeModel,
    pub(crate) amortizer: AmortizedPosterior<C>,
    pub(crate) configurator: Arc<dyn Configurator>,
    pub(crate) position: Position,
    pub(crate) history: LossHistory,
    /// Training calls made by this process.
    pub(crate) calls: usize,
    /// The optimizer's state in the checkpoint that was resumed, until the interrupted run takes it up.
    pub(crate) saved_optimizer: Option<Vec<u8>>,
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

    /// Simulates and configures data sets to test on. No seed gives simulations that the training sees.
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
    /// A setting outside its range; a resumed call of another configuration; simulations that fail; a loss that is not finite; a
    /// checkpoint that cannot be written. What was trained until then stays in the trainer and in the last checkpoint.
    pub fn train_online(&mut self, config: &OnlineConfig) -> Result<&LossHistory, TrainerError> {
        config.check()?;
        let run = self.enter_run(config)?;
        if self.position.runs[run].epochs_done == config.epochs {
            return Ok(&self.history);
        }
        let validation = self.validation_set(config.validation_simulations)?;
        let mut optimizer = config.optimizer.init();
        if let Some(bytes) = self.saved_optimizer.take_if(|_| self.position.runs[run].epochs_done > 0) {
            optimizer = self.load_optimizer(optimizer, bytes)?;
        }
        let seed = derive_seed(self.position.seed, const { Purpose::new("training simulations") });
        for epoch in self.position.runs[run].epochs_done..config.epochs {
            let mut bar = EpochBar::new(self.progress, epoch + 1, config.epochs, config.iterations_per_epoch);
            for iteration in 0..config.iterations_per_epoch {
                let step = epoch * config.iterations_per_epoch + iteration;
                let rate = config.schedule.rate(step, config.epochs * config.iterations_per_epoch);
                let batch = self.model.simulate_from(seed, self.position.next_simulation, config.batch_size)?;
                let batch = self.configurator.configure(&batch)?;
                let loss = self.step(&batch, &mut optimizer, rate, config.clip_norm)?;
                self.position.next_simulation += config.batch_size as u64;
                bar.step(loss, rate);
            }
            self.position.runs[run].epochs_done = epoch + 1;
            self.finish_epoch(bar, validation.as_ref())?;
            self.write_checkpoint(&optimizer)?;
        }
        Ok(&self.history)
    }

    /// The number of the run that this call is: one of the checkpoint's, if it has seen as many calls, or a new one.
    fn enter_run(&mut self, config: &OnlineConfig) -> Result<usize, TrainerError> {
        let run = self.calls;
        self.calls += 1;
        let now = serde_json::to_value(config).expect("a configuration is plain data");
        match (self.position.runs.get(run), &self.checkpoints) {
            (Some(saved), Some(checkpoints)) => {
                if let Some(difference) = Difference::first(&saved.config, &now) {
                    return Err(TrainerError::mismatch(checkpoints.folder(), difference));
                }
            }
            _ => self.position.runs.push(Run { config: now, epochs_done: 0 }),
        }
        Ok(run)
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
        if !value.is_finite() {
            return Err(TrainerError::NonFiniteLoss { step: self.history.steps.len() + 1, loss: value });
        }
        let networks = self.amortizer.networks();
        let gradients = GradientsParams::from_grads(loss.backward(), networks);
        let (gradients, _) = clip_global_norm(networks, gradients, clip_norm);
        self.amortizer.set_networks(optimizer.step(rate, networks.clone(), gradients));
        self.history.steps.push(StepLoss { loss: value, learning_rate: rate });
        #[cfg(feature = "tensorboard")]
        if let Some(events) = &mut self.events {
            events.step(self.history.steps.len(), value, rate);
        }
        Ok(value)
    }

    fn finish_epoch(&mut self, bar: EpochBar, validation: Option<&Configured>) -> Result<(), TrainerError> {
        let validation_loss = validation.map(|set| self.amortizer.negative_log_likelihood(set)).transpose()?;
        let steps = self.history.steps.len();
        let summary = EpochSummary { steps, mean_loss: bar.mean_loss(), validation_loss };
        bar.finish(validation_loss);
        tracing::info!(epoch = self.history.epochs.len() + 1, ?summary);
        self.history.epochs.push(summary);
        #[cfg(feature = "tensorboard")]
        if let Some(events) = &mut self.events {
            events.epoch(steps, validation_loss);
        }
        Ok(())
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

    fn load_optimizer(&self, optimizer: ModuleOptimizer, bytes: Vec<u8>) -> Result<ModuleOptimizer, TrainerError> {
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|error| {
            let folder = self.checkpoints.as_ref().map(|c| c.folder().to_owned()).unwrap_or_default();
            TrainerError::DamagedCheckpoint { folder, reason: format!("optimizer state: {error}") }
        })?;
        Ok(optimizer.load_record(record))
    }
}
