//! Finds saved amortizers of any kind, and loads those whose networks are known.

mod describe;
mod error;
mod observed;
mod posterior;
mod registry;

pub use describe::{describe, description};
pub use error::SavedError;
pub use observed::ObservedOptions;
pub use posterior::{AnyPosterior, Sampled};
pub use registry::Registry;

use bayesburn_amortizers::{is_saved_amortizer, saved_description};
use bayesburn_core::{
    FileError,
    files::current,
    layout::{self, Numbered},
};
use bayesburn_trainers::LossHistory;
use serde_json::Value;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The kind of the amortizers that this program can use.
const POSTERIOR: &str = "posterior";

/// A saved amortizer on disk: where it is, and what its files say of it. Its networks are not loaded; see
/// [`Registry::load`].
#[derive(Debug, Clone)]
pub struct Saved {
    folder: PathBuf,
    networks: PathBuf,
    description: Value,
    inference: Option<Value>,
    /// If it is known without its file.
    history: Option<LossHistory>,
}

impl Saved {
    /// Finds the amortizer of a folder: of one that was saved, of a checkpoint, or the newest of a training's
    /// checkpoints or of an inference's posteriors.
    ///
    /// # Errors
    /// A path that is not a folder; a folder without anything saved; a description that cannot be read, or of a newer
    /// version.
    pub fn find(path: &Path) -> Result<Self, SavedError> {
        let path = &current(path);
        if !path.is_dir() {
            return Err(SavedError::NotAFolder { path: path.to_owned() });
        }
        let file = path.join(layout::INFERENCE);
        if file.is_file() {
            let text = fs::read_to_string(&file).map_err(FileError::read(&file))?;
            let inference = serde_json::from_str(&text);
            let inference = inference.map_err(|error| FileError::read(&file)(io::Error::other(error)))?;
            let networks = path.join(layout::ESTIMATOR);
            let description = saved_description(&networks)?;
            return Ok(Self { folder: path.into(), networks, description, inference: Some(inference), history: None });
        }
        if is_saved_amortizer(path) {
            let description = saved_description(path)?;
            return Ok(Self {
                folder: path.into(),
                networks: path.into(),
                description,
                inference: None,
                history: None,
            });
        }
        if path.join(layout::CHECKPOINTS).is_dir() {
            return Self::find(&path.join(layout::CHECKPOINTS));
        }
        let newest = |of: Numbered| of.newest(path).map_err(FileError::read(path));
        let newest = newest(layout::CHECKPOINT)?.max(newest(layout::POSTERIOR_OF_TRAINING)?);
        match newest {
            Some((_, newest)) => Self::find(&newest),
            None => Err(SavedError::Nothing { path: path.to_owned() }),
        }
    }

    /// What was read from a checkpoint already, which another process may have moved or deleted since.
    pub(crate) fn read(folder: &Path, description: Value, history: LossHistory) -> Self {
        Self { folder: folder.into(), networks: folder.into(), description, inference: None, history: Some(history) }
    }

    /// The amortizer's own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with the weights of its networks.
    #[must_use]
    pub fn weights(&self) -> PathBuf {
        self.networks.join(layout::WEIGHTS)
    }

    /// The folder of its networks.
    #[must_use]
    pub fn networks(&self) -> &Path {
        &self.networks
    }

    /// What the networks are.
    #[must_use]
    pub fn description(&self) -> &Value {
        &self.description
    }

    /// What is known of an inference's posterior beside its networks.
    #[must_use]
    pub fn inference(&self) -> Option<&Value> {
        self.inference.as_ref()
    }

    /// The kind of amortizer.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.description["kind"].as_str().unwrap_or_default()
    }

    /// Whether it is a posterior, of whatever networks.
    #[must_use]
    pub fn is_posterior(&self) -> bool {
        self.kind() == POSTERIOR
    }

    /// The name of the summary network, if the description has one.
    #[must_use]
    pub fn summary_network(&self) -> Option<&str> {
        self.description["summary_network"].as_str()
    }

    /// The name of the inference network, if it is one of the user's own.
    #[must_use]
    pub fn inference_network(&self) -> Option<&str> {
        self.description["inference_network"].as_str()
    }

    /// The losses of its training, if they are beside it, as they are in a checkpoint.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn history(&self) -> Result<Option<LossHistory>, SavedError> {
        if let Some(history) = &self.history {
            return Ok(Some(history.clone()));
        }
        let path = self.folder.join(layout::HISTORY);
        Ok(if path.is_file() { Some(LossHistory::load(&path)?) } else { None })
    }
}
