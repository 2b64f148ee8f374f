//! Defines what every summary network does.

mod any;
mod convolutional;
mod deep_set;
mod fixed;
mod fusion;
mod hierarchical;
mod pooling;
mod sequence;
mod set_transformer;
mod split;
mod time_series;
mod time_series_transformer;
mod vector;

pub use any::{AnySummaryConfig, AnySummaryNetwork};
pub use convolutional::{Border, ConvolutionalNetwork, ConvolutionalNetworkConfig};
pub use deep_set::{DeepSet, DeepSetArchitecture, DeepSetConfig, DenseStageConfig, PlainDeepSetConfig};
pub use fixed::FixedStatistics;
pub use fusion::{FusionNetwork, FusionNetworkConfig};
pub use hierarchical::{HierarchicalNetwork, HierarchicalNetworkConfig};
pub use pooling::Pooling;
pub use sequence::{SequenceNetwork, SequenceNetworkConfig};
pub use set_transformer::{SetTransformer, SetTransformerConfig};
pub use split::{SplitNetwork, SplitNetworkConfig};
pub use time_series::{TimeSeriesNetwork, TimeSeriesNetworkConfig};
pub use time_series_transformer::{TimeSeriesTransformer, TimeSeriesTransformerConfig, TimeStamps};
pub use vector::{DenseSummary, DenseSummaryConfig, Identity, IdentityConfig};

use crate::{ConfigError, DataTensor, ParameterInit, Pass};
use bayesburn_core::{DataShape, InputShape};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Part, Summary, runs_on};
use burn::{
    config::Config,
    module::{Module, ModuleDisplay},
    tensor::Tensor,
};

/// A network that turns a data set of any size into a vector of fixed length.
///
/// # To implement this
/// Map B data sets to summaries `[B, S]`. Row b of the result must depend only on data set b. If the data have a mask
/// of rows, padding must not change the result. Give the network a configuration, [`SummaryConfig`]. Training,
/// checkpoints and sampling then work with a `PosteriorConfig` of that configuration.
///
/// - **Data** are channels-last: `[B, ..., F]`, with the features on the last axis. A posterior standardises them
///   first, feature by feature (an image channel by channel), unless `PosteriorConfig::with_standardization` excludes
///   data.
/// - **Padding and missing values** are 0. If values may be missing, the columns of their mask follow the features. If
///   data sets differ in length, a posterior adds ln N to the direct conditions, whatever the network.
/// - **Weights** are drawn by [`ParameterInit`]. It makes matrices; a kernel of a convolution can be a matrix that
///   `forward` reshapes.
/// - **Dropout and noise** are drawn by [`Pass`], which also tells whether the network trains.
///
/// # Example
/// A network for a data set of two inputs: `image`, `[16, 16, 1]`, and `v`, a vector of 3.
///
/// ```
/// use bayesburn_core::{DataShape, InputShape};
/// use bayesburn_networks::{
///     ConfigError, DataTensor, DenseNet, DenseNetConfig, InputTensor, OutputInit, ParameterInit, Pass, SummaryConfig,
///     SummaryNetwork,
/// };
/// use burn::{
///     config::Config,
///     module::Module,
///     tensor::{Device, Tensor},
/// };
///
/// /// A dense network of the pixels, and one of its output beside the vector.
/// #[derive(Module, Debug)]
/// struct ImageAndVector {
///     pixels: DenseNet,
///     both: DenseNet,
///     #[module(skip)]
///     summary_dim: usize,
/// }
///
/// #[derive(Config, Debug, PartialEq)]
/// struct ImageAndVectorConfig {
///     /// S, the length of a summary.
///     summary_dim: usize,
///     /// Probability that a hidden unit is dropped in training.
///     #[config(default = 0.0)]
///     dropout: f64,
/// }
///
/// impl SummaryConfig for ImageAndVectorConfig {
///     const NAME: &'static str = "image and vector";
///
///     type Network = ImageAndVector;
///
///     fn has_dropout(&self) -> bool {
///         self.dropout > 0.0
///     }
///
///     fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<ImageAndVector, ConfigError> {
///         let axes = |name: &str| shape.input(name).map(|input| &input.axes[..]);
///         let (Some(&[Some(h), Some(w), Some(channels)]), Some(&[Some(v)])) = (axes("image"), axes("v")) else {
///             let (network, expected, got) = (Self::NAME, "an image and a vector `v`", shape.to_string());
///             return Err(ConfigError::Data { network, expected, got });
///         };
///         let net = DenseNetConfig::new().with_units(32).with_dropout(self.dropout);
///         let pixels = net.init(h * w * channels, 16, OutputInit::Glorot, init)?;
///         let both = net.init(16 + v, self.summary_dim, OutputInit::Glorot, init)?;
///         Ok(ImageAndVector { pixels, both, summary_dim: self.summary_dim })
///     }
/// }
///
/// impl SummaryNetwork for ImageAndVector {
///     fn summary_dim(&self) -> usize {
///         self.summary_dim
///     }
///
///     fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
///         let image = data.input("image").values::<4>(); // [B, 16, 16, 1]
///         let v = data.input("v").values::<2>(); // [B, 3]
///         let [rows, h, w, channels] = image.dims();
///         let image = self.pixels.forward(image.reshape([rows, h * w * channels]), pass);
///         self.both.forward(Tensor::cat(vec![image, v], 1), pass)
///     }
/// }
///
/// fn main() -> Result<(), ConfigError> {
///     // A posterior does this by itself, with the shape of its pilot simulations.
///     let input = |name: &str, axes: &[usize]| InputShape {
///         name: name.to_owned(),
///         axes: axes.iter().copied().map(Some).collect(),
///         padded: false,
///     };
///     let shape = DataShape::new(vec![input("image", &[16, 16, 1]), input("v", &[3])]);
///     let device = Device::default();
///     let network = ImageAndVectorConfig::new(8).init(&shape, &mut ParameterInit::new(1, &device))?;
///
///     let image = InputTensor::new("image", Tensor::<4>::ones([5, 16, 16, 1], &device));
///     let v = InputTensor::new("v", Tensor::<2>::ones([5, 3], &device));
///     let summaries = network.forward(&DataTensor::new(vec![image, v]), &mut Pass::inference(1));
///     assert_eq!(summaries.dims(), [5, 8]);
///     Ok(())
/// }
/// ```
///
/// A trainer takes it as `PosteriorConfig::new(ImageAndVectorConfig::new(8), InvertibleNetworkConfig::new())`. The
/// simulator names the inputs (`Simulator::from_named_fn`). The page of `Conditions` shows observed data of several
/// inputs.
pub trait SummaryNetwork: Module + ModuleDisplay + Sync + 'static {
    /// S, the length of a summary.
    fn summary_dim(&self) -> usize;

    /// B data sets to summaries `[B, S]`.
    ///
    /// # Panics
    /// If the data are not of the shape that the network was made for.
    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2>;

    /// The network as an operation with its operands, for tensors like this one. `None`: it runs as a composition of
    /// Burn's operations. That is right for every network without a kernel, and is the default.
    ///
    /// `AmortizedPosterior::direct_loss` calls this with a training pass before each epoch. If both networks return an
    /// operation and nothing else needs Burn's graph, the epoch's steps run without it; otherwise
    /// [`SummaryNetwork::forward`] is used. On a GPU, a posterior also calls this with an inference pass, to compute
    /// summaries, densities and draws.
    ///
    /// The operation must compute the same summaries as `forward`, for all data that the network takes, and all of its
    /// operands must be parameters. Return `None` for settings that the kernel lacks (a set network does so for dropout
    /// in a training pass), and if `bayesburn_kernels::has_kernels(like)` is false. To implement this, depend on the
    /// crate `bayesburn-kernels`.
    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Summary>> {
        let _ = (like, pass);
        None
    }
}

