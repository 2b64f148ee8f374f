//! Says why a saved amortizer cannot be found, loaded or used, and what to do.

use bayesburn_amortizers::AmortizerError;
use bayesburn_core::{DrawsError, FileError};
use bayesburn_inference::InferenceError;
use bayesburn_io::IoError;
use bayesburn_networks::DeviceError;
use bayesburn_trainers::TrainerError;
use std::path::PathBuf;
use thiserror::Error;

/// A saved amortizer that cannot be found, loaded or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SavedError {
    /// A path that is not a folder.
    #[error("`{}` is not a folder: give one that holds a trained posterior", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// A folder without anything saved.
    #[error(
        "`{}` holds no trained posterior: give the folder of a saved one, which has `{AMORTIZER}` or `{INFERENCE}` in \
         it, or of a \
         training or an inference",
        path.display()
    )]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// An amortizer of a kind that this program does not know.
    #[error(
        "the amortizer in `{}` is of kind `{kind}`, which this program does not know: use the program that trained it; \
         `bayesburn info` lists what its files say",
        folder.display()
    )]
    UnknownKind {
        /// The folder.
        folder: PathBuf,
        /// What it says that it is.
        kind: String,
    },
    /// Networks that this program does not know.
    #[error(
        "the networks in `{}` are `{name}`, and this program knows {known:?}: use the commands of the program \
         that trained it, or register its networks by `Registry::with` or `Registry::with_inference_network`",
        folder.display()
    )]
    UnknownNetwork {
        /// The folder.
        folder: PathBuf,
        /// The name of its summary network and, if that is one of the user's own, of its inference network.
        name: String,
        /// Those that are known.
        known: Vec<String>,
    },
    /// Observed data that do not fit the posterior, or are missing.
    #[error("{reason}")]
    Observed {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of observations, parameters or draws.
    #[error(transparent)]
    Content(#[from] IoError),
    /// A device that is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A posterior that cannot be loaded or drawn from.
    #[error(transparent)]
    Amortizer(#[from] AmortizerError),
    /// A posterior of an inference that cannot be loaded or drawn from.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// A history that cannot be read.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// Draws that cannot be put together.
    #[error(transparent)]
    Draws(#[from] DrawsError),
}

/// The file that describes an amortizer.
const AMORTIZER: &str = bayesburn_core::layout::AMORTIZER;
/// The file that describes the posterior of an inference.
const INFERENCE: &str = bayesburn_core::layout::INFERENCE;

impl SavedError {
    /// Observed data that do not fit.
    pub(super) fn observed(reason: impl Into<String>) -> Self {
        Self::Observed { reason: reason.into() }
    }
}
