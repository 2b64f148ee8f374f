//! Defines the error of files that cannot be read, written or deleted, which all crates share.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// A file or folder that cannot be read, written or deleted.
///
/// ```
/// use bayesburn_core::FileError;
/// use std::{fs, path::Path};
///
/// let path = Path::new("no/such/file");
/// let error = fs::read(path).map_err(FileError::read(path)).unwrap_err();
/// assert!(error.to_string().starts_with("cannot read `no/such/file`: "));
/// ```
#[derive(Debug, Error)]
#[error("cannot {action} `{}`: {source}; {}", path.display(), action.remedy())]
pub struct FileError {
    /// What was tried.
    pub action: FileAction,
    /// The file or folder.
    pub path: PathBuf,
    /// What the operating system, or the file's format, reports.
    pub source: io::Error,
}

/// What was tried with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileAction {
    /// Reading it, or listing a folder.
    Read,
    /// Creating, writing or renaming it.
    Write,
    /// Deleting it.
    Delete,
}

impl FileAction {
    fn remedy(self) -> &'static str {
        match self {
            Self::Read => "check that it exists and may be read",
            Self::Write => "check that its folder exists, is writable and has space",
            Self::Delete => "check that it may be deleted",
        }
    }
}

impl fmt::Display for FileAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        })
    }
}

impl FileError {
    /// Adds the path to what the system reports when a file is read.
    pub fn read(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        Self::with(FileAction::Read, path)
    }

    /// Adds the path to what the system reports when a file is written.
    pub fn write(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        Self::with(FileAction::Write, path)
    }

    /// Adds the path to what the system reports when a file is deleted.
    pub fn delete(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        Self::with(FileAction::Delete, path)
    }

    fn with(action: FileAction, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self { action, path: path.clone(), source }
    }
}
