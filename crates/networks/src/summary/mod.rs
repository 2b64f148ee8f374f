//! Defines what every summary network does.

mod deep_set;
mod vector;

pub use deep_set::{DeepSet, DeepSetArchitecture, DeepSetConfig, DenseStageConfig, PlainDeepSetConfig, Pooling};
pub use vector::{DenseSummary, DenseSummaryConfig, Identity, IdentityConfig};

use crate::{ConfigError, DataTensor, ParameterInit, Pass};
use bayesburn_core::DataShape;
#[cfg(feature = "flex")]
use bayesburn_kernels::{Part, Summary};
use burn::{
    config::Config,
    module::{Module, ModuleDisplay},
    tensor::Tensor,
};

/// A network that turns a data set of any size into a vector of fixed length.
///
/// # To implement this
/// Map B data sets to summaries `[B, S]`, such that row b of the result depends on data set b alone, and that rows
/// which are padding, as a mask of rows tells, change nothing; and give the network a configuration, [`SummaryConfig`].
/// Everything else, training, checkpoints and sampling, then works with a
/// `PosteriorConfig` of that configuration.
pub trait SummaryNetwork: Module + ModuleDisplay + Sync + 'static {
    /// S, the length of a summary.
    fn summary_dim(&self) -> usize;

    /// B data sets to summaries `[B, S]`.
    ///
    /// # Panics
    /// If the data are not of the shape that the network was made for.
    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2>;

    /// The network as an operation with its operands, for tensors like this one: it then trains without Burn's graph,
    /// on data of any shape that the network takes. `None`, which networks of one's own leave it at, if kernels cannot do
    /// what it does.
    #[doc(hidden)]
    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Summary>> {
        let _ = (like, pass);
        None
    }
}

/// What a summary network is made from: plain data, which checkpoints save.
///
/// # To implement this
/// Draw all weights from `init`, so that a seed reproduces them.
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
