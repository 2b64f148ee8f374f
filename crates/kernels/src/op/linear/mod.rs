//! Maps each row linearly.

pub(crate) mod cpu;

/// x ↦ x W + b.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// The place of W, `[width of x, units]`.
    pub weight: usize,
    /// The place of b, if there is one.
    pub bias: Option<usize>,
    /// The width of the output.
    pub units: usize,
}
