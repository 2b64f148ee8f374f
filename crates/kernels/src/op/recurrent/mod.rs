//! Reads the rows of a series one after the other: GRU and LSTM.

pub(crate) mod cpu;
mod gates;
#[cfg(test)]
mod tests;

use crate::op::linear::Linear;

/// The rows of a series to one row: the state after the last of them. Rows that are not there leave the state as it is.
#[derive(Debug, Clone, Copy)]
pub struct Recurrent {
    /// How the state changes at each row.
    pub cell: Cell,
    /// From a row to its part of the gates: blocks of `units` columns, r, z, n for a GRU and i, f, g, o for an LSTM.
    pub input: Linear,
    /// From the state to its part of the gates. That of an LSTM has no bias beside the one of `input`.
    pub state: Linear,
    /// The width of the state.
    pub units: usize,
    /// Whether the last row comes first.
    pub reversed: bool,
}

/// How the state h changes at a row x, with a = input(x) and b = state(h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// r = σ(a_r + b_r), z = σ(a_z + b_z), n = tanh(a_n + r b_n), h ← n + z (h − n) (Cho et al. 2014, as in cuDNN).
    Gru,
    /// i, f, o = σ(a + b), g = tanh(a + b), c ← f c + i g, h ← o tanh(c) (Hochreiter & Schmidhuber 1997).
    Lstm,
}

impl Cell {
    /// The number of blocks of columns.
    pub(crate) fn num_gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }
}
