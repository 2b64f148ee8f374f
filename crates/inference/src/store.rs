//! Keeps an inference's simulations and posteriors on disk, so that none is made twice.

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

    /// The part that begins with this simulation, if it is there.
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
            let reason = "it is not empty, and `resume()`, which goes on with it, was not called".to_owned();
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

    /// The simulations of a call, which are to be so many, from this proposal.
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

    /// Makes a folder for what a description says, or makes sure that it is that.
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

    /// The posterior of a training as it was, if it is there, else this one.
    pub(crate) fn posterior<C: SummaryConfig>(
        &self,
        training: usize,
        now: Posterior<C>,
        device: &Device,
    ) -> Result<Posterior<C>, InferenceError> {
        let folder = self.place(training);
        if is_saved_amortizer(&folder) {
            let reason = format!("{} is of a version that kept networks alone", folder.display());
            return Err(InferenceError::OtherInference { folder: self.folder.clone(), reason });
        }
        if folder.is_dir() { now.with_networks_of(&folder, device) } else { Ok(now) }
    }

    /// Keeps the posterior of a training, if it is not there.
    pub(crate) fn keep<C: SummaryConfig>(&self, training: usize, now: &Posterior<C>) -> Result<(), InferenceError> {
        let folder = self.place(training);
        if folder.is_dir() {
            return Ok(());
        }
        // Renamed when it is whole: a folder that is there is a posterior.
        let beside = self.folder.join(format!("{}.part", POSTERIOR_OF_TRAINING.name(training)));
        now.save(&beside)?;
        Ok(fs::rename(&beside, &folder).map_err(FileError::write(&folder))?)
    }
}
