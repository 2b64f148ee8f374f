//! Lists the summary networks there are: a new one is a variant here.

use crate::{
    ConfigError, ConvolutionalNetwork, ConvolutionalNetworkConfig, DataTensor, DeepSet, DeepSetConfig, DenseSummary,
    DenseSummaryConfig, FixedStatistics, FusionNetwork, FusionNetworkConfig, HierarchicalNetwork,
    HierarchicalNetworkConfig, Identity, IdentityConfig, ParameterInit, Pass, SequenceNetwork, SequenceNetworkConfig,
    SetTransformer, SetTransformerConfig, SplitNetwork, SplitNetworkConfig, SummaryConfig, SummaryNetwork,
    TimeSeriesNetwork, TimeSeriesNetworkConfig, TimeSeriesTransformer, TimeSeriesTransformerConfig,
};
use bayesburn_core::{DataShape, InputShape};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Part, Summary};
use burn::{config::Config, module::Module, tensor::Tensor};

/// Which of the library's summary networks, and its configuration: for networks made of others, such as
/// [`FusionNetwork`], and for programs in which the choice is a setting.
///
/// Every configuration becomes one by `into()`, and [`AnySummaryConfig::for_shape`] chooses by the data's shape.
///
/// # To add a network
/// Add a variant here and to [`AnySummaryNetwork`], and a line in each table of this file.
#[derive(Config, Debug, PartialEq)]
pub enum AnySummaryConfig {
    /// A vector as it is.
    Identity(IdentityConfig),
    /// A vector through a dense network.
    Dense(DenseSummaryConfig),
    /// Sets.
    DeepSet(DeepSetConfig),
    /// Sets whose observations tell more together.
    SetTransformer(SetTransformerConfig),
    /// Series, by convolution and recurrent layers.
    TimeSeries(TimeSeriesNetworkConfig),
    /// Series, by attention, at regular or irregular times.
    TimeSeriesTransformer(TimeSeriesTransformerConfig),
    /// Series, as in BayesFlow v1.
    Sequence(SequenceNetworkConfig),
    /// Images.
    Convolutional(ConvolutionalNetworkConfig),
    /// Several inputs, by one network each.
    Fusion(FusionNetworkConfig),
    /// Groups of rows, by one network each.
    Split(SplitNetworkConfig),
    /// Groups of groups of rows, by one network for each level.
    Hierarchical(HierarchicalNetworkConfig),
}

/// One of the library's summary networks; [`AnySummaryConfig`] says which there are.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a module holds its fields by value")]
pub enum AnySummaryNetwork {
    /// A vector as it is.
    Identity(Identity),
    /// A vector through a dense network.
    Dense(DenseSummary),
    /// Sets.
    DeepSet(DeepSet),
    /// Sets whose observations tell more together.
    SetTransformer(SetTransformer),
    /// Series, by convolution and recurrent layers.
    TimeSeries(TimeSeriesNetwork),
    /// Series, by attention, at regular or irregular times.
    TimeSeriesTransformer(TimeSeriesTransformer),
    /// Series, as in BayesFlow v1.
    Sequence(SequenceNetwork),
    /// Images.
    Convolutional(ConvolutionalNetwork),
    /// Several inputs, by one network each.
    Fusion(FusionNetwork),
    /// Groups of rows, by one network each.
    Split(SplitNetwork),
    /// Groups of groups of rows, by one network for each level.
    Hierarchical(HierarchicalNetwork),
}

/// Implements what there is for each variant.
macro_rules! for_each_network {
    ($($variant:ident: $config:ty),* $(,)?) => {
        $(impl From<$config> for AnySummaryConfig {
            fn from(config: $config) -> Self {
                Self::$variant(config)
            }
        })*

        impl SummaryConfig for AnySummaryConfig {
            const NAME: &'static str = "built-in";

            type Network = AnySummaryNetwork;

            fn num_observations(&self) -> Option<usize> {
                match self {
                    $(Self::$variant(config) => config.num_observations(),)*
                }
            }

            fn statistics(&self, input: &InputShape) -> FixedStatistics {
                match self {
                    $(Self::$variant(config) => config.statistics(input),)*
                }
            }

            fn has_dropout(&self) -> bool {
                match self {
                    $(Self::$variant(config) => config.has_dropout(),)*
                }
            }

            fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<AnySummaryNetwork, ConfigError> {
                Ok(match self {
                    $(Self::$variant(config) => AnySummaryNetwork::$variant(config.init(shape, init)?),)*
                })
            }
        }

        impl SummaryNetwork for AnySummaryNetwork {
            fn summary_dim(&self) -> usize {
                match self {
                    $(Self::$variant(network) => network.summary_dim(),)*
                }
            }

            fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
                match self {
                    $(Self::$variant(network) => network.forward(data, pass),)*
                }
            }

            #[cfg(feature = "flex")]
            fn fast_path(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Summary>> {
                match self {
                    $(Self::$variant(network) => network.fast_path(like, pass),)*
                }
            }
        }
    };
}

