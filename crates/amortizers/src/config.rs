//! Collects what an amortized posterior is made from.

use bayesburn_core::{DataShape, Interval};
use bayesburn_networks::{
    AnyInferenceConfig, DeepSetConfig, FixedStatistics, InferenceConfig, InvertibleNetworkConfig, SummaryConfig,
};
use serde::{Deserialize, Serialize};

/// Which inputs are shifted and scaled to mean 0 and standard deviation 1, by constants from pilot simulations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Standardization {
    /// Parameters, data and direct conditions: the model's units do not matter. And what can be predicted of parameters
    /// linearly is taken away from them first, if data are one vector or there are direct conditions: the density
    /// estimator learns what is left, in its own scale.
    ///
    /// The prediction is a ridge regression on the pilot simulations, used as far as its leave-one-out errors say that
    /// it predicts. It is part of the density, which is exact for any prediction: if the posterior is normal and its
    /// mean linear in the data, the estimator begins where it is to end; elsewhere it begins nearer (as Beaumont, Zhang
    /// & Balding 2002 adjust samples).
    #[default]
    All,
    /// The same without the regression.
    Moments,
    /// Parameters alone.
    Parameters,
    /// Nothing, as in BayesFlow v1.
    None,
}

/// Which fixed statistics of the data go to the inference network and to the regression of [`Standardization::All`],
/// beside the learned summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistics {
    /// Those that the summary network names by [`SummaryConfig::statistics`], if data are standardised. For a
    /// [`DeepSetConfig`] they are means, logarithms of variances, and correlations of features. What they tell of the
    /// parameters is then known before anything is trained, and the density stays exact. A training that was begun
    /// without statistics is resumed without.
    Automatic,
    /// None: what is known of data beside direct conditions is what the summary network learns, as in BayesFlow.
    None,
}

/// A term that asks the summaries of the simulated data for a known distribution, so that data unlike any simulation
/// can be recognised (Schmitt et al. 2021).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum SummaryLoss {
    /// The squared maximum mean discrepancy to a standard normal, times `weight`.
    Mmd {
        /// Weight beside the loss of the inference network.
        weight: f64,
    },
}

/// Configuration of an [`AmortizedPosterior`](crate::AmortizedPosterior). It is saved in checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub struct PosteriorConfig<C: SummaryConfig = DeepSetConfig, I: InferenceConfig = AnyInferenceConfig> {
    /// The summary network.
    pub summary: C,
    /// The inference network: an invertible network, another of the library's, or one of your own.
    pub inference: I,
    /// Where each parameter can lie, if the density is to be one of real numbers that parameters are mapped to. It then
    /// has nothing outside. A trainer takes it from its model's prior, where neither this nor `bounds` is given.
    pub support: Option<Vec<Interval>>,
    /// Where each parameter can lie, if that is known and they are not mapped from there: what is predicted of
    /// parameters stays there (see [`Standardization::All`]).
    pub bounds: Option<Vec<Interval>>,
    /// Which inputs are standardised.
    pub standardization: Standardization,
    /// Which fixed statistics of the data go beside the summaries.
    pub statistics: Statistics,
    /// A term on the summaries, or none.
    pub summary_loss: Option<SummaryLoss>,
}

impl<C: SummaryConfig> PosteriorConfig<C> {
    /// A summary network and one of the library's inference networks, with everything standardised, statistics beside
    /// the summaries and no summary loss. [`PosteriorConfig::from_networks`] takes an inference network of your own.
    #[must_use]
    pub fn new(summary: C, inference: impl Into<AnyInferenceConfig>) -> Self {
        Self::from_networks(summary, inference.into())
    }
}

impl<C: SummaryConfig, I: InferenceConfig> PosteriorConfig<C, I> {
    /// A summary network and an inference network of your own, with everything standardised and no summary loss.
    /// [`PosteriorConfig::new`] takes one of the library's.
    #[must_use]
    pub fn from_networks(summary: C, inference: I) -> Self {
        Self {
            summary,
            inference,
            support: None,
            bounds: None,
            standardization: Standardization::All,
            statistics: Statistics::Automatic,
            summary_loss: None,
        }
    }

