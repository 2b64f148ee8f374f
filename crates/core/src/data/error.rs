//! Defines the errors of data sets, with their remedies.

use thiserror::Error;

/// Arrays that do not form data sets, or data sets that do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidData {
    /// No data sets, or no inputs.
    #[error("no data: give at least one data set, with at least one input")]
    Nothing,
    /// A name that an input cannot have.
    #[error(
        "an input cannot be named `{name}`: give each input a name of its own, of letters, digits, `_` and `-`, that \
         does not end in `_mask` or `_rows`"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// An input that itself consists of several inputs.
    #[error("the input `{name}` has several inputs itself: name each of them")]
    Nested {
        /// The name.
        name: String,
    },
    /// A mask for data of several inputs.
    #[error("the data have several inputs: give each its mask before they are put together by `Data::named`")]
    Several,
    /// Inputs of different numbers of data sets.
    #[error("the input `{name}` has {got} data sets, and the first has {expected}: give as many in each")]
    DataSets {
        /// The input.
        name: String,
        /// How many the first has.
        expected: usize,
        /// How many it has.
        got: usize,
    },
    /// Data with different inputs.
    #[error("data of the inputs {got:?} do not fit data of {expected:?}: give the same inputs, in the same order")]
    Inputs {
        /// Those of the first data.
        expected: Vec<String>,
        /// Those of the data that do not fit.
        got: Vec<String>,
    },
    /// Data sets that differ in more than their lengths.
    #[error(
        "data sets of `{name}` with shape {got:?} do not fit those with {expected:?}: they may differ in length, and \
         not in the number of axes or in the last, the features"
    )]
    Shape {
        /// The input.
        name: String,
        /// The shape of the first data set.
        expected: Vec<usize>,
        /// The shape of the other.
        got: Vec<usize>,
    },
    /// Only some of the data have a mask of values.
    #[error("some data of `{name}` have a mask of values and others have none: give all of them one")]
    ValueMasks {
        /// The input.
        name: String,
    },
    /// A mask of another shape.
    #[error("the mask of {of} of `{name}` has shape {got:?}: it must be {expected}")]
    MaskShape {
        /// The input.
        name: String,
        /// Rows or values.
        of: &'static str,
        /// What is needed, in words.
        expected: String,
        /// The shape.
        got: Vec<usize>,
    },
    /// A mask with numbers other than 0 and 1.
    #[error("the mask of {of} of `{name}` has a value {got}: it must be 1 for what is there and 0 for what is not")]
    MaskValue {
        /// The input.
        name: String,
        /// Rows or values.
        of: &'static str,
        /// The value, in words.
        got: String,
    },
    /// Data sets of different lengths where one length is required.
    #[error(
        "the data sets of `{name}` are of different lengths, and vectors of one length are needed: take a summary \
         network for sets or series"
    )]
    NotOneLength {
        /// The input.
        name: String,
    },
    /// A data set without rows.
    #[error("data set {data_set}, of shape {got:?}, has no row: leave it out, or give it one; rows are `[N, ..., F]`")]
    NoRows {
        /// The data set.
        data_set: usize,
        /// Its shape.
        got: Vec<usize>,
    },
}
