//! Defines the posterior of an inference: draws inside the prior's support, normalised densities, predictions.

mod answers;

use crate::{
    InferenceError, RejectionConfig, TrainingSummary,
    rejection::{UsualLeakage, log_acceptance},
};
use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configurator, Configured};
use bayesburn_core::{Data, Given, Interval, one_line, printable};
use bayesburn_networks::{AnyInferenceConfig, CouplingDesign, IdentityConfig, SummaryConfig};
use bayesburn_simulation::{Density, Prior};
use ndarray::{Array, Array1, ArrayD, Axis, Dimension};
use std::{fmt, sync::Arc};

/// A posterior p(θ | x), estimated by [`Npe`](crate::Npe): amortized after a round from the prior.
///
/// Further rounds whose proposals use a posterior concentrate simulations on one observation. The result then applies
/// only to that observation: see [`Posterior::trained_for`].
///
/// Draws are inside the prior's support: draws of the estimator that leak outside are redrawn, and the density is
/// corrected for the leakage. Neither is needed if parameters are mapped to the reals by
/// [`PosteriorConfig::with_support`](bayesburn_amortizers::PosteriorConfig::with_support), since then nothing leaks.
///
/// Observations have the shape that the simulator returns: one of them for [`Posterior::with_observation`]; one, or M
/// along a first axis, for methods that end in `_for`. If an observation is one number, its axis may be left out: `[]`,
/// or `[M]`. To use a simulation as an observation, call [`observations`](bayesburn_core::Simulations::observations),
/// which marks missing values.
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
    /// The leakage at held-out simulations, if the posterior is amortized.
    usual_leakage: Option<UsualLeakage>,
    /// The number of rounds.
    rounds: usize,
    /// The observation that simulations were made for.
    trained_for: Option<ArrayD<f32>>,
    /// Whether values may be missing; the networks then see a mask.
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

/// Default number of draws for the leakage correction. The standard error of its logarithm is 0.01 if half of the
/// density leaks.
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

    /// Warnings about the training, as in its summary; saved with the posterior.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The summary of the training, including warnings; `None` if the posterior was loaded.
    #[must_use]
    pub fn summary(&self) -> Option<&TrainingSummary> {
        self.summary.as_ref()
    }

    /// Sets the default observation, for [`Posterior::sample`], [`Posterior::log_prob`] and [`Posterior::map`]. It has
    /// the shape of one simulation's data.
    ///
    /// # Errors
    /// Another shape; a non-finite value, except NaN if the training had missing values.
    pub fn with_observation<D: Dimension>(mut self, x: Array<f32, D>) -> Result<Self, InferenceError> {
        let x = self.with_axis(x.into_dyn());
        if x.shape() != self.data_shape {
            return Err(InferenceError::Observation { expected: self.data_shape.clone(), got: x.shape().to_vec() });
        }
        self.conditions(&x)?;
        self.observation = Some(x);
        Ok(self)
    }

    /// Sets the limits for redrawing draws outside of the support.
    #[must_use]
    pub fn with_rejection(mut self, rejection: RejectionConfig) -> Self {
        self.rejection = rejection;
        self
    }

    /// Sets the number of draws per observation that estimate the leakage out of the prior's support, at least 1;
    /// 10,240 by default. For densities at thousands of observations, 1,024 may be enough: the standard error is then
    /// 0.03 if half of the density leaks.
    #[must_use]
    pub fn with_leakage_draws(mut self, draws: usize) -> Self {
        self.leakage_draws = draws.max(1);
        self
    }

    /// The default observation.
    #[must_use]
    pub fn observation(&self) -> Option<&ArrayD<f32>> {
        self.observation.as_ref()
    }

    pub(crate) fn data_shape(&self) -> &[usize] {
        &self.data_shape
    }

    /// Whether observations may have missing values (NaN), because the training had some.
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

    /// The trained density estimator. Its draws may be outside of the support.
    #[must_use]
    pub fn amortizer(&self) -> &AmortizedPosterior<C> {
        &self.amortizer
    }

    /// The number of rounds of simulations that the posterior was trained on.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// The observation that this posterior is for, if some parameters were proposed for it; `None` if the posterior is
    /// amortized.
    #[must_use]
    pub fn trained_for(&self) -> Option<&ArrayD<f32>> {
        self.trained_for.as_ref()
    }

    /// Adds an axis to observations of one number each.
    fn with_axis(&self, x: ArrayD<f32>) -> ArrayD<f32> {
        let last = Axis(x.ndim());
        let lacks_axis = self.data_shape == [1] && x.ndim() < 2 && x.shape() != [1];
        if lacks_axis { x.insert_axis(last) } else { x }
    }

    /// The networks' inputs for one observation, or for M along a first axis.
    ///
    /// # Errors
    /// Another shape than that of simulated data; a non-finite value, except NaN if [`Posterior::is_masked`].
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
        // A configurator that is a function of simulations needs some parameters; any of the prior will do.
        let some: Array1<f32> = self.density().support().iter().map(|interval| interval.from_real(0.0)).collect();
        let data = if self.masked { Data::with_missing(data) } else { Data::new(data) };
        let given = Given { stand_in: Some(&some), ..Given::new(self.prior.names(), &data) };
        Ok(self.configurator.conditions(&given)?)
    }

    fn own(&self) -> Result<&ArrayD<f32>, InferenceError> {
        self.observation.as_ref().ok_or(InferenceError::NoObservation)
    }

    /// The prior's density, which every inference has.
    pub(crate) fn density(&self) -> &Density {
        self.prior.density().expect("an inference has checked that there is one")
    }

    /// Whether nothing leaks, because parameters are mapped to the reals from the prior's support.
    fn is_tight(&self) -> bool {
        let real = self.density().support().iter().all(|interval| *interval == Interval::Real);
        let mapped = self.amortizer.config().support.as_deref() == Some(self.density().support());
        (real || mapped) && self.density().is_product_of_intervals()
    }

    /// The weighted mean over held-out simulations of the leakage correction that is added to −ln q(θ | x). Also stores
    /// the largest leakage.
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
        let names: Vec<_> = self.prior.names().iter().map(|name| one_line(name)).collect();
        writeln!(f, "Posterior p(θ | x) of {} ({rounds}).", names.join(", "))?;
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
        self.warnings.iter().try_for_each(|warning| write!(f, "\nWarning: {}", printable(warning)))
    }
}
