//! Applies a function to each number of a layer's output.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

/// The function that follows a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x · sigmoid(x).
    Silu,
    /// x above 0, exp(x) − 1 below.
    Elu,
    /// tanh(x).
    Tanh,
    /// ln(1 + exp(x)).
    Softplus,
    /// x · tanh(ln(1 + exp(x))).
    Mish,
}
