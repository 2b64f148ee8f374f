//! Maps each row by itself, behind an attention or before a pooling.

#[cfg(feature = "flex")]
use crate::dense::row_map;
use crate::{ConfigError, DenseNet, DenseNetConfig, OutputInit, ParameterInit, Pass};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Gated, Operands, RowLayer};
use burn::{
    module::Module,
    nn::Linear,
    tensor::{Tensor, activation::silu},
};

/// A network of each row.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a module holds its fields by value")]
pub(crate) enum FeedForward {
    /// As in BayesFlow 2.
    Gated(GatedFeedForward),
    /// Dense layers, as in BayesFlow v1.
    Dense(DenseNet),
}

impl FeedForward {
    /// As [`GatedFeedForward`].
    pub(crate) fn gated(d_input: usize, d_output: usize, dropout: f64, init: &mut ParameterInit) -> Self {
        Self::Gated(GatedFeedForward::new(d_input, d_output, dropout, init))
    }

    /// Two hidden layers of relu units, and a linear layer.
    pub(crate) fn dense(
        d_input: usize,
        d_output: usize,
        units: usize,
        dropout: f64,
        init: &mut ParameterInit,
    ) -> Result<Self, ConfigError> {
        let config = DenseNetConfig::new().with_units(units).with_dropout(dropout);
        Ok(Self::Dense(config.init(d_input, d_output, OutputInit::Glorot, init)?))
    }

    /// The same as a layer of a kernel. `None` if the pass drops units.
    #[cfg(feature = "flex")]
    pub(crate) fn layer(&self, d_input: usize, pass: &Pass, operands: &mut Operands) -> Option<RowLayer> {
        match self {
            Self::Gated(net) => net.layer(pass, operands).map(RowLayer::Gated),
            Self::Dense(net) => {
                let stack = net.stack(&[d_input], pass, operands)?;
                stack.layers.iter().all(|layer| layer.dropout.is_none()).then_some(RowLayer::Dense(stack))
            }
        }
    }

    /// `[B, N, d_input]` to `[B, N, d_output]`.
    pub(crate) fn forward(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        match self {
            Self::Gated(net) => net.forward(x, pass),
            Self::Dense(net) => {
                let [sets, rows, _] = x.dims();
                let out = net.forward(x.flatten(0, 1), pass);
                let [_, width] = out.dims();
                out.reshape([sets, rows, width])
            }
        }
    }
}

/// (silu(x W_gate) ⊙ x W_up) W_down (Shazeer 2020, eq. 6), without biases.
#[derive(Module, Debug)]
pub(crate) struct GatedFeedForward {
    gate: Linear,
    up: Linear,
    down: Linear,
    #[module(skip)]
    dropout: f64,
}

impl GatedFeedForward {
    /// Of 8/3 as many hidden units as the output has, rounded up to a multiple of 64: as many weights as two layers
    /// with 4 times the width, and 192 units for a width of 64.
    fn new(d_input: usize, d_output: usize, dropout: f64, init: &mut ParameterInit) -> Self {
        let units = (d_output.saturating_mul(8) / 3).next_multiple_of(64);
        let mut linear = |d_input, d_output| init.linear_with(false, d_input, d_output);
        Self { gate: linear(d_input, units), up: linear(d_input, units), down: linear(units, d_output), dropout }
    }

    #[cfg(feature = "flex")]
    fn layer(&self, pass: &Pass, operands: &mut Operands) -> Option<Gated> {
        let [gate, up, down] = [&self.gate, &self.up, &self.down].map(|map| row_map(map, operands));
        let drops = pass.drops(self.dropout);
        (!drops).then_some(Gated { gate, up, down, activation: bayesburn_kernels::Activation::Silu })
    }

    fn forward(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        let mut hidden = silu(self.gate.forward(x.clone())) * self.up.forward(x);
        if self.dropout > 0.0 && pass.is_training() {
            hidden = hidden.clone() * pass.dropout_mask(self.dropout, &hidden);
        }
        self.down.forward(hidden)
    }
}
