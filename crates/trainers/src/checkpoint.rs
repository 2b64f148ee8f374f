//! Writes and reads checkpoints, one folder for each.
//!
//! A checkpoint is written into a hidden folder beside its final place, sealed with checksums, synced and renamed. So a
//! crash or a full disk leaves earlier checkpoints intact. Older ones are deleted only afterwards.

use crate::{LossHistory, TrainerError, identity::Identity};
use bayesburn_core::{
    files::{
        FolderLock, VerifyError, check_writable, delete_folder, operation, replace_folder_atomically, settle, verify,
    },
    layout::{CHECKPOINT, HISTORY, MANIFEST, Numbered, OPTIMIZER, RUN},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Version of the layout; a change that old code cannot read raises it.
const FORMAT_VERSION: u32 = 2;
/// The prefix of a damaged checkpoint's new name.
const DAMAGED: &str = "damaged-";

/// How far one call of the trainer has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// The call's source and configuration.
    pub(crate) config: Value,
    /// Steps taken, those left out included.
    pub(crate) steps_done: usize,
    /// Epochs of the runs before.
    pub(crate) epochs_before: usize,
    /// Steps left out in a row until now.
    pub(crate) skipped_in_row: usize,
    /// How often the run went back to earlier weights.
    pub(crate) rollbacks: usize,
    /// Why it is over, if it is.
    pub(crate) finished: Option<String>,
    /// Whether the program gave the run up after an error.
    pub(crate) given_up: bool,
    /// Whether the best weights of the run before compete with those of this run.
    #[serde(default)]
    pub(crate) refines: bool,
}

/// Everything that determines how a training goes on, beside the weights, the optimizer's state and the history.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    pub(crate) seed: u64,
    /// The calls so far; all but the last are finished.
    pub(crate) runs: Vec<Run>,
    /// Of the model or the data; `None` in older checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Identity>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format_version: u32,
    position: Position,
}

/// An undamaged checkpoint that was read.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) folder: PathBuf,
    pub(crate) position: Position,
    pub(crate) history: LossHistory,
    /// The optimizer's state in Burn's format.
    pub(crate) optimizer: Vec<u8>,
}

/// A damaged checkpoint, in place of which an older one was used.
#[derive(Debug, Clone)]
pub struct DamagedCheckpoint {
    /// Its folder, after renaming if the folder of checkpoints was opened for writing.
    pub folder: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What is done with checkpoints that a folder holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// They are refused.
    New,
    /// They are moved.
    SetAside,
    /// The newest is continued.
    Resume,
    /// The newest is read.
    ReadOnly,
}

impl Access {
    /// The name of the setting.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New | Self::Resume => "resume",
            Self::ReadOnly => "read_only",
            Self::SetAside => "set_aside",
        }
    }
}

/// A folder of checkpoints, opened for a trainer.
#[derive(Debug)]
pub(crate) struct Opened {
    /// To write to.
    pub(crate) checkpoints: Option<Checkpoints>,
    /// To read from.
    pub(crate) read_only: Option<PathBuf>,
    /// The checkpoint to go on from.
    pub(crate) interrupted: Option<Checkpoint>,
    pub(crate) damaged: Vec<DamagedCheckpoint>,
}

impl Opened {
    /// Opens a folder, if there is one.
    pub(crate) fn new(folder: Option<PathBuf>, keep: usize, access: Access) -> Result<Self, TrainerError> {
        let none = (None, Vec::new());
        if access == Access::ReadOnly {
            let (interrupted, damaged) = folder.as_deref().map_or(Ok(none), Checkpoint::newest)?;
            return Ok(Self { checkpoints: None, read_only: folder, interrupted, damaged });
        }
        let checkpoints = folder.map(|folder| Checkpoints::open(folder, keep)).transpose()?;
        let (interrupted, damaged) = match (&checkpoints, access) {
            (Some(checkpoints), Access::Resume) => checkpoints.newest()?,
            (Some(checkpoints), Access::New) if !checkpoints.is_empty()? => {
                return Err(TrainerError::FolderInUse { folder: checkpoints.folder().to_owned() });
            }
            _ => none,
        };
        Ok(Self { checkpoints, read_only: None, interrupted, damaged })
    }
}

/// The folder of a run's checkpoints, locked against other processes.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    keep: usize,
    /// Held until the trainer is dropped or its process ends.
    _lock: FolderLock,
}

