//! Builds the networks of amortized inference: tensors in, tensors out. It knows nothing of parameter names, priors or
//! simulators.
//!
//! | type | what it is | reference |
//! |---|---|---|
//! | [`SummaryNetwork`] | the trait: data sets to summaries `[B, S]`; with an example of a network of your own | |
//! | [`SummaryConfig`] | the trait of a summary network's configuration | |
//! | [`DataTensor`], [`InputTensor`] | data sets of any rank, with a mask of rows, as networks see them | |
//! | [`DeepSet`] | the summary network for exchangeable observations | Zaheer et al. 2017; Bloem-Reddy & Teh 2020 |
//! | [`TimeSeriesNetwork`] | for series: convolution, then GRU or LSTM | Cho et al. 2014; Lai et al. 2018 |
//! | [`SequenceNetwork`] | for series: causal convolutions, then LSTM | Radev et al. 2020 |
//! | [`ConvolutionalNetwork`] | for images: residual convolutions | He et al. 2016 |
//! | [`SetTransformer`] | the one for sets whose observations tell more together | Lee et al. 2019 |
//! | [`TimeSeriesTransformer`] | for series, at regular or irregular times | Vaswani et al. 2017; Kazemi et al. 2019 |
//! | [`Identity`], [`DenseSummary`] | for data that are one vector: the vector itself, and a dense network | |
//! | [`FusionNetwork`], [`SplitNetwork`] | one network for each input, or for each group of rows | |
//! | [`HierarchicalNetwork`] | one network for each level of groups of rows | Elsemüller et al. 2024 |
//! | [`AnySummaryConfig`] | the choice among the library's summary networks, and the default for a shape | |
//! | [`FixedStatistics`] | which statistics of an input a posterior puts beside the summaries | |
//! | [`Bijection`] | the trait: targets to latents and back, given a condition | |
//! | [`InvertibleNetwork`] | coupling layers one after the other | Ardizzone et al. 2019; Radev et al. 2020 |
//! | [`AutoregressiveFlow`] | masked autoregressive layers one after the other | Papamakarios et al. 2017 |
//! | [`MixtureNetwork`] | one normal distribution, or a mixture of them | Bishop 1994 |
//! | [`DensityEstimator`] | the trait of all three: a density of targets given a condition | |
//! | [`InferenceNetwork`] | the trait: a loss, draws and a density of targets given a [`Condition`] | |
//! | [`InferenceConfig`] | the trait of an inference network's configuration | |
//! | [`AnyInferenceConfig`] | the choice among the library's inference networks | |
//! | [`CouplingLayer`] | activation normalisation, permutation, coupling | Dinh et al. 2017; Kingma & Dhariwal 2018 |
//! | [`AffineCoupling`], [`SplineCoupling`] | the two transforms | Dinh et al. 2017; Durkan et al. 2019 |
//! | [`Pass`] | training or inference, and the generator of dropout and noise | |
//! | [`ParameterInit`] | draws initial weights from a seeded stream | Glorot & Bengio 2010 |
//!
//! # Which summary network
//! A step is one of training with a batch of 32 and the default settings, on two cores, relative to that of a deep set
//! of 50 observations of 4 numbers (2 ms on a machine of 2026; `cargo bench --bench networks`).
//!
//! | data | network | take it if | step |
//! |---|---|---|---|
//! | a vector `[F]` | [`Identity`] | it has some tens of numbers: the inference network sees all of them | |
//! | | [`DenseSummary`] | it has hundreds of numbers | |
//! | a set `[N, F]` | [`DeepSet`] | observations are independent, given the parameters | 1 |
//! | | [`SetTransformer`] | information is in pairs or groups of observations, such as distances | 7 |
//! | | the same, with inducing points | and N is above some hundred | |
//! | a series `[N, F]` (100 × 2) | [`TimeSeriesNetwork`] | rows are at regular times; the first choice | 13 |
//! | | [`TimeSeriesTransformer`] | times are irregular, or what is far apart belongs together | 12 |
//! | | [`SequenceNetwork`] | results of BayesFlow v1 are to be repeated | |
//! | an image `[H, W, C]` (32 × 32 × 1) | [`ConvolutionalNetwork`] | with [`Border::Periodic`] for a field on a torus | 90 |
//! | several inputs | [`FusionNetwork`] | each has a network of its own | their sum |
//! | rows of several kinds | [`SplitNetwork`] | each kind needs a network of its own | |
//! | sets of sets `[G, N, F]` | [`HierarchicalNetwork`] | groups share parameters | |
//!
//! [`AnySummaryConfig::for_shape`] is the default for a shape.
//!
//! Networks follow Burn's pattern: `XConfig` is plain data that is saved in checkpoints, `config.init(...)` makes the
//! module `X`. What a user can get wrong in a configuration is a [`ConfigError`]; a tensor of the wrong shape panics
//! with both shapes.
//!
//! ```
//! use bayesburn_core::DataShape;
//! use bayesburn_networks::{
//!     Bijection, DeepSetConfig, InvertibleNetworkConfig, ParameterInit, Pass, SummaryConfig, SummaryNetwork,
//! };
//! use burn::tensor::{Device, Tensor};
//!
//! let mut init = ParameterInit::new(2023, &Device::default());
//! let summary_network = DeepSetConfig::new(10).init(&DataShape::of_sets(4), &mut init)?;
//! let inference_network = InvertibleNetworkConfig::new().with_num_coupling_layers(4).init(4, 10, &mut init)?;
//!
//! let mut pass = Pass::inference(1);
//! let data = Tensor::<3>::ones([3, 50, 4], &Device::default());
//! let summary = summary_network.forward(&data.into(), &mut pass);
//! let (z, log_det) = inference_network.forward(Tensor::ones([3, 4], &Device::default()), Some(summary), &mut pass);
//! assert_eq!((z.dims(), log_det.dims()), ([3, 4], [3]));
//! # Ok::<(), bayesburn_networks::ConfigError>(())
//! ```

