//! Writes draws and other numbers.

use crate::{
    IoError,
    content::{ORDER, extension},
    draws::{CHAIN, DATA_SET, DRAW, ROW, is_counter},
    error::Result,
    heading::{heading_of, is_nameless},
};
use bayesburn_core::{
    Draws, FileError,
    files::{NewFile, operation::create_folder, write_atomically},
};
use ndarray::{Array1, ArrayD, Axis, s};
use ndarray_npy::{NpzWriter, WriteNpyExt};
use netcdf_writer::{NcAttrValue, NcFileBuilder, NcWriteFormat, NcWriteOptions};
use safetensors::{Dtype, serialize, tensor::TensorView};
use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, Write},
    path::Path,
};

const OF_DRAWS: &str = ".npy, .npz, .csv, .safetensors or .nc";
const OF_VALUES: &str = ".npy or .csv";
const OF_ARRAYS: &str = ".npz or .safetensors";

/// Refuses a path whose format [`write_draws`] does not support. Call it before hours of drawing.
///
/// # Errors
/// An unsupported extension.
pub fn check_draws_path(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    match extension(path).as_deref() {
        Some("npy" | "npz" | "csv" | "safetensors" | "nc") => Ok(()),
        _ => Err(IoError::Format { path: path.into(), formats: OF_DRAWS }),
    }
}

/// Refuses a path whose format [`write_values`] does not support. Call it before anything is computed.
///
/// # Errors
/// An unsupported extension.
pub fn check_values_path(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    match extension(path).as_deref() {
        Some("npy" | "csv") => Ok(()),
        _ => Err(IoError::Format { path: path.into(), formats: OF_VALUES }),
    }
}

/// Refuses names of parameters that the format of a path cannot represent.
///
/// # Errors
/// In tables, names of counting columns, empty names, and numbers; in NetCDF, names of dimensions, and names with a
/// `/`.
pub fn check_draws_names(path: impl AsRef<Path>, names: &[String]) -> Result<()> {
    let path = path.as_ref();
    let has_room = |name: &String| match extension(path).as_deref() {
        Some("csv") => !is_counter(name) && !is_nameless(name.trim()) && name.trim().parse::<f64>().is_err(),
        Some("nc") => !name.contains('/') && ![CHAIN, DRAW, DATA_SET].contains(&name.as_str()),
        _ => true,
    };
    match names.iter().find(|name| !has_room(name)) {
        Some(name) => {
            let reason = format!("this format has no room for a parameter named `{name}`: use .npz");
            Err(IoError::Content { path: path.into(), reason })
        }
        None => Ok(()),
    }
}

/// Writes draws in the format of the path's extension. An existing file is replaced; folders are created.
///
/// - `.npy`: `[M, L, D]`, without names.
/// - `.npz`, `.safetensors`: an array `[M, L]` for each parameter.
/// - `.csv`: the columns `data_set`, `draw`, and one for each parameter. A name that a spreadsheet would take for a
///   formula, since it begins with `=`, `+`, `-` or `@`, has an apostrophe before it, which readers of this crate take
///   off again.
/// - `.nc`: the group `posterior` with a variable for each parameter, `[chain, draw]` of one data set and `[chain,
///   draw, data_set]` of more, with one chain.
///
/// # Errors
/// An unsupported extension; names that the format cannot represent; a file that cannot be written.
pub fn write_draws(path: impl AsRef<Path>, draws: &Draws) -> Result<()> {
    let path = path.as_ref();
    check_draws_path(path)?;
    check_draws_names(path, draws.names())?;
    write(path, |file| match extension(path).as_deref() {
        Some("npy") => draws.values().write_npy(file).map_err(io::Error::other),
        Some("csv") => table(file, draws).map_err(io::Error::other),
        Some("nc") => netcdf(file, draws),
        format => {
            let of = |i| draws.values().index_axis(Axis(2), i).to_owned().into_dyn();
            let arrays: Vec<_> = draws.names().iter().enumerate().map(|(i, name)| (name.clone(), of(i))).collect();
            archive(file, &arrays, format == Some("npz"))
        }
    })
}

/// Writes named arrays, as `.npz` or `.safetensors`.
///
/// # Errors
/// An unsupported extension; a file that cannot be written.
pub fn write_arrays(path: impl AsRef<Path>, arrays: &[(String, ArrayD<f32>)]) -> Result<()> {
    let path = path.as_ref();
    match extension(path).as_deref() {
        Some(format @ ("npz" | "safetensors")) => write(path, |file| archive(file, arrays, format == "npz")),
        _ => Err(IoError::Format { path: path.into(), formats: OF_ARRAYS }),
    }
}

