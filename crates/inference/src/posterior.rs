//! The posterior of an inference: draws inside the prior's support, normalised densities, predictions.

use crate::{
    Acceptance, InferenceError, RejectionConfig, Sampled, TrainingSummary,
    rejection::{UsualLeakage, acceptance, log_acceptance, sample},
    space::scales,
};
use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configurator, Configured};
use bayesburn_core::{Draws, Interval, Simulations};
use bayesburn_networks::{CouplingDesign, IdentityConfig, InferenceConfig, SummaryConfig};
use bayesburn_simulation::{Density, GenerativeModel, InvalidSimulations, Prior};
use ndarray::{Array, Array1, Array2, ArrayD, Axis, Dimension};
use std::{fmt, sync::Arc};

/// A posterior p(θ | x) of an inference by [`Npe`](crate::Npe): for any x after one round, and for the x of its proposals after several.
///
/// Draws are inside the prior's support: those of the density that are outside, because it leaks, are drawn again. The density is
/// corrected likewise. Neither is needed where parameters are mapped to the reals by
/// [`PosteriorConfig::with_support`](bayesburn_amortizers::PosteriorConfig::with_support), from which nothing leaks.
///
/// Observations are of the shape that the simulator returns: one of them for [`Posterior::with_observation`], M along a first axis, or one,
/// for the methods that end in `_for`. Where the data are one number, they may come without an axis for it: `[]`, or `[M]`. A simulation is made an
/// observation by [`Simulations::observations`], which marks missing values.
#[derive(Clone)]
pub struct Posterior<C: SummaryConfig = IdentityConfig> {
    amortizer: AmortizedPosterior<C>,
    prior: Prior,
    configurator: Arc<dyn Configurator>,
    /// The shape of the data of one simulation.
    data_shape: Vec<usize>,
    observation: Option<ArrayD<f32>>,
    rejection: RejectionConfig,
    leakage_draws: usize,
    /// What leaks at held-out simulations, if the posterior is amortized.
    usual_leakage: Option<UsualLeakage>,
    /// Rounds, of which the last was trained on.
    rounds: usize,
    /// The observation that simulations were made for.
    trained_for: Option<ArrayD<f32>>,
    /// Whether values may be missing: the networks then see which are.
    masked: bool,
    summary: Option<TrainingSummary>,
    warnings: Vec<String>,
}

impl<C: SummaryConfig> fmt::Debug for Posterior<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posterior")
            .field("prior", &self.prior)
            .field("data_shape", &self.data_shape)
            .field("observation", &self.observation)
            .field("rounds", &self.rounds)
            .finish_non_exhaustive()
    }
}

/// Draws from the density whose share inside the support corrects it: its logarithm then has a standard error of 0.01 where half of it leaks.
const LEAKAGE_DRAWS: usize = 10_240;

const FOR_ANOTHER: &str = "the posterior was trained in rounds for one observation and is asked about another: train one in a single \
                           round, from the prior, which is good for any";

impl<C: SummaryConfig> Posterior<C> {
    pub(crate) fn new(
        amortizer: AmortizedPosterior<C>,
        prior: Prior,
        configurator: Arc<dyn Configurator>,
        (data_shape, masked): (Vec<usize>, bool),
        rounds: usize,
    ) -> Self {
        Self {
            amortizer,
            prior,
            configurator,
            data_shape,
            observation: None,
            rejection: RejectionConfig::new(),
            leakage_draws: LEAKAGE_DRAWS,
            usual_leakage: None,
            rounds,
            trained_for: None,
            masked,
            summary: None,
            warnings: Vec::new(),
        }
    }

    pub(crate) fn with_trained_for(mut self, x: Option<ArrayD<f32>>) -> Self {
        self.trained_for = x;
        self
    }

    pub(crate) fn set_amortizer(&mut self, amortizer: AmortizedPosterior<C>) {
        self.amortizer = amortizer;
    }

    pub(crate) fn with_summary(mut self, summary: TrainingSummary) -> Self {
        self.warnings.clone_from(&summary.warnings);
        self.summary = Some(summary);
        self
    }

    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// What to know about the training, as in its summary; a saved posterior keeps it.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the training came to, its warnings among it; `None` if the posterior was loaded.
    #[must_use]
    pub fn summary(&self) -> Option<&TrainingSummary> {
        self.summary.as_ref()
    }

