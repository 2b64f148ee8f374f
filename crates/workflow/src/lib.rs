//! Judges a trained posterior in one call, and gives a program the commands that a CI job or a colleague needs.
//!
//! | type | what it is |
//! |---|---|
//! | [`Diagnose`] | how a posterior is judged: how many data sets and draws, by which suite, by which quantities of one's own |
//! | [`Diagnosis`] | what came of it: a report to print, to save, or to assert in a test |
//! | [`Workflow`] | a trainer and its training, as a program with the commands `train`, `resume`, `diagnose`, `sample` and `info` |
//! | [`Command`] | one of these, read from a command line |
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
//! A program that is a workflow needs no more than this for all five commands; `diagnose` leaves with 0 if the posterior passed, 1 if it failed and 2
//! if it could not be judged:
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
mod diagnose;
mod error;
mod test_sets;
mod workflow;

pub use command::{Command, CommonOptions, DiagnoseOptions, HELP, SampleOptions};
pub use diagnose::{Diagnose, Diagnosis};
pub use error::WorkflowError;
pub use workflow::{Outcome, Workflow};
