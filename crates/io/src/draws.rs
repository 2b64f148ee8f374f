//! Reads draws and parameters.

use crate::{IoError, content::Content, error::Result};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array2, Array3, ArrayD, Axis, Ix1, Ix2, Ix3, Slice, stack};
use std::path::Path;

/// The column of a table that numbers data sets.
pub(crate) const DATA_SET: &str = "data_set";
/// The columns of a table that number draws, here and in other tools.
pub(crate) const DRAW: &str = "draw";
pub(crate) const CHAIN: &str = "chain";

/// Posterior draws, `[M, L, D]`: M data sets, L draws for each, D parameters.
///
/// - An array is `[M, L, D]`, or `[L, D]` of one data set; its parameters are named `theta_1`, `theta_2` …
/// - An archive has an array `[M, L]`, or `[L]` of one data set, for each parameter; or one array without regard to its name.
/// - A table has a row for each draw and a column for each parameter. Its column `data_set`, if it has one, numbers data sets, whose
///   draws follow one another and are equally many; its columns `draw` and `chain` are left out.
///
/// # Errors
/// As [`read_array`](crate::read_array); other shapes; as many draws for one data set as for another are missing.
pub fn read_draws(path: impl AsRef<Path>) -> Result<Draws> {
    let path = path.as_ref();
    let (names, values) = draws(path)?;
    let names = names.unwrap_or_else(|| numbered(values.dim().2));
    named(path, names, values)
}

/// Draws, and the parameters of which the data sets were simulated, `[M, D]`: what a calibration check is made from.
///
/// If both files have names, truths are put into the order of draws; if one has, its names are taken.
///
/// # Errors
/// As [`read_draws`] and [`read_parameters`]; names that differ.
pub fn read_draws_and_truths(draws: impl AsRef<Path>, truths: impl AsRef<Path>) -> Result<(Draws, Array2<f32>)> {
    let (path, truths_path) = (draws.as_ref(), truths.as_ref());
    let (names, values) = self::draws(path)?;
    let (of_truths, truths) = parameters(truths_path)?;
    let truths = match &names {
        Some(names) => in_order(truths_path, names, of_truths.as_ref(), truths)?,
        None => truths,
    };
    let names = names.or(of_truths).unwrap_or_else(|| numbered(values.dim().2));
    Ok((named(path, names, values)?, truths))
}

