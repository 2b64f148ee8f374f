//! Writes files and folders beside their places, forces them to disk and renames them.

use super::{
    faults::{Operation, pass},
    operation,
    scratch::{file_beside, folder_beside, parent, replaced},
    seal::{files_in, seal},
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

/// Writes a file of a random name in the same folder, forces it to disk and renames it. After a crash or on a full
/// disk, the previous file is still there. The new file has its mode. What is not a regular file, such as a pipe, is
/// written to directly.
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
/// Errors of `write`, and I/O errors, for example that a folder of this name exists already. The unfinished folder is
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
/// leaves the old folder under another name, which [`current`] finds. What the new folder does not have is moved there
/// from the old one, such as a file of the user's, unless its name is `obsolete`.
///
/// # Errors
/// As [`write_folder_atomically`].
pub fn replace_folder_atomically<E>(
    path: &Path,
    obsolete: impl Fn(&OsStr) -> bool,
    error: impl Fn(io::Error) -> E,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    // Behind a link, the folder that it leads to is replaced.
    let path = &if path.is_symlink() { path.canonicalize().map_err(&error)? } else { path.to_owned() };
    let scratch = folder_beside(path).map_err(&error)?;
    write(scratch.path())?;
    let finish = || {
        seal_and_sync(scratch.path())?;
        if !path.exists() {
            operation::rename(scratch.path(), path)?;
            let _ = scratch.keep();
            return operation::sync_folder(parent(path));
        }
        match operation::exchange(scratch.path(), path) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let old = replaced(path)?;
                operation::rename(path, &old)?;
                if let Err(error) = operation::rename(scratch.path(), path) {
                    // The first error is the one to report.
                    let _ = operation::rename(&old, path);
                    return Err(error);
                }
                operation::rename(&old, scratch.path())?;
            }
            exchanged => exchanged?,
        }
        // From here on the new folder is there, and what is left of the old one is not worth an error.
        let old = scratch.keep();
        if let Err(error) = move_others(&old, path, &obsolete).and_then(|()| operation::delete_tree(&old)) {
            tracing::warn!(old = %old.display(), %error, "what a folder held before is left beside it");
        }
        operation::sync_folder(parent(path))
    };
    finish().map_err(error)
}

/// Moves what only the old folder has to the new one.
fn move_others(old: &Path, new: &Path, obsolete: &impl Fn(&OsStr) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(old)? {
        let (from, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let to = new.join(&name);
        if !to.exists() && !obsolete(&name) {
            operation::rename(&from, &to)?;
        }
    }
    Ok(())
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
