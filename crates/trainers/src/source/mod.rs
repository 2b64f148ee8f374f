//! Defines where the batches of a training come from.

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

/// Where the batches of a training come from.
///
/// | source | what a step trains on |
/// |---|---|
/// | [`Online`] | fresh simulations, each seen once |
/// | [`Replay`] | fresh ones, and then draws from a buffer of recent ones |
/// | [`Rounds`] | all simulations of the rounds so far; each round adds some |
/// | [`Offline`] | simulations that are already there, in memory or on disk |
///
/// Batches are asked for on a thread beside the training, some steps ahead of it. A batch must therefore depend on the
/// step, the run's seed and the source's settings alone; what a source keeps from step to step may only save it work.
/// Then a resumed run ends with the bits of an uninterrupted one, whatever was made ahead and thrown away.
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

    /// The simulations that a step trains on; steps are numbered from 0 over the whole run. Mostly the next step is
    /// asked for, and after an error or a resumption an earlier or later one.
    ///
    /// # Errors
    /// Simulations that fail, or data that cannot be read.
    fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError>;

    /// The settings that tell this source from another: a resumed run must have the same.
    fn config(&self) -> Value;

    /// A part of the validation data: part 0, 1, 2 … until there is none. They are asked for after each epoch and must
    /// be the same then. Beside them there are the simulations of
    /// [`TrainingConfig::validation_simulations`](crate::TrainingConfig).
    ///
    /// # Errors
    /// Data that cannot be read.
    fn validation(&mut self, _part: usize, _run: &RunContext) -> Result<Option<Simulations>, TrainerError> {
        Ok(None)
    }

    /// Saves files, not folders, into a checkpoint's folder: what spares a resumed run work, as of the moment before
    /// `step`.
    ///
    /// # Errors
    /// Files that cannot be written.
    fn save(&self, _step: usize, _folder: &Path) -> Result<(), TrainerError> {
        Ok(())
    }

    /// Takes up what [`Source::save`] saved.
    ///
    /// # Errors
    /// Files that cannot be read.
    fn restore(&mut self, _folder: &Path) -> Result<(), TrainerError> {
        Ok(())
    }
}

/// What a source knows of the run it serves.
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

    /// The trainer's seed, for what is to be the same in every run, such as which data are held out.
    #[must_use]
    pub fn trainer_seed(&self) -> u64 {
        self.trainer_seed
    }

    /// A folder where this run may keep files from step to step, beside the checkpoints, if there are any.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }
}
