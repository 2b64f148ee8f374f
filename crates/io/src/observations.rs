//! Reads arrays of numbers, observed data among them.

use crate::{
    IoError,
    content::{Content, Named},
    draws::COUNTERS,
    error::Result,
};
use ndarray::{Array1, Array3, ArrayD, Axis, Ix1, Ix3};
use std::path::Path;

/// The array of a file: of any shape, `[rows, columns]` of a table.
///
/// # Errors
/// A file that cannot be read or holds no numbers; several arrays, none of which is chosen; a number that `f32` cannot hold.
pub fn read_array(path: impl AsRef<Path>) -> Result<ArrayD<f32>> {
    let path = path.as_ref();
    match Content::read(path)? {
        Content::Array(array) => Ok(array),
        Content::Table(_, rows) => Ok(rows.into_dyn()),
        Content::Named(Named { arrays, .. }) => {
            let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
            let mut arrays = arrays.into_iter();
            match (arrays.next(), arrays.next()) {
                (Some((_, array)), None) => Ok(array),
                (None, _) => Err(IoError::Content { path: path.into(), reason: "it holds no array".to_owned() }),
                _ => {
                    let example = format!("{}:{}", path.display(), names[0]);
                    let reason = format!("it holds {names:?}: choose one, as `{example}`");
                    Err(IoError::Content { path: path.into(), reason })
                }
            }
        }
    }
}

/// The arrays of an archive, `.npz` or `.safetensors`, with their names.
///
/// # Errors
/// As [`read_array`]; a file of another format.
pub fn read_arrays(path: impl AsRef<Path>) -> Result<Vec<(String, ArrayD<f32>)>> {
    let path = path.as_ref();
    match Content::read(path)? {
        Content::Named(Named { arrays, .. }) => Ok(arrays),
        _ => Err(IoError::Format { path: path.into(), formats: ".npz or .safetensors" }),
    }
}

/// Data sets `[M, N, F]` of a file; `[N, F]` is one of N observations of F features.
///
/// # Errors
/// As [`read_array`]; an array of fewer or more axes.
pub fn read_observations(path: impl AsRef<Path>) -> Result<Array3<f32>> {
    let path = path.as_ref();
    let array = read_array(path)?;
    let shape = array.shape().to_vec();
    let array = if array.ndim() == 2 { array.insert_axis(Axis(0)) } else { array };
    array.into_dimensionality::<Ix3>().map_err(|_| IoError::Content {
        path: path.into(),
        reason: format!("an array of shape {shape:?}: give [N, F] for one data set, or [M, N, F] for M of them"),
    })
}

/// One number for each data set, `[M]`: an array, or the one column of a table beside those that count rows.
///
/// # Errors
/// As [`read_array`]; another shape; a table with several such columns.
pub fn read_values(path: impl AsRef<Path>) -> Result<Array1<f32>> {
    let path = path.as_ref();
    let wrong = |reason: String| IoError::Content { path: path.into(), reason };
    if let Content::Table(names, rows) = Content::read(path)? {
        let names = names.unwrap_or_else(|| vec![String::new(); rows.ncols()]);
        let mut columns = (0..rows.ncols()).filter(|&i| !COUNTERS.contains(&names[i].as_str()));
        return match (columns.next(), columns.next()) {
            (Some(column), None) => Ok(rows.column(column).to_owned()),
            _ => Err(wrong(format!("the columns {names:?}: give one column of values"))),
        };
    }
    let array = read_array(path)?;
    let shape = array.shape().to_vec();
    array.into_dimensionality::<Ix1>().map_err(|_| wrong(format!("an array of shape {shape:?}: give [M]")))
}
