//! Holds what networks see: data sets, and the parameters that go with them.

use crate::AmortizerError;
use bayesburn_core::{Data, Input, InvalidData};
use ndarray::{Array, Array1, Array2, Array3, ArrayView3, Axis, Ix3, RemoveAxis, Slice, concatenate};
use std::ops::Range;

/// Data sets to condition on, simulated or observed, as the networks see them.
///
/// # Shapes
/// M data sets of any shape ([`Data`]), usually of N observations of F features each, and C direct conditions. Direct
/// conditions are numbers that bypass the summary network.
///
/// ```
/// use bayesburn_amortizers::Conditions;
/// use bayesburn_core::Data;
/// use ndarray::{Array2, Array3, Array4};
///
/// let observed = Conditions::one(Array2::zeros((30, 4))); // one data set of 30 observations
/// assert_eq!(observed.len(), 1);
/// // 500 of 50 observations, for a network that is told how many there are.
/// let many = Conditions::new(Array3::zeros((500, 50, 4))).with_num_observations();
/// assert_eq!(many.direct_conditions.map(|n| n[[0, 0]]), Some(50.0));
/// // Of 5 and of 100 observations.
/// let two = Conditions::from(Data::padded([5, 100].map(|n| Array2::<f32>::zeros((n, 4))))?);
/// assert_eq!(two.data.num_rows(0), 5);
/// // Of two inputs, an image and a vector, with the names and in the order of the simulator's.
/// let named = Conditions::from(Data::named([
///     ("image", Data::new(Array4::<f32>::zeros((1, 16, 16, 1)))),
///     ("v", Data::new(Array2::<f32>::zeros((1, 3)))),
/// ])?);
/// assert_eq!(named.len(), 1);
/// # Ok::<(), bayesburn_core::InvalidData>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// What goes through the summary network; all finite. Where values may be missing, their mask is among the
    /// features, as [`Conditions::from`] puts it there.
    pub data: Data,
    /// What goes to the inference network beside the summaries, `[M, C]`.
    pub direct_conditions: Option<Array2<f32>>,
    /// How many features of each input are followed by as many columns of a mask; 0 where nothing may be missing.
    pub(crate) masked: Vec<usize>,
}

/// A batch to train on: parameters, the data that were simulated from them as the networks see them, and optionally the
/// weight and the proposal of each simulation.
///
/// Weights are used as they are: the loss is the mean over simulations of w · (−log q). A kernel w = K(x, x_o) makes
/// training care most for data near an observation x_o; importance weights w = p(θ) / p̃(θ) make up for parameters from
/// a proposal p̃ in place of the prior p (Lueckmann et al. 2017).
///
/// ```
/// use bayesburn_amortizers::{Conditions, Configured};
/// use ndarray::{Array2, Array3, array};
///
/// let simulations = Configured::new(Array2::zeros((3, 1)), Conditions::new(Array3::zeros((3, 50, 4))))?;
/// let weighted = simulations.with_weights(array![0.5, 1.0, 1.5])?; // of mean 1: the loss keeps its scale
/// assert_eq!(weighted.weights.map(|w| w.len()), Some(3));
/// # Ok::<(), bayesburn_amortizers::AmortizerError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// The parameters to infer, `[M, D]`.
    pub parameters: Array2<f32>,
    /// The data sets, M of them.
    pub conditions: Conditions,
    /// A factor of each simulation's loss, `[M]`: at least 0 and finite. Those of a mean of 1 keep the loss's scale,
    /// and with it the meaning of a learning rate. A batch may have none above 0, and then adds nothing. `None`: 1 for
    /// all.
    pub weights: Option<Array1<f32>>,
    /// The number of the proposal that each simulation's parameters came from, `[M]`, 0 for the prior: for losses that
    /// correct for proposals. `None`: the prior for all.
    pub proposals: Option<Array1<u32>>,
}

impl Conditions {
    /// M data sets, `[M, N, F]`.
    #[must_use]
    pub fn new(data: Array3<f32>) -> Self {
        Self::from(Data::new(data))
    }

    /// One data set, `[N, F]`.
    #[must_use]
    pub fn one(data_set: Array2<f32>) -> Self {
        Self::new(data_set.insert_axis(Axis(0)))
    }

    /// M data sets `[M, N, F]` in which NaN marks what is missing: as [`Conditions::from`] has it, `[M, N, 2 F]`.
    ///
    /// ```
    /// use bayesburn_amortizers::Conditions;
    /// use ndarray::array;
    ///
    /// let observed = Conditions::with_missing(array![[[1.5, f32::NAN], [2.5, 3.5]]]);
    /// assert_eq!(observed.sets(), array![[[1.5, 0.0, 1.0, 0.0], [2.5, 3.5, 1.0, 1.0]]]);
    /// ```
    #[must_use]
    pub fn with_missing(data: Array3<f32>) -> Self {
        Self::from(Data::with_missing(data))
    }

