//! Checks that settings are in their ranges, with one error for all crates.

use std::borrow::Cow;
use thiserror::Error;

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{setting}` is {got}, but must be {expected}")]
pub struct SettingError {
    /// The name of the setting.
    pub setting: Cow<'static, str>,
    /// Its range in words.
    pub expected: Cow<'static, str>,
    /// Its value.
    pub got: String,
}

/// Returns an error unless the condition holds.
///
/// ```
/// use bayesburn_core::{SettingError, settings::in_range};
///
/// fn check(dropout: f64) -> Result<(), SettingError> {
///     in_range((0.0..1.0).contains(&dropout), "dropout", "in [0, 1)", dropout)
/// }
/// assert_eq!(check(0.5), Ok(()));
/// assert_eq!(check(1.5).unwrap_err().to_string(), "`dropout` is 1.5, but must be in [0, 1)");
/// ```
///
/// # Errors
/// If the condition does not hold.
pub fn in_range(
    holds: bool,
    setting: impl Into<Cow<'static, str>>,
    expected: impl Into<Cow<'static, str>>,
    got: impl ToString,
) -> Result<(), SettingError> {
    if holds {
        return Ok(());
    }
    Err(SettingError { setting: setting.into(), expected: expected.into(), got: got.to_string() })
}

/// Returns an error if the value is 0.
///
/// # Errors
/// If the value is 0.
pub fn at_least_one(setting: impl Into<Cow<'static, str>>, value: usize) -> Result<(), SettingError> {
    in_range(value > 0, setting, "at least 1", value)
}

/// Returns an error unless the value is above 0 and below 1; NaN is an error.
///
/// # Errors
/// If the value is outside of (0, 1).
pub fn inside_unit_interval(setting: impl Into<Cow<'static, str>>, value: f64) -> Result<(), SettingError> {
    in_range(value > 0.0 && value < 1.0, setting, "above 0 and below 1", value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_one_form() {
        assert_eq!(at_least_one("epochs", 1), Ok(()));
        let zero = at_least_one("epochs", 0).expect_err("0").to_string();
        assert_eq!(zero, "`epochs` is 0, but must be at least 1");
        assert_eq!(inside_unit_interval("alpha", 0.01), Ok(()));
        for outside in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
            let error = inside_unit_interval("alpha", outside).expect_err("outside");
            assert_eq!(error.to_string(), format!("`alpha` is {outside}, but must be above 0 and below 1"));
        }
    }
}
