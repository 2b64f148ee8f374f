//! Runs neural posterior estimation, in one round or several.

use crate::{
    Correction, InferenceError, NpeBuilder, NpeConfig, NpeOrigin, Proposal, TrainingSummary,
    closed_form::MixtureProposal, configurator::PairsConfigurator, pairs::Appended, store::Store,
};
use bayesburn_amortizers::AmortizedPosterior;
use bayesburn_core::{
    Data, Simulations,
    settings::{at_least_one, in_range},
};
use bayesburn_networks::{IdentityConfig, SummaryConfig};
use bayesburn_simulation::{GenerativeModel, InvalidSimulations, Prior, Progress};
use bayesburn_trainers::{LossHistory, Trainer};
use burn::tensor::Device;
use ndarray::{Array2, ArrayD};
use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

/// Neural posterior estimation: pairs of parameters and data are simulated or appended, and networks are trained on all
/// of them.
///
/// With simulations from the prior, the posterior is amortized: it applies to any observation. In further rounds
/// parameters come from a [`Proposal`] that concentrates simulations on one observation, and the posterior applies only
/// to that one.
///
/// ```no_run
/// use bayesburn_inference::{Npe, NpeConfig, Proposal};
/// use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
/// use ndarray::{Array1, arr1};
/// use rand::RngExt;
/// use rand_distr::StandardNormal;
///
/// let prior = Prior::box_uniform(["x", "y", "z"], &[-2.0; 3], &[2.0; 3])?;
/// let simulator = Simulator::from_fn(|rng, theta, _| {
///     Array1::from_shape_fn(3, |d| theta[d] + 1.0 + 0.1 * rng.sample::<f32, _>(StandardNormal))
/// });
/// let mut npe = Npe::builder(GenerativeModel::new(prior, simulator)?, NpeConfig::new()).seed(2023).build()?;
/// for _ in 0..2 {
///     npe.simulate(500)?; // from the prior, then from it cut to where the posterior is
///     let posterior = npe.train()?.with_observation(arr1(&[0.0, 0.0, 0.0]))?;
///     println!("{}\n{posterior}", npe.summaries().last().expect("just trained"));
///     npe.set_proposal(Proposal::truncated(posterior)?);
/// }
/// # Ok::<(), bayesburn_inference::InferenceError>(())
/// ```
pub struct Npe<C: SummaryConfig = IdentityConfig> {
    pub(crate) prior: Prior,
    pub(crate) model: Option<GenerativeModel>,
    pub(crate) config: NpeConfig<C>,
    /// Parameters whose prior spans decades and is skewed on every scale.
    pub(crate) unresolved: Vec<String>,
    pub(crate) configurator: Arc<PairsConfigurator>,
    pub(crate) feature_names: Option<Vec<String>>,
    pub(crate) seed: u64,
    pub(crate) device: Device,
    pub(crate) progress: Progress,
    pub(crate) store: Option<Store>,
    pub(crate) interrupt: Option<Arc<AtomicBool>>,
    pub(crate) ctrl_c: bool,
    pub(crate) proposal: Proposal<C>,
    pub(crate) round: usize,
    /// The observation of the last proposal that was not the prior.
    pub(crate) trained_for: Option<ArrayD<f32>>,
    /// Number of posteriors that proposed parameters so far, for which the loss must correct.
    pub(crate) posteriors: usize,
    /// These posteriors as mixtures, for the closed-form loss.
    pub(crate) mixtures: Vec<MixtureProposal>,
    /// Whether the present proposal is counted already.
    pub(crate) counted: bool,
    /// Calls of `simulate` and `append` so far.
    pub(crate) calls: u64,
    pub(crate) trainings: usize,
    /// Runs of the trainer that the next training completed before it was interrupted.
    pub(crate) runs_done: usize,
    /// The round and observation of the next training, if all its runs are complete and its posterior is not saved yet.
    pub(crate) unsaved: Option<(usize, Option<ArrayD<f32>>)>,
    pub(crate) appended: Vec<Appended>,
    pub(crate) data_shape: Option<Vec<usize>>,
    pub(crate) trainer: Option<Trainer<AmortizedPosterior<C>>>,
    pub(crate) summaries: Vec<TrainingSummary>,
    /// The last round whose posterior was largely not covered by simulations.
    pub(crate) strayed: Option<usize>,
}

impl<C: SummaryConfig> fmt::Debug for Npe<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Npe")
            .field("prior", &self.prior)
            .field("round", &self.round)
            .field("simulations", &self.num_simulations())
            .finish_non_exhaustive()
    }
}

impl<C: SummaryConfig> Npe<C> {
    /// Begins to build an inference with these networks, on a [`GenerativeModel`], or on a [`Prior`] if another program
    /// makes the simulations.
    pub fn builder(origin: impl Into<NpeOrigin>, config: NpeConfig<C>) -> NpeBuilder<C> {
        NpeBuilder::new(origin.into(), config)
    }

    /// The number of simulations so far, without dropped ones.
    #[must_use]
    pub fn num_simulations(&self) -> usize {
        self.appended.iter().map(|part| part.simulations.len()).sum()
    }

    /// The simulations so far, by call.
    pub fn simulations(&self) -> impl Iterator<Item = &Simulations> {
        self.appended.iter().map(|part| &part.simulations)
    }

    /// The summaries of all trainings.
    #[must_use]
    pub fn summaries(&self) -> &[TrainingSummary] {
        &self.summaries
    }

    /// The losses of all trainings; `None` before the first.
    #[must_use]
    pub fn history(&self) -> Option<&LossHistory> {
        Some(self.trainer.as_ref()?.history())
    }

