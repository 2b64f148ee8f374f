//! Keeps an inference's simulations and posteriors on disk, so that none is made twice.

use crate::InferenceError;
use bayesburn_amortizers::AmortizedPosterior;
use bayesburn_core::{SimulationId, Simulations};
use bayesburn_networks::SummaryConfig;
use bayesburn_simulation::{SimulationError, load_simulations, save_simulations};
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

impl Store {
    pub(crate) fn open(folder: PathBuf, resumes: bool) -> Result<Self, InferenceError> {
        let io = |source| InferenceError::Io { action: "write", path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(io)?;
        if !resumes && fs::read_dir(&folder).map_err(io)?.next().is_some() {
            let reason = "it is not empty, and `resume()` was not called".to_owned();
            return Err(InferenceError::OtherInference { folder, reason });
        }
        Ok(Self { folder, resumes })
    }

    pub(crate) fn resumes(&self) -> bool {
        self.resumes
    }

    /// Where the trainer keeps its checkpoints.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.folder.join("training")
    }

    /// The simulations of a call: from disk, as far as they are there, or made by `make`, in parts of which each is kept as soon as it is
    /// there. A part is a range of `length` simulations.
    pub(crate) fn simulations(
        &self,
        (call, proposal, seed): (u64, &str, u64),
        count: usize,
        length: usize,
        make: &mut dyn FnMut(usize, usize) -> Result<Simulations, InferenceError>,
    ) -> Result<Simulations, InferenceError> {
        let folder = self.folder.join(format!("simulations-{call:03}"));
        let expected = format!("{count} simulations from the {proposal}, seed {seed}\n");
        self.claim(&folder, &expected)?;
        let (mut parts, mut nothing_left) = (Vec::new(), None);
        let mut left_out = Vec::new();
        for first in (0..count).step_by(length) {
            let path = folder.join(format!("{first:08}.safetensors"));
            if path.is_file() {
                parts.push(load_simulations(&path).map_err(TrainerError::from)?);
                continue;
            }
            match make(first, length.min(count - first)) {
                Ok(part) => {
                    save_simulations(&part, &path).map_err(TrainerError::from)?;
                    parts.push(part);
                }
                // Of all parts together there may be something. When this is resumed, such a part is made again.
                Err(InferenceError::Simulation(error @ SimulationError::NothingLeft { count, first })) => {
                    let alone = first.batch == 1;
                    left_out.extend((0..count as u64).map(|i| {
                        let index = first.index + i;
                        SimulationId { index, first: if alone { index } else { first.first }, ..first }
                    }));
                    nothing_left = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match nothing_left {
            Some(error) if parts.is_empty() => Err(error.into()),
            _ => {
                let mut all = Simulations::join(&parts)?;
                all.invalid.extend(left_out);
                Ok(all)
            }
        }
    }

    /// Makes a folder for what a description says, or makes sure that it is that.
    fn claim(&self, folder: &Path, expected: &str) -> Result<(), InferenceError> {
        let path = folder.join("description.txt");
        let io = |action| {
            let path = path.clone();
            move |source| InferenceError::Io { action, path, source }
        };
        match fs::read_to_string(&path) {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => {
                let reason =
                    format!("{} has {}, and now {} are asked for", folder.display(), found.trim(), expected.trim());
                Err(InferenceError::OtherInference { folder: self.folder.clone(), reason })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder).map_err(io("write"))?;
                bayesburn_core::files::write_atomically(&path, |file| io::Write::write_all(file, expected.as_bytes()))
                    .map_err(io("write"))
            }
            Err(error) => Err(io("read")(error)),
        }
    }

    /// The posterior of a training: as it was, if it is there, else this one, which is kept.
    pub(crate) fn posterior<C: SummaryConfig>(
        &self,
        training: usize,
        now: AmortizedPosterior<C>,
        device: &Device,
    ) -> Result<AmortizedPosterior<C>, InferenceError> {
        let folder = self.folder.join(format!("posterior-{training:03}"));
        if folder.is_dir() {
            return Ok(AmortizedPosterior::load(&folder, device)?);
        }
        // Renamed when it is whole: a folder that is there is a posterior.
        let beside = self.folder.join(format!("posterior-{training:03}.part"));
        now.save(&beside)?;
        fs::rename(&beside, &folder).map_err(|source| InferenceError::Io { action: "write", path: folder, source })?;
        Ok(now)
    }
}
