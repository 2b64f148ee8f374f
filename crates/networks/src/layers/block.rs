//! Joins attention, normalisation and a network of each row: the blocks of transformers.

use super::{FeedForward, KeyMask, LayerNorm, MultiHeadAttention, RmsNorm, attention::AttentionConfig};
#[cfg(feature = "flex")]
use crate::dense::row_map;
use crate::{ConfigError, ParameterInit, Pass};
use bayesburn_core::settings::{at_least_one, in_range};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Operands, Queries, RowLayer};
use burn::{
    config::Config,
    module::{Module, Param},
    nn::Linear,
    tensor::Tensor,
};

/// How attention blocks are wired.
#[derive(Config, Debug, PartialEq)]
pub enum AttentionArchitecture {
    /// Normalised before each part, so that the sum of residuals is never rescaled (Xiong et al. 2020): the wiring of
    /// BayesFlow 2, without biases.
    PreNorm,
    /// The wiring of BayesFlow v1 and of Lee et al. 2019, at the width of the data.
    PostNorm(PostNormConfig),
}

/// The widths of blocks that are wired as in BayesFlow v1.
#[derive(Config, Debug, PartialEq)]
pub struct PostNormConfig {
    /// Width of the queries, keys and values of one head, at least 1.
    #[config(default = 32)]
    pub key_width: usize,
    /// Width of the two hidden layers behind each attention, at least 1.
    #[config(default = 64)]
    pub units: usize,
    /// Whether each sum of residuals is normalised over its features. Not for data or summaries of one number, which
    /// would become 0.
    #[config(default = false)]
    pub layer_norm: bool,
}

/// What blocks are made from.
#[derive(Debug, Clone)]
pub(crate) struct BlockConfig {
    pub(crate) architecture: AttentionArchitecture,
    pub(crate) num_heads: usize,
    /// In training, of attention weights and of hidden units.
    pub(crate) dropout: f64,
}

impl BlockConfig {
    /// Checks the settings of blocks of this width.
    pub(crate) fn check(&self, width: usize) -> Result<(), ConfigError> {
        at_least_one("num_heads", self.num_heads)?;
        at_least_one("width", width)?;
        in_range((0.0..1.0).contains(&self.dropout), "dropout", "in [0, 1)", self.dropout)?;
        match &self.architecture {
            AttentionArchitecture::PreNorm => {
                let multiple = format!("a multiple of `num_heads`, {}", self.num_heads);
                in_range(width.is_multiple_of(self.num_heads), "width", multiple, width)?;
            }
            AttentionArchitecture::PostNorm(PostNormConfig { key_width, units, layer_norm }) => {
                at_least_one("architecture.key_width", *key_width)?;
                at_least_one("architecture.units", *units)?;
                let expected = "false for data or summaries of one number, which it would make 0";
                in_range(width > 1 || !layer_norm, "architecture.layer_norm", expected, layer_norm)?;
            }
        }
        Ok(())
    }

    fn feed_forward(
        &self,
        d_input: usize,
        d_output: usize,
        init: &mut ParameterInit,
    ) -> Result<FeedForward, ConfigError> {
        match &self.architecture {
            AttentionArchitecture::PreNorm => Ok(FeedForward::gated(d_input, d_output, self.dropout, init)),
            AttentionArchitecture::PostNorm(config) => {
                FeedForward::dense(d_input, d_output, config.units, self.dropout, init)
            }
        }
    }
}

/// MAB(x, y) of Lee et al. 2019: the rows of x attend to those of y, then each passes through a network.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a module holds its fields by value")]
pub(crate) enum AttentionBlock {
    PreNorm(PreNormBlock),
    PostNorm(PostNormBlock),
}

/// x ← x W; x ← x + Attention(RMS(x), RMS(y)); x ← x + FFN(RMS(x)).
#[derive(Module, Debug)]
pub(crate) struct PreNormBlock {
    projection: Linear,
    query_norm: RmsNorm,
    key_norm: RmsNorm,
    attention: MultiHeadAttention,
    norm: RmsNorm,
    feed_forward: FeedForward,
}

