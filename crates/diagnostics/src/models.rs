//! Checks posterior probabilities of models: are they as often right as they say?

use crate::checks::at_least;
use crate::{Extent, InputError, Result};
use bayesburn_core::{ParameterNames, SettingError, settings::at_least_one};
use ndarray::{Array2, ArrayView1};
use thiserror::Error;

/// How far the sum of a data set's probabilities may be from 1: some hundred roundings of f32.
const SUM_TOLERANCE: f32 = 1e-4;

/// Probabilities of models, or true models, that cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Names that do not fit the probabilities, or too few data sets or models.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A setting outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Another number of true models than of data sets.
    #[error("{got} true models, but probabilities for {expected} data sets: pass one for each")]
    NumTrueModels {
        /// The number of data sets.
        expected: usize,
        /// The number of true models.
        got: usize,
    },
    /// A true model without a column of probabilities.
    #[error("model {got} for data set {data_set}, but {models} models: pass indices from 0 to one less")]
    TrueModel {
        /// The row, counted from 0.
        data_set: usize,
        /// The number of models.
        models: usize,
        /// The index passed.
        got: usize,
    },
    /// Numbers that are not probabilities.
    #[error("model probabilities {got:?} for data set {data_set}: pass numbers from 0 to 1 that add up to 1")]
    Probabilities {
        /// The row, counted from 0.
        data_set: usize,
        /// The values passed.
        got: Vec<f32>,
    },
}

/// Probabilities of one model in one range, against how often it was the true one.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct CalibrationBin {
    /// The number of data sets of which the probability is in the range.
    pub count: usize,
    /// The mean of their probabilities; NaN if there is none.
    pub probability: f64,
    /// The share of them of which the model is the true one; NaN if there is none.
    pub frequency: f64,
}

/// Calibration curves of posterior model probabilities.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelCalibration {
    /// The models' names, K of them.
    pub names: ParameterNames,
    /// M, the number of data sets.
    pub num_data_sets: usize,
    /// For each model, B bins of equal width from 0 to 1; each has its upper edge.
    pub bins: Vec<Vec<CalibrationBin>>,
    /// The expected calibration error of each model: the mean over data sets of |frequency − probability| of their bin.
    pub errors: Vec<f64>,
}

/// Expected calibration error and calibration curves, each model against all others: Guo et al., *On calibration of
/// modern neural networks*, 2017.
///
/// # Shapes
/// Posterior probabilities `[M, K]` of K models, and the index of the true model for each of M data sets.
///
/// # Errors
/// If numbers do not fit, there is no data set, model or bin, probabilities are not in [0, 1] or do not add up to 1, or
/// an index is not below K.
///
/// ```
/// use bayesburn_diagnostics::model_calibration;
/// use ndarray::array;
///
/// let names = ["linear".to_owned(), "quadratic".to_owned()].into();
/// let probabilities = array![[0.8, 0.2], [0.8, 0.2], [0.3, 0.7]];
/// let calibration = model_calibration(&names, &probabilities, &[0, 1, 1], 10)?;
/// // Two say 0.8, and one of them is right; one says 0.3, and is not.
/// assert!((calibration.errors[0] - (2.0 * 0.3 + 0.3) / 3.0).abs() < 1e-6);
/// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
/// ```
pub fn model_calibration(
    names: &ParameterNames,
    probabilities: &Array2<f32>,
    models: &[usize],
    bins: usize,
) -> Result<ModelCalibration, ModelError> {
    check(names, probabilities, models)?;
    at_least_one("bins", bins)?;
    // As NumPy's linspace and searchsorted of f32 in f64: bin b is for edges[b] < p <= edges[b + 1].
    let edges: Vec<f64> = (1..bins).map(|b| b as f64 / bins as f64).collect();
    let of_model = |(model, column): (usize, ArrayView1<'_, f32>)| {
        let mut sums = vec![(0, 0.0, 0); bins];
        for (&probability, &truth) in column.iter().zip(models) {
            let probability = f64::from(probability);
            let (count, sum, right) = &mut sums[edges.partition_point(|edge| *edge < probability)];
            *count += 1;
            *sum += probability;
            *right += usize::from(truth == model);
        }
        let bin = |(count, sum, right)| CalibrationBin {
            count,
            probability: sum / count as f64,
            frequency: right as f64 / count as f64,
        };
        sums.into_iter().map(bin).collect()
    };
    let bins: Vec<Vec<CalibrationBin>> = probabilities.columns().into_iter().enumerate().map(of_model).collect();
    let error = |bins: &Vec<CalibrationBin>| {
        let filled = bins.iter().filter(|bin| bin.count > 0);
        let sum: f64 = filled.map(|bin| (bin.frequency - bin.probability).abs() * bin.count as f64).sum();
        sum / models.len() as f64
    };
    Ok(ModelCalibration {
        names: names.clone(),
        num_data_sets: models.len(),
        errors: bins.iter().map(error).collect(),
        bins,
    })
}

