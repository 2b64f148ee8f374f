//! Summarises sets by attention: every observation sees every other, not their mean alone.

use super::features;
#[cfg(feature = "flex")]
use super::run_kernel;
#[cfg(feature = "flex")]
use crate::dense::row_map;
use crate::layers::PostNormConfig;
use crate::layers::{AttentionArchitecture, AttentionBlock, AttentionPooling, BlockConfig, InducedBlock, KeyMask};
use crate::{ConfigError, DataTensor, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
use bayesburn_core::DataShape;
use bayesburn_core::settings::at_least_one;
#[cfg(feature = "flex")]
use bayesburn_kernels::{Chain, Operands, Part, RowLayer, Summary, runs_on};
use burn::{config::Config, module::Module, nn::Linear, tensor::Tensor};

/// Configuration of a [`SetTransformer`]. The defaults are the settings of BayesFlow 2, but for dropout.
#[derive(Config, Debug, PartialEq)]
pub struct SetTransformerConfig {
    /// S, the length of a summary, at least 1. Not fewer than the model has parameters, as a rule.
    pub summary_dim: usize,
    /// Number of attention blocks before pooling; may be 0.
    #[config(default = 2)]
    pub num_blocks: usize,
    /// Width of what stands for an observation, a multiple of `num_heads`. Post-norm blocks have the width of the data.
    #[config(default = 64)]
    pub width: usize,
    /// Number of heads of each attention, at least 1.
    #[config(default = 4)]
    pub num_heads: usize,
    /// m, at least 1: observations see each other by as many inducing points, at a cost of N m. `None`: directly, at a
    /// cost of N² in time and memory, which is less for sets smaller than some hundred.
    #[config(default = "None")]
    pub num_inducing_points: Option<usize>,
    /// Number of seeds of the pooling, at least 1, each of which is a view of the set.
    #[config(default = 4)]
    pub num_seeds: usize,
    /// How blocks are wired.
    #[config(default = "AttentionArchitecture::PreNorm")]
    pub architecture: AttentionArchitecture,
    /// Probability in `[0, 1)` that a weight of an attention, or a hidden unit, is dropped in training. Fresh
    /// simulations need none; a fixed set of simulations does. (BayesFlow 2 has 0.05, v1 has 0.01 of attention alone.)
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl SetTransformerConfig {
    /// The settings of BayesFlow v1: post-norm blocks without normalisation, 32 inducing points, and one seed, which is
    /// the summary.
    #[must_use]
    pub fn bayesflow_v1(summary_dim: usize) -> Self {
        Self::new(summary_dim)
            .with_architecture(AttentionArchitecture::PostNorm(PostNormConfig::new()))
            .with_num_inducing_points(Some(32))
            .with_num_seeds(1)
    }
}

impl SummaryConfig for SetTransformerConfig {
    const NAME: &'static str = "set transformer";

    type Network = SetTransformer;

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<SetTransformer, ConfigError> {
        let features = features(Self::NAME, shape, false)?;
        at_least_one("summary_dim", self.summary_dim)?;
        at_least_one("features", features)?;
        at_least_one("num_inducing_points", self.num_inducing_points.unwrap_or(1))?;
        at_least_one("num_seeds", self.num_seeds)?;
        let Self { num_heads, dropout, .. } = *self;
        let block = BlockConfig { architecture: self.architecture.clone(), num_heads, dropout };
        // Of the blocks and of a seed.
        let (width, seed_width) = match self.architecture {
            AttentionArchitecture::PreNorm => (self.width, self.width),
            AttentionArchitecture::PostNorm(_) => (features, self.summary_dim),
        };
        block.check(width)?;
        block.check(seed_width)?;
        let mut d_input = features;
        let blocks = init.layers(self.num_blocks, |_, init| {
            let made = match self.num_inducing_points {
                None => AttentionBlock::new(&block, [d_input, d_input], width, init).map(SetBlock::Direct),
                Some(num) => InducedBlock::new(&block, num, d_input, width, init).map(SetBlock::Induced),
            };
            d_input = width;
            made
        });
        let pooling = AttentionPooling::new(&block, self.num_seeds, d_input, seed_width, init)?;
        let joins = self.num_seeds > 1 || self.architecture == AttentionArchitecture::PreNorm;
        let output = joins.then(|| {
            let d_input = self.num_seeds.saturating_mul(seed_width);
            init.linear(d_input, self.summary_dim, OutputInit::Glorot)
        });
        let blocks = blocks.into_iter().collect::<Result<_, _>>()?;
        Ok(SetTransformer { blocks, pooling, output, config: self.clone(), features })
    }
}

/// A permutation-invariant summary network in which observations attend to each other (Lee et al. 2019): attention
/// blocks, pooling by attention, and a linear layer.
///
/// It sees relations between observations, such as the distances of a point process, which a deep set can only learn
/// from sums. A step costs several times that of a [`DeepSet`](crate::DeepSet), which is the better choice for
/// independent observations. Padding and gaps change nothing: every attention to observations has a mask of its keys.
///
/// ```
/// use bayesburn_core::DataShape;
/// use bayesburn_networks::{ParameterInit, Pass, SetTransformerConfig, SummaryConfig, SummaryNetwork};
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::default();
/// let network = SetTransformerConfig::new(10).init(&DataShape::of_sets(4), &mut ParameterInit::new(2023, &device))?;
/// let summaries = network.forward(&Tensor::<3>::ones([3, 50, 4], &device).into(), &mut Pass::inference(0));
/// assert_eq!(summaries.dims(), [3, 10]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct SetTransformer {
    blocks: Vec<SetBlock>,
    pooling: AttentionPooling,
    /// From the seeds, unless one alone is the summary.
    output: Option<Linear>,
    #[module(skip)]
    config: SetTransformerConfig,
    #[module(skip)]
    features: usize,
}

/// Lets observations see each other.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a module holds its fields by value")]
enum SetBlock {
    Direct(AttentionBlock),
    Induced(InducedBlock),
}

impl SummaryNetwork for SetTransformer {
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
        let mask = mask.as_ref().map(KeyMask::new);
        let mut h = data;
        for block in &self.blocks {
            h = match block {
                SetBlock::Direct(block) => block.forward(h.clone(), h, mask.as_ref(), pass),
                SetBlock::Induced(block) => block.forward(h, mask.as_ref(), pass),
            };
        }
        let pooled = self.pooling.forward(h, mask.as_ref(), pass);
        match &self.output {
            Some(output) => output.forward(pooled),
            None => pooled,
        }
    }
}

#[cfg(feature = "flex")]
impl SetTransformer {
    /// The network as an operation, if kernels can do what it does.
    fn as_operation(&self, pass: &Pass) -> Option<Part<Summary>> {
        if !pass.uses_kernels() {
            return None;
        }
        let mut operands = Operands::default();
        let mut layers = Vec::new();
        for block in &self.blocks {
            layers.extend(match block {
                SetBlock::Direct(block) => block.layers(None, Vec::new(), pass, &mut operands)?,
                SetBlock::Induced(block) => block.layers(pass, &mut operands)?,
            });
        }
        let width = match (&self.config.architecture, self.blocks.is_empty()) {
            (AttentionArchitecture::PreNorm, false) => self.config.width,
            _ => self.features,
        };
        layers.extend(self.pooling.layers(width, pass, &mut operands)?);
        layers.extend(self.output.as_ref().map(|output| RowLayer::Linear(row_map(output, &mut operands))));
        let chain = Chain { features: self.features, summary_dim: self.config.summary_dim, layers };
        Some(Part { operation: Summary::new(chain), operands })
    }
}