/// What a summary network is made from: plain data, which checkpoints save.
///
/// # To implement this
/// Draw all weights from `init`, so that a seed reproduces them. [`SummaryNetwork`] has an example.
pub trait SummaryConfig: Config + Clone + PartialEq + Send + Sync + 'static {
    /// What saved posteriors call the network, so that what reads one knows its type: a name of your own, other than
    /// those of this crate.
    const NAME: &'static str;

    /// The network.
    type Network: SummaryNetwork;

    /// N, of a network that takes data sets of one size alone.
    fn num_observations(&self) -> Option<usize> {
        None
    }

    /// Whether units are dropped in training and not at inference. Neural posterior estimation then finishes without.
    fn has_dropout(&self) -> bool {
        false
    }

    /// Which fixed statistics of an input go beside the summaries. By default those that are right whatever the order
    /// of rows means; none where data sets are one observation each, which a regression reads as it is. A network of
    /// series or images says so here, and one that wants no statistics returns [`FixedStatistics::None`].
    fn statistics(&self, input: &InputShape) -> FixedStatistics {
        match (self.num_observations(), input.rank()) {
            (Some(1), 2..) => FixedStatistics::None,
            _ => FixedStatistics::for_shape(input),
        }
    }

    /// A network for data of this shape.
    ///
    /// # Errors
    /// A setting outside its range; data of a shape that the network does not take.
    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<Self::Network, ConfigError>;
}

/// The number of features of data that are one input of sets or, for some networks, of vectors `[F]`.
fn features(network: &'static str, shape: &DataShape, vectors: bool) -> Result<usize, ConfigError> {
    let fits = |rank: usize| rank == 2 || vectors && rank == 1;
    match shape.only().filter(|input| fits(input.rank())) {
        Some(input) => Ok(input.features()),
        None => {
            let expected = if vectors { "one vector [F], or one observation" } else { "one input of sets [N, F]" };
            Err(ConfigError::Data { network, expected, got: shape.to_string() })
        }
    }
}

/// The number of features of data that are one input of series.
fn series(network: &'static str, shape: &DataShape) -> Result<usize, ConfigError> {
    match shape.only().filter(|input| input.rank() == 2) {
        Some(input) if input.features() > 0 => Ok(input.features()),
        _ => {
            let expected = "one input of series [N, F] with at least one feature";
            Err(ConfigError::Data { network, expected, got: shape.to_string() })
        }
    }
}

/// The summaries of data `[B, ..., F]` with a mask `[B, ..., 1]` by a kernel, if there is one for this network, and the
/// data are where kernels run.
#[cfg(feature = "flex")]
fn run_kernel<const R: usize>(
    part: Option<Part<Summary>>,
    data: &Tensor<R>,
    mask: Option<&Tensor<R>>,
) -> Option<Tensor<2>> {
    if !runs_on(data) {
        return None;
    }
    let mask = mask.map(|mask| mask.clone().flatten::<2>(1, R - 1));
    part?.run(data.clone(), mask)
}
