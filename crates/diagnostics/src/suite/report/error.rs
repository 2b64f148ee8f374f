//! Says why a report cannot be read, written or drawn.

use bayesburn_core::FileError;
use std::path::PathBuf;
use thiserror::Error;

/// A report that cannot be read, written or drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A report that a format cannot express.
    #[error("the report cannot be written: {reason}")]
    Format {
        /// What the format does not allow.
        reason: String,
    },
    /// A path that ends in no known format.
    #[error("`{}`: end the path of a report in .html, .md, .xml (JUnit) or .json", path.display())]
    Extension {
        /// The path.
        path: PathBuf,
    },
    /// A file that is not a report.
    #[error("`{}` is not a report ({reason}): pass one that was saved as .json", path.display())]
    NoReport {
        /// The path passed.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Figures of other parameters than the report's.
    #[error("figures of {got:?} for a report of {expected:?}: pass the input that the report was made from")]
    OtherParameters {
        /// The report's parameters.
        expected: Vec<String>,
        /// Those of the input.
        got: Vec<String>,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}
