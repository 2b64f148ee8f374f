//! Says what stopped a training, and what to do.

use bayesburn_amortizers::{AmortizerError, Difference};
use bayesburn_simulation::SimulationError;
use serde_json::Value;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What can go wrong in a training.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainerError {
    /// The generative model.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// Configuring simulations, or the networks.
    #[error(transparent)]
    Amortizer(#[from] AmortizerError),
    /// A setting of a run outside its range.
    #[error("`{field}` is {got}, but must be {expected}")]
    Setting {
        /// The field.
        field: &'static str,
        /// The range in words.
        expected: &'static str,
        /// The value.
        got: String,
    },
    /// A loss or gradient that is NaN or infinite.
    #[error(
        "the {what} is {value} after {steps} steps, and the weights are kept as they were then: try a smaller learning rate, tighter \
         clipping, standardisation, or look for extreme values in the simulations"
    )]
    NonFinite {
        /// Which number.
        what: &'static str,
        /// Steps that succeeded.
        steps: usize,
        /// Its value.
        value: f64,
    },
    /// Checkpoints of an earlier run would be mixed with those of a new one.
    #[error(
        "{} already holds checkpoints: call `resume()` to go on with that run, or choose another folder for a new one",
        folder.display()
    )]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A checkpoint that is cut short or changed.
    #[error(
        "the checkpoint {} is damaged ({reason}): delete that folder to resume from the checkpoint before it",
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
        "the checkpoint {} has format version {found}, and this program reads {expected}: resume with the version of bayesburn \
         that wrote it",
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
    /// An interrupted run of another configuration.
    #[error(
        "the interrupted run ({}) has `{key}` = {saved}, and this run has {now}: go on with the same configuration, or choose \
         another folder for a new run",
        folder.display()
    )]
    CheckpointMismatch {
        /// The checkpoint's folder.
        folder: PathBuf,
        /// Which setting differs.
        key: String,
        /// Its value in the interrupted run.
        saved: String,
        /// Its value now.
        now: String,
    },
    /// A file that cannot be read or written.
    #[error("cannot {action} {}: {source}; check that the folder exists, is writable and has space", path.display())]
    Io {
        /// Read or write.
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl TrainerError {
    /// A checkpoint of another configuration.
    pub(crate) fn mismatch(folder: &Path, difference: Difference) -> Self {
        let text = |value: Option<Value>| value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
        let (saved, now) = (text(difference.saved), text(difference.now));
        Self::CheckpointMismatch { folder: folder.to_owned(), key: difference.key, saved, now }
    }

    pub(crate) fn write(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| Self::Io { action: "write", path: path.to_owned(), source }
    }

    pub(crate) fn read(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| Self::Io { action: "read", path: path.to_owned(), source }
    }
}

/// An error unless the condition holds.
pub(crate) fn in_range(
    ok: bool,
    field: &'static str,
    expected: &'static str,
    got: impl ToString,
) -> Result<(), TrainerError> {
    if ok { Ok(()) } else { Err(TrainerError::Setting { field, expected, got: got.to_string() }) }
}
