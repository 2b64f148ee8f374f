//! Summarises rows of several kinds: one network for the rows of each kind.

use super::any::{AnySummaryConfig, AnySummaryNetwork};
use crate::layers::with_a_row;
use crate::{ConfigError, DataTensor, InputTensor, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
use bayesburn_core::settings::at_least_one;
use bayesburn_core::{DataShape, InputShape};
use burn::{config::Config, module::Module, tensor::Tensor};

/// Configuration of a [`SplitNetwork`].
#[derive(Config, Debug, PartialEq)]
pub struct SplitNetworkConfig {
    /// The first of the features that say which group a row belongs to, counted from 0. There are as many as networks,
    /// side by side: feature `first_indicator` + g is 1 in rows of group g, and 0 in others.
    pub first_indicator: usize,
    /// The network of each group, at least one.
    pub networks: Vec<AnySummaryConfig>,
}

impl SummaryConfig for SplitNetworkConfig {
    const NAME: &'static str = "split";

    type Network = SplitNetwork;

    fn has_dropout(&self) -> bool {
        self.networks.iter().any(SummaryConfig::has_dropout)
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<SplitNetwork, ConfigError> {
        at_least_one("the number of networks", self.networks.len())?;
        let groups = self.networks.len();
        let beyond = self.first_indicator.saturating_add(groups);
        let fits = |input: &&InputShape| input.rank() == 2 && input.features() > groups && input.features() >= beyond;
        let Some(input) = shape.only().filter(fits) else {
            let expected = "one input of rows [N, F], of which an indicator feature for each network and others";
            return Err(ConfigError::Data { network: Self::NAME, expected, got: shape.to_string() });
        };
        let features = input.features();
        let axes = vec![None, Some(features - groups)];
        let mut networks = Vec::new();
        for network in &self.networks {
            // Rows of other groups are padding to it.
            let rows = InputShape { name: input.name.clone(), axes: axes.clone(), padded: true };
            networks.push(network.init_part(rows, init)?);
        }
        Ok(SplitNetwork { networks, first_indicator: self.first_indicator, features })
    }
}

/// A summary network for rows of several groups: the summaries of one network for each group, side by side.
///
/// Features of the data say which group a row belongs to, one for each group: a row is in group g if the feature of g
/// is above 0. So it is 1 or 0, or what a posterior makes of them when it standardises features, if some rows of its
/// pilot simulations are in the group and some are not. (An index of the group could not be told from its standardised
/// values.) A row may be in several groups, or in none. Networks see the other features, with a mask of the group's
/// rows. In a data set without a row of a group, the summary of the group is 0.
///
/// ```
/// use bayesburn_core::DataShape;
/// use bayesburn_networks::{
///     DeepSetConfig, ParameterInit, Pass, SplitNetworkConfig, SummaryConfig, SummaryNetwork, TimeSeriesNetworkConfig,
/// };
/// use burn::tensor::{Device, Tensor};
///
/// // A measurement, 1 if it is of a control, 1 if it is of a treated subject.
/// let networks = vec![DeepSetConfig::new(4).into(), TimeSeriesNetworkConfig::new(8).into()];
/// let device = Device::default();
/// let config = SplitNetworkConfig::new(1, networks);
/// let network = config.init(&DataShape::of_sets(3), &mut ParameterInit::new(2023, &device))?;
/// let rows = [[[0.5, 1.0, 0.0], [0.7, 1.0, 0.0], [2.0, 0.0, 1.0]]];
/// let summaries = network.forward(&Tensor::<3>::from_data(rows, &device).into(), &mut Pass::inference(0));
/// assert_eq!(summaries.dims(), [1, 4 + 8]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct SplitNetwork {
    networks: Vec<AnySummaryNetwork>,
    #[module(skip)]
    first_indicator: usize,
    #[module(skip)]
    features: usize,
}

impl SummaryNetwork for SplitNetwork {
    fn summary_dim(&self) -> usize {
        self.networks.iter().map(SummaryNetwork::summary_dim).sum()
    }

    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
        let input = data.only();
        let (values, mask) = input.sets();
        let [_, _, features] = values.dims();
        assert_eq!(features, self.features, "data of {features} features for a network of {}", self.features);
        let (first, groups) = (self.first_indicator, self.networks.len());
        let columns = |from, num| (num > 0).then(|| values.clone().narrow(2, from, num));
        let others = [columns(0, first), columns(first + groups, features - first - groups)];
        let others = Tensor::cat(others.into_iter().flatten().collect(), 2);
        let summaries = self.networks.iter().enumerate().map(|(group, network)| {
            let members = values.clone().narrow(2, first + group, 1).greater_elem(0.0).float().cast(values.dtype());
            let members = match &mask {
                Some(mask) => members * mask.clone(),
                None => members,
            };
            let (members, any) = with_a_row(members.squeeze_dim(2));
            let rows = InputTensor::new(input.name(), others.clone()).with_row_mask(members);
            network.forward(&DataTensor::new(vec![rows]), pass) * any
        });
        Tensor::cat(summaries.collect(), 1)
    }
}
