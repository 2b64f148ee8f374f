//! Infers parameters as `sbi` does, with the networks, trainers and diagnostics of the other crates: from pairs of
//! parameters and data, with a prior that has a density, in one round or several.
//!
//! | type | what it is |
//! |---|---|
//! | [`infer`] | simulates, trains and returns the posterior in one call |
//! | [`Npe`] | neural posterior estimation: collects pairs, and trains networks on all of them |
//! | [`NpeConfig`], [`NpeTraining`] | networks, and how they are trained |
//! | [`Posterior`] | draws inside the prior's support, leakage-corrected densities, modes, predictions |
//! | [`Proposal`] | where the next round's parameters come from: the prior, a posterior, or the truncated prior |
//! | [`RejectionConfig`], [`Sampled`] | how long draws outside the support are redrawn, and the result |
//!
//! References: Papamakarios & Murray 2016 and Greenberg et al. 2019 ([`Npe`]); Deistler et al. 2022 (truncated
//! proposals).
//!
//! ```
//! use bayesburn_inference::{NpeConfig, NpeTraining, infer};
//! use bayesburn_simulation::{Prior, Simulator};
//! use ndarray::{Array1, arr1};
//! use rand::RngExt;
//! use rand_distr::StandardNormal;
//!
//! let prior = Prior::box_uniform(["x", "y", "z"], &[-2.0; 3], &[2.0; 3])?;
//! let simulator = Simulator::from_fn(|rng, theta, _| {
//!     Array1::from_shape_fn(3, |d| theta[d] + 1.0 + 0.1 * rng.sample::<f32, _>(StandardNormal))
//! });
//! # let config = NpeConfig::new().with_training(NpeTraining::new().with_max_epochs(2));
//! # let _ = stringify! {
//! let config = NpeConfig::new();
//! # };
//! let posterior = infer(simulator, prior, config, 200, 2023)?; // 1,000 or more for real
//! let draws = posterior.sample_for(&arr1(&[0.0, 0.0, 0.0]), 100, 1)?; // all inside the box
//! assert!(draws.values().iter().all(|theta| theta.abs() <= 2.0));
//! # Ok::<(), bayesburn_inference::InferenceError>(())
//! ```

mod atomic;
mod builder;
mod closed_form;
mod config;
mod configurator;
mod coverage;
mod cut;
mod error;
mod foreign;
mod infer;
mod map;
mod npe;
mod pairs;
mod posterior;
mod proposal;
mod rejection;
mod saved;
mod simulate;
mod space;
mod store;
mod summary;
mod training;

pub use builder::{NpeBuilder, NpeOrigin};
pub use config::{Correction, NpeConfig, NpeTraining, ParameterSpace};
pub use error::InferenceError;
pub use infer::infer;
pub use map::MapEstimate;
pub use npe::Npe;
pub use posterior::Posterior;
pub use proposal::{Proposal, TruncatedPrior};
pub use rejection::{Acceptance, RejectionConfig, Sampled, WhenUnfinished};
pub use summary::TrainingSummary;
