//! Holds observed or simulated data of any shape, with masks of padding and of missing values.

mod error;
mod input;
mod shape;
#[cfg(test)]
mod tests;

pub use error::InvalidData;
pub use input::Input;
pub use shape::{DataShape, InputShape};

use ndarray::{Array, ArrayD, ArrayViewMutD, Dimension};
use std::{fmt, ops::Range};

/// M data sets, observed or simulated: one array of numbers, or several named ones, such as a series and a vector.
///
/// # Shapes
/// Each [`Input`] has values `[M, ...]`: vectors `[M, F]`, sets and series `[M, N, F]`, images `[M, H, W, C]`, sets of
/// sets `[M, G, N, F]`. The last axis is that of the features.
///
/// # Masks
/// - Data sets of different lengths N are *padded* to the longest of them. A mask of rows, `[M, N]` (`[M, G, N]` of
///   sets of sets), is 1 for each row that exists and 0 for padding. A mask is present only if some row is padding, and
///   padding is never longer than the longest data set needs. So equal data sets compare equal, however they were
///   padded.
/// - A mask of values, of the shape of the values, is 1 for each value that is known and 0 for each that is *missing*.
///   It is present where values may be missing, even if none is.
///
/// Padding and missing values are stored as 0, but are never treated as measured zeros: [`Input::observations`] has NaN
/// there.
///
/// ```
/// use bayesburn_core::Data;
/// use ndarray::{Array2, Array3, Array4};
///
/// let sets = Data::new(Array3::<f32>::zeros((500, 50, 4))); // 500 data sets of 50 observations
/// assert_eq!(sets.len(), 500);
/// // Of 5, 20 and 100 observations, each as long as it is.
/// let padded = Data::padded([5, 20, 100].map(|n| Array2::<f32>::ones((n, 4))))?;
/// assert_eq!((padded.values().shape(), padded.num_rows(0), padded.num_rows(2)), (&[3, 100, 4][..], 5, 100));
/// // Two inputs.
/// let both = Data::named([
///     ("image", Data::new(Array4::<f32>::zeros((8, 16, 16, 1)))),
///     ("age", Data::new(Array2::<f32>::zeros((8, 1)))),
/// ])?;
/// assert_eq!(both.input("image").map(|image| image.values().ndim()), Some(4));
/// # Ok::<(), bayesburn_core::InvalidData>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Data {
    /// At least one; all have the same number of data sets.
    inputs: Vec<Input>,
}

/// The internal name of a single input that the user gave no name.
const UNNAMED: &str = "data";

impl Data {
    /// Data sets `[M, ...]` without padding or missing values. `[M]` stands for data sets of one number each.
    #[must_use]
    pub fn new<D: Dimension>(values: Array<f32, D>) -> Self {
        Self { inputs: vec![Input::new(UNNAMED, values.into_dyn())] }
    }

    /// Data sets in which NaN marks each value that is missing. They have a mask of values even if none is NaN.
    ///
    /// ```
    /// use bayesburn_core::Data;
    /// use ndarray::array;
    ///
    /// let data = Data::with_missing(array![[1.5, f32::NAN]]);
    /// assert_eq!(data.values(), &array![[1.5, 0.0]].into_dyn());
    /// assert_eq!(data.value_mask(), Some(&array![[1.0, 0.0]].into_dyn()));
    /// assert!(data.observations()[[0, 1]].is_nan());
    /// ```
    #[must_use]
    pub fn with_missing<D: Dimension>(values: Array<f32, D>) -> Self {
        let input = Input::new(UNNAMED, values.into_dyn());
        let there = input.values().mapv(|value| if value.is_nan() { 0.0 } else { 1.0 });
        Self { inputs: vec![input.masked(None, Some(there))] }
    }

    /// Data sets of different lengths with the same features: each is padded at the end to the length of the longest.
    ///
    /// # Errors
    /// No data set; a data set with fewer than two axes (rows and features), or without rows; data sets that differ in
    /// an axis other than the first.
    pub fn padded<D: Dimension>(data_sets: impl IntoIterator<Item = Array<f32, D>>) -> Result<Self, InvalidData> {
        let one = |data_set: Array<f32, D>| Self::new(data_set.insert_axis(ndarray::Axis(0)));
        let data_sets: Vec<Self> = data_sets.into_iter().map(one).collect();
        match data_sets.iter().position(|one| one.values().ndim() < 3 || one.values().is_empty()) {
            Some(data_set) => {
                Err(InvalidData::NoRows { data_set, got: data_sets[data_set].values().shape()[1..].to_vec() })
            }
            None => Self::join(&data_sets),
        }
    }

