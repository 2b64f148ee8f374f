//! Carries any error out of a program's `main`, so that a person can read it.

use std::fmt;

/// Any error. Unlike a boxed one, what `main` prints of it is its message, with what to do, and not the fields of a
/// struct.
///
/// ```
/// use bayesburn::prelude::*;
///
/// let prior = Prior::from_fn(["mu"], |_, _| [f32::NAN]);
/// let error: bayesburn::Error = prior.sample(1, 0).expect_err("NaN").into();
/// assert!(format!("{error:?}").starts_with("the prior returned NaN"), "{error:?}");
/// ```
pub struct Error(Box<dyn std::error::Error + Send + Sync>);

/// A result with any error, for `main` and the like.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of one's own.
    pub fn message(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }
}

// Any type that is an error; `Error` itself is none, or this would collide with `From<Error> for Error`.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl From<Error> for Box<dyn std::error::Error> {
    fn from(error: Error) -> Self {
        error.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