    /// The density estimator as trained so far; `None` before the first training.
    #[must_use]
    pub fn amortizer(&self) -> Option<&AmortizedPosterior<C>> {
        Some(self.trainer.as_ref()?.amortizer())
    }

    /// Sets the proposal for parameters of the next simulations, and begins a new round.
    pub fn set_proposal(&mut self, proposal: Proposal<C>) {
        match &proposal {
            Proposal::Prior => {}
            Proposal::Posterior(posterior) => self.trained_for = posterior.observation().cloned(),
            Proposal::Truncated(truncated) => self.trained_for = Some(truncated.observation().clone()),
        }
        self.proposal = proposal;
        self.counted = false;
        self.round += 1;
    }

    /// Appends parameters `[M, D]` and their data `[M, ...]`, simulated elsewhere; `[M]`, of one number each, is taken
    /// for `[M, 1]`. The parameters are assumed to come from the proposal, at first the prior. Non-finite data are
    /// dropped and counted. Trainings warn of parameters that do not look like draws from the proposal, and of
    /// duplicate pairs.
    ///
    /// # Errors
    /// No pairs; different numbers of data sets and parameters; rows of another width; parameters where the prior's
    /// density is 0; data of another shape than before; no finite data; a proposal for other parameters or data; a
    /// training that is complete and could not be saved.
    pub fn append(&mut self, parameters: Array2<f32>, data: impl Into<Data>) -> Result<(), InferenceError> {
        self.check_saved()?;
        let data = data.into();
        let (rows, dim) = (parameters.nrows(), self.prior.names().len());
        at_least_one("the number of pairs", rows)?;
        let columns = "as many as the prior has parameters";
        in_range(parameters.ncols() == dim, "the number of columns of the parameters", columns, parameters.ncols())?;
        let data_rows = data.len();
        in_range(rows == data_rows, "the number of rows of the parameters", "that of the data's", rows)?;
        let all_parameters = parameters.clone();
        let simulations = Simulations::new(self.prior.names().clone(), parameters, data)?;
        let (got, rows) = (simulations.len(), (0..simulations.len() as u64).collect::<Vec<_>>());
        let finite = InvalidSimulations::Drop.apply(simulations, &rows);
        let simulations = finite.map_err(|error| match error {
            bayesburn_simulation::SimulationError::NothingLeft { .. } => InferenceError::NothingValid { got },
            error => error.into(),
        })?;
        let excluded = simulations.invalid.len();
        self.add(simulations, excluded)?;
        if let Some(part) = self.appended.last_mut() {
            part.foreign = Some(all_parameters);
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, simulations: Simulations, excluded: usize) -> Result<(), InferenceError> {
        let shape = simulations.data.values().shape()[1..].to_vec();
        if let Some(expected) = &self.data_shape
            && *expected != shape
        {
            return Err(InferenceError::Observation { expected: expected.clone(), got: shape });
        }
        self.check_proposal(Some(&shape))?;
        self.check_support(&simulations.parameters)?;
        if excluded > 0 && !self.proposal.keeps_the_prior() {
            let got = simulations.len() + excluded;
            return Err(InferenceError::InvalidUnderProposal { invalid: excluded, got });
        }
        if let (Proposal::Posterior(posterior), false) = (&self.proposal, self.counted) {
            if self.config.training.correction == Correction::ClosedForm {
                self.mixtures.push(MixtureProposal::new(posterior, &self.prior, &self.config.networks)?);
            }
            self.posteriors += 1;
            self.counted = true;
        }
        self.data_shape = Some(shape);
        let proposal = if self.proposal.keeps_the_prior() { 0 } else { self.posteriors };
        let is_of_prior = matches!(self.proposal, Proposal::Prior);
        let (round, foreign) = (self.round, None);
        self.appended.push(Appended { simulations, proposal, excluded, round, is_of_prior, foreign });
        self.calls += 1;
        Ok(())
    }

    /// Checks that the last training is not complete without its posterior. On more pairs it would be another one.
    pub(crate) fn check_saved(&self) -> Result<(), InferenceError> {
        if self.unsaved.is_some() { Err(InferenceError::TrainingNotSaved) } else { Ok(()) }
    }

    /// Checks that a proposing posterior, possibly of another inference, has the same parameters and data of this
    /// shape.
    pub(crate) fn check_proposal(&self, data_shape: Option<&[usize]>) -> Result<(), InferenceError> {
        let Some(posterior) = self.proposal.posterior_behind() else { return Ok(()) };
        let (expected, got) = (self.prior.names().to_vec(), posterior.prior().names().to_vec());
        if expected != got {
            return Err(InferenceError::ForeignProposal { expected, got });
        }
        match data_shape {
            Some(expected) if expected != posterior.data_shape() => {
                let (expected, got) = (expected.to_vec(), posterior.data_shape().to_vec());
                Err(InferenceError::Observation { expected, got })
            }
            _ => Ok(()),
        }
    }

    /// Checks that the prior's density is above 0 at all parameters.
    fn check_support(&self, parameters: &Array2<f32>) -> Result<(), InferenceError> {
        let density = self.prior.density().expect("checked when this was built");
        for (simulation, row) in parameters.outer_iter().enumerate() {
            let values = row.to_vec();
            if !density.contains(&values) {
                let outside = density.support().iter().zip(&values).position(|(i, &value)| !i.contains(value));
                let at = outside.unwrap_or(values.len() - 1);
                let (name, interval) = (self.prior.names()[at].clone(), density.support()[at]);
                return Err(InferenceError::OutsidePrior { simulation, values, name, interval });
            }
        }
        Ok(())
    }
}
