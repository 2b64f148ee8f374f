//! Defines sources, which provide the batches of a training.

mod batches;
mod offline;
mod online;
mod replay;
mod rounds;
mod shuffle;

pub(crate) use batches::NumberedBatches;
pub use offline::{Offline, Validation};
pub use online::Online;
pub use replay::Replay;
pub use rounds::Rounds;
pub use shuffle::LastBatch;
pub(crate) use shuffle::{ShuffledEpoch, copies, groups, hold_out, valid};

use crate::TrainerError;
use bayesburn_core::{ParameterNames, Simulations};
use bayesburn_simulation::{GenerativeModel, Progress};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Provides the batches of a training.
///
/// | source | what a step trains on |
/// |---|---|
/// | [`Online`] | fresh simulations, each seen once |
/// | [`Replay`] | fresh simulations, alternating with draws from a buffer of recent ones |
/// | [`Rounds`] | all simulations of the rounds so far; each round adds some |
/// | [`Offline`] | existing simulations, in memory or on disk |
///
/// Batches are made on a second thread, some steps ahead of the training. A batch must therefore depend only on the
/// step, the run's seed and the source's settings; state that a source keeps between steps may only be a cache. Then a
/// resumed run ends with the same bits as an uninterrupted one, whatever was prepared ahead and discarded.
///
/// # To implement this
/// [`Source::epochs`], [`Source::batch`] and [`Source::config`] are enough:
///
/// ```
/// use bayesburn_core::Simulations;
/// use bayesburn_trainers::{RunContext, Source, TrainerError};
///
/// /// Fresh simulations, every other batch of them twice.
/// struct Twice;
///
/// impl Source for Twice {
///     fn epochs(&self) -> Result<Vec<usize>, TrainerError> {
///         Ok(vec![1000; 3])
///     }
///
///     fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError> {
///         let first = (step / 2 * 32) as u64;
///         Ok(run.model()?.simulate_from(run.seed(), first, 32)?)
///     }
///
///     fn config(&self) -> serde_json::Value {
///         serde_json::json!({ "twice": 32 })
///     }
/// }
/// ```
pub trait Source: Send {
    /// The number of steps in each epoch. After each, the validation loss is measured and a checkpoint is written.
    ///
    /// # Errors
    /// A setting outside its range.
    fn epochs(&self) -> Result<Vec<usize>, TrainerError>;

    /// The simulations of a step; steps are numbered from 0 over the whole run. Usually steps are requested in order;
    /// after an error or a resumption, an earlier or later one may follow.
    ///
    /// # Errors
    /// Simulations that fail, or data that cannot be read.
    fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError>;

    /// The settings that identify this source: a resumed run must have the same.
    fn config(&self) -> Value;

    /// A part of the validation data: part 0, 1, 2 … until `None`. Parts are requested after each epoch and must be the
    /// same each time. The simulations of [`TrainingConfig::validation_simulations`](crate::TrainingConfig) are used in
    /// addition.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn validation(&mut self, _part: usize, _run: &RunContext) -> Result<Option<Simulations>, TrainerError> {
        Ok(None)
    }

    /// Saves cached state, as of just before `step`, into a checkpoint's folder, so that a resumed run need not
    /// recompute it. Files only, no folders.
    ///
    /// # Errors
    /// Files that cannot be written.
    fn save(&self, _step: usize, _folder: &Path) -> Result<(), TrainerError> {
        Ok(())
    }

    /// Restores what [`Source::save`] saved.
    ///
    /// # Errors
    /// Files that cannot be read.
    fn restore(&mut self, _folder: &Path) -> Result<(), TrainerError> {
        Ok(())
    }
}

/// Information about the run that a source serves.
#[derive(Debug)]
pub struct RunContext {
    pub(crate) model: Option<GenerativeModel>,
    pub(crate) seed: u64,
    pub(crate) trainer_seed: u64,
    pub(crate) parameter_names: ParameterNames,
    pub(crate) folder: Option<PathBuf>,
    /// How many steps batches may be made ahead.
    pub(crate) prefetch: usize,
    pub(crate) progress: Progress,
}

impl RunContext {
    /// The trainer's generative model.
    ///
    /// # Errors
    /// If the trainer was made from data.
    pub fn model(&self) -> Result<&GenerativeModel, TrainerError> {
        self.model.as_ref().ok_or(TrainerError::NoModel)
    }

    /// The seed of this run's simulations, shuffles and draws. It differs from run to run, and from the seeds of the
    /// pilot, of validation and of test simulations.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The trainer's seed, for choices that must be the same in every run, such as which data are held out.
    #[must_use]
    pub fn trainer_seed(&self) -> u64 {
        self.trainer_seed
    }

    /// A folder for files of this run beside the checkpoints; `None` if the trainer writes none.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }
}
