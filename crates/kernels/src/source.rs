//! Maps rows of a batch to rows of shared values.

use crate::{memory::Buffer, op::product::Matrix, vector::add};

/// Values shared by rows of a batch: row r of the batch uses row (phase + r) / repeat.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) width: usize,
    pub(crate) repeat: usize,
    phase: usize,
}

impl<'a> Source<'a> {
    /// One row for each row of the batch.
    pub(crate) fn new(values: &'a [f32], width: usize) -> Self {
        Self { values, width, repeat: 1, phase: 0 }
    }

    /// Each row for `repeat` rows of the batch, which begins at phase `phase`.
    pub(crate) fn repeated(values: &'a [f32], width: usize, repeat: usize, phase: usize) -> Self {
        Self { values, width, repeat, phase }
    }

    /// One row for a whole batch.
    pub(crate) fn of_all(row: &'a [f32]) -> Self {
        Self { values: row, width: row.len(), repeat: usize::MAX, phase: 0 }
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// All of them.
    pub(crate) fn matrix(&self) -> Matrix<'a> {
        Matrix::new(self.values, self.rows(), self.width)
    }

    /// The row that row r of the batch uses.
    pub(crate) fn row(&self, r: usize) -> &'a [f32] {
        let first = (self.phase + r) / self.repeat * self.width;
        &self.values[first..first + self.width]
    }

    /// The same mapping with other values, one for each row.
    pub(crate) fn with_values<'b>(&self, values: &'b [f32], width: usize) -> Source<'b> {
        Source { values, width, repeat: self.repeat, phase: self.phase }
    }

    /// Adds to each row of a batch the row that it uses.
    pub(crate) fn add_to(&self, batch: &mut [f32]) {
        if self.repeat == 1 {
            return add(batch, self.values);
        }
        for (r, row) in batch.chunks_exact_mut(self.width).enumerate() {
            add(row, self.row(r));
        }
    }

    /// For each row, the sum of the rows of `batch`, of `width` values each, that use it: the transpose of
    /// [`Source::add_to`].
    pub(crate) fn gather(&self, batch: &[f32], width: usize) -> Buffer {
        let mut sums = Buffer::zeros(self.rows() * width);
        for (r, row) in batch.chunks_exact(width).enumerate() {
            let first = (self.phase + r) / self.repeat * width;
            add(&mut sums[first..first + width], row);
        }
        sums
    }
}
