//! The amortized posterior: what is trained once and then asked about any number of data sets.

use crate::{
    Amortizer, AmortizerError, Conditions, Configured, PosteriorConfig, PosteriorNetworks,
    conditions::check_finite,
    encoded::Encoded,
    evaluator::{Evaluator, Kept},
    familiar::{Familiar, reference},
    networks::to_vec,
    targets::{Support, Targets},
    training_range::{TrainingRange, named, warnings_of},
    widths::Widths,
};
use bayesburn_core::{DataShape, ParameterNames, one_line};
use bayesburn_networks::{
    AnyInferenceConfig, DeepSetConfig, InferenceConfig, MixtureParameters, Pass, SummaryConfig,
    num_trainable_parameters, number_parameters,
};
use burn::tensor::{Device, Tensor};
use ndarray::{Array1, Array2};
use std::{
    path::Path,
    sync::{Arc, OnceLock, PoisonError},
};

/// A posterior q(θ | x) for any data set x: a summary network and an inference network, by default a conditional
/// invertible network, trained on simulations (Radev et al. 2020).
///
/// Draws, densities and latents are computed without gradients, in chunks of bounded memory, on all cores or a GPU.
#[derive(Debug, Clone)]
pub struct AmortizedPosterior<C: SummaryConfig = DeepSetConfig, I: InferenceConfig = AnyInferenceConfig> {
    pub(crate) config: PosteriorConfig<C, I>,
    pub(crate) widths: Widths,
    pub(crate) names: ParameterNames,
    pub(crate) networks: PosteriorNetworks<C::Network, I::Network>,
    pub(crate) device: Device,
    /// The networks without gradients, made when they are first asked: on a GPU that copies all weights. Copies of the
    /// posterior share it.
    pub(crate) evaluator: Kept<C::Network, I::Network>,
    /// What the simulations were like; unknown of posteriors that an earlier version saved.
    pub(crate) range: Option<TrainingRange>,
    /// Simulations that tell how far apart data are; not saved.
    pub(crate) reference: Arc<[Conditions]>,
    /// What they tell, by the networks as they are now.
    pub(crate) familiar: Arc<OnceLock<Option<Familiar>>>,
    /// Whether any number of observations is taken.
    pub(crate) any_num_observations: bool,
}

impl<C: SummaryConfig, I: InferenceConfig> AmortizedPosterior<C, I> {
    /// An untrained posterior with random weights of this seed. Pilot simulations give the widths, the standardisation
    /// constants and, if it is asked for, the initial activation normalisation; batches that differ in non-batchable
    /// context must each be there, so that its range is seen.
    ///
    /// # Errors
    /// A configuration outside its ranges; no pilot simulations, or some that differ in width; weights that are all 0.
    pub fn new(
        config: PosteriorConfig<C, I>,
        names: impl IntoIterator<Item = impl Into<String>>,
        pilot: &[Configured],
        seed: u64,
        device: &Device,
    ) -> Result<Self, AmortizerError> {
        let first = pilot.first().ok_or(AmortizerError::Empty {
            what: "the pilot",
            remedy: "pass at least one batch of configured simulations",
        })?;
        first.check()?;
        let mut widths = Widths::new(names.into_iter().map(Into::into).collect(), pilot)?;
        widths.statistics = config.statistics_of(&widths.shape());
        let mut posterior = Self::untrained(config, widths, seed, device)?;
        for batch in pilot {
            posterior.check(batch)?;
            Support(posterior.config.bounds.as_deref()).check(&posterior.widths.names, &batch.parameters)?;
        }
        if !pilot.iter().any(Configured::has_weight) {
            let simulations = pilot.iter().map(Configured::len).sum();
            return Err(AmortizerError::NoWeight { of: "pilot", simulations });
        }
        let (columns, targets) = posterior.fit_standardization(pilot);
        posterior.fit_regression(pilot, &targets);
        if posterior.config.inference.needs_simulations() {
            posterior = posterior.fit_inference_network(pilot)?;
        }
        // Nothing was evaluated yet.
        posterior.networks = number_parameters(posterior.networks);
        let range = TrainingRange::new(pilot, &columns, targets);
        (posterior.range, posterior.reference) = (Some(range), reference(pilot).into());
        Ok(posterior)
    }

