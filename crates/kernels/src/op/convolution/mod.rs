//! Convolves series and images.

pub(crate) mod cpu;
#[cfg(test)]
mod tests;

use crate::op::linear::Linear;

/// A linear map of all rows in each window, one after the other. Rows that are not there are 0, as is what is outside,
/// unless windows are periodic.
#[derive(Debug, Clone, Copy)]
pub struct Convolution {
    /// From the rows of a window, side by side, to a row of the output.
    pub linear: Linear,
    /// The rows of a window, along both axes; 1 along the second axis of a series.
    pub kernel: [usize; 2],
    /// Where windows lie.
    pub windows: Windows,
}

/// Where the windows of a convolution lie. They begin at the first row, so that padding at the end moves none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// Around each row: along an axis of a window of k rows, (k − 1) / 2 of them come before the row.
    Around,
    /// Around each row, and beyond each end the data set goes on from its other end.
    Periodic,
    /// At each row, with the k − 1 rows before it.
    Before,
    /// One after the other. The last one may reach beyond the end. One is there if any of its rows is.
    Apart,
}
