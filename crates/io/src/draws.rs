//! Reads draws and parameters.

use crate::{
    IoError,
    content::{Content, Named},
    error::Result,
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
/// All columns that are no numbers of interest.
pub(crate) const COUNTERS: [&str; 4] = [DATA_SET, DRAW, CHAIN, ROW];

/// Posterior draws, `[M, L, D]`: M data sets, L draws for each, D parameters.
///
/// - An array is `[M, L, D]`, or `[L, D]` of one data set; its parameters are named `theta_1`, `theta_2` …
/// - An archive has an array `[M, L]`, or `[L]` of one data set, for each parameter; or one array `[M, L, D]` of any name.
/// - A table has a row for each draw and a column for each parameter, named in its first row. Its column `data_set`, if it has one, numbers
///   data sets, which are put into the order of their numbers and have equally many draws; columns named `draw`, `chain` and `row` are left
///   out. Lines that begin with `#` are comments.
///
/// # Errors
/// As [`read_array`](crate::read_array); other shapes; more draws of one data set than of another.
pub fn read_draws(path: impl AsRef<Path>) -> Result<Draws> {
    let path = path.as_ref();
    let Read { names, values, .. } = draws(path)?;
    let names = names.unwrap_or_else(|| numbered(values.dim().2));
    named(path, names, values)
}

/// Draws, and the parameters of which the data sets were simulated, `[M, D]`: what a calibration check is made from.
///
/// If both files have names, truths are put into the order of draws; if one has, its names are taken. Tables that number data sets have the
/// same numbers.
///
/// # Errors
/// As [`read_draws`] and [`read_parameters`]; names or numbers of data sets that differ; names in no order beside a file without names.
pub fn read_draws_and_truths(draws: impl AsRef<Path>, truths: impl AsRef<Path>) -> Result<(Draws, Array2<f32>)> {
    let (path, truths_path) = (draws.as_ref(), truths.as_ref());
    let Read { names, are_ordered, data_sets, values } = self::draws(path)?;
    let truths = parameters(truths_path)?;
    let unordered = |path| wrong(path, "its arrays have names, but no order: give names in the other file too");
    let of_truths = match (&names, &truths.names) {
        (Some(_), None) if !are_ordered => return Err(unordered(path)),
        (None, Some(_)) if !truths.are_ordered => return Err(unordered(truths_path)),
        (Some(names), of_truths) => in_order(truths_path, names, of_truths.as_ref(), truths.values)?,
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
    Ok((named(path, names, values)?, of_truths))
}

/// Rows of parameters, `[M, D]`, in the order of these names.
///
/// - An array is `[M, D]`, or `[D]` for one row, in the order of the names.
/// - An archive has an array `[M]` for each parameter; or one array `[M, D]` of any name.
/// - A table has a column for each parameter, named in its first row, or in the order of the names; its rows are put into the order of its
///   column `data_set`, if it has one, and columns named `draw`, `chain` and `row` are left out. Lines that begin with `#` are comments.
///
/// # Errors
/// As [`read_array`](crate::read_array); other shapes; other names.
pub fn read_parameters(path: impl AsRef<Path>, names: &ParameterNames) -> Result<Array2<f32>> {
    let path = path.as_ref();
    let read = parameters(path)?;
    in_order(path, names, read.names.as_ref(), read.values)
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

/// The columns in the order of `names`, if they have names; as they are, if not.
fn in_order(
    path: &Path,
    names: &ParameterNames,
    of_file: Option<&ParameterNames>,
    values: Array2<f32>,
) -> Result<Array2<f32>> {
    let differ = |got: &str| wrong(path, format!("it is of {got}, and {names:?} are asked for"));
    let Some(of_file) = of_file else {
        let columns = values.ncols();
        return if columns == names.len() { Ok(values) } else { Err(differ(&format!("{columns} parameters"))) };
    };
    let place = |name| of_file.iter().position(|other| other == name);
    let places: Option<Vec<usize>> = names.iter().map(place).collect();
    match places.filter(|_| of_file.len() == names.len()) {
        Some(places) => Ok(values.select(Axis(1), &places)),
        None => Err(differ(&format!("{of_file:?}"))),
    }
}

/// What a file says of draws or parameters.
struct Read<A> {
    names: Option<ParameterNames>,
    /// Whether the order of the names is that in which they were written.
    are_ordered: bool,
    /// The numbers of the data sets, in order.
    data_sets: Option<Vec<u64>>,
    values: A,
}

impl<A> Read<A> {
    fn unnamed(values: A) -> Self {
        Self { names: None, are_ordered: true, data_sets: None, values }
    }
}

fn draws(path: &Path) -> Result<Read<Array3<f32>>> {
    let one = |array: ArrayD<f32>| {
        let shape = array.shape().to_vec();
        let array = if array.ndim() == 2 { array.insert_axis(Axis(0)) } else { array };
        let shaped = array.into_dimensionality::<Ix3>();
        let wrong = |_| wrong(path, format!("an array of shape {shape:?}: give [M, L, D], or [L, D] of one data set"));
        shaped.map(Read::unnamed).map_err(wrong)
    };
    match Content::read(path)? {
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
        Content::Table(headings, rows) => {
            let Read { names, are_ordered, data_sets, values } = columns(path, headings, rows)?;
            let Some(all) = data_sets else {
                return Ok(Read { names, are_ordered, data_sets, values: values.insert_axis(Axis(0)) });
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
            Ok(Read { names, are_ordered, data_sets, values })
        }
    }
}

fn parameters(path: &Path) -> Result<Read<Array2<f32>>> {
    let one = |array: ArrayD<f32>| {
        let shape = array.shape().to_vec();
        let array = if array.ndim() == 1 { array.insert_axis(Axis(0)) } else { array };
        let shaped = array.into_dimensionality::<Ix2>();
        let wrong = |_| wrong(path, format!("an array of shape {shape:?}: give [M, D], or [D] for one row"));
        shaped.map(Read::unnamed).map_err(wrong)
    };
    match Content::read(path)? {
        Content::Array(array) => one(array),
        Content::Named(Named { mut arrays, .. }) if arrays.len() == 1 && arrays[0].1.ndim() == 2 => {
            one(arrays.swap_remove(0).1)
        }
        Content::Named(named) => of_parameters(path, named, Axis(1), |name, array| {
            let shape = array.shape().to_vec();
            let wrong = |_| wrong(path, format!("`{name}` has the shape {shape:?}: give [M] for each parameter"));
            array.into_dimensionality::<Ix1>().map_err(wrong)
        }),
        Content::Table(headings, rows) => columns(path, headings, rows),
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
    Ok(Read { names, are_ordered, data_sets: None, values })
}

/// The columns of parameters with their names, the rows in the order of their data sets, if these are numbered.
fn columns(path: &Path, headings: Option<Vec<String>>, rows: Array2<f32>) -> Result<Read<Array2<f32>>> {
    let Some(headings) = headings else { return Ok(Read::unnamed(rows)) };
    let of_parameters: Vec<usize> =
        (0..headings.len()).filter(|&i| !COUNTERS.contains(&headings[i].as_str())).collect();
    let names = Some(of_parameters.iter().map(|&i| headings[i].clone()).collect());
    let values = rows.select(Axis(1), &of_parameters);
    let read = Read { names, are_ordered: true, data_sets: None, values };
    let Some(column) = headings.iter().position(|name| name == DATA_SET) else { return Ok(read) };
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
