//! Normalises each row: by its root mean square, or by its mean and standard deviation.

pub(crate) mod cpu;

/// (x − m) / √(s² + ε) · scale + bias, for each row x by itself.
#[derive(Debug, Clone, Copy)]
pub struct RowNorm {
    /// Whether m is the mean of the row and s² its variance (layer normalisation, Ba et al. 2016), or m is 0 and s² the
    /// mean of squares (Zhang & Sennrich 2019).
    pub centred: bool,
    /// The place of the scales.
    pub scale: usize,
    /// The place of the biases, if there are any.
    pub bias: Option<usize>,
    /// ε, which keeps a constant row finite.
    pub epsilon: f32,
}
