//! Says what is known of a table before it is read, and what is to be said of it afterwards.

/// How tables are read. Other formats need none of it.
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
    /// What a first row of numbers is; [`Heading::Detect`] by default.
    pub heading: Heading,
    /// The columns' names, in the order in which they are returned; unknown by default.
    pub columns: Option<Vec<String>>,
    /// How many columns without known names follow them, such as contexts; 0 by default.
    pub others: usize,
    /// What becomes of `NA`, `NaN` and empty cells; [`Missing::Refuse`] by default.
    pub missing: Missing,
}

/// What a first row of numbers is. A first row of words is a heading in any case.
///
/// Pandas labels columns without names 0, 1, 2 …, and tables with a column for each year have numbers above numbers. So
/// a first row of numbers is taken for
/// - a heading if its cells are the names of the columns that are expected, or if it stands beside the empty corner of
///   an index column;
/// - a heading, and said so, if it is 0, 1 … F − 1 and other numbers than whole ones are below it;
/// - data if one of its numbers is not a whole one: of what stands below, decimal numbers, it is one more row;
/// - data if it is of whole numbers, as all below, unless it is 0, 1 … F − 1, or, with rows below it, F ≥ 3 numbers
///   that follow one another, or each is more than twice as large as all below it, as a year is.
///
/// Anything else is an error that asks for [`Heading::Present`] or [`Heading::Absent`]: a number of a heading never
/// becomes data silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heading {
    /// What it looks like, by the rules above.
    #[default]
    Detect,
    /// A heading.
    Present,
    /// Data.
    Absent,
}

/// What becomes of missing values, `NA`, `NaN` or empty cells, in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// They are an error that names line and column.
    #[default]
    Refuse,
    /// They are read as NaN, which a posterior takes that was trained on simulations with missing values.
    Nan,
}

impl TableOptions {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what a first row of numbers is.
    #[must_use]
    pub fn with_heading(self, heading: Heading) -> Self {
        Self { heading, ..self }
    }

    /// Says which columns are expected. If the table has a heading, they are found by it; otherwise they are taken in
    /// this order.
    #[must_use]
    pub fn with_columns(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { columns: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    /// Says how many columns without known names follow those with names, in the order of the table.
    #[must_use]
    pub fn with_others(self, others: usize) -> Self {
        Self { others, ..self }
    }

    /// Says what becomes of missing values.
    #[must_use]
    pub fn with_missing(self, missing: Missing) -> Self {
        Self { missing, ..self }
    }
}

/// What was read, and what its user should know of how.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted<T> {
    /// What was read.
    pub value: T,
    /// Columns that were left out or put in order, headings that are numbers, decimal commas: a sentence each, which
    /// begins with the file.
    pub notes: Vec<String>,
}

impl<T> Noted<T> {
    /// Something else made of what was read, with the same notes.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Noted<U> {
        Noted { value: f(self.value), notes: self.notes }
    }

    /// Without a note.
    pub(crate) fn of(value: T) -> Self {
        Self { value, notes: Vec::new() }
    }
}
