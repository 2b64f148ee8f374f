//! Writes what commands have to say.

use bayesburn_core::{Draws, FileError, one_line, printable};
use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    path::Path,
};

/// Writes text to an output, at once. Control characters other than newlines and tabs are escaped, by [`printable`]. A
/// closed pipe is no error: the command does its work all the same.
///
/// # Errors
/// An output that cannot be written to.
pub fn say(out: &mut dyn Write, text: impl fmt::Display) -> Result<(), FileError> {
    match out.write_all(printable(&text.to_string()).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(FileError::write(Path::new("standard output"))(error))
        }
        _ => Ok(()),
    }
}

/// A table with mean and standard deviation of each parameter of one data set's draws; nothing for several data sets.
#[must_use]
pub fn drawn_summary(draws: &Draws) -> String {
    let mut table = String::new();
    if draws.num_data_sets() != 1 {
        return table;
    }
    let (mean, std) = (draws.mean(), draws.std());
    // Writing to a string cannot fail.
    _ = writeln!(table, "{:<20} {:>12} {:>12}", "parameter", "mean", "sd");
    for (i, name) in draws.names().iter().enumerate() {
        _ = writeln!(table, "{:<20} {:>12.5} {:>12.5}", one_line(name), mean[[0, i]], std[[0, i]]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    /// An output whose reader has gone, or whose disk is full.
    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        assert!(say(&mut Closed(io::ErrorKind::BrokenPipe), "text").is_ok());
        let error = say(&mut Closed(io::ErrorKind::StorageFull), "text").expect_err("full").to_string();
        assert!(error.contains("standard output"), "{error}");
    }

    #[test]
    fn names_neither_move_the_cursor_nor_begin_a_line() {
        let names = ["\u{1b}[2Ja\nPASSED\tb".to_owned()].into();
        let table = drawn_summary(&Draws::new(names, Array3::ones((1, 4, 1))).expect("one name"));
        assert!(table.lines().count() == 2 && table.contains("\\u{1b}[2Ja\\nPASSED\\tb "), "{table}");
        let mut out = Vec::new();
        say(&mut out, "a\tb\n\u{1b}c\u{9b}\r").expect("written");
        assert_eq!(String::from_utf8(out).expect("text"), "a\tb\n\\u{1b}c\\u{9b}\\r");
    }

    #[test]
    fn one_data_set_is_summed_up_and_several_are_not() {
        let draws = |m| Draws::new(["mu".to_owned()].into(), Array3::ones((m, 4, 1))).expect("one name");
        let table = drawn_summary(&draws(1));
        assert!(table.lines().count() == 2 && table.contains("1.00000") && table.contains("0.00000"), "{table}");
        assert_eq!(drawn_summary(&draws(2)), "");
    }
}
