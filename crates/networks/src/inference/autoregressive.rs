//! Chains masked autoregressive layers into a normalizing flow.

use crate::{
    Activation, Bijection, ConfigError, OutputInit, ParameterInit, Pass, Permutation, PermutationConfig,
    inference::{
        chain::{self, Link},
        check_condition, repeated, sum_dimensions,
    },
    pass::constant,
};
use bayesburn_core::settings::{at_least_one, in_range};
use burn::{
    config::Config,
    module::{Module, Param},
    nn::Linear,
    tensor::Tensor,
};
use std::f64::consts::PI;

/// What a flow without a condition panics with.
const CONDITION: &str = "an autoregressive flow is made for a condition";

/// Configuration of an [`AutoregressiveFlow`].
#[derive(Config, Debug, PartialEq)]
pub struct AutoregressiveFlowConfig {
    /// Number of layers, at least 1.
    #[config(default = 5)]
    pub num_layers: usize,
    /// Width of each layer's hidden layers, at least the number of targets.
    #[config(default = 50)]
    pub units: usize,
    /// Number of hidden layers of each layer, at least 1.
    #[config(default = 2)]
    pub num_dense: usize,
    /// What follows each hidden layer.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// Probability in `[0, 1)` that a hidden unit is dropped in training.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// How dimensions are mixed before each layer.
    #[config(default = "PermutationConfig::Fixed")]
    pub permutation: PermutationConfig,
    /// Bound c > 0 of a layer's log-scale, as in [`AffineConfig`](crate::AffineConfig).
    #[config(default = 3.0)]
    pub soft_clamping: f64,
}

impl AutoregressiveFlowConfig {
    /// A flow over `dim` targets given `condition_dim` numbers.
    ///
    /// # Errors
    /// A setting outside its range; nothing to condition on.
    pub fn init(
        &self,
        dim: usize,
        condition_dim: usize,
        init: &mut ParameterInit,
    ) -> Result<AutoregressiveFlow, ConfigError> {
        at_least_one("num_layers", self.num_layers)?;
        at_least_one("num_dense", self.num_dense)?;
        at_least_one("dim", dim)?;
        // With fewer, some target would not reach those after it.
        in_range(self.units >= dim, "units", "at least the number of targets", self.units as f64)?;
        in_range((0.0..1.0).contains(&self.dropout), "dropout", "in [0, 1)", self.dropout)?;
        let clamped = self.soft_clamping > 0.0 && self.soft_clamping.is_finite();
        in_range(clamped, "soft_clamping", "above 0", self.soft_clamping)?;
        if condition_dim == 0 {
            return Err(ConfigError::NothingToConditionOn);
        }
        let layers = init.layers(self.num_layers, |_, init| AutoregressiveLayer {
            permutation: self.permutation.init(dim, init),
            net: MaskedNet::new(self, dim, condition_dim, init),
            soft_clamping: self.soft_clamping,
        });
        Ok(AutoregressiveFlow { layers, dim, condition_dim })
    }
}

/// A masked autoregressive flow (Papamakarios et al. 2017), conditional: z_i = x_i · exp(s_i) + t_i, where s_i and t_i
/// are functions of x_1 … x_{i−1} and the condition, layer after layer.
///
/// All of them come from one pass of a masked network (Germain et al. 2015), so that evaluating takes one pass; drawing
/// takes one for each dimension.
#[derive(Module, Debug)]
pub struct AutoregressiveFlow {
    layers: Vec<AutoregressiveLayer>,
    #[module(skip)]
    dim: usize,
    #[module(skip)]
    condition_dim: usize,
}

/// Permutation and affine autoregressive transform.
#[derive(Module, Debug)]
struct AutoregressiveLayer {
    permutation: Option<Permutation>,
    net: MaskedNet,
    #[module(skip)]
    soft_clamping: f64,
}

/// A dense network with weights masked so that output i depends on inputs 1 … i − 1 alone, and all on the condition.
#[derive(Module, Debug)]
struct MaskedNet {
    /// Of the targets, into the first hidden layer and to the outputs, which a linear posterior needs no hidden layer
    /// for. A single target depends on the condition alone.
    targets: Option<TargetWeights>,
    /// Of the condition, into the first hidden layer.
    condition: Linear,
    hidden: Vec<Linear>,
    output: Linear,
    /// Of the condition, to the outputs.
    shortcut: Param<Tensor<2>>,
    #[module(skip)]
    masks: Masks,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    dropout: f64,
}

#[derive(Module, Debug)]
struct TargetWeights {
    input: Param<Tensor<2>>,
    shortcut: Param<Tensor<2>>,
}

/// 1 where a weight stays, 0 where it is masked.
#[derive(Debug, Clone)]
struct Masks {
    input: Vec<f32>,
    hidden: Vec<f32>,
    output: Vec<f32>,
    shortcut: Vec<f32>,
}

