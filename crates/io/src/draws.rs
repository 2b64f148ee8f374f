//! Reads draws and parameters.

use crate::{
    IoError, Noted, TableOptions,
    content::{Content, Named},
    error::Result,
    table::{Table, places},
};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array, Array2, Array3, ArrayD, Axis, Dimension, Ix1, Ix2, Ix3, RemoveAxis, stack};
use std::path::Path;

/// The column of a table that numbers data sets.
pub(crate) const DATA_SET: &str = "data_set";
/// The columns of a table that number draws, here and in other tools, and rows.
pub(crate) const DRAW: &str = "draw";
pub(crate) const CHAIN: &str = "chain";
pub(crate) const ROW: &str = "row";
/// The columns of a table that only count, here and in other tools.
const COUNTERS: [&str; 4] = [DATA_SET, DRAW, CHAIN, ROW];
/// Such columns of R's package `posterior`.
const COUNTERS_OF_R: [&str; 3] = [".chain", ".iteration", ".draw"];

/// Whether a column of this name only counts, or belongs to the sampler: names of Stan's own columns end in `__`.
pub(crate) fn is_counter(name: &str) -> bool {
    COUNTERS.contains(&name) || is_foreign_counter(name)
}

fn is_foreign_counter(name: &str) -> bool {
    COUNTERS_OF_R.contains(&name) || name.ends_with("__")
}

/// Posterior draws, `[M, L, D]`: M data sets, L draws for each, D parameters.
///
/// - An array is `[M, L, D]`, or `[L, D]` of one data set; its parameters are named `theta_1`, `theta_2` …
/// - An archive has an array `[M, L]`, or `[L]` of one data set, for each parameter; or one array `[M, L, D]` of any
///   name.
/// - A table has a row for each draw and a column for each parameter, named in its first row. Its column `data_set`, if
///   it has one, numbers data sets, which are put into the order of their numbers and have equally many draws; columns
///   named `draw`, `chain` and `row` are ignored. Columns of R's package `posterior` and of Stan's samplers are ignored
///   with a note. Lines that begin with `#` are comments.
///
/// Set [`TableOptions::columns`] to the names of the parameters, if they are known.
///
/// # Errors
/// As [`read_array`](crate::read_array); other shapes; different numbers of draws for the data sets.
pub fn read_draws(path: impl AsRef<Path>, options: &TableOptions) -> Result<Noted<Draws>> {
    let path = path.as_ref();
    let Read { names, values, mut notes, .. } = draws(path, options)?;
    let Some(expected) = &options.columns else {
        let names = names.unwrap_or_else(|| numbered(values.dim().2));
        return Ok(Noted { value: named(path, names, values)?, notes });
    };
    let expected = expected.iter().cloned().collect();
    let values = in_order(path, &expected, (names.as_ref(), values), &mut notes)?;
    Ok(Noted { value: named(path, expected, values)?, notes })
}

/// Draws, and the true parameters of the data sets, `[M, D]`: the inputs of a calibration check.
///
/// If both files have names, the truths are reordered like the draws; if only one has names, they apply to both. Tables
/// that number data sets must have the same numbers.
///
/// # Errors
/// As [`read_draws`] and [`read_parameters`]; different names or numbers of data sets; unordered names in one file and
/// no names in the other.
pub fn read_draws_and_truths(
    draws: impl AsRef<Path>,
    truths: impl AsRef<Path>,
    options: &TableOptions,
) -> Result<Noted<(Draws, Array2<f32>)>> {
    let (path, truths_path) = (draws.as_ref(), truths.as_ref());
    let Read { names, are_ordered, data_sets, values, mut notes } = self::draws(path, options)?;
    let columns = names.as_ref().map(|names| names.to_vec()).or_else(|| options.columns.clone());
    let truths = parameters(truths_path, &TableOptions { columns, ..options.clone() })?;
    notes.extend(truths.notes);
    let unordered = |path| wrong(path, "its arrays have names, but no order: give names in the other file too");
    let of_truths = match (&names, &truths.names) {
        (Some(_), None) if !are_ordered => return Err(unordered(path)),
        (None, Some(_)) if !truths.are_ordered => return Err(unordered(truths_path)),
        (Some(names), of_truths) => in_order(truths_path, names, (of_truths.as_ref(), truths.values), &mut notes)?,
        (None, _) => truths.values,
    };
    if let (Some(of_draws), Some(of_truths)) = (&data_sets, &truths.data_sets)
        && of_draws != of_truths
    {
        let pairs = of_draws.iter().zip(of_truths);
        let (draws, truth) = pairs.filter(|(a, b)| a != b).map(|(a, b)| (*a, *b)).next().unwrap_or_default();
        let (m, of) = (of_draws.len(), of_truths.len());
        let reason = format!("{of} data sets, and draws of {m}; where these have {draws}, it has {truth}");
        return Err(wrong(truths_path, reason));
    }
    let names = names.or(truths.names).unwrap_or_else(|| numbered(values.dim().2));
    Ok(Noted { value: (named(path, names, values)?, of_truths), notes })
}

