//! Writes losses and learning rate as event files for TensorBoard.

use crate::{EpochSummary, StepLoss, TrainerError};
use std::{
    fs::{self, File},
    io::{BufWriter, ErrorKind, Write},
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

/// A step is in the file at the latest with the first step after this time. To write each at once would be a system
/// call a step, which is slow on a network's file system.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// The event file of one trainer. If a run is resumed after a crash, the steps since the last checkpoint are written
/// again, and TensorBoard shows both.
///
/// A record that a full disk cuts off stays in the buffer. If the training goes on, it is completed, so that the file
/// stays readable.
#[derive(Debug)]
pub(crate) struct Events {
    path: PathBuf,
    writer: BufWriter<File>,
    flushed: Instant,
}

impl Events {
    /// A new event file in this folder, which is made if need be.
    pub(crate) fn create(folder: PathBuf) -> Result<Self, TrainerError> {
        fs::create_dir_all(&folder).map_err(TrainerError::write(&folder))?;
        let (now, host, pid) = (since_1970(), host_name(), std::process::id());
        let mut number = 0;
        let (path, file) = loop {
            let path = folder.join(format!("events.out.tfevents.{:010}.{host}.{pid}.{number}", now.as_secs()));
            match File::create_new(&path) {
                Ok(file) => break (path, file),
                // Another trainer's, of this process and second.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(TrainerError::write(&path)(error)),
            }
        };
        let mut events = Self { path, writer: BufWriter::new(file), flushed: Instant::now() };
        let version = record(&[wall_time(now).as_slice(), &field(3, b"brain.Event:2")].concat());
        let written = events.writer.write_all(&version).and_then(|()| events.writer.flush());
        written.map_err(TrainerError::write(&events.path))?;
        Ok(events)
    }

    pub(crate) fn step(&mut self, steps: usize, step: &StepLoss) -> Result<(), TrainerError> {
        let is_due = self.flushed.elapsed() >= FLUSH_AFTER;
        self.scalars(steps, &[("train/loss", step.loss), ("train/learning_rate", Some(step.learning_rate))], is_due)
    }

    pub(crate) fn epoch(&mut self, epoch: &EpochSummary) -> Result<(), TrainerError> {
        self.scalars(epoch.steps, &[("validation/loss", epoch.validation_loss)], true)
    }

    /// Adds the values that exist, and writes them to the file if this is due.
    fn scalars(&mut self, steps: usize, values: &[(&str, Option<f32>)], is_due: bool) -> Result<(), TrainerError> {
        let now = since_1970();
        let records = values.iter().filter_map(|&(tag, value)| Some(record(&scalar(now, steps, tag, value?))));
        let mut written = self.writer.write_all(&records.collect::<Vec<_>>().concat());
        if is_due {
            written = written.and_then(|()| self.writer.flush());
            self.flushed = Instant::now();
        }
        written.map_err(TrainerError::write(&self.path))
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The machine's name, without characters that a file's name cannot have. It only tells readers where the file is from.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname");
    let name = name.or_else(|_| std::env::var("HOSTNAME")).or_else(|_| std::env::var("COMPUTERNAME"));
    let mut name = name.unwrap_or_default();
    name.retain(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// A record of an event file, as TFRecord: the length, the data, and a checksum after each.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length, &masked_crc(&length).to_le_bytes()[..], data, &masked_crc(data).to_le_bytes()].concat()
}

/// The protobuf message `Event { wall_time, step, summary: Summary { value: [Value { tag, simple_value }] } }`.
fn scalar(time: Duration, steps: usize, tag: &str, value: f32) -> Vec<u8> {
    let simple_value = [&[2 << 3 | FIXED_32][..], &value.to_le_bytes()].concat();
    let value = [field(1, tag.as_bytes()), simple_value].concat();
    let step = [vec![2 << 3 | VARINT], varint(steps as u64)].concat();
    [wall_time(time), step, field(5, &field(1, &value))].concat()
}

/// The first field of an `Event`, in seconds.
fn wall_time(time: Duration) -> Vec<u8> {
    [&[1 << 3 | FIXED_64][..], &time.as_secs_f64().to_le_bytes()].concat()
}

/// A protobuf field's tag is its number and one of these types.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const FIXED_32: u8 = 5;

/// A text or message as a field of another message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | BYTES], &varint(bytes.len() as u64)[..], bytes].concat()
}

/// Seven bits a byte, the lowest first; the eighth bit is set in all but the last.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// CRC-32C, rotated and shifted, so that the checksum of data that contain their own checksum is not a constant.
fn masked_crc(data: &[u8]) -> u32 {
    let crc = !data.iter().fold(u32::MAX, |crc, byte| CRC_32C[(crc as u8 ^ byte) as usize] ^ crc >> 8);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The remainders of all bytes. (`crc32fast` has another polynomial.)
const CRC_32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by other code: the message in Python, its checksums by the Python package `crc32c`.
    #[test]
    fn a_record_is_as_the_format_says() {
        let record = record(&scalar(Duration::from_secs(1_750_000_000), 300, "train/loss", -1.5));
        let text: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected =
            "2100000000000000017becf60900000060b813da4110ac022a130a110a0a747261696e2f6c6f7373150000c0bf8282d373";
        assert_eq!(text, expected);
    }

    #[test]
    fn trainers_of_one_second_have_files_of_their_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let all: Vec<Events> = (0..50).map(|_| Events::create(folder.path().to_owned()).expect("writable")).collect();
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), all.len());
    }
}
