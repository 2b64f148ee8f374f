//! Decides whether the first row of a table is a heading, and writes names so that no spreadsheet computes them.

use crate::{
    Heading, TableOptions,
    cell::{Cell, Dialect},
};
use std::borrow::Cow;

/// What a spreadsheet takes for the beginning of a formula, or skips before one.
const BEFORE_FORMULAS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// A name as the heading of a column: with an apostrophe before what a spreadsheet would compute. What begins so after
/// apostrophes gets one more, so that [`name_of`] gives every name back.
pub(crate) fn heading_of(name: &str) -> Cow<'_, str> {
    if is_computed(name) { Cow::Owned(format!("'{name}")) } else { Cow::Borrowed(name) }
}

/// The name that a heading stands for, without the apostrophe of [`heading_of`].
pub(crate) fn name_of(heading: &str) -> &str {
    heading.strip_prefix('\'').filter(|name| is_computed(name)).unwrap_or(heading)
}

fn is_computed(name: &str) -> bool {
    name.trim_start_matches('\'').starts_with(BEFORE_FORMULAS)
}

/// A summary of the cells of one column below the first row.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Whether all numbers are written as integers.
    pub(crate) is_whole: bool,
    /// The largest absolute value.
    pub(crate) largest: f64,
    /// 0 or 1 if the column numbers the rows from there.
    pub(crate) counts_from: Option<f64>,
    pub(crate) rows: usize,
    /// Number of cells with a number.
    pub(crate) numbers: usize,
}

impl Column {
    pub(crate) fn new() -> Self {
        Self { is_whole: true, largest: 0.0, counts_from: None, rows: 0, numbers: 0 }
    }

    pub(crate) fn add(&mut self, cell: Cell) {
        let number = if let Cell::Number(number, is_whole) = cell {
            self.is_whole &= is_whole;
            self.largest = self.largest.max(number.abs());
            self.numbers += 1;
            Some(number)
        } else {
            None
        };
        self.counts_from = match self.rows {
            0 => number.filter(|number| [0.0, 1.0].contains(number)),
            row => self.counts_from.filter(|first| number == Some(first + row as f64)),
        };
        self.rows += 1;
    }

    /// Whether the column numbers the rows.
    pub(crate) fn counts(&self) -> bool {
        self.counts_from.is_some()
    }
}

/// Whether a column has no name, or the name that pandas gives to its own index.
pub(crate) fn is_nameless(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed: ")
}

/// What the first row is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FirstRow {
    /// Names.
    Names,
    /// A heading of numbers, which are not names.
    Labels,
    Data,
}