/// Rows of parameters, `[M, D]`, in the order of these names.
///
/// - An array is `[M, D]`, or `[D]` for one row, in the order of the names.
/// - An archive has an array `[M]` for each parameter; or one array `[M, D]` of any name.
/// - A table has a column for each parameter, named in its first row, or in the order of the names; its rows are sorted
///   by its column `data_set`, if it has one, and columns named `draw`, `chain` and `row` are ignored. Lines that begin
///   with `#` are comments.
///
/// # Errors
/// As [`read_array`](crate::read_array); other shapes; other names.
pub fn read_parameters(
    path: impl AsRef<Path>,
    names: &ParameterNames,
    options: &TableOptions,
) -> Result<Noted<Array2<f32>>> {
    let path = path.as_ref();
    let Read { names: of_file, values, mut notes, .. } = parameters(path, &options.clone().with_columns(names.iter()))?;
    let value = in_order(path, names, (of_file.as_ref(), values), &mut notes)?;
    Ok(Noted { value, notes })
}

fn numbered(d: usize) -> ParameterNames {
    (1..=d).map(|i| format!("theta_{i}")).collect()
}

fn wrong(path: &Path, reason: impl ToString) -> IoError {
    IoError::Content { path: path.into(), reason: reason.to_string() }
}

fn named(path: &Path, names: ParameterNames, values: Array3<f32>) -> Result<Draws> {
    if values.is_empty() {
        return Err(wrong(path, format!("it holds no draws: its shape is {:?}", values.shape())));
    }
    Draws::new(names, values).map_err(|error| wrong(path, error))
}

/// Reorders the last axis like `names`, if it has names.
fn in_order<D: Dimension + RemoveAxis>(
    path: &Path,
    names: &ParameterNames,
    (of_file, values): (Option<&ParameterNames>, Array<f32, D>),
    notes: &mut Vec<String>,
) -> Result<Array<f32, D>> {
    let last = Axis(values.ndim() - 1);
    let Some(of_file) = of_file else {
        let columns = values.len_of(last);
        let differ = || wrong(path, format!("it is of {columns} parameters, and {names:?} are asked for"));
        return if columns == names.len() { Ok(values) } else { Err(differ()) };
    };
    let (places, is_other) = places(of_file, names, 0).map_err(|reason| wrong(path, reason))?;
    if is_other {
        notes.push(format!("{}: its parameters, {of_file:?}, were put in the order {names:?}", path.display()));
    }
    Ok(values.select(last, &places))
}

/// Draws or parameters as a file holds them.
struct Read<A> {
    names: Option<ParameterNames>,
    /// Whether the names are in the order in which they were written.
    are_ordered: bool,
    /// The numbers of the data sets, in order.
    data_sets: Option<Vec<u64>>,
    values: A,
    notes: Vec<String>,
}

impl<A> Read<A> {
    fn unnamed(values: A) -> Self {
        Self { names: None, are_ordered: true, data_sets: None, values, notes: Vec::new() }
    }
}

fn draws(path: &Path, options: &TableOptions) -> Result<Read<Array3<f32>>> {
    let one = |array: ArrayD<f32>| {
        let shape = array.shape().to_vec();
        let array = if array.ndim() == 2 { array.insert_axis(Axis(0)) } else { array };
        let shaped = array.into_dimensionality::<Ix3>();
        let wrong = |_| wrong(path, format!("an array of shape {shape:?}: give [M, L, D], or [L, D] of one data set"));
        shaped.map(Read::unnamed).map_err(wrong)
    };
    let Noted { value, notes } = Content::read(path, options)?;
    match value {
        Content::Array(array) => one(array),
        Content::Named(Named { mut arrays, .. }) if arrays.len() == 1 && arrays[0].1.ndim() == 3 => {
            one(arrays.swap_remove(0).1)
        }
        Content::Named(named) => of_parameters(path, named, Axis(2), |name, array| {
            let shape = array.shape().to_vec();
            let array = if array.ndim() == 1 { array.insert_axis(Axis(0)) } else { array };
            array.into_dimensionality::<Ix2>().map_err(|_| {
                wrong(path, format!("`{name}` has the shape {shape:?}: give [M, L], or [L] of one data set"))
            })
        }),
        Content::Table(table) => {
            let Read { names, are_ordered, data_sets, values, notes } = columns(path, (table, notes), options)?;
            let Some(all) = data_sets else {
                return Ok(Read { names, are_ordered, data_sets, values: values.insert_axis(Axis(0)), notes });
            };
            let runs: Vec<&[u64]> = all.chunk_by(|a, b| a == b).collect();
            let length = runs[0].len();
            if let Some(other) = runs.iter().find(|run| run.len() != length) {
                let (got, number, first) = (other.len(), other[0], runs[0][0]);
                let reason = format!("{got} draws of data set {number}, and {length} of {first}: give as many of each");
                return Err(wrong(path, reason));
            }
            let data_sets = Some(runs.iter().map(|run| run[0]).collect());
            let shape = (runs.len(), length, values.ncols());
            let values = values.as_standard_layout().into_owned().into_shape_with_order(shape);
            let values = values.map_err(|error| wrong(path, error))?;
            Ok(Read { names, are_ordered, data_sets, values, notes })
        }
    }
}