    /// Several inputs of the same data sets, each by its name. Inputs are in the order in which they are given.
    ///
    /// # Errors
    /// No input; a name that is empty, used twice, contains characters other than letters, digits, `_` and `-`, or ends
    /// in `_mask` or `_rows` like the name of a mask; inputs with different numbers of data sets; an input that itself
    /// consists of several inputs.
    pub fn named(inputs: impl IntoIterator<Item = (impl Into<String>, Self)>) -> Result<Self, InvalidData> {
        let mut all: Vec<Input> = Vec::new();
        for (name, data) in inputs {
            let name = name.into();
            let is_sound = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            let is_mask = ["_mask", "_rows"].iter().any(|end| name.ends_with(end));
            if name.is_empty() || is_mask || !name.chars().all(is_sound) || all.iter().any(|other| other.name() == name)
            {
                return Err(InvalidData::Name { name });
            }
            let mut inputs = data.inputs.into_iter();
            let (Some(input), None) = (inputs.next(), inputs.next()) else { return Err(InvalidData::Nested { name }) };
            if let Some(first) = all.first().filter(|first| first.len() != input.len()) {
                let (expected, got) = (first.len(), input.len());
                return Err(InvalidData::DataSets { name, expected, got });
            }
            all.push(input.renamed(name));
        }
        if all.is_empty() { Err(InvalidData::Nothing) } else { Ok(Self { inputs: all }) }
    }

    /// Adds a mask of rows to data of one input: 1 for each row that exists, 0 for padding, of the shape of the values'
    /// first axes: `[M, N]` for values `[M, N, F]`. Values of padding become 0.
    ///
    /// # Errors
    /// Data of several inputs; a mask of another shape, or with numbers other than 0 and 1; a data set without rows.
    pub fn with_row_mask<D: Dimension>(self, mask: Array<f32, D>) -> Result<Self, InvalidData> {
        let input = self.into_only()?;
        let there = input.value_mask().cloned();
        Ok(Self { inputs: vec![input.checked(Some(mask.into_dyn()), there)?] })
    }

    /// Adds a mask of values to data of one input: 1 for each known value, 0 for each missing one, of the shape of the
    /// values. Missing values become 0.
    ///
    /// # Errors
    /// Data of several inputs; a mask of another shape, or with numbers other than 0 and 1.
    pub fn with_value_mask<D: Dimension>(self, mask: Array<f32, D>) -> Result<Self, InvalidData> {
        let input = self.into_only()?;
        let rows = input.row_mask().cloned();
        Ok(Self { inputs: vec![input.checked(rows, Some(mask.into_dyn()))?] })
    }

    fn into_only(mut self) -> Result<Input, InvalidData> {
        match self.inputs.pop() {
            Some(input) if self.inputs.is_empty() => Ok(input),
            _ => Err(InvalidData::Several),
        }
    }

