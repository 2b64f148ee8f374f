//! The posterior of an inference: draws inside the prior's support, normalised densities, predictions.

mod answers;

use crate::{
    InferenceError, RejectionConfig, TrainingSummary,
    rejection::{UsualLeakage, log_acceptance},
};
use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configurator, Configured};
use bayesburn_core::{Data, Given, Interval};
use bayesburn_networks::{AnyInferenceConfig, CouplingDesign, IdentityConfig, SummaryConfig};
use bayesburn_simulation::{Density, Prior};
use ndarray::{Array, Array1, ArrayD, Axis, Dimension};
use std::{fmt, sync::Arc};

/// A posterior p(θ | x) of an inference by [`Npe`](crate::Npe): for any x after one round, and for the x of its
/// proposals after several.
///
/// Draws are inside the prior's support: those of the density that are outside, because it leaks, are drawn again. The
/// density is corrected likewise. Neither is needed where parameters are mapped to the reals by
/// [`PosteriorConfig::with_support`](bayesburn_amortizers::PosteriorConfig::with_support), from which nothing leaks.
///
/// Observations are of the shape that the simulator returns: one of them for [`Posterior::with_observation`], M along a
/// first axis, or one, for the methods that end in `_for`. Where the data are one number, they may come without an axis
/// for it: `[]`, or `[M]`. A simulation is made an observation by
/// [`observations`](bayesburn_core::Simulations::observations), which marks missing values.
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

/// Draws from the density whose share inside the support corrects it: its logarithm then has a standard error of 0.01
/// where half of it leaks.
const LEAKAGE_DRAWS: usize = 10_240;

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

    /// Sets the observation of [`Posterior::sample`] and [`Posterior::log_prob`]; of the shape of one simulation's
    /// data.
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

    /// Sets how many draws from the density, at each observation, tell what share of it leaks out of the prior's
    /// support; 10,240 if not set, at least 1. Densities at thousands of observations may do with 1,024: standard
    /// errors are then 0.03 where half of it leaks.
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

    /// The observation that this posterior is for, if parameters of some simulations were proposed for it; `None` if it
    /// is amortized.
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
        // Any parameters of the prior will do, for a configurator that is a function of simulations.
        let some: Array1<f32> = self.density().support().iter().map(|interval| interval.from_real(0.0)).collect();
        let data = if self.masked { Data::with_missing(data) } else { Data::new(data) };
        let given = Given { stand_in: Some(&some), ..Given::new(self.prior.names(), &data) };
        Ok(self.configurator.conditions(&given)?)
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

    /// The mean over held-out simulations, each with its weight, of what correcting for leakage adds to −ln q(θ | x).
    /// It remembers what leaks.
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
}

impl<C: SummaryConfig> fmt::Display for Posterior<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let estimator = match &self.amortizer.config().inference {
            AnyInferenceConfig::Invertible(config) if matches!(config.coupling, CouplingDesign::Spline(_)) => {
                "a neural spline flow"
            }
            AnyInferenceConfig::Invertible(_) => "an invertible network",
            AnyInferenceConfig::Autoregressive(_) => "an autoregressive flow",
            AnyInferenceConfig::Mixture(config) if config.components == 1 => "a normal distribution",
            AnyInferenceConfig::Mixture(_) => "a mixture of normal distributions",
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
