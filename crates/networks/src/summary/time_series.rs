//! Summarises series: convolutions, then recurrent layers, one of which reads in larger steps.

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
use bayesburn_kernels::{Chain, Operands, Part, RowLayer, Sum, Summary, runs_on};
use burn::{config::Config, module::Module, nn::Linear, tensor::Tensor};

/// Configuration of a [`TimeSeriesNetwork`]. The defaults are those of BayesFlow 2, with as many parameters, but
/// without dropout.
#[derive(Config, Debug, PartialEq)]
pub struct TimeSeriesNetworkConfig {
    /// S, the length of a summary, at least 1. Not fewer than the model has parameters, as a rule.
    pub summary_dim: usize,
    /// Number of filters of the convolution, at least 1.
    #[config(default = 32)]
    pub filters: usize,
    /// How many rows a filter sees, at least 1: with 3, each row and its neighbours.
    #[config(default = 3)]
    pub kernel_size: usize,
    /// What follows the convolution.
    #[config(default = "Activation::Mish")]
    pub activation: Activation,
    /// The cell of the recurrent layers.
    #[config(default = "RecurrentCell::Gru")]
    pub cell: RecurrentCell,
    /// Width of the recurrent layers, at least 1.
    #[config(default = 128)]
    pub units: usize,
    /// In which order they read the series.
    #[config(default = "Direction::Both")]
    pub direction: Direction,
    /// How many rows a step of the skip path takes at once, at least 1: it summarises as many rows by a linear layer
    /// and reads these summaries by recurrent layers of its own, which look further back. `None`: no skip path.
    #[config(default = "Some(4)")]
    pub skip_steps: Option<usize>,
    /// Probability in `[0, 1)` that a feature is dropped from the input of a recurrent layer in training, at all rows
    /// of a series at once. Fresh simulations need none; a fixed set of simulations does.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl SummaryConfig for TimeSeriesNetworkConfig {
    const NAME: &'static str = "time series";

    type Network = TimeSeriesNetwork;

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn statistics(&self, _: &InputShape) -> FixedStatistics {
        FixedStatistics::OfSeries
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<TimeSeriesNetwork, ConfigError> {
        let features = series(Self::NAME, shape)?;
        at_least_one("summary_dim", self.summary_dim)?;
        at_least_one("filters", self.filters)?;
        at_least_one("kernel_size", self.kernel_size)?;
        at_least_one("units", self.units)?;
        at_least_one("skip_steps", self.skip_steps.unwrap_or(1))?;
        in_range((0.0..1.0).contains(&self.dropout), "dropout", "in [0, 1)", self.dropout)?;
        let recurrent = |d_input, init: &mut ParameterInit| {
            Recurrent::new(self.cell, self.direction, (d_input, self.units), self.dropout, init)
        };
        let convolution = SeriesConvolution::new(Alignment::Centred, self.kernel_size, (features, self.filters), init);
        let direct = recurrent(self.filters, init);
        let skip = self.skip_steps.map(|steps| {
            let width = self.filters.saturating_mul(steps);
            let convolution = SeriesConvolution::new(Alignment::Strided, steps, (self.filters, width), init);
            SkipPath { convolution, recurrent: recurrent(width, init) }
        });
        let output = init.linear(self.units, self.summary_dim, OutputInit::Glorot);
        Ok(TimeSeriesNetwork { convolution, direct, skip, output, config: self.clone(), features })
    }
}

/// A summary network for series, as in LSTNet (Lai et al. 2018) and BayesFlow 2: a convolution, recurrent layers that
/// read its rows, others that read some rows at a time, and a linear layer of the sum of their last states.
///
/// A series may have any length from 1. Padding and gaps, rows of which the mask is 0, change nothing: convolutions see
/// 0 there, as beyond the ends, and recurrent layers hold their state. So a gap is not the same as leaving the rows
/// out: rows after it keep their place.
///
/// ```
/// use bayesburn_core::DataShape;
/// use bayesburn_networks::{ParameterInit, Pass, SummaryConfig, SummaryNetwork, TimeSeriesNetworkConfig};
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::default();
/// // Series and sets are of the same shape.
/// let shape = DataShape::of_sets(2);
/// let network = TimeSeriesNetworkConfig::new(16).init(&shape, &mut ParameterInit::new(2023, &device))?;
/// let summaries = network.forward(&Tensor::<3>::ones([3, 50, 2], &device).into(), &mut Pass::inference(0));
/// assert_eq!(summaries.dims(), [3, 16]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct TimeSeriesNetwork {
    convolution: SeriesConvolution,
    direct: Recurrent,
    skip: Option<SkipPath>,
    output: Linear,
    #[module(skip)]
    config: TimeSeriesNetworkConfig,
    #[module(skip)]
    features: usize,
}

/// What reads some rows at a time.
#[derive(Module, Debug)]
struct SkipPath {
    convolution: SeriesConvolution,
    recurrent: Recurrent,
}

impl SummaryNetwork for TimeSeriesNetwork {
    fn summary_dim(&self) -> usize {
        self.config.summary_dim
    }

    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Summary>> {
        runs_on(like).then(|| self.as_operation(pass))?
    }

    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
        let (data, mask) = data.only().sets();
        let [_, _, features] = data.dims();
        assert_eq!(features, self.features, "data of {features} features for a network of {}", self.features);
        #[cfg(feature = "flex")]
        if let Some(summaries) = run_kernel(self.as_operation(pass), &data, mask.as_ref()) {
            return summaries;
        }
        let (rows, mask) = self.convolution.forward(data, mask.as_ref());
        let rows = self.config.activation.apply(rows);
        let mut state = self.direct.forward(&rows, mask.as_ref(), pass);
        if let Some(skip) = &self.skip {
            let (windows, mask) = skip.convolution.forward(rows, mask.as_ref());
            state = state + skip.recurrent.forward(&windows, mask.as_ref(), pass);
        }
        self.output.forward(state)
    }
}

#[cfg(feature = "flex")]
impl TimeSeriesNetwork {
    /// The network as an operation, if kernels can do what it does.
    fn as_operation(&self, pass: &Pass) -> Option<Part<Summary>> {
        if !pass.uses_kernels() {
            return None;
        }
        let mut operands = Operands::default();
        let mut layers = vec![self.convolution.layer(&mut operands)];
        layers.push(RowLayer::Activation(self.config.activation.kernel()?));
        let mut branches = vec![vec![self.direct.layer(pass, &mut operands)?]];
        if let Some(skip) = &self.skip {
            let convolution = skip.convolution.layer(&mut operands);
            branches.push(vec![convolution, skip.recurrent.layer(pass, &mut operands)?]);
        }
        layers.push(RowLayer::Sum(Sum { branches }));
        layers.push(RowLayer::Linear(row_map(&self.output, &mut operands)));
        let chain = Chain { features: self.features, summary_dim: self.config.summary_dim, layers };
        Some(Part { operation: Summary::new(chain), operands })
    }
}
