//! Halves images: means over squares of 2 × 2 pixels.

pub(crate) mod cpu;

/// The mean of the pixels that are there in each square of 2 × 2; those at an odd side are smaller. A square is there
/// if one of its pixels is.
#[derive(Debug, Clone, Copy)]
pub struct AveragePool;
