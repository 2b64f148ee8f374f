//! Reads a file of any format.

use crate::{
    Element, IoError, NamedArray, Noted, NpyError, NpyHeader, TableOptions,
    error::Result,
    npy::{read_npy, read_npz_with},
    table::{Table, parse, too_large},
};
use bayesburn_core::FileError;
use ndarray::ArrayD;
use safetensors::{SafeTensors, tensor::TensorView};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The formats that are read.
const FORMATS: &str = ".npy, .npz, .csv or .safetensors";
/// The metadata key of a safetensors file for the order of its arrays, a JSON list of names: the format itself sorts
/// them.
pub(crate) const ORDER: &str = "parameters";

/// The content of a file.
pub(crate) enum Content {
    /// An array without a name.
    Array(ArrayD<f32>),
    /// Named arrays: several, or one that was not chosen by name.
    Named(Named),
    /// Rows of numbers, perhaps with the names of their columns.
    Table(Table),
}

/// Arrays with names.
pub(crate) struct Named {
    pub(crate) arrays: Vec<(String, ArrayD<f32>)>,
    /// Whether their order is the one in which they were written, and so is meaningful.
    pub(crate) are_ordered: bool,
}

/// The arrays of an archive, some of which may fail to parse, and whether their order is the one in which they were
/// written.
type Archive = (Vec<(String, Parsed<ArrayD<f32>>)>, bool);

impl Content {
    /// Reads a file, or only the array whose name follows the path and a colon.
    pub(crate) fn read(path: &Path, options: &TableOptions) -> Result<Noted<Self>> {
        let (path, chosen) = with_name(path);
        let format = extension(&path);
        let known = matches!(format.as_deref(), Some("npy" | "npz" | "csv" | "safetensors"));
        if !known {
            return Err(IoError::Format { path, formats: FORMATS });
        }
        let bytes = fs::read(&path).map_err(FileError::read(&path))?;
        let wrong = |reason| IoError::Content { path: path.clone(), reason };
        let archive = match format.as_deref() {
            Some("npy") => return npy(&bytes).map(Self::Array).map(Noted::of).map_err(wrong),
            Some("csv") => {
                let Noted { value, notes } = parse(&bytes, options).map_err(wrong)?;
                let notes = notes.into_iter().map(|note| format!("{}: {note}", path.display())).collect();
                return Ok(Noted { value: Self::Table(value), notes });
            }
            Some("npz") => npz(&bytes),
            _ => tensors(&bytes),
        };
        let (arrays, are_ordered) = archive.map_err(wrong)?;
        let Some(chosen) = chosen else {
            let sound = |(name, array): (String, Parsed<_>)| match array {
                Ok(array) => Ok((name, array)),
                Err(reason) => Err(wrong(format!("array `{name}`: {reason}"))),
            };
            let arrays = arrays.into_iter().map(sound).collect::<Result<_>>()?;
            return Ok(Noted::of(Self::Named(Named { arrays, are_ordered })));
        };
        // Errors of other arrays of the archive do not matter.
        let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
        match arrays.into_iter().find(|(name, _)| *name == chosen) {
            Some((_, array)) => {
                array.map(Self::Array).map(Noted::of).map_err(|reason| wrong(format!("array `{chosen}`: {reason}")))
            }
            None => Err(wrong(format!("no array is named `{chosen}`, but {names:?} are"))),
        }
    }
}

/// Splits a path from the name of an array.
fn with_name(path: &Path) -> (PathBuf, Option<String>) {
    let text = path.to_string_lossy();
    if !path.exists()
        && let Some((file, name)) = text.rsplit_once(':')
        && matches!(extension(Path::new(file)).as_deref(), Some("npz" | "safetensors"))
    {
        return (file.into(), Some(name.to_owned()));
    }
    (path.to_owned(), None)
}

/// The extension of a path, in lower case.
pub(crate) fn extension(path: &Path) -> Option<String> {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

type Parsed<T> = std::result::Result<T, String>;

fn npy(bytes: &[u8]) -> Parsed<ArrayD<f32>> {
    let array = read_npy(&mut &*bytes).and_then(|(header, bytes)| in_range(header, bytes));
    array.map_err(|error| error.to_string())
}

/// The array, if f32 can hold it.
fn in_range(header: NpyHeader, mut bytes: Vec<u8>) -> std::result::Result<ArrayD<f32>, NpyError> {
    header.to_little_endian(&mut bytes);
    match header.element.first_too_large(&bytes) {
        Some(value) => Err(NpyError::Damaged(too_large(value))),
        None => NpyHeader { is_big_endian: false, ..header }.array(bytes),
    }
}

fn npz(bytes: &[u8]) -> Parsed<Archive> {
    let arrays = read_npz_with(bytes, in_range).map_err(|error| error.to_string())?;
    let in_words = |(name, array): NamedArray| (name, array.map_err(|error| error.to_string()));
    Ok((arrays.into_iter().map(in_words).collect(), true))
}

fn tensors(bytes: &[u8]) -> Parsed<Archive> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    names.sort();
    let order = metadata.metadata().as_ref().and_then(|metadata| serde_json::from_str(metadata.get(ORDER)?).ok());
    let order: Vec<String> = order.unwrap_or_default();
    let are_ordered = names.iter().all(|name| order.contains(name));
    let place = |name: &String| order.iter().position(|ordered| ordered == name).unwrap_or(usize::MAX);
    names.sort_by_key(place);
    let array = |name: String| {
        let array = file.tensor(&name).map_err(|error| error.to_string()).and_then(|tensor| of_tensor(&tensor));
        (name, array)
    };
    Ok((names.into_iter().map(array).collect(), are_ordered))
}

fn of_tensor(tensor: &TensorView<'_>) -> Parsed<ArrayD<f32>> {
    let dtype = tensor.dtype();
    let element = Element::from_safetensors(dtype).ok_or_else(|| format!("its type is {dtype}: save it as float32"))?;
    if let Some(value) = element.first_too_large(tensor.data()) {
        return Err(too_large(value));
    }
    let mut values = Vec::new();
    element.extend(tensor.data(), &mut values);
    ArrayD::from_shape_vec(tensor.shape(), values).map_err(|error| error.to_string())
}