impl MaskedNet {
    fn new(config: &AutoregressiveFlowConfig, dim: usize, condition_dim: usize, init: &mut ParameterInit) -> Self {
        let units = config.units;
        let targets = (dim > 1).then(|| TargetWeights {
            input: init.glorot_uniform([dim, units], dim + condition_dim, units),
            shortcut: init.constant([dim, 2 * dim], 0.0),
        });
        let condition = init.linear(condition_dim, units, OutputInit::Glorot);
        let between = config.num_dense.saturating_sub(1);
        let hidden = init.layers(between, |_, init| init.linear(units, units, OutputInit::Glorot));
        let output = init.linear(units, 2 * dim, OutputInit::Zeros);
        let shortcut = init.constant([condition_dim, 2 * dim], 0.0);
        // Hidden unit u sees the first u mod D targets; those that see none depend on the condition alone.
        let mask = |rows: usize, columns: usize, stays: &dyn Fn(usize, usize) -> bool| -> Vec<f32> {
            (0..rows * columns).map(|i| if stays(i / columns, i % columns) { 1.0 } else { 0.0 }).collect()
        };
        let masks = Masks {
            input: mask(dim, units, &|i, u| i < u % dim),
            hidden: if between > 0 { mask(units, units, &|from, to| from % dim <= to % dim) } else { Vec::new() },
            // Scales and translations: output i and output D + i.
            output: mask(units, 2 * dim, &|u, i| u % dim <= i % dim),
            shortcut: mask(dim, 2 * dim, &|from, i| from < i % dim),
        };
        let (activation, dropout) = (config.activation, config.dropout);
        Self { targets, condition, hidden, output, shortcut, masks, activation, dropout }
    }

    /// What depends on the condition alone: into the first hidden layer, and to the outputs.
    fn given(&self, condition: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let to_outputs = condition.clone().matmul(self.shortcut.val());
        (self.condition.forward(condition), to_outputs)
    }

    /// `[B, D]` to `[B, 2 D]`.
    fn forward(&self, x: Tensor<2>, (given, to_outputs): (Tensor<2>, Tensor<2>), pass: &mut Pass) -> Tensor<2> {
        let masked = |weight: Tensor<2>, mask: &[f32]| {
            let mask = constant(mask.to_vec(), weight.dims(), &weight);
            weight * mask
        };
        let mut drop = |h: Tensor<2>| match self.dropout > 0.0 && pass.is_training() {
            true => h.clone() * pass.dropout_mask(self.dropout, &h),
            false => h,
        };
        let from_targets = self.targets.as_ref().map(|weights| {
            let hidden = x.clone().matmul(masked(weights.input.val(), &self.masks.input));
            (hidden, x.matmul(masked(weights.shortcut.val(), &self.masks.shortcut)))
        });
        let (first, beside) = match from_targets {
            Some((hidden, outputs)) => (hidden + given, outputs + to_outputs),
            None => (given, to_outputs),
        };
        let mut h = drop(self.activation.apply(first));
        for layer in &self.hidden {
            let weight = masked(layer.weight.val(), &self.masks.hidden);
            let bias = layer.bias.as_ref().map(|bias| bias.val());
            h = drop(self.activation.apply(burn::tensor::module::linear(h, weight, bias)));
        }
        let weight = masked(self.output.weight.val(), &self.masks.output);
        burn::tensor::module::linear(h, weight, self.output.bias.as_ref().map(|bias| bias.val())) + beside
    }
}

impl AutoregressiveLayer {
    /// s and t, `[B, D]` each.
    fn scale_and_translation(
        &self,
        x: Tensor<2>,
        given: (Tensor<2>, Tensor<2>),
        pass: &mut Pass,
    ) -> (Tensor<2>, Tensor<2>) {
        let [_, dim] = x.dims();
        let both = self.net.forward(x, given, pass);
        let c = self.soft_clamping;
        let scale = both.clone().narrow(1, 0, dim).div_scalar(c).atan().mul_scalar(2.0 * c / PI);
        (scale, both.narrow(1, dim, dim))
    }
}

/// The affine transform of a layer, without its permutation.
impl Link for AutoregressiveLayer {
    fn forward(&self, x: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        let given = self.net.given(condition.expect(CONDITION));
        let (scale, translation) = self.scale_and_translation(x.clone(), given, pass);
        (x * scale.clone().exp() + translation, sum_dimensions(scale))
    }

    /// Dimension by dimension: those that are not known yet are masked.
    fn inverse(&self, z: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Tensor<2> {
        let given = self.net.given(condition.expect(CONDITION));
        let [rows, dim] = z.dims();
        let mut x = Tensor::zeros_like(&z);
        for i in 0..dim {
            let (scale, translation) = self.scale_and_translation(x.clone(), given.clone(), pass);
            let this = (z.clone() - translation) * scale.neg().exp();
            x = x.slice_assign([0..rows, i..i + 1], this.narrow(1, i, 1));
        }
        x
    }
}

impl AutoregressiveFlow {
    /// Each layer's permutation and transform.
    fn links(&self) -> impl DoubleEndedIterator<Item = &dyn Link> {
        self.layers.iter().flat_map(|layer| {
            let permutation = layer.permutation.as_ref().map(|permutation| permutation as &dyn Link);
            permutation.into_iter().chain([layer as &dyn Link])
        })
    }

    /// A row of the condition for each row of targets or latents.
    fn condition(&self, x: &Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
        let [rows, dim] = x.dims();
        assert_eq!(dim, self.dim, "targets or latents of {dim} dimensions for a flow of {}", self.dim);
        let condition = condition.expect(CONDITION);
        check_condition(condition.dims(), self.condition_dim, rows);
        repeated(condition, rows)
    }
}

impl Bijection for AutoregressiveFlow {
    fn forward(&self, targets: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        let condition = self.condition(&targets, condition);
        chain::forward(self.links(), targets, Some(condition), pass)
    }

    fn inverse(&self, latents: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Tensor<2> {
        let condition = self.condition(&latents, condition);
        chain::inverse(self.links(), latents, Some(condition), pass)
    }
}
