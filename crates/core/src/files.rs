//! Writes files and folders atomically: either all of their content is there, or they are not. Checksums tell whether
//! they have changed since. Locks folders against other processes.

use crate::{FileError, layout::LOCK};
use std::{
    fs::{self, File, TryLockError},
    io::{self, BufWriter, Read},
    path::{Path, PathBuf},
};

/// The file that [`seal`] adds to a folder.
const CHECKSUMS: &str = "checksums.txt";

/// A folder that is locked against other processes, until this is dropped or the process ends.
#[derive(Debug)]
pub struct FolderLock(File);

impl FolderLock {
    /// Locks a folder by the file [`LOCK`] in it; `None` if it is locked already.
    ///
    /// # Errors
    /// A file that cannot be made or locked.
    pub fn acquire(folder: &Path) -> Result<Option<Self>, FileError> {
        let path = folder.join(LOCK);
        let open = File::options().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(FileError::write(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(FileError::write(&path)(error)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file is not enough: where another thread starts a process, that has a copy of the open file until
        // it runs its program, and the lock would stay for some milliseconds.
        let _ = self.0.unlock();
    }
}

/// Writes a temporary file in the same folder, forces it to disk and renames it. After a crash or on a full disk, the
/// previous file is still there.
///
/// # Errors
/// Errors of `write`, and I/O errors. The unfinished file is removed.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let scratch = beside(path)?;
    let result = File::create(&scratch).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner()?.sync_all()?;
        fs::rename(&scratch, path)
    });
    if result.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&scratch);
    }
    result.and_then(|()| sync_parent(path))
}

/// Creates a temporary folder, fills it by `write`, [seals](seal) it, forces it to disk and renames it. So the folder
/// exists with all its files or not at all. `error` converts an I/O error into the caller's error.
///
/// # Errors
/// Errors of `write`, and I/O errors, for example that a folder of this name exists already. The unfinished folder is
/// removed.
pub fn write_folder_atomically<E>(
    path: &Path,
    error: impl Fn(io::Error) -> E,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let scratch = beside(path).map_err(&error)?;
    let renew = || if scratch.exists() { fs::remove_dir_all(&scratch) } else { Ok(()) };
    renew().and_then(|()| fs::create_dir_all(&scratch)).map_err(&error)?;
    let finish = || {
        seal(&scratch)?;
        for entry in fs::read_dir(&scratch)? {
            File::options().write(true).open(entry?.path())?.sync_all()?;
        }
        sync_folder(&scratch)?;
        fs::rename(&scratch, path)
    };
    let result = write(&scratch).and_then(|()| finish().map_err(&error));
    if result.is_err() {
        // The first error is the one to report.
        let _ = renew();
    }
    result.and_then(|()| sync_parent(path).map_err(&error))
}

/// Adds a file with the length and CRC-32 of every other file of a folder. [`verify`] compares them later. An existing
/// seal is replaced.
///
/// # Errors
/// A file that cannot be read or written.
pub fn seal(folder: &Path) -> io::Result<()> {
    fs::write(folder.join(CHECKSUMS), checksums(folder)?)
}

/// Checks that a folder's files are as they were when it was sealed: none changed, truncated, missing or added.
///
/// # Errors
/// A description of the first difference; a missing seal; files that cannot be read.
pub fn verify(folder: &Path) -> Result<(), String> {
    let sealed = fs::read_to_string(folder.join(CHECKSUMS)).map_err(|error| format!("{CHECKSUMS}: {error}"))?;
    let found = checksums(folder).map_err(|error| error.to_string())?;
    if sealed == found {
        return Ok(());
    }
    let name = |line: &str| line.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
    let names = |text: &str| text.lines().map(name).collect::<Vec<_>>();
    let (before, now) = (names(&sealed), names(&found));
    if let Some(name) = before.iter().find(|name| !now.contains(name)) {
        return Err(format!("`{name}` is missing, or {CHECKSUMS} was changed"));
    }
    if let Some(name) = now.iter().find(|name| !before.contains(name)) {
        return Err(format!("`{name}` was added, or {CHECKSUMS} was changed"));
    }
    let changed = sealed.lines().zip(found.lines()).find(|(sealed, found)| sealed != found);
    let changed = changed.map_or(CHECKSUMS.to_owned(), |(_, found)| name(found));
    Err(format!("`{changed}` was changed or cut short: its checksum does not match"))
}

/// One line `crc32 length name` for each file except the seal, sorted by name.
fn checksums(folder: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != CHECKSUMS {
            let (crc, length) = crc32(&entry.path())?;
            lines.push((name.clone(), format!("{crc:08x} {length} {name}\n")));
        }
    }
    lines.sort();
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// CRC-32 and length of a file, read in pieces of 64 kB.
///
/// # Errors
/// A file that cannot be read.
pub fn crc32(path: &Path) -> io::Result<(u32, u64)> {
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

/// A hidden name beside a path.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no name"))?;
    Ok(path.with_file_name(format!(".{}", name.to_string_lossy())))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

/// Forces the entries of a folder to disk, on systems that support it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn sealed() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let folder = parent.path().join("sealed");
        write_folder_atomically(
            &folder,
            |error| error,
            |folder| {
                fs::write(folder.join("a.json"), "{\"x\": 1}")?;
                fs::write(folder.join("b.bin"), [0, 1, 2, 3])
            },
        )
        .expect("writable");
        (parent, folder)
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_found() {
        let (_parent, folder) = sealed();
        assert_eq!(verify(&folder), Ok(()));
        for name in ["a.json", "b.bin", CHECKSUMS] {
            let path = folder.join(name);
            let whole = fs::read(&path).expect("a file");
            for i in 0..whole.len() {
                let mut flipped = whole.clone();
                flipped[i] ^= 1 << (i % 8);
                fs::write(&path, &flipped).expect("writable");
                assert!(verify(&folder).is_err(), "{name}, byte {i}");
                fs::write(&path, &whole[..i]).expect("writable");
                assert!(verify(&folder).is_err(), "{name}, cut to {i}");
            }
            fs::write(&path, &whole).expect("writable");
        }
        fs::write(folder.join("c"), "new").expect("writable");
        assert!(verify(&folder).expect_err("one more file").contains("`c` was added"));
        fs::remove_file(folder.join("c")).expect("there");
        fs::remove_file(folder.join("a.json")).expect("there");
        assert!(verify(&folder).expect_err("one file fewer").contains("`a.json` is missing"));
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let (parent, folder) = sealed();
        let failed = write_folder_atomically(
            &parent.path().join("other"),
            |error| error,
            |folder| {
                fs::write(folder.join("a"), "half")?;
                Err(io::Error::other("no space"))
            },
        );
        assert_eq!(failed.expect_err("it fails").to_string(), "no space");
        let path = folder.join("a.json");
        let failed = write_atomically(&path, |file| file.write_all(b"half").and(Err(io::Error::other("no space"))));
        assert!(failed.is_err());
        assert_eq!(verify(&folder), Ok(()));
        assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 1, "nothing else is left");
        write_atomically(&path, |file| file.write_all(b"new")).expect("writable");
        assert_eq!(fs::read(&path).expect("a file"), b"new");
    }

    #[test]
    fn a_lock_ends_when_it_is_dropped_also_where_a_process_has_a_copy_of_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let acquire = || FolderLock::acquire(folder.path()).expect("writable");
        let lock = acquire().expect("free");
        assert!(acquire().is_none());
        // As a process has it that was forked and does not run its program yet.
        let copy = lock.0.try_clone().expect("a copy");
        drop(lock);
        assert!(acquire().is_some());
        drop(copy);
    }
}
