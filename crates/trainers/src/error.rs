//! Defines the errors of trainings, with their remedies.

use bayesburn_amortizers::{AmortizerError, Difference};
pub(crate) use bayesburn_core::settings::in_range;
use bayesburn_core::{FileError, SettingError, SimulationsError};
use bayesburn_simulation::{DataError, PriorError, SimulationError};
use serde_json::Value;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// An error of a training.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainerError {
    /// The generative model failed.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// Existing simulations cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Batches cannot be joined.
    #[error(transparent)]
    Simulations(#[from] SimulationsError),
    /// Simulations cannot be configured, or the networks failed.
    #[error(transparent)]
    Amortizer(#[from] AmortizerError),
    /// A setting is outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Too many steps in a row whose loss or gradient is NaN or infinite.
    #[error(
        "the {what} is {value}, in {skipped} consecutive steps up to step {steps}; these steps were skipped, and the \
         weights are those from before them: call `end_run` and try a smaller learning rate, tighter clipping or \
         standardisation, or look for extreme values in the simulations"
    )]
    NonFinite {
        /// Which number.
        what: &'static str,
        /// Its value in the last of these steps.
        value: f64,
        /// How many steps were left out in a row.
        skipped: usize,
        /// Steps so far.
        steps: usize,
    },
    /// The loss of untrained networks on the pilot simulations is not finite.
    #[error(
        "the loss of the pilot simulations is {value} before the first step: standardise, or look for extreme values \
         in the simulations"
    )]
    PilotLoss {
        /// The loss.
        value: f32,
    },
    /// Ctrl-C or the program's own flag interrupted the training. If this came after the run's last step, the run is
    /// complete, and the same call returns at once.
    #[error("the training was interrupted after {steps} steps; {}", match checkpoint {
        Some(folder) => format!("its state is in {}: build the trainer with `resume()` to continue", folder.display()),
        None => "it writes no checkpoints, so only this process can continue it".to_owned(),
    })]
    Interrupted {
        /// Steps so far.
        steps: usize,
        /// The checkpoint.
        checkpoint: Option<PathBuf>,
    },
    /// The device failed before it returned the weights of completed steps.
    #[error(
        "the device failed before it returned the weights of the last steps, so they are lost: build a new trainer \
         that resumes from the newest checkpoint, written before these steps"
    )]
    WeightsLost,
    /// A resumed program repeats the call of a run that was given up.
    #[error(
        "this run was given up by `end_run` before the program was resumed: call `end_run` here too, as it did, to go \
         on with the next"
    )]
    GivenUp,
    /// The simulations have other parameters than the trainer.
    #[error(
        "the trainer expects the parameters {expected:?}, but these simulations have {got:?}: give data the names, in \
         the order of their axis, by `Dataset::with_parameter_names`"
    )]
    ParameterNames {
        /// The trainer's.
        expected: Vec<String>,
        /// The simulations'.
        got: Vec<String>,
    },
    /// The call needs a generative model, but the trainer was made from data.
    #[error(
        "this needs a generative model, and the trainer was made from data: train offline, or make the trainer from a \
         model"
    )]
    NoModel,
    /// A setting needs a validation loss.
    #[error("{what} needs a validation loss: set `validation_simulations`, or give the source validation data")]
    NoValidation {
        /// Which setting.
        what: &'static str,
    },
    /// There are fewer simulations than a batch needs.
    #[error(
        "a batch has {batch_size} simulations, but there are {available} to train on: choose a smaller `batch_size`, \
         or simulate more"
    )]
    FewerThanABatch {
        /// Simulations to train on.
        available: usize,
        /// Simulations in a batch.
        batch_size: usize,
    },
    /// So many simulations are copies that none can be held out.
    #[error(
        "{copies} of {all} simulations are copies of others, and no simulation occurs rarely enough to be held out: \
         give each once, or other data by `Validation::Data`"
    )]
    Copies {
        /// The number of simulations that equal an earlier one.
        copies: usize,
        /// The number of simulations.
        all: usize,
    },
    /// The signal handler cannot be set.
    #[error("cannot watch for Ctrl-C: {reason}; leave `stop_on_ctrl_c` out, or pass a flag of your own to `stop_on`")]
    Signal {
        /// The cause.
        reason: String,
    },
    /// A user's own source failed.
    #[error("the source of batches failed: {0}")]
    Source(String),
    /// The folder holds checkpoints of an earlier run, which must not be mixed with those of a new one.
    #[error(
        "{} already holds checkpoints: call `resume()` to go on with that run, or choose another folder for a new one",
        folder.display()
    )]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// Another trainer, in this or another process, uses the folder.
    #[error(
        "another trainer is writing checkpoints to {}: wait until it has ended, or choose another folder",
        folder.display()
    )]
    FolderLocked {
        /// The folder.
        folder: PathBuf,
    },
    /// A checkpoint could not be written.
    #[error(
        "the checkpoint {} could not be written: {source}; {}",
        place.display(),
        match previous {
            Some(previous) => format!("the one before it, {}, is whole: mend the cause, such as a full disk, and go \
                 on with `resume()`", previous.display()),
            None => "there is none before it: mend the cause, such as a full disk, and begin again".to_owned(),
        }
    )]
    CheckpointNotWritten {
        /// Where it should be.
        place: PathBuf,
        /// The newest undamaged checkpoint.
        previous: Option<PathBuf>,
        /// The cause.
        source: Box<TrainerError>,
    },
    /// A checkpoint that is needed is truncated or changed, or all checkpoints are.
    #[error(
        "the checkpoint {} is damaged ({reason}), and no other checkpoint is intact: restore it from a copy, or begin \
         a new run in another folder",
        folder.display()
    )]
    DamagedCheckpoint {
        /// The checkpoint's folder.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint of another version.
    #[error(
        "the checkpoint {} has format version {found}, and this program reads {expected}: resume with the version of \
         bayesburn that wrote it",
        folder.display()
    )]
    CheckpointVersion {
        /// The checkpoint's folder.
        folder: PathBuf,
        /// Its version.
        found: String,
        /// The version that can be read.
        expected: u32,
    },
    /// The interrupted run has another configuration than this call.
    #[error(
        "the run in {} has `{key}` = {saved}, and this run has {now}: go on with the same configuration, or choose \
         another folder for a new run; a run that is complete is made longer by one more call of `train`, and one \
         that is not is given up by `end_run`",
        folder.display()
    )]
    CheckpointMismatch {
        /// The checkpoint's folder.
        folder: PathBuf,
        /// Which setting differs.
        key: String,
        /// Its value in the run.
        saved: String,
        /// Its value now.
        now: String,
    },
    /// A training is resumed with another model or other data.
    #[error(
        "the training in {} began with another model or other data ({what}: {saved} then, {now} now): resume with the \
         model or data that it began with, or choose another folder for a new training. If the change is intended, or \
         the simulator is not reproducible, call `resume_with_other_model` in place of `resume`",
        folder.display()
    )]
    OtherOrigin {
        /// The checkpoint's folder.
        folder: PathBuf,
        /// What differs.
        what: &'static str,
        /// As it was.
        saved: String,
        /// As it is now.
        now: String,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<PriorError> for TrainerError {
    fn from(error: PriorError) -> Self {
        Self::Simulation(error.into())
    }
}

impl TrainerError {
    /// A checkpoint of another configuration.
    pub(crate) fn mismatch(folder: &Path, difference: Difference) -> Self {
        let text = |value: Option<Value>| value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
        let (saved, now) = (text(difference.saved), text(difference.now));
        Self::CheckpointMismatch { folder: folder.to_owned(), key: difference.key, saved, now }
    }

    pub(crate) fn write(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| FileError::write(path)(source).into()
    }

    pub(crate) fn read(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| FileError::read(path)(source).into()
    }
}
