//! Says what stopped an inference, and what to do.

use bayesburn_amortizers::AmortizerError;
use bayesburn_core::{DrawsError, FileError, Interval, SettingError, SimulationsError};
use bayesburn_simulation::{PriorError, SimulationError};
use bayesburn_trainers::TrainerError;
use std::path::PathBuf;
use thiserror::Error;

/// What can go wrong in an inference.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// The prior or the simulator.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The posterior's networks.
    #[error(transparent)]
    Amortizer(#[from] AmortizerError),
    /// The training.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// Simulations that do not fit each other.
    #[error(transparent)]
    Simulations(#[from] SimulationsError),
    /// Draws that cannot be put together.
    #[error(transparent)]
    Draws(#[from] DrawsError),
    /// A setting outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A prior whose draws depend on context.
    #[error(
        "the prior has no density that inference could use: {reason}; make it from distributions, or give its \
         function a density by `Prior::with_log_prob`"
    )]
    Prior {
        /// Why.
        reason: String,
    },
    /// Something needs a simulator, and there is only a prior.
    #[error("there is no simulator: make `Npe` from a generative model, or append simulations of your own by `append`")]
    NoSimulator,
    /// The program was asked to end while it simulated, by its own flag.
    #[error("interrupted after {made} of {count} simulations; {}", match is_kept {
        true => "they are kept, and the same call goes on with them, in a program that resumes too",
        false => "none is kept, since the inference has no folder",
    })]
    Interrupted {
        /// How many there are.
        made: usize,
        /// How many there were to be.
        count: usize,
        /// Whether they are on disk.
        is_kept: bool,
    },
    /// Nothing to train on.
    #[error("there are no simulations to train on: call `simulate` or `append` first")]
    NoSimulations,
    /// Too few simulations to hold some out.
    #[error(
        "of {got} simulations a validation fraction of {fraction} leaves {held_out} to validate on and {trained} to \
         train on: simulate or append at least {needed} in all, or change the fraction"
    )]
    TooFewSimulations {
        /// The number of simulations.
        got: usize,
        /// The fraction.
        fraction: f64,
        /// How many that is.
        held_out: usize,
        /// How many are left.
        trained: usize,
        /// How many would do.
        needed: usize,
    },
    /// Simulations that are nearly all the same.
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
        /// How many are equal to an earlier one.
        copies: usize,
        /// How many there would be to train on.
        trained: usize,
    },
    /// A parameter that the prior gives no probability.
    #[error(
        "parameters of simulation {simulation} are {values:?}, where the prior's density is 0 (`{name}` can be \
         {interval}): append simulations of parameters that the prior can have, or widen the prior"
    )]
    OutsidePrior {
        /// The row.
        simulation: usize,
        /// Its parameters.
        values: Vec<f32>,
        /// The first parameter outside of its interval, or the last of all.
        name: String,
        /// That interval.
        interval: Interval,
    },
    /// No simulation is finite.
    #[error(
        "none of {got} simulations is finite, so that leaving out those that are not leaves nothing: mend the \
         simulator or the prior"
    )]
    NothingValid {
        /// The number of simulations.
        got: usize,
    },
    /// Invalid simulations where leaving them out would bias the result.
    #[error(
        "{invalid} of {got} simulations of a posterior proposal are not finite; leaving them out would weigh \
         parameters by how often their simulations fail: use `Proposal::truncated`, which allows it, or have missing \
         values masked by `Simulator::on_invalid`"
    )]
    InvalidUnderProposal {
        /// How many are not finite.
        invalid: usize,
        /// Of how many.
        got: usize,
    },
    /// An observation of another shape than simulated data.
    #[error(
        "an observation of shape {got:?} where simulated data have shape {expected:?}: pass one as the simulator \
         returns it"
    )]
    Observation {
        /// That of simulated data, of one simulation.
        expected: Vec<usize>,
        /// That of the observation.
        got: Vec<usize>,
    },
    /// An observation that holds NaN or infinity.
    #[error("the observation holds {value} at position {position:?}: remove or replace values that are not finite")]
    NonFiniteObservation {
        /// Where.
        position: Vec<usize>,
        /// The value.
        value: f32,
    },
    /// A default observation was asked for and is not there.
    #[error("the posterior has no observation of its own: pass one, or set it by `with_observation`")]
    NoObservation,
    /// A proposal that is the posterior of other parameters.
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
    /// Draws inside the support that were not found.
    #[error(
        "{accepted} of {wanted} draws for data set {data_set} are inside the prior's support after {tried} tries \
         ({:.3}% accepted): the posterior has little probability there; train with more simulations, map parameters \
         to the reals by `NpeConfig::with_space`, allow more by `RejectionConfig`, or take what there is by \
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
    /// A truncated prior that hardly has anything in it.
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
    /// A closed form that these networks or this prior do not have.
    #[error("`Correction::ClosedForm` needs {needs}: choose `Correction::Atomic`, which needs nothing")]
    ClosedForm {
        /// What is missing.
        needs: &'static str,
    },
    /// A folder that holds another inference.
    #[error("{} holds an inference that this one is not: {reason}; choose another folder, delete this one, or make \
         the calls that made it", folder.display())]
    OtherInference {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Data of another number of observations in each call.
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
    /// A simulator with context, which observations come without.
    #[error(
        "the simulator's data depend on context, which the networks would see and observations come without: draw it \
         inside the simulator's function, or leave it out by a configurator"
    )]
    Context,
    /// A folder without a posterior.
    #[error(
        "{} holds no posterior of an inference: give the folder that `Posterior::save` wrote, or one in that of an \
         inference, such as `posterior-000`",
        folder.display()
    )]
    NoPosterior {
        /// The folder.
        folder: PathBuf,
    },
    /// A posterior that was inferred with another prior.
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