for_each_network! {
    Identity: IdentityConfig,
    Dense: DenseSummaryConfig,
    DeepSet: DeepSetConfig,
    SetTransformer: SetTransformerConfig,
    TimeSeries: TimeSeriesNetworkConfig,
    TimeSeriesTransformer: TimeSeriesTransformerConfig,
    Sequence: SequenceNetworkConfig,
    Convolutional: ConvolutionalNetworkConfig,
    Fusion: FusionNetworkConfig,
    Split: SplitNetworkConfig,
    Hierarchical: HierarchicalNetworkConfig,
}

impl AnySummaryConfig {
    /// The default network for data of a shape, with summaries of this length.
    ///
    /// | data | network |
    /// |---|---|
    /// | a vector `[F]` | [`Identity`]: the vector itself, of its own length |
    /// | rows `[N, F]` | [`DeepSet`] |
    /// | an image `[H, W, C]` | [`ConvolutionalNetwork`], of three stages or as many as the image has pixels for |
    /// | several inputs | [`FusionNetwork`] of the network for each input, all with summaries of this length |
    ///
    /// A shape does not tell series from sets: rows are taken as a set, whose order does not matter. If they are a
    /// series, take [`TimeSeriesNetworkConfig`]. If `[H, W, C]` are groups of sets, take
    /// [`HierarchicalNetworkConfig`].
    ///
    /// ```
    /// use bayesburn_core::DataShape;
    /// use bayesburn_networks::{AnySummaryConfig, DeepSetConfig};
    ///
    /// let default = AnySummaryConfig::for_shape(&DataShape::of_sets(4), 10)?;
    /// assert_eq!(default, DeepSetConfig::new(10).into());
    /// # Ok::<(), bayesburn_networks::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// No network for the shape, such as for data of four axes.
    pub fn for_shape(shape: &DataShape, summary_dim: usize) -> Result<Self, ConfigError> {
        let Some(only) = shape.only() else {
            let networks = shape.inputs().iter().map(|input| {
                let network = Self::for_shape(&DataShape::new(vec![input.clone()]), summary_dim)?;
                Ok((input.name.clone(), network))
            });
            return Ok(FusionNetworkConfig::new().with_networks(networks.collect::<Result<_, ConfigError>>()?).into());
        };
        match &only.axes[..] {
            [_] => Ok(IdentityConfig::new().into()),
            [_, _] => Ok(DeepSetConfig::new(summary_dim).into()),
            [height, width, _] => {
                let mut config = ConvolutionalNetworkConfig::new(summary_dim);
                let side = [height, width].into_iter().flatten().min().copied().unwrap_or(usize::MAX);
                while config.filters.len() > 1 && side < config.least_side() {
                    config.filters.pop();
                }
                Ok(config.into())
            }
            _ => {
                let expected = "vectors [F], rows [N, F], images [H, W, C], or several inputs of these";
                Err(ConfigError::Data { network: "default", expected, got: shape.to_string() })
            }
        }
    }

    /// A network for one input of a data set. Networks for single observations take vectors alone: the lengths of
    /// inputs are not checked before `forward`.
    ///
    /// # Errors
    /// As [`SummaryConfig::init`].
    pub(super) fn init_part(
        &self,
        input: InputShape,
        init: &mut ParameterInit,
    ) -> Result<AnySummaryNetwork, ConfigError> {
        let is_vector = input.rank() == 1;
        let shape = DataShape::new(vec![input]);
        if self.num_observations().is_some() && !is_vector {
            let expected = "vectors [F] where it is a part of another network";
            return Err(ConfigError::Data { network: "identity or dense", expected, got: shape.to_string() });
        }
        self.init(&shape, init)
    }
}
