//! Writes a report in each of its formats, and reads it back.

use super::{Report, ReportError, html, junit, markdown};
use crate::Result;
use bayesburn_core::{
    FileError,
    files::{operation::create_folder, write_atomically},
};
use std::io::Write as _;
use std::path::Path;

impl Report {
    /// As JSON, with all numbers; NaN are `null`.
    ///
    /// # Errors
    /// None for a report that the suite has made.
    pub fn to_json(&self) -> Result<String, ReportError> {
        serde_json::to_string_pretty(self).map_err(|error| ReportError::Format { reason: error.to_string() })
    }

    /// A report that was saved as JSON, without figures.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such report.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ReportError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(FileError::read(path))?;
        serde_json::from_str(&text)
            .map_err(|error| ReportError::NoReport { path: path.into(), reason: error.to_string() })
    }

    /// As one HTML page that needs no other file.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::page(self, &self.figures)
    }

    /// As Markdown, for a pull request.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::text(self)
    }

    /// As JUnit XML, a test case for each check and each limit.
    ///
    /// # Errors
    /// None for a report that the suite has made.
    pub fn to_junit(&self) -> Result<String, ReportError> {
        junit::xml(self).map_err(|error| ReportError::Format { reason: error.to_string() })
    }

    /// Writes the report in the format that the path ends in, `.html`, `.md`, `.xml` (JUnit) or `.json`, replacing a
    /// file that is there. Folders are made.
    ///
    /// # Errors
    /// If the path ends in anything else, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        let path = path.as_ref();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let text = match extension.as_deref() {
            Some("html") => self.to_html(),
            Some("md") => self.to_markdown(),
            Some("xml") => self.to_junit()?,
            Some("json") => self.to_json()?,
            _ => return Err(ReportError::Extension { path: path.into() }),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let written = folder
            .map_or(Ok(()), create_folder)
            .and_then(|()| write_atomically(path, |file| file.write_all(text.as_bytes())));
        Ok(written.map_err(FileError::write(path))?)
    }
}
