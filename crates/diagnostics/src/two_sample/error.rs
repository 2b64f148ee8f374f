//! Says what is wrong with two sample sets that are to be compared.

use crate::InputError;
use bayesburn_core::SettingError;
use std::fmt;
use thiserror::Error;

/// Sample sets that cannot be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TwoSampleError {
    /// Too few rows or columns, or data of another shape.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A setting outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Two sample sets of different spaces.
    #[error(
        "{first} columns in the first sample set, but {second} in the second: \
         pass the same parameters, in the same order"
    )]
    Columns {
        /// The number of columns of the first set.
        first: usize,
        /// The number of columns of the second set.
        second: usize,
    },
    /// Two sample sets of different sizes, for a check that needs equal sizes.
    #[error(
        "{first} rows in the first sample set, but {second} in the second: leave out rows of the larger one, or \
         guessing it would score above 0.5"
    )]
    UnequalRows {
        /// The number of rows of the first set.
        first: usize,
        /// The number of rows of the second set.
        second: usize,
    },
    /// A NaN or an infinity in one of the sample sets.
    #[error(
        "{value} in row {row}, column {column} of the {set}: find out what produced it, and drop that row or fix \
         its cause"
    )]
    NonFinite {
        /// Where it was found.
        set: SampleSet,
        /// The row, counted from 0.
        row: usize,
        /// The column, counted from 0.
        column: usize,
        /// The value itself.
        value: f32,
    },
    /// A column that cannot be brought to unit variance.
    #[error("column {column} of the reference has one value only: leave that column out of both sample sets")]
    ConstantColumn {
        /// The column, counted from 0.
        column: usize,
    },
    /// A bandwidth that no kernel can have.
    #[error(
        "bandwidth {got}: pass a finite positive one by `Bandwidth::Fixed`, also where most rows are equal, so that \
         their median distance is 0"
    )]
    Bandwidth {
        /// The value passed, or the median distance.
        got: f64,
    },
}

/// One of two sample sets that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleSet {
    /// The one passed first: the reference, if either is.
    First,
    /// The one passed second.
    Second,
}

impl fmt::Display for SampleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first sample set",
            Self::Second => "second sample set",
        })
    }
}
