//! Attends from queries to the rows of a data set that exist.

#[cfg(feature = "flex")]
use crate::dense::row_map;
use crate::{ParameterInit, Pass};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Attention, Operands, Queries, RowLayer, RowNorm};
use burn::{
    module::Module,
    nn::Linear,
    tensor::{Bool, Tensor, activation::softmax},
};

/// Which keys no query sees, `[B, 1, 1, N]`.
#[derive(Debug, Clone)]
pub(crate) struct KeyMask {
    padding: Tensor<4, Bool>,
}

impl KeyMask {
    /// Of a mask of rows `[B, N, 1]`, 1 for each that exists. In every data set at least one does.
    pub(crate) fn new(mask: &Tensor<3>) -> Self {
        let [sets, rows, _] = mask.dims();
        Self { padding: mask.clone().reshape([sets, 1, 1, rows]).equal_elem(0.0) }
    }
}

/// What [`MultiHeadAttention`] is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionConfig {
    pub(crate) num_heads: usize,
    /// Width of the queries, keys and values of one head.
    pub(crate) key_width: usize,
    /// Of all layers but that of the keys: a softmax over keys does not see theirs.
    pub(crate) has_bias: bool,
    /// Probability that a query does not see a key in training.
    pub(crate) dropout: f64,
}

/// Multi-head attention (Vaswani et al. 2017): each head has softmax(Q Kᵀ / √k) V, where k is the width of its keys,
/// and a linear layer joins the heads. Keys and values are linear maps of the same rows.
#[derive(Module, Debug)]
pub(crate) struct MultiHeadAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    dropout: f64,
}

impl MultiHeadAttention {
    /// From queries and rows of these widths to rows of the width of the queries.
    pub(crate) fn new(config: AttentionConfig, d_query: usize, d_key: usize, init: &mut ParameterInit) -> Self {
        // Saturates, so that a file's absurd setting ends at the budget of numbers.
        let inner = config.num_heads.saturating_mul(config.key_width);
        let bias = config.has_bias;
        Self {
            query: init.linear_with(bias, d_query, inner),
            key: init.linear_with(false, d_key, inner),
            value: init.linear_with(bias, d_key, inner),
            output: init.linear_with(bias, inner, d_query),
            num_heads: config.num_heads,
            dropout: config.dropout,
        }
    }

    /// The width of the queries.
    #[cfg(feature = "flex")]
    pub(crate) fn d_query(&self) -> usize {
        self.query.weight.dims()[0]
    }

    /// q + attention, with normalised queries and these layers from rows to keys, as a layer of a kernel. `None` if the
    /// pass drops weights.
    #[cfg(feature = "flex")]
    pub(crate) fn layer(
        &self,
        queries: Queries,
        query_norm: Option<RowNorm>,
        keys: Vec<RowLayer>,
        pass: &Pass,
        operands: &mut Operands,
    ) -> Option<RowLayer> {
        let maps = [&self.query, &self.key, &self.value, &self.output].map(|map| row_map(map, operands));
        let drops = pass.drops(self.dropout);
        let attention = Attention { queries, keys, query_norm, maps, heads: self.num_heads };
        (!drops).then_some(RowLayer::Attention(attention))
    }

    /// Queries `[B, Q, d_query]` and rows `[B, N, d_key]` to `[B, Q, d_query]`. Queries that are the same for all data
    /// sets may come as `[1, Q, d_query]`.
    pub(crate) fn forward(
        &self,
        queries: Tensor<3>,
        rows: Tensor<3>,
        mask: Option<&KeyMask>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let q = self.split(self.query.forward(queries));
        let k = self.split(self.key.forward(rows.clone()));
        let v = self.split(self.value.forward(rows));
        let [_, _, _, key_width] = k.dims();
        // [B, H, Q, N]
        let mut scores = q.mul_scalar(1.0 / (key_width as f64).sqrt()).matmul(k.swap_dims(2, 3));
        if let Some(KeyMask { padding }) = mask {
            let padding = padding.clone().expand(scores.dims());
            // The softmax subtracts the largest score, of a row that exists: exp is 0 here, and so is the gradient.
            scores = scores.mask_fill(padding, f32::MIN);
        }
        let mut weights = softmax(scores, 3);
        if self.dropout > 0.0 && pass.is_training() {
            weights = weights.clone() * pass.dropout_mask(self.dropout, &weights);
        }
        let heads = weights.matmul(v);
        let [sets, num_heads, queries, width] = heads.dims();
        self.output.forward(heads.swap_dims(1, 2).reshape([sets, queries, num_heads * width]))
    }

    /// `[B, N, H k]` to `[B, H, N, k]`.
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [sets, rows, width] = x.dims();
        x.reshape([sets, rows, self.num_heads, width / self.num_heads]).swap_dims(1, 2)
    }
}