    /// The data as sets `[M, N, F]`, with padding as 0.
    ///
    /// # Panics
    /// If they are not one input of sets.
    #[must_use]
    pub fn sets(&self) -> ArrayView3<'_, f32> {
        let only = self.data.only().and_then(|only| only.values().view().into_dimensionality::<Ix3>().ok());
        only.unwrap_or_else(|| panic!("data of the shape {} are no sets [N, F]", self.data.shape()))
    }

    /// Adds direct conditions, `[M, C]`, for example the number of observations.
    #[must_use]
    pub fn with_direct(mut self, direct_conditions: Array2<f32>) -> Self {
        self.direct_conditions = Some(direct_conditions);
        self
    }

    /// Adds the number of observations N as the direct condition, as the default configurator does for a model whose
    /// non-batchable context is N.
    #[must_use]
    pub fn with_num_observations(self) -> Self {
        let direct = Array2::from_shape_fn((self.len(), 1), |(data_set, _)| self.num_observations(data_set) as f32);
        self.with_direct(direct)
    }

    /// The number of observations of a data set: N of its sets or series `[N, F]`, of the first input that has them,
    /// without padding; 1 of other data.
    ///
    /// # Panics
    /// If the data set is not there.
    #[must_use]
    pub fn num_observations(&self, data_set: usize) -> usize {
        self.sets_input().map_or(1, |sets| sets.num_rows(data_set))
    }

    fn sets_input(&self) -> Option<&Input> {
        self.data.inputs().iter().find(|input| input.values().ndim() == 3)
    }

    /// The least and the greatest number of observations.
    pub(crate) fn range_of_observations(&self) -> [usize; 2] {
        match self.sets_input() {
            Some(sets) if sets.row_mask().is_some() => {
                let each = (0..self.len()).map(|data_set| sets.num_rows(data_set));
                each.fold([usize::MAX, 0], |[fewest, most], n| [fewest.min(n), most.max(n)])
            }
            Some(sets) => [sets.values().shape()[1]; 2],
            None => [1; 2],
        }
    }

    /// The rows of each input that exist, `[rows, F]`.
    pub(crate) fn rows_of(&self, input: usize) -> Array2<f32> {
        let input = &self.data.inputs()[input];
        let features = input.features();
        let rows = input.values().len() / features.max(1);
        let flat = input.values().to_shape((rows, features)).expect("as many values as before");
        match exist(input) {
            None => flat.into_owned(),
            Some(exist) => {
                let rows: Vec<usize> = (0..rows).filter(|row| exist[*row]).collect();
                flat.select(Axis(0), &rows)
            }
        }
    }

    /// Calls `f` with each row that exists of a data set, or of all: the input's number, and the features.
    pub(crate) fn for_each_row(&self, data_set: Option<usize>, mut f: impl FnMut(usize, &[f32])) {
        for (i, input) in self.data.inputs().iter().enumerate() {
            let values = input.values().as_standard_layout();
            let values = values.as_slice().expect("in standard layout");
            let (features, sets) = (input.features().max(1), input.len().max(1));
            let each = values.len() / features / sets;
            let range = data_set.map_or(0..each * sets, |m| m * each..(m + 1) * each);
            let rows = values[range.start * features..range.end * features].chunks_exact(features);
            match exist(input) {
                None => rows.for_each(|row| f(i, row)),
                Some(exist) => {
                    rows.zip(&exist[range]).filter(|(_, exists)| **exists).for_each(|(row, _)| f(i, row));
                }
            }
        }
    }

    /// M, the number of data sets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no data set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// These data sets, in this order.
    ///
    /// # Panics
    /// If one is not there.
    #[must_use]
    pub fn select(&self, data_sets: &[usize]) -> Self {
        Self {
            data: self.data.select(data_sets),
            direct_conditions: self.direct_conditions.as_ref().map(|direct| direct.select(Axis(0), data_sets)),
            masked: self.masked.clone(),
        }
    }

    /// Some of the data sets.
    pub(crate) fn range(&self, range: Range<usize>) -> Self {
        Self {
            data: self.data.range(range.clone()),
            direct_conditions: self
                .direct_conditions
                .as_ref()
                .map(|direct| direct.slice_axis(Axis(0), Slice::from(range)).to_owned()),
            masked: self.masked.clone(),
        }
    }

    /// Whether the arrays fit each other, hold something and hold only finite values.
    pub(crate) fn check(&self) -> Result<(), AmortizerError> {
        if self.data.inputs().iter().any(|input| input.values().is_empty()) {
            return Err(AmortizerError::Empty {
                what: "the array of summary conditions",
                remedy: "pass at least one data set with at least one observation",
            });
        }
        if let Some((data_set, value)) = self.data.first_non_finite() {
            return Err(AmortizerError::NonFinite { what: "the data", data_set, value });
        }
        if self.data.inputs().iter().any(|input| input.value_mask().is_some())
            || self.masked.len() != self.data.inputs().len()
        {
            return Err(AmortizerError::RawData);
        }
        if let Some(direct) = &self.direct_conditions {
            let (expected, got) = (self.len(), direct.nrows());
            if expected != got {
                return Err(AmortizerError::Rows { what: "the array of direct conditions", expected, got });
            }
            if direct.is_empty() {
                let remedy = "leave it out, by `direct_conditions: None`, where there are none";
                return Err(AmortizerError::Empty { what: "the array of direct conditions", remedy });
            }
            check_finite("the direct condition", direct)?;
        }
        Ok(())
    }
}

