//! Reads and writes files of other tools: observed data, posterior draws, parameters.
//!
//! The ending of a path determines the format:
//!
//! | | read | written | contents |
//! |---|---|---|---|
//! | `.npy` | yes | yes | one array |
//! | `.npz`, `.safetensors` | yes | yes | named arrays; for draws, one for each parameter |
//! | `.csv` | yes | yes | a table; for draws, with a column for each parameter |
//! | `.nc` | no | yes | draws for `arviz.from_netcdf`, or any reader of NetCDF 4 |
//!
//! Integers, floats and truth values of all sizes are read as `f32`; a number that `f32` cannot hold is an error. To
//! choose one array of an archive, put its name after the path: `data.npz:observed`.
//!
//! [`TableOptions`] describe a table: the names of its columns, whether it has a heading, whether values may be
//! missing. Readers return [`Noted`] values, with notes for the user on how a table was read.
//!
//! ```
//! use bayesburn_core::Draws;
//! use bayesburn_io::{TableOptions, read_draws, write_draws};
//! use ndarray::array;
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let draws = Draws::new(["mu".to_owned(), "tau".to_owned()].into(), array![[[0.1, 1.0], [0.2, 1.5]]])?;
//! for name in ["draws.npz", "draws.csv", "draws.safetensors"] {
//!     write_draws(folder.join(name), &draws)?;
//!     assert_eq!(read_draws(folder.join(name), &TableOptions::new())?.value, draws);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cell;
mod content;
mod draws;
mod element;
mod error;
mod heading;
mod npy;
mod observations;
mod options;
mod table;
mod write;

pub use draws::{read_draws, read_draws_and_truths, read_parameters};
pub use element::Element;
pub use error::IoError;
pub use npy::{NamedArray, NpyError, NpyHeader, read_npz};
pub use observations::{read_array, read_arrays, read_data, read_observations, read_values};
pub use options::{Heading, Missing, Noted, TableOptions};
pub use write::{check_draws_names, check_draws_path, check_values_path, write_arrays, write_draws, write_values};
