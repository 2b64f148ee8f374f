//! Says why a workflow could not run.

use crate::saved::SavedError;
use bayesburn_amortizers::AmortizerError;
use bayesburn_core::FileError;
use bayesburn_diagnostics::{DiagnosticsError, InputError, RankError, ReportError};
use bayesburn_inference::InferenceError;
use bayesburn_io::IoError;
use bayesburn_networks::DeviceError;
use bayesburn_simulation::{PriorError, SimulationError};
use bayesburn_trainers::TrainerError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a workflow could not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// A command line that cannot be understood.
    #[error("{reason}; `help` lists the commands and their options")]
    Usage {
        /// What is wrong with it.
        reason: String,
    },
    /// A command that needs a training that has not begun.
    #[error("no checkpoint in `{}`: run `train` first", folder.display())]
    Untrained {
        /// Where checkpoints would be.
        folder: PathBuf,
    },
    /// A new training where there is one already.
    #[error(
        "`{}` holds checkpoints already: run `resume` to continue that training, or `train --force` to begin a new one",
        folder.display()
    )]
    Trained {
        /// Where they are.
        folder: PathBuf,
    },
    /// A posterior for one observation, which data sets from the whole prior cannot judge.
    #[error(
        "this posterior was trained in {rounds} rounds for one observation, and a diagnosis needs data sets from the \
         whole prior: \
         judge it by `diagnostics::LocalC2st`, which tests one observation, or judge the posterior of the first round"
    )]
    OneObservation {
        /// The rounds.
        rounds: usize,
    },
    /// A device that is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A file of observations or draws.
    #[error(transparent)]
    Files(#[from] IoError),
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A saved amortizer cannot be found or read.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// The training failed.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// A posterior could not be drawn from.
    #[error(transparent)]
    Amortizer(#[from] AmortizerError),
    /// A posterior could not be drawn from.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// Test data could not be simulated.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The draws could not be judged, or their report not read or written.
    #[error(transparent)]
    Diagnostics(#[from] DiagnosticsError),
}

impl From<PriorError> for WorkflowError {
    fn from(error: PriorError) -> Self {
        Self::Simulation(error.into())
    }
}

impl From<InputError> for WorkflowError {
    fn from(error: InputError) -> Self {
        Self::Diagnostics(error.into())
    }
}

impl From<RankError> for WorkflowError {
    fn from(error: RankError) -> Self {
        Self::Diagnostics(error.into())
    }
}

impl From<ReportError> for WorkflowError {
    fn from(error: ReportError) -> Self {
        Self::Diagnostics(error.into())
    }
}