/// Rows of parameters, `[M, D]`, in the order of these names.
///
/// - An array is `[M, D]`, or `[D]` for one row, in the order of the names.
/// - An archive has an array `[M]` for each parameter; or one array without regard to its name.
/// - A table has a row for each row, and a column for each parameter; without names of columns, in the order of the names. Its columns
///   `data_set`, `draw` and `chain` are left out.
///
/// # Errors
/// As [`read_array`](crate::read_array); other shapes; other names.
pub fn read_parameters(path: impl AsRef<Path>, names: &ParameterNames) -> Result<Array2<f32>> {
    let path = path.as_ref();
    let (of_file, values) = parameters(path)?;
    in_order(path, names, of_file.as_ref(), values)
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

fn draws(path: &Path) -> Result<(Option<ParameterNames>, Array3<f32>)> {
    let one = |array: ArrayD<f32>| {
        let shape = array.shape().to_vec();
        let array = if array.ndim() == 2 { array.insert_axis(Axis(0)) } else { array };
        let shaped = array.into_dimensionality::<Ix3>();
        shaped
            .map_err(|_| wrong(path, format!("an array of shape {shape:?}: give [M, L, D], or [L, D] of one data set")))
    };
    match Content::read(path)? {
        Content::Array(array) => Ok((None, one(array)?)),
        Content::Named(arrays) if arrays.len() == 1 && arrays[0].1.ndim() == 3 => {
            let array = arrays.into_iter().next().map(|(_, array)| array).unwrap_or_default();
            Ok((None, one(array)?))
        }
        Content::Named(arrays) => {
            let (names, arrays) = of_parameters(path, arrays, |name, array| {
                let shape = array.shape().to_vec();
                let array = if array.ndim() == 1 { array.insert_axis(Axis(0)) } else { array };
                array.into_dimensionality::<Ix2>().map_err(|_| {
                    wrong(path, format!("`{name}` has the shape {shape:?}: give [M, L], or [L] of one data set"))
                })
            })?;
            let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
            let values = stack(Axis(2), &views).map_err(|_| {
                let shapes: Vec<_> = arrays.iter().map(|array| array.shape()).collect();
                wrong(path, format!("arrays of the shapes {shapes:?}: give as many draws of each parameter"))
            })?;
            Ok((Some(names), values))
        }
        Content::Table(headings, rows) => {
            let (names, values, data_sets) = columns(headings, rows);
            let Some(data_sets) = data_sets else { return Ok((names, values.insert_axis(Axis(0)))) };
            let lengths: Vec<usize> = data_sets.chunk_by(|a, b| a == b).map(<[f32]>::len).collect();
            let length = lengths[0];
            if let Some(place) = lengths.iter().position(|&other| other != length) {
                let (number, got) = (data_sets[lengths[..place].iter().sum::<usize>()], lengths[place]);
                let reason = format!(
                    "{got} draws of data set {number}, and {length} of the first: sort the rows by `{DATA_SET}`, and give as many for each"
                );
                return Err(wrong(path, reason));
            }
            let shape = (lengths.len(), length, values.ncols());
            let values = values.as_standard_layout().into_owned().into_shape_with_order(shape);
            Ok((names, values.map_err(|error| wrong(path, error))?))
        }
    }
}

fn parameters(path: &Path) -> Result<(Option<ParameterNames>, Array2<f32>)> {
    let one = |array: ArrayD<f32>| {
        let shape = array.shape().to_vec();
        let array = if array.ndim() == 1 { array.insert_axis(Axis(0)) } else { array };
        let shaped = array.into_dimensionality::<Ix2>();
        shaped.map_err(|_| wrong(path, format!("an array of shape {shape:?}: give [M, D], or [D] for one row")))
    };
    match Content::read(path)? {
        Content::Array(array) => Ok((None, one(array)?)),
        Content::Named(arrays) if arrays.len() == 1 && arrays[0].1.ndim() == 2 => {
            let array = arrays.into_iter().next().map(|(_, array)| array).unwrap_or_default();
            Ok((None, one(array)?))
        }
        Content::Named(arrays) => {
            let (names, arrays) = of_parameters(path, arrays, |name, array| {
                let shape = array.shape().to_vec();
                array
                    .into_dimensionality::<Ix1>()
                    .map_err(|_| wrong(path, format!("`{name}` has the shape {shape:?}: give [M] for each parameter")))
            })?;
            let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
            let values = stack(Axis(1), &views).map_err(|_| {
                let lengths: Vec<_> = arrays.iter().map(|array| array.len()).collect();
                wrong(path, format!("arrays of the lengths {lengths:?}: give as many values of each parameter"))
            })?;
            Ok((Some(names), values))
        }
        Content::Table(headings, rows) => {
            let (names, values, _) = columns(headings, rows);
            Ok((names, values))
        }
    }
}

fn of_parameters<A>(
    path: &Path,
    arrays: Vec<(String, ArrayD<f32>)>,
    shaped: impl Fn(&str, ArrayD<f32>) -> Result<A>,
) -> Result<(ParameterNames, Vec<A>)> {
    if arrays.is_empty() {
        return Err(wrong(path, "it holds no array"));
    }
    let names = arrays.iter().map(|(name, _)| name.clone()).collect();
    let arrays = arrays.into_iter().map(|(name, array)| shaped(&name, array));
    Ok((names, arrays.collect::<Result<_>>()?))
}

/// The columns of parameters, with their names, and that of data sets.
fn columns(
    headings: Option<Vec<String>>,
    rows: Array2<f32>,
) -> (Option<ParameterNames>, Array2<f32>, Option<Vec<f32>>) {
    let Some(headings) = headings else { return (None, rows, None) };
    let is_number = |name: &String| [DATA_SET, DRAW, CHAIN].contains(&name.as_str());
    let of_parameters: Vec<usize> = (0..headings.len()).filter(|&i| !is_number(&headings[i])).collect();
    let names = of_parameters.iter().map(|&i| headings[i].clone()).collect();
    let data_set = headings.iter().position(|name| name == DATA_SET);
    let data_sets = data_set.map(|i| rows.slice_axis(Axis(1), Slice::from(i..=i)).iter().copied().collect());
    (Some(names), rows.select(Axis(1), &of_parameters), data_sets)
}
