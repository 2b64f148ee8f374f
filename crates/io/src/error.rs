//! Defines the errors of files, with their remedies.

use bayesburn_core::FileError;
use std::path::PathBuf;
use thiserror::Error;

/// A file that cannot be read or written, or that has unexpected content.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IoError {
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file with unexpected content.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A path that ends in no known format.
    #[error("{}: unknown file format: end the path in {formats}", path.display())]
    Format {
        /// The path.
        path: PathBuf,
        /// The known formats.
        formats: &'static str,
    },
}

pub(crate) type Result<T> = std::result::Result<T, IoError>;
