//! Summarises images: residual convolutions in stages, each of which halves the sides.

use super::FixedStatistics;
#[cfg(feature = "flex")]
use super::run_kernel;
#[cfg(feature = "flex")]
use crate::dense::row_map;
use crate::layers::{ImageConvolution, LayerNorm, average_pool, mean_over_pixels};
use crate::{Activation, ConfigError, DataTensor, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
use bayesburn_core::settings::{at_least_one, in_range};
use bayesburn_core::{DataShape, InputShape};
#[cfg(feature = "flex")]
use bayesburn_kernels::{AveragePool, Chain, Operands, Part, Pool, RowLayer, Summary, runs_on};
use burn::{config::Config, module::Module, nn::Linear, tensor::Tensor};

/// What the convolutions of a [`ConvolutionalNetwork`] see beyond the border of an image.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Border {
    /// Zeros.
    Zeros,
    /// The other side of the image, as for a field on a torus, such as a simulation box with periodic boundaries.
    /// Images must be of one size. The sides are best multiples of 2ᵏ for k stages; others end with half a square.
    Periodic,
}

/// Configuration of a [`ConvolutionalNetwork`]. The defaults are those of BayesFlow 2, with as many parameters.
#[derive(Config, Debug, PartialEq)]
pub struct ConvolutionalNetworkConfig {
    /// S, the length of a summary, at least 1. Not fewer than the model has parameters, as a rule.
    pub summary_dim: usize,
    /// The number of filters of each stage, each at least 1. The images must have 2ᵏ pixels in height and width or
    /// more for k stages: 8 × 8 for three.
    #[config(default = "vec![32, 64, 128]")]
    pub filters: Vec<usize>,
    /// Number of residual blocks of each stage, at least 1.
    #[config(default = 2)]
    pub blocks: usize,
    /// What precedes each convolution.
    #[config(default = "Activation::Mish")]
    pub activation: Activation,
    /// What convolutions see beyond the border of an image.
    #[config(default = "Border::Zeros")]
    pub border: Border,
    /// Whether each pixel is normalised over its channels before each activation. This takes away its amplitude, so a
    /// network that is to measure amplitudes learns sooner without: 6,000 steps on images of a random field led to an
    /// error of the mean of 0.26 posterior standard deviations, and to 0.34 with normalisation.
    #[config(default = true)]
    pub normalized: bool,
    /// Probability in `[0, 1)` that a value is dropped between the two convolutions of a block in training. Fresh
    /// simulations need none; a fixed set of simulations does.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl ConvolutionalNetworkConfig {
    /// The least height and width of an image.
    pub(super) fn least_side(&self) -> usize {
        u32::try_from(self.filters.len()).ok().and_then(|stages| 1_usize.checked_shl(stages)).unwrap_or(usize::MAX)
    }
}

impl SummaryConfig for ConvolutionalNetworkConfig {
    const NAME: &'static str = "convolutional";

    type Network = ConvolutionalNetwork;

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn statistics(&self, _: &InputShape) -> FixedStatistics {
        FixedStatistics::OfImages
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<ConvolutionalNetwork, ConfigError> {
        let image = shape.only().filter(|input| input.rank() == 3 && input.features() > 0);
        let is_periodic = self.border == Border::Periodic;
        let Some(InputShape { axes, .. }) = image.filter(|input| !(is_periodic && input.padded)) else {
            let expected = match is_periodic {
                true => "one input of images [height, width, channels] of one size, since its border is periodic",
                false => "one input of images [height, width, channels]",
            };
            let network = Self::NAME;
            return Err(ConfigError::Data { network, expected, got: shape.to_string() });
        };
        at_least_one("summary_dim", self.summary_dim)?;
        at_least_one("the number of filters", self.filters.len())?;
        self.filters.iter().try_for_each(|filters| at_least_one("filters", *filters))?;
        at_least_one("blocks", self.blocks)?;
        in_range((0.0..1.0).contains(&self.dropout), "dropout", "in [0, 1)", self.dropout)?;
        let least = self.least_side();
        if axes[..2].iter().flatten().any(|side| *side < least) {
            return Err(ConfigError::SmallImage { got: shape.to_string(), stages: self.filters.len(), least });
        }
        let channels = shape.inputs()[0].features();
        let mut width = channels;
        let stages = self.filters.iter().map(|filters| {
            init.layers(self.blocks, |_, init| {
                Block::new([std::mem::replace(&mut width, *filters), *filters], self, init)
            })
        });
        let stages = stages.map(|blocks| Stage { blocks }).collect();
        let output = init.linear(width, self.summary_dim, OutputInit::Glorot);
        Ok(ConvolutionalNetwork { stages, output, config: self.clone(), channels })
    }
}

/// A summary network for images: stages of residual blocks (He et al. 2016), after each of which means over 2 × 2
/// pixels halve the sides, then the mean over pixels and a linear layer.
///
/// Images have any number of channels, and any size from 8 × 8 with the default stages. The size may vary: nothing in
/// the network depends on it. A mask of rows or of pixels, `[M, H]` or `[M, H, W]`, is honoured: pixels that do not
/// exist count as 0 for convolutions, as outside of the image, and not at all for means. So an image padded at its
/// right and lower sides has the summary that it has alone, unless its [`Border`] is periodic.
///
/// At an odd side the last means are over the pixels that there are; BayesFlow 2 counts zeros beyond.
///
/// ```
/// use bayesburn_core::{DataShape, InputShape};
/// use bayesburn_networks::{ConvolutionalNetworkConfig, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::default();
/// let axes = vec![Some(16), Some(16), Some(1)];
/// let shape = DataShape::new(vec![InputShape { name: "image".to_owned(), axes, padded: false }]);
/// let network = ConvolutionalNetworkConfig::new(10).init(&shape, &mut ParameterInit::new(2023, &device))?;
/// let summaries = network.forward(&Tensor::<4>::ones([3, 16, 16, 1], &device).into(), &mut Pass::inference(0));
/// assert_eq!(summaries.dims(), [3, 10]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct ConvolutionalNetwork {
    stages: Vec<Stage>,
    output: Linear,
    #[module(skip)]
    config: ConvolutionalNetworkConfig,
    #[module(skip)]
    channels: usize,
}

