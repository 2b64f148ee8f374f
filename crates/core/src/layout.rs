//! Names the files and folders of everything that is saved, for those that write them and those that look for them.
//!
//! | folder | holds |
//! |---|---|
//! | an amortizer's | [`AMORTIZER`], [`WEIGHTS`], [`TRAINING_RANGE`] for a posterior, checksums |
//! | a training's checkpoints, [`CHECKPOINTS`] in a workflow's folder | [`CHECKPOINT`]s: an amortizer's files, [`MANIFEST`], [`HISTORY`], [`OPTIMIZER`] |
//! | an inference's | [`POSTERIOR_OF_TRAINING`]s: [`INFERENCE`], and an amortizer's folder, [`ESTIMATOR`] |
//! | a store of simulations | [`MANIFEST`] and [`SHARD`]s |

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The description of an amortizer.
pub const AMORTIZER: &str = "amortizer.json";
/// The weights of networks.
pub const WEIGHTS: &str = "weights.safetensors";
/// What a posterior was trained on.
pub const TRAINING_RANGE: &str = "training_range.json";
/// The description of an inference's posterior, beside its networks.
pub const INFERENCE: &str = "inference.json";
/// The folder of an inference's density estimator.
pub const ESTIMATOR: &str = "estimator";
/// The folder of a workflow's checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// What a checkpoint or a store of simulations holds.
pub const MANIFEST: &str = "manifest.json";
/// The losses of a training.
pub const HISTORY: &str = "history.json";
/// The state of an optimizer.
pub const OPTIMIZER: &str = "optimizer.bpk";
/// A checkpoint, by its number of steps.
pub const CHECKPOINT: Numbered = Numbered::new("step-", 8, "");
/// A posterior of an inference, by the number of its training.
pub const POSTERIOR_OF_TRAINING: Numbered = Numbered::new("posterior-", 3, "");
/// A file of a store of simulations.
pub const SHARD: Numbered = Numbered::new("shard-", 6, ".safetensors");

/// Names made of a number: files or folders that are in the order of their numbers by name, too.
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
    /// Names of a prefix, a number of at least so many digits, and a suffix.
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

    /// The number of a name; `None` if it is another name.
    #[must_use]
    pub fn number(self, name: &str) -> Option<usize> {
        name.strip_prefix(self.prefix)?.strip_suffix(self.suffix)?.parse().ok()
    }

    /// What a folder holds under such names, in the order of the numbers.
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

    /// What a folder holds under the largest number, if there is any.
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
}