impl Checkpoints {
    /// Checkpoints in this folder, which is made if need be, the newest `keep` of them.
    pub(crate) fn open(folder: PathBuf, keep: usize) -> Result<Self, TrainerError> {
        let Some(lock) = FolderLock::acquire(&folder)? else { return Err(TrainerError::FolderLocked { folder }) };
        check_writable(&folder).map_err(TrainerError::write(&folder))?;
        settle(&folder, |name| CHECKPOINT.number(name).is_some()).map_err(TrainerError::write(&folder))?;
        Ok(Self { folder, keep, _lock: lock })
    }

    /// Renames the folder with all checkpoints, and opens a new one in its place. Returns it, and where the old one is.
    pub(crate) fn set_aside(self) -> Result<(Self, Option<PathBuf>), TrainerError> {
        let Self { folder, keep, .. } = &self;
        let write = TrainerError::write(folder);
        let name = folder.file_name().ok_or_else(|| write(ErrorKind::InvalidInput.into()))?.to_string_lossy();
        let free = (1..).map(|n| folder.with_file_name(format!("{name}.before-{n}"))).find(|place| !place.exists());
        let before = free.expect("one of endlessly many names is free");
        operation::rename(folder, &before).map_err(&write)?;
        match Self::open(folder.clone(), *keep) {
            Ok(new) => Ok((new, Some(before))),
            Err(error) => match operation::rename(&before, folder) {
                Ok(()) => Err(error),
                // What was made so far is in the way.
                Err(_) => Err(TrainerError::write(folder)(std::io::Error::other(format!(
                    "{error} (the earlier training was moved to {})",
                    before.display()
                )))),
            },
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the checkpoint after this many steps is.
    pub(crate) fn place(&self, steps: usize) -> PathBuf {
        self.folder.join(CHECKPOINT.name(steps))
    }

    /// The checkpoints, oldest first, each with its number of steps.
    fn list(&self) -> Result<Vec<(usize, PathBuf)>, TrainerError> {
        self.numbered(CHECKPOINT)
    }

    /// What is in the folder under such names, in the order of their numbers.
    fn numbered(&self, names: Numbered) -> Result<Vec<(usize, PathBuf)>, TrainerError> {
        names.list(&self.folder).map_err(TrainerError::read(&self.folder))
    }

    /// Whether the folder has neither checkpoints nor simulations of a run.
    pub(crate) fn is_empty(&self) -> Result<bool, TrainerError> {
        Ok(self.list()?.is_empty() && self.numbered(RUN)?.is_empty())
    }

    /// Where a run's source may keep files.
    pub(crate) fn folder_of_run(&self, run: usize) -> PathBuf {
        self.folder.join(RUN.name(run))
    }

    /// Writes the checkpoint after the history's last step; `save` writes posterior and source into the folder it is
    /// given. Then deletes all but the newest, and for each of these the one that was the best until then:
    /// `best(steps)` is the number of its steps.
    pub(crate) fn write(
        &self,
        position: &Position,
        history: &LossHistory,
        optimizer: &[u8],
        best: impl Fn(usize) -> Option<usize>,
        save: impl FnOnce(&Path) -> Result<(), TrainerError>,
    ) -> Result<(), TrainerError> {
        let place = self.place(history.steps.len());
        // After an error at the end of an epoch there is a checkpoint of these steps already.
        let written = replace_folder_atomically(
            &place,
            |_| true,
            TrainerError::write(&place),
            |folder| {
                save(folder)?;
                history.save(folder.join(HISTORY))?;
                let write = |name: &str, bytes: &[u8]| {
                    let path = folder.join(name);
                    operation::write(&path, bytes).map_err(TrainerError::write(&path))
                };
                write(OPTIMIZER, optimizer)?;
                let manifest = Manifest { format_version: FORMAT_VERSION, position: position.clone() };
                write(MANIFEST, serde_json::to_string_pretty(&manifest).expect("a manifest is plain data").as_bytes())
            },
        );
        let all = self.list()?;
        if let Err(error) = written {
            let previous = all.into_iter().next_back().map(|(_, path)| path);
            return Err(TrainerError::CheckpointNotWritten { place, previous, source: Box::new(error) });
        }
        self.delete_old(&all, best);
        Ok(())
    }

    /// Deletes old checkpoints, in case a process was killed after it wrote its last checkpoint: see
    /// [`Checkpoints::write`].
    pub(crate) fn tidy(&self, best: impl Fn(usize) -> Option<usize>) -> Result<(), TrainerError> {
        self.delete_old(&self.list()?, best);
        Ok(())
    }

    /// What cannot be deleted is tried again after the next checkpoint; nothing depends on it.
    fn delete_old(&self, all: &[(usize, PathBuf)], best: impl Fn(usize) -> Option<usize>) {
        let newest = all.len().saturating_sub(self.keep);
        let best: Vec<usize> = all[newest..].iter().filter_map(|(steps, _)| best(*steps)).collect();
        for (_, old) in all[..newest].iter().filter(|(steps, _)| !best.contains(steps)) {
            if let Err(error) = delete_folder(old) {
                tracing::warn!(checkpoint = %old.display(), %error, "cannot delete an old checkpoint");
            }
        }
    }

    /// Reads the newest undamaged checkpoint, if there is any, and renames newer ones that are damaged.
    pub(crate) fn newest(&self) -> Result<(Option<Checkpoint>, Vec<DamagedCheckpoint>), TrainerError> {
        let (newest, damaged) = Checkpoint::newest(&self.folder)?;
        Ok((newest, damaged.into_iter().map(set_aside).collect::<Result<_, _>>()?))
    }
}

impl Checkpoint {
    /// Reads the newest undamaged checkpoint of a folder, if there is any; newer ones that are damaged. Nothing is
    /// changed, and another process may be writing checkpoints.
    pub(crate) fn newest(folder: &Path) -> Result<(Option<Self>, Vec<DamagedCheckpoint>), TrainerError> {
        let mut damaged = Vec::new();
        let places = match CHECKPOINT.list(folder) {
            // Another process is about to begin anew here.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((None, Vec::new())),
            listed => listed.map_err(TrainerError::read(folder))?,
        };
        for (_, place) in places.into_iter().rev() {
            match Self::read(&place) {
                Ok(checkpoint) => return Ok((Some(checkpoint), damaged)),
                // Deleted meanwhile, since there are newer ones.
                Err(_) if is_gone(&place) => return Self::newest(folder),
                Err(TrainerError::DamagedCheckpoint { folder, reason }) => {
                    damaged.push(DamagedCheckpoint { folder, reason });
                }
                Err(error) => return Err(error),
            }
        }
        match damaged.into_iter().next() {
            Some(DamagedCheckpoint { folder, reason }) => Err(TrainerError::DamagedCheckpoint { folder, reason }),
            None => Ok((None, Vec::new())),
        }
    }

    fn read(folder: &Path) -> Result<Self, TrainerError> {
        let folder = folder.to_owned();
        let damaged = |reason: String| TrainerError::DamagedCheckpoint { folder: folder.clone(), reason };
        verify(&folder).map_err(|error| match error {
            VerifyError::Damaged(reason) => damaged(reason),
            VerifyError::Unreadable(error) => error.into(),
        })?;
        let path = folder.join(MANIFEST);
        let text = operation::read_to_string(&path).map_err(TrainerError::read(&path))?;
        let manifest: Value = serde_json::from_str(&text).map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
        // The version comes first: the layout of another version may differ.
        let version = &manifest["format_version"];
        if *version != FORMAT_VERSION {
            let found = version.to_string();
            return Err(TrainerError::CheckpointVersion { folder, found, expected: FORMAT_VERSION });
        }
        let manifest: Manifest =
            serde_json::from_value(manifest).map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
        let history = LossHistory::load(folder.join(HISTORY))?;
        let path = folder.join(OPTIMIZER);
        let optimizer = operation::read(&path).map_err(TrainerError::read(&path))?;
        Ok(Self { folder, position: manifest.position, history, optimizer })
    }
}

/// Whether there is nothing of this name any more.
pub(crate) fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Renames a damaged checkpoint, so that a new one can take its place, and nothing is lost.
fn set_aside(DamagedCheckpoint { folder, reason }: DamagedCheckpoint) -> Result<DamagedCheckpoint, TrainerError> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let free = (0..).map(|i| folder.with_file_name(format!("{DAMAGED}{i}-{name}"))).find(|place| !place.exists());
    let place = free.expect("one of endlessly many names is free");
    operation::rename(&folder, &place).map_err(TrainerError::write(&folder))?;
    tracing::warn!(checkpoint = %place.display(), reason, "set a damaged checkpoint aside");
    Ok(DamagedCheckpoint { folder: place, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it was written before models were told apart.
    #[test]
    fn a_position_without_an_origin_is_read() {
        let position: Position = serde_json::from_str(r#"{"seed":7,"runs":[]}"#).expect("an older checkpoint's");
        assert_eq!(position, Position { seed: 7, ..Position::default() });
    }
}
