//! Writes a batch of simulations to one file, and reads it back.

use super::{
    DataError,
    mapping::MAPS,
    part::{Key, arrays, check, gather},
    read::{INVALID, NAMES_KEY, PANICKED, origin, safetensors},
};
use bayesburn_core::{SimulationId, Simulations, files};
use ndarray::{CowArray, IxDyn};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use std::{
    collections::HashMap,
    io::{self, Write},
    path::Path,
};

/// Writes a batch to a `.safetensors` file, which other programs can read. It holds f32 arrays with the names that
/// [`Dataset::open`](crate::Dataset::open) lists, and the parameters' names as a JSON list under the metadata key
/// `parameter_names`. If any simulations were invalid, an array `invalid` of type U64, `[K, 5]` (seed, index, attempt,
/// first, batch) holds [`Simulations::invalid`], and an array `panicked` of type U8, the bytes of a JSON list, holds
/// [`Simulations::panicked`].
///
/// The file is written atomically, replaces an existing one, and has the same bytes for the same batch.
///
/// # Errors
/// Arrays that do not fit each other; a file that cannot be written.
///
/// ```
/// use bayesburn_core::Simulations;
/// use bayesburn_simulation::{load_simulations, save_simulations};
/// use ndarray::{Array2, array};
///
/// let batch = Simulations::new(["mu".into()].into(), array![[0.5], [2.0]], Array2::ones((2, 50)).into_dyn())?;
/// let folder = tempfile::tempdir()?;
/// save_simulations(&batch, folder.path().join("batch.safetensors"))?;
/// assert_eq!(load_simulations(folder.path().join("batch.safetensors"))?, batch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save_simulations(simulations: &Simulations, path: impl AsRef<Path>) -> Result<(), DataError> {
    let path = path.as_ref();
    let arrays = arrays(simulations);
    let shapes: Vec<_> = arrays.iter().map(|(key, array)| (key.clone(), array.shape())).collect();
    check("the batch", Some(simulations.parameter_names.len()), &shapes)?;
    let panicked = match simulations.panicked.is_empty() {
        true => Vec::new(),
        false => serde_json::to_vec(&simulations.panicked).map_err(io::Error::from).map_err(DataError::write(path))?,
    };
    let header =
        header(simulations, &arrays, panicked.len()).map_err(io::Error::other).map_err(DataError::write(path))?;
    let write = |file: &mut io::BufWriter<files::NewFile>| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for id in &simulations.invalid {
            file.write_all(&encode(id))?;
        }
        for (_, array) in &arrays {
            match array.as_slice() {
                // In pieces, since one value at a time costs four times as long.
                Some(values) => {
                    for piece in values.chunks(1024) {
                        let mut bytes = [0; 4096];
                        for (slot, value) in bytes.as_chunks_mut().0.iter_mut().zip(piece) {
                            *slot = value.to_le_bytes();
                        }
                        file.write_all(&bytes[..4 * piece.len()])?;
                    }
                }
                None => array.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?,
            }
        }
        file.write_all(&panicked)
    };
    files::write_atomically(path, write).map_err(DataError::write(path))
}

/// Reads a batch that [`save_simulations`] wrote, or a shard of [`presimulate`](crate::GenerativeModel::presimulate),
/// to the bit.
///
/// Files of other programs are read as well, see [`Dataset::open`](crate::Dataset::open). If a file has no names,
/// parameters are named `theta_1`, `theta_2` and so on.
///
/// # Errors
/// A file that is missing or damaged, or that does not hold simulations.
pub fn load_simulations(path: impl AsRef<Path>) -> Result<Simulations, DataError> {
    let part = safetensors(path.as_ref(), &MAPS)?;
    if part.rows() == 0 {
        return Err(DataError::NoRows { origin: origin(path.as_ref()) });
    }
    let names = part.names.clone().unwrap_or_else(|| default_names(part.num_parameters()));
    let rows: Vec<_> = (0..part.rows()).map(|row| (&part, row)).collect();
    Ok(Simulations { invalid: part.invalid.clone(), panicked: part.panicked.clone(), ..gather(names, &rows)? })
}

pub(crate) fn default_names(num_parameters: usize) -> bayesburn_core::ParameterNames {
    (1..=num_parameters).map(|i| format!("theta_{i}")).collect()
}

/// The header of the file, with so many bytes of what panicked: JSON, padded by spaces to a multiple of 8 bytes.
fn header(
    simulations: &Simulations,
    arrays: &[(Key, CowArray<'_, f32, IxDyn>)],
    panicked: usize,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let (mut tensors, mut end) = (Vec::new(), 0);
    let mut add = |name: &str, dtype: Dtype, shape: &[usize]| {
        let begin = end;
        end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        tensors.push((name.to_owned(), TensorInfo { dtype, shape: shape.to_vec(), data_offsets: (begin, end) }));
    };
    // The longest elements first, so that every array begins at a multiple of its element's size.
    if !simulations.invalid.is_empty() {
        add(INVALID, Dtype::U64, &[simulations.invalid.len(), 5]);
    }
    for (key, array) in arrays {
        add(&key.to_string(), Dtype::F32, array.shape());
    }
    if panicked > 0 {
        add(PANICKED, Dtype::U8, &[panicked]);
    }
    // One key: the order of several would be that of a hash map, which is random.
    let names = serde_json::to_string(&simulations.parameter_names[..])?;
    let metadata = Metadata::new(Some(HashMap::from([(NAMES_KEY.to_owned(), names)])), tensors)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn encode(id: &SimulationId) -> Vec<u8> {
    let words = [id.seed, id.index, u64::from(id.attempt), id.first, id.batch as u64];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(crate) fn decode_invalid(bytes: &[u8], info: &TensorInfo) -> Option<Vec<SimulationId>> {
    if info.dtype != Dtype::U64 || info.shape.len() != 2 || info.shape[1] != 5 {
        return None;
    }
    let id = |row: &[u8; 40]| {
        let word = |i: usize| u64::from_le_bytes(row.as_chunks().0[i]);
        let (attempt, batch) = (u32::try_from(word(2)).ok()?, usize::try_from(word(4)).ok()?);
        Some(SimulationId { seed: word(0), index: word(1), attempt, first: word(3), batch })
    };
    bytes.as_chunks().0.iter().map(id).collect()
}
