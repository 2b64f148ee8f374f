//! Summarises series by attention: every row sees every other, and the times of both.

#[cfg(feature = "flex")]
use super::run_kernel;
use super::{FixedStatistics, Pooling, series};
#[cfg(feature = "flex")]
use crate::dense::row_map;
use crate::layers::{AttentionArchitecture, AttentionBlock, BlockConfig, KeyMask, Time2Vec};
use crate::{ConfigError, DataTensor, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork, pass::constant};
use bayesburn_core::settings::{at_least_one, in_range};
use bayesburn_core::{DataShape, InputShape};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Chain, Operands, Part, Pool, RowLayer, RowTime, Summary, runs_on};
use burn::{config::Config, module::Module, nn::Linear, tensor::Tensor};

/// Where a [`TimeSeriesTransformer`] reads the time of a row.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum TimeStamps {
    /// From its place: row i, from 0, is at time i / 100. Rows after a gap keep their place, so a gap is not the same
    /// as leaving its rows out.
    Index,
    /// From the feature of this number, from 0, for irregular times. The feature stays among the others. A posterior
    /// standardises it; if it does not, give times in a unit of which a series lasts one or some. Rows may come in any
    /// order, and a gap is the same as leaving its rows out.
    Feature(usize),
}

/// Rows in a unit of time: the linear term of the encoding then stays of order 1 for some hundred rows. Of the waves
/// that the encoding begins with, the slowest has a period of 628 rows, and the fastest of 9.8.
///
/// BayesFlow 2.0.12 numbers T rows by `linspace(0, T, T)`, in steps of T / (T − 1): the same row of a longer series is
/// at another time, and the linear term of row 200 is 200.
const ROWS_PER_UNIT: f64 = 100.0;

