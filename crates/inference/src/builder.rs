//! Collects the settings of an inference, and checks them.

use crate::{
    InferenceError, Npe, NpeConfig, ParameterSpace, Proposal, configurator::PairsConfigurator, space::scales,
    store::Store,
};
use bayesburn_amortizers::{Configurator, DefaultConfigurator};
use bayesburn_core::settings::in_range;
use bayesburn_networks::{IdentityConfig, SummaryConfig, default_device};
use bayesburn_simulation::{GenerativeModel, Prior, Progress};
use burn::tensor::Device;
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

/// The origin of an inference: a model, or only a prior if another program makes the simulations.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a program has one, until its inference is built")]
pub enum NpeOrigin {
    /// A prior and a simulator.
    Model(GenerativeModel),
    /// A prior.
    Prior(Prior),
}

impl From<GenerativeModel> for NpeOrigin {
    fn from(model: GenerativeModel) -> Self {
        Self::Model(model)
    }
}

impl From<Prior> for NpeOrigin {
    fn from(prior: Prior) -> Self {
        Self::Prior(prior)
    }
}

/// Builds an [`Npe`]; see [`Npe::builder`].
pub struct NpeBuilder<C: SummaryConfig = IdentityConfig> {
    origin: NpeOrigin,
    config: NpeConfig<C>,
    configurator: Option<Arc<dyn Configurator>>,
    feature_names: Option<Vec<String>>,
    seed: u64,
    device: Device,
    progress: Progress,
    folder: Option<PathBuf>,
    resume: bool,
    interrupt: Option<Arc<AtomicBool>>,
    ctrl_c: bool,
}

impl<C: SummaryConfig> fmt::Debug for NpeBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NpeBuilder")
            .field("origin", &self.origin)
            .field("config", &self.config)
            .field("seed", &self.seed)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl<C: SummaryConfig> NpeBuilder<C> {
    pub(crate) fn new(origin: NpeOrigin, config: NpeConfig<C>) -> Self {
        Self {
            origin,
            config,
            configurator: None,
            feature_names: None,
            seed: 0,
            device: default_device(),
            progress: Progress::Auto,
            folder: None,
            resume: false,
            interrupt: None,
            ctrl_c: false,
        }
    }

    /// The seed of all randomness; 0 by default.
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

    /// Whether progress is shown.
    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Sets your own configurator, which computes the networks' inputs from simulations. It must not change the
    /// parameters, since the prior applies to them.
    #[must_use]
    pub fn configurator(mut self, configurator: impl Configurator) -> Self {
        self.configurator = Some(Arc::new(configurator));
        self
    }

    /// Names of the features of the data, which posteriors store. By default they are those of the model, unless you
    /// set your own configurator.
    #[must_use]
    pub fn feature_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.feature_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Stores simulations, checkpoints and posteriors in this folder. [`Posterior::load`](crate::Posterior::load) reads
    /// the posteriors: `posterior-000` of the first training, and so on.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Resumes the inference in the folder, if there is one. Run the same program again: stored simulations are not
    /// repeated, and trainings continue where they were, with bitwise the same result.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// Ends a training after its current step when Ctrl-C is pressed, as
    /// [`TrainerBuilder::stop_on_ctrl_c`](bayesburn_trainers::TrainerBuilder::stop_on_ctrl_c).
    #[must_use]
    pub fn stop_on_ctrl_c(mut self) -> Self {
        self.ctrl_c = true;
        self
    }

    /// Ends a training in the same way when this flag is raised, or simulating after the current part.
    #[must_use]
    pub fn stop_on(mut self, flag: Arc<AtomicBool>) -> Self {
        self.interrupt = Some(flag);
        self
    }

    /// Builds the inference, without simulations yet.
    ///
    /// # Errors
    /// A prior without a density; a simulator with context, unless a configurator handles it; a varying number of
    /// observations; settings outside their range; a folder that cannot be used.
    pub fn build(self) -> Result<Npe<C>, InferenceError> {
        self.config.training.check()?;
        in_range(self.folder.is_some() || !self.resume, "resume", "with a folder", "without one")?;
        let (prior, model) = match self.origin {
            NpeOrigin::Prior(prior) => (prior, None),
            NpeOrigin::Model(model) => (model.prior().clone(), Some(model)),
        };
        let density = prior.density().ok_or_else(|| InferenceError::Prior {
            reason: format!("it draws {:?} by a function, or depends on context", prior.names()),
        })?;
        if let Some(range) = model.as_ref().and_then(|model| model.num_observations())
            && range.start() != range.end()
        {
            let (least, most) = (*range.start(), *range.end());
            return Err(InferenceError::Observations { least, most });
        }
        let depends_on_context = |model: &GenerativeModel| {
            let shapes = model.shapes();
            shapes.sim_batchable_context.is_some() || shapes.sim_non_batchable_context.is_some()
        };
        if self.configurator.is_none() && model.as_ref().is_some_and(depends_on_context) {
            return Err(InferenceError::Context);
        }
        let mut config = self.config;
        let support = Some(density.support().to_vec());
        let mut unresolved = Vec::new();
        match config.space {
            ParameterSpace::Unconstrained => config.networks.support = support,
            ParameterSpace::Bounded => {
                config.networks.bounds = support;
                if config.networks.support.is_none() {
                    let scales = scales(&prior);
                    (config.networks.support, unresolved) = (scales.support, scales.unresolved);
                }
            }
        }
        // Invalid simulations are dropped and counted, unless the model has another policy.
        let model = model.map(GenerativeModel::leaving_out_invalid);
        let of_model = model.as_ref().and_then(GenerativeModel::feature_names).filter(|_| self.configurator.is_none());
        let feature_names = self.feature_names.or_else(|| of_model.map(<[String]>::to_vec));
        let inner = self.configurator.unwrap_or_else(|| Arc::new(DefaultConfigurator));
        let flatten = config.networks.summary.num_observations() == Some(1);
        let configurator = Arc::new(PairsConfigurator::new(inner, flatten));
        let store = self.folder.map(|folder| Store::open(folder, self.resume)).transpose()?;
        Ok(Npe {
            prior,
            model,
            config,
            unresolved,
            configurator,
            feature_names,
            seed: self.seed,
            device: self.device,
            progress: self.progress,
            store,
            interrupt: self.interrupt,
            ctrl_c: self.ctrl_c,
            proposal: Proposal::Prior,
            round: 1,
            trained_for: None,
            runs_done: 0,
            unsaved: None,
            posteriors: 0,
            mixtures: Vec::new(),
            counted: false,
            calls: 0,
            trainings: 0,
            appended: Vec::new(),
            data_shape: None,
            trainer: None,
            summaries: Vec::new(),
            strayed: None,
        })
    }
}
