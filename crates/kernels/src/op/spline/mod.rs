//! Transforms one half by monotone rational-quadratic splines; a network computes them from the other half and the
//! condition.

mod cpu;
mod curve;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

pub(crate) use cpu::SplineTape;

use crate::op::dense::Stack;

/// y is a spline of x, dimension by dimension.
#[derive(Debug, Clone)]
pub struct SplineTransform {
    /// The network for the splines' parameters.
    pub net: Stack,
    /// The interpretation of these parameters.
    pub spline: Spline,
}

/// How the outputs of a network for one dimension define a spline: left and bottom edge, K widths, K heights, and K − 1
/// derivatives at the inner knots.
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
