//! Locks folders against other processes.

use super::{
    faults::{Operation, pass},
    operation::{self, is_unsupported},
};
use crate::{FileError, layout::LOCK};
use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

/// A folder that is locked against other processes, until this is dropped or the process ends.
#[derive(Debug)]
pub struct FolderLock(Option<File>);

impl FolderLock {
    /// Locks a folder, which is made if need be, by the file [`LOCK`] in it; `None` if it is locked already. On a file
    /// system without locks, such as Lustre mounted without `flock`, the folder is not protected, and a warning is
    /// logged, once in a process.
    ///
    /// # Errors
    /// A file that cannot be made or locked.
    pub fn acquire(folder: &Path) -> Result<Option<Self>, FileError> {
        let path = folder.join(LOCK);
        let open = || {
            pass(Operation::Create, &path)?;
            File::options().create(true).truncate(false).write(true).open(&path)
        };
        for attempt in 0.. {
            // Another process may just have renamed the folder.
            let file = open().or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => operation::create_folder(folder).and_then(|()| open()),
                _ => Err(error),
            });
            let file = file.map_err(FileError::write(&path))?;
            match pass(Operation::Lock, &path).map_err(TryLockError::Error).and_then(|()| file.try_lock()) {
                // While this waited, another process may have put another folder here.
                Ok(()) if is_at(&file, &path) => return Ok(Some(Self(Some(file)))),
                Ok(()) if attempt < 10 => {}
                // The file system gives one file several numbers, as CIFS may do.
                Ok(()) => return Ok(Some(Self(Some(file)))),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) if is_unsupported(&error) => {
                    warn_unlocked(folder, &error);
                    return Ok(Some(Self(None)));
                }
                Err(TryLockError::Error(error)) => return Err(FileError::write(&path)(error)),
            }
        }
        unreachable!("the last attempt returns")
    }

    #[cfg(test)]
    pub(super) fn file(&self) -> &File {
        self.0.as_ref().expect("the file system has locks")
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file is not enough: where another thread starts a process, that has a copy of the open file until
        // it runs its program, and the lock would stay for some milliseconds.
        let _ = self.0.as_ref().map(File::unlock);
    }
}

/// Whether an open file is the one that this path names.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id =
            |metadata: io::Result<std::fs::Metadata>| metadata.map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let (locked, named) = (id(file.metadata()), id(path.metadata()));
        locked.is_some() && locked == named
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        true
    }
}

fn warn_unlocked(folder: &Path, error: &io::Error) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            folder = %folder.display(),
            %error,
            "the file system has no locks, so two processes in one folder are not kept apart: start one at a time"
        );
    });
}
