//! Reads files of simulations: `.safetensors`, `.npz` and folders of `.npy` files.

use super::{
    DataError,
    column::Column,
    file::decode_invalid,
    mapping::Maps,
    part::{Key, Part},
};
use bayesburn_core::ParameterNames;
use bayesburn_io::{Element, NpyError, NpyHeader, read_npz};
use safetensors::SafeTensors;
use std::{fs, path::Path};

/// The key of the metadata under which a `.safetensors` file has the parameters' names, as a JSON list.
pub(crate) const NAMES_KEY: &str = "parameter_names";

/// The array of the attempts that were not finite, which only bayesburn writes.
pub(crate) const INVALID: &str = "invalid";

/// The bytes of a JSON list of those that panicked, likewise.
pub(crate) const PANICKED: &str = "panicked";

pub(crate) fn origin(path: &Path) -> String {
    format!("`{}`", path.display())
}

fn damaged(path: &Path) -> impl Fn(String) -> DataError {
    move |message| DataError::Damaged { path: path.to_owned(), message }
}

pub(crate) fn safetensors(path: &Path, maps: &'static Maps) -> Result<Part, DataError> {
    let ((map, file), origin, damaged) = (maps.open(path)?, origin(path), damaged(path));
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|error| damaged(error.to_string()))?;
    let names = metadata.metadata().as_ref().and_then(|entries| entries.get(NAMES_KEY));
    let names: Option<ParameterNames> = names
        .map(|text| serde_json::from_str::<Vec<String>>(text).map(Into::into))
        .transpose()
        .map_err(|error| damaged(format!("its metadata `{NAMES_KEY}` is no JSON list of names: {error}")))?;
    let (mut arrays, mut invalid, mut panicked) = (Vec::new(), Vec::new(), Vec::new());
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).ok_or_else(|| damaged(format!("no tensor `{name}`")))?;
        // 8 bytes of length stand before the header.
        let offset = 8 + header + info.data_offsets.0;
        let bytes = || &map[offset..8 + header + info.data_offsets.1];
        if name == INVALID {
            invalid = decode_invalid(bytes(), info)
                .ok_or_else(|| damaged(format!("`{INVALID}` is not of type U64 and shape [K, 5]")))?;
            continue;
        }
        if name == PANICKED {
            panicked = serde_json::from_slice(bytes())
                .map_err(|error| damaged(format!("`{PANICKED}` is no JSON list of messages: {error}")))?;
            continue;
        }
        let key = Key::named(&name, &origin)?;
        let element = Element::from_safetensors(info.dtype).ok_or_else(|| DataError::ElementType {
            origin: origin.clone(),
            name: name.clone(),
            got: info.dtype.to_string(),
        })?;
        let column = Column::in_file((&file, map.len()), offset, element, &info.shape);
        let outside = || damaged(format!("`{name}`, of shape {:?}, does not lie within the file", info.shape));
        arrays.push((key, column.ok_or_else(outside)?));
    }
    Part::new(origin, names, arrays, (invalid, panicked))
}

/// One `.npy` file: mapped in row-major order, read into memory in column-major (Fortran) order.
fn npy(path: &Path, name: &str, maps: &'static Maps) -> Result<Column, DataError> {
    let ((map, file), damaged) = (maps.open(path)?, damaged(path));
    let wrong = wrong_array(path, name);
    let mut rest = &map[..];
    let header = NpyHeader::read(&mut rest).map_err(&wrong)?;
    if (header.is_fortran && header.shape.len() > 1) || header.is_big_endian {
        return header.array(rest.to_vec()).map(Column::in_memory).map_err(wrong);
    }
    let (got, shape, element) = (rest.len(), &header.shape, header.element);
    if header.num_bytes() != Some(got) {
        return Err(damaged(format!("{got} bytes of data do not hold {element:?} values of shape {shape:?}")));
    }
    let column = Column::in_file((&file, map.len()), map.len() - got, element, shape);
    column.ok_or_else(|| damaged("its data end beyond it".to_owned()))
}

/// What is wrong with the array of this name.
fn wrong_array(path: &Path, name: &str) -> impl Fn(NpyError) -> DataError {
    move |error| match error {
        NpyError::ElementType(got) => DataError::ElementType { origin: origin(path), name: name.to_owned(), got },
        other => DataError::Damaged { path: path.to_owned(), message: format!("`{name}`: {other}") },
    }
}

/// A folder of `.npy` files; files of other types are not looked at.
pub(crate) fn npy_folder(folder: &Path, maps: &'static Maps) -> Result<Part, DataError> {
    let origin = origin(folder);
    let mut arrays = Vec::new();
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut paths: Vec<_> = entries.map_err(DataError::read(folder))?.iter().map(fs::DirEntry::path).collect();
    // Inputs are in the order of their names.
    paths.sort();
    for path in paths {
        if path.extension().is_some_and(|extension| extension == "npy") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            arrays.push((Key::named(&name, &origin)?, npy(&path, &name, maps)?));
        }
    }
    Part::new(origin, None, arrays, Default::default())
}

/// A `.npz` file, read into memory whole.
pub(crate) fn npz(path: &Path) -> Result<Part, DataError> {
    let (origin, damaged) = (origin(path), damaged(path));
    let bytes = fs::read(path).map_err(DataError::read(path))?;
    let mut arrays = Vec::new();
    for (name, array) in read_npz(bytes).map_err(|error| damaged(error.to_string()))? {
        let key = Key::named(&name, &origin)?;
        arrays.push((key, Column::in_memory(array.map_err(wrong_array(path, &name))?)));
    }
    Part::new(origin, None, arrays, Default::default())
}
