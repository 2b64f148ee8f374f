//! Writes what commands have to say.

use bayesburn_core::{Draws, FileError};
use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    path::Path,
};

/// Writes text to an output, at once. A closed pipe is no error: the command does its work all the same.
///
/// # Errors
/// An output that cannot be written to.
pub fn say(out: &mut dyn Write, text: impl fmt::Display) -> Result<(), FileError> {
    match write!(out, "{text}").and_then(|()| out.flush()) {
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
        _ = writeln!(table, "{name:<20} {:>12.5} {:>12.5}", mean[[0, i]], std[[0, i]]);
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
    fn one_data_set_is_summed_up_and_several_are_not() {
        let draws = |m| Draws::new(["mu".to_owned()].into(), Array3::ones((m, 4, 1))).expect("one name");
        let table = drawn_summary(&draws(1));
        assert!(table.lines().count() == 2 && table.contains("1.00000") && table.contains("0.00000"), "{table}");
        assert_eq!(drawn_summary(&draws(2)), "");
    }
}