mod data;
mod dense;
mod device;
mod error;
mod inference;
mod init;
mod layers;
mod parameters;
mod pass;
mod summary;

pub use data::{DataTensor, InputTensor};
pub use dense::{Activation, DenseNet, DenseNetConfig};
#[doc(hidden)]
pub use device::is_processor;
pub use device::{DeviceError, check_device, default_device, device};
pub use error::ConfigError;
pub use inference::{
    ActNorm, ActNormConfig, AffineConfig, AffineCoupling, AffineNets, AnyInferenceConfig, AnyInferenceNetwork,
    AutoregressiveFlow, AutoregressiveFlowConfig, Bijection, Condition, ConditionWidths, Coupling, CouplingConfig,
    CouplingDesign, CouplingLayer, Covariance, DensityEstimator, Evaluation, InferenceConfig, InferenceNetwork,
    InterleavedConfig, InvertibleNetwork, InvertibleNetworkConfig, MixtureConfig, MixtureNetwork, MixtureParameters,
    Permutation, PermutationConfig, QuadraticSum, QuadraticTerm, SeparateNets, SoftFlowConfig, SplineConfig,
    SplineCoupling, log_sum_exp, repeated,
};
pub use init::{OutputInit, OverBudget, ParameterInit};
pub use layers::{AttentionArchitecture, Direction, PostNormConfig, RecurrentCell};
pub use parameters::{
    moved_towards, num_trainable_parameters, number_parameters, orders_are_permutations, parameter_ids,
    parameter_values, with_parameters,
};
pub use pass::Pass;
pub use summary::{
    AnySummaryConfig, AnySummaryNetwork, Border, ConvolutionalNetwork, ConvolutionalNetworkConfig, DeepSet,
    DeepSetArchitecture, DeepSetConfig, DenseStageConfig, DenseSummary, DenseSummaryConfig, FixedStatistics,
    FusionNetwork, FusionNetworkConfig, HierarchicalNetwork, HierarchicalNetworkConfig, Identity, IdentityConfig,
    PlainDeepSetConfig, Pooling, SequenceNetwork, SequenceNetworkConfig, SetTransformer, SetTransformerConfig,
    SplitNetwork, SplitNetworkConfig, SummaryConfig, SummaryNetwork, TimeSeriesNetwork, TimeSeriesNetworkConfig,
    TimeSeriesTransformer, TimeSeriesTransformerConfig, TimeStamps,
};
