//! Multiplies matrices: half of a training step.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
#[cfg(test)]
mod tests;

pub(crate) use cpu::{Matrix, Product, Start, transpose};