    /// Sets the observation of [`Posterior::sample`] and [`Posterior::log_prob`]; of the shape of one simulation's data.
    ///
    /// # Errors
    /// Another shape; a value that is not finite, but NaN where simulations with missing values were trained on.
    pub fn with_observation<D: Dimension>(mut self, x: Array<f32, D>) -> Result<Self, InferenceError> {
        let x = self.with_axis(x.into_dyn());
        if x.shape() != self.data_shape {
            return Err(InferenceError::Observation { expected: self.data_shape.clone(), got: x.shape().to_vec() });
        }
        self.conditions(&x)?;
        self.observation = Some(x);
        Ok(self)
    }

    /// Sets how long draws outside of the support are drawn again.
    #[must_use]
    pub fn with_rejection(mut self, rejection: RejectionConfig) -> Self {
        self.rejection = rejection;
        self
    }

    /// Sets how many draws from the density, at each observation, tell what share of it leaks out of the prior's support; 10,240 if not set, at
    /// least 1. Densities at thousands of observations may do with 1,024: standard errors are then 0.03 where half of it leaks.
    #[must_use]
    pub fn with_leakage_draws(mut self, draws: usize) -> Self {
        self.leakage_draws = draws.max(1);
        self
    }

    /// The observation set.
    #[must_use]
    pub fn observation(&self) -> Option<&ArrayD<f32>> {
        self.observation.as_ref()
    }

    pub(crate) fn data_shape(&self) -> &[usize] {
        &self.data_shape
    }

    /// Whether values of observations may be missing, NaN: where simulations with missing values were trained on.
    #[must_use]
    pub fn is_masked(&self) -> bool {
        self.masked
    }

    pub(crate) fn set_configurator(&mut self, configurator: Arc<dyn Configurator>) {
        self.configurator = configurator;
    }

    /// The prior.
    #[must_use]
    pub fn prior(&self) -> &Prior {
        &self.prior
    }

    /// The density estimator, as it was trained: its draws may be outside of the support.
    #[must_use]
    pub fn amortizer(&self) -> &AmortizedPosterior<C> {
        &self.amortizer
    }

    /// Rounds of simulations that the posterior was trained on.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// The observation that this posterior is for, if parameters of some simulations were proposed for it; `None` if it is amortized.
    #[must_use]
    pub fn trained_for(&self) -> Option<&ArrayD<f32>> {
        self.trained_for.as_ref()
    }

    /// Observations of one number each with an axis for it.
    fn with_axis(&self, x: ArrayD<f32>) -> ArrayD<f32> {
        let last = Axis(x.ndim());
        let lacks_axis = self.data_shape == [1] && x.ndim() < 2 && x.shape() != [1];
        if lacks_axis { x.insert_axis(last) } else { x }
    }

    /// What the networks see of one observation, or of M along a first axis.
    ///
    /// # Errors
    /// Another shape than that of simulated data; a value that is not finite, but NaN where [`Posterior::is_masked`].
    pub fn conditions<D: Dimension>(&self, x: &Array<f32, D>) -> Result<Conditions, InferenceError> {
        let data = self.with_axis(x.to_owned().into_dyn());
        let one = data.shape() == self.data_shape;
        if !one && data.shape().get(1..) != Some(&self.data_shape[..]) {
            return Err(InferenceError::Observation { expected: self.data_shape.clone(), got: x.shape().to_vec() });
        }
        let data = if one { data.insert_axis(Axis(0)) } else { data };
        let refused = |value: &f32| if self.masked { value.is_infinite() } else { !value.is_finite() };
        if let Some((position, &value)) = data.indexed_iter().find(|(_, value)| refused(value)) {
            let position = ndarray::Dimension::as_array_view(&position).to_vec();
            let position = if one { position[1..].to_vec() } else { position };
            return Err(InferenceError::NonFiniteObservation { position, value });
        }
        // Any parameters of the prior will do: the configurator wants some, and may weigh them.
        let some: Array1<f32> = self.density().support().iter().map(|interval| interval.from_real(0.0)).collect();
        let some = some.broadcast((data.shape()[0], some.len())).expect("one row for each data set").to_owned();
        let mut simulations = Simulations::new(self.prior.names().clone(), some, data)?;
        if self.masked {
            let rows: Vec<u64> = (0..simulations.len() as u64).collect();
            simulations = InvalidSimulations::Mask.apply(simulations, &rows)?;
        }
        Ok(self.configurator.configure(&simulations)?.conditions)
    }

