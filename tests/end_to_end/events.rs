//! Reads event files for TensorBoard, and lets them run into a full disk.

use crate::models::{normal_means, short_run, small_networks, training};
use bayesburn::{prelude::*, trainers::TrainerError};
use std::{fs, path::Path, process::Command};

/// The data of the only event file in a folder, record by record. Checksums are computed bit by bit.
fn events(folder: &Path) -> Vec<Vec<u8>> {
    let files: Vec<_> = fs::read_dir(folder).expect("a folder").map(|file| file.expect("an entry").path()).collect();
    assert!(files.len() == 1 && files[0].to_string_lossy().contains("events.out.tfevents."), "{files:?}");
    let bytes = fs::read(&files[0]).expect("an event file");
    let mut rest = bytes.as_slice();
    let mut checked = |len: usize| {
        let (data, sum) = (&rest[..len], &rest[len..len + 4]);
        let crc = !data.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
        });
        assert_eq!(sum, crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes());
        rest = &rest[len + 4..];
        (data.to_vec(), rest.is_empty())
    };
    let mut records = Vec::new();
    loop {
        let length = checked(8).0.try_into().expect("eight bytes");
        let (data, is_last) = checked(u64::from_le_bytes(length) as usize);
        records.push(data);
        if is_last {
            return records;
        }
    }
}

/// An event's bytes after the time: step, summary, value, tag and number, all shorter than 128 bytes.
fn event(step: usize, tag: &str, value: f32) -> Vec<u8> {
    let len = tag.len() as u8;
    let lengths = [0x10, step as u8, 0x2a, len + 9, 0x0a, len + 7, 0x0a, len];
    [&lengths, tag.as_bytes(), &[0x15], &value.to_le_bytes()].concat()
}

#[test]
fn event_files_have_all_losses_and_rates() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let builder = Trainer::builder(normal_means(), small_networks()).tensorboard(folder.path());
    let mut trainer = builder.progress(Progress::Hidden).build().expect("writable");
    let history = trainer.train(short_run(), &training()).expect("training succeeds");
    let mut expected = vec![[&[0x1a, 13], &b"brain.Event:2"[..]].concat()];
    for (step, loss) in (1..).zip(&history.steps) {
        expected.push(event(step, "train/loss", loss.loss.expect("finite")));
        expected.push(event(step, "train/learning_rate", loss.learning_rate));
        if let Some(epoch) = history.epochs.iter().find(|epoch| epoch.steps == step) {
            expected.push(event(step, "validation/loss", epoch.validation_loss.expect("validated")));
        }
    }
    let mut time = 0.0;
    // After the last epoch, while the trainer exists, everything is in the file.
    let found: Vec<Vec<u8>> = events(folder.path())
        .into_iter()
        .map(|event| {
            assert_eq!(event[0], 0x09);
            let now = f64::from_le_bytes(event[1..9].try_into().expect("eight bytes"));
            assert!(now >= time, "{now} after {time}");
            time = now;
            event[9..].to_vec()
        })
        .collect();
    assert!(found == expected, "{found:x?}");
}

const FOLDER: &str = "BAYESBURN_TEST_FULL_DISK";

/// Trains until an event file cannot be written; does nothing when it is not called by the test below.
#[test]
fn training_on_a_full_disk() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let builder = Trainer::builder(normal_means(), small_networks()).tensorboard(folder.join("events"));
    let mut trainer = builder.progress(Progress::Hidden).build().expect("there is room for the first event");
    let source = Online::new().with_epochs(3).with_iterations_per_epoch(100).with_batch_size(8);
    let result = trainer.train(source, &training()).map(|_| ());
    let Err(TrainerError::File(error)) = result else { panic!("{result:?}") };
    assert!((1..=100).contains(&trainer.history().steps.len()), "it ends after its step");
    drop(trainer);
    fs::write(folder.join("error"), error.to_string()).expect("there is room in another file");
}

/// No file may be larger than one or two kilobytes, depending on the shell. The system then answers `EFBIG`, if the
/// signal that it sends first is ignored.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_with_the_file_and_not_a_panic() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let limited = "trap '' XFSZ; ulimit -f 2; exec \"$0\" --exact events::training_on_a_full_disk --nocapture";
    let program = std::env::current_exe().expect("this test binary");
    let output = Command::new("sh").args(["-c", limited]).arg(program).env(FOLDER, folder.path()).output();
    let output = output.expect("sh runs");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !printed.contains("panicked"), "{printed}");
    let error = fs::read_to_string(folder.path().join("error")).expect("the training ended with an error");
    let path = format!("{}/events/events.out.tfevents.", folder.path().display());
    assert!(error.contains(&path) && error.contains("large"), "{error}");
}
