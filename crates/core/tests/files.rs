//! Records the operations of the file layer, and runs it beside other writers and on poor file systems.

use bayesburn_core::files::{
    FolderLock,
    faults::{Fault, Faults, Operation},
    is_sealed, operation, replace_folder_atomically, verify, write_atomically, write_folder_atomically,
};
use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

fn two_files(folder: &Path) -> io::Result<()> {
    operation::write(&folder.join("a.json"), "{\"x\": 1}")?;
    operation::write(&folder.join("b.bin"), [0, 1, 2, 3])
}

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// As CIFS and FUSE have it, and Lustre without `flock`. One warning in a process says that nothing is locked.
#[test]
fn every_way_to_lack_folder_syncs_and_locks_is_known_and_told_once() {
    let warnings = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(Warnings(warnings.clone()));
    let kinds = [[ErrorKind::InvalidInput, ErrorKind::Unsupported].map(Fault::Error)];
    #[cfg(unix)]
    let codes = {
        use rustix::io::Errno;
        let pairs = [[Errno::INVAL, Errno::NOLCK], [Errno::NOSYS; 2], [Errno::NOTSUP; 2]];
        pairs.map(|pair| pair.map(|error| Fault::Os(error.raw_os_error())))
    };
    #[cfg(not(unix))]
    let codes: [[Fault; 2]; 0] = [];
    for [sync, lock] in kinds.into_iter().chain(codes) {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().to_owned();
        let _faults = Faults::new(folder.path(), move |_, operation, path| match operation {
            Operation::Sync if path == at => Some(sync),
            Operation::Lock => Some(lock),
            _ => None,
        });
        let path = folder.path().join("a");
        write_atomically(&path, |file| file.write_all(b"1")).expect("written");
        write_folder_atomically(&folder.path().join("b"), |error| error, two_files).expect("written");
        let one = FolderLock::acquire(folder.path()).expect("no error");
        let two = FolderLock::acquire(folder.path()).expect("no error");
        assert!(one.is_some() && two.is_some(), "not protected, but not refused either");
    }
    assert_eq!(warnings.load(Ordering::SeqCst), 1);
}
/// One of them writes the folder, and the other is refused, since it is there.
#[test]
fn two_writers_of_one_folder_do_not_mix() {
    let parent = tempfile::tempdir().expect("a folder");
    for round in 0..50 {
        let folder = parent.path().join(round.to_string());
        let write = |letter: &'static str| {
            write_folder_atomically(
                &folder,
                |error| error,
                |folder| ["a", "b", "c"].iter().try_for_each(|name| operation::write(&folder.join(name), letter)),
            )
        };
        let [first, second] = std::thread::scope(|scope| {
            ["1", "2"].map(|letter| scope.spawn(move || write(letter))).map(|writer| writer.join().expect("no panic"))
        });
        assert!(first.is_ok() != second.is_ok(), "{first:?}, {second:?}");
        verify(&folder).expect("whole");
        for name in ["a", "b", "c"] {
            let text = fs::read_to_string(folder.join(name)).expect("written");
            assert_eq!(text, if first.is_ok() { "1" } else { "2" }, "{name}");
        }
    }
}

#[cfg(unix)]
#[test]
fn hidden_folders_of_the_user_are_kept_and_modes_of_folders_too() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().expect("a folder");
    let (folder, mine) = (parent.path().join("git"), parent.path().join(".git"));
    fs::create_dir(&mine).expect("writable");
    fs::write(mine.join("HEAD"), "mine").expect("writable");
    let save = || replace_folder_atomically(&folder, |_| false, |error| error, two_files);
    save().expect("written");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).expect("mine");
    save().expect("replaced");
    assert_eq!(fs::metadata(&folder).expect("a folder").permissions().mode() & 0o777, 0o750);
    assert_eq!(fs::read(mine.join("HEAD")).expect("still there"), b"mine");
    assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 2, "nothing else is left");
}

/// A crash of the system after a rename would otherwise leave empty files under the new name.
#[test]
fn folders_are_on_disk_before_they_have_their_name() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("sealed");
    for replaces in [false, true] {
        let operations = Arc::new(Mutex::new(Vec::new()));
        let log = operations.clone();
        let faults = Faults::new(parent.path(), move |_, operation, path| {
            log.lock().expect("no panic").push((operation, path.to_owned()));
            None
        });
        match replaces {
            false => write_folder_atomically(&folder, |error| error, two_files),
            true => replace_folder_atomically(&folder, |_| false, |error| error, two_files),
        }
        .expect("writable");
        drop(faults);
        let operations = operations.lock().expect("no panic");
        let last = |operation, path: &Path| operations.iter().rposition(|(o, p)| *o == operation && p == path);
        let renamed = operations.iter().position(|(operation, _)| *operation == Operation::Rename).expect("renamed");
        let scratch = &operations[renamed].1;
        for name in ["a.json", "b.bin", "checksums.txt"] {
            let [written, synced] =
                [Operation::Write, Operation::Sync].map(|operation| last(operation, &scratch.join(name)));
            assert!(written < synced && synced < Some(renamed), "{name}: {written:?}, {synced:?}, {renamed}");
        }
        let synced = last(Operation::Sync, scratch).expect("the new folder");
        assert!(synced < renamed && last(Operation::Sync, parent.path()) > Some(renamed));
    }
}

/// As posteriors of earlier versions are: one whose replacement was cut short must not be taken for one of them.
#[test]
fn a_folder_without_a_seal_has_a_new_one_before_new_files() {
    for at in 0.. {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("posterior");
        // A folder inside keeps it in its place.
        fs::create_dir_all(folder.join("checkpoints")).expect("writable");
        for name in ["a.json", "b.bin"] {
            fs::write(folder.join(name), "old").expect("writable");
        }
        let rule = move |n, _, _: &Path| (n == at).then_some(Fault::Error(ErrorKind::StorageFull));
        let faults = Faults::new(parent.path(), rule);
        let written = replace_folder_atomically(&folder, |_| false, |error| error, two_files);
        let seen = faults.seen();
        drop(faults);
        let is_old = ["a.json", "b.bin"].map(|name| fs::read(folder.join(name)).expect("there") == b"old");
        match is_sealed(&folder) {
            true => assert_eq!(verify(&folder).is_ok(), is_old == [false; 2], "fault {at}"),
            false => assert_eq!(is_old, [true; 2], "fault {at}"),
        }
        assert!(written.is_err() || is_sealed(&folder) && is_old == [false; 2], "fault {at}");
        if seen <= at {
            assert!(written.is_ok() && at >= 12, "{at} faults");
            break;
        }
    }
}
