//! Injects faults into file operations, and checks seals, locks and modes.

use super::{
    faults::{Fault, Faults, Operation},
    seal::CHECKSUMS,
    *,
};
use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

fn two_files(folder: &Path) -> io::Result<()> {
    operation::write(&folder.join("a.json"), "{\"x\": 1}")?;
    operation::write(&folder.join("b.bin"), [0, 1, 2, 3])
}

fn sealed() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let folder = parent.path().join("sealed");
    write_folder_atomically(&folder, |error| error, two_files).expect("writable");
    (parent, folder)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn damage(folder: &Path) -> Option<String> {
    match verify(folder) {
        Ok(()) => None,
        Err(VerifyError::Damaged(reason)) => Some(reason),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_is_found() {
    let (_parent, folder) = sealed();
    assert_eq!(damage(&folder), None);
    for name in ["a.json", "b.bin", CHECKSUMS] {
        let path = folder.join(name);
        let whole = fs::read(&path).expect("a file");
        for i in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[i] ^= 1 << (i % 8);
            fs::write(&path, &flipped).expect("writable");
            assert!(damage(&folder).is_some(), "{name}, byte {i}");
            fs::write(&path, &whole[..i]).expect("writable");
            assert!(damage(&folder).is_some(), "{name}, cut to {i}");
        }
        fs::write(&path, &whole).expect("writable");
    }
    fs::remove_file(folder.join("a.json")).expect("there");
    assert!(damage(&folder).expect("one file fewer").contains("`a.json` is missing"));
    fs::remove_file(folder.join(CHECKSUMS)).expect("there");
    assert!(damage(&folder).expect("no seal").contains("missing"));
}

#[test]
fn seals_without_a_count_are_read() {
    let (_parent, folder) = sealed();
    let path = folder.join(CHECKSUMS);
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.split_once('\n').expect("a first line").1).expect("writable");
    assert_eq!(damage(&folder), None);
    fs::write(folder.join("a.json"), "{}").expect("writable");
    assert!(damage(&folder).is_some());
}

#[test]
fn files_of_others_are_no_damage() {
    let (_parent, folder) = sealed();
    for name in [".DS_Store", "._a.json", ".nfs0001", "draws.csv"] {
        fs::write(folder.join(name), "x").expect("writable");
    }
    assert_eq!(damage(&folder), None);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_no_damage() {
    let (_parent, folder) = sealed();
    for at in 0..3 {
        let faults = Faults::new(&folder, move |n, operation, _| {
            (n == at && operation == Operation::Read).then_some(Fault::Error(ErrorKind::PermissionDenied))
        });
        assert!(matches!(verify(&folder), Err(VerifyError::Unreadable(_))), "read {at}");
        drop(faults);
    }
    assert_eq!(damage(&folder), None);
}

#[test]
fn folders_inside_are_sealed_too() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("outer");
    let write =
        |folder: &Path| operation::create_folder(&folder.join("in")).and_then(|()| two_files(&folder.join("in")));
    write_folder_atomically(&folder, |error| error, write).expect("writable");
    assert_eq!(damage(&folder), None);
    fs::write(folder.join("in/b.bin"), [0, 1, 2]).expect("writable");
    assert!(damage(&folder).expect("it was cut").contains("`in/b.bin`"));
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
    assert_eq!(damage(&folder), None);
    assert_eq!(names(parent.path()), ["sealed"], "nothing else is left");
    write_atomically(&path, |file| file.write_all(b"new")).expect("writable");
    assert_eq!(fs::read(&path).expect("a file"), b"new");
}

/// Every operation of a replacement fails once, with and without an exchange of folders in one step.
#[test]
fn a_replaced_folder_is_the_old_one_or_the_new_one() {
    let new = |folder: &Path| operation::write(&folder.join("a.json"), "new").and_then(|()| two_files(folder));
    for exchanges in [true, false] {
        let mut failures = 0;
        for at in 0.. {
            let (parent, folder) = sealed();
            fs::write(folder.join("notes.txt"), "mine").expect("writable");
            fs::write(folder.join("c.old"), "obsolete").expect("writable");
            let exchange = parent.path().join("sealed");
            let faults = Faults::new(parent.path(), move |n, operation, path| {
                // Only an exchange names the scratch folder while the folder itself is there.
                let is_exchange = operation == Operation::Rename && path.extension().is_some_and(|end| end == "tmp");
                let unsupported = !exchanges && is_exchange && exchange.exists();
                let unsupported = unsupported.then_some(Fault::Error(ErrorKind::Unsupported));
                unsupported.or((n == at).then_some(Fault::Error(ErrorKind::StorageFull)))
            });
            let written = replace_folder_atomically(&folder, |name| name == "c.old", |error| error, new);
            let seen = faults.seen();
            drop(faults);
            let now = current(&folder);
            assert_eq!(damage(&now), None, "fault {at}");
            let everything =
                names(parent.path()).iter().flat_map(|name| names(&parent.path().join(name))).collect::<Vec<_>>();
            assert!(everything.contains(&"notes.txt".to_owned()), "fault {at}");
            match written {
                Ok(()) if seen <= at => {
                    assert_eq!(names(&folder), ["a.json", "b.bin", CHECKSUMS, "notes.txt"]);
                    assert_eq!(names(parent.path()), ["sealed"]);
                    break;
                }
                _ => failures += 1,
            }
        }
        assert!(failures >= 10, "{failures} faults");
    }
}

