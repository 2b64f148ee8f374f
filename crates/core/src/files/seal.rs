//! Seals folders by checksums of their files, and compares them later.

use super::{
    faults::{Operation, pass},
    operation,
};
use crate::FileError;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};
use thiserror::Error;

/// The file that [`seal`] adds to a folder.
pub(super) const CHECKSUMS: &str = "checksums.txt";
/// The beginning of its first line, before the number of files: so it is noticed where lines are missing. Seals of
/// earlier versions have no such line.
const COUNT: &str = "# files: ";

/// The reason why a folder could not be verified.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A sealed file is missing, or has other content than when it was sealed.
    #[error("{0}")]
    Damaged(String),
    /// A file that is there cannot be read, which tells nothing about its content.
    #[error(transparent)]
    Unreadable(#[from] FileError),
}

/// Adds a file with the length and CRC-32 of every other file of a folder, also of those in folders inside. [`verify`]
/// compares them later. An existing seal is replaced.
///
/// # Errors
/// A file that cannot be read or written.
pub fn seal(folder: &Path) -> io::Result<()> {
    let mut lines = Vec::new();
    for name in files_in(folder)? {
        if name != CHECKSUMS {
            let (crc, length) = crc32(&folder.join(&name))?;
            lines.push((format!("{crc:08x} {length} {name}\n"), name));
        }
    }
    lines.sort_by(|(_, a), (_, b)| a.cmp(b));
    let count = format!("{COUNT}{}\n", lines.len());
    operation::write(&folder.join(CHECKSUMS), count + &lines.into_iter().map(|(line, _)| line).collect::<String>())
}

/// Whether a folder has a seal.
#[must_use]
pub fn is_sealed(folder: &Path) -> bool {
    folder.join(CHECKSUMS).is_file()
}

/// The content of a folder's seal, if it can be read: it differs where the folder has been replaced.
#[must_use]
pub fn read_seal(folder: &Path) -> Option<Vec<u8>> {
    operation::read(&folder.join(CHECKSUMS)).ok()
}

/// Checks that the files of a sealed folder are as they were: none changed, truncated or missing. Files that were added
/// are ignored: programs leave some of their own, such as `.DS_Store` and `.nfs*`.
///
/// # Errors
/// [`VerifyError::Damaged`] with the first difference or without a seal; [`VerifyError::Unreadable`] for a file that
/// cannot be read.
pub fn verify(folder: &Path) -> Result<(), VerifyError> {
    let damaged = |reason: String| Err(VerifyError::Damaged(reason));
    let path = folder.join(CHECKSUMS);
    let sealed = match operation::read(&path) {
        Ok(sealed) => sealed,
        Err(error) if is_gone(&error) => return damaged(format!("`{CHECKSUMS}` is missing")),
        Err(error) => return Err(FileError::read(&path)(error).into()),
    };
    let Ok(sealed) = String::from_utf8(sealed) else { return damaged(format!("`{CHECKSUMS}` is not text")) };
    let (count, lines) = match sealed.strip_prefix(COUNT).and_then(|rest| rest.split_once('\n')) {
        Some((count, lines)) => (count.parse().ok(), lines),
        None => (Some(sealed.lines().count()), sealed.as_str()),
    };
    if sealed.is_empty() || count != Some(lines.lines().count()) {
        return damaged(format!("`{CHECKSUMS}` was cut short or changed"));
    }
    for line in lines.split_inclusive('\n') {
        let name = line.strip_suffix('\n').and_then(|line| line.splitn(3, ' ').nth(2));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return damaged(format!("`{CHECKSUMS}` was cut short or changed"));
        };
        let path = folder.join(name);
        let (crc, length) = match crc32(&path) {
            Ok(found) => found,
            Err(error) if is_gone(&error) => {
                return damaged(format!("`{name}` is missing, or {CHECKSUMS} was changed"));
            }
            Err(error) => return Err(FileError::read(&path)(error).into()),
        };
        if format!("{crc:08x} {length} {name}\n") != line {
            return damaged(format!("`{name}` was changed or cut short: its checksum does not match"));
        }
    }
    Ok(())
}

/// CRC-32 and length of a file, read in pieces of 64 kB.
///
/// # Errors
/// A file that cannot be read.
pub fn crc32(path: &Path) -> io::Result<(u32, u64)> {
    pass(Operation::Read, path)?;
    let (mut file, mut hasher, mut length) = (File::open(path)?, crc32fast::Hasher::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hasher.finalize(), length)),
            read => {
                hasher.update(&buffer[..read]);
                length += read as u64;
            }
        }
    }
}

/// Whether there is no such file, or something else in its place.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}

/// The names of all files in a folder, those in folders inside with a `/`.
pub(super) fn files_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.path().is_dir() {
            true => names.extend(files_in(&entry.path())?.into_iter().map(|inside| format!("{name}/{inside}"))),
            false => names.push(name),
        }
    }
    Ok(names)
}
