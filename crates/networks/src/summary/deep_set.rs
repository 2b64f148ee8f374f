//! Summarises sets: the order of the observations does not matter, and their number may vary.

use crate::{
    Activation, ConfigError, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork, error::at_least_one,
};
use burn::{
    config::Config,
    module::{Module, Param},
    nn::Linear,
    tensor::Tensor,
};

/// How the observations of a set become one vector.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over observations.
    Mean,
    /// The largest value of each unit.
    Max,
}

impl Pooling {
    /// `[B, N, U]` to `[B, 1, U]`.
    fn apply(self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Mean => x.mean_dim(1),
            Self::Max => x.max_dim(1),
        }
    }
}

/// How the modules of a [`DeepSet`] are wired.
#[derive(Config, Debug, PartialEq)]
pub enum DeepSetArchitecture {
    /// Residual set network: a linear embedding; modules h + W₂ act(W₁ h + W_g pool(h)); pooling; g + act(W g). On the
    /// quickstart model it reaches in 1,500 steps what the plain wiring needs 10,000 for.
    Residual,
    /// The wiring of BayesFlow v1, without skip connections.
    Plain(PlainDeepSetConfig),
}

/// Number of dense layers in the parts of the plain modules, as in BayesFlow v1.
#[derive(Config, Debug, PartialEq)]
pub struct PlainDeepSetConfig {
    /// Before pooling, for each observation; may be 0.
    #[config(default = 2)]
    pub num_dense_s1: usize,
    /// After pooling, for each set; may be 0.
    #[config(default = 2)]
    pub num_dense_s2: usize,
    /// On each observation beside the pooled set, at least 1.
    #[config(default = 2)]
    pub num_dense_s3: usize,
}

/// Configuration of a [`DeepSet`].
#[derive(Config, Debug, PartialEq)]
pub struct DeepSetConfig {
    /// S, the length of a summary, at least 1. Not fewer than the model has parameters, as a rule.
    pub summary_dim: usize,
    /// Width of the hidden layers, at least 1.
    #[config(default = 64)]
    pub units: usize,
    /// Number of equivariant modules before the invariant one; may be 0.
    #[config(default = 2)]
    pub num_equiv: usize,
    /// What follows each hidden layer.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// How observations are pooled.
    #[config(default = "Pooling::Mean")]
    pub pooling: Pooling,
    /// How the modules are wired.
    #[config(default = "DeepSetArchitecture::Residual")]
    pub architecture: DeepSetArchitecture,
}

impl DeepSetConfig {
    /// The network of BayesFlow v1, layer for layer. Its settings for each stage, and functions for pooling, are not there.
    #[must_use]
    pub fn bayesflow_v1(summary_dim: usize) -> Self {
        Self::new(summary_dim).with_architecture(DeepSetArchitecture::Plain(PlainDeepSetConfig::new()))
    }
}

impl SummaryConfig for DeepSetConfig {
    type Network = DeepSet;

    fn init(&self, features: usize, init: &mut ParameterInit) -> Result<DeepSet, ConfigError> {
        at_least_one("summary_dim", self.summary_dim)?;
        at_least_one("units", self.units)?;
        at_least_one("features", features)?;
        let units = self.units;
        let (embedding, depths, invariant_depths, mut width) = match &self.architecture {
            DeepSetArchitecture::Residual => {
                (Some(init.linear(features, units, OutputInit::Glorot)), [0, 0, 1], [0, 1], units)
            }
            DeepSetArchitecture::Plain(plain) => {
                at_least_one("num_dense_s3", plain.num_dense_s3)?;
                let [s1, s2] = [plain.num_dense_s1, plain.num_dense_s2];
                (None, [s1, s2, plain.num_dense_s3], [s1, s2], features)
            }
        };
        let mut equivariant = Vec::with_capacity(self.num_equiv);
        for _ in 0..self.num_equiv {
            equivariant.push(EquivariantModule::new(width, units, depths, embedding.is_some(), init));
            width = units;
        }
        let s1 = stack(invariant_depths[0], width, units, init);
        width = if s1.is_empty() { width } else { units };
        let s2 = stack(invariant_depths[1], width, units, init);
        width = if s2.is_empty() { width } else { units };
        let output = init.linear(width, self.summary_dim, OutputInit::Glorot);
        Ok(DeepSet { embedding, equivariant, s1, s2, output, config: self.clone(), features })
    }
}

