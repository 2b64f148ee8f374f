//! Reads files of simulations: `.safetensors`, `.npz` and folders of `.npy` files.

use super::{
    DataError,
    column::{Column, map},
    element::Element,
    file::decode_invalid,
    part::{Part, Role},
};
use bayesburn_core::ParameterNames;
use ndarray::{ArrayD, OwnedRepr, ShapeBuilder};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpzError, npy::header::Header};
use safetensors::SafeTensors;
use std::{
    fs::{self, File},
    path::Path,
};

/// The key of the metadata under which a `.safetensors` file has the parameters' names, as a JSON list.
pub(crate) const NAMES_KEY: &str = "parameter_names";

/// The array of the attempts that were not finite, which only bayesburn writes.
pub(crate) const INVALID: &str = "invalid";

pub(crate) fn origin(path: &Path) -> String {
    format!("`{}`", path.display())
}

fn damaged(path: &Path) -> impl Fn(String) -> DataError {
    move |message| DataError::Damaged { path: path.to_owned(), message }
}

pub(crate) fn safetensors(path: &Path) -> Result<Part, DataError> {
    let (map, origin, damaged) = (map(path)?, origin(path), damaged(path));
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|error| damaged(error.to_string()))?;
    let names = metadata.metadata().as_ref().and_then(|entries| entries.get(NAMES_KEY));
    let names: Option<ParameterNames> = names
        .map(|text| serde_json::from_str::<Vec<String>>(text).map(Into::into))
        .transpose()
        .map_err(|error| damaged(format!("its metadata `{NAMES_KEY}` is no JSON list of names: {error}")))?;
    let (mut arrays, mut invalid) = (Vec::new(), Vec::new());
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).ok_or_else(|| damaged(format!("no tensor `{name}`")))?;
        // 8 bytes of length stand before the header.
        let offset = 8 + header + info.data_offsets.0;
        if name == INVALID {
            invalid = decode_invalid(&map[offset..8 + header + info.data_offsets.1], info)
                .ok_or_else(|| damaged(format!("`{INVALID}` is not of type U64 and shape [K, 5]")))?;
            continue;
        }
        let role = Role::named(&name, &origin)?;
        let element = Element::from_safetensors(info.dtype).ok_or_else(|| DataError::ElementType {
            origin: origin.clone(),
            name: name.clone(),
            got: info.dtype.to_string(),
        })?;
        let column = Column::mapped(&map, offset, element, &info.shape);
        arrays.push((role, column.ok_or_else(|| damaged(format!("`{name}` ends beyond the file")))?));
    }
    Part::new(origin, names, arrays, invalid)
}

/// One `.npy` file: mapped in row-major order, read into memory in column-major (Fortran) order.
fn npy(path: &Path, name: &str) -> Result<Column, DataError> {
    let (map, damaged) = (map(path)?, damaged(path));
    let mut rest = &map[..];
    let header = Header::from_reader(&mut rest).map_err(|error| damaged(error.to_string()))?;
    let offset = map.len() - rest.len();
    let descriptor = header.type_descriptor.as_string();
    let element = descriptor.and_then(|text| Element::from_npy(text)).ok_or_else(|| DataError::ElementType {
        origin: origin(path),
        name: name.to_owned(),
        got: descriptor.map_or_else(|| header.type_descriptor.to_string(), Clone::clone),
    })?;
    let bytes = header.shape.iter().try_fold(element.size(), |bytes, &n| bytes.checked_mul(n));
    if bytes != Some(rest.len()) {
        let (got, shape) = (rest.len(), &header.shape);
        return Err(damaged(format!("{got} bytes of data do not hold {element:?} values of shape {shape:?}")));
    }
    if header.layout.is_fortran() && header.shape.len() > 1 {
        let mut values = Vec::with_capacity(rest.len() / element.size());
        element.extend(rest, &mut values);
        let array = ArrayD::from_shape_vec(header.shape.f(), values).map_err(|error| damaged(error.to_string()))?;
        return Ok(Column::in_memory(array));
    }
    Column::mapped(&map, offset, element, &header.shape).ok_or_else(|| damaged("its data end beyond it".to_owned()))
}

/// A folder of `.npy` files; files of other types are not looked at.
pub(crate) fn npy_folder(folder: &Path) -> Result<Part, DataError> {
    let origin = origin(folder);
    let mut arrays = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder))? {
        let path = entry.map_err(DataError::io(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "npy") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            arrays.push((Role::named(&name, &origin)?, npy(&path, &name)?));
        }
    }
    Part::new(origin, None, arrays, Vec::new())
}

/// A `.npz` file, read into memory whole.
pub(crate) fn npz(path: &Path) -> Result<Part, DataError> {
    let (origin, damaged) = (origin(path), damaged(path));
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut reader = NpzReader::new(file).map_err(|error| damaged(error.to_string()))?;
    let mut arrays = Vec::new();
    for name in reader.names().map_err(|error| damaged(error.to_string()))? {
        let role = Role::named(&name, &origin)?;
        let array = npz_array(&mut reader, &name).map_err(|error| match error {
            ReadNpzError::Npy(ReadNpyError::WrongDescriptor(descriptor)) => DataError::ElementType {
                origin: origin.clone(),
                name: name.clone(),
                got: descriptor.as_string().map_or_else(|| descriptor.to_string(), Clone::clone),
            },
            error => damaged(format!("`{name}`: {error}")),
        })?;
        arrays.push((role, Column::in_memory(array)));
    }
    Part::new(origin, None, arrays, Vec::new())
}

/// Tries one element type after the other; a type that does not fit is found out from the header, before data are unpacked.
fn npz_array(reader: &mut NpzReader<File>, name: &str) -> Result<ArrayD<f32>, ReadNpzError> {
    macro_rules! try_as {
        ($($element:ty => $convert:expr),* $(,)?) => {
            $(match reader.by_name::<OwnedRepr<$element>, ndarray::IxDyn>(name) {
                Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => {}
                other => return other.map(|array| array.mapv($convert)),
            })*
        };
    }
    try_as!(
        f64 => |v| v as f32,
        i64 => |v| v as f32,
        i32 => |v| v as f32,
        i16 => f32::from,
        i8 => f32::from,
        u64 => |v| v as f32,
        u32 => |v| v as f32,
        u16 => f32::from,
        u8 => f32::from,
        bool => |v| f32::from(u8::from(v)),
    );
    // The last gives the error, if it is none of them.
    reader.by_name::<OwnedRepr<f32>, ndarray::IxDyn>(name)
}
