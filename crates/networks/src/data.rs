//! Holds data sets as tensors, with the mask of rows, for summary networks.

use burn::tensor::Tensor;

/// Data sets as summary networks see them: one input, or several named ones, whose values are tensors of any rank.
///
/// ```
/// use bayesburn_networks::{DataTensor, InputTensor};
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::default();
/// let image = InputTensor::new("image", Tensor::<4>::ones([8, 16, 16, 1], &device));
/// let series = InputTensor::new("series", Tensor::<3>::ones([8, 50, 2], &device));
/// let series = series.with_row_mask(Tensor::<2>::ones([8, 50], &device));
/// let data = DataTensor::new(vec![image, series]);
/// assert_eq!(data.input("image").values::<4>().dims(), [8, 16, 16, 1]);
/// assert_eq!(data.input("series").row_mask::<2>().map(|mask| mask.dims()), Some([8, 50]));
/// ```
#[derive(Debug, Clone)]
pub struct DataTensor {
    inputs: Vec<InputTensor>,
}

/// One input: values `[M, ...]`, standardised, and a mask of rows if some are padding.
///
/// Where values may be missing, the features are followed by as many columns of their mask, and what is missing is 0.
/// Padding is 0 too.
#[derive(Debug, Clone)]
pub struct InputTensor {
    name: String,
    /// `[M, rows, F]`.
    values: Tensor<3>,
    shape: Vec<usize>,
    /// `[M, ...]`, flat, and its shape.
    mask: Option<(Tensor<2>, Vec<usize>)>,
}

impl DataTensor {
    /// Of these inputs.
    ///
    /// # Panics
    /// If there is none, or they differ in the number of data sets.
    #[must_use]
    pub fn new(inputs: Vec<InputTensor>) -> Self {
        assert!(!inputs.is_empty(), "data have at least one input");
        assert!(inputs.iter().all(|input| input.shape[0] == inputs[0].shape[0]), "inputs of as many data sets");
        Self { inputs }
    }

    /// The inputs, in their order.
    #[must_use]
    pub fn inputs(&self) -> &[InputTensor] {
        &self.inputs
    }

    /// The input of this name.
    ///
    /// # Panics
    /// If there is none, with the names of those that there are.
    #[must_use]
    pub fn input(&self, name: &str) -> &InputTensor {
        let found = self.inputs.iter().find(|input| input.name == name);
        found.unwrap_or_else(|| {
            let names: Vec<_> = self.inputs.iter().map(|input| &*input.name).collect();
            panic!("no input is named `{name}`, but {names:?} are")
        })
    }

    /// The only input.
    ///
    /// # Panics
    /// If there are several.
    #[must_use]
    pub fn only(&self) -> &InputTensor {
        assert_eq!(self.inputs.len(), 1, "inputs for a network that takes one");
        &self.inputs[0]
    }
}

impl<const R: usize> From<Tensor<R>> for DataTensor {
    /// One input without a name, all of it there.
    fn from(values: Tensor<R>) -> Self {
        Self { inputs: vec![InputTensor::new("data", values)] }
    }
}

impl InputTensor {
    /// Values `[M, ..., F]`, all of them there.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[must_use]
    pub fn new<const R: usize>(name: impl Into<String>, values: Tensor<R>) -> Self {
        assert!(R >= 2, "values [M, ..., F]");
        let shape = values.dims().to_vec();
        let rows = shape[1..R - 1].iter().product();
        Self { name: name.into(), values: reshaped(values, [shape[0], rows, shape[R - 1]]), shape, mask: None }
    }

    /// Values `[M, rows, F]`, of which the rows have these axes.
    ///
    /// # Panics
    /// If the rows are not as many as the axes say.
    #[must_use]
    pub fn of_rows(name: impl Into<String>, values: Tensor<3>, axes: &[usize]) -> Self {
        let [sets, rows, features] = values.dims();
        assert_eq!(rows, axes.iter().product::<usize>(), "rows for axes {axes:?}");
        Self { name: name.into(), values, shape: [&[sets], axes, &[features]].concat(), mask: None }
    }

    /// Adds a mask of rows, of the shape of the values' first axes: 1 for each that exists, 0 for padding.
    ///
    /// # Panics
    /// If it is of another shape.
    #[must_use]
    pub fn with_row_mask<const R: usize>(mut self, mask: Tensor<R>) -> Self {
        let shape = mask.dims().to_vec();
        assert!(
            R >= 2 && R < self.shape.len() && shape == self.shape[..R],
            "a mask of shape {shape:?} for {:?}",
            self.shape
        );
        let places = shape[1..].iter().product();
        self.mask = Some((reshaped(mask, [shape[0], places]), shape));
        self
    }

    /// Adds a mask of all axes but the features', flat.
    pub(crate) fn with_mask_of_rows(mut self, mask: Tensor<2>) -> Self {
        let [_, rows, _] = self.values.dims();
        assert_eq!(mask.dims(), [self.shape[0], rows], "a mask of the rows");
        self.mask = Some((mask, self.shape[..self.shape.len() - 1].to_vec()));
        self
    }

    /// The input's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape of the values, `[M, ..., F]`.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, of as many axes as they have: `[M, F]`, `[M, N, F]`, `[M, H, W, C]`.
    ///
    /// # Panics
    /// If they have another number of axes.
    #[must_use]
    pub fn values<const R: usize>(&self) -> Tensor<R> {
        let shape: [usize; R] = self.shape[..].try_into().unwrap_or_else(|_| {
            panic!("data of shape {:?}, with the data sets as first axis, for a network of {R} axes", self.shape)
        });
        reshaped(self.values.clone(), shape)
    }

    /// The mask of rows, of as many axes as it has; `None` if all rows exist.
    ///
    /// # Panics
    /// If it has another number of axes.
    #[must_use]
    pub fn row_mask<const R: usize>(&self) -> Option<Tensor<R>> {
        self.mask.as_ref().map(|(mask, shape)| {
            let shape: [usize; R] =
                shape[..].try_into().unwrap_or_else(|_| panic!("a mask of shape {shape:?} for a network of {R} axes"));
            reshaped(mask.clone(), shape)
        })
    }

    /// The values with all axes between data sets and features as one, `[M, rows, F]`, and 1 for each row that exists
    /// and 0 for padding, `[M, rows]`, whichever axes the mask has.
    #[must_use]
    pub fn rows(&self) -> (Tensor<3>, Option<Tensor<2>>) {
        let [sets, rows, _] = self.values.dims();
        let mask = self.mask.as_ref().map(|(mask, _)| {
            let [_, places] = mask.dims();
            let each = rows / places;
            if each == 1 {
                return mask.clone();
            }
            mask.clone().unsqueeze_dim::<3>(2).expand([sets, places, each]).reshape([sets, rows])
        });
        (self.values.clone(), mask)
    }

    /// The values as sets `[M, N, F]`, and 1 for each observation that exists and 0 for padding, `[M, N, 1]`.
    ///
    /// # Panics
    /// If they are no sets.
    #[must_use]
    pub fn sets(&self) -> (Tensor<3>, Option<Tensor<3>>) {
        let mask = self.row_mask::<2>().map(|mask| mask.unsqueeze_dim(2));
        (self.values::<3>(), mask)
    }
}

/// The same tensor where it has the shape already: a reshape would be an operation more.
fn reshaped<const A: usize, const B: usize>(tensor: Tensor<A>, shape: [usize; B]) -> Tensor<B> {
    tensor.reshape(shape)
}