    /// The training loss of a batch, `[1]`, with gradients: the mean negative log posterior density, or loss of the
    /// inference network's own, each with its simulation's weight, plus the summary loss.
    ///
    /// # Errors
    /// If the batch's widths are not those of the networks, its arrays differ in the number of data sets, a value is
    /// not finite, or a weight is negative.
    pub fn loss(&self, batch: &Configured, pass: &mut Pass) -> Result<Tensor<1>, AmortizerError> {
        self.check(batch)?;
        let (targets, of_batch) =
            (self.support().targets(&batch.parameters), (&batch.conditions, batch.weights.as_ref()));
        self.networks.loss(&targets, of_batch, self.config.summary_loss, &self.device, pass)
    }

    /// log q(θ | x) of each simulation of a batch, `[M]`, with gradients and whatever the weights: what a loss of one's
    /// own is made of.
    ///
    /// [`AmortizedPosterior::log_prob`] is the same number without gradients. A training pass has dropout and
    /// SoftFlow's noise, an inference pass has not.
    ///
    /// ```
    /// use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
    /// use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig, Pass};
    /// use burn::tensor::Device;
    /// use ndarray::{Array2, Array3};
    ///
    /// let config = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new());
    /// let batch = Configured::new(Array2::from_elem((8, 1), 0.5), Conditions::new(Array3::zeros((8, 50, 1))))?;
    /// let posterior = AmortizedPosterior::new(config, ["mu"], &[batch.clone()], 2023, &Device::default())?;
    ///
    /// // The negative log-likelihood, in which the worst simulations count less: −log q is bounded by 100.
    /// let log_prob = posterior.log_prob_of_batch(&batch, &mut Pass::training(1))?;
    /// let gradients = log_prob.neg().clamp_max(100.0).mean().backward();
    /// # Ok::<(), bayesburn_amortizers::AmortizerError>(())
    /// ```
    ///
    /// # Errors
    /// As [`AmortizedPosterior::loss`].
    pub fn log_prob_of_batch(&self, batch: &Configured, pass: &mut Pass) -> Result<Tensor<1>, AmortizerError> {
        self.check(batch)?;
        let encoded = self.networks.encode(&batch.conditions, &self.device, pass);
        self.networks.log_prob(&self.support().targets(&batch.parameters), &encoded, &self.device, pass)
    }

    /// log q(θ | x), with gradients, of several parameter vectors for each of M data sets: `[M K, D]`, those of a data
    /// set after one another, to `[M K]`. What depends on a data set alone is computed once for it.
    ///
    /// # Errors
    /// As [`AmortizedPosterior::loss`]; a number of parameter vectors that M does not divide.
    pub fn log_prob_of_each(
        &self,
        parameters: &Array2<f32>,
        conditions: &Conditions,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        conditions.check()?;
        self.check_conditions(conditions)?;
        self.widths.check_parameters(parameters.view())?;
        check_finite("the parameter vector", parameters)?;
        self.support().check(&self.widths.names, parameters)?;
        let (expected, got) = (conditions.len(), parameters.nrows());
        if got == 0 || !got.is_multiple_of(expected) {
            return Err(AmortizerError::Multiple { expected, got });
        }
        let encoded = self.networks.encode(conditions, &self.device, pass);
        self.networks.log_prob(&self.support().targets(parameters), &encoded, &self.device, pass)
    }

    /// ln q(θ | x) of rows of parameters `[K, D]` at one data set, `[K]`, and its gradients by θ, `[K, D]`: for
    /// samplers and optimizers that follow them. Where a parameter is mapped to the reals, at a bound, the gradient is
    /// as large as f32 tells.
    ///
    /// # Errors
    /// More than one data set; parameters or conditions of another width; values that are not finite; parameters
    /// outside of the support.
    pub fn log_prob_and_gradient(
        &self,
        parameters: &Array2<f32>,
        conditions: &Conditions,
    ) -> Result<(Array1<f32>, Array2<f32>), AmortizerError> {
        self.check_observed(conditions)?;
        self.widths.check_parameters(parameters.view())?;
        check_finite("the parameter vector", parameters)?;
        self.support().check(&self.widths.names, parameters)?;
        if parameters.is_empty() {
            let remedy = "pass at least one parameter vector";
            return Err(AmortizerError::Empty { what: "the array of parameters", remedy });
        }
        if conditions.len() != 1 {
            let (expected, got) = (1, conditions.len());
            return Err(AmortizerError::Rows {
                what: "the array of data sets for one set of parameters",
                expected,
                got,
            });
        }
        let pass = &mut Pass::inference(0);
        let encoded = self.networks.encode(conditions, &self.device, pass).detached();
        let Targets { values, log_derivatives } = self.support().targets(parameters);
        let targets = crate::networks::tensor::<2, _>(&*values, &self.device).require_grad();
        let (_, log_prob) = self.networks.evaluate(targets.clone(), &encoded, pass)?;
        let gradients = log_prob.clone().sum().backward();
        let of_targets = targets.grad(&gradients).expect("the density depends on targets");
        let gradient = Array2::from_shape_vec(parameters.dim(), to_vec(of_targets));
        let mut gradient = gradient.expect("one for each parameter");
        let mut log_prob = Array1::from(to_vec(log_prob));
        if let (Some(log_derivatives), Some(support)) = (log_derivatives, &self.config.support) {
            log_prob += &log_derivatives;
            for (row, theta) in gradient.outer_iter_mut().zip(parameters.outer_iter()) {
                for ((g, &value), interval) in row.into_iter().zip(theta).zip(support) {
                    *g = (f64::from(*g) * interval.log_derivative(value).exp() + interval.log_derivative_slope(value))
                        as f32;
                }
            }
        }
        Ok((log_prob, gradient))
    }