/// h ← LN(x + Attention(x, y)); h ← LN(h + FFN(h)), where LN may be left out.
#[derive(Module, Debug)]
pub(crate) struct PostNormBlock {
    attention: MultiHeadAttention,
    attention_norm: Option<LayerNorm>,
    feed_forward: FeedForward,
    norm: Option<LayerNorm>,
}

impl AttentionBlock {
    /// Of an x and a y of these widths. What comes out is of width `width`, which is that of x for post-norm.
    pub(crate) fn new(
        config: &BlockConfig,
        [d_x, d_y]: [usize; 2],
        width: usize,
        init: &mut ParameterInit,
    ) -> Result<Self, ConfigError> {
        let BlockConfig { num_heads, dropout, .. } = *config;
        Ok(match &config.architecture {
            AttentionArchitecture::PreNorm => {
                let attention = AttentionConfig { num_heads, key_width: width / num_heads, has_bias: false, dropout };
                Self::PreNorm(PreNormBlock {
                    projection: init.linear_with(false, d_x, width),
                    query_norm: RmsNorm::new(width, init),
                    key_norm: RmsNorm::new(d_y, init),
                    attention: MultiHeadAttention::new(attention, width, d_y, init),
                    norm: RmsNorm::new(width, init),
                    feed_forward: config.feed_forward(width, width, init)?,
                })
            }
            AttentionArchitecture::PostNorm(PostNormConfig { key_width, layer_norm, .. }) => {
                let attention = AttentionConfig { num_heads, key_width: *key_width, has_bias: true, dropout };
                Self::PostNorm(PostNormBlock {
                    attention: MultiHeadAttention::new(attention, width, d_y, init),
                    attention_norm: layer_norm.then(|| LayerNorm::new(width, init)),
                    feed_forward: config.feed_forward(width, width, init)?,
                    norm: layer_norm.then(|| LayerNorm::new(width, init)),
                })
            }
        })
    }

    /// The same as layers of a kernel, from the rows of a data set: x is these rows, or `learned` ones, and y comes
    /// from these rows by the layers `y`.
    #[cfg(feature = "flex")]
    pub(crate) fn layers(
        &self,
        learned: Option<&Param<Tensor<2>>>,
        y: Vec<RowLayer>,
        pass: &Pass,
        operands: &mut Operands,
    ) -> Option<Vec<RowLayer>> {
        let learned = learned.map(|rows| (operands.push_parameter(rows), rows.dims()[0]));
        let queries = |layers| match learned {
            Some((operand, number)) => Queries::Learned { operand, number, layers },
            None => Queries::Rows(layers),
        };
        match self {
            Self::PreNorm(block) => {
                let width = block.projection.weight.dims()[1];
                let queries = queries(vec![RowLayer::Linear(row_map(&block.projection, operands))]);
                let query_norm = Some(block.query_norm.layer(operands));
                let mut keys = y;
                keys.push(RowLayer::Norm(block.key_norm.layer(operands)));
                let attention = block.attention.layer(queries, query_norm, keys, pass, operands)?;
                let norm = RowLayer::Norm(block.norm.layer(operands));
                let feed_forward = block.feed_forward.layer(width, pass, operands)?;
                Some(vec![attention, RowLayer::residual(vec![norm, feed_forward])])
            }
            Self::PostNorm(block) => {
                let width = block.attention.d_query();
                let mut layers = vec![block.attention.layer(queries(Vec::new()), None, y, pass, operands)?];
                layers.extend(block.attention_norm.as_ref().map(|norm| RowLayer::Norm(norm.layer(operands))));
                layers.push(RowLayer::residual(vec![block.feed_forward.layer(width, pass, operands)?]));
                layers.extend(block.norm.as_ref().map(|norm| RowLayer::Norm(norm.layer(operands))));
                Some(layers)
            }
        }
    }

