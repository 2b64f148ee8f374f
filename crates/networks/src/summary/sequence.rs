//! Summarises series by the network of BayesFlow v1: causal convolutions of several widths, then an LSTM.

#[cfg(feature = "flex")]
use super::run_kernel;
use super::{FixedStatistics, series};
#[cfg(feature = "flex")]
use crate::dense::row_map;
use crate::layers::{Alignment, Direction, Recurrent, RecurrentCell, SeriesConvolution};
use crate::{Activation, ConfigError, DataTensor, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
use bayesburn_core::settings::{at_least_one, in_range};
use bayesburn_core::{DataShape, InputShape};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Chain, Join, Operands, Part, RowLayer, Summary, runs_on};
use burn::{config::Config, module::Module, nn::Linear, tensor::Tensor};

/// Configuration of a [`SequenceNetwork`]. The defaults are those of BayesFlow v1.
#[derive(Config, Debug, PartialEq)]
pub struct SequenceNetworkConfig {
    /// S, the length of a summary, at least 1. Not fewer than the model has parameters, as a rule.
    pub summary_dim: usize,
    /// Number of layers of convolutions before the recurrent layer; may be 0.
    #[config(default = 2)]
    pub num_layers: usize,
    /// How many rows the filters of a layer see, each at least 1: with 1 and 2, half of them a row, and half of them a
    /// row and the one before.
    #[config(default = "vec![1, 2]")]
    pub kernel_sizes: Vec<usize>,
    /// Number of filters of each width, and of each layer, at least 1.
    #[config(default = 32)]
    pub filters: usize,
    /// What follows each convolution.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// The cell of the recurrent layer.
    #[config(default = "RecurrentCell::Lstm")]
    pub cell: RecurrentCell,
    /// Width of the recurrent layer, at least 1.
    #[config(default = 128)]
    pub units: usize,
    /// Probability in `[0, 1)` that a feature is dropped from the input of the recurrent layer in training, at all rows
    /// of a series at once. Fresh simulations need none; a fixed set of simulations does.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl SummaryConfig for SequenceNetworkConfig {
    const NAME: &'static str = "sequence";

    type Network = SequenceNetwork;

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn statistics(&self, _: &InputShape) -> FixedStatistics {
        FixedStatistics::OfSeries
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<SequenceNetwork, ConfigError> {
        let features = series(Self::NAME, shape)?;
        at_least_one("summary_dim", self.summary_dim)?;
        at_least_one("the number of kernel_sizes", self.kernel_sizes.len())?;
        self.kernel_sizes.iter().try_for_each(|kernel_size| at_least_one("kernel_sizes", *kernel_size))?;
        at_least_one("filters", self.filters)?;
        at_least_one("units", self.units)?;
        in_range((0.0..1.0).contains(&self.dropout), "dropout", "in [0, 1)", self.dropout)?;
        let mut width = features;
        let layers = init.layers(self.num_layers, |_, init| {
            let layer = MultiConvolution::new(self, width, init);
            width = self.filters;
            layer
        });
        let recurrent = Recurrent::new(self.cell, Direction::Forward, (width, self.units), self.dropout, init);
        let output = init.linear(self.units, self.summary_dim, OutputInit::Glorot);
        Ok(SequenceNetwork { layers, recurrent, output, config: self.clone(), features })
    }
}

/// A summary network for series: layers of causal convolutions of several widths side by side, an LSTM, and a linear
/// layer of its last state.
///
/// A series may have any length from 1. Padding and gaps, rows of which the mask is 0, change nothing: convolutions see
/// 0 there, as before the beginning, and the recurrent layer holds its state.
///
/// ```
/// use bayesburn_core::DataShape;
/// use bayesburn_networks::{ParameterInit, Pass, SequenceNetworkConfig, SummaryConfig, SummaryNetwork};
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::default();
/// let shape = DataShape::of_sets(2);
/// let network = SequenceNetworkConfig::new(10).init(&shape, &mut ParameterInit::new(2023, &device))?;
/// let summaries = network.forward(&Tensor::<3>::ones([3, 50, 2], &device).into(), &mut Pass::inference(0));
/// assert_eq!(summaries.dims(), [3, 10]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct SequenceNetwork {
    layers: Vec<MultiConvolution>,
    recurrent: Recurrent,
    output: Linear,
    #[module(skip)]
    config: SequenceNetworkConfig,
    #[module(skip)]
    features: usize,
}

/// Convolutions of several widths side by side, and a linear layer of their filters at each row.
#[derive(Module, Debug)]
struct MultiConvolution {
    convolutions: Vec<SeriesConvolution>,
    joint: Linear,
}

impl MultiConvolution {
    fn new(config: &SequenceNetworkConfig, features: usize, init: &mut ParameterInit) -> Self {
        let convolutions = init.layers(config.kernel_sizes.len(), |i, init| {
            SeriesConvolution::new(Alignment::Causal, config.kernel_sizes[i], (features, config.filters), init)
        });
        let width = config.filters.saturating_mul(config.kernel_sizes.len());
        Self { convolutions, joint: init.linear(width, config.filters, OutputInit::Glorot) }
    }

    /// The same as layers of a kernel.
    #[cfg(feature = "flex")]
    fn layers(&self, activation: bayesburn_kernels::Activation, operands: &mut Operands) -> [RowLayer; 3] {
        let activation = RowLayer::Activation(activation);
        let branches = self.convolutions.iter().map(|layer| vec![layer.layer(operands), activation.clone()]).collect();
        let joint = RowLayer::Linear(row_map(&self.joint, operands));
        [RowLayer::Join(Join { branches }), joint, activation]
    }

    fn forward(&self, x: &Tensor<3>, mask: Option<&Tensor<3>>, activation: Activation) -> Tensor<3> {
        let filters = self.convolutions.iter().map(|layer| activation.apply(layer.forward(x.clone(), mask).0));
        activation.apply(self.joint.forward(Tensor::cat(filters.collect(), 2)))
    }
}

impl SummaryNetwork for SequenceNetwork {
    fn summary_dim(&self) -> usize {
        self.config.summary_dim
    }

    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Summary>> {
        runs_on(like).then(|| self.as_operation(pass))?
    }

    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
        let (mut x, mask) = data.only().sets();
        let [_, _, features] = x.dims();
        assert_eq!(features, self.features, "data of {features} features for a network of {}", self.features);
        #[cfg(feature = "flex")]
        if let Some(summaries) = run_kernel(self.as_operation(pass), &x, mask.as_ref()) {
            return summaries;
        }
        for layer in &self.layers {
            x = layer.forward(&x, mask.as_ref(), self.config.activation);
        }
        self.output.forward(self.recurrent.forward(&x, mask.as_ref(), pass))
    }
}

#[cfg(feature = "flex")]
impl SequenceNetwork {
    /// The network as an operation, if kernels can do what it does.
    fn as_operation(&self, pass: &Pass) -> Option<Part<Summary>> {
        if !pass.uses_kernels() {
            return None;
        }
        let activation = self.config.activation.kernel()?;
        let mut operands = Operands::default();
        let layers = self.layers.iter().flat_map(|layer| layer.layers(activation, &mut operands));
        let mut layers: Vec<RowLayer> = layers.collect();
        layers.push(self.recurrent.layer(pass, &mut operands)?);
        layers.push(RowLayer::Linear(row_map(&self.output, &mut operands)));
        let chain = Chain { features: self.features, summary_dim: self.config.summary_dim, layers };
        Some(Part { operation: Summary::new(chain), operands })
    }
}
