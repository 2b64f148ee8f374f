//! Reads arrays of numbers, observed data among them.

use crate::{
    IoError, Noted, TableOptions,
    content::{Content, Named},
    draws::{DATA_SET, is_counter},
    error::Result,
    table::{Table, places},
};
use bayesburn_core::{Data, DataShape, InputShape, InvalidData};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, Ix1, Ix3};
use std::path::Path;

/// The array of a file: of any shape, `[rows, columns]` of a table. Columns of a table are in the order of
/// [`TableOptions::columns`].
///
/// # Errors
/// A file that cannot be read or holds no numbers; several arrays without a chosen one; a number too large for `f32`.
/// For a table, also an ambiguous first row; unexpected columns; missing values, unless they are allowed.
pub fn read_array(path: impl AsRef<Path>, options: &TableOptions) -> Result<Noted<ArrayD<f32>>> {
    let path = path.as_ref();
    let Noted { value, mut notes } = Content::read(path, options)?;
    let value = match value {
        Content::Array(array) => array,
        Content::Table(table) => {
            let (rows, note) = selected(table, options).map_err(|reason| wrong(path, reason))?;
            notes.extend(note.map(|note| format!("{}: {note}", path.display())));
            rows.into_dyn()
        }
        Content::Named(Named { arrays, .. }) => {
            let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
            let mut arrays = arrays.into_iter();
            match (arrays.next(), arrays.next()) {
                (Some((_, array)), None) => array,
                (None, _) => return Err(wrong(path, "it holds no array".to_owned())),
                _ => {
                    let example = format!("{}:{}", path.display(), names[0]);
                    return Err(wrong(path, format!("it holds {names:?}: choose one, as `{example}`")));
                }
            }
        }
    };
    Ok(Noted { value, notes })
}

fn wrong(path: &Path, reason: String) -> IoError {
    IoError::Content { path: path.into(), reason }
}

/// The expected columns in their order, with a note for the user.
fn selected(
    Table { names, rows }: Table,
    options: &TableOptions,
) -> std::result::Result<(Array2<f32>, Option<String>), String> {
    let (others, width) = (options.others, rows.ncols());
    let Some(of_table) = names else {
        return match &options.columns {
            Some(expected) if expected.len() + others != width => {
                let more = if others > 0 { format!(" and {others} more") } else { String::new() };
                Err(format!("it has {width} columns, where {expected:?}{more} are expected"))
            }
            Some(expected) if width > 1 => {
                let note = format!("its columns have no names, and were taken for {expected:?} in this order");
                Ok((rows, Some(note)))
            }
            _ => Ok((rows, None)),
        };
    };
    let Some(expected) = &options.columns else {
        if of_table.iter().any(|name| name == DATA_SET) {
            let reason = "numbers data sets, of which a table of observations holds one: give several as an array [M, \
             N, F], by .npy";
            return Err(format!("its column `{DATA_SET}` {reason}"));
        }
        let note =
            format!("its columns, {of_table:?}, were taken in this order, since no names are known to find them by");
        return Ok((rows, (width > 1).then_some(note)));
    };
    let (places, is_other) = places(&of_table, expected, others)?;
    let note = format!("its columns, {of_table:?}, were put in the order {expected:?}");
    Ok((rows.select(Axis(1), &places), is_other.then_some(note)))
}

/// The arrays of an archive, `.npz` or `.safetensors`, with their names.
///
/// # Errors
/// As [`read_array`]; a file of another format.
pub fn read_arrays(path: impl AsRef<Path>) -> Result<Vec<(String, ArrayD<f32>)>> {
    let path = path.as_ref();
    match Content::read(path, &TableOptions::new())?.value {
        Content::Named(Named { arrays, .. }) => Ok(arrays),
        _ => Err(IoError::Format { path: path.into(), formats: ".npz or .safetensors" }),
    }
}

/// Data sets `[M, N, F]` of a file; `[N, F]` is one data set with N observations of F features.
///
/// # Errors
/// As [`read_array`]; an array of fewer or more axes.
pub fn read_observations(path: impl AsRef<Path>, options: &TableOptions) -> Result<Noted<Array3<f32>>> {
    let path = path.as_ref();
    let Noted { value: array, notes } = read_array(path, options)?;
    let shape = array.shape().to_vec();
    let array = if array.ndim() == 2 { array.insert_axis(Axis(0)) } else { array };
    let reason = || format!("an array of shape {shape:?}: give [N, F] for one data set, or [M, N, F] for M of them");
    let value = array.into_dimensionality::<Ix3>().map_err(|_| wrong(path, reason()))?;
    Ok(Noted { value, notes })
}