    /// x `[B, Q, d_x]` and y `[B, N, d_y]` to `[B, Q, width]`, with the mask of the rows of y. An x that is the same
    /// for all data sets may come as `[1, Q, d_x]`.
    pub(crate) fn forward(&self, x: Tensor<3>, y: Tensor<3>, mask: Option<&KeyMask>, pass: &mut Pass) -> Tensor<3> {
        match self {
            Self::PreNorm(block) => {
                let x = block.projection.forward(x);
                let (queries, keys) = (block.query_norm.forward(x.clone()), block.key_norm.forward(y));
                let x = x + block.attention.forward(queries, keys, mask, pass);
                x.clone() + block.feed_forward.forward(block.norm.forward(x), pass)
            }
            Self::PostNorm(block) => {
                let normalised = |norm: &Option<LayerNorm>, x| match norm {
                    Some(norm) => norm.forward(x),
                    None => x,
                };
                let h = x.clone() + block.attention.forward(x, y, mask, pass);
                let h = normalised(&block.attention_norm, h);
                let h = h.clone() + block.feed_forward.forward(h, pass);
                normalised(&block.norm, h)
            }
        }
    }
}

/// ISAB(x) of Lee et al. 2019: MAB₁(x, MAB₀(I, x)) with m trained inducing points I, at a cost of N m in place of N².
#[derive(Module, Debug)]
pub(crate) struct InducedBlock {
    /// `[m, width]`.
    points: Param<Tensor<2>>,
    from_rows: AttentionBlock,
    to_rows: AttentionBlock,
}

impl InducedBlock {
    pub(crate) fn new(
        config: &BlockConfig,
        num_points: usize,
        d_x: usize,
        width: usize,
        init: &mut ParameterInit,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            points: init.glorot_uniform([num_points, width], num_points, width),
            from_rows: AttentionBlock::new(config, [width, d_x], width, init)?,
            to_rows: AttentionBlock::new(config, [d_x, width], width, init)?,
        })
    }

    /// The same as layers of a kernel.
    #[cfg(feature = "flex")]
    pub(crate) fn layers(&self, pass: &Pass, operands: &mut Operands) -> Option<Vec<RowLayer>> {
        let h = self.from_rows.layers(Some(&self.points), Vec::new(), pass, operands)?;
        self.to_rows.layers(None, h, pass, operands)
    }

    /// `[B, N, d_x]` to `[B, N, width]`.
    pub(crate) fn forward(&self, x: Tensor<3>, mask: Option<&KeyMask>, pass: &mut Pass) -> Tensor<3> {
        let h = self.from_rows.forward(self.points.val().unsqueeze(), x.clone(), mask, pass);
        // Every inducing point exists.
        self.to_rows.forward(x, h, None, pass)
    }
}

/// PMA(x) of Lee et al. 2019: MAB(S, FFN(x)) with k trained seeds S, side by side.
#[derive(Module, Debug)]
pub(crate) struct AttentionPooling {
    feed_forward: FeedForward,
    /// `[k, width]`.
    seeds: Param<Tensor<2>>,
    block: AttentionBlock,
}

impl AttentionPooling {
    pub(crate) fn new(
        config: &BlockConfig,
        num_seeds: usize,
        d_x: usize,
        width: usize,
        init: &mut ParameterInit,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            feed_forward: config.feed_forward(d_x, width, init)?,
            seeds: init.glorot_uniform([num_seeds, width], num_seeds, width),
            block: AttentionBlock::new(config, [width, width], width, init)?,
        })
    }

    /// The same, of rows of width `d_x`, as layers of a kernel.
    #[cfg(feature = "flex")]
    pub(crate) fn layers(&self, d_x: usize, pass: &Pass, operands: &mut Operands) -> Option<Vec<RowLayer>> {
        let mut layers = vec![self.feed_forward.layer(d_x, pass, operands)?];
        layers.extend(self.block.layers(Some(&self.seeds), Vec::new(), pass, operands)?);
        layers.push(RowLayer::Flatten);
        Some(layers)
    }

    /// `[B, N, d_x]` to `[B, k width]`.
    pub(crate) fn forward(&self, x: Tensor<3>, mask: Option<&KeyMask>, pass: &mut Pass) -> Tensor<2> {
        let rows = self.feed_forward.forward(x, pass);
        self.block.forward(self.seeds.val().unsqueeze(), rows, mask, pass).flatten(1, 2)
    }
}
