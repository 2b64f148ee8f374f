//! Trains amortized posteriors on simulations: the loop, its schedule, and everything that lets a run stop and go on.
//!
//! | type | what it is |
//! |---|---|
//! | [`Trainer`] | joins a generative model and an amortized posterior; made by [`Trainer::builder`] |
//! | [`OnlineConfig`] | one online run: epochs, batch size, optimizer, schedule, clipping, validation |
//! | [`LossHistory`] | every step's loss and learning rate, every epoch's validation loss |
//! | [`Optimizer`], [`Schedule`] | closed choices, Adam with cosine decay by default |
//!
//! On the CPU a run depends on the seed and the configuration alone. After each epoch a checkpoint holds weights, optimizer, history and
//! the position in the stream of simulations, so that a resumed run ends with exactly the weights of one that was never stopped.
//!
//! ```no_run
//! use bayesburn_amortizers::PosteriorConfig;
//! use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
//! use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
//! use bayesburn_trainers::{OnlineConfig, Trainer};
//! use ndarray::Array2;
//! use rand::RngExt;
//! use rand_distr::StandardNormal;
//!
//! let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
//! let simulator = Simulator::from_fn(|rng, mu, _| {
//!     Array2::from_shape_fn((50, 1), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
//! });
//! let config = PosteriorConfig::new(DeepSetConfig::new(4), InvertibleNetworkConfig::new());
//! let mut trainer = Trainer::builder(GenerativeModel::new(prior, simulator)?, config)
//!     .seed(2023)
//!     .checkpoints("out/run")
//!     .resume()
//!     .build()?;
//! trainer.train_online(&OnlineConfig::new().with_epochs(3).with_validation_simulations(200))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Features: `tensorboard` (default) writes event files that TensorBoard reads.

mod builder;
mod checkpoint;
mod clip;
mod error;
mod history;
mod online;
mod optimizer;
mod progress;
mod schedule;
#[cfg(feature = "tensorboard")]
mod tensorboard;
mod trainer;

pub use builder::TrainerBuilder;
pub use error::TrainerError;
pub use history::{EpochSummary, LossHistory, StepLoss};
pub use online::OnlineConfig;
pub use optimizer::Optimizer;
pub use progress::Progress;
pub use schedule::{Decay, Schedule};
pub use trainer::Trainer;