fn parameters(path: &Path, options: &TableOptions) -> Result<Read<Array2<f32>>> {
    let one = |array: ArrayD<f32>| {
        let shape = array.shape().to_vec();
        let array = if array.ndim() == 1 { array.insert_axis(Axis(0)) } else { array };
        let shaped = array.into_dimensionality::<Ix2>();
        let wrong = |_| wrong(path, format!("an array of shape {shape:?}: give [M, D], or [D] for one row"));
        shaped.map(Read::unnamed).map_err(wrong)
    };
    let Noted { value, notes } = Content::read(path, options)?;
    match value {
        Content::Array(array) => one(array),
        Content::Named(Named { mut arrays, .. }) if arrays.len() == 1 && arrays[0].1.ndim() == 2 => {
            one(arrays.swap_remove(0).1)
        }
        Content::Named(named) => of_parameters(path, named, Axis(1), |name, array| {
            let shape = array.shape().to_vec();
            let wrong = |_| wrong(path, format!("`{name}` has the shape {shape:?}: give [M] for each parameter"));
            array.into_dimensionality::<Ix1>().map_err(wrong)
        }),
        Content::Table(table) => columns(path, (table, notes), options),
    }
}

/// The arrays of all parameters, side by side along a new last axis.
fn of_parameters<D: Dimension>(
    path: &Path,
    Named { arrays, are_ordered }: Named,
    last: Axis,
    shaped: impl Fn(&str, ArrayD<f32>) -> Result<Array<f32, D>>,
) -> Result<Read<Array<f32, D::Larger>>>
where
    D::Larger: RemoveAxis,
{
    if arrays.is_empty() {
        return Err(wrong(path, "it holds no array"));
    }
    let names = Some(arrays.iter().map(|(name, _)| name.clone()).collect());
    let arrays = arrays.into_iter().map(|(name, array)| shaped(&name, array)).collect::<Result<Vec<_>>>()?;
    let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
    let values = stack(last, &views).map_err(|_| {
        let shapes: Vec<_> = arrays.iter().map(|array| array.shape()).collect();
        wrong(path, format!("arrays of the shapes {shapes:?}: give as many values of each parameter"))
    })?;
    Ok(Read { names, are_ordered, data_sets: None, values, notes: Vec::new() })
}

/// The columns of parameters with their names, the rows in the order of their data sets, if these are numbered.
fn columns(path: &Path, (table, mut notes): (Table, Vec<String>), options: &TableOptions) -> Result<Read<Array2<f32>>> {
    let Table { names, rows } = table;
    let Some(headings) = names else { return Ok(Read { notes, ..Read::unnamed(rows) }) };
    let is_parameter = |name: &String| options.columns.as_ref().is_some_and(|names| names.contains(name));
    let counts = |i: usize| is_counter(&headings[i]) && !is_parameter(&headings[i]);
    let (counters, of_parameters): (Vec<usize>, Vec<usize>) = (0..headings.len()).partition(|&i| counts(i));
    let foreign = counters.iter().map(|&i| &headings[i]).filter(|name| is_foreign_counter(name));
    let foreign: Vec<&String> = foreign.collect();
    if !foreign.is_empty() {
        let path = path.display();
        notes.push(format!(
            "{path}: its columns {foreign:?}, which belong to the sampler and are not parameters, were \
                           left out"
        ));
    }
    let names = Some(of_parameters.iter().map(|&i| headings[i].clone()).collect());
    let values = rows.select(Axis(1), &of_parameters);
    let read = Read { names, are_ordered: true, data_sets: None, values, notes };
    let Some(column) = counters.into_iter().find(|&i| headings[i] == DATA_SET) else { return Ok(read) };
    let number = |&value: &f32| {
        let is_number = value >= 0.0 && value.fract() == 0.0 && value < 2_f32.powi(24);
        let reason = format!("`{DATA_SET}` is {value}, which numbers no data set: give 0, 1, 2 …");
        is_number.then_some(value as u64).ok_or_else(|| wrong(path, reason))
    };
    let numbers = rows.column(column).iter().map(number).collect::<Result<Vec<_>>>()?;
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by_key(|&row| numbers[row]);
    let data_sets = Some(order.iter().map(|&row| numbers[row]).collect());
    Ok(Read { data_sets, values: read.values.select(Axis(0), &order), ..read })
}
