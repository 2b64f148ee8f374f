//! Defines the types that all bayesburn crates share. It has no algorithms.
//!
//! | type | what it is | made by | read by |
//! |---|---|---|---|
//! | [`Simulations`] | a batch of parameters, data and contexts | a generative model | configurators |
//! | [`Data`] | data sets of any shape, with masks | simulators, readers of files | posteriors, networks |
//! | [`Draws`] | posterior draws, `[data sets, draws, parameters]` | any sampler | diagnostics |
//! | [`Interval`] | where a parameter can lie, mapped to the reals | the prior | posteriors |
//! | [`ParameterNames`] | one name for each parameter | the prior | plots, reports |
//! | [`StreamRng`] | the random generator | [`stream`] | everything random |
//! | [`files`] | writes files and folders whole or not at all, with checksums | code that saves | code that loads |
//! | [`layout`] | the names of files and folders | code that saves | code that loads |
//! | [`FileError`] | a file that cannot be read, written or deleted | code that saves or loads | users |
//! | [`settings`], [`SettingError`] | checks that settings are in their ranges | configurations | users |
//! | [`with_causes`] | an error's message with those of its sources | any error | the end of a program |
//! | [`printable`], [`one_line`] | text with its control characters escaped | code that prints | terminals, reports |
//!
//! There is one independent stream of random numbers for each `(seed, purpose, index)`:
//!
//! ```
//! use bayesburn_core::{Purpose, stream};
//! use rand::RngExt;
//!
//! const COIN: Purpose = Purpose::new("coin");
//! let toss = |index| stream(2023, COIN, index).random_bool(0.5);
//! assert_eq!(toss(7), toss(7)); // the same seed, purpose and index give the same draw, always
//! ```

mod causes;
mod data;
mod draws;
mod file_error;
pub mod files;
mod interval;
pub mod layout;
pub mod settings;
mod simulations;
mod streams;
mod text;

pub use causes::with_causes;
pub use data::{Data, DataShape, Input, InputShape, InvalidData};
pub use draws::{Draws, DrawsError};
pub use file_error::{FileAction, FileError};
pub use interval::{Interval, IntervalError};
pub use settings::SettingError;
pub use simulations::{Given, PanickedSimulation, ParameterNames, SimulationId, Simulations, SimulationsError};
pub use streams::{Purpose, StreamRng, derive_seed, stream};
pub use text::{one_line, printable};
