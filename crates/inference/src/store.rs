//! Stores an inference's simulations and posteriors on disk, so that a resumed program need not repeat them.

use crate::{InferenceError, Posterior};
use bayesburn_amortizers::is_saved_amortizer;
use bayesburn_core::{
    FileError, Simulations,
    files::{FolderLock, operation, settle, write_atomically, write_folder_atomically},
    layout::{CALL, CALL_DESCRIPTION, LOCK, PART, POSTERIOR_OF_TRAINING, TRAINING},
};
use bayesburn_networks::SummaryConfig;
use bayesburn_simulation::{load_simulations, save_simulations};
use bayesburn_trainers::TrainerError;
use burn::tensor::Device;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    resumes: bool,
    /// Held until the inference is dropped or its process ends.
    _lock: FolderLock,
}

/// The folder of one call's simulations, a file for each part.
#[derive(Debug)]
pub(crate) struct StoredCall(PathBuf);

impl StoredCall {
    fn path(&self, first: usize) -> PathBuf {
        self.0.join(PART.name(first))
    }

    /// The part that begins with this simulation, if it exists.
    pub(crate) fn load(&self, first: usize) -> Result<Option<Simulations>, InferenceError> {
        let path = self.path(first);
        Ok(path.is_file().then(|| load_simulations(&path)).transpose().map_err(TrainerError::from)?)
    }

    pub(crate) fn save(&self, first: usize, part: &Simulations) -> Result<(), InferenceError> {
        Ok(save_simulations(part, self.path(first)).map_err(TrainerError::from)?)
    }
}

impl Store {
    pub(crate) fn open(folder: PathBuf, resumes: bool) -> Result<Self, InferenceError> {
        operation::create_folder(&folder).map_err(FileError::write(&folder))?;
        let refuse_others = || {
            let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let others = entries.map_err(FileError::read(&folder))?.iter().any(|entry| entry.file_name() != LOCK);
            let reason = "it is not empty, and `resume()`, which continues it, was not called".to_owned();
            let refused = InferenceError::OtherInference { folder: folder.clone(), reason };
            if others && !resumes { Err(refused) } else { Ok(()) }
        };
        // First, so that nothing is left in a folder that is refused.
        refuse_others()?;
        let Some(lock) = FolderLock::acquire(&folder)? else {
            return Err(TrainerError::FolderLocked { folder }.into());
        };
        refuse_others()?;
        let ours = |name: &str| POSTERIOR_OF_TRAINING.number(name).is_some();
        settle(&folder, ours).map_err(FileError::write(&folder))?;
        Ok(Self { folder, resumes, _lock: lock })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn resumes(&self) -> bool {
        self.resumes
    }

    /// Where the trainer keeps its checkpoints.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.folder.join(TRAINING)
    }

    /// The folder for a call that makes `count` simulations from this proposal.
    pub(crate) fn call(
        &self,
        call: u64,
        proposal: &str,
        seed: u64,
        count: usize,
    ) -> Result<StoredCall, InferenceError> {
        let folder = self.folder.join(CALL.name(call as usize));
        self.claim(&folder, &format!("{count} simulations from the {proposal}, seed {seed}\n"))?;
        let ours = |name: &str| name == CALL_DESCRIPTION || PART.number(name).is_some();
        settle(&folder, ours).map_err(FileError::write(&folder))?;
        Ok(StoredCall(folder))
    }

    /// Creates a folder with a description, or checks that an existing one has the same description.
    fn claim(&self, folder: &Path, expected: &str) -> Result<(), InferenceError> {
        let path = folder.join(CALL_DESCRIPTION);
        let write = FileError::write(&path);
        match operation::read_to_string(&path) {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => {
                let reason =
                    format!("{} has {}, and now {} are asked for", folder.display(), found.trim(), expected.trim());
                Err(InferenceError::OtherInference { folder: self.folder.clone(), reason })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                operation::create_folder(folder).map_err(&write)?;
                write_atomically(&path, |file| io::Write::write_all(file, expected.as_bytes())).map_err(&write)?;
                Ok(())
            }
            Err(error) => Err(FileError::read(&path)(error).into()),
        }
    }

    fn place(&self, training: usize) -> PathBuf {
        self.folder.join(POSTERIOR_OF_TRAINING.name(training))
    }

    /// The saved posterior of a training if it exists, otherwise this one, if its networks are `current`: not trained
    /// further since.
    pub(crate) fn posterior<C: SummaryConfig>(
        &self,
        training: usize,
        now: Posterior<C>,
        current: bool,
        device: &Device,
    ) -> Result<Posterior<C>, InferenceError> {
        let folder = self.place(training);
        let other = |reason: String| InferenceError::OtherInference { folder: self.folder.clone(), reason };
        if is_saved_amortizer(&folder) {
            return Err(other(format!("{} was written by a version that saved only networks", folder.display())));
        }
        match (folder.is_dir(), current) {
            (true, _) => now.with_networks_of(&folder, device),
            (false, true) => Ok(now),
            (false, false) => Err(other(format!(
                "{} is missing, and its networks were trained further since: restore it from a copy",
                folder.display()
            ))),
        }
    }

    /// Saves the posterior of a training, unless it exists.
    pub(crate) fn keep<C: SummaryConfig>(&self, training: usize, now: &Posterior<C>) -> Result<(), InferenceError> {
        let folder = self.place(training);
        if folder.is_dir() {
            return Ok(());
        }
        let error = |error| FileError::write(&folder)(error).into();
        write_folder_atomically(&folder, error, |folder| now.save_unsealed(folder))
    }
}
