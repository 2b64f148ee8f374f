//! Prints what commands have to say.

use crate::Result;
use bayesburn_io::Noted;
use std::{
    fmt,
    io::{self, Write},
};

/// Prints to standard output. A pipe that was closed wants no more; what a command does, it does all the same.
pub(crate) fn say(text: impl fmt::Display) -> Result<()> {
    match write!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// What was read; prints, to standard error, what is to be said of how.
#[allow(clippy::print_stderr, reason = "the program talks to its user")]
pub(crate) fn noted<T>(read: Noted<T>) -> T {
    read.notes.iter().for_each(|note| eprintln!("Note: {note}"));
    read.value
}

/// Prints a warning to standard error.
#[allow(clippy::print_stderr, reason = "the program talks to its user")]
pub(crate) fn warn(warning: &str) {
    eprintln!("Warning: {warning}");
}
