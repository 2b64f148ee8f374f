//! Tells which row of some values each row of a batch sees.

use crate::{memory::Buffer, op::product::Matrix, vector::add};

/// Rows that a batch sees: its row r sees row (phase + r) / repeat.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) width: usize,
    pub(crate) repeat: usize,
    phase: usize,
}

impl<'a> Source<'a> {
    /// For each row of the batch one of its own.
    pub(crate) fn new(values: &'a [f32], width: usize) -> Self {
        Self { values, width, repeat: 1, phase: 0 }
    }

    /// Each row for `repeat` rows of the batch, which begins `phase` rows after the first of these.
    pub(crate) fn repeated(values: &'a [f32], width: usize, repeat: usize, phase: usize) -> Self {
        Self { values, width, repeat, phase }
    }

    /// One row for a whole batch.
    pub(crate) fn of_all(row: &'a [f32]) -> Self {
        Self { values: row, width: row.len(), repeat: usize::MAX, phase: 0 }
    }

    /// How many rows there are to see.
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// All of them.
    pub(crate) fn matrix(&self) -> Matrix<'a> {
        Matrix::new(self.values, self.rows(), self.width)
    }

    /// What row r of the batch sees.
    pub(crate) fn row(&self, r: usize) -> &'a [f32] {
        let first = (self.phase + r) / self.repeat * self.width;
        &self.values[first..first + self.width]
    }

    /// The same rows with other values, one for each that there is.
    pub(crate) fn with_values<'b>(&self, values: &'b [f32], width: usize) -> Source<'b> {
        Source { values, width, repeat: self.repeat, phase: self.phase }
    }

    /// Adds to each row of a batch what it sees.
    pub(crate) fn add_to(&self, batch: &mut [f32]) {
        if self.repeat == 1 {
            return add(batch, self.values);
        }
        for (r, row) in batch.chunks_exact_mut(self.width).enumerate() {
            add(row, self.row(r));
        }
    }

    /// For each row that there is, the sum of the rows of `batch`, of `width` numbers each, that see it: the transpose
    /// of [`Source::add_to`].
    pub(crate) fn gather(&self, batch: &[f32], width: usize) -> Buffer {
        let mut sums = Buffer::zeros(self.rows() * width);
        for (r, row) in batch.chunks_exact(width).enumerate() {
            let first = (self.phase + r) / self.repeat * width;
            add(&mut sums[first..first + width], row);
        }
        sums
    }
}
