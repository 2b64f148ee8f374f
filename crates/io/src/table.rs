//! Reads tables of numbers: CSV, also with semicolons or tabs.

use crate::{
    Missing, Noted, TableOptions,
    cell::{Cell, Dialect, line_of, may_be_thousands},
    heading::{Column, FirstRow, first_row, is_nameless, name_of},
};
use ndarray::{Array2, Axis};

/// Rows of numbers.
pub(crate) struct Table {
    /// The columns' names; `None` if there is no heading, or one of numbers.
    pub(crate) names: Option<Vec<String>>,
    pub(crate) rows: Array2<f32>,
}

type Parsed<T> = Result<T, String>;

/// Reads a table. Lines that begin with `#` are comments; unnamed columns that number the rows are ignored.
pub(crate) fn parse(bytes: &[u8], options: &TableOptions) -> Parsed<Noted<Table>> {
    let text = decoded(bytes)?;
    let mut cells = Cells { dialect: Dialect::of(text), options, text, commas: None, has_points: false };
    let Records { first, columns, mut values } = cells.records()?;
    let mut names: Vec<&str> = first.iter().collect();
    let kind = first_row(&names, cells.dialect, &columns, options)
        .map_err(|why| format!("line {}: {why}", cells.line(&first)))?;
    if kind == FirstRow::Data {
        let row = (0..first.len()).map(|at| cells.value(cells.dialect.cell(&first[at]), &first, at));
        values.splice(0..0, row.collect::<Parsed<Vec<f32>>>()?);
    } else if columns.is_empty() {
        return Err(format!("no row of numbers is below its heading, {names:?}"));
    }
    if kind == FirstRow::Names {
        names.iter_mut().for_each(|name| *name = name_of(name));
        if names.len() + 1 == columns.len() && are_rows_named(&columns) {
            names.insert(0, "");
        }
    }
    if !columns.is_empty() && names.len() != columns.len() {
        let (line, got, width) = (cells.line(&first), names.len(), columns.len());
        return Err(format!("line {line} has {got} cells, and those after it {width}: give each row as many"));
    }
    let shape = (values.len() / names.len(), names.len());
    let rows = Array2::from_shape_vec(shape, values).map_err(|error| error.to_string())?;
    let comma = cells.decimal_comma()?;
    let mut notes: Vec<String> = comma
        .map(|comma| format!("commas in numbers, as in {comma}, were read as decimal points"))
        .into_iter()
        .collect();
    if kind == FirstRow::Data {
        return Ok(Noted { value: Table { names: None, rows }, notes });
    }
    let named = named_columns(&names, &columns, &mut notes)?;
    let rows = if named.len() < names.len() { rows.select(Axis(1), &named) } else { rows };
    let names: Vec<String> = named.iter().map(|&i| names[i].to_owned()).collect();
    if kind == FirstRow::Labels {
        notes.push(format!(
            "its first row, {names:?}, is taken for a heading, whose numbers name nothing: columns are in their order"
        ));
        return Ok(Noted { value: Table { names: None, rows }, notes });
    }
    if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        let expected =
            options.columns.as_ref().map_or(String::new(), |names| format!(", where {names:?} are expected"));
        return Err(format!("two of its columns, {names:?}, are named `{name}`{expected}: give each its own name"));
    }
    Ok(Noted { value: Table { names: Some(names), rows }, notes })
}

/// Whether the first column may hold row names, for which R's heading has no cell. It may not if the last column is
/// empty (rows end in a separator), or if decimal commas split a column in two, which may look like 1, 2, 3 by chance.
fn are_rows_named(columns: &[Column]) -> bool {
    columns.last().is_some_and(|last| last.numbers > 0 && (columns.len() > 2 || last.rows > 3))
}

/// The named columns. Unnamed ones must number the rows, and are ignored.
fn named_columns(names: &[&str], columns: &[Column], notes: &mut Vec<String>) -> Parsed<Vec<usize>> {
    let (nameless, named): (Vec<usize>, Vec<usize>) = (0..names.len()).partition(|&i| is_nameless(names[i]));
    for i in nameless {
        let number = i + 1;
        let Some(from) = columns[i].counts_from else {
            return Err(format!(
                "column {number} has no name, and does not number the rows from 0 or 1 on: name it, or leave it out, \
                 by `index=False` in \
                 pandas or `row.names=FALSE` in R"
            ));
        };
        notes.push(format!("column {number}, which has no name and numbers the rows from {from} on, was left out"));
    }
    if named.is_empty() { Err("none of its columns has a name".to_owned()) } else { Ok(named) }
}

/// The text without a byte-order mark.
fn decoded(bytes: &[u8]) -> Parsed<&str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("it is written in UTF-16: save it as UTF-8".to_owned());
    }
    std::str::from_utf8(bytes).map_err(|error| {
        format!("line {} is not written in UTF-8: save the file as UTF-8", line_of(bytes, error.valid_up_to()))
    })
}

/// The first row of a table, and the numbers below it.
struct Records {
    first: csv::StringRecord,
    columns: Vec<Column>,
    values: Vec<f32>,
}