/// Configuration of a [`TimeSeriesTransformer`]. The defaults are the settings of BayesFlow 2, but for dropout and how
/// rows are numbered.
#[derive(Config, Debug, PartialEq)]
pub struct TimeSeriesTransformerConfig {
    /// S, the length of a summary, at least 1. Not fewer than the model has parameters, as a rule.
    pub summary_dim: usize,
    /// Where the time of a row is.
    #[config(default = "TimeStamps::Index")]
    pub times: TimeStamps,
    /// Number of attention blocks, at least 1.
    #[config(default = 2)]
    pub num_blocks: usize,
    /// Width of what stands for a row, a multiple of `num_heads`.
    #[config(default = 64)]
    pub width: usize,
    /// Number of heads of each attention, at least 1.
    #[config(default = 4)]
    pub num_heads: usize,
    /// Probability in `[0, 1)` that a weight of an attention, or a hidden unit, is dropped in training. Fresh
    /// simulations need none; a fixed set of simulations does. (BayesFlow 2 has 0.05.)
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl SummaryConfig for TimeSeriesTransformerConfig {
    const NAME: &'static str = "time series transformer";

    type Network = TimeSeriesTransformer;

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn statistics(&self, _: &InputShape) -> FixedStatistics {
        FixedStatistics::OfSeries
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<TimeSeriesTransformer, ConfigError> {
        let features = series(Self::NAME, shape)?;
        at_least_one("summary_dim", self.summary_dim)?;
        at_least_one("num_blocks", self.num_blocks)?;
        if let TimeStamps::Feature(feature) = self.times {
            let expected = format!("the number of a feature, below {features}");
            in_range(feature < features, "times", expected, feature)?;
        }
        let Self { width, num_heads, dropout, .. } = *self;
        let block = BlockConfig { architecture: AttentionArchitecture::PreNorm, num_heads, dropout };
        block.check(width)?;
        let time = Time2Vec::new(init);
        let mut d_input = features + Time2Vec::WIDTH;
        let blocks = init.layers(self.num_blocks, |_, init| {
            let made = AttentionBlock::new(&block, [d_input, d_input], width, init);
            d_input = width;
            made
        });
        let output = init.linear(width, self.summary_dim, OutputInit::Glorot);
        let blocks = blocks.into_iter().collect::<Result<_, _>>()?;
        Ok(TimeSeriesTransformer { time, blocks, output, config: self.clone(), features })
    }
}

/// A summary network for series in which rows attend to each other (Vaswani et al. 2017), as in BayesFlow 2: an
/// encoding of times beside the features (Kazemi et al. 2019), attention blocks, the mean over rows, a linear layer.
///
/// It suits irregular times and relations over long distances; the cost grows with N² in time and memory. Padding and
/// gaps, rows of which the mask is 0, change nothing: they are neither seen nor in the mean.
///
/// ```
/// use bayesburn_core::DataShape;
/// use bayesburn_networks::{
///     ParameterInit, Pass, SummaryConfig, SummaryNetwork, TimeSeriesTransformerConfig, TimeStamps,
/// };
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::default();
/// // Series of a time and a value; series and sets are of the same shape.
/// let config = TimeSeriesTransformerConfig::new(16).with_times(TimeStamps::Feature(0));
/// let network = config.init(&DataShape::of_sets(2), &mut ParameterInit::new(2023, &device))?;
/// let summaries = network.forward(&Tensor::<3>::ones([3, 50, 2], &device).into(), &mut Pass::inference(0));
/// assert_eq!(summaries.dims(), [3, 16]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct TimeSeriesTransformer {
    time: Time2Vec,
    blocks: Vec<AttentionBlock>,
    output: Linear,
    #[module(skip)]
    config: TimeSeriesTransformerConfig,
    #[module(skip)]
    features: usize,
}

impl SummaryNetwork for TimeSeriesTransformer {
    fn summary_dim(&self) -> usize {
        self.config.summary_dim
    }

    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Summary>> {
        runs_on(like).then(|| self.as_operation(pass))?
    }

    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
        let (data, mask) = data.only().sets();
        let [sets, rows, features] = data.dims();
        assert_eq!(features, self.features, "data of {features} features for a network of {}", self.features);
        #[cfg(feature = "flex")]
        if let Some(summaries) = run_kernel(self.as_operation(pass), &data, mask.as_ref()) {
            return summaries;
        }
        let times = match self.config.times {
            TimeStamps::Index => {
                let index = constant((0..rows).map(|i| i as f32).collect(), [1, rows, 1], &data);
                self.time.forward(index.div_scalar(ROWS_PER_UNIT)).expand([sets, rows, Time2Vec::WIDTH])
            }
            TimeStamps::Feature(feature) => self.time.forward(data.clone().narrow(2, feature, 1)),
        };
        let keys = mask.as_ref().map(KeyMask::new);
        let mut h = Tensor::cat(vec![data, times], 2);
        for block in &self.blocks {
            h = block.forward(h.clone(), h, keys.as_ref(), pass);
        }
        self.output.forward(Pooling::Mean.apply(h, mask.as_ref()).reshape([sets, self.config.width]))
    }
}

#[cfg(feature = "flex")]
impl TimeSeriesTransformer {
    /// The network as an operation, if kernels can do what it does.
    fn as_operation(&self, pass: &Pass) -> Option<Part<Summary>> {
        if !pass.uses_kernels() {
            return None;
        }
        let mut operands = Operands::default();
        let time = match self.config.times {
            TimeStamps::Index => RowTime::Index((1.0 / ROWS_PER_UNIT) as f32),
            TimeStamps::Feature(feature) => RowTime::Column(feature),
        };
        let mut layers = vec![RowLayer::Time(self.time.layer(time, &mut operands))];
        for block in &self.blocks {
            layers.extend(block.layers(None, Vec::new(), pass, &mut operands)?);
        }
        layers.push(RowLayer::Pool(Pool::Mean));
        layers.push(RowLayer::Linear(row_map(&self.output, &mut operands)));
        let chain = Chain { features: self.features, summary_dim: self.config.summary_dim, layers };
        Some(Part { operation: Summary::new(chain), operands })
    }
}
