//! Reads a series row by row with a gated recurrent unit or an LSTM.

#[cfg(feature = "flex")]
use crate::dense::row_map;
use crate::{ParameterInit, Pass};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Cell, Operands, RowLayer, Sum};
use burn::{
    config::Config,
    module::Module,
    nn::Linear,
    tensor::{Bool, Tensor, activation},
};

/// How a recurrent layer updates its state at each row.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum RecurrentCell {
    /// Gated recurrent unit (Cho et al. 2014), in the variant of cuDNN, Keras and PyTorch, where the reset gate
    /// multiplies the product and not the state:
    /// r = σ(x W_r + h U_r), z = σ(x W_z + h U_z), n = tanh(x W_n + r ⊙ (h U_n)), h ← n + z ⊙ (h − n), each product
    /// with a bias.
    Gru,
    /// Long short-term memory (Hochreiter & Schmidhuber 1997) with forget gate (Gers et al. 2000):
    /// i, f, o = σ(x W + h U + b), g = tanh(x W + h U + b), c ← f ⊙ c + i ⊙ g, h ← o ⊙ tanh(c). A quarter more
    /// arithmetic than a GRU.
    Lstm,
}

impl RecurrentCell {
    /// How many blocks of columns the weights have.
    fn num_gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }
}

/// In which order a recurrent layer reads the rows.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first row to the last.
    Forward,
    /// Two layers, one in each direction, whose last states are added. Twice the cost.
    Both,
}

/// A recurrent layer: a series to its last state. With [`Direction::Both`], the sum of two.
#[derive(Module, Debug)]
pub(crate) struct Recurrent {
    forward: Unrolled,
    backward: Option<Unrolled>,
    #[module(skip)]
    dropout: f64,
}

impl Recurrent {
    pub(crate) fn new(
        cell: RecurrentCell,
        direction: Direction,
        (d_input, units): (usize, usize),
        dropout: f64,
        init: &mut ParameterInit,
    ) -> Self {
        let forward = Unrolled::new(cell, d_input, units, init);
        let backward = (direction == Direction::Both).then(|| Unrolled::new(cell, d_input, units, init));
        Self { forward, backward, dropout }
    }

    /// The same as a layer of a kernel. `None` if the pass drops features.
    #[cfg(feature = "flex")]
    pub(crate) fn layer(&self, pass: &Pass, operands: &mut Operands) -> Option<RowLayer> {
        if pass.drops(self.dropout) {
            return None;
        }
        let directions = [(Some(&self.forward), false), (self.backward.as_ref(), true)];
        let branches = directions.into_iter().filter_map(|(layer, reversed)| Some((layer?, reversed)));
        let branches = branches.map(|(layer, reversed)| vec![layer.layer(reversed, operands)]).collect();
        Some(RowLayer::Sum(Sum { branches }))
    }

    /// `[B, N, d_input]` to `[B, units]`, past rows of which the mask `[B, N, 1]` is 0 as if they were not there. In
    /// training, dropout drops features of the input, the same ones at all rows of a series (Gal & Ghahramani 2016).
    pub(crate) fn forward(&self, x: &Tensor<3>, mask: Option<&Tensor<3>>, pass: &mut Pass) -> Tensor<2> {
        let exists = mask.map(|mask| mask.clone().squeeze_dim::<2>(2).not_equal_elem(0.0));
        let mut read = |layer: &Unrolled, reversed| {
            let x = if self.dropout > 0.0 && pass.is_training() {
                x.clone() * pass.dropout_mask(self.dropout, &x.clone().narrow(1, 0, 1))
            } else {
                x.clone()
            };
            layer.forward(&x, exists.as_ref(), reversed)
        };
        let state = read(&self.forward, false);
        match &self.backward {
            Some(backward) => state + read(backward, true),
            None => state,
        }
    }
}

/// A cell with its weights, applied to one row after the other.
///
/// The columns of the weights are blocks of `units`: r, z, n for a GRU; i, f, g, o for an LSTM.
#[derive(Module, Debug)]
struct Unrolled {
    /// W and its bias.
    input: Linear,
    /// U; with a bias for a GRU, whose reset gate makes it differ from that of W.
    state: Linear,
    #[module(skip)]
    cell: RecurrentCell,
    #[module(skip)]
    units: usize,
}

