//! Stacks dense layers: the networks inside coupling layers and set modules.

use crate::{ConfigError, OutputInit, ParameterInit, Pass, pass::constant};
use bayesburn_core::settings::{at_least_one, in_range};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Layer, Operands, Stack, Weight};
use burn::{
    config::Config,
    module::{Module, Param},
    nn::Linear,
    tensor::{Tensor, activation},
};

/// What follows each hidden layer.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0): by far the fastest on a CPU.
    Relu,
    /// x · sigmoid(x).
    Silu,
    /// x · Φ(x).
    Gelu,
    /// x above 0, exp(x) − 1 below.
    Elu,
    /// tanh(x).
    Tanh,
    /// ln(1 + exp(x)).
    Softplus,
    /// x · tanh(ln(1 + exp(x))) (Misra 2019).
    Mish,
}

impl Activation {
    /// The same in a kernel, if kernels have it.
    #[cfg(feature = "flex")]
    pub(crate) fn kernel(self) -> Option<bayesburn_kernels::Activation> {
        use bayesburn_kernels::Activation as Kernel;
        match self {
            Self::Relu => Some(Kernel::Relu),
            Self::Silu => Some(Kernel::Silu),
            Self::Gelu => None,
            Self::Elu => Some(Kernel::Elu),
            Self::Tanh => Some(Kernel::Tanh),
            Self::Softplus => Some(Kernel::Softplus),
            Self::Mish => Some(Kernel::Mish),
        }
    }

    /// Applies it to each element.
    #[must_use]
    pub fn apply<const R: usize>(self, x: Tensor<R>) -> Tensor<R> {
        match self {
            Self::Relu => activation::relu(x),
            Self::Silu => activation::silu(x),
            Self::Gelu => activation::gelu(x),
            // Not `activation::elu`, whose gradient is NaN where exp(x) overflows, x > 88 in f32.
            Self::Elu => activation::relu(x.clone()) + x.clamp_max(0.0).exp().sub_scalar(1.0),
            Self::Tanh => activation::tanh(x),
            Self::Softplus => activation::softplus(x, 1.0),
            // tanh(ln(1 + e)) = e(e + 2) / (e(e + 2) + 2), which is 1 in f64 as well from x = 20 on. Half as many
            // operations as `activation::mish`.
            Self::Mish => {
                let e = x.clone().clamp_max(20.0).exp();
                let n = e.clone() * e.add_scalar(2.0);
                x * n.clone() / n.add_scalar(2.0)
            }
        }
    }
}

/// A linear map of rows by a kernel.
#[cfg(feature = "flex")]
pub(crate) fn row_map(layer: &Linear, operands: &mut Operands) -> bayesburn_kernels::Linear {
    let weight = operands.push_parameter(&layer.weight);
    let bias = layer.bias.as_ref().map(|bias| operands.push_parameter(bias));
    bayesburn_kernels::Linear { weight, bias, units: layer.weight.dims()[1] }
}

/// A linear layer of a kernel, of one input.
#[cfg(feature = "flex")]
pub(crate) fn dense_layer(layer: &Linear, operands: &mut Operands) -> Layer {
    let weight = Weight { operand: operands.push_parameter(&layer.weight), first_row: 0 };
    layer_with(vec![weight], layer, operands)
}

/// A linear layer of a kernel with these weights; the layer gives the bias.
#[cfg(feature = "flex")]
pub(crate) fn layer_with(weights: Vec<Weight>, layer: &Linear, operands: &mut Operands) -> Layer {
    let bias = layer.bias.as_ref().expect("all layers here have a bias");
    let [units] = bias.dims();
    let bias = operands.push_parameter(bias);
    Layer { weights, bias, units, activation: None, skip: false, dropout: None }
}

/// The rows of a matrix that belong to inputs of these widths, side by side.
#[cfg(feature = "flex")]
fn side_by_side(operand: usize, widths: &[usize]) -> Vec<Weight> {
    widths
        .iter()
        .scan(0, |first_row, width| {
            let weight = Weight { operand, first_row: *first_row };
            *first_row += width;
            Some(weight)
        })
        .collect()
}

/// Configuration of a [`DenseNet`].
#[derive(Config, Debug, PartialEq)]
pub struct DenseNetConfig {
    /// Width of the hidden layers, at least 1.
    #[config(default = 128)]
    pub units: usize,
    /// Number of hidden layers. With 0 the network is one linear layer.
    #[config(default = 2)]
    pub num_dense: usize,
    /// What follows each hidden layer.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// Probability in `[0, 1)` that a hidden unit is dropped in training. Fresh simulations need none; a fixed set of
    /// simulations does.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Whether units are dropped at inference too (Gal & Ghahramani 2016).
    #[config(default = false)]
    pub mc_dropout: bool,
    /// Whether each hidden layer after the first adds its input: h + activation(h W + b).
    #[config(default = false)]
    pub residual: bool,
    /// Whether a linear map of the input, zero at first, is added to the output. Hidden layers then need not imitate
    /// linear maps, which posteriors near a normal are made of.
    #[config(default = false)]
    pub shortcut: bool,
    /// Whether weights are divided by their largest singular value (Miyato et al. 2018), estimated by 20 power
    /// iterations, where it is above 1.
    #[config(default = false)]
    pub spectral_norm: bool,
}

