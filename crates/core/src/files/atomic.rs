//! Writes files and folders beside their places, forces them to disk and renames them.

use super::{
    faults::{Operation, pass},
    operation,
    scratch::{file_beside, folder_beside, parent, replaced},
    seal::{CHECKSUMS, files_in, seal},
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A file that is being written, see [`write_atomically`].
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        pass(Operation::Write, &self.path)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for NewFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// Writes a file under a random name in the same folder, syncs it to disk and renames it to `path`. After a crash or on
/// a full disk, the previous file is unchanged. The new file has the previous file's mode. A `path` that is not a
/// regular file, such as a pipe, is written to directly.
///
/// # Errors
/// Errors of `write`, and I/O errors. The unfinished file is removed.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut BufWriter<NewFile>) -> io::Result<()>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let file = File::options().write(true).open(path)?;
        let mut file = BufWriter::new(NewFile { file, path: path.to_owned() });
        write(&mut file)?;
        return file.flush();
    }
    let (file, scratch) = file_beside(path)?.into_parts();
    let mut file = BufWriter::new(NewFile { file, path: scratch.to_path_buf() });
    write(&mut file)?;
    let NewFile { file, .. } = file.into_inner()?;
    operation::sync(&file, &scratch)?;
    drop(file);
    operation::rename(&scratch, path)?;
    // There is nothing left to delete under the scratch name.
    let _ = scratch.keep();
    operation::sync_folder(parent(path))
}

/// Creates a folder of a random name, fills it by `write`, [seals](seal) it, forces it to disk and renames it. So the
/// folder exists with all its files or not at all. `error` converts an I/O error into the caller's error.
///
/// # Errors
/// Errors of `write`, and I/O errors, for example if a non-empty folder of this name exists. The unfinished folder is
/// removed.
pub fn write_folder_atomically<E>(
    path: &Path,
    error: impl Fn(io::Error) -> E,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let scratch = folder_beside(path).map_err(&error)?;
    write(scratch.path())?;
    let finish = || {
        seal_and_sync(scratch.path())?;
        operation::rename(scratch.path(), path)?;
        let _ = scratch.keep();
        operation::sync_folder(parent(path))
    };
    finish().map_err(error)
}

/// As [`write_folder_atomically`], in place of an existing folder: the old one is there until the new one is complete.
/// Linux and macOS exchange them in one step; elsewhere, and on file systems such as NFS, a crash between two renames
/// leaves the old folder under another name, which [`current`] finds. Files that only the old folder has, such as the
/// user's, are kept, unless `obsolete` holds for their name.
///
/// A folder that others may use meanwhile is not exchanged: one that holds folders which the new one does not have, the
/// working folder, a mount point, or one beside which nothing can be written. There the new files are moved in one by
/// one, the seal first, so that [`verify`](super::verify) finds a replacement that was cut short.
///
/// # Errors
/// As [`write_folder_atomically`].
pub fn replace_folder_atomically<E>(
    path: &Path,
    obsolete: impl Fn(&OsStr) -> bool,
    error: impl Fn(io::Error) -> E,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    settle_replaced(path, &obsolete).map_err(&error)?;
    if !path.exists() {
        return write_folder_atomically(path, error, write);
    }
    let path = &path.canonicalize().map_err(&error)?;
    let (scratch, is_beside) = match folder_beside(path) {
        Err(error) if is_refused(&error) => (folder_beside(&path.join("new")), false),
        beside => (beside, true),
    };
    let scratch = scratch.map_err(&error)?;
    write(scratch.path())?;
    let finish = || {
        seal_and_sync(scratch.path())?;
        let is_used = std::env::current_dir().is_ok_and(|folder| folder == *path) || has_others(path, scratch.path())?;
        let exchanged = match is_beside && !is_used {
            true => exchange(scratch.path(), path),
            false => Err(io::ErrorKind::ResourceBusy.into()),
        };
        let old = match exchanged {
            Ok(old) => old,
            Err(error) if is_refused(&error) => {
                // A process that is killed here leaves a folder that its seal does not fit.
                operation::rename(&scratch.path().join(CHECKSUMS), &path.join(CHECKSUMS))?;
                for entry in fs::read_dir(path)? {
                    let entry = entry?;
                    let (name, is_file) = (entry.file_name(), entry.path().is_file());
                    let is_left = is_file && name != CHECKSUMS && !scratch.path().join(&name).exists();
                    if is_left && obsolete(&name) {
                        operation::delete_file(&entry.path())?;
                    }
                }
                move_into(scratch.path(), path)?;
                return operation::sync_folder(path);
            }
            Err(error) => return Err(error),
        };
        let _ = scratch.keep();
        // From here on the new folder is there, and what is left of the old one is not worth an error.
        if let Err(error) = move_others(&old, path, &obsolete).and_then(|()| operation::delete_tree(&old)) {
            tracing::warn!(old = %old.display(), %error, "cannot move other files of a replaced folder or delete it");
        }
        operation::sync_folder(parent(path))
    };
    finish().map_err(error)
}