impl Configured {
    /// Parameters `[M, D]` and their conditions, without weights.
    ///
    /// # Errors
    /// If they differ in the number of data sets, are empty or hold values that are not finite.
    pub fn new(parameters: Array2<f32>, conditions: Conditions) -> Result<Self, AmortizerError> {
        let configured = Self { parameters, conditions, weights: None, proposals: None };
        configured.check()?;
        Ok(configured)
    }

    /// Adds a weight for each simulation, `[M]`, in place of those that are there. All of a batch may be 0, as a narrow
    /// kernel makes them.
    ///
    /// # Errors
    /// Another number of weights than of simulations; one that is negative or not finite.
    pub fn with_weights(mut self, weights: Array1<f32>) -> Result<Self, AmortizerError> {
        self.weights = Some(weights);
        self.check()?;
        Ok(self)
    }

    /// M, the number of simulations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parameters.nrows()
    }

    /// Whether there is no simulation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the simulations, with their weights: a batch that does not fit into memory is taken in parts, of which
    /// each counts by its length.
    ///
    /// ```
    /// use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
    /// use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig, Pass};
    /// use burn::tensor::Device;
    /// use ndarray::{Array2, Array3};
    ///
    /// let config = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new());
    /// let batch = Configured::new(Array2::from_elem((8, 1), 0.5), Conditions::new(Array3::zeros((8, 50, 1))))?;
    /// let posterior = AmortizedPosterior::new(config, ["mu"], &[batch.clone()], 2023, &Device::default())?;
    ///
    /// let whole: f32 = posterior.loss(&batch, &mut Pass::training(1))?.into_scalar();
    /// let mut sum = 0.0;
    /// for part in [batch.rows(0..5), batch.rows(5..8)] {
    ///     let share = part.len() as f32 / batch.len() as f32;
    ///     sum += share * posterior.loss(&part, &mut Pass::training(1))?.into_scalar::<f32>();
    /// }
    /// assert!((sum - whole).abs() < 1e-5);
    /// # Ok::<(), bayesburn_amortizers::AmortizerError>(())
    /// ```
    ///
    /// # Panics
    /// If the range reaches beyond the last simulation.
    #[must_use]
    pub fn rows(&self, range: Range<usize>) -> Self {
        let there = range.start <= range.end && range.end <= self.len();
        assert!(there, "rows {range:?} of a batch of {} simulations", self.len());
        let slice = Slice::from(range.clone());
        Self {
            parameters: self.parameters.slice_axis(Axis(0), slice).to_owned(),
            weights: self.weights.as_ref().map(|weights| weights.slice_axis(Axis(0), slice).to_owned()),
            proposals: self.proposals.as_ref().map(|proposals| proposals.slice_axis(Axis(0), slice).to_owned()),
            conditions: self.conditions.range(range),
        }
    }

    /// Batches in one, without weights. Where data sets are of different lengths, they are padded.
    ///
    /// # Errors
    /// No batch; batches that differ in features or direct conditions.
    pub fn joined(batches: &[Configured]) -> Result<Self, AmortizerError> {
        let remedy = "pass at least one batch";
        let first = batches.first().ok_or(AmortizerError::Empty { what: "the list of batches", remedy })?;
        let error = |error: ndarray::ShapeError| AmortizerError::Configurator(format!("batches differ: {error}"));
        let parameters: Vec<_> = batches.iter().map(|batch| batch.parameters.view()).collect();
        let data = Data::join(batches.iter().map(|batch| &batch.conditions.data));
        let direct: Vec<_> =
            batches.iter().filter_map(|batch| batch.conditions.direct_conditions.as_ref().map(|d| d.view())).collect();
        let direct = (!direct.is_empty()).then(|| concatenate(Axis(0), &direct)).transpose().map_err(error)?;
        let data = data.map_err(|error| AmortizerError::Configurator(format!("batches differ: {error}")))?;
        let masked = first.conditions.masked.clone();
        let conditions = Conditions { data, direct_conditions: direct, masked };
        Self::new(concatenate(Axis(0), &parameters).map_err(error)?, conditions)
    }

    /// Whether the arrays fit each other, hold something, and hold what they may.
    pub(crate) fn check(&self) -> Result<(), AmortizerError> {
        self.conditions.check()?;
        let (expected, got) = (self.conditions.len(), self.parameters.nrows());
        if expected != got {
            return Err(AmortizerError::Rows { what: "the array of parameters", expected, got });
        }
        check_finite("the parameter vector", &self.parameters)?;
        if let Some(got) = self.proposals.as_ref().map(Array1::len).filter(|got| *got != expected) {
            return Err(AmortizerError::Rows { what: "the array of proposals", expected, got });
        }
        self.weights.as_ref().map_or(Ok(()), |weights| check_weights(weights, expected))
    }

    /// Whether some simulation counts.
    #[must_use]
    pub fn has_weight(&self) -> bool {
        self.weights.as_ref().is_none_or(|weights| weights.iter().any(|&weight| weight > 0.0))
    }
}