/// Classifies the first row above these columns, or explains why it is ambiguous.
pub(crate) fn first_row(
    first: &[&str],
    dialect: Dialect,
    columns: &[Column],
    options: &TableOptions,
) -> Result<FirstRow, String> {
    if let Some(expected) = &options.columns
        && options.heading != Heading::Absent
        && !expected.is_empty()
        && expected.iter().all(|name| first.iter().any(|heading| name_of(heading) == name))
    {
        return Ok(FirstRow::Names);
    }
    let rows = columns.first().map_or(0, |column| column.rows);
    let is_index = |i: usize| is_nameless(first[i]) && columns.get(i).is_some_and(Column::counts);
    let named: Vec<(usize, Cell)> =
        (0..first.len()).filter(|&i| !is_index(i)).map(|i| (i, dialect.cell(first[i]))).collect();
    let words = named.iter().filter(|(_, cell)| *cell == Cell::Word).count();
    let numbers: Vec<(usize, f64, bool)> = named
        .iter()
        .filter_map(
            |&(i, cell)| if let Cell::Number(number, is_whole) = cell { Some((i, number, is_whole)) } else { None },
        )
        .collect();
    if words > 0 && numbers.is_empty() {
        return Ok(FirstRow::Names);
    }
    let heading = if words > 0 { FirstRow::Names } else { FirstRow::Labels };
    match options.heading {
        Heading::Present => return Ok(heading),
        Heading::Absent => return Ok(FirstRow::Data),
        // Nothing else has an empty corner above 0, 1, 2 …
        Heading::Detect if named.len() < first.len() => return Ok(heading),
        Heading::Detect => {}
    }
    let in_doubt = |why: &str| {
        Err(format!(
            "its first row, {first:?}, may be a heading or data: {why}; say which it is, by `--header yes` or \
             `--header no` on a command line, \
             or `Heading::Present` or `Absent` in a program"
        ))
    };
    if words > 0 {
        return in_doubt("it has words and numbers");
    }
    if numbers.is_empty() {
        return in_doubt("it has no number");
    }
    if numbers.iter().any(|(.., is_whole)| !is_whole) {
        let step = |pair: &[(usize, f64, bool)]| pair[1].1 - pair[0].1;
        let first_step = numbers.windows(2).map(step).next().unwrap_or_default();
        let is_grid = |pair: &[(usize, f64, bool)]| first_step > 0.0 && (step(pair) / first_step - 1.0).abs() < 1e-6;
        if numbers.len() >= 3 && numbers.windows(2).all(is_grid) {
            return in_doubt("its numbers rise in equal steps, as the times of a series do");
        }
        return Ok(FirstRow::Data);
    }
    let follow_one_another =
        numbers.len() == first.len() && numbers.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1.0);
    let is_whole = numbers.iter().all(|&(i, ..)| columns.get(i).is_none_or(|column| column.is_whole));
    match (follow_one_another && numbers[0].1 == 0.0, is_whole) {
        (true, false) => return Ok(FirstRow::Labels),
        (true, true) => return in_doubt("tables without names are labelled 0, 1, 2 … by pandas"),
        (false, false) => return in_doubt("its numbers are whole ones, and those below are not"),
        (false, true) => {}
    }
    if rows > 0 && follow_one_another && numbers.len() >= 3 {
        return in_doubt("its numbers follow one another");
    }
    // Rows below may be shorter, which is an error of its own.
    let is_far_larger =
        |&(i, number, _): &(usize, f64, bool)| columns.get(i).is_some_and(|column| number.abs() > 2.0 * column.largest);
    if rows > 0 && numbers.iter().all(is_far_larger) {
        return in_doubt("its numbers are far larger than those below");
    }
    Ok(FirstRow::Data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a first row is above these rows.
    fn of(first: &str, rows: &[&str], options: &TableOptions) -> Result<FirstRow, String> {
        let dialect = Dialect { delimiter: b',', has_decimal_commas: false };
        let first: Vec<&str> = first.split(',').collect();
        let mut columns = vec![Column::new(); if rows.is_empty() { 0 } else { first.len() }];
        for row in rows {
            columns.iter_mut().zip(row.split(',')).for_each(|(column, cell)| column.add(dialect.cell(cell)));
        }
        first_row(&first, dialect, &columns, options)
    }

    #[test]
    fn headings_are_no_formulas_and_give_names_back() {
        for (name, heading) in [
            ("mu", "mu"),
            ("'mu'", "'mu'"),
            ("a=b-c", "a=b-c"),
            ("=1+1", "'=1+1"),
            ("-x", "'-x"),
            ("+x", "'+x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("'=1", "''=1"),
            ("''-x", "'''-x"),
            ("'", "'"),
            ("", ""),
        ] {
            assert_eq!((&*heading_of(name), name_of(heading)), (heading, name));
        }
    }

    #[test]
    fn a_first_row_is_what_the_rules_say() {
        let plain = TableOptions::new();
        for (first, rows, is) in [
            ("rt,choice", vec!["1,2"], FirstRow::Names),
            ("rt,NA", vec!["1,2"], FirstRow::Names),
            (",rt", vec!["0,1.5", "1,2.5"], FirstRow::Names),
            (",0", vec!["0,1.5", "1,2.5"], FirstRow::Labels),
            (",2019,2020", vec!["0,3,4"], FirstRow::Labels),
            ("0,1", vec!["1.5,2", "3,4"], FirstRow::Labels),
            ("0", vec!["1.588", "1.749"], FirstRow::Labels),
            ("0.5,1", vec!["1.5,2"], FirstRow::Data),
            ("2020.5", vec!["1.5"], FirstRow::Data),
            ("NA,0.5", vec!["1.5,2.5"], FirstRow::Data),
            ("1,2", vec!["3,4"], FirstRow::Data),
            ("4", vec!["4", "4"], FirstRow::Data),
            ("40", vec![], FirstRow::Data),
            ("1,2,3", vec![], FirstRow::Data),
            ("5", vec!["3", "9"], FirstRow::Data),
        ] {
            assert_eq!(of(first, &rows, &plain), Ok(is), "{first} above {rows:?}");
        }
        for (first, rows, why) in [
            ("2020", vec!["1.588", "1.749"], "those below are not"),
            ("1,2", vec!["1.5,2"], "those below are not"),
            ("2020", vec!["3", "5"], "far larger"),
            ("2019,2020", vec!["3,5"], "far larger"),
            ("2018,2019,2020", vec!["3,2017,5"], "follow one another"),
            ("0", vec!["1", "1"], "by pandas"),
            ("0,1", vec!["3,4"], "by pandas"),
            ("0,1", vec![], "by pandas"),
            ("rt,2", vec!["1,2"], "words and numbers"),
            ("NA,NA", vec!["1,2"], "no number"),
            ("0.0,0.25,0.5,0.75", vec!["1.5,2.5,0.1,2"], "equal steps"),
        ] {
            let error = of(first, &rows, &plain).expect_err(first);
            assert!(error.contains(why) && error.contains("--header yes"), "{first}: {error}");
            if !first.contains("rt") {
                assert_eq!(of(first, &rows, &TableOptions::new().with_heading(Heading::Absent)), Ok(FirstRow::Data));
                let present = TableOptions::new().with_heading(Heading::Present);
                assert_eq!(of(first, &rows, &present), Ok(FirstRow::Labels));
            }
        }
        let years = TableOptions::new().with_columns(["2020", "2019"]);
        assert_eq!(of("2019,2020", &["3.5,4"], &years), Ok(FirstRow::Names));
        assert_eq!(of("2019,2020", &["3.5,4"], &years.with_heading(Heading::Absent)), Ok(FirstRow::Data));
    }
}