    fn own(&self) -> Result<&ArrayD<f32>, InferenceError> {
        self.observation.as_ref().ok_or(InferenceError::NoObservation)
    }

    /// The prior's density, which an inference is made with.
    pub(crate) fn density(&self) -> &Density {
        self.prior.density().expect("an inference has checked that there is one")
    }

    /// Whether nothing leaks: parameters are mapped to the reals from where the prior is.
    fn is_tight(&self) -> bool {
        let real = self.density().support().iter().all(|interval| *interval == Interval::Real);
        let mapped = self.amortizer.config().support.as_deref() == Some(self.density().support());
        (real || mapped) && self.density().is_product_of_intervals()
    }

    /// The mean over held-out simulations, each with its weight, of what correcting for leakage adds to −ln q(θ | x). It remembers what leaks.
    pub(crate) fn measure_leakage(&mut self, held_out: &Configured) -> Result<f64, InferenceError> {
        if self.is_tight() {
            return Ok(0.0);
        }
        let density = self.density();
        let (logs, usual) = log_acceptance(&self.amortizer, &held_out.conditions, &|theta| density.contains(theta))?;
        self.usual_leakage = Some(usual);
        let weight = |row: usize| held_out.weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
        Ok(logs.iter().enumerate().map(|(row, log)| weight(row) * log).sum::<f64>() / logs.len() as f64)
    }

    pub(crate) fn usual_leakage(&self) -> Option<UsualLeakage> {
        self.usual_leakage
    }

    pub(crate) fn with_usual_leakage(mut self, usual: Option<UsualLeakage>) -> Self {
        self.usual_leakage = usual;
        self
    }