/// Puts a new folder in the place of an old one. Returns where the old one is.
fn exchange(new: &Path, path: &Path) -> io::Result<PathBuf> {
    match operation::exchange(new, path) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let old = replaced(path)?;
            operation::rename(path, &old)?;
            if let Err(error) = operation::rename(new, path) {
                // The first error is the one to report.
                let _ = operation::rename(&old, path);
                return Err(error);
            }
            Ok(old)
        }
        exchanged => exchanged.map(|()| new.to_owned()),
    }
}

/// Whether a folder is at the root of a file system, or in one that may not be changed.
fn is_refused(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(error.kind(), CrossesDevices | PermissionDenied | ReadOnlyFilesystem | ResourceBusy)
}

/// Whether the old folder holds folders that the new one does not have. Hidden ones are unfinished.
fn has_others(old: &Path, new: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(old)? {
        let entry = entry?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !is_hidden && entry.path().is_dir() && !new.join(entry.file_name()).exists() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Moves every file of the new folder into the old one.
fn move_into(new: &Path, old: &Path) -> io::Result<()> {
    for entry in fs::read_dir(new)? {
        let (from, to) = entry.map(|entry| (entry.path(), old.join(entry.file_name())))?;
        match to.is_dir() {
            true => move_into(&from, &to)?,
            false => operation::rename(&from, &to)?,
        }
    }
    Ok(())
}

/// Moves what only the old folder has to the new one, also inside folders that both have.
fn move_others(old: &Path, new: &Path, obsolete: &impl Fn(&OsStr) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(old)? {
        let (from, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let to = new.join(&name);
        if from.is_dir() && to.is_dir() {
            move_others(&from, &to, obsolete)?;
        } else if !to.exists() && !obsolete(&name) {
            operation::rename(&from, &to)?;
        }
    }
    Ok(())
}

/// Ends a replacement by two renames that was cut short.
fn settle_replaced(path: &Path, obsolete: &impl Fn(&OsStr) -> bool) -> io::Result<()> {
    let Some(old) = replaced(path).ok().filter(|old| old.is_dir()) else { return Ok(()) };
    if !path.exists() {
        return operation::rename(&old, path);
    }
    move_others(&old, path, obsolete)?;
    operation::delete_tree(&old)
}

/// The folder itself; if it is missing because a replacement was cut short, the one that it was to replace.
#[must_use]
pub fn current(folder: &Path) -> PathBuf {
    let old = replaced(folder).ok().filter(|old| !folder.exists() && old.is_dir());
    old.unwrap_or_else(|| folder.to_owned())
}

fn seal_and_sync(folder: &Path) -> io::Result<()> {
    seal(folder)?;
    let mut folders = vec![folder.to_owned()];
    for name in files_in(folder)? {
        let path = folder.join(name);
        operation::sync(&File::options().write(true).open(&path)?, &path)?;
        let inside = parent(&path).to_owned();
        if !folders.contains(&inside) {
            folders.push(inside);
        }
    }
    folders.iter().rev().try_for_each(|folder| operation::sync_folder(folder))
}
