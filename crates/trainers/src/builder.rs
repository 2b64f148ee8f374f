//! Collects the settings of a trainer, and checks before the first step that they fit together.

#[cfg(feature = "tensorboard")]
use crate::tensorboard::Events;
use crate::{
    Callback, LossHistory, Origin, Progress, Trainer, TrainerError,
    checkpoint::{Access, Checkpoint, Opened, Position, is_gone},
    error::in_range,
    identity::Identity,
    interrupt::Interrupt,
    loss::{LossFunction, OwnLoss, training_loss},
    pilot::{PILOT_BATCH_SIZE, PILOT_BATCHES, pilot},
    source::NumberedBatches,
    weights::Weights,
};
use bayesburn_amortizers::{
    Amortizer, AmortizerConfig, AmortizerError, Configurator, Configured, DefaultConfigurator, Difference, Pilot,
    PosteriorConfig, description, saved_description,
};
use bayesburn_core::{Interval, Purpose, Simulations, derive_seed, layout::MEMORY};
use bayesburn_networks::{Pass, default_device, number_parameters};
use burn::tensor::{Device, Tensor};
use serde_json::json;
use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

/// Builds a [`Trainer`]; see [`Trainer::builder`].
pub struct TrainerBuilder<K: AmortizerConfig = PosteriorConfig> {
    origin: Origin,
    config: K,
    configurator: Option<Arc<dyn Configurator>>,
    own_loss: Option<OwnLoss<K::Amortizer>>,
    callbacks: Vec<Box<dyn Callback<K::Amortizer>>>,
    interrupt: Option<Arc<AtomicBool>>,
    ctrl_c: bool,
    prefetch: usize,
    memory: usize,
    pilot: Option<Simulations>,
    parameter_names: Option<Vec<String>>,
    feature_names: Option<Vec<String>>,
    device: Device,
    seed: u64,
    checkpoints: Option<PathBuf>,
    keep: usize,
    access: Access,
    other_model: bool,
    #[cfg(feature = "tensorboard")]
    tensorboard: Option<PathBuf>,
    progress: Progress,
}

impl<K: AmortizerConfig> std::fmt::Debug for TrainerBuilder<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrainerBuilder")
            .field("origin", &self.origin)
            .field("config", &self.config)
            .field("device", &self.device)
            .field("seed", &self.seed)
            .field("checkpoints", &self.checkpoints)
            .finish_non_exhaustive()
    }
}

