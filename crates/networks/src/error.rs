//! Says what is wrong with a network's configuration.

use thiserror::Error;

/// A configuration that no network can be made from.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A count that must be at least one is zero.
    #[error("`{field}` is 0, but must be at least 1")]
    Zero {
        /// The field.
        field: &'static str,
    },
    /// A number outside its range.
    #[error("`{field}` is {got}, but must be {expected}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The range in words.
        expected: &'static str,
        /// The value.
        got: f64,
    },
    /// A network without anything to condition on.
    #[error(
        "without a condition the network has nothing to depend on: give it one or, to an invertible network, at least two dimensions"
    )]
    NothingToConditionOn,
}

/// The value if it is at least one.
pub(crate) fn at_least_one(field: &'static str, value: usize) -> Result<(), ConfigError> {
    if value == 0 { Err(ConfigError::Zero { field }) } else { Ok(()) }
}

/// An error unless the condition holds.
pub(crate) fn in_range(ok: bool, field: &'static str, expected: &'static str, got: f64) -> Result<(), ConfigError> {
    if ok { Ok(()) } else { Err(ConfigError::OutOfRange { field, expected, got }) }
}
