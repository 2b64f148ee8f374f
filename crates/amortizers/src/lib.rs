//! Turns networks into amortizers: a posterior from a summary network and an inference network, or an amortizer of your
//! own. This crate is the boundary between named arrays and tensors.
//!
//! | type | what it is |
//! |---|---|
//! | [`Configurator`] | turns simulations into what the networks see |
//! | [`Configured`] | a batch to train on: parameters and their [`Conditions`]; optionally weights and proposals |
//! | [`Conditions`] | data sets, simulated or observed: data for the summary network, and direct conditions |
//! | [`Amortizer`] | the trait of networks with a loss, which a trainer trains and a folder holds |
//! | [`AmortizerConfig`] | the trait of an amortizer's configuration |
//! | [`AmortizedPosterior`] | loss, density with gradients, `sample`, `log_prob`, latent variables; saved and loaded |
//! | `DirectLoss` | the loss and its gradients without Burn's graph, with the feature `flex` |
//! | [`TrainingRange`] | what the simulations of a training were like: other data are refused or cause a warning |
//! | [`PosteriorConfig`] | the two networks, standardisation, statistics, summary loss |
//! | [`Standardization`], [`Statistics`] | what is shifted and scaled, and which fixed statistics help the networks |
//!
//! ```
//! use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
//! use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
//! use burn::tensor::Device;
//! use ndarray::{Array2, Array3};
//!
//! let config = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new());
//! let pilot = Configured::new(Array2::from_elem((8, 1), 0.5), Conditions::new(Array3::zeros((8, 30, 1))))?;
//! let posterior = AmortizedPosterior::new(config, ["mu"], &[pilot], 2023, &Device::default())?;
//!
//! let observed = Conditions::one(Array2::zeros((30, 1)));
//! assert_eq!(posterior.sample(&observed, 100, 1)?.values().dim(), (1, 100, 1));
//! # Ok::<(), bayesburn_amortizers::AmortizerError>(())
//! ```

mod amortizer;
mod conditions;
mod config;
mod configurator;
mod derived;
mod difference;
#[cfg(feature = "flex")]
mod direct;
mod encoded;
mod error;
mod evaluator;
mod familiar;
mod fit;
#[cfg(feature = "gpu")]
mod gpu;
mod mmd;
mod networks;
mod posterior;
mod posterior_as_amortizer;
mod regression;
mod sampling;
mod saved;
mod selection;
mod standardize;
mod statistics;
mod targets;
mod training_range;
mod widths;

pub use amortizer::{Amortizer, AmortizerConfig, Pilot};
pub use conditions::{Conditions, Configured};
pub use config::{PosteriorConfig, Standardization, Statistics, SummaryLoss};
pub use configurator::{Configurator, DefaultConfigurator, SplitConfigurator, TrainingTargets};
pub use difference::Difference;
pub use error::AmortizerError;
#[cfg(feature = "gpu")]
#[doc(hidden)]
pub use gpu::GpuSteps;
pub use networks::PosteriorNetworks;
pub use posterior::AmortizedPosterior;
pub use posterior_as_amortizer::PosteriorDescription;
pub use saved::{description, is_saved_amortizer, saved_description};
pub use standardize::ColumnMoments;
pub use training_range::TrainingRange;
#[cfg(feature = "flex")]
pub use {bayesburn_kernels::DensityPart, direct::DirectLoss};
