//! Gathers what a trainer is made from, and checks that it fits together before the first step.

#[cfg(feature = "tensorboard")]
use crate::tensorboard::Events;
use crate::{
    LossHistory, Progress, Trainer, TrainerError,
    checkpoint::{Checkpoint, Checkpoints, Position},
    error::in_range,
    trainer::finite,
};
use bayesburn_amortizers::{
    AmortizedPosterior, Configurator, DefaultConfigurator, Difference, PosteriorConfig, Standardization,
};
use bayesburn_core::{Purpose, derive_seed};
use bayesburn_networks::{ActNormConfig, Pass, SummaryConfig};
use bayesburn_simulation::GenerativeModel;
use burn::tensor::Device;
use serde_json::json;
use std::{path::PathBuf, sync::Arc};

/// Batches of pilot simulations, each with its own non-batchable context, and simulations in each. 512 simulations give means and
/// standard deviations to 3 to 5%, and 32 contexts theirs to about 15%, which is all that standardisation needs.
const PILOT_BATCHES: u64 = 32;
const PILOT_BATCH_SIZE: usize = 16;

/// Builds a [`Trainer`]; see [`Trainer::builder`].
pub struct TrainerBuilder<C: SummaryConfig> {
    model: GenerativeModel,
    config: PosteriorConfig<C>,
    configurator: Arc<dyn Configurator>,
    parameter_names: Option<Vec<String>>,
    device: Device,
    seed: u64,
    checkpoints: Option<PathBuf>,
    keep: usize,
    resume: bool,
    #[cfg(feature = "tensorboard")]
    tensorboard: Option<PathBuf>,
    progress: Progress,
}

impl<C: SummaryConfig> std::fmt::Debug for TrainerBuilder<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrainerBuilder")
            .field("model", &self.model)
            .field("config", &self.config)
            .field("device", &self.device)
            .field("seed", &self.seed)
            .field("checkpoints", &self.checkpoints)
            .finish_non_exhaustive()
    }
}

impl<C: SummaryConfig> TrainerBuilder<C> {
    pub(crate) fn new(model: GenerativeModel, config: PosteriorConfig<C>) -> Self {
        Self {
            model,
            config,
            configurator: Arc::new(DefaultConfigurator),
            parameter_names: None,
            device: Device::default(),
            seed: 0,
            checkpoints: None,
            keep: 3,
            resume: false,
            #[cfg(feature = "tensorboard")]
            tensorboard: None,
            progress: Progress::Auto,
        }
    }

    /// The seed of weights, simulations, dropout and noise; 0 if not set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The device to train on; Burn's default device if not set.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// A configurator of one's own in place of [`DefaultConfigurator`].
    #[must_use]
    pub fn configurator(mut self, configurator: impl Configurator) -> Self {
        self.configurator = Arc::new(configurator);
        self
    }

    /// Names of what the configurator makes of the parameters, where that is not all of the prior's: some of them, or transformed ones.
    #[must_use]
    pub fn parameter_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.parameter_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Writes a checkpoint into this folder after every epoch.
    #[must_use]
    pub fn checkpoints(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints = Some(folder.into());
        self
    }

    /// How many of the newest checkpoints are kept; 3 if not set.
    #[must_use]
    pub fn keep_checkpoints(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// Goes on from the newest checkpoint of the folder, if there is one.
    ///
    /// The program is then run as before: training calls that the checkpoint has seen completed return at once, and the one that was
    /// interrupted goes on.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// Writes TensorBoard event files into this folder.
    #[cfg(feature = "tensorboard")]
    #[must_use]
    pub fn tensorboard(mut self, folder: impl Into<PathBuf>) -> Self {
        self.tensorboard = Some(folder.into());
        self
    }

    /// Whether progress is shown.
    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Runs pilot simulations, makes the networks, sends a batch through them and, on resuming, loads the newest checkpoint.
    ///
    /// # Errors
    /// Pilot simulations that fail or cannot be configured; a network configuration outside its ranges; a first loss that is not
    /// finite; a checkpoint folder that cannot be written, or holds another run's checkpoints, or damaged ones, or such of
    /// another configuration.
    pub fn build(self) -> Result<Trainer<C>, TrainerError> {
        in_range(self.keep > 0, "keep_checkpoints", "at least 1", self.keep)?;
        // What is quickly found out comes before the simulations.
        let checkpoints = self.checkpoints.map(|folder| Checkpoints::open(folder, self.keep)).transpose()?;
        let interrupted = match &checkpoints {
            Some(checkpoints) if self.resume => checkpoints.newest()?,
            Some(checkpoints) if !checkpoints.is_empty()? => {
                return Err(TrainerError::FolderInUse { folder: checkpoints.folder().to_owned() });
            }
            _ => None,
        };
        #[cfg(feature = "tensorboard")]
        let events = self.tensorboard.map(Events::create).transpose()?;

        let pilot_seed = derive_seed(self.seed, const { Purpose::new("pilot simulations") });
        let from_data = self.config.inference.act_norm == ActNormConfig::FromData;
        let needs_moments = self.config.standardization != Standardization::None || from_data;
        let pilot = (0..if needs_moments { PILOT_BATCHES } else { 1 })
            .map(|i| {
                let first = i * PILOT_BATCH_SIZE as u64;
                let batch = self.model.simulate_from(pilot_seed, first, PILOT_BATCH_SIZE)?;
                Ok(self.configurator.configure(&batch)?)
            })
            .collect::<Result<Vec<_>, TrainerError>>()?;
        let weights_seed = derive_seed(self.seed, const { Purpose::new("weights") });
        let names = self.parameter_names.unwrap_or_else(|| self.model.parameter_names().to_vec());
        let amortizer = AmortizedPosterior::new(self.config, names, &pilot, weights_seed, &self.device)?;
        let loss: f32 = amortizer.loss(&pilot[0], &mut Pass::training(weights_seed))?.into_scalar();
        finite("loss of the pilot simulations", 0, f64::from(loss))?;
        let trainer = Trainer {
            model: self.model,
            amortizer,
            configurator: self.configurator,
            position: Position { seed: self.seed, ..Position::default() },
            history: LossHistory::default(),
            run: 0,
            optimizer: None,
            saved_optimizer: None,
            checkpoints,
            #[cfg(feature = "tensorboard")]
            events,
            progress: self.progress,
        };
        match interrupted {
            Some(checkpoint) => restore(trainer, checkpoint),
            None => Ok(trainer),
        }
    }
}

/// The trainer as the checkpoint has it, if both are of one configuration.
fn restore<C: SummaryConfig>(mut trainer: Trainer<C>, checkpoint: Checkpoint) -> Result<Trainer<C>, TrainerError> {
    let folder = checkpoint.folder;
    let (saved, now) = (json!({"seed": checkpoint.position.seed}), json!({"seed": trainer.position.seed}));
    let description = AmortizedPosterior::<C>::saved_description(&folder)?;
    let difference =
        Difference::first(&saved, &now).or_else(|| Difference::first(&description, &trainer.amortizer.description()));
    if let Some(difference) = difference {
        return Err(TrainerError::mismatch(&folder, difference));
    }
    trainer.amortizer = trainer.amortizer.load_weights(&folder)?;
    trainer.position = checkpoint.position;
    trainer.history = checkpoint.history;
    let last_run = trainer.position.runs.len().saturating_sub(1);
    trainer.saved_optimizer = Some((last_run, checkpoint.optimizer));
    tracing::info!(checkpoint = %folder.display(), "resumed");
    Ok(trainer)
}
