//! Summarises groups of rows: one network summarises each group, the next one the summaries of the groups.

use super::any::{AnySummaryConfig, AnySummaryNetwork};
use crate::layers::with_a_row;
use crate::{ConfigError, DataTensor, InputTensor, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
use bayesburn_core::settings::at_least_one;
use bayesburn_core::{DataShape, InputShape};
use burn::{config::Config, module::Module, tensor::Tensor};

/// Configuration of a [`HierarchicalNetwork`].
#[derive(Config, Debug, PartialEq)]
pub struct HierarchicalNetworkConfig {
    /// The network of each level, the lowest first, at least one.
    pub networks: Vec<AnySummaryConfig>,
}

impl SummaryConfig for HierarchicalNetworkConfig {
    const NAME: &'static str = "hierarchical";

    type Network = HierarchicalNetwork;

    fn has_dropout(&self) -> bool {
        self.networks.iter().any(SummaryConfig::has_dropout)
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<HierarchicalNetwork, ConfigError> {
        at_least_one("the number of networks", self.networks.len())?;
        let levels_above = self.networks.len() - 1;
        let Some(input) = shape.only().filter(|input| input.rank() > levels_above) else {
            let expected = "one input with an axis of groups for each network but the first, such as [G, N, F] for two";
            return Err(ConfigError::Data { network: Self::NAME, expected, got: shape.to_string() });
        };
        let mut axes = input.axes[levels_above..].to_vec();
        let mut networks: Vec<AnySummaryNetwork> = Vec::new();
        for network in &self.networks {
            if let [rows, _] = &mut axes[..] {
                *rows = None;
            }
            let padded = input.padded && axes.len() > 1;
            let part = InputShape { name: input.name.clone(), axes, padded };
            let network = network.init_part(part, init)?;
            axes = vec![None, Some(network.summary_dim())];
            networks.push(network);
        }
        Ok(HierarchicalNetwork { networks, rank: input.rank() })
    }
}

/// A summary network for groups of rows `[M, G, N, F]`, and for groups of groups: the first network summarises the rows
/// of each group, `[M, G, S₁]`, the next one these summaries, and so on.
///
/// For L networks the data have L − 1 axes of groups. What is left belongs to the first network: rows `[N, F]`, a
/// vector `[F]`, an image. Groups and rows that do not exist, by a mask `[M, G]` or `[M, G, N]`, change nothing.
///
/// ```
/// use bayesburn_core::{DataShape, InputShape};
/// use bayesburn_networks::{
///     DeepSetConfig, HierarchicalNetworkConfig, ParameterInit, Pass, SummaryConfig, SummaryNetwork,
///     TimeSeriesNetworkConfig,
/// };
/// use burn::tensor::{Device, Tensor};
///
/// // A set of ten series of 50 rows.
/// let config = HierarchicalNetworkConfig::new(vec![
///     TimeSeriesNetworkConfig::new(8).into(),
///     DeepSetConfig::new(16).into(),
/// ]);
/// let axes = vec![Some(10), Some(50), Some(2)];
/// let shape = DataShape::new(vec![InputShape { name: "series".to_owned(), axes, padded: false }]);
/// let device = Device::default();
/// let network = config.init(&shape, &mut ParameterInit::new(2023, &device))?;
///
/// let data = Tensor::<4>::ones([3, 10, 50, 2], &device).into();
/// let levels = network.levels(&data, &mut Pass::inference(0));
/// assert_eq!(levels[0].shape(), [3, 10, 8]);
/// assert_eq!(levels[1].shape(), [3, 16]);
/// assert_eq!(network.forward(&data, &mut Pass::inference(0)).dims(), [3, 16]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct HierarchicalNetwork {
    networks: Vec<AnySummaryNetwork>,
    /// The number of axes of a data set.
    #[module(skip)]
    rank: usize,
}

impl HierarchicalNetwork {
    /// The summaries of every level, the lowest first: `[M, G, S₁]` with a mask of the groups that exist, if the data
    /// have one, and at last `[M, S]`. Groups that do not exist have summaries of 0.
    ///
    /// # Panics
    /// If the data are not of the shape that the network was made for.
    #[must_use]
    pub fn levels(&self, data: &DataTensor, pass: &mut Pass) -> Vec<InputTensor> {
        let shape = data.only().shape();
        assert_eq!(shape.len(), self.rank + 1, "data of shape {shape:?} for a network of {} axes", self.rank);
        let mut levels: Vec<InputTensor> = Vec::new();
        for (level, network) in self.networks.iter().enumerate() {
            let below = levels.last().unwrap_or(data.only());
            levels.push(each_group(network, below, self.networks.len() - 1 - level, pass));
        }
        levels
    }
}

/// The summaries of a network for each group `[M, groups.., S]`, of an input whose first axes are of groups.
fn each_group(network: &AnySummaryNetwork, input: &InputTensor, num_axes: usize, pass: &mut Pass) -> InputTensor {
    let (values, mask) = input.rows();
    let [sets, rows, features] = values.dims();
    let axes = &input.shape()[1..input.shape().len() - 1];
    let (groups, axes) = axes.split_at(num_axes);
    let num_groups: usize = groups.iter().product();
    let rows = rows / num_groups;
    let of_groups = InputTensor::of_rows(input.name(), values.reshape([sets * num_groups, rows, features]), axes);
    let mask = mask.map(|mask| with_a_row(mask.reshape([sets * num_groups, rows])));
    let (of_groups, exist) = match mask {
        // A vector is one row, without a mask of its own.
        Some((_, exist)) if axes.is_empty() => (of_groups, Some(exist)),
        Some((mask, exist)) => (of_groups.with_mask_of_rows(mask), Some(exist)),
        None => (of_groups, None),
    };
    let summaries = network.forward(&DataTensor::new(vec![of_groups]), pass);
    let summaries = match &exist {
        Some(exist) => summaries * exist.clone(),
        None => summaries,
    };
    let summaries = summaries.reshape([sets, num_groups, network.summary_dim()]);
    let summaries = InputTensor::of_rows(input.name(), summaries, groups);
    match exist {
        Some(exist) if !groups.is_empty() => summaries.with_mask_of_rows(exist.reshape([sets, num_groups])),
        _ => summaries,
    }
}

impl SummaryNetwork for HierarchicalNetwork {
    fn summary_dim(&self) -> usize {
        self.networks.last().map_or(0, SummaryNetwork::summary_dim)
    }

    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
        self.levels(data, pass).pop().expect("at least one level").values()
    }
}
