//! Performs single file operations, each of which a test can make fail.

use super::faults::{Operation, pass};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Reads a file.
///
/// # Errors
/// As [`fs::read`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    pass(Operation::Read, path)?;
    fs::read(path)
}

/// Reads a text file.
///
/// # Errors
/// As [`fs::read_to_string`].
pub fn read_to_string(path: &Path) -> io::Result<String> {
    pass(Operation::Read, path)?;
    fs::read_to_string(path)
}

/// Creates a folder and those that it is in, if need be.
///
/// # Errors
/// As [`fs::create_dir_all`].
pub fn create_folder(path: &Path) -> io::Result<()> {
    pass(Operation::Create, path)?;
    fs::create_dir_all(path)
}

/// Writes a file in a folder that is itself written atomically. Elsewhere, use
/// [`write_atomically`](super::write_atomically).
///
/// # Errors
/// As [`fs::write`].
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    pass(Operation::Create, path)?;
    write_all(&mut File::create(path)?, path, bytes.as_ref())
}

/// Renames a file or a folder.
///
/// # Errors
/// As [`fs::rename`].
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    pass(Operation::Rename, from)?;
    fs::rename(from, to)
}

/// Deletes a file.
///
/// # Errors
/// As [`fs::remove_file`].
pub fn delete_file(path: &Path) -> io::Result<()> {
    pass(Operation::Delete, path)?;
    fs::remove_file(path)
}

/// Deletes a folder with what is in it, in some order: see [`delete_folder`](super::delete_folder).
pub(super) fn delete_tree(path: &Path) -> io::Result<()> {
    pass(Operation::Delete, path)?;
    fs::remove_dir_all(path)
}

/// Exchanges two folders in one step. `Unsupported` where the system or the file system has no such operation.
pub(super) fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    pass(Operation::Rename, a)?;
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::{
            fs::{CWD, RenameFlags, renameat_with},
            io::Errno,
        };
        // EINVAL is what a file system without it returns, such as NFS.
        renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(|error| match error {
            Errno::INVAL | Errno::NOSYS | Errno::NOTSUP => io::ErrorKind::Unsupported.into(),
            other => other.into(),
        })
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    {
        let _ = b;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Forces a file to disk.
pub(super) fn sync(file: &File, path: &Path) -> io::Result<()> {
    pass(Operation::Sync, path)?;
    file.sync_all()
}

/// Forces the entries of a folder to disk, where system and file system support it.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let synced = pass(Operation::Sync, path).and_then(|()| File::open(path)?.sync_all());
    // Some file systems (CIFS, FUSE) have no such operation. The rename before it is as durable as they make it.
    match synced {
        Err(error) if is_unsupported(&error) => Ok(()),
        other => other,
    }
}

/// Writes all bytes to a file.
pub(super) fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    match pass(Operation::Write, path) {
        Ok(()) => file.write_all(bytes),
        // As a disk that becomes full does it.
        Err(error) => file.write_all(&bytes[..bytes.len() / 2]).and(Err(error)),
    }
}

/// Whether a file system lacks an operation: EINVAL, ENOSYS, ENOTSUP, and ENOLCK for locks.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}