    /// Maps parameters from these intervals, one for each, to the reals, by logarithms and probits, and estimates the
    /// density there: draws then lie in the intervals, and no probability leaks out of them.
    ///
    /// ```
    /// use bayesburn_amortizers::PosteriorConfig;
    /// use bayesburn_core::Interval;
    /// use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
    ///
    /// let support = [Interval::Real, Interval::Above(0.0)]; // a mean and a standard deviation
    /// let config = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new()).with_support(support);
    /// ```
    #[must_use]
    pub fn with_support(mut self, support: impl IntoIterator<Item = Interval>) -> Self {
        self.support = Some(support.into_iter().collect());
        self
    }

    /// Whether units are dropped in training and not at inference, in either network.
    #[must_use]
    pub fn has_dropout(&self) -> bool {
        self.summary.has_dropout() || self.inference.has_dropout()
    }

    /// Says in which interval each parameter lies, without mapping it: predictions for data unlike any simulation then
    /// stay inside of the prior, while draws may leave it. Neural posterior estimation, which draws again what leaves,
    /// takes them from the prior by itself. Pilot simulations outside are an error.
    #[must_use]
    pub fn with_bounds(mut self, bounds: impl IntoIterator<Item = Interval>) -> Self {
        self.bounds = Some(bounds.into_iter().collect());
        self
    }

    /// Chooses which inputs are standardised.
    #[must_use]
    pub fn with_standardization(mut self, standardization: Standardization) -> Self {
        self.standardization = standardization;
        self
    }

    /// Chooses which fixed statistics go beside the summaries.
    ///
    /// ```
    /// use bayesburn_amortizers::{PosteriorConfig, Statistics};
    /// use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
    ///
    /// let config = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new());
    /// assert_eq!(config.statistics, Statistics::Automatic);
    /// let learned_alone = config.with_statistics(Statistics::None);
    /// ```
    #[must_use]
    pub fn with_statistics(mut self, statistics: Statistics) -> Self {
        self.statistics = statistics;
        self
    }

    /// The statistics of each input of data of this shape; nothing if there are none.
    pub(crate) fn statistics_of(&self, shape: &DataShape) -> Vec<FixedStatistics> {
        let of_inputs = || shape.inputs().iter().map(|input| self.summary.statistics(input));
        let wanted = self.statistics == Statistics::Automatic && self.standardizes_data();
        if wanted && of_inputs().any(|of| of != FixedStatistics::None) { of_inputs().collect() } else { Vec::new() }
    }

    /// Whether data and direct conditions are standardised.
    pub(crate) fn standardizes_data(&self) -> bool {
        matches!(self.standardization, Standardization::All | Standardization::Moments)
    }

    /// Adds a term on the summaries.
    #[must_use]
    pub fn with_summary_loss(mut self, summary_loss: SummaryLoss) -> Self {
        self.summary_loss = Some(summary_loss);
        self
    }
}

impl PosteriorConfig<DeepSetConfig> {
    /// Drops hidden units of all networks in training with this probability, in `[0, 1)`: against overfitting to a
    /// fixed set of simulations. It sets the summary network's dropout and that of every network inside the coupling
    /// layers that the configuration has now.
    ///
    /// ```
    /// use bayesburn_amortizers::PosteriorConfig;
    /// use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
    ///
    /// let config = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new()).with_dropout(0.05);
    /// assert_eq!(config.summary.dropout, 0.05);
    /// ```
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.summary.dropout = dropout;
        self.inference = self.inference.with_dropout(dropout);
        self
    }

    /// The networks of the BayesFlow v1 quickstart, layer for layer: with 10 summaries, 4 parameters and 4 coupling
    /// layers, 362,698 trainable parameters.
    #[must_use]
    pub fn bayesflow_v1(summary_dim: usize, num_coupling_layers: usize) -> Self {
        let inference = InvertibleNetworkConfig::bayesflow_v1().with_num_coupling_layers(num_coupling_layers);
        Self::new(DeepSetConfig::bayesflow_v1(summary_dim), inference)
            .with_standardization(Standardization::None)
            .with_statistics(Statistics::None)
    }
}
