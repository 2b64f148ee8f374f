//! Holds what networks see: data sets, and the parameters that go with them.

use crate::AmortizerError;
use ndarray::{Array, Array1, Array2, Array3, Axis, RemoveAxis, Slice, concatenate};
use std::ops::Range;

/// Data sets to condition on, simulated or observed.
///
/// # Shapes
/// M data sets of N observations of F features each, and C direct conditions.
///
/// ```
/// use bayesburn_amortizers::Conditions;
/// use ndarray::{Array2, Array3};
///
/// let observed = Conditions::one(Array2::zeros((30, 4))); // one data set of 30 observations
/// assert_eq!(observed.len(), 1);
/// // 500 of 50 observations, for a network that is told how many there are.
/// let many = Conditions::new(Array3::zeros((500, 50, 4))).with_num_observations();
/// assert_eq!(many.direct_conditions.map(|n| n[[0, 0]]), Some(50.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// What goes through the summary network, `[M, N, F]`; all finite. For data with missing values see
    /// [`Conditions::with_missing`].
    pub summary_conditions: Array3<f32>,
    /// What goes to the inference network beside the summaries, `[M, C]`.
    pub direct_conditions: Option<Array2<f32>>,
    /// How many features of an observation are followed by as many columns of a mask; 0 where nothing may be missing.
    pub(crate) masked: usize,
}

/// Parameters, the conditions they were simulated under, and how much each simulation counts.
///
/// Weights are used as they are: the loss is the mean over simulations of w · (−log q). A kernel w = K(x, x_o) makes training care most
/// for data near an observation x_o; importance weights w = p(θ) / p̃(θ) make up for parameters from a proposal p̃ in place of the
/// prior p (Lueckmann et al. 2017).
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
    /// A factor of each simulation's loss, `[M]`: at least 0 and finite. Those of a mean of 1 keep the loss's scale, and with it the
    /// meaning of a learning rate. A batch may have none above 0, and then adds nothing. `None`: 1 for all.
    pub weights: Option<Array1<f32>>,
    /// The number of the proposal that each simulation's parameters came from, `[M]`, 0 for the prior: for losses that correct for proposals.
    /// `None`: the prior for all.
    pub proposals: Option<Array1<u32>>,
}

impl Conditions {
    /// M data sets, `[M, N, F]`.
    #[must_use]
    pub fn new(summary_conditions: Array3<f32>) -> Self {
        Self { summary_conditions, direct_conditions: None, masked: 0 }
    }

    /// One data set, `[N, F]`.
    #[must_use]
    pub fn one(data_set: Array2<f32>) -> Self {
        Self::new(data_set.insert_axis(Axis(0)))
    }

    /// M data sets `[M, N, F]` in which NaN marks what is missing: `[M, N, 2 F]`, each missing value as 0, and behind the data a mask of 1
    /// for each value that is there and 0 for each that is not (Wang et al. 2024).
    ///
    /// So does the default configurator with simulations that have a mask, which a network for data with missing values is
    /// trained on. Batchable contexts go behind the mask. Where data are standardised, so are the values that are there; what is missing is 0
    /// afterwards, the mean, whatever the data's offset.
    ///
    /// ```
    /// use bayesburn_amortizers::Conditions;
    /// use ndarray::array;
    ///
    /// let observed = Conditions::with_missing(array![[[1.5, f32::NAN], [2.5, 3.5]]]);
    /// assert_eq!(observed.summary_conditions, array![[[1.5, 0.0, 1.0, 0.0], [2.5, 3.5, 1.0, 1.0]]]);
    /// ```
    #[must_use]
    pub fn with_missing(data: Array3<f32>) -> Self {
        let (masked, mask) = (data.dim().2, data.mapv(|value| if value.is_nan() { 0.0 } else { 1.0 }));
        Self { masked, ..Self::new(beside_mask(data, mask)) }
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
        let (data_sets, n, _) = self.summary_conditions.dim();
        self.with_direct(Array2::from_elem((data_sets, 1), n as f32))
    }

    /// M, the number of data sets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.summary_conditions.dim().0
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
            summary_conditions: self.summary_conditions.select(Axis(0), data_sets),
            direct_conditions: self.direct_conditions.as_ref().map(|direct| direct.select(Axis(0), data_sets)),
            masked: self.masked,
        }
    }

    /// Some of the data sets.
    pub(crate) fn range(&self, range: Range<usize>) -> Self {
        Self {
            summary_conditions: self.summary_conditions.slice_axis(Axis(0), Slice::from(range.clone())).to_owned(),
            direct_conditions: self
                .direct_conditions
                .as_ref()
                .map(|direct| direct.slice_axis(Axis(0), Slice::from(range)).to_owned()),
            masked: self.masked,
        }
    }

    /// Whether the arrays fit each other, hold something and hold only finite values.
    pub(crate) fn check(&self) -> Result<(), AmortizerError> {
        if self.summary_conditions.is_empty() {
            return Err(AmortizerError::Empty {
                what: "the array of summary conditions",
                remedy: "pass at least one data set with at least one observation",
            });
        }
        check_finite("the data", &self.summary_conditions)?;
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

    /// Adds a weight for each simulation, `[M]`, in place of those that are there. All of a batch may be 0, as a narrow kernel makes them.
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

    /// Some of the simulations, with their weights: a batch that does not fit into memory is taken in parts, of which each counts by
    /// its length.
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

    /// Batches of equal shapes, in one and without weights.
    ///
    /// # Errors
    /// No batch; batches that differ in the number of observations, features or direct conditions.
    pub fn joined(batches: &[Configured]) -> Result<Self, AmortizerError> {
        let remedy = "pass at least one batch";
        let first = batches.first().ok_or(AmortizerError::Empty { what: "the list of batches", remedy })?;
        let error = |error: ndarray::ShapeError| AmortizerError::Configurator(format!("batches differ: {error}"));
        let parameters: Vec<_> = batches.iter().map(|batch| batch.parameters.view()).collect();
        let data: Vec<_> = batches.iter().map(|batch| batch.conditions.summary_conditions.view()).collect();
        let direct: Vec<_> =
            batches.iter().filter_map(|batch| batch.conditions.direct_conditions.as_ref().map(|d| d.view())).collect();
        let direct = (!direct.is_empty()).then(|| concatenate(Axis(0), &direct)).transpose().map_err(error)?;
        let data = concatenate(Axis(0), &data).map_err(error)?;
        let masked = first.conditions.masked;
        let conditions = Conditions { summary_conditions: data, direct_conditions: direct, masked };
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

/// Data and mask side by side, `[M, N, F]` each; what the mask calls missing is 0, whatever it was.
pub(crate) fn beside_mask(mut data: Array3<f32>, mask: Array3<f32>) -> Array3<f32> {
    data.zip_mut_with(&mask, |value, &there| {
        if there == 0.0 {
            *value = 0.0;
        }
    });
    concatenate(Axis(2), &[data.view(), mask.view()]).expect("the mask has the data's shape")
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
