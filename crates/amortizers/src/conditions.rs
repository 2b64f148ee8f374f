//! Holds what networks see: data sets, and the parameters that go with them.

use crate::AmortizerError;
use ndarray::{Array, Array2, Array3, Axis, RemoveAxis, Slice, concatenate};
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
    /// What goes through the summary network, `[M, N, F]`.
    pub summary_conditions: Array3<f32>,
    /// What goes to the inference network beside the summaries, `[M, C]`.
    pub direct_conditions: Option<Array2<f32>>,
}

/// Parameters and the conditions they were simulated under.
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// The parameters to infer, `[M, D]`.
    pub parameters: Array2<f32>,
    /// The data sets, M of them.
    pub conditions: Conditions,
}

impl Conditions {
    /// M data sets, `[M, N, F]`.
    #[must_use]
    pub fn new(summary_conditions: Array3<f32>) -> Self {
        Self { summary_conditions, direct_conditions: None }
    }

    /// One data set, `[N, F]`.
    #[must_use]
    pub fn one(data_set: Array2<f32>) -> Self {
        Self::new(data_set.insert_axis(Axis(0)))
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

    /// Some of the data sets.
    pub(crate) fn range(&self, range: Range<usize>) -> Self {
        Self {
            summary_conditions: self.summary_conditions.slice_axis(Axis(0), Slice::from(range.clone())).to_owned(),
            direct_conditions: self
                .direct_conditions
                .as_ref()
                .map(|direct| direct.slice_axis(Axis(0), Slice::from(range)).to_owned()),
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
    /// Parameters `[M, D]` and their conditions.
    ///
    /// # Errors
    /// If they differ in the number of data sets, are empty or hold values that are not finite.
    pub fn new(parameters: Array2<f32>, conditions: Conditions) -> Result<Self, AmortizerError> {
        let configured = Self { parameters, conditions };
        configured.check()?;
        Ok(configured)
    }

    /// All batches that have as many observations as the first, in one; there is at least one batch.
    pub(crate) fn joined(batches: &[Configured]) -> Result<Self, AmortizerError> {
        let observations = |batch: &Configured| batch.conditions.summary_conditions.dim().1;
        let alike: Vec<_> = batches.iter().filter(|batch| observations(batch) == observations(&batches[0])).collect();
        let error = |error: ndarray::ShapeError| AmortizerError::Configurator(format!("batches differ: {error}"));
        let parameters: Vec<_> = alike.iter().map(|batch| batch.parameters.view()).collect();
        let data: Vec<_> = alike.iter().map(|batch| batch.conditions.summary_conditions.view()).collect();
        let direct: Vec<_> =
            alike.iter().filter_map(|batch| batch.conditions.direct_conditions.as_ref().map(|d| d.view())).collect();
        let direct = (!direct.is_empty()).then(|| concatenate(Axis(0), &direct)).transpose().map_err(error)?;
        let data = concatenate(Axis(0), &data).map_err(error)?;
        let conditions = Conditions { summary_conditions: data, direct_conditions: direct };
        Self::new(concatenate(Axis(0), &parameters).map_err(error)?, conditions)
    }

    pub(crate) fn check(&self) -> Result<(), AmortizerError> {
        self.conditions.check()?;
        let (expected, got) = (self.conditions.len(), self.parameters.nrows());
        if expected != got {
            return Err(AmortizerError::Rows { what: "the array of parameters", expected, got });
        }
        check_finite("the parameter vector", &self.parameters)
    }
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
