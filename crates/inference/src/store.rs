//! Stores an inference's simulations and posteriors on disk, so that a resumed program need not repeat them.

use crate::{InferenceError, Posterior};
use bayesburn_amortizers::is_saved_amortizer;
use bayesburn_core::{
    FileError, Simulations,
    files::write_atomically,
    layout::{CALL, CALL_DESCRIPTION, PART, POSTERIOR_OF_TRAINING, TRAINING},
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
        fs::create_dir_all(&folder).map_err(FileError::write(&folder))?;
        if !resumes && fs::read_dir(&folder).map_err(FileError::read(&folder))?.next().is_some() {
            let reason = "it is not empty, and `resume()`, which continues it, was not called".to_owned();
            return Err(InferenceError::OtherInference { folder, reason });
        }
        Ok(Self { folder, resumes })
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
        Ok(StoredCall(folder))
    }

    /// Creates a folder with a description, or checks that an existing one has the same description.
    fn claim(&self, folder: &Path, expected: &str) -> Result<(), InferenceError> {
        let path = folder.join(CALL_DESCRIPTION);
        let write = FileError::write(&path);
        match fs::read_to_string(&path) {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => {
                let reason =
                    format!("{} has {}, and now {} are asked for", folder.display(), found.trim(), expected.trim());
                Err(InferenceError::OtherInference { folder: self.folder.clone(), reason })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder).map_err(&write)?;
                write_atomically(&path, |file| io::Write::write_all(file, expected.as_bytes())).map_err(&write)?;
                Ok(())
            }
            Err(error) => Err(FileError::read(&path)(error).into()),
        }
    }

    fn place(&self, training: usize) -> PathBuf {
        self.folder.join(POSTERIOR_OF_TRAINING.name(training))
    }

    /// The saved posterior of a training if it exists, otherwise this one.
    pub(crate) fn posterior<C: SummaryConfig>(
        &self,
        training: usize,
        now: Posterior<C>,
        device: &Device,
    ) -> Result<Posterior<C>, InferenceError> {
        let folder = self.place(training);
        if is_saved_amortizer(&folder) {
            let reason = format!("{} was written by a version that saved only networks", folder.display());
            return Err(InferenceError::OtherInference { folder: self.folder.clone(), reason });
        }
        if folder.is_dir() { now.with_networks_of(&folder, device) } else { Ok(now) }
    }

    /// Saves the posterior of a training, unless it exists.
    pub(crate) fn keep<C: SummaryConfig>(&self, training: usize, now: &Posterior<C>) -> Result<(), InferenceError> {
        let folder = self.place(training);
        if folder.is_dir() {
            return Ok(());
        }
        // Renamed when it is complete, so that an existing folder is a complete posterior.
        let beside = self.folder.join(format!("{}.part", POSTERIOR_OF_TRAINING.name(training)));
        now.save(&beside)?;
        Ok(fs::rename(&beside, &folder).map_err(FileError::write(&folder))?)
    }
}
