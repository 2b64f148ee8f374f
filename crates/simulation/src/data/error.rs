//! Defines the errors of stored simulations: which file is wrong, and the remedy.

use crate::{PriorError, SimulationError};
use bayesburn_core::{FileError, InvalidData};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Simulations that cannot be opened, read or stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of another type.
    #[error(
        "`{path}` is not a file of simulations: pass a `.safetensors` or `.npz` file, a folder that `presimulate` \
         wrote, or a folder with `parameters.npy` and `sim_data.npy`"
    )]
    FileType {
        /// The file.
        path: PathBuf,
    },
    /// A folder without simulations.
    #[error(
        "the folder `{path}` has no `manifest.json`, nor `parameters.npy` and `sim_data.npy`; it holds {found}: pass \
         the folder that `presimulate` wrote, or one with `.npy` files"
    )]
    NoData {
        /// The folder.
        path: PathBuf,
        /// The files in it.
        found: String,
    },
    /// A manifest with a format version that this version does not read.
    #[error(
        "`{path}` has format version {got}, and this bayesburn reads version {expected}: open it with the bayesburn \
         that wrote it"
    )]
    Version {
        /// The manifest.
        path: PathBuf,
        /// The version that is read here.
        expected: u64,
        /// The version of the file.
        got: u64,
    },
    /// A manifest that `presimulate` did not write: an unknown or missing key, or invalid JSON.
    #[error("`{path}` is not a manifest of `presimulate`: {message}; restore it, or simulate into another folder")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The key or the line.
        message: String,
    },
    /// An array with an unknown name.
    #[error("{origin} has an unknown array `{name}`: rename or remove it; the known names are {known}")]
    UnknownArray {
        /// The file or folder.
        origin: String,
        /// The array's name.
        name: String,
        /// The known names.
        known: String,
    },
    /// No parameters, or no data.
    #[error("{origin} has no array `{name}`: add it, with one row for each simulation")]
    MissingArray {
        /// The file or folder.
        origin: String,
        /// The array's name.
        name: &'static str,
    },
    /// Two arrays whose names stand for the same quantity.
    #[error("{origin} has two arrays that mean `{name}`: keep one of them")]
    DuplicateArray {
        /// The file or folder.
        origin: String,
        /// The quantity.
        name: &'static str,
    },
    /// An array whose elements are of a type that is not read.
    #[error(
        "the array `{name}` in {origin} has elements of type `{got}`: store it as little-endian f16, bf16, f32 or \
         f64, as integers of 8 to 64 bits, or as bool (in `.npz` files not f16)"
    )]
    ElementType {
        /// The file or folder.
        origin: String,
        /// The array's name.
        name: String,
        /// The type, as the file spells it.
        got: String,
    },
    /// An array with too few or too many axes, or with an axis of length 0.
    #[error("the array `{name}` in {origin} has shape {got:?}: it must be {expected}")]
    Axes {
        /// The file, folder or batch.
        origin: String,
        /// The array's name.
        name: &'static str,
        /// The required shape.
        expected: &'static str,
        /// The shape.
        got: Vec<usize>,
    },
    /// Arrays with different numbers of rows.
    #[error(
        "the array `{name}` in {origin} has {got} rows, and `parameters` has {expected}: give each simulation one row \
         in each"
    )]
    Rows {
        /// The file, folder or batch.
        origin: String,
        /// The array's name.
        name: &'static str,
        /// The number of rows of the parameters.
        expected: usize,
        /// The number of rows of this array.
        got: usize,
    },
    /// The number of names differs from the number of parameters.
    #[error("{origin} has {expected} parameters, and there are {got} names: give one for each")]
    Names {
        /// The file, folder or batch.
        origin: String,
        /// The number of parameters.
        expected: usize,
        /// The number of names.
        got: usize,
    },
    /// Two parameters of one name.
    #[error("two parameters are named `{name}`: give each its own name")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// No simulation at all.
    #[error(
        "{origin} holds 0 simulations: store at least one; a store whose first run was interrupted goes on when \
         `presimulate` is called again"
    )]
    NoRows {
        /// The file or folder.
        origin: String,
    },
    /// Files or batches that cannot form one data set.
    #[error(
        "`{quantity}` is {got} in {origin}, and {expected} before: only shapes may differ between files or batches, \
         and only where their shared context differs; take them apart into data sets of their own"
    )]
    Differs {
        /// The file or batch.
        origin: String,
        /// What differs.
        quantity: &'static str,
        /// Its value in the files or batches before.
        expected: String,
        /// Its value here.
        got: String,
    },
    /// A missing file of a store.
    #[error(
        "`{path}` is missing: restore it, or call `presimulate` with the settings of the store, which simulates it \
         again"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A truncated file, or one with a damaged header.
    #[error(
        "`{path}` is damaged ({message}): restore it; if `presimulate` wrote it, delete it and call `presimulate` again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
    /// A file whose bytes are not those that were written.
    #[error(
        "`{path}` was changed after it was written (CRC-32 {got:08x} instead of {expected:08x}): restore it, or \
         delete it and call `presimulate` again"
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The checksum in the manifest.
        expected: u32,
        /// The checksum of the file.
        got: u32,
    },
    /// A file that is not mapped, and whose length or time differs from when it was opened.
    #[error("`{path}` was changed after the data set was opened: open the data set again")]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// No row was asked for.
    #[error("0 rows were asked for: ask for at least 1")]
    NothingSelected,
    /// A row that does not exist.
    #[error("row {row} was asked for, and there are {len}: ask for rows from 0 to {len}, exclusive")]
    RowOutOfRange {
        /// The row.
        row: usize,
        /// The number of rows.
        len: usize,
    },
    /// Rows that cannot share a batch.
    #[error(
        "rows {first} and {other} differ in shape or shared context: take the rows of a batch from one of the `groups`"
    )]
    MixedGroups {
        /// The first row of the batch.
        first: usize,
        /// The row that does not fit.
        other: usize,
    },
    /// A shard size of 0.
    #[error("0 simulations per shard were asked for: ask for at least 1, or leave the choice to `presimulate`")]
    EmptyShards,
    /// A folder with other files than those of a store.
    #[error(
        "`{path}` holds {found} and no `manifest.json`: simulate into an empty folder or into one that `presimulate` \
         wrote"
    )]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// One of these files.
        found: String,
    },
    /// A store that was begun with another setting.
    #[error(
        "the store `{path}` has {setting} {stored}, and {given} was given: use the same, or simulate into another \
         folder"
    )]
    Setting {
        /// The folder.
        path: PathBuf,
        /// Which setting.
        setting: &'static str,
        /// Its value in the store.
        stored: String,
        /// Its value in the call.
        given: String,
    },
    /// A missing shard was simulated again and differs from the original.
    #[error(
        "`{path}` was simulated again and differs from what the manifest says: the model has changed or does not \
         repeat itself; simulate into another folder"
    )]
    NotReproduced {
        /// The shard.
        path: PathBuf,
    },
    /// Another process writes to the folder.
    #[error("another process simulates into `{path}`: wait until it ends, or use another folder")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// Data whose inputs or masks do not fit each other.
    #[error("{origin}: {source}")]
    InvalidData {
        /// The file, folder or batch.
        origin: String,
        /// What does not fit.
        source: InvalidData,
    },
    /// A simulation failed. What was stored before it stays.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

impl From<PriorError> for DataError {
    fn from(error: PriorError) -> Self {
        Self::Simulation(error.into())
    }
}

impl DataError {
    /// Adds the path to what the system reports when a file is read.
    pub(crate) fn read(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let of = FileError::read(path);
        move |source| Self::File(of(source))
    }

    /// Adds the path to what the system reports when a file is written or deleted.
    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let of = FileError::write(path);
        move |source| Self::File(of(source))
    }
}
