//! Holds one input of data sets: values, with masks of the rows and of the single values that are there.

use super::InvalidData;
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, Axis, IxDyn, Slice, Zip};
use std::{fmt, ops::Range};

/// One input of M data sets: values `[M, ...]`, a mask of rows if some are padding, and a mask of values if some may be
/// missing. [`Data`](crate::Data) explains the masks.
#[derive(Clone, PartialEq)]
pub struct Input {
    name: String,
    values: ArrayD<f32>,
    /// `[M, ...]`, the shape of the values' first axes; some row is 0.
    rows: Option<ArrayD<f32>>,
    /// Of the shape of the values, and 0 for padding.
    there: Option<ArrayD<f32>>,
}

impl Input {
    /// Values without masks. `[M]` becomes `[M, 1]`.
    pub(super) fn new(name: &str, mut values: ArrayD<f32>) -> Self {
        if values.ndim() == 0 {
            values.insert_axis_inplace(Axis(0));
        }
        if values.ndim() == 1 {
            values.insert_axis_inplace(Axis(1));
        }
        Self { name: name.to_owned(), values, rows: None, there: None }
    }

    /// The input with other values for the same rows, for example transformed values or other features. With a mask of
    /// values, the features must stay the same.
    ///
    /// # Errors
    /// Values that do not fit the masks.
    pub fn with_values(&self, values: ArrayD<f32>) -> Result<Self, InvalidData> {
        Self::new(&self.name, values).checked(self.rows.clone(), self.there.clone())
    }

    /// The input with other features of each row, without a mask of values.
    ///
    /// # Errors
    /// Values with a different number of rows.
    pub fn with_features(&self, values: ArrayD<f32>) -> Result<Self, InvalidData> {
        Self::new(&self.name, values).checked(self.rows.clone(), None)
    }

    pub(super) fn renamed(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// With these masks, which fit the values.
    pub(super) fn masked(mut self, rows: Option<ArrayD<f32>>, mut there: Option<ArrayD<f32>>) -> Self {
        if let Some(rows) = &rows {
            fill_where_zero(&mut self.values, rows, 0.0);
            there.iter_mut().for_each(|there| fill_where_zero(there, rows, 0.0));
        }
        if let Some(there) = &there {
            fill_where_zero(&mut self.values, there, 0.0);
        }
        (self.rows, self.there) = (rows, there);
        self.trimmed()
    }

    /// With these masks.
    pub(super) fn checked(self, rows: Option<ArrayD<f32>>, there: Option<ArrayD<f32>>) -> Result<Self, InvalidData> {
        let shape = self.values.shape();
        let name = || self.name.clone();
        if let Some(mask) = &rows
            && !((2..shape.len()).contains(&mask.ndim()) && mask.shape() == &shape[..mask.ndim()])
        {
            let expected = format!("the first 2 axes of the values, {shape:?}, or more of them, and not the last");
            return Err(InvalidData::MaskShape { name: name(), of: "rows", expected, got: mask.shape().to_vec() });
        }
        if let Some(mask) = there.as_ref().filter(|mask| mask.shape() != shape) {
            let expected = format!("of the shape of the values, {shape:?}");
            return Err(InvalidData::MaskShape { name: name(), of: "values", expected, got: mask.shape().to_vec() });
        }
        for (of, mask) in [("rows", &rows), ("values", &there)] {
            if let Some(got) = mask.iter().flatten().find(|value| **value != 0.0 && **value != 1.0) {
                return Err(InvalidData::MaskValue { name: name(), of, got: got.to_string() });
            }
        }
        if let Some(mask) = &rows
            && let Some(data_set) = mask.outer_iter().position(|mask| mask.iter().all(|value| *value == 0.0))
        {
            return Err(InvalidData::NoRows { data_set, got: shape[1..].to_vec() });
        }
        Ok(self.masked(rows, there))
    }

    /// Removes padding that no data set needs.
    fn trimmed(mut self) -> Self {
        let Some(rows) = &self.rows else { return self };
        let mut lengths = vec![1; rows.ndim()];
        lengths[0] = rows.shape()[0];
        for (place, _) in rows.indexed_iter().filter(|(_, exists)| **exists != 0.0) {
            for (axis, length) in lengths.iter_mut().enumerate().skip(1) {
                *length = (*length).max(place[axis] + 1);
            }
        }
        for (axis, &length) in lengths.iter().enumerate().skip(1) {
            for array in [Some(&mut self.values), self.rows.as_mut(), self.there.as_mut()].into_iter().flatten() {
                if array.shape()[axis] > length {
                    *array = array.slice_axis(Axis(axis), Slice::from(..length)).to_owned();
                }
            }
        }
        self.rows = self.rows.filter(|rows| rows.iter().any(|exists| *exists == 0.0));
        self
    }

    /// The input's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values, `[M, ...]`; 0 for padding and missing values.
    #[must_use]
    pub fn values(&self) -> &ArrayD<f32> {
        &self.values
    }

    /// Converts into name, values, mask of rows and mask of values.
    #[must_use]
    pub fn into_parts(self) -> (String, ArrayD<f32>, [Option<ArrayD<f32>>; 2]) {
        (self.name, self.values, [self.rows, self.there])
    }

    /// 1 for each row that exists and 0 for each that is padding, of the shape of the values' first axes; `None` if all
    /// rows exist.
    #[must_use]
    pub fn row_mask(&self) -> Option<&ArrayD<f32>> {
        self.rows.as_ref()
    }

    /// 1 for each known value and 0 for each missing one, of the shape of the values; `None` if no value may be
    /// missing.
    #[must_use]
    pub fn value_mask(&self) -> Option<&ArrayD<f32>> {
        self.there.as_ref()
    }

    /// M, the number of data sets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.shape()[0]
    }