impl<K: AmortizerConfig> TrainerBuilder<K> {
    pub(crate) fn new(origin: Origin, config: K) -> Self {
        Self {
            origin,
            config,
            configurator: None,
            own_loss: None,
            callbacks: Vec::new(),
            interrupt: None,
            ctrl_c: false,
            prefetch: 4,
            memory: 0,
            pilot: None,
            parameter_names: None,
            feature_names: None,
            device: default_device(),
            seed: 0,
            checkpoints: None,
            keep: 3,
            access: Access::New,
            other_model: false,
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

    /// The device to train on, such as `device("cuda")?` of [`bayesburn_networks`](bayesburn_networks::device); the
    /// processor if not set.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Sets your own configurator in place of [`DefaultConfigurator`]. The prior's support is then ignored, since the
    /// configurator may transform parameters.
    #[must_use]
    pub fn configurator(mut self, configurator: impl Configurator) -> Self {
        self.configurator = Some(Arc::new(configurator));
        self
    }

    /// Uses these simulations to determine widths, standardisation constants and the regression, in place of a pilot
    /// run of 512. For example, pass all training data if they already exist.
    #[must_use]
    pub fn pilot(mut self, simulations: Simulations) -> Self {
        self.pilot = Some(simulations);
        self
    }

    /// Names of the parameters that the configurator outputs, if they are not exactly the prior's: a subset, or
    /// transformed ones.
    #[must_use]
    pub fn parameter_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.parameter_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Names of the features of the data, which the posterior stores. By default they are those of the model or the
    /// data set, unless you set your own configurator, which may change the features.
    #[must_use]
    pub fn feature_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.feature_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets your own training loss, `[1]`, in place of [`Amortizer::loss`]. The validation loss stays
    /// [`Amortizer::validation_loss`]; to replace both, see [`Trainer::set_loss`].
    ///
    /// ```no_run
    /// # use bayesburn_amortizers::PosteriorConfig;
    /// # use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
    /// # use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
    /// # use bayesburn_trainers::Trainer;
    /// # let prior = Prior::from_fn(["mu"], |_, _| [0.0]);
    /// # let simulator = Simulator::from_fn(|_, _, _| ndarray::Array2::zeros((50, 1)));
    /// # let model = GenerativeModel::new(prior, simulator)?;
    /// # let networks = PosteriorConfig::new(DeepSetConfig::new(4), InvertibleNetworkConfig::new());
    /// // Simulations far out count for less.
    /// let trainer = Trainer::builder(model, networks)
    ///     .loss(|posterior, batch, pass| Ok(posterior.log_prob_of_batch(batch, pass)?.neg().clamp_max(10.0).mean()))
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn loss<F>(mut self, loss: F) -> Self
    where
        F: Fn(&K::Amortizer, &Configured, &mut Pass) -> Result<Tensor<1>, AmortizerError> + Send + Sync + 'static,
    {
        self.own_loss = Some(Arc::new(LossFunction(loss)));
        self
    }

    /// Adds a callback that sees every step and epoch, and may stop the training.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback<K::Amortizer> + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Ends the training after its current step when Ctrl-C is pressed: a checkpoint is written, and the training call
    /// returns [`TrainerError::Interrupted`]. After an epoch's last step, the epoch is finished first. If this
    /// completes the run, the same call returns at once when it is repeated.
    ///
    /// One Ctrl-C ends all trainings of the process that watch for it. A second Ctrl-C ends the process at once, and so
    /// does the first when no such training is going on.
    #[must_use]
    pub fn stop_on_ctrl_c(mut self) -> Self {
        self.ctrl_c = true;
        self
    }

    /// Ends the training in the same way when this flag is raised, for example by your own signal handler. A flag that
    /// is raised before the training begins ends it after its first step. The training lowers the flag again, also when
    /// it ends for another reason.
    #[must_use]
    pub fn stop_on(mut self, flag: Arc<AtomicBool>) -> Self {
        self.interrupt = Some(flag);
        self
    }

    /// Number of batches that a second thread prepares ahead of the training, not counting the one that is copied to a
    /// GPU ahead; 4 by default. With 0 each batch is made when its step needs it. Results do not depend on it.
    #[must_use]
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self
    }

    /// Keeps this many of the most recent training batches, for [`Trainer::memory`] and in checkpoints; none by
    /// default.
    #[must_use]
    pub fn memory(mut self, batches: usize) -> Self {
        self.memory = batches;
        self
    }

    /// Writes a checkpoint into this folder after every epoch, and when a training ends within an epoch. The folder is
    /// locked while the trainer exists.
    #[must_use]
    pub fn checkpoints(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints = Some(folder.into());
        self
    }

    /// Number of the newest checkpoints to keep; 3 by default. For each of them, the best checkpoint of its run up to
    /// then, by validation loss, is kept as well.
    #[must_use]
    pub fn keep_checkpoints(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// Resumes from the newest undamaged checkpoint of the folder, if there is one. Damaged ones are renamed
    /// ([`Trainer::damaged_checkpoints`]).
    ///
    /// Run the same program again: training calls that were complete at the checkpoint return at once, and the
    /// interrupted one continues. Their sources and configurations, as far as they are plain data, are compared with
    /// those of the checkpoint, and so are the first pilot simulations of the model, or the fingerprint of the data.
    /// Configurator, loss and callbacks are functions and cannot be compared: the program must not change them.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.access = Access::Resume;
        self
    }

    /// Takes the newest undamaged checkpoint of the folder as [`TrainerBuilder::resume`] does, and leaves the folder as
    /// it is: nothing is locked, written or renamed, and another process may go on training there. The trainer writes
    /// no checkpoints.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Begins anew in a folder that holds checkpoints of an earlier training: when everything else is built, the folder
    /// is renamed to `NAME.before-N` ([`Trainer::set_aside`]). A folder without checkpoints is used as it is.
    #[must_use]
    pub fn set_aside(mut self) -> Self {
        self.access = Access::SetAside;
        self
    }

    /// As [`TrainerBuilder::resume`], without comparing the model's simulations: for a model that was changed on
    /// purpose, or whose simulator uses other randomness than the generator it receives.
    #[must_use]
    pub fn resume_with_other_model(mut self) -> Self {
        self.other_model = true;
        self.resume()
    }

    /// Writes TensorBoard event files into this folder: a new file for each trainer. If the file cannot be written, for
    /// example on a full disk, the training ends with an error after its current step, as with any other error.
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

    /// The support of the model's prior, if it has a density and the networks see its parameters unchanged.
    fn support(&self) -> Option<Vec<Interval>> {
        match &self.origin {
            Origin::Model(model) if self.configurator.is_none() => Some(model.prior().density()?.support().to_vec()),
            _ => None,
        }
    }

    /// The given names, or those of the model or the data set if the networks see their data unchanged.
    fn names_of_features(&self) -> Option<Vec<String>> {
        let of_origin = match &self.origin {
            Origin::Model(model) => model.feature_names(),
            Origin::Data(data) => data.feature_names(),
        };
        let of_origin = of_origin.filter(|_| self.configurator.is_none());
        self.feature_names.clone().or_else(|| of_origin.map(<[String]>::to_vec))
    }

    /// Runs pilot simulations, creates the networks, computes a first loss and, on resuming, loads the newest
    /// checkpoint.
    ///
    /// # Errors
    /// Pilot simulations that fail or cannot be configured; a network configuration outside its ranges; a non-finite
    /// first loss; a checkpoint folder that cannot be written, or that holds checkpoints that are damaged or belong to
    /// another run or configuration.
    pub fn build(self) -> Result<Trainer<K::Amortizer>, TrainerError> {
        in_range(self.keep > 0, "keep_checkpoints", "at least 1", self.keep)?;
        let has_folder = self.checkpoints.is_some();
        let needed = has_folder || self.access == Access::New;
        in_range(needed, self.access.name(), "used with `TrainerBuilder::checkpoints`", "used without a folder")?;
        let (support, feature_names) = (self.support(), self.names_of_features());
        let config = self.config;
        // Cheap checks come before the simulations.
        let Opened { mut checkpoints, read_only, interrupted, damaged } =
            Opened::new(self.checkpoints, self.keep, self.access)?;
        let mut interrupts: Vec<Interrupt> = self.interrupt.map(Interrupt::Flag).into_iter().collect();
        if self.ctrl_c {
            interrupts.push(Interrupt::ctrl_c()?);
        }

        let config = match &interrupted {
            Some(checkpoint) => config.resuming(&saved_description(&checkpoint.folder)?),
            None => config,
        };
        let configurator = self.configurator.unwrap_or_else(|| Arc::new(DefaultConfigurator));
        let needs_moments = config.needs_moments();
        let first_pilot =
            || -> Result<Simulations, TrainerError> { Ok(pilot(&self.origin, self.seed, 1)?.swap_remove(0)) };
        let configure = |batches: &[Simulations]| -> Result<Vec<Configured>, TrainerError> {
            batches.iter().map(|batch| Ok(configurator.configure(batch)?)).collect()
        };
        let (pilot, identity) = match self.pilot {
            Some(simulations) => {
                let identity = has_folder.then(|| Identity::of(&self.origin, first_pilot)).transpose()?;
                (configure(&[simulations])?, identity)
            }
            None => {
                let all = pilot(&self.origin, self.seed, if needs_moments { PILOT_BATCHES } else { 1 })?;
                let identity = Identity::of(&self.origin, || Ok(all[0].clone()))?;
                let few = configure(&all)?;
                // If the weights of the pilot are all 0, more simulations show whether all weights are 0.
                let more = !needs_moments && !few.iter().any(Configured::has_weight);
                let enough = if more { configure(&pilot(&self.origin, self.seed, PILOT_BATCHES)?)? } else { few };
                (enough, Some(identity))
            }
        };
        if let (Some(checkpoint), Some(now), false) = (&interrupted, &identity, self.other_model)
            && checkpoint.position.seed == self.seed
            && let Some(saved) = &checkpoint.position.origin
        {
            saved.check(now, &checkpoint.folder, || Identity::of(&self.origin, first_pilot))?;
        }
        let weights_seed = derive_seed(self.seed, const { Purpose::new("weights") });
        let parameter_names = match &self.origin {
            Origin::Model(model) => model.parameter_names().clone(),
            Origin::Data(data) => data.parameter_names().clone(),
        };
        let names = self.parameter_names.unwrap_or_else(|| parameter_names.to_vec());
        let of_pilot = Pilot { parameter_names: names, feature_names, support, simulations: &pilot };
        let mut amortizer = config.init(&of_pilot, weights_seed, &self.device)?;
        // The optimizer's saved state refers to parameters by their identities.
        amortizer.set_networks(number_parameters(amortizer.networks().clone()));
        amortizer.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let pass = &mut Pass::training(weights_seed);
        let some = pilot[0].rows(0..pilot[0].len().min(PILOT_BATCHES as usize * PILOT_BATCH_SIZE));
        let loss: f32 = training_loss(&amortizer, self.own_loss.as_ref(), &some, pass)?.into_scalar();
        if !loss.is_finite() {
            return Err(TrainerError::PilotLoss { value: loss });
        }
        let mut set_aside = None;
        if self.access == Access::SetAside
            && let Some(earlier) = checkpoints.take()
        {
            let (new, before) = if earlier.is_empty()? { (earlier, None) } else { earlier.set_aside()? };
            (checkpoints, set_aside) = (Some(new), before);
        }
        // After that, since it may be in the same folder.
        #[cfg(feature = "tensorboard")]
        let events = self.tensorboard.map(Events::create).transpose()?;
        let mut trainer = Trainer {
            model: match self.origin {
                Origin::Model(model) => Some(model),
                Origin::Data(_) => None,
            },
            parameter_names,
            amortizer,
            configurator,
            own_loss: self.own_loss,
            callbacks: self.callbacks,
            interrupts,
            prefetch: self.prefetch,
            position: Position { seed: self.seed, origin: identity, ..Position::default() },
            history: LossHistory::default(),
            run: 0,
            updater: None,
            weights: Weights::default(),
            resumed: None,
            damaged,
            set_aside,
            memory: (self.memory, NumberedBatches::default()),
            checkpoints,
            checkpoint_is_due: false,
            weights_are_lost: false,
            #[cfg(feature = "tensorboard")]
            events,
            progress: self.progress,
        };
        // While this was built, another process may have written newer checkpoints.
        let mut interrupted = match &read_only {
            Some(folder) => Checkpoint::newest(folder)?.0,
            None => interrupted,
        };
        while let Some(checkpoint) = interrupted.take() {
            match (restore(&mut trainer, &checkpoint), &read_only) {
                // Another process has deleted it, since it wrote newer ones.
                (Err(_), Some(folder)) if is_gone(&checkpoint.folder) => interrupted = Checkpoint::newest(folder)?.0,
                (restored, _) => {
                    restored?;
                    tracing::info!(checkpoint = %checkpoint.folder.display(), "resumed");
                    trainer.resumed = Some(checkpoint);
                }
            }
        }
        Ok(trainer)
    }
}

/// Restores the trainer from a checkpoint with the same configuration.
fn restore<A: Amortizer>(trainer: &mut Trainer<A>, checkpoint: &Checkpoint) -> Result<(), TrainerError> {
    let folder = &checkpoint.folder;
    let (saved, now) = (json!({"seed": checkpoint.position.seed}), json!({"seed": trainer.position.seed}));
    let [mut described, mut described_now] = [saved_description(folder)?, description(&trainer.amortizer)];
    A::forget_names(&mut described);
    A::forget_names(&mut described_now);
    let difference = Difference::first(&saved, &now).or_else(|| Difference::first(&described, &described_now));
    if let Some(difference) = difference {
        return Err(TrainerError::mismatch(folder, difference));
    }
    trainer.amortizer = trainer.amortizer.clone().load_weights(folder)?;
    trainer.position = Position { origin: trainer.position.origin.take(), ..checkpoint.position.clone() };
    trainer.history = checkpoint.history.clone();
    if trainer.memory.0 > 0 {
        trainer.memory.1 = NumberedBatches::load(folder, MEMORY)?.unwrap_or_default();
    }
    Ok(())
}
