//! Defines the errors of inferences, with their remedies.

use bayesburn_amortizers::AmortizerError;
use bayesburn_core::{DrawsError, FileError, Interval, SettingError, SimulationsError};
use bayesburn_simulation::{PriorError, SimulationError};
use bayesburn_trainers::TrainerError;
use std::path::PathBuf;
use thiserror::Error;

/// An error of an inference.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// The prior or the simulator failed.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The posterior's networks failed.
    #[error(transparent)]
    Amortizer(#[from] AmortizerError),
    /// The training failed.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// Simulations do not fit each other.
    #[error(transparent)]
    Simulations(#[from] SimulationsError),
    /// Draws do not fit each other.
    #[error(transparent)]
    Draws(#[from] DrawsError),
    /// A setting is outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The prior has no density, or depends on context.
    #[error(
        "the prior has no density that inference could use: {reason}; make it from distributions, or give its \
         function a density by `Prior::with_log_prob`"
    )]
    Prior {
        /// Why.
        reason: String,
    },
    /// The call needs a simulator, but there is only a prior.
    #[error("there is no simulator: make `Npe` from a generative model, or append simulations of your own by `append`")]
    NoSimulator,
    /// The program's own flag interrupted simulating.
    #[error("interrupted after {made} of {count} simulations; {}", match is_kept {
        true => "they are kept, and the same call continues with them, also in a resumed program",
        false => "none is kept, since the inference has no folder",
    })]
    Interrupted {
        /// Simulations made so far.
        made: usize,
        /// Simulations requested.
        count: usize,
        /// Whether they are on disk.
        is_kept: bool,
    },
    /// There are no simulations to train on.
    #[error("there are no simulations to train on: call `simulate` or `append` first")]
    NoSimulations,
    /// There are too few simulations to hold some out.
    #[error(
        "of {got} simulations a validation fraction of {fraction} leaves {held_out} to validate on and {trained} to \
         train on: simulate or append at least {needed} in all, or change the fraction"
    )]
    TooFewSimulations {
        /// The number of simulations.
        got: usize,
        /// The fraction.
        fraction: f64,
        /// Simulations held out.
        held_out: usize,
        /// Simulations left to train on.
        trained: usize,
        /// Simulations needed.
        needed: usize,
    },
    /// Nearly all simulations are copies of others.
    #[error(
        "{copies} of {got} simulations are copies of others, and none is left to {}: append more that differ",
        match *trained == 0 {
            true => "train on",
            false => "validate on",
        }
    )]
    Copies {
        /// The number of simulations.
        got: usize,
        /// The number of simulations that equal an earlier one.
        copies: usize,
        /// How many there would be to train on.
        trained: usize,
    },
    /// The prior's density is 0 at some parameters.
    #[error(
        "parameters of simulation {simulation} are {values:?}, where the prior's density is 0 (`{name}` can be \
         {interval}): append simulations of parameters that the prior can have, or widen the prior"
    )]
    OutsidePrior {
        /// The row.
        simulation: usize,
        /// Its parameters.
        values: Vec<f32>,
        /// The first parameter outside of its interval, or the last parameter if all are inside.
        name: String,
        /// That interval.
        interval: Interval,
    },
    /// No simulation is finite.
    #[error("all {got} simulations are non-finite: mend the simulator or the prior")]
    NothingValid {
        /// The number of simulations.
        got: usize,
    },
    /// Simulations of a posterior proposal are invalid, and dropping them would bias the result.
    #[error(
        "{invalid} of {got} simulations of a posterior proposal are not finite; dropping them would weight parameters \
         by how often their simulations succeed: use `Proposal::truncated`, which allows it, or have missing values \
         masked by `Simulator::on_invalid`"
    )]
    InvalidUnderProposal {
        /// The number of invalid simulations.
        invalid: usize,
        /// The number of simulations.
        got: usize,
    },
    /// The observation and simulated data have different shapes.
    #[error(
        "an observation of shape {got:?} where simulated data have shape {expected:?}: pass one as the simulator \
         returns it"
    )]
    Observation {
        /// The shape of one simulation's data.
        expected: Vec<usize>,
        /// The shape of the observation.
        got: Vec<usize>,
    },
    /// The observation contains NaN or infinity.
    #[error("the observation holds {value} at position {position:?}: remove or replace values that are not finite")]
    NonFiniteObservation {
        /// Where.
        position: Vec<usize>,
        /// The value.
        value: f32,
    },
    /// The posterior has no default observation.
    #[error("the posterior has no observation of its own: pass one, or set it by `with_observation`")]
    NoObservation,
    /// The proposal is a posterior of other parameters.
    #[error(
        "the proposal is a posterior of {got:?}, and this inference is of {expected:?}: pass a posterior of the same \
         parameters, in the same order"
    )]
    ForeignProposal {
        /// The names of this inference's parameters.
        expected: Vec<String>,
        /// The names of the proposal's.
        got: Vec<String>,
    },
    /// Too few draws inside the support were found.
    #[error(
        "{accepted} of {wanted} draws for data set {data_set} are inside the prior's support after {tried} tries \
         ({:.3}% accepted): the posterior has little probability there; train with more simulations, map parameters to \
         the reals by `NpeConfig::with_space`, allow more by `RejectionConfig`, or accept fewer draws by \
         `WhenUnfinished::Partial`",
        100.0 * *accepted as f64 / *tried as f64
    )]
    Rejection {
        /// The data set.
        data_set: usize,
        /// Draws inside.
        accepted: usize,
        /// Draws asked for.
        wanted: usize,
        /// Draws tried.
        tried: usize,
    },
    /// The truncated prior has almost no probability under the prior.
    #[error(
        "{accepted} of {wanted} parameters were found in the truncated prior after {tried} draws from the prior: it \
         is too small a part of it; use `Proposal::posterior`"
    )]
    Truncated {
        /// Parameters found.
        accepted: usize,
        /// Parameters asked for.
        wanted: usize,
        /// Draws from the prior.
        tried: usize,
    },
    /// These networks or this prior have no closed form.
    #[error("`Correction::ClosedForm` needs {needs}: choose `Correction::Atomic`, which has no such requirement")]
    ClosedForm {
        /// The requirement that is not met.
        needs: &'static str,
    },
    /// The last training is complete, and an error kept its posterior from being saved.
    #[error(
        "the last training is complete, but its posterior could not be saved: call `train` again, which saves it \
         without training, before there are more simulations"
    )]
    TrainingNotSaved,
    /// The folder holds another inference.
    #[error("{} holds a different inference: {reason}; choose another folder, delete this one, or repeat the calls \
             that created it", folder.display())]
    OtherInference {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        reason: String,
    },
    /// The model has a varying number of observations.
    #[error(
        "data sets have {least} to {most} observations, and all simulations of an inference share one shape: fix \
         their number in the simulator, or train on sets of any size by `Trainer` with `Online`"
    )]
    Observations {
        /// The least number of observations.
        least: u32,
        /// The greatest.
        most: u32,
    },
    /// The simulator depends on context, which observations lack.
    #[error(
        "the simulator's data depend on context, which observations do not provide: draw it inside the simulator's \
         function, or leave it out by a configurator"
    )]
    Context,
    /// The folder holds no posterior.
    #[error(
        "{} holds no posterior of an inference: give the folder that `Posterior::save` wrote, or one in that of an \
         inference, such as `posterior-000`",
        folder.display()
    )]
    NoPosterior {
        /// The folder.
        folder: PathBuf,
    },
    /// The posterior was inferred with another prior.
    #[error(
        "the posterior in {} needs another prior: {reason}; load it with the prior that it was inferred with",
        folder.display()
    )]
    OtherPrior {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        reason: String,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<PriorError> for InferenceError {
    fn from(error: PriorError) -> Self {
        Self::Simulation(error.into())
    }
}
