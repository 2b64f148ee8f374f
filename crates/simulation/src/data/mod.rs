//! Stores simulations and reads them back.
//!
//! `read` and `file` turn files into [`part::Part`]s, whose arrays are [`column::Column`]s in memory or in files, which
//! `mapping` maps; `inputs` puts those of the data together; `dataset` numbers the rows of many parts; `presimulate`
//! writes a folder of them, which `manifest` describes.

mod column;
mod copies;
mod dataset;
mod error;
mod file;
mod inputs;
mod manifest;
mod mapping;
mod part;
mod presimulate;
mod read;

pub use copies::Copies;
pub use dataset::{Dataset, Group};
pub use error::DataError;
pub use file::{load_simulations, save_simulations};
pub use presimulate::Presimulation;
