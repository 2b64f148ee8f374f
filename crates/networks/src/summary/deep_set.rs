//! Summarises sets: the order of the observations does not matter, and their number may vary.

use super::{Pooling, features};
#[cfg(feature = "flex")]
use crate::dense::{dense_layer, layer_with};
use crate::layers::{AttentionArchitecture, AttentionPooling, BlockConfig, KeyMask};
use crate::{Activation, ConfigError, DataTensor, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
use bayesburn_core::DataShape;
use bayesburn_core::settings::{at_least_one, in_range};
#[cfg(feature = "flex")]
use bayesburn_kernels::{
    Layer, Operands, Part, Pool, SetModule, SetNetwork, Stack, Summary, Weight, has_kernels, runs_on,
};
use burn::{
    config::Config,
    module::{Module, Param},
    nn::Linear,
    tensor::Tensor,
};

/// How the modules of a [`DeepSet`] are wired.
#[derive(Config, Debug, PartialEq)]
pub enum DeepSetArchitecture {
    /// Residual set network: a linear embedding; modules h + W₂ act(W₁ h + W_g pool(h)); pooling; g + act(W g). On the
    /// quickstart model it is past the plain wiring's plateaus (3.7, 1.8 and −0.2) after 300 steps, not some thousands.
    Residual,
    /// The wiring of BayesFlow v1, without skip connections.
    Plain(PlainDeepSetConfig),
}

/// The three stages of the plain modules, each with settings of its own, as in BayesFlow v1.
#[derive(Config, Debug, PartialEq)]
pub struct PlainDeepSetConfig {
    /// Before pooling, on each observation; may have no layer.
    #[config(default = "DenseStageConfig::new()")]
    pub s1: DenseStageConfig,
    /// After pooling, on each set; may have no layer.
    #[config(default = "DenseStageConfig::new()")]
    pub s2: DenseStageConfig,
    /// On each observation beside the pooled set; has at least one layer.
    #[config(default = "DenseStageConfig::new()")]
    pub s3: DenseStageConfig,
}

/// Dense layers of one stage.
#[derive(Config, Debug, PartialEq)]
pub struct DenseStageConfig {
    /// Number of layers.
    #[config(default = 2)]
    pub num_dense: usize,
    /// Their width, at least 1.
    #[config(default = 64)]
    pub units: usize,
    /// What follows each of them.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
}

/// Configuration of a [`DeepSet`].
#[derive(Config, Debug, PartialEq)]
pub struct DeepSetConfig {
    /// S, the length of a summary, at least 1. Not fewer than the model has parameters, as a rule.
    pub summary_dim: usize,
    /// Width of the hidden layers of the residual wiring, at least 1; the plain one has widths of its own.
    #[config(default = 64)]
    pub units: usize,
    /// Number of equivariant modules before the invariant one; may be 0.
    #[config(default = 2)]
    pub num_equiv: usize,
    /// What follows each hidden layer of the residual wiring.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// How observations are pooled.
    #[config(default = "Pooling::Mean")]
    pub pooling: Pooling,
    /// How the modules are wired.
    #[config(default = "DeepSetArchitecture::Residual")]
    pub architecture: DeepSetArchitecture,
    /// Probability in `[0, 1)` that a hidden unit is dropped in training, in either wiring: after each activation, each
    /// unit of each observation by itself. Fresh simulations need none; a fixed set of simulations does.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl DeepSetConfig {
    /// The network of BayesFlow v1, layer for layer.
    #[must_use]
    pub fn bayesflow_v1(summary_dim: usize) -> Self {
        Self::new(summary_dim).with_architecture(DeepSetArchitecture::Plain(PlainDeepSetConfig::new()))
    }

    /// The last pooling of a set of vectors of this width, to one of the same width.
    fn attention(&self, width: usize, init: &mut ParameterInit) -> Result<AttentionPooling, ConfigError> {
        let num_heads = 4;
        let holds = width.is_multiple_of(num_heads);
        let expected = format!("a multiple of {num_heads}, the heads of the pooling by attention");
        in_range(holds, "the width before the last pooling", expected, width)?;
        let block = BlockConfig { architecture: AttentionArchitecture::PreNorm, num_heads, dropout: self.dropout };
        AttentionPooling::new(&block, 1, width, width, init)
    }
}

impl SummaryConfig for DeepSetConfig {
    const NAME: &'static str = "deep set";

    type Network = DeepSet;

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<DeepSet, ConfigError> {
        let features = features(Self::NAME, shape, false)?;
        at_least_one("summary_dim", self.summary_dim)?;
        at_least_one("units", self.units)?;
        at_least_one("features", features)?;
        in_range((0.0..1.0).contains(&self.dropout), "dropout", "in [0, 1)", self.dropout)?;
        let stage = |num_dense| DenseStageConfig { num_dense, units: self.units, activation: self.activation };
        let (embedding, equivariant_stages, invariant_stages, mut width) = match &self.architecture {
            DeepSetArchitecture::Residual => {
                let embedding = init.linear(features, self.units, OutputInit::Glorot);
                (Some(embedding), [stage(0), stage(0), stage(1)], [stage(0), stage(1)], self.units)
            }
            DeepSetArchitecture::Plain(PlainDeepSetConfig { s1, s2, s3 }) => {
                at_least_one("s3.num_dense", s3.num_dense)?;
                at_least_one("s1.units", s1.units)?;
                at_least_one("s2.units", s2.units)?;
                at_least_one("s3.units", s3.units)?;
                (None, [s1.clone(), s2.clone(), s3.clone()], [s1.clone(), s2.clone()], features)
            }
        };
        let equivariant = init.layers(self.num_equiv, |_, init| {
            let module = EquivariantModule::new(width, &equivariant_stages, self.dropout, embedding.is_some(), init);
            width = module.width();
            module
        });
        let s1 = DenseStage::new(&invariant_stages[0], self.dropout, width, init);
        let attention = match self.pooling {
            Pooling::Attention => Some(self.attention(s1.width, init)?),
            Pooling::Mean | Pooling::Max | Pooling::Sum => None,
        };
        let s2 = DenseStage::new(&invariant_stages[1], self.dropout, s1.width, init);
        width = s2.width;
        let output = init.linear(width, self.summary_dim, OutputInit::Glorot);
        Ok(DeepSet { embedding, equivariant, s1, attention, s2, output, config: self.clone(), features })
    }
}

/// A permutation-invariant summary network (Zaheer et al. 2017): equivariant modules, each of which lets every
/// observation see the pooled set (Bloem-Reddy & Teh 2020), then an invariant module and a linear layer.
///
/// ```
/// use bayesburn_core::DataShape;
/// use bayesburn_networks::{DeepSetConfig, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::default();
/// let network = DeepSetConfig::new(10).init(&DataShape::of_sets(4), &mut ParameterInit::new(2023, &device))?;
/// let summaries = network.forward(&Tensor::<3>::ones([3, 50, 4], &device).into(), &mut Pass::inference(0));
/// assert_eq!(summaries.dims(), [3, 10]);
/// # Ok::<(), bayesburn_networks::ConfigError>(())
/// ```
#[derive(Module, Debug)]
pub struct DeepSet {
    embedding: Option<Linear>,
    equivariant: Vec<EquivariantModule>,
    s1: DenseStage,
    /// The last pooling, if it is by attention.
    attention: Option<AttentionPooling>,
    s2: DenseStage,
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

/// A linear layer as the only one of a stack.
#[cfg(feature = "flex")]
fn linear(layer: &Linear, operands: &mut Operands) -> Stack {
    Stack { layers: vec![dense_layer(layer, operands)], shortcut: Vec::new() }
}

impl SummaryNetwork for DeepSet {
    fn summary_dim(&self) -> usize {
        self.config.summary_dim
    }

    #[cfg(feature = "flex")]
    fn fast_path(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Summary>> {
        has_kernels(like).then(|| self.as_operation(pass))?
    }

    fn forward(&self, data: &DataTensor, pass: &mut Pass) -> Tensor<2> {
        let (data, mask) = data.only().sets();
        let [_, _, features] = data.dims();
        assert_eq!(features, self.features, "data of {features} features for a network of {}", self.features);
        #[cfg(feature = "flex")]
        if runs_on(&data)
            && let Some(part) = self.as_operation(pass)
            && let Some(summaries) = part.run(data.clone(), mask.clone().map(|mask| mask.squeeze_dim(2)))
        {
            return summaries;
        }
        let pooling = self.config.pooling;
        let mut h = match &self.embedding {
            Some(embedding) => embedding.forward(data),
            None => data,
        };
        for module in &self.equivariant {
            h = module.forward(h, (pooling, mask.as_ref()), pass);
        }
        let h = self.s1.forward(h, pass);
        let [rows, _, width] = h.dims();
        let mut g = match &self.attention {
            Some(attention) => attention.forward(h, mask.as_ref().map(KeyMask::new).as_ref(), pass),
            None => pooling.apply(h, mask.as_ref()).reshape([rows, width]),
        };
        for layer in &self.s2.layers {
            let out = self.s2.activate(layer.forward(g.clone()), pass);
            g = if self.is_residual() { g + out } else { out };
        }
        self.output.forward(g)
    }
}

#[cfg(feature = "flex")]
impl DeepSet {
    /// The network as an operation, if kernels can do what it does.
    fn as_operation(&self, pass: &Pass) -> Option<Part<Summary>> {
        let drops = self.config.dropout > 0.0 && pass.is_training();
        if drops || !pass.uses_kernels() {
            return None;
        }
        let pool = match self.config.pooling {
            Pooling::Mean => Pool::Mean,
            Pooling::Max => Pool::Max,
            Pooling::Sum | Pooling::Attention => return None,
        };
        let mut operands = Operands::default();
        let embedding = self.embedding.as_ref().map(|layer| linear(layer, &mut operands));
        let modules = self.equivariant.iter().map(|module| module.kernel(&mut operands)).collect::<Option<Vec<_>>>()?;
        let before = self.s1.stack(&mut operands)?;
        let mut layers = self.s2.layers(self.is_residual(), &mut operands)?;
        layers.push(dense_layer(&self.output, &mut operands));
        let after = Stack { layers, shortcut: Vec::new() };
        let network = SetNetwork { features: self.features, embedding, modules, before, after, pool };
        Some(Part { operation: Summary::new(network), operands })
    }
}

/// Lets every observation see the pooled set.
///
/// x ← s₃([x, s₂(pool(s₁(x)))]), or, with a projection W₂, x ← x + W₂ s₃([x, s₂(pool(s₁(x)))]).
#[derive(Module, Debug)]
struct EquivariantModule {
    s1: DenseStage,
    s2: DenseStage,
    joint: JointLinear,
    /// The layers of s₃ after the first, which is `joint`.
    s3: DenseStage,
    projection: Option<Linear>,
}

impl EquivariantModule {
    fn new(
        width: usize,
        [s1, s2, s3]: &[DenseStageConfig; 3],
        dropout: f64,
        residual: bool,
        init: &mut ParameterInit,
    ) -> Self {
        let s1 = DenseStage::new(s1, dropout, width, init);
        let s2 = DenseStage::new(s2, dropout, s1.width, init);
        let joint = JointLinear::new(width, s2.width, s3.units, init);
        let rest = DenseStageConfig { num_dense: s3.num_dense - 1, ..s3.clone() };
        let projection = residual.then(|| init.linear(s3.units, width, OutputInit::Glorot));
        Self { s1, s2, joint, s3: DenseStage::new(&rest, dropout, s3.units, init), projection }
    }

    /// The same as a part of a kernel.
    #[cfg(feature = "flex")]
    fn kernel(&self, operands: &mut Operands) -> Option<SetModule> {
        let before = self.s1.stack(operands)?;
        let after = self.s2.stack(operands)?;
        let mut layers = vec![Layer { activation: Some(self.s3.activation.kernel()?), ..self.joint.layer(operands) }];
        layers.extend(self.s3.layers(false, operands)?);
        layers.extend(self.projection.as_ref().map(|projection| dense_layer(projection, operands)));
        let joint = Stack { layers, shortcut: Vec::new() };
        Some(SetModule { before, after, joint, skip: self.projection.is_some() })
    }

    /// The width of what comes out. A projection leads back to the width of what goes in, which is that of s₃ too.
    fn width(&self) -> usize {
        self.s3.width
    }

    fn forward(&self, x: Tensor<3>, (pooling, mask): (Pooling, Option<&Tensor<3>>), pass: &mut Pass) -> Tensor<3> {
        let pooled = self.s2.forward(pooling.apply(self.s1.forward(x.clone(), pass), mask), pass);
        let joint = self.s3.activate(self.joint.forward(x.clone(), pooled), pass);
        let out = self.s3.forward(joint, pass);
        match &self.projection {
            Some(projection) => x + projection.forward(out),
            None => out,
        }
    }
}

/// Dense layers, each followed by the activation and, in training, by dropout.
#[derive(Module, Debug)]
struct DenseStage {
    layers: Vec<Linear>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    dropout: f64,
    /// Of what comes out.
    #[module(skip)]
    width: usize,
}

impl DenseStage {
    fn new(config: &DenseStageConfig, dropout: f64, d_input: usize, init: &mut ParameterInit) -> Self {
        let mut width = d_input;
        let layers = init.layers(config.num_dense, |_, init| {
            let layer = init.linear(width, config.units, OutputInit::Glorot);
            width = config.units;
            layer
        });
        Self { layers, activation: config.activation, dropout, width }
    }

    /// The same, without dropout, as layers of a kernel; `None` if kernels lack the activation.
    #[cfg(feature = "flex")]
    fn layers(&self, skip: bool, operands: &mut Operands) -> Option<Vec<Layer>> {
        let activation = Some(self.activation.kernel()?);
        let layer = |layer| Layer { activation, skip, ..dense_layer(layer, operands) };
        Some(self.layers.iter().map(layer).collect())
    }

    /// As [`DenseStage::layers`]; inside, `None` if there is no layer.
    #[cfg(feature = "flex")]
    fn stack(&self, operands: &mut Operands) -> Option<Option<Stack>> {
        let layers = self.layers(false, operands)?;
        Some((!layers.is_empty()).then_some(Stack { layers, shortcut: Vec::new() }))
    }

    fn forward(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        self.layers.iter().fold(x, |x, layer| self.activate(layer.forward(x), pass))
    }

    /// What follows a layer.
    fn activate<const R: usize>(&self, x: Tensor<R>, pass: &mut Pass) -> Tensor<R> {
        let out = self.activation.apply(x);
        if self.dropout > 0.0 && pass.is_training() { out.clone() * pass.dropout_mask(self.dropout, &out) } else { out }
    }
}

/// A dense layer on an observation beside its pooled set: x W_x + (e W_e + b), which is one layer on both side by side,
/// but multiplies the set's half once for each set and not N times.
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

    /// The same as a layer of a kernel.
    #[cfg(feature = "flex")]
    fn layer(&self, operands: &mut Operands) -> Layer {
        let weights = [&self.element, &self.pooled.weight]
            .map(|weight| Weight { operand: operands.push_parameter(weight), first_row: 0 });
        layer_with(weights.to_vec(), &self.pooled, operands)
    }

    fn forward(&self, x: Tensor<3>, pooled: Tensor<3>) -> Tensor<3> {
        burn::tensor::module::linear(x, self.element.val(), None) + self.pooled.forward(pooled)
    }
}
