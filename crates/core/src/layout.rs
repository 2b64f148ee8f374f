//! Names the files and folders of everything that is saved, for code that writes them and code that looks for them.
//!
//! - The folder of an amortizer holds [`AMORTIZER`], [`WEIGHTS`], checksums, and [`TRAINING_RANGE`] for a posterior.
//! - The folder of a training (a workflow's [`CHECKPOINTS`], an inference's [`TRAINING`]) holds [`CHECKPOINT`]s, and a
//!   folder [`RUN`] for each run whose source stores [`round`]s.
//! - A checkpoint holds the files of an amortizer, [`MANIFEST`], [`HISTORY`] and [`OPTIMIZER`], and where the run needs
//!   them [`RAW_WEIGHTS`], [`BEST_WEIGHTS`], [`MEMORY`] and [`BUFFER`].
//! - The folder of an inference holds [`TRAINING`], a folder [`CALL`] for each call that simulated, and a folder
//!   [`POSTERIOR_OF_TRAINING`] for each training.
//! - The folder of a call holds [`CALL_DESCRIPTION`] and [`PART`]s.
//! - The folder of a posterior of an inference holds [`INFERENCE`], and [`ESTIMATOR`], the folder of an amortizer.
//! - A store of simulations holds [`MANIFEST`] and [`SHARD`]s.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The file by which a folder is locked, see [`FolderLock`](crate::files::FolderLock).
pub const LOCK: &str = ".lock";
/// The description of an amortizer.
pub const AMORTIZER: &str = "amortizer.json";
/// The weights of networks.
pub const WEIGHTS: &str = "weights.safetensors";
/// The ranges of the data that a posterior was trained on.
pub const TRAINING_RANGE: &str = "training_range.json";
/// The description of an inference's posterior, beside its networks.
pub const INFERENCE: &str = "inference.json";
/// The folder of an inference's density estimator.
pub const ESTIMATOR: &str = "estimator";
/// The folder of a workflow's checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// The folder of an inference's checkpoints.
pub const TRAINING: &str = "training";
/// The table of contents of a checkpoint or a store of simulations.
pub const MANIFEST: &str = "manifest.json";
/// The losses of a training.
pub const HISTORY: &str = "history.json";
/// The state of an optimizer.
pub const OPTIMIZER: &str = "optimizer.bpk";
/// The weights that optimizer steps change, where the amortizer's own are an average of them.
pub const RAW_WEIGHTS: &str = "stepped.safetensors";
/// The weights of the best epoch so far, where the run ends with them and they are not the checkpoint's own.
pub const BEST_WEIGHTS: &str = "best.safetensors";
/// The batches that a trainer remembers.
pub const MEMORY: BatchFiles = BatchFiles { index: "memory.json", file: Numbered::new("memory-", 1, ".safetensors") };
/// The batches of a replay buffer.
pub const BUFFER: BatchFiles = BatchFiles { index: "buffer.json", file: Numbered::new("buffer-", 1, ".safetensors") };
/// The folder of a run's source, by the number of the run.
pub const RUN: Numbered = Numbered::new("run-", 3, "");
/// The simulations of one call of an inference, by the number of the call.
pub const CALL: Numbered = Numbered::new("simulations-", 3, "");
/// The text that says what a call simulated.
pub const CALL_DESCRIPTION: &str = "description.txt";
/// A part of a call's simulations, by the number of its first one.
pub const PART: Numbered = Numbered::new("", 8, ".safetensors");
/// A checkpoint, by its number of steps.
pub const CHECKPOINT: Numbered = Numbered::new("step-", 8, "");
/// A posterior of an inference, by the number of its training.
pub const POSTERIOR_OF_TRAINING: Numbered = Numbered::new("posterior-", 3, "");
/// A file of a store of simulations.
pub const SHARD: Numbered = Numbered::new("shard-", 6, ".safetensors");

/// The folder of a round of simulations, by its number, its number of simulations and the batch size: with other
/// settings the simulations are others.
#[must_use]
pub fn round(number: usize, simulations: usize, batch_size: usize) -> String {
    const ROUND: Numbered = Numbered::new("round-", 3, "");
    format!("{}-{simulations}-{batch_size}", ROUND.name(number))
}

/// The files of numbered batches of simulations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFiles {
    /// A list of the batches in each of the other files.
    pub index: &'static str,
    /// A file of batches, by its place in that list.
    pub file: Numbered,
}

/// Names that contain a number with leading zeros, so that sorting by name sorts by number.
///
/// ```
/// use bayesburn_core::layout::CHECKPOINT;
///
/// assert_eq!(CHECKPOINT.name(1000), "step-00001000");
/// assert_eq!(CHECKPOINT.number("step-00001000"), Some(1000));
/// assert_eq!(CHECKPOINT.number("damaged-0-step-00001000"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    prefix: &'static str,
    digits: usize,
    suffix: &'static str,
}

impl Numbered {
    /// Names that consist of a prefix, a number of at least `digits` digits, and a suffix.
    #[must_use]
    pub const fn new(prefix: &'static str, digits: usize, suffix: &'static str) -> Self {
        Self { prefix, digits, suffix }
    }

    /// The name with this number.
    #[must_use]
    pub fn name(self, number: usize) -> String {
        let Self { prefix, digits, suffix } = self;
        format!("{prefix}{number:0digits$}{suffix}")
    }

    /// The number in a name; `None` if the name has another form.
    #[must_use]
    pub fn number(self, name: &str) -> Option<usize> {
        name.strip_prefix(self.prefix)?.strip_suffix(self.suffix)?.parse().ok()
    }

    /// The entries of a folder with such names, in the order of their numbers.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list(self, folder: &Path) -> io::Result<Vec<(usize, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let number = entry.file_name().to_str().and_then(|name| self.number(name));
            found.extend(number.map(|number| (number, entry.path())));
        }
        found.sort();
        Ok(found)
    }

    /// The entry of a folder with the largest number, if there is any.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn newest(self, folder: &Path) -> io::Result<Option<(usize, PathBuf)>> {
        Ok(self.list(folder)?.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_order_and_other_names_are_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["shard-000010.safetensors", "shard-000002.safetensors", "shard-x.safetensors", "shard-000003", "a"]
        {
            fs::write(folder.path().join(name), "").expect("writable");
        }
        let found: Vec<usize> = SHARD.list(folder.path()).expect("a folder").into_iter().map(|(n, _)| n).collect();
        assert_eq!(found, [2, 10]);
        let (number, path) = SHARD.newest(folder.path()).expect("a folder").expect("two files");
        assert_eq!((number, path), (10, folder.path().join(SHARD.name(10))));
        assert_eq!(CHECKPOINT.newest(folder.path()).expect("a folder"), None);
        assert_eq!(CHECKPOINT.name(123_456_789), "step-123456789");
    }

    /// Checkpoints of earlier versions have files of these names.
    #[test]
    fn names_of_batches_and_rounds_stay_as_they_are() {
        assert_eq!((MEMORY.index, MEMORY.file.name(0)), ("memory.json", "memory-0.safetensors".to_owned()));
        assert_eq!((BUFFER.index, BUFFER.file.name(12)), ("buffer.json", "buffer-12.safetensors".to_owned()));
        assert_eq!(round(3, 2000, 32), "round-003-2000-32");
    }
}
