//! Defines what every summary network does.

mod deep_set;
mod vector;

pub use deep_set::{DeepSet, DeepSetArchitecture, DeepSetConfig, DenseStageConfig, PlainDeepSetConfig, Pooling};
pub use vector::{DenseSummary, DenseSummaryConfig, Identity, IdentityConfig};

use crate::{ConfigError, ParameterInit, Pass};
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
/// Map `[B, N, F]` to `[B, S]`, such that row b of the result depends on row b of the data alone; and give the network
/// a configuration, [`SummaryConfig`]. Everything else, training, checkpoints and sampling, then works with a
/// `PosteriorConfig` of that configuration.
pub trait SummaryNetwork: Module + ModuleDisplay + Sync + 'static {
    /// S, the length of a summary.
    fn summary_dim(&self) -> usize;

    /// Data `[B, N, F]` to summaries `[B, S]`.
    ///
    /// # Panics
    /// If F is not the number of features that the network was made for, or N not one that it takes.
    fn forward(&self, data: Tensor<3>, pass: &mut Pass) -> Tensor<2>;

    /// The network as an operation with its operands, for data like these: it then trains without Burn's graph. `None`,
    /// which networks of one's own leave it at, if kernels cannot do what it does.
    #[doc(hidden)]
    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<3>, pass: &Pass) -> Option<Part<Summary>> {
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

    /// A network for data of `features` numbers for each observation.
    ///
    /// # Errors
    /// A setting outside its range.
    fn init(&self, features: usize, init: &mut ParameterInit) -> Result<Self::Network, ConfigError>;
}
