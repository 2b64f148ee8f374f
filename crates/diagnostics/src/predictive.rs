//! Compares statistics of data with those of data that a model makes: posterior predictive checks, and what a prior
//! says of data.

use crate::checks::at_least;
use crate::{Extent, InputError, InputValue, Result};
use bayesburn_core::ParameterNames;
use ndarray::{Array2, ArrayView2, ArrayView3};
use rayon::prelude::*;

/// Statistics of simulated data sets, and where the observed ones are among them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PredictiveCheck {
    /// The statistics' names, Q of them.
    pub names: ParameterNames,
    /// Those of each simulated data set, `[L, Q]`.
    pub simulated: Array2<f64>,
    /// Those of the observed data set, if there is one.
    pub observed: Option<Observed>,
}

/// Statistics of an observed data set.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Observed {
    /// The statistics, Q of them.
    pub values: Vec<f64>,
    /// For each, the probability of one as far out: twice the smaller share of all, the observed one among them, on
    /// either side; at most 1. Of a posterior, which has seen the data, these are larger than uniform ones would be:
    /// Gelman, Meng and Stern 1996.
    pub p_values: Vec<f64>,
}

/// Posterior predictive check: whether data simulated from posterior draws look like the observed ones, by statistics
/// of one's own.
///
/// # Shapes
/// Observed data `[N, F]`, and simulated ones `[L, N, F]`, one data set for each draw. The function is given data `[N,
/// F]` and returns one number for each name.
///
/// # Errors
/// If there is no simulated data set or statistic, the shapes differ, the function returns another number of
/// statistics, or one is not finite.
///
/// ```
/// use bayesburn_diagnostics::predictive_check;
/// use ndarray::{Array3, ArrayView2, array};
///
/// let observed = array![[0.9_f32], [1.2]];
/// let simulated = Array3::from_shape_fn((99, 2, 1), |(l, _, _)| l as f32 / 49.0);
/// let mean = |x: ArrayView2<'_, f32>| vec![f64::from(x.mean().unwrap_or(0.0))];
/// let check = predictive_check(["mean"], observed.view(), simulated.view(), mean)?;
/// let observed = check.observed.as_ref().expect("it was given");
/// assert!((observed.values[0] - 1.05).abs() < 1e-6 && observed.p_values[0] > 0.9);
/// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
/// ```
pub fn predictive_check(
    names: impl IntoIterator<Item = impl Into<String>>,
    observed: ArrayView2<'_, f32>,
    simulated: ArrayView3<'_, f32>,
    statistics: impl Fn(ArrayView2<'_, f32>) -> Vec<f64> + Sync,
) -> Result<PredictiveCheck, InputError> {
    let (_, n, f) = simulated.dim();
    if observed.dim() != (n, f) {
        return Err(InputError::Observation { expected: [n, f], got: observed.dim().into() });
    }
    let mut check = prior_pushforward(names, simulated, &statistics)?;
    let values = checked(&statistics(observed), check.names.len(), None)?;
    let l = check.simulated.nrows() as f64;
    let p_value = |(q, value): (usize, &f64)| {
        let column = check.simulated.column(q);
        let below = column.iter().filter(|x| *x <= value).count() as f64;
        let above = column.iter().filter(|x| *x >= value).count() as f64;
        (2.0 * (below.min(above) + 1.0) / (l + 1.0)).min(1.0)
    };
    let p_values = values.iter().enumerate().map(p_value).collect();
    check.observed = Some(Observed { values, p_values });
    Ok(check)
}

/// What a prior says of data, by statistics of one's own of data simulated from it: Gabry et al., *Visualization in
/// Bayesian workflow*, 2019.
///
/// # Shapes
/// Simulated data `[L, N, F]`. The function is given data `[N, F]` and returns one number for each name.
///
/// # Errors
/// If there is no data set or statistic, the function returns another number of statistics, or one is not finite.
pub fn prior_pushforward(
    names: impl IntoIterator<Item = impl Into<String>>,
    simulated: ArrayView3<'_, f32>,
    statistics: impl Fn(ArrayView2<'_, f32>) -> Vec<f64> + Sync,
) -> Result<PredictiveCheck, InputError> {
    let names: ParameterNames = names.into_iter().map(Into::into).collect();
    let (l, q) = (simulated.dim().0, names.len());
    at_least(Extent::DataSets, 1, l)?;
    at_least(Extent::Parameters, 1, q)?;
    let of = |i: usize| checked(&statistics(simulated.index_axis(ndarray::Axis(0), i)), q, Some(i));
    let rows = (0..l).into_par_iter().map(of).collect::<Result<Vec<Vec<f64>>, InputError>>()?;
    Ok(PredictiveCheck { names, simulated: Array2::from_shape_fn((l, q), |(l, q)| rows[l][q]), observed: None })
}

/// The statistics, if they are as many as names, and finite. Of which data set; `None` is the observed one.
fn checked(values: &[f64], expected: usize, data_set: Option<usize>) -> Result<Vec<f64>, InputError> {
    if values.len() != expected {
        return Err(InputError::Names { expected, got: values.len() });
    }
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values.to_vec()),
        Some(parameter) => Err(InputError::NonFinite {
            input: InputValue::Statistic { observed: data_set.is_none() },
            data_set: data_set.unwrap_or(0),
            parameter,
            value: values[parameter] as f32,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn means(x: ArrayView2<'_, f32>) -> Vec<f64> {
        vec![f64::from(x.sum()) / x.len() as f64]
    }

    #[test]
    fn p_values_count_what_is_as_far_out() {
        let simulated = Array3::from_shape_fn((9, 1, 1), |(l, _, _)| l as f32);
        let p = |x: f32| {
            let check = predictive_check(["mean"], array![[x]].view(), simulated.view(), means).expect("valid");
            check.observed.expect("it was given").p_values[0]
        };
        // Of 0 to 8: nothing is below −1, one is at or below 0, and five at or above 4.
        assert_eq!([p(-1.0), p(0.0), p(4.0), p(20.0)], [0.2, 0.4, 1.0, 0.2]);
        let prior = prior_pushforward(["mean"], simulated.view(), means).expect("valid");
        assert!(prior.observed.is_none() && prior.simulated[[8, 0]] == 8.0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let simulated = Array3::<f32>::zeros((3, 2, 1));
        let refused = |observed: Array2<f32>, statistics: fn(ArrayView2<'_, f32>) -> Vec<f64>| {
            predictive_check(["a"], observed.view(), simulated.view(), statistics)
                .expect_err("must be refused")
                .to_string()
        };
        assert!(refused(array![[1.0]], means).contains("[2, 1]"));
        assert!(refused(array![[1.0], [2.0]], |_| vec![1.0, 2.0]).contains("2 columns, but 1 names"));
        let nan = refused(array![[1.0], [2.0]], |x| vec![1.0 / f64::from(x[[0, 0]])]);
        assert!(nan.contains("the statistic of a simulated data set is inf for data set 0"), "{nan}");
        assert!(prior_pushforward(["a"], Array3::zeros((0, 1, 1)).view(), means).is_err());
    }
}