impl From<Data> for Conditions {
    /// Data as the networks see them. Behind the features of each input that has a mask of values comes that mask: 1
    /// for each value that is there and 0 for each that is not (Wang et al. 2024), with 0 for what is missing. Data
    /// that are vectors `[M, F]`, of one input, are one observation each, `[M, 1, F]`.
    ///
    /// So does the default configurator with simulations that have a mask, which a network for data with missing values
    /// is trained on. Batchable contexts go behind the mask. Where data are standardised, so are the values that are
    /// there; what is missing is 0 afterwards, the mean, whatever the data's offset.
    fn from(data: Data) -> Self {
        let one_vector = data.only().is_some_and(|only| only.values().ndim() == 2);
        let masked = data.inputs().iter().map(|input| input.value_mask().map_or(0, |_| input.features())).collect();
        let shaped = data.map_inputs::<InvalidData>(|input| {
            let (values, there) = (input.values().view(), input.value_mask().map(|mask| mask.view()));
            let last = Axis(values.ndim() - 1);
            let columns: Vec<_> = [Some(values), there].into_iter().flatten().collect();
            let mut values = if columns.len() == 1 {
                input.values().clone()
            } else {
                concatenate(last, &columns).expect("of one shape")
            };
            if one_vector {
                values.insert_axis_inplace(Axis(1));
            }
            input.with_features(values)
        });
        Self { data: shaped.expect("rows are as before"), direct_conditions: None, masked }
    }
}

/// Whether each row of an input exists; `None` if all do.
pub(crate) fn exist(input: &Input) -> Option<Vec<bool>> {
    let mask = input.row_mask()?;
    let shape = input.values().shape();
    let inner: usize = shape[mask.ndim()..shape.len() - 1].iter().product();
    Some(mask.iter().flat_map(|exists| std::iter::repeat_n(*exists != 0.0, inner)).collect())
}

/// Whether there is a weight for each data set, finite and not negative.
pub(crate) fn check_weights(weights: &Array1<f32>, data_sets: usize) -> Result<(), AmortizerError> {
    if weights.len() != data_sets {
        let what = "the array of weights";
        return Err(AmortizerError::Rows { what, expected: data_sets, got: weights.len() });
    }
    check_finite("the weight", weights)?;
    if let Some((data_set, &got)) = weights.indexed_iter().find(|(_, weight)| **weight < 0.0) {
        return Err(AmortizerError::NegativeWeight { data_set, got });
    }
    Ok(())
}

/// Whether all values are finite; the error names the row.
pub(crate) fn check_finite<D: RemoveAxis>(what: &'static str, values: &Array<f32, D>) -> Result<(), AmortizerError> {
    if values.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    for (data_set, row) in values.outer_iter().enumerate() {
        if let Some(&value) = row.iter().find(|v| !v.is_finite()) {
            return Err(AmortizerError::NonFinite { what, data_set, value });
        }
    }
    Ok(())
}
