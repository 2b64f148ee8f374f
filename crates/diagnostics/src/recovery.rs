//! Compares posterior medians with the parameters that simulated the data.

use crate::checks::check_draws_and_truths;
use crate::moments::{correlation, mean, median};
use crate::{InputError, Result};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array2, Axis};
use rayon::prelude::*;

/// How well point estimates recover the truths.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Recovery {
    /// The parameters' names, D of them.
    pub names: ParameterNames,
    /// The truths, `[M, D]`.
    pub truths: Array2<f32>,
    /// Posterior medians, `[M, D]`.
    pub medians: Array2<f64>,
    /// Median absolute deviations from the median, `[M, D]`, *unscaled*: multiply by 1.4826 for the standard deviation
    /// of a normal posterior.
    pub mads: Array2<f64>,
    /// R² = 1 − Σ(truth − median)² / Σ(truth − mean truth)² for each parameter: the share of the truths' variance that
    /// the medians explain, negative if they do worse than a constant. NaN if the truths are constant.
    pub r_squared: Vec<f64>,
    /// Pearson's correlation of truths and medians for each parameter. NaN if either is constant.
    pub correlations: Vec<f64>,
}

/// Posterior medians against the truths.
///
/// Good recovery does not mean good calibration, nor the reverse: an exact posterior of an uninformative data set
/// recovers nothing.
///
/// # Shapes
/// Draws `[M, L, D]`, truths `[M, D]`.
///
/// # Errors
/// If the truths do not fit the draws, an axis is empty, or a value is not finite.
///
/// ```
/// use bayesburn_core::Draws;
/// use ndarray::array;
///
/// let draws = array![[[0.0], [1.0], [5.0]], [[2.0], [3.0], [3.5]], [[6.0], [5.0], [4.0]]];
/// let draws = Draws::new(["mu".to_owned()].into(), draws)?;
/// let recovery = bayesburn_diagnostics::recovery(&draws, &array![[1.0], [3.0], [5.0]])?;
/// assert_eq!(recovery.medians, array![[1.0], [3.0], [5.0]]);
/// assert_eq!(recovery.mads[[0, 0]], 1.0); // deviations 1, 0 and 4
/// assert_eq!(recovery.r_squared, [1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn recovery(draws: &Draws, truths: &Array2<f32>) -> Result<Recovery, InputError> {
    check_draws_and_truths(draws, truths)?;
    let (m, d) = truths.dim();
    let summarise = |(data_set, parameter)| {
        let draws = draws.values();
        let mut column: Vec<f64> = (0..draws.dim().1).map(|l| draws[[data_set, l, parameter]].into()).collect();
        let center = median(&mut column);
        column.iter_mut().for_each(|x| *x = (*x - center).abs());
        (center, median(&mut column))
    };
    let summaries: Vec<(f64, f64)> = (0..m * d).into_par_iter().map(|i| summarise((i / d, i % d))).collect();
    let medians = Array2::from_shape_fn((m, d), |(data_set, parameter)| summaries[data_set * d + parameter].0);
    let mads = Array2::from_shape_fn((m, d), |(data_set, parameter)| summaries[data_set * d + parameter].1);
    let columns = || truths.axis_iter(Axis(1)).zip(medians.axis_iter(Axis(1)));
    let r_squared = columns()
        .map(|(truths, medians)| {
            let center = mean(truths.iter().map(|&x| f64::from(x)));
            let total: f64 = truths.iter().map(|&x| (f64::from(x) - center).powi(2)).sum();
            let residual: f64 = truths.iter().zip(medians).map(|(&x, median)| (f64::from(x) - median).powi(2)).sum();
            if total > 0.0 { 1.0 - residual / total } else { f64::NAN }
        })
        .collect();
    let correlations = columns()
        .map(|(truths, medians)| correlation(truths.iter().map(|&x| f64::from(x)).zip(medians.iter().copied())))
        .collect();
    Ok(Recovery { names: draws.names().clone(), truths: truths.clone(), medians, mads, r_squared, correlations })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn recover(values: Array3<f32>, truths: Array2<f32>) -> Recovery {
        let names = (0..truths.ncols()).map(|i| format!("p{i}")).collect();
        recovery(&Draws::new(names, values).expect("names fit"), &truths).expect("valid")
    }

    #[test]
    fn statistics_match_hand_computed_values() {
        let recovery = recover(array![[[1.0], [3.0]], [[2.0], [2.0]], [[3.0], [5.0]]], array![[1.0], [2.0], [3.0]]);
        assert_eq!(recovery.medians, array![[2.0], [2.0], [4.0]]);
        assert_eq!(recovery.mads, array![[1.0], [0.0], [1.0]]);
        assert_eq!(recovery.r_squared, [0.0]); // residuals −1, 0, −1; total 2
        assert!((recovery.correlations[0] - 0.75_f64.sqrt()).abs() < 1e-12); // 2 / √(2 · 8/3)
    }

    #[test]
    fn constant_truths_have_no_r_squared() {
        let recovery = recover(Array3::ones((3, 2, 1)), Array2::ones((3, 1)));
        assert!(recovery.r_squared[0].is_nan() && recovery.correlations[0].is_nan());
        assert!(recover(Array3::ones((1, 2, 1)), Array2::zeros((1, 1))).r_squared[0].is_nan());
    }
}