    /// Whether there is no data set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of features, the last axis.
    #[must_use]
    pub fn features(&self) -> usize {
        self.values.shape()[self.values.ndim() - 1]
    }

    /// The number of existing rows of a data set, over all axes except that of the features.
    ///
    /// # Panics
    /// If the data set does not exist.
    #[must_use]
    pub fn num_rows(&self, data_set: usize) -> usize {
        let shape = self.values.shape();
        assert!(data_set < self.len(), "data set {data_set} of {}", self.len());
        let inner = |from: usize| shape[from..shape.len() - 1].iter().product::<usize>();
        match &self.rows {
            None => inner(1),
            Some(rows) => {
                let exist = rows.index_axis(Axis(0), data_set).iter().filter(|exists| **exists != 0.0).count();
                exist * inner(rows.ndim())
            }
        }
    }

    /// The values with NaN for missing values and padding, as in measured data.
    #[must_use]
    pub fn observations(&self) -> ArrayD<f32> {
        let mut values = self.values.clone();
        for mask in [&self.rows, &self.there].into_iter().flatten() {
            fill_where_zero(&mut values, mask, f32::NAN);
        }
        values
    }

    pub(super) fn first_non_finite(&self) -> Option<(usize, f32)> {
        // At once, since there hardly ever is one.
        if self.values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let row = |(data_set, row): (usize, ArrayViewD<'_, f32>)| {
            row.iter().find(|value| !value.is_finite()).map(|value| (data_set, *value))
        };
        self.values.outer_iter().enumerate().find_map(row)
    }

    pub(super) fn select(&self, data_sets: &[usize]) -> Self {
        self.map(|array| array.select(Axis(0), data_sets))
    }

    pub(super) fn range(&self, range: Range<usize>) -> Self {
        self.map(|array| array.slice_axis(Axis(0), Slice::from(range.clone())).to_owned())
    }

    fn map(&self, of: impl Fn(&ArrayD<f32>) -> ArrayD<f32>) -> Self {
        let (rows, there) = (self.rows.as_ref().map(&of), self.there.as_ref().map(&of));
        Self { name: self.name.clone(), values: of(&self.values), rows, there }.trimmed()
    }

    pub(super) fn flattened(&self) -> Result<Self, InvalidData> {
        if self.rows.is_some() {
            return Err(InvalidData::NotOneLength { name: self.name.clone() });
        }
        let flat = |array: &ArrayD<f32>| {
            let rows = array.shape()[0];
            let flat = array.to_shape((rows, array.len() / rows.max(1))).expect("as many values as before");
            flat.into_owned().into_dyn()
        };
        Ok(Self {
            name: self.name.clone(),
            values: flat(&self.values),
            rows: None,
            there: self.there.as_ref().map(flat),
        })
    }

