//! Transforms one half of the targets given the other half and the condition.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

pub(crate) use cpu::{CouplingTape, GradHalf, GradInputs};

use crate::op::{affine::Affine, spline::SplineTransform};

/// The transform of one half.
#[derive(Debug, Clone)]
pub enum Coupling {
    /// Scale and translation.
    Affine(Affine),
    /// A monotone rational-quadratic spline.
    Spline(SplineTransform),
}