/// How often which model was taken for which.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConfusionMatrix {
    /// The models' names, K of them.
    pub names: ParameterNames,
    /// The number of data sets of each true model (row) of which each model (column) is the most probable, `[K, K]`.
    pub counts: Array2<usize>,
    /// The same as shares of the row; NaN for a model that is never the true one.
    pub shares: Array2<f64>,
    /// The share of all data sets of which the most probable model is the true one.
    pub accuracy: f64,
}

/// A confusion matrix of the most probable models.
///
/// # Shapes
/// Posterior probabilities `[M, K]` of K models, and the index of the true model for each of M data sets.
///
/// # Errors
/// As [`model_calibration`].
///
/// ```
/// use bayesburn_diagnostics::confusion_matrix;
/// use ndarray::array;
///
/// let names = ["linear".to_owned(), "quadratic".to_owned()].into();
/// let matrix = confusion_matrix(&names, &array![[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], &[0, 1, 1])?;
/// assert_eq!(matrix.counts, array![[1, 0], [1, 1]]);
/// assert_eq!(matrix.accuracy, 2.0 / 3.0);
/// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
/// ```
pub fn confusion_matrix(
    names: &ParameterNames,
    probabilities: &Array2<f32>,
    models: &[usize],
) -> Result<ConfusionMatrix, ModelError> {
    check(names, probabilities, models)?;
    let k = names.len();
    let mut counts = Array2::zeros((k, k));
    for (row, &truth) in probabilities.outer_iter().zip(models) {
        // The first of those that are equally probable.
        let most = (0..k).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
        counts[[truth, most]] += 1;
    }
    let share = |(truth, guess)| counts[[truth, guess]] as f64 / counts.row(truth).sum() as f64;
    Ok(ConfusionMatrix {
        names: names.clone(),
        shares: Array2::from_shape_fn((k, k), share),
        accuracy: counts.diag().sum() as f64 / models.len() as f64,
        counts,
    })
}

fn check(names: &ParameterNames, probabilities: &Array2<f32>, models: &[usize]) -> Result<(), ModelError> {
    let (m, k) = probabilities.dim();
    if names.len() != k {
        return Err(InputError::Names { expected: names.len(), got: k }.into());
    }
    if models.len() != m {
        return Err(ModelError::NumTrueModels { expected: m, got: models.len() });
    }
    at_least(Extent::DataSets, 1, m)?;
    at_least(Extent::Parameters, 1, k)?;
    for (data_set, row) in probabilities.outer_iter().enumerate() {
        let bad = row.iter().any(|p| !(0.0..=1.0).contains(p));
        if bad || (row.sum() - 1.0).abs() > SUM_TOLERANCE {
            return Err(ModelError::Probabilities { data_set, got: row.to_vec() });
        }
    }
    match models.iter().position(|&model| model >= k) {
        None => Ok(()),
        Some(data_set) => Err(ModelError::TrueModel { data_set, models: k, got: models[data_set] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn names() -> ParameterNames {
        ["a".to_owned(), "b".to_owned()].into()
    }

    #[test]
    fn bins_hold_their_upper_edge_and_empty_ones_count_nothing() {
        let calibration = model_calibration(&names(), &array![[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]], &[0, 0, 1], 2);
        let calibration = calibration.expect("valid");
        assert_eq!(calibration.bins[0].iter().map(|bin| bin.count).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((calibration.bins[0][1].probability, calibration.bins[0][1].frequency), (0.875, 0.5));
        assert!((calibration.errors[0] - (0.5 + 2.0 * 0.375) / 3.0).abs() < 1e-12);
        assert!(calibration.bins[1][1].probability.is_nan() && calibration.errors[1].is_finite());
    }

    #[test]
    fn a_model_that_is_never_true_has_no_shares() {
        let matrix = confusion_matrix(&names(), &array![[0.5, 0.5], [0.1, 0.9]], &[0, 0]).expect("valid");
        assert_eq!((&matrix.counts, matrix.accuracy), (&array![[1, 1], [0, 0]], 0.5));
        assert!(matrix.shares[[0, 1]] == 0.5 && matrix.shares[[1, 0]].is_nan());
    }

    #[test]
    fn impossible_probabilities_are_refused() {
        let refused = |probabilities: Array2<f32>, models: &[usize]| {
            confusion_matrix(&names(), &probabilities, models).expect_err("must be refused").to_string()
        };
        let sum = refused(array![[0.5, 0.5], [0.5, 0.6]], &[0, 1]);
        assert!(sum.contains("[0.5, 0.6]") && sum.contains("data set 1"), "{sum}");
        assert!(refused(array![[f32::NAN, 0.5]], &[0]).contains("NaN"));
        assert!(refused(array![[1.5, -0.5]], &[0]).contains("1.5"));
        assert!(refused(array![[0.5, 0.5]], &[2]).contains("model 2"));
        assert!(refused(array![[0.5, 0.5]], &[0, 1]).contains("2 true models"));
        assert!(refused(array![[1.0]], &[0]).contains("2 names"));
        assert!(model_calibration(&names(), &array![[0.5, 0.5]], &[0], 0).is_err());
    }
}