impl Unrolled {
    fn new(cell: RecurrentCell, d_input: usize, units: usize, init: &mut ParameterInit) -> Self {
        let width = cell.num_gates().saturating_mul(units);
        let weight = init.glorot_uniform([d_input, width], d_input, width);
        let bias = match cell {
            RecurrentCell::Gru => init.constant([width], 0.0),
            // An LSTM that begins by forgetting learns no long dependencies (Jozefowicz et al. 2015).
            RecurrentCell::Lstm => {
                let forget = |column| if (units..2 * units).contains(&column) { 1.0 } else { 0.0 };
                init.values((0..width).map(forget).collect(), [width])
            }
        };
        let input = Linear { weight, bias: Some(bias) };
        let weight = init.orthogonal_blocks(units, cell.num_gates());
        let bias = (cell == RecurrentCell::Gru).then(|| init.constant([width], 0.0));
        Self { input, state: Linear { weight, bias }, cell, units }
    }

    #[cfg(feature = "flex")]
    fn layer(&self, reversed: bool, operands: &mut Operands) -> RowLayer {
        let cell = match self.cell {
            RecurrentCell::Gru => Cell::Gru,
            RecurrentCell::Lstm => Cell::Lstm,
        };
        let [input, state] = [&self.input, &self.state].map(|map| row_map(map, operands));
        RowLayer::Recurrent(bayesburn_kernels::Recurrent { cell, input, state, units: self.units, reversed })
    }

    /// The last state. Where a row does not exist, the state stays as it is, to the bit.
    fn forward(&self, x: &Tensor<3>, exists: Option<&Tensor<2, Bool>>, reversed: bool) -> Tensor<2> {
        let [series, rows, features] = x.dims();
        let zeros = || Tensor::<2>::zeros([series, self.units], (&x.device(), x.dtype()));
        let (mut h, mut c) = (zeros(), zeros());
        for row in 0..rows {
            let row = if reversed { rows - 1 - row } else { row };
            // Rows of the input and not of its product with W, all at once: the gradient of a slice is as large as what
            // it is a slice of, and the product is wider.
            let input = self.input.forward(x.clone().narrow(1, row, 1).reshape([series, features]));
            let state = self.state.forward(h.clone());
            let (next_h, next_c) = match self.cell {
                RecurrentCell::Gru => (self.gru(input, state, h.clone()), None),
                RecurrentCell::Lstm => {
                    let (h, c) = self.lstm(input + state, c.clone());
                    (h, Some(c))
                }
            };
            let exists = exists.map(|exists| exists.clone().narrow(1, row, 1).expand([series, self.units]));
            let update = |old: Tensor<2>, new: Tensor<2>| match &exists {
                Some(exists) => old.mask_where(exists.clone(), new),
                None => new,
            };
            h = update(h, next_h);
            if let Some(next_c) = next_c {
                c = update(c, next_c);
            }
        }
        h
    }

    /// These of the blocks of columns, side by side.
    fn blocks(&self, x: &Tensor<2>, first: usize, num: usize) -> Tensor<2> {
        x.clone().narrow(1, first * self.units, num * self.units)
    }

    /// x W + b and h U + b, `[B, 3 units]`, to the next state.
    fn gru(&self, input: Tensor<2>, state: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        let gates = activation::sigmoid(self.blocks(&input, 0, 2) + self.blocks(&state, 0, 2));
        let (r, z) = (self.blocks(&gates, 0, 1), self.blocks(&gates, 1, 1));
        let n = (self.blocks(&input, 2, 1) + r * self.blocks(&state, 2, 1)).tanh();
        n.clone() + z * (h - n)
    }

    /// x W + h U + b, `[B, 4 units]`, to the next state and the next cell state.
    fn lstm(&self, gates: Tensor<2>, c: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [i, f, o] = [0, 1, 3].map(|block| activation::sigmoid(self.blocks(&gates, block, 1)));
        let c = f * c + i * self.blocks(&gates, 2, 1).tanh();
        (o * c.clone().tanh(), c)
    }
}
