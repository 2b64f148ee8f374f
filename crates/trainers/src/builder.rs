//! Gathers what a trainer is made from, and checks that it fits together before the first step.

#[cfg(feature = "tensorboard")]
use crate::tensorboard::Events;
use crate::{
    Callback, LossHistory, Origin, Progress, Trainer, TrainerError,
    checkpoint::{Checkpoint, Checkpoints, Position},
    error::in_range,
    identity::Identity,
    interrupt::Interrupt,
    loss::{LossFunction, OwnLoss, training_loss},
    source::{LastBatch, NumberedBatches, ShuffledEpoch, copies, groups, hold_out, valid},
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

/// Batches of pilot simulations, each with its own non-batchable context, and simulations in each. 512 simulations give
/// means and standard deviations to 3 to 5%, and 32 contexts theirs to about 15%, which is all that standardisation
/// needs. A regression on few features leaves little more of parameters than one on all simulations would, 1% of 10.
const PILOT_BATCHES: u64 = 32;
const PILOT_BATCH_SIZE: usize = 16;
const PILOT: Purpose = Purpose::new("pilot simulations");

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
    resume: bool,
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
            resume: false,
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

    /// A configurator of one's own in place of [`DefaultConfigurator`]. What it makes of parameters may lie anywhere:
    /// the prior's support is then not taken.
    #[must_use]
    pub fn configurator(mut self, configurator: impl Configurator) -> Self {
        self.configurator = Some(Arc::new(configurator));
        self
    }

    /// Takes widths, standardisation constants and the regression from these simulations, in place of some hundred that
    /// are drawn for it: where all that is trained on is there, for example.
    #[must_use]
    pub fn pilot(mut self, simulations: Simulations) -> Self {
        self.pilot = Some(simulations);
        self
    }

    /// Names of what the configurator makes of the parameters, where that is not all of the prior's: some of them, or
    /// transformed ones.
    #[must_use]
    pub fn parameter_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.parameter_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Names of the features of the data, which the posterior keeps. Those of the model or the data set are taken if
    /// this is not called, unless there is a configurator of one's own: what it makes of the data may be something
    /// else.
    #[must_use]
    pub fn feature_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.feature_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// A training loss of one's own, `[1]`, in place of [`Amortizer::loss`]. Validation stays
    /// [`Amortizer::validation_loss`]; for a loss with another, see [`Trainer::set_loss`].
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

    /// Adds something that sees every step and epoch, and may stop the training.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback<K::Amortizer> + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Ends the training after its current step when Ctrl-C is pressed: a checkpoint is written, and the training call
    /// returns [`TrainerError::Interrupted`]. A second Ctrl-C ends the process at once.
    #[must_use]
    pub fn stop_on_ctrl_c(mut self) -> Self {
        self.ctrl_c = true;
        self
    }

    /// Ends the training likewise when this flag is raised, for example by a handler of one's own; it is lowered then.
    #[must_use]
    pub fn stop_on(mut self, flag: Arc<AtomicBool>) -> Self {
        self.interrupt = Some(flag);
        self
    }

    /// How many batches are made ahead, on a thread beside the training, not counting the one that a GPU is given
    /// ahead; 4 if not set. 0: each is made when its step needs it. Results do not depend on it.
    #[must_use]
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self
    }

    /// Keeps this many of the batches last trained on, which [`Trainer::memory`] shows and checkpoints save; none if
    /// not set.
    #[must_use]
    pub fn memory(mut self, batches: usize) -> Self {
        self.memory = batches;
        self
    }

    /// Writes a checkpoint into this folder after every epoch, and when a training ends before. The folder is locked
    /// meanwhile.
    #[must_use]
    pub fn checkpoints(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints = Some(folder.into());
        self
    }

    /// How many of the newest checkpoints are kept; 3 if not set. Beside them, for each, the one is kept that has the
    /// lowest validation loss until then of its run.
    #[must_use]
    pub fn keep_checkpoints(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// Goes on from the newest checkpoint of the folder that is whole, if there is one. Damaged ones are set aside
    /// ([`Trainer::damaged_checkpoints`]).
    ///
    /// The program is then run as before: training calls that the checkpoint has seen completed return at once, and the
    /// one that was interrupted goes on. Their sources and configurations are compared with those of the checkpoint, as
    /// far as they are plain data, and so are the first pilot simulations of the model, or the fingerprint of the data.
    /// Configurator, loss and callbacks are functions, which only the program can keep the same.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// As [`TrainerBuilder::resume`], but whatever the model simulates now: for one that was changed on purpose, or
    /// whose simulator does not take its randomness from the generator that it is given.
    #[must_use]
    pub fn resume_with_other_model(mut self) -> Self {
        self.other_model = true;
        self.resume()
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

    /// Where the model's prior has a density, if it has one of what the networks see.
    fn support(&self) -> Option<Vec<Interval>> {
        match &self.origin {
            Origin::Model(model) if self.configurator.is_none() => Some(model.prior().density()?.support().to_vec()),
            _ => None,
        }
    }

    /// The names given, or those of the model or the data set where the networks see their data as they are.
    fn names_of_features(&self) -> Option<Vec<String>> {
        let of_origin = match &self.origin {
            Origin::Model(model) => model.feature_names(),
            Origin::Data(data) => data.feature_names(),
        };
        let of_origin = of_origin.filter(|_| self.configurator.is_none());
        self.feature_names.clone().or_else(|| of_origin.map(<[String]>::to_vec))
    }

    /// Runs pilot simulations, makes the networks, sends a batch through them and, on resuming, loads the newest
    /// checkpoint.
    ///
    /// # Errors
    /// Pilot simulations that fail or cannot be configured; a network configuration outside its ranges; a first loss
    /// that is not finite; a checkpoint folder that cannot be written, or holds another run's checkpoints, or damaged
    /// ones, or such of another configuration.
    pub fn build(self) -> Result<Trainer<K::Amortizer>, TrainerError> {
        in_range(self.keep > 0, "keep_checkpoints", "at least 1", self.keep)?;
        let has_folder = self.checkpoints.is_some();
        in_range(has_folder || !self.resume, "resume", "with a folder, given to `checkpoints`", "without one")?;
        let (support, feature_names) = (self.support(), self.names_of_features());
        let config = self.config;
        // What is quickly found out comes before the simulations.
        let checkpoints = self.checkpoints.map(|folder| Checkpoints::open(folder, self.keep)).transpose()?;
        let (interrupted, damaged) = match &checkpoints {
            Some(checkpoints) if self.resume => checkpoints.newest()?,
            Some(checkpoints) if !checkpoints.is_empty()? => {
                return Err(TrainerError::FolderInUse { folder: checkpoints.folder().to_owned() });
            }
            _ => (None, Vec::new()),
        };
        let mut interrupts: Vec<Interrupt> = self.interrupt.map(Interrupt::Flag).into_iter().collect();
        if self.ctrl_c {
            interrupts.push(Interrupt::ctrl_c()?);
        }
        #[cfg(feature = "tensorboard")]
        let events = self.tensorboard.map(Events::create).transpose()?;

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
                // Of a kernel that is 0 for most simulations, some more show whether it is 0 for all.
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
        // The optimizer's saved state names parameters by their identities.
        amortizer.set_networks(number_parameters(amortizer.networks().clone()));
        amortizer.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let pass = &mut Pass::training(weights_seed);
        let some = pilot[0].rows(0..pilot[0].len().min(PILOT_BATCHES as usize * PILOT_BATCH_SIZE));
        let loss: f32 = training_loss(&amortizer, self.own_loss.as_ref(), &some, pass)?.into_scalar();
        if !loss.is_finite() {
            return Err(TrainerError::PilotLoss { value: loss });
        }
        let trainer = Trainer {
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
            memory: (self.memory, NumberedBatches::default()),
            checkpoints,
            checkpoint_is_due: false,
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

/// Simulations that widths, standardisation constants and the regression are taken from: drawn from the model, or at
/// random from what [`Offline`](crate::Offline) does not hold out of the data, if it holds out a tenth.
pub(crate) fn pilot(origin: &Origin, seed: u64, batches: u64) -> Result<Vec<Simulations>, TrainerError> {
    let pilot_seed = derive_seed(seed, PILOT);
    match origin {
        Origin::Model(model) => {
            let firsts = (0..batches).map(|batch| batch * PILOT_BATCH_SIZE as u64);
            firsts.map(|first| Ok(model.simulate_from(pilot_seed, first, PILOT_BATCH_SIZE)?)).collect()
        }
        Origin::Data(data) => {
            let (mut groups, copies) = (groups(data)?, copies(data));
            for (number, group) in groups.iter_mut().enumerate() {
                let most = group.len().div_ceil(10).min(group.len() - 1);
                hold_out(group, most, &copies, number, seed);
            }
            let order = ShuffledEpoch::new(groups, PILOT_BATCH_SIZE, LastBatch::Keep, (pilot_seed, PILOT, 0));
            let batches = (0..order.len()).take(batches as usize);
            let batches = batches.filter_map(|batch| valid(data.select(&order.rows(batch))).transpose());
            batches.collect()
        }
    }
}

/// The trainer as the checkpoint has it, if both are of one configuration.
fn restore<A: Amortizer>(mut trainer: Trainer<A>, checkpoint: Checkpoint) -> Result<Trainer<A>, TrainerError> {
    let folder = &checkpoint.folder;
    let (saved, now) = (json!({"seed": checkpoint.position.seed}), json!({"seed": trainer.position.seed}));
    let [mut described, mut described_now] = [saved_description(folder)?, description(&trainer.amortizer)];
    A::forget_names(&mut described);
    A::forget_names(&mut described_now);
    let difference = Difference::first(&saved, &now).or_else(|| Difference::first(&described, &described_now));
    if let Some(difference) = difference {
        return Err(TrainerError::mismatch(folder, difference));
    }
    trainer.amortizer = trainer.amortizer.load_weights(folder)?;
    trainer.position = Position { origin: trainer.position.origin, ..checkpoint.position.clone() };
    trainer.history = checkpoint.history.clone();
    if trainer.memory.0 > 0 {
        trainer.memory.1 = NumberedBatches::load(folder, MEMORY)?.unwrap_or_default();
    }
    tracing::info!(checkpoint = %folder.display(), "resumed");
    trainer.resumed = Some(checkpoint);
    Ok(trainer)
}