/// A permutation-invariant summary network (Zaheer et al. 2017): equivariant modules, each of which lets every observation see
/// the pooled set (Bloem-Reddy & Teh 2020), then an invariant module and a linear layer.
///
/// ```
/// use bayesburn_networks::{DeepSetConfig, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::default();
/// let network = DeepSetConfig::new(10).init(4, &mut ParameterInit::new(2023, &device))?;
/// let summaries = network.forward(Tensor::ones([3, 50, 4], &device), &mut Pass::inference(0));
/// assert_eq!(summaries.dims(), [3, 10]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct DeepSet {
    embedding: Option<Linear>,
    equivariant: Vec<EquivariantModule>,
    s1: Vec<Linear>,
    s2: Vec<Linear>,
    output: Linear,
    #[module(skip)]
    config: DeepSetConfig,
    #[module(skip)]
    features: usize,
}

impl DeepSet {
    fn is_residual(&self) -> bool {
        self.config.architecture == DeepSetArchitecture::Residual
    }
}

impl SummaryNetwork for DeepSet {
    fn summary_dim(&self) -> usize {
        self.config.summary_dim
    }

    fn forward(&self, data: Tensor<3>, _pass: &mut Pass) -> Tensor<2> {
        let [_, _, features] = data.dims();
        assert_eq!(features, self.features, "data of {features} features for a network of {}", self.features);
        let (activation, pooling) = (self.config.activation, self.config.pooling);
        let mut h = match &self.embedding {
            Some(embedding) => embedding.forward(data),
            None => data,
        };
        for module in &self.equivariant {
            h = module.forward(h, activation, pooling);
        }
        let pooled = pooling.apply(dense(&self.s1, h, activation));
        let [rows, _, width] = pooled.dims();
        let mut g = pooled.reshape([rows, width]);
        for layer in &self.s2 {
            let out = activation.apply(layer.forward(g.clone()));
            g = if self.is_residual() { g + out } else { out };
        }
        self.output.forward(g)
    }
}

/// Lets every observation see the pooled set.
///
/// x ← s₃([x, s₂(pool(s₁(x)))]), or, with a projection W₂, x ← x + W₂ s₃([x, s₂(pool(s₁(x)))]).
#[derive(Module, Debug)]
struct EquivariantModule {
    s1: Vec<Linear>,
    s2: Vec<Linear>,
    joint: JointLinear,
    s3: Vec<Linear>,
    projection: Option<Linear>,
}

impl EquivariantModule {
    fn new(width: usize, units: usize, [n1, n2, n3]: [usize; 3], residual: bool, init: &mut ParameterInit) -> Self {
        let s1 = stack(n1, width, units, init);
        let mut pooled = if s1.is_empty() { width } else { units };
        let s2 = stack(n2, pooled, units, init);
        pooled = if s2.is_empty() { pooled } else { units };
        Self {
            s1,
            s2,
            joint: JointLinear::new(width, pooled, units, init),
            s3: stack(n3 - 1, units, units, init),
            projection: residual.then(|| init.linear(units, width, OutputInit::Glorot)),
        }
    }

    fn forward(&self, x: Tensor<3>, activation: Activation, pooling: Pooling) -> Tensor<3> {
        let pooled = pooling.apply(dense(&self.s1, x.clone(), activation));
        let pooled = dense(&self.s2, pooled, activation);
        let joint = activation.apply(self.joint.forward(x.clone(), pooled));
        let out = dense(&self.s3, joint, activation);
        match &self.projection {
            Some(projection) => x + projection.forward(out),
            None => out,
        }
    }
}

/// A dense layer on an observation beside its pooled set: x W_x + (e W_e + b), which is one layer on both side by side, but
/// multiplies the set's half once for each set and not N times.
#[derive(Module, Debug)]
struct JointLinear {
    element: Param<Tensor<2>>,
    pooled: Linear,
}

impl JointLinear {
    fn new(d_element: usize, d_pooled: usize, units: usize, init: &mut ParameterInit) -> Self {
        let d_input = d_element + d_pooled;
        let element = init.glorot_uniform([d_element, units], d_input, units);
        let weight = init.glorot_uniform([d_pooled, units], d_input, units);
        Self { element, pooled: Linear { weight, bias: Some(init.constant([units], 0.0)) } }
    }

    fn forward(&self, x: Tensor<3>, pooled: Tensor<3>) -> Tensor<3> {
        burn::tensor::module::linear(x, self.element.val(), None) + self.pooled.forward(pooled)
    }
}

fn stack(num: usize, d_input: usize, units: usize, init: &mut ParameterInit) -> Vec<Linear> {
    (0..num).map(|i| init.linear(if i == 0 { d_input } else { units }, units, OutputInit::Glorot)).collect()
}

fn dense(layers: &[Linear], x: Tensor<3>, activation: Activation) -> Tensor<3> {
    layers.iter().fold(x, |x, layer| activation.apply(layer.forward(x)))
}