    /// What to try with the space of the parameters, if the posterior turns out to be wrong.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        let scales = scales(&self.prior);
        let own = |d: usize| self.amortizer.config().support.as_ref().is_none_or(|s| s[d] == Interval::Real);
        let logarithms = scales.support.iter().flatten().enumerate();
        let logarithms = logarithms.filter(|(d, log)| **log != Interval::Real && own(*d));
        let over_decades = logarithms.map(|(d, _)| self.prior.names()[d].clone()).chain(scales.unresolved);
        let over_decades: Vec<String> = over_decades.filter(|_| !self.is_tight()).collect();
        let mut advice = Vec::new();
        if !over_decades.is_empty() {
            advice.push(format!(
                "inferring the logarithm of {}, of which the prior spans decades",
                over_decades.join(", ")
            ));
        }
        if self.usual_leakage.is_some_and(|usual| usual.least_inside < 0.8) {
            advice.push(
                "`NpeConfig::with_space(ParameterSpace::Unconstrained)`, from which nothing leaks: the prior's bounds cut some of the posteriors; \
                 compare `corrected_validation_loss` of both spaces"
                    .to_owned(),
            );
        }
        advice
    }

    /// Draws for the observation set, `[1, num_draws, D]`. Another call with the same seed gives the same draws.
    ///
    /// # Errors
    /// No observation set; as [`Posterior::sample_for`].
    pub fn sample(&self, num_draws: usize, seed: u64) -> Result<Draws, InferenceError> {
        self.sample_for(self.own()?, num_draws, seed)
    }

    /// Draws for one observation or M of them, `[M, num_draws, D]`, inside the prior's support.
    ///
    /// Draw l for observation m is the same for any number of draws above l and any observations after m. Observations unlike the simulations
    /// are warned of: see [`Draws::warnings`].
    ///
    /// The latent numbers of an observation depend on the seed and on the observation's number alone. A call numbers its observations from 0, so their
    /// draws are independent, but another call with the same seed uses the same latent numbers again. Checks of calibration need independent draws
    /// for different observations: with one call for each observation and one seed, they reject exact posteriors. Draw for all observations in one
    /// call, or for one at a time by its number with [`Posterior::sample_numbered`].
    ///
    /// # Errors
    /// Zero draws; an observation of another shape or with values that are not finite; draws that were not found within the limits of
    /// [`RejectionConfig`].
    pub fn sample_for<D: Dimension>(
        &self,
        x: &Array<f32, D>,
        num_draws: usize,
        seed: u64,
    ) -> Result<Draws, InferenceError> {
        self.sample_with_report(x, num_draws, seed)?.into_draws()
    }

    /// As [`Posterior::sample_for`], with observations numbered `first`, `first` + 1, …: for observations that come one at a time, such as
    /// `posterior.sample_numbered(&x, m, 99, seed)` for number m. Draws are those that one call for all observations gives to the ones with these
    /// numbers.
    ///
    /// # Errors
    /// As [`Posterior::sample_for`]; a number of 2³² or more.
    pub fn sample_numbered<D: Dimension>(
        &self,
        x: &Array<f32, D>,
        first: usize,
        num_draws: usize,
        seed: u64,
    ) -> Result<Draws, InferenceError> {
        self.sampled((x, first), num_draws, seed)?.into_draws()
    }

    /// As [`Posterior::sample_for`], with tries and acceptance, and as many draws as were found if the configuration says so.
    ///
    /// # Errors
    /// As [`Posterior::sample_for`].
    pub fn sample_with_report<D: Dimension>(
        &self,
        x: &Array<f32, D>,
        num_draws: usize,
        seed: u64,
    ) -> Result<Sampled, InferenceError> {
        self.sampled((x, 0), num_draws, seed)
    }

    /// Where the first observation has the number `first`.
    fn sampled<D: Dimension>(
        &self,
        (x, first): (&Array<f32, D>, usize),
        num_draws: usize,
        seed: u64,
    ) -> Result<Sampled, InferenceError> {
        let (conditions, density) = (self.conditions(x)?, self.density());
        let inside = |theta: &[f32]| density.contains(theta);
        let (part, config) = ((&conditions, first), (&self.rejection, self.usual_leakage));
        let sampled = sample(&self.amortizer, part, (num_draws, seed), config, &inside)?;
        let warnings = match &self.trained_for {
            None => self.amortizer.warnings_for(&conditions)?,
            Some(_) if self.is_for_another(x) => vec![FOR_ANOTHER.to_owned()],
            // Later rounds have simulated around it, however far from those of the prior it is.
            Some(_) => Vec::new(),
        };
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(sampled.with_warnings(warnings))
    }

    /// Whether this posterior was trained for one observation, and not for this.
    fn is_for_another<D: Dimension>(&self, x: &Array<f32, D>) -> bool {
        let same = |(a, b): (&f32, &f32)| a == b || a.is_nan() && b.is_nan();
        self.trained_for.as_ref().is_some_and(|own| {
            let whole = x.len().is_multiple_of(own.len());
            !whole || !x.iter().zip(own.iter().cycle()).all(same)
        })
    }

    /// The share of the density that is inside the prior's support, for each observation, from as many draws as [`Posterior::with_leakage_draws`] has.
    ///
    /// # Errors
    /// An observation of another shape or with values that are not finite.
    pub fn acceptance_for<D: Dimension>(
        &self,
        x: &Array<f32, D>,
        seed: u64,
    ) -> Result<Vec<Acceptance>, InferenceError> {
        let (conditions, density) = (self.conditions(x)?, self.density());
        acceptance(&self.amortizer, &conditions, (0..self.leakage_draws, seed), &|theta| density.contains(theta))
    }

    /// ln p(θ | x) of rows of parameters `[K, D]` at the observation set, `[K]`.
    ///
    /// # Errors
    /// No observation set; as [`Posterior::log_prob_for`].
    pub fn log_prob(&self, parameters: &Array2<f32>) -> Result<Array1<f32>, InferenceError> {
        self.log_prob_for(parameters, self.own()?)
    }

    /// ln p(θ | x), `[M]`, of M rows of parameters for M observations, or for one: −∞ outside of the prior's support, and normalised
    /// inside, by what share of draws is there.
    ///
    /// # Errors
    /// Rows of another width, or number; values that are not finite; an observation of another shape.
    pub fn log_prob_for<D: Dimension>(
        &self,
        parameters: &Array2<f32>,
        x: &Array<f32, D>,
    ) -> Result<Array1<f32>, InferenceError> {
        let (conditions, density) = (self.conditions(x)?, self.density());
        let mut log_prob = self.amortizer.log_prob(parameters, &conditions)?;
        let inside = |theta: &[f32]| density.contains(theta);
        let corrections: Vec<f32> = if self.is_tight() {
            vec![0.0; conditions.len()]
        } else {
            let acceptance = acceptance(&self.amortizer, &conditions, (0..self.leakage_draws, 0), &inside)?;
            // Of no draw inside it is only known that there are fewer.
            acceptance.iter().map(|a| -(a.rate().max(0.5 / a.tried as f64).ln()) as f32).collect()
        };
        for (row, (log_prob, theta)) in log_prob.iter_mut().zip(parameters.outer_iter()).enumerate() {
            let correction = corrections[if corrections.len() == 1 { 0 } else { row }];
            *log_prob = if inside(&theta.to_vec()) { *log_prob + correction } else { f32::NEG_INFINITY };
        }
        Ok(log_prob)
    }

    /// ln q(θ | x) of the density estimator itself, `[M]`: as [`Posterior::log_prob_for`], but not corrected for leakage. It is
    /// normalised over the estimator's own support, and not set to −∞ outside of the prior's.
    ///
    /// # Errors
    /// As [`Posterior::log_prob_for`].
    pub fn uncorrected_log_prob_for<D: Dimension>(
        &self,
        parameters: &Array2<f32>,
        x: &Array<f32, D>,
    ) -> Result<Array1<f32>, InferenceError> {
        Ok(self.amortizer.log_prob(parameters, &self.conditions(x)?)?)
    }

    /// Data that the model yields for parameters drawn from the posterior of one observation: posterior predictions, `num_draws` of them.
    /// Those that are not finite are redrawn or masked if the model says so, by [`GenerativeModel::predict`], and left out else, as
    /// [`Npe`](crate::Npe) does; [`Simulations::invalid`] lists them.
    ///
    /// # Errors
    /// As [`Posterior::sample_for`]; more than one observation; simulations that fail, or none of which is finite.
    pub fn predict<D: Dimension>(
        &self,
        model: &GenerativeModel,
        x: &Array<f32, D>,
        num_draws: usize,
        seed: u64,
    ) -> Result<Simulations, InferenceError> {
        let draws = self.sample_for(x, num_draws, seed)?;
        if draws.num_data_sets() != 1 {
            return Err(InferenceError::Observation { expected: self.data_shape.clone(), got: x.shape().to_vec() });
        }
        Ok(model.clone().leaving_out_invalid().predict(&draws.data_set(0).to_owned(), seed, 0)?)
    }
}