#[cfg(unix)]
#[test]
fn scratch_names_are_new_and_modes_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let (path, mine) = (folder.path().join("git"), folder.path().join(".git"));
    fs::write(&mine, "mine").expect("writable");
    let planted = folder.path().join(".draws.csv");
    symlink(folder.path().join("elsewhere"), &planted).expect("a link");
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    fs::write(folder.path().join("ordinary"), "").expect("writable");
    for path in [&path, &folder.path().join("draws.csv")] {
        write_atomically(path, |file| file.write_all(b"new")).expect("writable");
        assert_eq!(mode(path), mode(&folder.path().join("ordinary")), "as the user's mask has it");
    }
    assert_eq!(fs::read(&mine).expect("still there"), b"mine");
    assert!(!folder.path().join("elsewhere").exists());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mine");
    write_atomically(&path, |file| file.write_all(b"newer")).expect("writable");
    assert_eq!(mode(&path), 0o640);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_written_to() {
    write_atomically(Path::new("/dev/null"), |file| file.write_all(b"x")).expect("writable");
    assert!(!fs::metadata("/dev/null").expect("a device").is_file());
}

/// As CIFS and FUSE have it, and Lustre without `flock`.
#[test]
fn file_systems_without_folder_syncs_and_locks_are_written_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_owned();
    let _faults = Faults::new(folder.path(), move |_, operation, path| match operation {
        Operation::Sync if path == at => Some(Fault::Error(ErrorKind::InvalidInput)),
        Operation::Lock => Some(Fault::Error(ErrorKind::Unsupported)),
        _ => None,
    });
    let path = folder.path().join("a");
    write_atomically(&path, |file| file.write_all(b"1")).expect("written");
    write_folder_atomically(&folder.path().join("b"), |error| error, two_files).expect("written");
    let one = FolderLock::acquire(folder.path()).expect("no error");
    let two = FolderLock::acquire(folder.path()).expect("no error");
    assert!(one.is_some() && two.is_some(), "not protected, but not refused either");
}

#[test]
fn a_folder_is_deleted_as_a_whole() {
    let (parent, folder) = sealed();
    let faults = Faults::new(parent.path(), |_, operation, _| {
        (operation == Operation::Delete).then_some(Fault::Error(ErrorKind::PermissionDenied))
    });
    assert!(delete_folder(&folder).is_err());
    drop(faults);
    assert!(!folder.exists());
    assert_eq!(names(parent.path()).len(), 1, "under a scratch name");
    settle(parent.path(), |name| name == "other").expect("readable");
    assert_eq!(names(parent.path()).len(), 1, "of another name");
    settle(parent.path(), |name| name == "sealed").expect("readable");
    assert_eq!(names(parent.path()).len(), 0);
}

#[test]
fn a_folder_whose_replacement_was_cut_short_is_restored() {
    let (parent, folder) = sealed();
    fs::rename(&folder, parent.path().join(".sealed.replaced")).expect("renamed");
    assert_eq!(damage(&current(&folder)), None);
    settle(parent.path(), |name| name == "sealed").expect("renamed");
    assert_eq!(names(parent.path()), ["sealed"]);
}

#[test]
fn a_lock_ends_when_it_is_dropped_also_where_a_process_has_a_copy_of_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let acquire = || FolderLock::acquire(folder.path()).expect("writable");
    let lock = acquire().expect("free");
    assert!(acquire().is_none());
    // As a process has it that was forked and does not run its program yet.
    let copy = lock.file().try_clone().expect("a copy");
    drop(lock);
    assert!(acquire().is_some());
    drop(copy);
}

