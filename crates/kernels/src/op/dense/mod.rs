//! Describes stacks of dense layers, of which every network here consists.

pub(crate) mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
#[cfg(test)]
mod tests;

use crate::op::activation::Activation;

/// A stack of dense layers. The first may have several inputs side by side. Operands are referred to by their places.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// The layers, from the first.
    pub layers: Vec<Layer>,
    /// A linear map of the inputs that is added to the output: one weight for each input.
    pub shortcut: Vec<Weight>,
}

/// One dense layer: x ↦ a(x W + b) or, with a skip, x + a(x W + b).
#[derive(Debug, Clone)]
pub struct Layer {
    /// One weight for each input; the layers after the first have one input.
    pub weights: Vec<Weight>,
    /// The place of b.
    pub bias: usize,
    /// The width of the output.
    pub units: usize,
    /// a; without it the layer is linear.
    pub activation: Option<Activation>,
    /// Whether the layer's input is added. Such a layer has one input.
    pub skip: bool,
    /// Dropout: the first of the layer's columns in the dropout masks, by which the activation's output is multiplied
    /// unit by unit.
    pub dropout: Option<usize>,
}

/// Some rows of an operand that is a matrix.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// The place of the matrix.
    pub operand: usize,
    /// Its first row that counts; as many count as the input is wide.
    pub first_row: usize,
}

impl Stack {
    pub(crate) fn units(&self) -> usize {
        self.layers.last().expect("a stack has layers").units
    }
}
