//! Holds one array, in memory or in a file, and reads single rows.

use super::{DataError, mapping::DataFile};
use bayesburn_io::Element;
use ndarray::{ArrayD, IxDyn};
use std::fmt;

/// An array of any element type, `[rows, ...]`, read as f32.
pub(crate) struct Column {
    shape: Vec<usize>,
    /// Values of one row.
    row_len: usize,
    store: Store,
}

enum Store {
    /// In row-major order.
    Memory(Vec<f32>),
    File {
        file: DataFile,
        /// Where the first row begins, in bytes.
        offset: usize,
        element: Element,
    },
}

impl Column {
    pub(crate) fn in_memory(array: ArrayD<f32>) -> Self {
        let shape = array.shape().to_vec();
        let array = if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() };
        // A slice keeps the values that were cut off around it.
        let len = array.len();
        let (mut values, offset) = array.into_raw_vec_and_offset();
        values.drain(..offset.unwrap_or(0));
        values.truncate(len);
        Self { row_len: row_len(&shape), shape, store: Store::Memory(values) }
    }

    /// An array of this shape whose bytes begin at `offset` of a file of `len` bytes; `None` if it does not lie within
    /// the file.
    pub(crate) fn in_file(
        (file, len): (&DataFile, usize),
        offset: usize,
        element: Element,
        shape: &[usize],
    ) -> Option<Self> {
        (offset.checked_add(element.num_bytes(shape)?)? <= len).then(|| Self {
            shape: shape.to_vec(),
            row_len: row_len(shape),
            store: Store::File { file: file.clone(), offset, element },
        })
    }

    /// An array `[rows]`, of one number each, as `[rows, 1]`.
    pub(crate) fn with_values(mut self) -> Self {
        if self.shape.len() == 1 {
            self.shape.push(1);
        }
        self
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The shape of one row.
    pub(crate) fn row_shape(&self) -> &[usize] {
        self.shape.get(1..).unwrap_or_default()
    }

    pub(crate) fn row_len(&self) -> usize {
        self.row_len
    }

    /// Adds the values of rows to `out`.
    ///
    /// # Errors
    /// A file that is not mapped, and cannot be read or was changed.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn push_rows(&self, rows: impl Iterator<Item = usize>, out: &mut Vec<f32>) -> Result<(), DataError> {
        match &self.store {
            Store::Memory(values) => {
                rows.for_each(|row| out.extend_from_slice(&values[row * self.row_len..][..self.row_len]));
                Ok(())
            }
            Store::File { file, offset, element } => {
                let bytes = self.row_len * element.size();
                file.read(rows.map(|row| offset + row * bytes), bytes, |row| element.extend(row, out))
            }
        }
    }

    /// [`Column::push_rows`] of one row.
    pub(crate) fn push_row(&self, row: usize, out: &mut Vec<f32>) -> Result<(), DataError> {
        self.push_rows([row].into_iter(), out)
    }

    /// The whole array.
    pub(crate) fn to_array(&self) -> Result<ArrayD<f32>, DataError> {
        let len = self.shape.iter().product();
        let mut values = Vec::with_capacity(len);
        match &self.store {
            Store::Memory(all) => values.extend_from_slice(all),
            Store::File { file, offset, element } => {
                file.read([*offset].into_iter(), len * element.size(), |all| element.extend(all, &mut values))?;
            }
        }
        Ok(ArrayD::from_shape_vec(IxDyn(&self.shape), values).expect("as many values as the shape has"))
    }
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let element = match &self.store {
            Store::Memory(_) => None,
            Store::File { element, .. } => Some(element),
        };
        f.debug_struct("Column").field("shape", &self.shape).field("in_file", &element).finish_non_exhaustive()
    }
}

fn row_len(shape: &[usize]) -> usize {
    shape.iter().skip(1).product()
}