/// Writes numbers, as `.npy` or as a table with the columns `row` and this name.
///
/// # Errors
/// An unsupported extension; a file that cannot be written.
pub fn write_values(path: impl AsRef<Path>, name: &str, values: &Array1<f32>) -> Result<()> {
    let path = path.as_ref();
    check_values_path(path)?;
    write(path, |file| match extension(path).as_deref() {
        Some("npy") => values.write_npy(file).map_err(io::Error::other),
        _ => {
            let mut table = csv::Writer::from_writer(file);
            table.write_record([ROW, &heading_of(name)])?;
            for (i, value) in values.iter().enumerate() {
                table.write_record([i.to_string(), value.to_string()])?;
            }
            table.flush()
        }
    })
}

fn write(path: &Path, content: impl FnOnce(&mut io::BufWriter<NewFile>) -> io::Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = folder.map_or(Ok(()), create_folder).and_then(|()| write_atomically(path, content));
    Ok(written.map_err(FileError::write(path))?)
}

fn table(file: impl Write, draws: &Draws) -> csv::Result<()> {
    let mut table = csv::Writer::from_writer(file);
    let names = draws.names().iter().map(|name| heading_of(name));
    table.write_record([DATA_SET, DRAW].map(Cow::Borrowed).into_iter().chain(names).map(|name| name.into_owned()))?;
    for (data_set, draws) in draws.values().outer_iter().enumerate() {
        for (draw, theta) in draws.outer_iter().enumerate() {
            let start = [data_set.to_string(), draw.to_string()];
            table.write_record(start.into_iter().chain(theta.iter().map(f32::to_string)))?;
        }
    }
    Ok(table.flush()?)
}

fn archive(file: &mut (impl Write + io::Seek), arrays: &[(String, ArrayD<f32>)], is_npz: bool) -> io::Result<()> {
    if is_npz {
        let mut archive = NpzWriter::new_compressed(file);
        for (name, array) in arrays {
            archive.add_array(name.as_str(), array).map_err(io::Error::other)?;
        }
        return archive.finish().map(|_| ()).map_err(io::Error::other);
    }
    let bytes = |array: &ArrayD<f32>| array.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let data: Vec<(String, Vec<usize>, Vec<u8>)> =
        arrays.iter().map(|(name, array)| (name.clone(), array.shape().to_vec(), bytes(array))).collect();
    let views = data
        .iter()
        .map(|(name, shape, bytes)| TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.clone(), view)));
    let views = views.collect::<std::result::Result<Vec<_>, _>>();
    let names: Vec<&String> = arrays.iter().map(|(name, _)| name).collect();
    let order = serde_json::to_string(&names).map_err(io::Error::other)?;
    let metadata = HashMap::from([(ORDER.to_owned(), order)]);
    let file_bytes = views.and_then(|views| serialize(views, Some(metadata))).map_err(io::Error::other)?;
    file.write_all(&file_bytes)
}

fn netcdf(file: &mut impl Write, draws: &Draws) -> io::Result<()> {
    let (data_sets, per_data_set, _) = draws.values().dim();
    let mut builder = NcFileBuilder::new();
    let failed = |error: netcdf_writer::Error| io::Error::other(error);
    let group = "posterior";
    let dimension = |builder: &mut NcFileBuilder, name: &str, len: usize| {
        builder.add_dimension_path(format!("{group}/{name}"), len as u64).map_err(failed)
    };
    let mut dimensions = vec![dimension(&mut builder, CHAIN, 1)?, dimension(&mut builder, DRAW, per_data_set)?];
    if data_sets > 1 {
        dimensions.push(dimension(&mut builder, DATA_SET, data_sets)?);
    }
    let numbers = [(CHAIN, 1), (DRAW, per_data_set), (DATA_SET, data_sets)];
    for (&dimension, (name, len)) in dimensions.iter().zip(numbers) {
        let variable = builder.add_variable_path::<i64>(format!("{group}/{name}"), &[dimension]).map_err(failed)?;
        let values: Vec<i64> = (0..len as i64).collect();
        builder.write_variable(variable, &values).map_err(failed)?;
    }
    let library = ("inference_library", "bayesburn");
    let version = ("inference_library_version", env!("CARGO_PKG_VERSION"));
    for (name, value) in [library, version] {
        builder.add_group_attribute(group, name, NcAttrValue::Chars(value.to_owned())).map_err(failed)?;
    }
    for (i, name) in draws.names().iter().enumerate() {
        let variable = builder.add_variable_path::<f32>(format!("{group}/{name}"), &dimensions).map_err(failed)?;
        // Draws before data sets.
        let values: Vec<f32> = draws.values().slice(s![.., .., i]).t().iter().copied().collect();
        builder.write_variable(variable, &values).map_err(failed)?;
    }
    builder.write(file, NcWriteOptions { format: NcWriteFormat::Nc4 }).map(|_| ()).map_err(failed)
}