impl DenseNetConfig {
    /// Whether units are dropped in training and not at inference.
    #[must_use]
    pub fn has_dropout(&self) -> bool {
        self.dropout > 0.0 && !self.mc_dropout
    }

    /// A network from `d_input` to `d_output`.
    ///
    /// # Errors
    /// Zero units, or dropout outside `[0, 1)`.
    pub fn init(
        &self,
        d_input: usize,
        d_output: usize,
        output: OutputInit,
        init: &mut ParameterInit,
    ) -> Result<DenseNet, ConfigError> {
        at_least_one("units", self.units)?;
        in_range((0.0..1.0).contains(&self.dropout), "dropout", "in [0, 1)", self.dropout)?;
        let hidden: Vec<Linear> = init.layers(self.num_dense, |i, init| {
            init.linear(if i == 0 { d_input } else { self.units }, self.units, OutputInit::Glorot)
        });
        let d_last = if self.num_dense == 0 { d_input } else { self.units };
        Ok(DenseNet {
            hidden,
            output: init.linear(d_last, d_output, output),
            shortcut: self.shortcut.then(|| init.constant([d_input, d_output], 0.0)),
            config: self.clone(),
        })
    }
}

/// Hidden dense layers and a linear one.
#[derive(Module, Debug)]
pub struct DenseNet {
    hidden: Vec<Linear>,
    output: Linear,
    shortcut: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: DenseNetConfig,
}

impl DenseNet {
    /// `[B, d_input]` to `[B, d_output]`.
    ///
    /// # Panics
    /// If the last axis is not `d_input`.
    pub fn forward(&self, input: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let mut h = input.clone();
        for (i, layer) in self.hidden.iter().enumerate() {
            let mut out = self.config.activation.apply(self.linear(layer, h.clone()));
            if self.config.dropout > 0.0 && (pass.is_training() || self.config.mc_dropout) {
                out = out.clone() * pass.dropout_mask(self.config.dropout, &out);
            }
            h = if self.config.residual && i > 0 { h + out } else { out };
        }
        let out = self.linear(&self.output, h);
        match &self.shortcut {
            Some(weight) => out + input.matmul(self.normalised(weight.val())),
            None => out,
        }
    }

    /// The same as a part of a kernel; the input is what has these widths, side by side. `None` if kernels cannot do
    /// what this network does.
    #[cfg(feature = "flex")]
    pub(crate) fn stack(&self, widths: &[usize], pass: &Pass, operands: &mut Operands) -> Option<Stack> {
        let drops = pass.drops(self.config.dropout);
        let drops_at_inference = self.config.dropout > 0.0 && self.config.mc_dropout && !pass.is_training();
        if drops_at_inference || self.config.spectral_norm {
            return None;
        }
        let activation = self.config.activation.kernel()?;
        let layers = self.hidden.iter().chain([&self.output]).enumerate().map(|(i, linear)| {
            let layer = match i {
                0 => layer_with(side_by_side(operands.push_parameter(&linear.weight), widths), linear, operands),
                _ => dense_layer(linear, operands),
            };
            if i == self.hidden.len() {
                return layer;
            }
            let dropout = drops.then(|| operands.push_dropped(self.config.dropout, layer.units));
            Layer { activation: Some(activation), skip: self.config.residual && i > 0, dropout, ..layer }
        });
        let layers = layers.collect();
        let shortcut = self.shortcut.as_ref().map(|weight| side_by_side(operands.push_parameter(weight), widths));
        Some(Stack { layers, shortcut: shortcut.unwrap_or_default() })
    }

    fn linear(&self, layer: &Linear, x: Tensor<2>) -> Tensor<2> {
        let weight = self.normalised(layer.weight.val());
        burn::tensor::module::linear(x, weight, layer.bias.as_ref().map(|b| b.val()))
    }

    /// The weight as it is or, with spectral normalisation, with singular values at most 1, up to the estimate's error.
    fn normalised(&self, weight: Tensor<2>) -> Tensor<2> {
        if !self.config.spectral_norm {
            return weight;
        }
        let sigma = largest_singular_value(weight.clone());
        // Miyato et al. divide by values below 1 too; a zero-initialised output layer would have no gradient to begin
        // with.
        weight / sigma.clamp_min(1.0).unsqueeze()
    }
}

/// `[1]`: the largest singular value of W, as uᵀWv with u and v from 20 power iterations that gradients do not enter.
/// The estimate is never too large; on Glorot-initialised 128 × 128 weights it was within 2.5% for nine in ten of 150
/// seeds, and within 7% for all.
fn largest_singular_value(weight: Tensor<2>) -> Tensor<1> {
    let [rows, columns] = weight.dims();
    let normalise = |x: Tensor<2>| {
        let norm = x.clone().square().sum().sqrt().clamp_min(1e-12);
        x / norm.unsqueeze()
    };
    let w = weight.clone().without_autodiff();
    // A fixed start that is orthogonal to a singular vector only by chance: cosines of i² have no simple structure.
    let start: Vec<f32> = (0..columns).map(|i| ((i * i) as f32 + 1.0).cos()).collect();
    let mut v = normalise(constant(start, [columns, 1], &w));
    let mut u = Tensor::zeros([rows, 1], &w.device());
    for _ in 0..20 {
        u = normalise(w.clone().matmul(v));
        v = normalise(w.clone().transpose().matmul(u.clone()));
    }
    (u.transpose().matmul(weight).matmul(v)).reshape([1])
}
