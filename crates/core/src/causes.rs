//! Formats an error with its sources, for users who see no backtrace.

use crate::printable;
use std::error::Error;

/// The message of an error, followed by the messages of its sources. A source whose message is already contained is
/// skipped. Control characters are escaped, by [`printable`]. For the last line that a program prints.
///
/// ```
/// use bayesburn_core::with_causes;
/// use std::{fmt, io};
///
/// #[derive(Debug)]
/// struct NotRead(io::Error);
/// impl fmt::Display for NotRead {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         write!(f, "cannot read the data")
///     }
/// }
/// impl std::error::Error for NotRead {
///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
///         Some(&self.0)
///     }
/// }
/// assert_eq!(with_causes(&NotRead(io::Error::other("disk on fire"))), "cannot read the data: disk on fire");
/// ```
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message += &format!(": {text}");
        }
        cause = error.source();
    }
    printable(&message).into_owned()
}
