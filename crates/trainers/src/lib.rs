//! Trains amortizers on simulations: one loop, many sources of batches, and exact resumption.
//!
//! | type | what it is |
//! |---|---|
//! | [`Trainer`] | trains an amortizer, such as an amortized posterior; made by [`Trainer::builder`] |
//! | [`Source`] | where batches come from: [`Online`], [`Replay`], [`Rounds`], [`Offline`], or your own |
//! | [`TrainingConfig`] | how a training runs: optimizer, schedule, clipping, validation, when to stop |
//! | [`TrainingLoss`] | a loss to minimise instead of the amortizer's own |
//! | [`Callback`] | sees every step and epoch, and may stop the training |
//! | [`LossHistory`] | losses and learning rates of steps, validation losses of epochs, invalid simulations |
//! | [`Optimizer`], [`Schedule`] | closed choices; Adam with cosine decay by default |
//!
//! On the CPU a run depends only on the seed and the configuration. After each epoch a checkpoint stores weights,
//! optimizer, history and the position in the run, so that a resumed run ends with exactly the weights of an
//! uninterrupted one. There is one exception: a rollback, [`AfterLimit::RollBack`], in the epoch within which a run was
//! interrupted returns to the point of resumption.
//!
//! ```no_run
//! use bayesburn_amortizers::PosteriorConfig;
//! use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
//! use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
//! use bayesburn_trainers::{Online, Trainer, TrainingConfig};
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
//!     .stop_on_ctrl_c()
//!     .build()?;
//! trainer.train(Online::new().with_epochs(3), &TrainingConfig::new().with_validation_simulations(200))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Features: `tensorboard` (default) writes event files for TensorBoard. `flex` takes steps on Burn Flex without Burn's
//! graph if kernels cover the loss, and Adam's step in one pass.

mod builder;
mod callback;
mod checkpoint;
mod config;
mod error;
mod history;
mod identity;
mod interrupt;
mod loss;
mod optimizer;
mod pilot;
mod prefetch;
mod progress;
mod schedule;
mod session;
mod source;
mod stepper;
mod stopping;
#[cfg(feature = "tensorboard")]
mod tensorboard;
mod trainer;
mod weights;

pub use bayesburn_simulation::Progress;
pub use builder::TrainerBuilder;
pub use callback::{Callback, EpochReport, StepReport};
pub use checkpoint::DamagedCheckpoint;
pub use config::{AfterLimit, NonFiniteSteps, TrainedPart, TrainingConfig};
pub use error::TrainerError;
pub use history::{EpochSummary, LossHistory, StepLoss};
pub use loss::TrainingLoss;
pub use optimizer::Optimizer;
pub use schedule::{Decay, Schedule};
pub use source::{LastBatch, Offline, Online, Replay, Rounds, RunContext, Source, Validation};
pub use stopping::{EarlyStopping, FinalWeights};
pub use trainer::{Origin, Trainer};
