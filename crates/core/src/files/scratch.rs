//! Names files and folders that are not complete yet, and removes them where a process was killed.
//!
//! | name | what it is |
//! |---|---|
//! | `.NAME.RANDOM.tmp` | a file or folder that is being written or deleted |
//! | `.NAME.replaced` | the folder NAME while another one takes its place, where the system cannot exchange them |
//!
//! Random names are created as new, so that two writers of NAME do not meet, and a link that someone else put there is
//! not followed.

use super::{
    faults::{Operation, pass},
    operation,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tempfile::{Builder, NamedTempFile, TempDir};

const SUFFIX: &str = ".tmp";
const RANDOM: usize = 8;
const REPLACED: &str = ".replaced";

/// Creates a file of a random name beside this path, with the mode of the file that it is to replace.
pub(super) fn file_beside(path: &Path) -> io::Result<NamedTempFile> {
    let file = beside(path, 0o666, |builder, folder| builder.tempfile_in(folder))?;
    if let Ok(existing) = fs::metadata(path) {
        file.as_file().set_permissions(existing.permissions())?;
    }
    Ok(file)
}

/// Creates a folder of a random name beside this path, with the mode of the folder that it is to replace. It is deleted
/// when it is dropped.
pub(super) fn folder_beside(path: &Path) -> io::Result<TempDir> {
    operation::create_folder(parent(path))?;
    let folder = beside(path, 0o777, |builder, folder| builder.tempdir_in(folder))?;
    if let Ok(existing) = fs::metadata(path) {
        fs::set_permissions(folder.path(), existing.permissions())?;
    }
    Ok(folder)
}

/// Creates something of a random name beside this path, with this mode and the user's mask, as other new files have
/// them: those of temporary files are private.
fn beside<T>(path: &Path, mode: u32, create: impl Fn(&Builder<'_, '_>, PathBuf) -> io::Result<T>) -> io::Result<T> {
    let prefix = format!(".{}.", name(path)?);
    pass(Operation::Create, &parent(path).join(&prefix))?;
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    create(&builder, parent(path).to_owned())
}

/// Where a folder is while another one takes its place.
pub(super) fn replaced(path: &Path) -> io::Result<PathBuf> {
    let name = name(path)?;
    Ok(path.with_file_name(format!(".{name}{REPLACED}")))
}

/// Checks that files can be created in a folder.
///
/// # Errors
/// What the system reports.
pub fn check_writable(folder: &Path) -> io::Result<()> {
    pass(Operation::Create, folder)?;
    Builder::new().prefix(".writable.").suffix(SUFFIX).rand_bytes(RANDOM).tempfile_in(folder)?.close()
}

/// Deletes a folder: first it is renamed, so that none is left that lacks some of its files. What cannot be deleted
/// keeps the scratch name, and [`settle`] tries again.
///
/// # Errors
/// A folder that cannot be renamed or deleted.
pub fn delete_folder(path: &Path) -> io::Result<()> {
    let scratch = folder_beside(path)?;
    // An empty folder is replaced by renaming.
    operation::rename(path, scratch.path())?;
    operation::delete_tree(&scratch.keep())
}

/// Cleans up a locked folder: deletes the scratch files and folders that a killed process left, and restores a folder
/// whose replacement was not completed. Only entries whose name satisfies `ours` are touched.
///
/// # Errors
/// A folder that cannot be read or restored. What cannot be deleted stays, with a warning in the log.
pub fn settle(folder: &Path, ours: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(hidden) = name.strip_prefix('.') else { continue };
        let unfinished = hidden.strip_suffix(SUFFIX).and_then(|name| name.rsplit_once('.')).map(|(name, _)| name);
        let replaced = hidden.strip_suffix(REPLACED);
        let deleted = match (unfinished, replaced) {
            (Some(name), _) if ours(name) => delete_any(&path),
            (_, Some(name)) if ours(name) => {
                let place = folder.join(name);
                if place.exists() {
                    delete_any(&path)
                } else {
                    operation::rename(&path, &place)?;
                    Ok(())
                }
            }
            _ => Ok(()),
        };
        if let Err(error) = deleted {
            tracing::warn!(path = %path.display(), %error, "cannot delete what is left of an earlier process");
        }
    }
    Ok(())
}

fn delete_any(path: &Path) -> io::Result<()> {
    if path.is_dir() { operation::delete_tree(path) } else { operation::delete_file(path) }
}

fn name(path: &Path) -> io::Result<String> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path has no name");
    Ok(path.file_name().ok_or_else(no_name)?.to_string_lossy().into_owned())
}

/// The folder that a path is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
