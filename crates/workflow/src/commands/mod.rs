//! What all command lines of the library share: options, outcomes, exit codes and output.
//!
//! The commands of a [`Workflow`](crate::Workflow) and the program `bayesburn` are made of these. A program of your own
//! can use them too: each group of options is a struct for `#[command(flatten)]` of clap.

mod options;
mod outcome;
mod output;

pub(crate) use options::ending;
pub use options::{DeviceOption, Drawing, Header, Judging, Reports, Tables};
pub(crate) use outcome::EXIT_CODES;
pub use outcome::{Outcome, exit_code};
pub use output::{drawn_summary, say};
