//! Holds one array, in memory or in a file mapped into it, and reads single rows.

use super::DataError;
use bayesburn_io::Element;
use memmap2::Mmap;
use ndarray::{ArrayD, IxDyn};
use std::{fmt, fs::File, path::Path, sync::Arc};

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
    Mapped {
        map: Arc<Mmap>,
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

    /// An array of this shape whose bytes begin at `offset`; `None` if it does not lie within the map.
    pub(crate) fn mapped(map: &Arc<Mmap>, offset: usize, element: Element, shape: &[usize]) -> Option<Self> {
        let bytes = shape.iter().try_fold(element.size(), |bytes, &n| bytes.checked_mul(n))?;
        (offset.checked_add(bytes)? <= map.len()).then(|| Self {
            shape: shape.to_vec(),
            row_len: row_len(shape),
            store: Store::Mapped { map: map.clone(), offset, element },
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

    /// Adds the values of a row to `out`.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn push_row(&self, row: usize, out: &mut Vec<f32>) {
        match &self.store {
            Store::Memory(values) => out.extend_from_slice(&values[row * self.row_len..][..self.row_len]),
            Store::Mapped { map, offset, element } => {
                let bytes = self.row_len * element.size();
                element.extend(&map[offset + row * bytes..][..bytes], out);
            }
        }
    }

    /// The whole array.
    pub(crate) fn to_array(&self) -> ArrayD<f32> {
        let len = self.shape.iter().product();
        let mut values = Vec::with_capacity(len);
        match &self.store {
            Store::Memory(all) => values.extend_from_slice(all),
            Store::Mapped { map, offset, element } => {
                element.extend(&map[*offset..][..len * element.size()], &mut values);
            }
        }
        ArrayD::from_shape_vec(IxDyn(&self.shape), values).expect("as many values as the shape has")
    }
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let element = match &self.store {
            Store::Memory(_) => None,
            Store::Mapped { element, .. } => Some(element),
        };
        f.debug_struct("Column").field("shape", &self.shape).field("mapped", &element).finish_non_exhaustive()
    }
}

fn row_len(shape: &[usize]) -> usize {
    shape.iter().skip(1).product()
}

/// Maps a file into memory. No file handle stays open.
#[expect(unsafe_code, reason = "a map cannot rule out that other programs change the file")]
pub(crate) fn map(path: &Path) -> Result<Arc<Mmap>, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    // SAFETY: the map is read-only, private to `Column`, and read only as bytes, every value of which is valid. What
    // remains is another program that changes the file meanwhile: by the letter undefined behaviour; in practice rows
    // are read half old and half new, and if the file is cut short, reading beyond its end ends the process with
    // SIGBUS. `presimulate` and `save_simulations` never do either, since they replace files by renaming, which leaves
    // the mapped one as it was; of other programs the documentation of `Dataset` asks it.
    let map = unsafe { Mmap::map(&file) };
    Ok(Arc::new(map.map_err(DataError::read(path))?))
}
