//! Summarises data of several inputs: one network for each.

use super::FixedStatistics;
use super::any::{AnySummaryConfig, AnySummaryNetwork};
use crate::{
    ConfigError, DataTensor, DenseNet, DenseSummaryConfig, OutputInit, ParameterInit, Pass, SummaryConfig,
    SummaryNetwork,
};
use bayesburn_core::settings::at_least_one;
use bayesburn_core::{DataShape, InputShape};
use burn::{config::Config, module::Module, tensor::Tensor};

/// Configuration of a [`FusionNetwork`].
#[derive(Config, Debug, PartialEq)]
pub struct FusionNetworkConfig {
    /// The network of each input, by its name; in any order.
    #[config(default = "Vec::new()")]
    pub networks: Vec<(String, AnySummaryConfig)>,
    /// A dense network of all summaries side by side. `None`: they are the summary.
    #[config(default = "None")]
    pub head: Option<DenseSummaryConfig>,
}

impl FusionNetworkConfig {
    /// Adds the network of an input.
    #[must_use]
    pub fn with_network(mut self, input: impl Into<String>, network: impl Into<AnySummaryConfig>) -> Self {
        self.networks.push((input.into(), network.into()));
        self
    }
}

impl SummaryConfig for FusionNetworkConfig {
    const NAME: &'static str = "fusion";

    type Network = FusionNetwork;

    fn has_dropout(&self) -> bool {
        self.networks.iter().any(|(_, network)| network.has_dropout())
            || self.head.as_ref().is_some_and(SummaryConfig::has_dropout)
    }

    fn statistics(&self, input: &InputShape) -> FixedStatistics {
        let network = self.networks.iter().find(|(name, _)| *name == input.name);
        network.map_or_else(|| FixedStatistics::for_shape(input), |(_, network)| network.statistics(input))
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<FusionNetwork, ConfigError> {
        let network = |name: &str| self.networks.iter().find(|(input, _)| input == name).map(|(_, network)| network);
        let all = shape.inputs().iter().map(|input| network(&input.name)).collect::<Option<Vec<_>>>();
        let Some(all) = all.filter(|all| all.len() == self.networks.len()) else {
            let networks = self.networks.iter().map(|(input, _)| input.clone()).collect();
            let inputs = shape.inputs().iter().map(|input| input.name.clone()).collect();
            return Err(ConfigError::Inputs { networks, inputs });
        };
        let mut networks = Vec::new();
        for (input, network) in shape.inputs().iter().zip(all) {
            networks.push(network.init_part(input.clone(), init)?);
        }
        let width = networks.iter().map(SummaryNetwork::summary_dim).sum();
        let (head, summary_dim) = match &self.head {
            Some(DenseSummaryConfig { summary_dim, net }) => {
                at_least_one("head.summary_dim", *summary_dim)?;
                (Some(net.init(width, *summary_dim, OutputInit::Glorot, init)?), *summary_dim)
            }
            None => (None, width),
        };
        let inputs = shape.inputs().iter().map(|input| input.name.clone()).collect();
        Ok(FusionNetwork { networks, head, inputs, summary_dim })
    }
}

/// A summary network for data of several inputs: the summaries of one network for each input, side by side in the order
/// of the data's inputs, and optionally a dense network of all of them.
///
/// ```
/// use bayesburn_core::{DataShape, InputShape};
/// use bayesburn_networks::{
///     DataTensor, FusionNetworkConfig, IdentityConfig, InputTensor, ParameterInit, Pass, SummaryConfig,
///     SummaryNetwork, TimeSeriesNetworkConfig,
/// };
/// use burn::tensor::{Device, Tensor};
///
/// let config = FusionNetworkConfig::new()
///     .with_network("series", TimeSeriesNetworkConfig::new(8))
///     .with_network("v", IdentityConfig::new());
///
/// // A posterior does this by itself, with the shape of its pilot simulations.
/// let input = |name: &str, axes| InputShape { name: name.to_owned(), axes, padded: false };
/// let shape = DataShape::new(vec![input("series", vec![None, Some(2)]), input("v", vec![Some(3)])]);
/// let device = Device::default();
/// let network = config.init(&shape, &mut ParameterInit::new(2023, &device))?;
///
/// let series = InputTensor::new("series", Tensor::<3>::ones([5, 20, 2], &device));
/// let v = InputTensor::new("v", Tensor::<2>::ones([5, 3], &device));
/// let summaries = network.forward(&DataTensor::new(vec![series, v]), &mut Pass::inference(0));
/// assert_eq!(summaries.dims(), [5, 8 + 3]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct FusionNetwork {
    /// In the order of the data's inputs.
    networks: Vec<AnySummaryNetwork>,
    head: Option<DenseNet>,
    #[module(skip)]
    inputs: Vec<String>,
    #[module(skip)]
    summary_dim: usize,
}

impl SummaryNetwork for FusionNetwork {
    fn summary_dim(&self) -> usize {
        self.summary_dim
    }

    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
        let summaries = self.inputs.iter().zip(&self.networks);
        let summaries =
            summaries.map(|(input, network)| network.forward(&DataTensor::new(vec![data.input(input).clone()]), pass));
        let summaries = Tensor::cat(summaries.collect(), 1);
        match &self.head {
            Some(head) => head.forward(summaries, pass),
            None => summaries,
        }
    }
}
