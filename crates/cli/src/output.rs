//! Prints what commands have to say.

use crate::Result;
use bayesburn_io::Noted;
use bayesburn_workflow::commands::say;
use std::{fmt, io};

/// Prints to standard output.
pub(crate) fn print(text: impl fmt::Display) -> Result<()> {
    Ok(say(&mut io::stdout(), text)?)
}

/// The value of a file. Prints, to standard error, how it was read.
#[allow(clippy::print_stderr, reason = "the program talks to its user")]
pub(crate) fn noted<T>(read: Noted<T>) -> T {
    read.notes.iter().for_each(|note| eprintln!("Note: {note}"));
    read.value
}

/// The result of a function that collects remarks. Prints them to standard error, whatever the result.
#[allow(clippy::print_stderr, reason = "the program talks to its user")]
pub(crate) fn remarked<T>(f: impl FnOnce(&mut Vec<String>) -> T) -> T {
    let mut remarks = Vec::new();
    let result = f(&mut remarks);
    remarks.iter().for_each(|remark| eprintln!("{remark}"));
    result
}

/// Prints a warning to standard error.
#[allow(clippy::print_stderr, reason = "the program talks to its user")]
pub(crate) fn warn(warning: &str) {
    eprintln!("Warning: {warning}");
}