#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<Block>,
}

/// x ← x W, then x + conv(act(norm(conv(act(norm(x)))))). The last convolution begins as 0.
#[derive(Module, Debug)]
struct Block {
    /// W, a convolution of single pixels.
    projection: Linear,
    first_norm: Option<LayerNorm>,
    first: ImageConvolution,
    second_norm: Option<LayerNorm>,
    second: ImageConvolution,
}

impl Block {
    fn new([channels, filters]: [usize; 2], config: &ConvolutionalNetworkConfig, init: &mut ParameterInit) -> Self {
        let (widths, border) = ([filters; 2], config.border);
        Self {
            projection: init.linear(channels, filters, OutputInit::Glorot),
            first_norm: config.normalized.then(|| LayerNorm::new(filters, init)),
            first: ImageConvolution::new(widths, OutputInit::Glorot, border, init),
            second_norm: config.normalized.then(|| LayerNorm::new(filters, init)),
            second: ImageConvolution::new(widths, OutputInit::Zeros, border, init),
        }
    }

    /// The same as layers of a kernel.
    #[cfg(feature = "flex")]
    fn layers(&self, activation: bayesburn_kernels::Activation, operands: &mut Operands) -> [RowLayer; 2] {
        let activation = RowLayer::Activation(activation);
        let projection = RowLayer::Linear(row_map(&self.projection, operands));
        let halves = [(&self.first_norm, &self.first), (&self.second_norm, &self.second)];
        let branch = halves.into_iter().flat_map(|(norm, convolution)| {
            let norm = norm.as_ref().map(|norm| RowLayer::Norm(norm.layer(operands)));
            norm.into_iter().chain([activation.clone(), convolution.layer(operands)]).collect::<Vec<_>>()
        });
        let branch = branch.collect();
        [projection, RowLayer::residual(branch)]
    }

    fn forward(
        &self,
        x: Tensor<4>,
        mask: Option<&Tensor<4>>,
        config: &ConvolutionalNetworkConfig,
        pass: &mut Pass,
    ) -> Tensor<4> {
        let x = self.projection.forward(x);
        let normed = |norm: &Option<LayerNorm>, x: Tensor<4>| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let h = config.activation.apply(normed(&self.first_norm, x.clone()));
        let h = config.activation.apply(normed(&self.second_norm, self.first.forward(h, mask)));
        let h = match config.dropout > 0.0 && pass.is_training() {
            true => h.clone() * pass.dropout_mask(config.dropout, &h),
            false => h,
        };
        x + self.second.forward(h, mask)
    }
}

impl SummaryNetwork for ConvolutionalNetwork {
    fn summary_dim(&self) -> usize {
        self.config.summary_dim
    }

    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Summary>> {
        runs_on(like).then(|| self.as_operation(pass))?
    }

    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
        let data = data.only();
        let &[images, height, width, channels] = data.shape() else {
            panic!("data of shape {:?} for a network of images [M, H, W, C]", data.shape());
        };
        assert_eq!(channels, self.channels, "images of {channels} channels for a network of {}", self.channels);
        let (pixels, mask) = data.rows();
        let mut x = pixels.reshape([images, height, width, channels]);
        let mut mask = mask.map(|mask| mask.reshape([images, height, width, 1]));
        #[cfg(feature = "flex")]
        if let Some(summaries) = run_kernel(self.as_operation(pass), &x, mask.as_ref()) {
            return summaries;
        }
        for stage in &self.stages {
            for block in &stage.blocks {
                x = block.forward(x, mask.as_ref(), &self.config, pass);
            }
            (x, mask) = average_pool(x, mask);
        }
        self.output.forward(mean_over_pixels(x, mask))
    }
}

#[cfg(feature = "flex")]
impl ConvolutionalNetwork {
    /// The network as an operation, if kernels can do what it does.
    fn as_operation(&self, pass: &Pass) -> Option<Part<Summary>> {
        let drops = pass.drops(self.config.dropout);
        if drops || !pass.uses_kernels() {
            return None;
        }
        let activation = self.config.activation.kernel()?;
        let mut operands = Operands::default();
        let mut layers = Vec::new();
        for stage in &self.stages {
            layers.extend(stage.blocks.iter().flat_map(|block| block.layers(activation, &mut operands)));
            layers.push(RowLayer::AveragePool(AveragePool));
        }
        layers.push(RowLayer::Pool(Pool::Mean));
        layers.push(RowLayer::Linear(row_map(&self.output, &mut operands)));
        let chain = Chain { features: self.channels, summary_dim: self.config.summary_dim, layers };
        Some(Part { operation: Summary::new(chain), operands })
    }
}
