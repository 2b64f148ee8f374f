//! Judges a trained posterior in one call, and gives a training program commands: train, resume, diagnose, sample,
//! info.
//!
//! | type | what it is |
//! |---|---|
//! | [`Diagnose`] | settings of a diagnosis: numbers of data sets and draws, the suite, derived quantities |
//! | [`Diagnosis`] | its result: a report to print, to save, or to assert in a test |
//! | [`Workflow`] | a trainer and its training, as a program with these commands |
//! | [`Command`] | one command, parsed from a command line |
//! | [`commands`] | options, outcomes and exit codes that all command lines of the library share |
//! | [`saved`] | saved amortizers of any kind: found, described, and loaded by the names of their networks |
//!
//! In a test, one line asserts calibration:
//!
//! ```
//! use bayesburn_trainers::Trainer;
//! use bayesburn_workflow::Diagnose;
//!
//! fn check(trainer: &Trainer) {
//!     Diagnose::new().trainer(trainer).expect("it runs").assert_passed("target/calibration.html");
//! }
//! ```
//!
//! A program that is a workflow has all five commands with the code below. It exits with 0 if a command ran, 1 if
//! `diagnose` judged a posterior that failed, and 2 if a command could not run:
//!
//! ```no_run
//! use bayesburn_amortizers::PosteriorConfig;
//! use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
//! use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
//! use bayesburn_trainers::{Online, Trainer, TrainingConfig};
//! use bayesburn_workflow::Workflow;
//! use std::process::ExitCode;
//! # use rand::RngExt;
//! # use rand_distr::StandardNormal;
//!
//! fn main() -> ExitCode {
//!     let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
//!     let simulator = Simulator::from_fn(|rng, mu, _| {
//!         ndarray::Array2::from_shape_fn((50, 1), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
//!     });
//!     let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
//!     let networks = PosteriorConfig::new(DeepSetConfig::new(4), InvertibleNetworkConfig::new());
//!     Workflow::new("means", Trainer::builder(model, networks).seed(1), |trainer| {
//!         trainer.train(Online::new().with_epochs(3), &TrainingConfig::new()).map(|_| ())
//!     })
//!     .main()
//! }
//! ```
//!
//! # Features
//! - `plots` (default): figures in HTML reports.

mod command;
pub mod commands;
mod diagnose;
mod error;
mod memory;
pub mod saved;
mod test_sets;
mod workflow;

pub use command::{Command, CommonOptions, DiagnoseOptions, SampleOptions};
pub use commands::Outcome;
pub use diagnose::{Diagnose, Diagnosis};
pub use error::WorkflowError;
pub use workflow::Workflow;