#[test]
fn a_folder_in_place_of_a_locked_one_is_free() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("checkpoints");
    let acquire = || {
        fs::create_dir_all(&folder).expect("writable");
        FolderLock::acquire(&folder).expect("writable")
    };
    let _lock = acquire().expect("free");
    fs::rename(&folder, parent.path().join("before")).expect("renamed");
    assert!(acquire().is_some());
}

#[test]
fn two_writers_of_one_file_do_not_mix() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("draws.csv");
    write_atomically(&path, |file| file.write_all(&[b'a'; 100_000])).expect("written");
    std::thread::scope(|scope| {
        for letter in [b'a', b'b'] {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..50 {
                    write_atomically(path, |file| file.write_all(&[letter; 100_000])).expect("written");
                    let found = fs::read(path).expect("always there");
                    assert!(found.len() == 100_000 && found.iter().all(|byte| *byte == found[0]));
                }
            });
        }
    });
    assert_eq!(names(folder.path()), ["draws.csv"]);
}

/// Other programs may be at work in a folder inside, and the parent may be closed: then files are replaced one by one.
#[test]
fn a_folder_in_use_is_replaced_in_place() {
    let new = |folder: &Path| two_files(folder).and_then(|()| operation::write(&folder.join("a.json"), "new"));
    for is_mount in [false, true] {
        let mut failures = 0;
        for at in 0.. {
            let (parent, folder) = sealed();
            fs::write(folder.join("notes.txt"), "mine").expect("writable");
            fs::write(folder.join("c.old"), "obsolete").expect("writable");
            if !is_mount {
                fs::create_dir(folder.join("checkpoints")).expect("writable");
            }
            let inode = fs::metadata(&folder).expect("a folder");
            let beside = parent.path().join(".sealed.");
            let faults = Faults::new(parent.path(), move |n, operation, path| {
                // Nothing can be created beside it.
                let is_beside = operation == Operation::Create && path == beside;
                let denied = (is_mount && is_beside).then_some(Fault::Error(ErrorKind::PermissionDenied));
                denied.or((n == at).then_some(Fault::Error(ErrorKind::StorageFull)))
            });
            let obsolete = |name: &std::ffi::OsStr| name == "c.old" || name == "b.bin";
            let written = replace_folder_atomically(&folder, obsolete, |error| error, new);
            let seen = faults.seen();
            drop(faults);
            assert_eq!(fs::read(folder.join("notes.txt")).expect("kept"), b"mine");
            assert!(is_mount || folder.join("checkpoints").is_dir(), "where it was");
            match written {
                Ok(()) => {
                    assert_eq!(damage(&folder), None, "fault {at}");
                    assert!(!folder.join("c.old").exists());
                    #[cfg(unix)]
                    {
                        use std::os::unix::fs::MetadataExt;
                        assert_eq!(fs::metadata(&folder).expect("a folder").ino(), inode.ino(), "the same folder");
                    }
                    let _ = inode;
                }
                Err(_) => {
                    failures += 1;
                    // Old files under the old seal, new ones under the new, or damage that is found.
                    let is_new = |name: &str| fs::read_to_string(folder.join(name)).expect("text").contains("new");
                    let count = fs::read_to_string(folder.join(CHECKSUMS)).expect("text");
                    let crc = crc32(&folder.join("a.json")).expect("readable").0;
                    assert_eq!(damage(&folder).is_none(), count.contains(&format!("{crc:08x}")), "fault {at}");
                    assert!(damage(&folder).is_some() || !is_new("a.json") || at + 3 > seen, "fault {at}");
                }
            }
            if seen <= at {
                break;
            }
        }
        assert!(failures >= 8, "{failures} faults, in a mount: {is_mount}");
    }
}

// As checkpoints are replaced: the seal, which is there first, is no obsolete file.
#[test]
fn a_folder_whose_old_names_are_all_obsolete_keeps_its_new_seal_in_place() {
    let (parent, folder) = sealed();
    fs::write(folder.join("c.old"), "obsolete").expect("writable");
    let beside = parent.path().join(".sealed.");
    let _faults = Faults::new(parent.path(), move |_, operation, path| {
        let is_beside = operation == Operation::Create && path == beside;
        is_beside.then_some(Fault::Error(ErrorKind::PermissionDenied))
    });
    let new = |folder: &Path| operation::write(&folder.join("a.json"), "new");
    replace_folder_atomically(&folder, |_| true, |error| error, new).expect("in place");
    assert_eq!(damage(&folder), None);
    assert_eq!(names(&folder), ["a.json", CHECKSUMS]);
}
