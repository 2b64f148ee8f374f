//! Writes and reads checkpoints: one folder for each epoch, complete or not there.
//!
//! A checkpoint is written into a hidden folder beside its place, synced and renamed, so that a crash at any moment leaves the
//! checkpoints before it whole. Older ones are deleted only after that.

use crate::{LossHistory, TrainerError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

/// Version of the layout; a change that old code cannot read raises it.
const FORMAT_VERSION: u32 = 1;
const MANIFEST: &str = "manifest.json";
const HISTORY: &str = "history.json";
const OPTIMIZER: &str = "optimizer.bpk";
const PREFIX: &str = "epoch-";

/// How far one call of a training method has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// The call's configuration.
    pub(crate) config: Value,
    pub(crate) epochs_done: usize,
}

/// Everything that determines how a training goes on, beside the weights and the optimizer's state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    pub(crate) seed: u64,
    /// The number of the next simulation.
    pub(crate) next_simulation: u64,
    /// The calls so far; all but the last are complete.
    pub(crate) runs: Vec<Run>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format_version: u32,
    position: Position,
    /// CRC-32 of each other file.
    checksums: BTreeMap<String, u32>,
}

/// A checkpoint that was read and found whole.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) folder: PathBuf,
    pub(crate) position: Position,
    pub(crate) history: LossHistory,
    /// The optimizer's state in Burn's format.
    pub(crate) optimizer: Vec<u8>,
}

/// The folder of a run's checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// Checkpoints in this folder, which is made if need be, the newest `keep` of them.
    pub(crate) fn open(folder: PathBuf, keep: usize) -> Result<Self, TrainerError> {
        make_writable(&folder)?;
        Ok(Self { folder, keep })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The finished checkpoints, oldest first.
    fn list(&self) -> Result<Vec<PathBuf>, TrainerError> {
        let read = TrainerError::read(&self.folder);
        let mut numbered = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(&read)? {
            let entry = entry.map_err(&read)?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<usize>().ok());
            numbered.extend(number.map(|number| (number, entry.path())));
        }
        numbered.sort();
        Ok(numbered.into_iter().map(|(_, path)| path).collect())
    }

    pub(crate) fn is_empty(&self) -> Result<bool, TrainerError> {
        Ok(self.list()?.is_empty())
    }

    /// Writes the checkpoint of an epoch; `save_posterior` writes the posterior into the folder it is given.
    pub(crate) fn write(
        &self,
        position: &Position,
        history: &LossHistory,
        optimizer: &[u8],
        save_posterior: impl FnOnce(&Path) -> Result<(), TrainerError>,
    ) -> Result<(), TrainerError> {
        let name = format!("{PREFIX}{:06}", history.epochs.len());
        let (scratch, place) = (self.folder.join(format!(".{name}")), self.folder.join(&name));
        if scratch.exists() {
            fs::remove_dir_all(&scratch).map_err(TrainerError::write(&scratch))?;
        }
        save_posterior(&scratch)?;
        history.save(scratch.join(HISTORY))?;
        let write = |name: &str, bytes: &[u8]| {
            let path = scratch.join(name);
            fs::write(&path, bytes).map_err(TrainerError::write(&path))
        };
        write(OPTIMIZER, optimizer)?;
        let checksums = checksums(&scratch).map_err(TrainerError::read(&scratch))?;
        let manifest = Manifest { format_version: FORMAT_VERSION, position: position.clone(), checksums };
        write(MANIFEST, serde_json::to_string_pretty(&manifest).expect("a manifest is plain data").as_bytes())?;
        sync(&scratch).map_err(TrainerError::write(&scratch))?;
        fs::rename(&scratch, &place).map_err(TrainerError::write(&place))?;
        sync_folder(&self.folder).map_err(TrainerError::write(&self.folder))?;
        let all = self.list()?;
        for old in &all[..all.len().saturating_sub(self.keep)] {
            fs::remove_dir_all(old).map_err(TrainerError::write(old))?;
        }
        Ok(())
    }

    /// Reads the newest checkpoint, if there is one.
    pub(crate) fn newest(&self) -> Result<Option<Checkpoint>, TrainerError> {
        let Some(folder) = self.list()?.pop() else { return Ok(None) };
        let damaged = |reason: String| TrainerError::DamagedCheckpoint { folder: folder.clone(), reason };
        let text =
            fs::read_to_string(folder.join(MANIFEST)).map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
        let manifest: Value = serde_json::from_str(&text).map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
        // First of all: what another version may have changed cannot be read by this one.
        let version = &manifest["format_version"];
        if *version != FORMAT_VERSION {
            let found = version.to_string();
            return Err(TrainerError::CheckpointVersion { folder, found, expected: FORMAT_VERSION });
        }
        let manifest: Manifest =
            serde_json::from_value(manifest).map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
        let found = checksums(&folder).map_err(|error| damaged(error.to_string()))?;
        for (name, checksum) in &manifest.checksums {
            match found.get(name) {
                None => return Err(damaged(format!("{name} is missing"))),
                Some(found) if found != checksum => {
                    return Err(damaged(format!("{name} is truncated or was changed: its checksum does not match")));
                }
                Some(_) => {}
            }
        }
        let history = LossHistory::load(folder.join(HISTORY))?;
        let path = folder.join(OPTIMIZER);
        let optimizer = fs::read(&path).map_err(TrainerError::read(&path))?;
        Ok(Some(Checkpoint { folder, position: manifest.position, history, optimizer }))
    }
}

/// CRC-32 of each file of a folder but the manifest.
fn checksums(folder: &Path) -> std::io::Result<BTreeMap<String, u32>> {
    let mut checksums = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != MANIFEST {
            checksums.insert(name, crc32fast::hash(&fs::read(entry.path())?));
        }
    }
    Ok(checksums)
}

/// Forces a folder's files and the folder itself to disk.
fn sync(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        File::options().write(true).open(entry?.path())?.sync_all()?;
    }
    sync_folder(folder)
}

/// Forces the entries of a folder to disk, where the system can be asked to.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Makes a folder, and finds out at once whether files can be written to it.
pub(crate) fn make_writable(folder: &Path) -> Result<(), TrainerError> {
    let probe = folder.join(".writable");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&probe, []))
        .and_then(|()| fs::remove_file(&probe))
        .map_err(TrainerError::write(folder))
}
