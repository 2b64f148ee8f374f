//! Amortized Bayesian inference: write a prior and a simulator in Rust, train a neural posterior once, check its
//! calibration, and draw from the posterior of any observation in milliseconds.
//!
//! This crate re-exports the others and has no logic of its own.
//!
//! | module | what it is for | main types |
//! |---|---|---|
//! | [`simulation`] | the generative model | [`Prior`], [`Simulator`], [`ContextGenerator`], [`GenerativeModel`] |
//! | [`networks`] | summary and inference networks | [`DeepSet`], [`InvertibleNetwork`] |
//! | [`amortizers`] | posteriors and other amortizers | [`AmortizedPosterior`], [`Conditions`], [`Amortizer`] |
//! | [`trainers`] | training, checkpoints, history | [`Trainer`], [`TrainingConfig`], [`Source`] |
//! | [`inference`] | neural posterior estimation as in sbi | [`infer`], [`Npe`], [`Posterior`] |
//! | [`diagnostics`] | calibration, recovery, the suite | [`sbc_ecdf`], [`recovery`], [`DiagnosticsSuite`] |
//! | [`workflow`] | a posterior judged in one call; programs with commands | [`Diagnose`], [`Workflow`] |
//! | [`io`] | files of other tools | [`read_draws`], [`write_draws`] |
//! | [`core`] | types that all of them share | [`Data`], [`Simulations`], [`Draws`], [`StreamRng`] |
//!
//! [`prelude`] has what most programs import.
//!
//! ```
//! use bayesburn::prelude::*;
//!
//! fn main() -> bayesburn::Result<()> {
//!     // μ ~ N(0, 1), and 50 observations x ~ N(μ, 1).
//!     let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
//!     let simulator = Simulator::from_fn(|rng, mu, _| {
//!         Array2::from_shape_fn((50, 1), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
//!     });
//!     let model = GenerativeModel::new(prior, simulator)?;
//!
//!     let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(2);
//!     let config = PosteriorConfig::new(DeepSetConfig::new(4), flow);
//!     let mut trainer = Trainer::builder(model, config).seed(2023).build()?;
//!     let source = Online::new().with_epochs(1).with_iterations_per_epoch(20); // 1,000 or more for real
//!     trainer.train(source, &TrainingConfig::new())?;
//!
//!     let test = trainer.simulate(100, 1)?;
//!     let draws = trainer.amortizer().sample(&test.conditions, 99, 2)?; // [100, 99, 1]
//!     let calibration = diagnostics::sbc_ecdf(&draws, &test.parameters)?;
//!     println!("calibrated: {}", calibration.all_inside());
//!
//!     let observed = Conditions::one(Array2::from_elem((50, 1), 0.3));
//!     println!("posterior mean: {}", trainer.amortizer().sample(&observed, 1000, 3)?.mean());
//!     Ok(())
//! }
//! ```
//!
//! # Features
//! - `flex` (default): Burn Flex, the CPU backend. It is used unless
//!   [`TrainerBuilder::device`](trainers::TrainerBuilder::device) is given another device, such as
//!   [`networks::device("cuda")?`](networks::device).
//! - `ndarray`: Burn's older CPU backend. `cuda`: NVIDIA GPUs. `cubecl-cpu`: tests of GPU code without a GPU.
//! - `plots` (default): figures as PNG and SVG.
//! - `tensorboard` (default): event files for TensorBoard.
//!
//! [`Prior`]: simulation::Prior
//! [`Simulator`]: simulation::Simulator
//! [`ContextGenerator`]: simulation::ContextGenerator
//! [`GenerativeModel`]: simulation::GenerativeModel
//! [`DeepSet`]: networks::DeepSet
//! [`InvertibleNetwork`]: networks::InvertibleNetwork
//! [`AmortizedPosterior`]: amortizers::AmortizedPosterior
//! [`Conditions`]: amortizers::Conditions
//! [`Amortizer`]: amortizers::Amortizer
//! [`Trainer`]: trainers::Trainer
//! [`TrainingConfig`]: trainers::TrainingConfig
//! [`Source`]: trainers::Source
//! [`infer`]: inference::infer
//! [`Npe`]: inference::Npe
//! [`Posterior`]: inference::Posterior
//! [`sbc_ecdf`]: diagnostics::sbc_ecdf
//! [`recovery`]: diagnostics::recovery
//! [`DiagnosticsSuite`]: diagnostics::DiagnosticsSuite
//! [`Diagnose`]: workflow::Diagnose
//! [`Workflow`]: workflow::Workflow
//! [`read_draws`]: io::read_draws
//! [`write_draws`]: io::write_draws
//! [`Data`]: core::Data
//! [`Simulations`]: core::Simulations
//! [`Draws`]: core::Draws
//! [`StreamRng`]: core::StreamRng

pub use bayesburn_amortizers as amortizers;
pub use bayesburn_core as core;
pub use bayesburn_diagnostics as diagnostics;
pub use bayesburn_inference as inference;
pub use bayesburn_io as io;
pub use bayesburn_networks as networks;
pub use bayesburn_simulation as simulation;
pub use bayesburn_trainers as trainers;
pub use bayesburn_workflow as workflow;

// In the versions that the prelude's names are of, for whatever else a simulator needs of them.
pub use {burn, ndarray, rand, rand_distr};

mod error;

pub use error::{Error, Result};

/// What most programs import, with the names of `ndarray`, `rand` and `burn` that simulators and trainers need.
pub mod prelude {
    pub use crate::{
        amortizers::{
            AmortizedPosterior, Amortizer, Conditions, Configurator, Configured, PosteriorConfig, Standardization,
            Statistics, SummaryLoss,
        },
        core::{Data, DataShape, Draws, Interval, Simulations, StreamRng},
        diagnostics,
        inference::{Npe, NpeConfig, NpeTraining, ParameterSpace, Posterior, Proposal, infer},
        networks::{
            AutoregressiveFlowConfig, CouplingDesign, DeepSetConfig, IdentityConfig, InvertibleNetworkConfig,
            MixtureConfig, SplineConfig,
        },
        simulation::{
            Context, ContextGenerator, Dataset, GenerativeModel, InvalidSimulations, Panics, Presimulation, Prior,
            ProcessSimulator, Simulator, Univariate,
        },
        trainers::{
            EarlyStopping, LossHistory, Offline, Online, Progress, Replay, Rounds, Schedule, Trainer, TrainingConfig,
        },
        workflow::{Diagnose, Workflow},
    };
    pub use burn::tensor::Device;
    pub use ndarray::{Array1, Array2, Array3, Axis, arr1, arr2};
    pub use rand::RngExt;
    pub use rand_distr::StandardNormal;
}

/// The code of the README is compiled and run with the other examples of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
