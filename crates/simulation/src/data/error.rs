//! Says what is wrong with stored simulations, in which file, and what to do.

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
        "`{path}` is no file of simulations: pass a `.safetensors` or `.npz` file, a folder that `presimulate` wrote, \
         or a folder with `parameters.npy` and `sim_data.npy`"
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
        /// The files that are there, in words.
        found: String,
    },
    /// A manifest of a version that this one does not read.
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
    /// A manifest that is not what `presimulate` writes: a key unknown or missing, or no JSON.
    #[error("`{path}` is no manifest of `presimulate`: {message}; restore it, or simulate into another folder")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The key or the line.
        message: String,
    },
    /// An array by a name that means nothing here.
    #[error("{origin} has an array `{name}`, which has no meaning: rename or remove it; the names are {known}")]
    UnknownArray {
        /// The file or folder.
        origin: String,
        /// The array's name.
        name: String,
        /// The names that have a meaning.
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
    /// Two arrays whose names mean the same.
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
        /// The type, as the file says it.
        got: String,
    },
    /// An array with too few or too many axes, or with an empty one.
    #[error("the array `{name}` in {origin} has shape {got:?}: it must be {expected}")]
    Axes {
        /// The file, folder or batch.
        origin: String,
        /// The array's name.
        name: &'static str,
        /// The shape that is needed, in words.
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
    /// Names and parameters disagree in number.
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
    /// Files or batches that cannot be of one data set.
    #[error(
        "`{quantity}` is {got} in {origin}, and {expected} before: only shapes may differ between files or batches, \
         and only where their shared context differs; take them apart into data sets of their own"
    )]
    Differs {
        /// The file or batch.
        origin: String,
        /// What differs.
        quantity: &'static str,
        /// What came before, in words.
        expected: String,
        /// What is here, in words.
        got: String,
    },
    /// A file of a store that is gone.
    #[error(
        "`{path}` is missing: restore it, or call `presimulate` with the settings of the store, which simulates it \
         again"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file that was cut short or whose header was changed.
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
    /// No row was asked for.
    #[error("0 rows were asked for: ask for at least 1")]
    NothingSelected,
    /// A row that is not there.
    #[error("row {row} was asked for, and there are {len}: ask for rows from 0 to {len}, exclusive")]
    RowOutOfRange {
        /// The row.
        row: usize,
        /// The number of rows.
        len: usize,
    },
    /// Rows that cannot be in one batch.
    #[error(
        "rows {first} and {other} differ in shape or shared context: take the rows of a batch from one of the `groups`"
    )]
    MixedGroups {
        /// The first row of the batch.
        first: usize,
        /// The row that does not fit.
        other: usize,
    },
    /// Shards without room for a simulation.
    #[error("0 simulations per shard were asked for: ask for at least 1, or leave the choice to `presimulate`")]
    EmptyShards,
    /// A folder that holds something else than a store.
    #[error(
        "`{path}` holds {found} and no `manifest.json`: simulate into an empty folder or into one that `presimulate` \
         wrote"
    )]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// A file that is there.
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
        /// That of the store.
        stored: String,
        /// That of the call.
        given: String,
    },
    /// A shard that was missing, simulated again, is another.
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