/// The state of parsing cells.
struct Cells<'a> {
    dialect: Dialect,
    options: &'a TableOptions,
    text: &'a str,
    /// The first number with a comma, and whether all commas may separate thousands.
    commas: Option<(String, bool)>,
    /// Whether a number has a decimal point.
    has_points: bool,
}

impl Cells<'_> {
    fn line(&self, record: &csv::StringRecord) -> usize {
        let offset = record.position().map_or(0, csv::Position::byte);
        line_of(self.text.as_bytes(), offset as usize)
    }

    fn records(&mut self) -> Parsed<Records> {
        let mut reader = csv::ReaderBuilder::new();
        reader
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .delimiter(self.dialect.delimiter);
        let mut reader = reader.from_reader(self.text.as_bytes());
        let mut records = reader.records();
        let first = records.next().ok_or("it is empty")?.map_err(|error| error.to_string())?;
        let (mut columns, mut values): (Vec<Column>, Vec<f32>) = (Vec::new(), Vec::new());
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            if record.len() == 1 && record[0].is_empty() && first.len() > 1 {
                // A line of spaces.
                continue;
            }
            if columns.is_empty() {
                columns = vec![Column::new(); record.len()];
            }
            if record.len() != columns.len() {
                let (line, got, expected) = (self.line(&record), record.len(), columns.len());
                return Err(format!(
                    "line {line} has {got} cells, and those before it {expected}: give each row as many"
                ));
            }
            for (at, column) in columns.iter_mut().enumerate() {
                let cell = self.dialect.cell(&record[at]);
                column.add(cell);
                values.push(self.value(cell, &record, at)?);
            }
        }
        Ok(Records { first, columns, values })
    }

    /// The number in a cell; NaN if it is missing and that is allowed.
    fn value(&mut self, cell: Cell, record: &csv::StringRecord, at: usize) -> Parsed<f32> {
        let text = &record[at];
        let wrong = |reason: String| Err(format!("line {}, column {}: {reason}", self.line(record), at + 1));
        match cell {
            Cell::Number(number, _) => {
                let single = number as f32;
                // Infinity is written as a word.
                if single.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
                    return wrong(too_large(number));
                }
                if self.dialect.is_decimal_comma(text) {
                    let (_, may_be) = self.commas.get_or_insert_with(|| (text.to_owned(), true));
                    *may_be &= may_be_thousands(text);
                }
                self.has_points |= text.contains('.');
                Ok(single)
            }
            Cell::Missing if self.options.missing == Missing::Nan => Ok(f32::NAN),
            Cell::Missing => wrong(format!(
                "{}, where a number is needed: only a posterior that was trained on simulations with missing values \
                 takes missing ones",
                if text.is_empty() { "an empty cell".to_owned() } else { format!("`{text}`, a missing value") }
            )),
            Cell::Word => {
                let parts: Vec<&str> = text.split_whitespace().collect();
                let are_numbers = parts.iter().all(|part| matches!(self.dialect.cell(part), Cell::Number(..)));
                let remedy = match (parts.len() > 1 && are_numbers, text.contains(',')) {
                    (true, _) => ": separate cells by commas, semicolons or tabs, not by spaces",
                    (_, true) => {
                        ": write numbers without separators of thousands, and with a decimal point, or cells with \
                         semicolons between them"
                    }
                    _ => "",
                };
                wrong(format!("`{text}` is no number{remedy}"))
            }
        }
    }

    /// A number with a decimal comma, if there is one; an error if the comma is ambiguous.
    fn decimal_comma(&self) -> Parsed<Option<&str>> {
        match &self.commas {
            Some((comma, _)) if self.has_points => Err(format!(
                "`{comma}` has a comma, and other numbers have a point: write all numbers with a decimal point, and \
                 none for thousands"
            )),
            Some((comma, true)) => Err(format!(
                "`{comma}`, as all of its numbers with a comma, may be written with a decimal comma, or with one for \
                 thousands: write numbers with a \
                 decimal point, and none for thousands"
            )),
            commas => Ok(commas.as_ref().map(|(comma, _)| comma.as_str())),
        }
    }
}

/// Why a number is refused.
pub(crate) fn too_large(value: f64) -> String {
    format!("{value:e} is too large for f32: use other units")
}

/// The positions of the columns with these names, followed by `others` further columns, and whether the order differs
/// from the table's.
pub(crate) fn places(of_table: &[String], names: &[String], others: usize) -> Parsed<(Vec<usize>, bool)> {
    let found: Option<Vec<usize>> =
        names.iter().map(|name| of_table.iter().position(|column| column == name)).collect();
    let differ = || {
        let more = if others > 0 { format!(" and {others} more") } else { String::new() };
        format!(
            "its columns are {of_table:?}, and {names:?}{more} are expected: name the columns so, and leave others out"
        )
    };
    let mut places = found.filter(|_| of_table.len() == names.len() + others).ok_or_else(differ)?;
    places.extend((0..of_table.len()).filter(|i| !places.contains(i)).collect::<Vec<_>>());
    let is_other = places.iter().enumerate().any(|(i, place)| i != *place);
    Ok((places, is_other))
}