    /// Means and standard deviations, `[D]` each, by which parameters are standardised after they are mapped to the
    /// reals, if they are. With a regression (see [`Standardization::All`](crate::Standardization::All)) the standard
    /// deviations are of what it leaves.
    #[must_use]
    pub fn parameter_standardization(&self) -> (Vec<f32>, Vec<f32>) {
        let dim = self.widths.names.len();
        match &self.networks.parameters {
            Some(standardizer) => {
                let [means, stds] = standardizer.constants();
                (means, stds)
            }
            None => (vec![0.0; dim], vec![1.0; dim]),
        }
    }

    /// The device that the networks are on, with gradients.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn support(&self) -> Support<'_> {
        Support(self.config.support.as_deref())
    }

    /// Whether a batch, or a part of it, is one that the networks take.
    pub(crate) fn check(&self, batch: &Configured) -> Result<(), AmortizerError> {
        batch.check()?;
        self.widths.check_parameters(batch.parameters.view())?;
        self.check_conditions(&batch.conditions)?;
        self.support().check(&self.widths.names, &batch.parameters)
    }

    /// Whether data sets are of the networks' widths, and of as many observations as they take.
    pub(crate) fn check_conditions(&self, conditions: &Conditions) -> Result<(), AmortizerError> {
        self.widths.check_conditions(conditions)?;
        Widths::check_num_observations(self.config.summary.num_observations(), conditions)
    }

    /// As [`AmortizedPosterior::check_conditions`], and whether the networks were trained on such data.
    pub(crate) fn check_observed(&self, conditions: &Conditions) -> Result<(), AmortizerError> {
        conditions.check()?;
        self.check_conditions(conditions)?;
        match &self.range {
            Some(range) if !self.any_num_observations => range.check_num_observations(conditions),
            _ => Ok(()),
        }
    }

    /// What the posterior was made from.
    #[must_use]
    pub fn config(&self) -> &PosteriorConfig<C, I> {
        &self.config
    }

    /// The parameters' names.
    #[must_use]
    pub fn parameter_names(&self) -> &ParameterNames {
        &self.names
    }

    /// Names the features of the simulator's data, in the order of their last axis, before a mask or contexts are put
    /// beside them.
    ///
    /// # Errors
    /// More names than an observation has features; a name that is empty or there twice.
    pub fn with_feature_names(
        mut self,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, AmortizerError> {
        self.widths.feature_names = Some(names.into_iter().map(Into::into).collect());
        self.widths.check_feature_names()?;
        Ok(self)
    }

    /// The names of the simulator's features, F or fewer, if they were given; where the networks see a mask or
    /// contexts, these come behind.
    #[must_use]
    pub fn feature_names(&self) -> Option<&[String]> {
        self.widths.feature_names.as_deref()
    }

    /// F, the features of an observation, and C, the number of direct conditions: what [`Conditions`] for this
    /// posterior have.
    #[must_use]
    pub fn condition_widths(&self) -> [usize; 2] {
        [self.widths.features, self.widths.direct]
    }

    /// How many features of an observation, the first, may be missing: as many columns of a mask follow them. 0 where
    /// the networks were not trained on simulations with missing values.
    #[must_use]
    pub fn num_masked_features(&self) -> usize {
        self.widths.masked().iter().sum()
    }

    /// The shapes of the data that the networks take: what [`Conditions`] for this posterior have, masks of values
    /// among the features.
    #[must_use]
    pub fn data_shape(&self) -> DataShape {
        self.widths.shape()
    }

    /// The networks: what an optimizer changes.
    #[must_use]
    pub fn networks(&self) -> &PosteriorNetworks<C::Network, I::Network> {
        &self.networks
    }

    /// Replaces the networks, for example by what they are one optimizer step further.
    pub fn set_networks(&mut self, networks: PosteriorNetworks<C::Network, I::Network>) {
        self.networks = networks;
        self.evaluator = Arc::default();
        self.familiar = Arc::default();
    }

    /// What the simulations were like that the posterior was trained on; `None` of one that an earlier version saved.
    #[must_use]
    pub fn training_range(&self) -> Option<&TrainingRange> {
        self.range.as_ref()
    }

    /// What to know about the simulations that the posterior was made from: features and parameters that never vary,
    /// that f32 hardly resolves, or that a few values dominate.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let Some(range) = &self.range else { return Vec::new() };
        let features = range.features().iter().enumerate();
        let features = features.map(|(i, of)| (format!("data {}", named(self.feature_names(), i)), *of));
        let parameters = self.names.iter().zip(range.parameters());
        let parameters = parameters.map(|(name, of)| (format!("parameter `{}`", one_line(name)), *of));
        let of = |columns: Vec<_>| warnings_of(&columns);
        [of(features.collect()), of(parameters.collect())].concat()
    }

    /// Takes in a batch that is trained on: data like it are then within the posterior's range. A [`Configured`] that
    /// is not taken in may be refused or warned of later.
    pub fn extend_training_range(&mut self, batch: &Configured) {
        if let Some(range) = &mut self.range {
            range.extend(&batch.conditions, &self.networks.masked);
        }
    }

    /// Takes data sets of any number of observations, also where networks were trained on one number alone: their
    /// answer may then be wrong, and draws have a warning.
    #[must_use]
    pub fn with_any_num_observations(mut self) -> Self {
        self.any_num_observations = true;
        self
    }

    /// Asks the networks without gradients. After an error, which on a GPU may be that of the memory of their weights,
    /// they are made anew.
    pub(crate) fn evaluated<R>(
        &self,
        ask: impl FnOnce(&Evaluator<C::Network, I::Network>) -> Result<R, AmortizerError>,
    ) -> Result<R, AmortizerError> {
        let kept = || self.evaluator.lock().unwrap_or_else(PoisonError::into_inner);
        let evaluator = kept().get_or_insert_with(|| Arc::new(Evaluator::new(self))).clone();
        ask(&evaluator).inspect_err(|_| *kept() = None)
    }

    /// As [`Amortizer::save`]: description, weights and the training range, sealed by checksums.
    ///
    /// # Errors
    /// A folder or file that cannot be written; a folder that holds other folders.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), AmortizerError> {
        Amortizer::save(self, folder)
    }

    /// As [`Amortizer::load`]: a posterior that [`AmortizedPosterior::save`] or a trainer's checkpoint wrote, on this
    /// device.
    ///
    /// # Errors
    /// A folder without a posterior; files that were changed since; a newer version; another type of summary network.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self, AmortizerError> {
        Amortizer::load(folder, device)
    }

    /// The number of trainable parameters of both networks.
    #[must_use]
    pub fn num_trainable_parameters(&self) -> usize {
        num_trainable_parameters(&self.networks)
    }
}

impl<C: SummaryConfig> AmortizedPosterior<C> {
    /// What a mixture density network makes of data sets: mixtures of standardised parameters (see
    /// [`AmortizedPosterior::parameter_standardization`]), with gradients.
    ///
    /// # Errors
    /// Another density estimator; conditions of another width; values that are not finite.
    pub fn mixture(&self, conditions: &Conditions, pass: &mut Pass) -> Result<MixtureParameters, AmortizerError> {
        let mixture = self.networks.inference.as_mixture().ok_or(AmortizerError::NoMixture)?;
        conditions.check()?;
        self.check_conditions(conditions)?;
        let Encoded { condition, predicted } = self.networks.encode(conditions, &self.device, pass);
        let mut parameters = mixture.parameters(condition.joined(), pass);
        if let Some(predicted) = predicted {
            let [data_sets, dim] = predicted.dims();
            parameters.means = parameters.means + predicted.reshape([data_sets, 1, dim]);
        }
        Ok(parameters)
    }
}