/// Data sets in the shape that networks were built for, with one input or several.
///
/// - For one input, the file has one array; for several, it is an archive (`.npz` or `.safetensors`) with an array for
///   each, by name.
/// - An array may have an axis for M data sets before those of the shape, or be one data set.
/// - `NAME_rows` beside an array `NAME` is its mask of rows, 0 for padding, and `NAME_mask` its mask of values, 0 for a
///   value that is missing. Of the one array of an archive the masks may be called `rows` and `mask`.
///
/// ```
/// use bayesburn_core::{Data, DataShape};
/// use bayesburn_io::{TableOptions, read_data, write_arrays};
/// use ndarray::array;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("observed.npz");
/// let (series, rows) = (array![[[1.0], [2.0]], [[3.0], [0.0]]].into_dyn(), array![[1.0, 1.0], [1.0, 0.0]].into_dyn());
/// write_arrays(&path, &[("data".to_owned(), series), ("data_rows".to_owned(), rows)])?;
/// let data = read_data(&path, &DataShape::of_sets(1), &TableOptions::new())?.value;
/// assert_eq!(data, Data::padded([array![[1.0], [2.0]], array![[3.0]]])?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`read_array`]; arrays that are missing, or of other axes; masks that do not fit.
pub fn read_data(path: impl AsRef<Path>, shape: &DataShape, options: &TableOptions) -> Result<Noted<Data>> {
    let path = path.as_ref();
    let Noted { value: content, notes } = Content::read(path, options)?;
    let invalid = |error: InvalidData| wrong(path, error.to_string());
    let mut arrays = match content {
        Content::Named(Named { arrays, .. }) => arrays,
        _ => {
            let Noted { value, notes } = read_array(path, options)?;
            let Some(only) = shape.only() else {
                let names: Vec<_> = shape.inputs().iter().map(|input| &input.name).collect();
                let reason = format!("it holds one array: give {names:?} as arrays of an .npz or .safetensors file");
                return Err(wrong(path, reason));
            };
            let data = Data::new(with_sets(path, only, value)?);
            return Ok(Noted { value: named(shape, vec![(only, data)]).map_err(invalid)?, notes });
        }
    };
    let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
    let mut take = |name: &str| {
        let place = arrays.iter().position(|(other, _)| other == name)?;
        Some(arrays.swap_remove(place).1)
    };
    let is_mask =
        |name: &&String| name.ends_with("_rows") || name.ends_with("_mask") || *name == "rows" || *name == "mask";
    let mut inputs = Vec::new();
    for input in shape.inputs() {
        // The one array of an archive may have any name.
        let others: Vec<&String> = names.iter().filter(|name| !is_mask(name)).collect();
        let name = match (shape.only(), &others[..]) {
            (Some(_), [only]) => (*only).clone(),
            _ => input.name.clone(),
        };
        let expected = || format!("no array is named `{name}`, but {names:?} are: give {shape}");
        let data = Data::new(with_sets(path, input, take(&name).ok_or_else(|| wrong(path, expected()))?)?);
        let mut mask = |end: &str| {
            let mask = take(&format!("{name}_{end}")).or_else(|| shape.only().and_then(|_| take(end)));
            mask.map(|mask| if mask.ndim() < 2 { mask.insert_axis(Axis(0)) } else { mask })
        };
        let (rows, there) = (mask("rows"), mask("mask"));
        let data = there.map_or(Ok(data.clone()), |there| {
            let there = if there.ndim() == input.rank() { there.insert_axis(Axis(0)) } else { there };
            data.with_value_mask(there)
        });
        let data = data.and_then(|data| rows.map_or(Ok(data.clone()), |rows| data.with_row_mask(rows)));
        inputs.push((input, data.map_err(invalid)?));
    }
    Ok(Noted { value: named(shape, inputs).map_err(invalid)?, notes })
}

/// Adds the axis for data sets to a single data set.
fn with_sets(path: &Path, input: &InputShape, array: ArrayD<f32>) -> Result<ArrayD<f32>> {
    match array.ndim() {
        axes if axes == input.rank() => Ok(array.insert_axis(Axis(0))),
        axes if axes == input.rank() + 1 => Ok(array),
        _ => {
            let reason = format!(
                "an array of shape {:?} for the input `{}`: give {input}, or an axis of data sets before it",
                array.shape(),
                input.name
            );
            Err(wrong(path, reason))
        }
    }
}

/// Names the inputs as in the shape, if it has names.
fn named(shape: &DataShape, inputs: Vec<(&InputShape, Data)>) -> std::result::Result<Data, InvalidData> {
    if shape.is_named() {
        return Data::named(inputs.into_iter().map(|(input, data)| (input.name.clone(), data)));
    }
    inputs.into_iter().next().map(|(_, data)| data).ok_or(InvalidData::Nothing)
}

/// One number for each data set, `[M]`: an array, or the only column of a table besides those that count rows.
///
/// # Errors
/// As [`read_array`]; another shape; a table with several such columns.
pub fn read_values(path: impl AsRef<Path>, options: &TableOptions) -> Result<Noted<Array1<f32>>> {
    let path = path.as_ref();
    let Noted { value, notes } = Content::read(path, options)?;
    if let Content::Table(Table { names, rows }) = value {
        let names = names.unwrap_or_else(|| vec![String::new(); rows.ncols()]);
        let mut columns = (0..rows.ncols()).filter(|&i| !is_counter(&names[i]));
        return match (columns.next(), columns.next()) {
            (Some(column), None) => Ok(Noted { value: rows.column(column).to_owned(), notes }),
            _ => Err(wrong(path, format!("the columns {names:?}: give one column of values"))),
        };
    }
    let Noted { value: array, notes } = read_array(path, options)?;
    let shape = array.shape().to_vec();
    let array = array.into_dimensionality::<Ix1>();
    let value = array.map_err(|_| wrong(path, format!("an array of shape {shape:?}: give [M]")))?;
    Ok(Noted { value, notes })
}