    pub(super) fn join<'a>(parts: impl Iterator<Item = &'a Self>) -> Result<Self, InvalidData> {
        let parts: Vec<&Self> = parts.collect();
        let first = parts[0];
        let (rank, features) = (first.values.ndim(), first.features());
        for part in &parts {
            if part.values.ndim() != rank || part.features() != features {
                let [expected, got] = [first, part].map(|of| of.values.shape()[1..].to_vec());
                return Err(InvalidData::Shape { name: first.name.clone(), expected, got });
            }
            if part.there.is_some() != first.there.is_some() {
                return Err(InvalidData::ValueMasks { name: first.name.clone() });
            }
        }
        // The longest of each axis.
        let mut shape = first.values.shape().to_vec();
        shape[0] = parts.iter().map(|part| part.len()).sum();
        for part in &parts {
            shape[1..].iter_mut().zip(&part.values.shape()[1..]).for_each(|(most, n)| *most = (*most).max(*n));
        }
        let shapes = parts.iter().map(|part| part.values.shape());
        let differing =
            shapes.map(|other| (1..rank).rev().find(|axis| other[*axis] != shape[*axis]).map_or(0, |axis| axis + 1));
        let of_masks = parts.iter().map(|part| part.rows.as_ref().map_or(0, ArrayD::ndim));
        // As many axes as the finest mask, and as all that differ.
        let mask_rank = differing.chain(of_masks).max().unwrap_or(0);
        let stacked = |of: &dyn Fn(&Self) -> Option<&ArrayD<f32>>| {
            of(first)?;
            let mut all = ArrayD::zeros(IxDyn(&shape));
            let mut row = 0;
            for part in &parts {
                let array = of(part)?;
                let mut place = all.slice_axis_mut(Axis(0), Slice::from(row..row + part.len()));
                (1..rank).for_each(|axis| place.slice_axis_inplace(Axis(axis), Slice::from(..array.shape()[axis])));
                place.assign(array);
                row += part.len();
            }
            Some(all)
        };
        let values = stacked(&|part| Some(&part.values)).expect("values are always there");
        let there = stacked(&|part| part.there.as_ref());
        let rows = (mask_rank > 0).then(|| {
            let mut all = ArrayD::zeros(IxDyn(&shape[..mask_rank]));
            let mut row = 0;
            for part in &parts {
                let own = part.values.shape();
                let mut place = all.slice_axis_mut(Axis(0), Slice::from(row..row + part.len()));
                (1..mask_rank).for_each(|axis| place.slice_axis_inplace(Axis(axis), Slice::from(..own[axis])));
                place.fill(1.0);
                if let Some(rows) = &part.rows {
                    place.zip_mut_with(&widened(rows, &own[..mask_rank]), |exists, value| *exists = *value);
                }
                row += part.len();
            }
            all
        });
        Ok(Self { name: first.name.clone(), values, rows, there }.trimmed())
    }

    /// Whether data sets of the other can stand in their place without padding.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let masks = [&self.rows, &self.there, &other.rows, &other.there];
        self.name == other.name
            && self.values.shape()[1..] == other.values.shape()[1..]
            && masks.iter().all(|mask| mask.is_none())
    }

    /// Puts others, which are like these, into these places.
    pub(super) fn assign(&mut self, data_sets: &[usize], others: &Self) {
        for (&data_set, values) in data_sets.iter().zip(others.values.outer_iter()) {
            self.values.index_axis_mut(Axis(0), data_set).assign(&values);
        }
    }

    pub(super) fn update(&mut self, f: impl FnOnce(ArrayViewMutD<'_, f32>)) {
        f(self.values.view_mut());
        for mask in [&self.rows, &self.there].into_iter().flatten() {
            fill_where_zero(&mut self.values, mask, 0.0);
        }
    }

    pub(super) fn mask_non_finite(&mut self, data_sets: &[usize]) {
        let there = match self.there.take() {
            Some(there) => there,
            None => match &self.rows {
                None => ArrayD::ones(self.values.shape()),
                Some(rows) => widened(rows, self.values.shape()),
            },
        };
        let there = self.there.insert(there);
        for &row in data_sets {
            let values = self.values.index_axis_mut(Axis(0), row);
            Zip::from(values).and(there.index_axis_mut(Axis(0), row)).for_each(|value, there| {
                if !value.is_finite() {
                    (*value, *there) = (0.0, 0.0);
                }
            });
        }
    }

    pub(super) fn nan_as_missing(self) -> Self {
        let there = self.values.mapv(|value| if value.is_nan() { 0.0 } else { 1.0 });
        let there = match &self.there {
            Some(own) => own * &there,
            None => there,
        };
        let rows = self.rows.clone();
        self.masked(rows, Some(there))
    }

    pub(super) fn nan_rows_as_padding(self) -> Result<Self, InvalidData> {
        let last = self.values.ndim() - 1;
        if last < 2 || !self.values.iter().any(|value| value.is_nan()) {
            return Ok(self);
        }
        let mut rows = self.values.map_axis(Axis(last), |row| if row.iter().all(|v| v.is_nan()) { 0.0 } else { 1.0 });
        if let Some(own) = &self.rows {
            let own = widened(own, rows.shape());
            rows.zip_mut_with(&own, |exists, own| *exists *= own);
        }
        let there = self.there.clone();
        self.checked(Some(rows), there)
    }
}

/// A mask of the first axes, for as many more axes as this shape has.
fn widened(mask: &ArrayD<f32>, shape: &[usize]) -> ArrayD<f32> {
    let mut wide = mask.view();
    for axis in mask.ndim()..shape.len() {
        wide = wide.insert_axis(Axis(axis));
    }
    wide.broadcast(IxDyn(shape)).expect("the mask has the shape of the first axes").to_owned()
}

/// Sets values where a mask of the first axes is 0.
fn fill_where_zero(values: &mut ArrayD<f32>, mask: &ArrayD<f32>, with: f32) {
    let mut wide = mask.view();
    for axis in mask.ndim()..values.ndim() {
        wide = wide.insert_axis(Axis(axis));
    }
    values.zip_mut_with(&wide, |value, &there| {
        if there == 0.0 {
            *value = with;
        }
    });
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, values, rows, there } = self;
        let mut text = f.debug_struct("Input");
        text.field("name", name).field("values", values);
        if rows.is_some() {
            text.field("row_mask", rows);
        }
        if there.is_some() {
            text.field("value_mask", there);
        }
        text.finish()
    }
}
