//! Makes file operations fail on purpose, for tests of what is left afterwards.
//!
//! ```
//! use bayesburn_core::files::{faults::{Fault, Faults}, write_atomically};
//! use std::io::{ErrorKind, Write};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("answer.txt");
//! let write = || write_atomically(&path, |file| file.write_all(b"42"));
//!
//! // The disk is full at the third operation.
//! let faults = Faults::new(folder.path(), |n, _, _| (n == 2).then_some(Fault::Error(ErrorKind::StorageFull)));
//! assert_eq!(write().unwrap_err().kind(), ErrorKind::StorageFull);
//! drop(faults);
//! assert!(!path.exists());
//! write()?;
//! # Ok::<(), std::io::Error>(())
//! ```

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// A kind of file operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Reading a file.
    Read,
    /// Creating a file or a folder.
    Create,
    /// Writing to a file.
    Write,
    /// Forcing a file or a folder to disk.
    Sync,
    /// Renaming a file or a folder, or exchanging two.
    Rename,
    /// Deleting a file or a folder.
    Delete,
    /// Locking a folder.
    Lock,
}

/// What happens at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails with an error of this kind. With this or [`Fault::Os`], [`operation::write`](super::operation::write)
    /// first writes half of its bytes, as on a disk that fills up; a write to a [`NewFile`](super::NewFile) writes
    /// none.
    Error(io::ErrorKind),
    /// It fails with an error of the operating system, such as 5 for EIO on Unix.
    Os(i32),
    /// The process is killed before it (SIGKILL on Unix).
    Kill,
}

type Rule = dyn Fn(u64, Operation, &Path) -> Option<Fault> + Send + Sync;

struct Armed {
    folder: PathBuf,
    rule: Box<Rule>,
    seen: AtomicU64,
}

/// Injects faults into the operations on one folder and its contents, until it is dropped.
pub struct Faults(Arc<Armed>);

/// How many are armed. Without any, an operation costs one load of this.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static ALL: Mutex<Vec<Arc<Armed>>> = Mutex::new(Vec::new());

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("folder", &self.0.folder).field("seen", &self.seen()).finish_non_exhaustive()
    }
}

impl Faults {
    /// Asks `rule` at each operation in the folder, of all threads, whether there is a fault: given the number of
    /// operations before it, its kind and its path.
    pub fn new(folder: &Path, rule: impl Fn(u64, Operation, &Path) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let armed = Arc::new(Armed { folder: folder.to_owned(), rule: Box::new(rule), seen: AtomicU64::new(0) });
        all().push(armed.clone());
        COUNT.fetch_add(1, Ordering::SeqCst);
        Self(armed)
    }

    /// How many operations there were.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.0.seen.load(Ordering::SeqCst)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::SeqCst);
        all().retain(|armed| !Arc::ptr_eq(armed, &self.0));
    }
}

fn all() -> std::sync::MutexGuard<'static, Vec<Arc<Armed>>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fails if a fault is to be at this operation.
#[inline]
pub(super) fn pass(operation: Operation, path: &Path) -> io::Result<()> {
    if COUNT.load(Ordering::Relaxed) == 0 { Ok(()) } else { ask(operation, path) }
}

#[cold]
fn ask(operation: Operation, path: &Path) -> io::Result<()> {
    let armed: Vec<_> = all().iter().filter(|armed| path.starts_with(&armed.folder)).cloned().collect();
    for armed in armed {
        let before = armed.seen.fetch_add(1, Ordering::SeqCst);
        match (armed.rule)(before, operation, path) {
            None => {}
            Some(Fault::Error(kind)) => return Err(kind.into()),
            Some(Fault::Os(code)) => return Err(io::Error::from_raw_os_error(code)),
            Some(Fault::Kill) => kill(),
        }
    }
    Ok(())
}

fn kill() {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