impl<C: SummaryConfig> fmt::Display for Posterior<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let estimator = match &self.amortizer.config().inference {
            InferenceConfig::Invertible(config) if matches!(config.coupling, CouplingDesign::Spline(_)) => {
                "a neural spline flow"
            }
            InferenceConfig::Invertible(_) => "an invertible network",
            InferenceConfig::Autoregressive(_) => "an autoregressive flow",
            InferenceConfig::Mixture(config) if config.components == 1 => "a normal distribution",
            InferenceConfig::Mixture(_) => "a mixture of normal distributions",
        };
        let rounds = match &self.trained_for {
            None => "amortized".to_owned(),
            Some(_) => format!("{} rounds", self.rounds),
        };
        writeln!(f, "Posterior p(θ | x) of {} ({rounds}).", self.prior.names().join(", "))?;
        match &self.observation {
            Some(x) => writeln!(f, "It draws and evaluates at x = {x} unless told otherwise.")?,
            None => writeln!(f, "It has no observation of its own: pass one to draw and evaluate.")?,
        }
        let support = if !self.is_tight() {
            "draws outside of the prior's support are drawn again, and densities corrected for what leaks out of it"
        } else if self.density().support().iter().all(|interval| *interval == Interval::Real) {
            "the prior has no bounds, so that nothing leaks out of its support"
        } else {
            "parameters are mapped to the reals, so that all of it is inside the prior's support"
        };
        write!(f, "It was estimated by neural posterior estimation with {estimator}; {support}.")?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nWarning: {warning}"))
    }
}
