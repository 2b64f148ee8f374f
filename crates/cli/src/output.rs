//! Prints what commands have to say.

use crate::Result;
use bayesburn_core::{one_line, printable};
use bayesburn_io::Noted;
use bayesburn_workflow::commands::say;
use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io,
};

/// Prints to standard output.
pub(crate) fn print(text: impl fmt::Display) -> Result<()> {
    Ok(say(&mut io::stdout(), text)?)
}

/// Prints JSON to standard output. JSON may hold some of the control characters of terminals as they are: they are
/// escaped in JSON's own way.
pub(crate) fn print_json(json: impl fmt::Display) -> Result<()> {
    let mut text = String::new();
    for character in json.to_string().chars() {
        match printable(character.encode_utf8(&mut [0; 4])) {
            Cow::Borrowed(same) => text.push_str(same),
            // Each is one of the first 2¹⁶ characters. Writing to a string cannot fail.
            Cow::Owned(_) => _ = write!(text, "\\u{:04x}", u32::from(character)),
        }
    }
    print(format_args!("{text}\n"))
}

/// The value of a file. Prints, to standard error, how it was read.
#[allow(clippy::print_stderr, reason = "the program talks to its user")]
pub(crate) fn noted<T>(read: Noted<T>) -> T {
    read.notes.iter().for_each(|note| eprintln!("Note: {}", one_line(note)));
    read.value
}

/// The result of a function that collects remarks. Prints them to standard error, whatever the result.
#[allow(clippy::print_stderr, reason = "the program talks to its user")]
pub(crate) fn remarked<T>(f: impl FnOnce(&mut Vec<String>) -> T) -> T {
    let mut remarks = Vec::new();
    let result = f(&mut remarks);
    remarks.iter().for_each(|remark| eprintln!("{}", one_line(remark)));
    result
}

/// Prints a warning to standard error.
#[allow(clippy::print_stderr, reason = "the program talks to its user")]
pub(crate) fn warn(warning: &str) {
    eprintln!("Warning: {}", one_line(warning));
}
