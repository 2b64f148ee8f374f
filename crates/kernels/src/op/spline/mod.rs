//! Bends one half by monotone rational-quadratic splines that a network makes of the other half and the condition.

mod cpu;
mod curve;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

pub(crate) use cpu::SplineTape;

use crate::op::dense::Stack;

/// y is a spline of x, dimension by dimension.
#[derive(Debug, Clone)]
pub struct SplineTransform {
    /// Makes the splines' numbers.
    pub net: Stack,
    /// How they are read.
    pub spline: Spline,
}

/// How the numbers that a network makes for a dimension are read as a spline: left and bottom edge, K widths, K
/// heights, and K − 1 derivatives at the inner knots.
#[derive(Debug, Clone)]
pub struct Spline {
    /// K.
    pub bins: usize,
    /// Subtracted from the edges.
    pub domain: f32,
    /// Added to widths and heights before softplus makes them positive.
    pub bin_offset: f32,
    /// Added to derivatives before softplus makes them positive.
    pub derivative_offset: f32,
    /// The least that a width, height or derivative may be.
    pub smallest: f32,
}