    /// M, the number of data sets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inputs[0].len()
    }

    /// Whether there is no data set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The inputs, at least one, in their order.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Converts into the inputs.
    #[must_use]
    pub fn into_inputs(self) -> Vec<Input> {
        self.inputs
    }

    /// The input of this name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name() == name)
    }

    /// The only input; `None` if there are several.
    #[must_use]
    pub fn only(&self) -> Option<&Input> {
        self.inputs.first().filter(|_| self.inputs.len() == 1)
    }

    /// Whether the inputs have names, as [`Data::named`] gives them.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.only().is_none_or(|only| only.name() != UNNAMED)
    }

    /// The values of the first input, `[M, ...]`. Unnamed data have only one input.
    #[must_use]
    pub fn values(&self) -> &ArrayD<f32> {
        self.inputs[0].values()
    }

    /// The mask of rows of the first input.
    #[must_use]
    pub fn row_mask(&self) -> Option<&ArrayD<f32>> {
        self.inputs[0].row_mask()
    }

    /// The mask of values of the first input.
    #[must_use]
    pub fn value_mask(&self) -> Option<&ArrayD<f32>> {
        self.inputs[0].value_mask()
    }

    /// The first input with NaN for missing values and padding: see [`Input::observations`].
    #[must_use]
    pub fn observations(&self) -> ArrayD<f32> {
        self.inputs[0].observations()
    }

    /// The number of rows of a data set in the first input: see [`Input::num_rows`].
    ///
    /// # Panics
    /// If the data set is not there.
    #[must_use]
    pub fn num_rows(&self, data_set: usize) -> usize {
        self.inputs[0].num_rows(data_set)
    }

    /// Whether some input has a mask of rows.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        self.inputs.iter().any(|input| input.row_mask().is_some())
    }

    /// The values of all inputs, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = &f32> {
        self.inputs.iter().flat_map(|input| input.values())
    }

    /// The first data set with a value that is not finite, and that value.
    #[must_use]
    pub fn first_non_finite(&self) -> Option<(usize, f32)> {
        self.inputs.iter().filter_map(Input::first_non_finite).min_by_key(|(data_set, _)| *data_set)
    }

    /// The data sets with these numbers, in this order; a number may occur more than once.
    ///
    /// # Panics
    /// If a data set does not exist.
    #[must_use]
    pub fn select(&self, data_sets: &[usize]) -> Self {
        Self { inputs: self.inputs.iter().map(|input| input.select(data_sets)).collect() }
    }

    /// The data sets of a range.
    ///
    /// # Panics
    /// If the range reaches beyond the last.
    #[must_use]
    pub fn range(&self, range: Range<usize>) -> Self {
        Self { inputs: self.inputs.iter().map(|input| input.range(range.clone())).collect() }
    }

    /// Concatenates data sets. Those with two or more axes may differ in all axes but the last; they are padded where
    /// they differ.
    ///
    /// # Errors
    /// Nothing to join; data with different inputs, ranks or features; a mask of values in only some of the data.
    pub fn join<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Result<Self, InvalidData> {
        let parts: Vec<&Self> = parts.into_iter().collect();
        let first = parts.first().ok_or(InvalidData::Nothing)?;
        let names = |data: &Self| data.inputs.iter().map(|input| input.name().to_owned()).collect::<Vec<_>>();
        if let Some(other) = parts.iter().find(|other| names(other) != names(first)) {
            return Err(InvalidData::Inputs { expected: names(first), got: names(other) });
        }
        let joined = (0..first.inputs.len()).map(|i| Input::join(parts.iter().map(|part| &part.inputs[i])));
        Ok(Self { inputs: joined.collect::<Result<_, _>>()? })
    }

    /// Marks non-finite values of these data sets as missing: they become 0, and a mask of values is added even if all
    /// values are finite. Other data sets stay as they are.
    pub fn mask_non_finite(&mut self, data_sets: &[usize]) {
        self.inputs.iter_mut().for_each(|input| input.mask_non_finite(data_sets));
    }

    /// Marks rows that consist of NaN only as padding.
    ///
    /// # Errors
    /// A data set with only such rows.
    pub fn nan_rows_as_padding(self) -> Result<Self, InvalidData> {
        Ok(Self { inputs: self.inputs.into_iter().map(Input::nan_rows_as_padding).collect::<Result<_, _>>()? })
    }

    /// Marks NaN as missing in each input. Each input then has a mask of values, even if none is NaN.
    #[must_use]
    pub fn nan_as_missing(self) -> Self {
        Self { inputs: self.inputs.into_iter().map(Input::nan_as_missing).collect() }
    }

    /// Changes values in place, input by input. Padding and missing values stay 0.
    ///
    /// ```
    /// use bayesburn_core::Data;
    /// use ndarray::array;
    ///
    /// let mut data = Data::with_missing(array![[1.0, f32::NAN]]);
    /// data.update(|mut values| values.mapv_inplace(f32::exp));
    /// assert_eq!(data.values(), &array![[1_f32.exp(), 0.0]].into_dyn());
    /// ```
    pub fn update(&mut self, mut f: impl FnMut(ArrayViewMutD<'_, f32>)) {
        self.inputs.iter_mut().for_each(|input| input.update(&mut f));
    }

    /// Replaces each input by a function of it, such as a transformation of its values.
    ///
    /// # Errors
    /// Errors of the function; results with different numbers of data sets.
    pub fn map_inputs<E: From<InvalidData>>(&self, mut f: impl FnMut(&Input) -> Result<Input, E>) -> Result<Self, E> {
        let inputs = self.inputs.iter().map(&mut f).collect::<Result<Vec<_>, E>>()?;
        if let Some(other) = inputs.iter().find(|input| input.len() != inputs[0].len()) {
            let (name, expected, got) = (other.name().to_owned(), inputs[0].len(), other.len());
            return Err(InvalidData::DataSets { name, expected, got }.into());
        }
        Ok(Self { inputs })
    }

    /// Replaces data set `rows[i]` by data set i of `others`, which have the same inputs. Where lengths differ, data
    /// are padded.
    ///
    /// # Errors
    /// As [`Data::join`].
    ///
    /// # Panics
    /// If `others` and `rows` differ in length, or a row does not exist.
    pub fn replace(&mut self, rows: &[usize], others: &Self) -> Result<(), InvalidData> {
        assert_eq!(rows.len(), others.len(), "as many data sets as rows");
        if self.inputs.len() == others.inputs.len() && self.inputs.iter().zip(&others.inputs).all(|(a, b)| a.is_like(b))
        {
            self.inputs.iter_mut().zip(&others.inputs).for_each(|(input, others)| input.assign(rows, others));
            return Ok(());
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        rows.iter().enumerate().for_each(|(i, &row)| order[row] = self.len() + i);
        *self = Self::join([&*self, others])?.select(&order);
        Ok(())
    }

    /// Flattens each input to vectors `[M, F]`.
    ///
    /// # Errors
    /// Data sets of different lengths, which cannot become vectors of one length.
    pub fn flattened(&self) -> Result<Self, InvalidData> {
        Ok(Self { inputs: self.inputs.iter().map(Input::flattened).collect::<Result<_, _>>()? })
    }

    /// The shapes of the inputs.
    #[must_use]
    pub fn shape(&self) -> DataShape {
        DataShape::of(self)
    }
}

impl<D: Dimension> From<Array<f32, D>> for Data {
    fn from(values: Array<f32, D>) -> Self {
        Self::new(values)
    }
}

impl From<Vec<Input>> for DataShape {
    fn from(inputs: Vec<Input>) -> Self {
        Self::of(&Data { inputs })
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.inputs).finish()
    }
}
