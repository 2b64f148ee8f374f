//! Defines the options for reading tables, and notes on how they were read.

/// Options for reading tables. Other formats ignore them.
///
/// ```
/// use bayesburn_io::{TableOptions, read_array};
/// use ndarray::array;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("observed.csv");
/// std::fs::write(&path, ",choice,rt\n0,1,0.25\n1,0,0.5\n")?; // by pandas, with its index
/// let read = read_array(&path, &TableOptions::new().with_columns(["rt", "choice"]))?;
/// assert_eq!(read.value, array![[0.25, 1.0], [0.5, 0.0]].into_dyn());
/// assert_eq!(read.notes.len(), 2); // of the index, and of the order
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableOptions {
    /// How to interpret a first row of numbers; [`Heading::Detect`] by default.
    pub heading: Heading,
    /// The columns' names, in the order in which they are returned; unknown by default.
    pub columns: Option<Vec<String>>,
    /// Number of further columns without known names, such as contexts; 0 by default.
    pub others: usize,
    /// How to handle `NA`, `NaN` and empty cells; [`Missing::Refuse`] by default.
    pub missing: Missing,
}

/// How to interpret a first row of numbers. A first row of words is always a heading.
///
/// Pandas labels columns without names 0, 1, 2 …, and tables with a column for each year have numbers above numbers. So
/// a first row of numbers is taken for
/// - a heading if its cells are the names of the columns that are expected, or if it stands beside the empty corner of
///   an index column;
/// - a heading, with a note, if it is 0, 1 … F − 1 and there are non-integers below it;
/// - data if one of its numbers is not an integer, so that it looks like the decimal numbers below it;
/// - data if all numbers of the table are integers, unless the first row is 0, 1 … F − 1, or there are rows below it
///   and it is either F ≥ 3 consecutive numbers, or each of its numbers is more than twice as large as all below it, as
///   a year is.
///
/// Any other first row is an error that asks for [`Heading::Present`] or [`Heading::Absent`], so that a heading of
/// numbers is never silently read as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heading {
    /// Detect it by the rules above.
    #[default]
    Detect,
    /// A heading.
    Present,
    /// Data.
    Absent,
}

/// How to handle missing values (`NA`, `NaN` or empty cells) in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// They are an error that names line and column.
    #[default]
    Refuse,
    /// They are read as NaN, for posteriors that were trained on simulations with missing values.
    Nan,
}

impl TableOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how to interpret a first row of numbers.
    #[must_use]
    pub fn with_heading(self, heading: Heading) -> Self {
        Self { heading, ..self }
    }

    /// Sets the names of the expected columns. If the table has a heading, columns are found by name; otherwise they
    /// must be in this order.
    #[must_use]
    pub fn with_columns(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { columns: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    /// Sets the number of further columns without known names, which follow in the order of the table.
    #[must_use]
    pub fn with_others(self, others: usize) -> Self {
        Self { others, ..self }
    }

    /// Sets how to handle missing values.
    #[must_use]
    pub fn with_missing(self, missing: Missing) -> Self {
        Self { missing, ..self }
    }
}

/// A value that was read, with notes for the user.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted<T> {
    /// The value.
    pub value: T,
    /// Notes on ignored or reordered columns, headings of numbers, and decimal commas: one sentence each, beginning
    /// with the file name.
    pub notes: Vec<String>,
}

impl<T> Noted<T> {
    /// Converts the value, keeping the notes.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Noted<U> {
        Noted { value: f(self.value), notes: self.notes }
    }

    /// Without a note.
    pub(crate) fn of(value: T) -> Self {
        Self { value, notes: Vec::new() }
    }
}
