//! Shows what becomes of results when a model is changed, and of a posterior when its prior or its data are.

use crate::checks::{at_least, check_finite_draws};
use crate::moments::{mean, variance};
use crate::two_sample::sliced_wasserstein;
use crate::{Extent, InputError, Result};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array2, Array3, ArrayView1};

/// Directions of the sliced Wasserstein distance.
const PROJECTIONS: usize = 100;

/// Numbers on a grid of two settings.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SensitivityGrid {
    /// What is varied: down the rows, and along the columns.
    pub settings: [String; 2],
    /// The values of both.
    pub values: [Vec<f64>; 2],
    /// The numbers' names, Q of them.
    pub names: ParameterNames,
    /// The numbers at each pair of values, `[A, B, Q]`.
    pub numbers: Array3<f64>,
}

/// Computes numbers at each pair of two settings, such as how far a model of the simulated data is from the one that
/// was trained on: errors of the posterior, the discrepancy of its summaries. In order, one after the other; what the
/// function does may be parallel itself.
///
/// # Errors
/// What the function reports; if there is no value of a setting, or no name; if it returns another number of numbers.
/// The numbers may be infinite or NaN, and are shown as missing.
///
/// ```
/// use bayesburn_diagnostics::{DiagnosticsError, sensitivity_grid};
///
/// let noise = ("noise", vec![1.0, 2.0]);
/// let shift = ("shift", vec![0.0, 1.0, 2.0]);
/// let error = |noise: f64, shift: f64| Ok::<_, DiagnosticsError>(vec![noise * shift]);
/// let grid = sensitivity_grid(noise, shift, ["error"], error)?;
/// assert_eq!(grid.numbers[[1, 2, 0]], 4.0);
/// # Ok::<(), DiagnosticsError>(())
/// ```
pub fn sensitivity_grid<E: From<InputError>>(
    (rows, row_values): (&str, Vec<f64>),
    (columns, column_values): (&str, Vec<f64>),
    names: impl IntoIterator<Item = impl Into<String>>,
    mut numbers: impl FnMut(f64, f64) -> std::result::Result<Vec<f64>, E>,
) -> std::result::Result<SensitivityGrid, E> {
    let names: ParameterNames = names.into_iter().map(Into::into).collect();
    at_least(Extent::Values, 1, row_values.len().min(column_values.len()))?;
    at_least(Extent::Parameters, 1, names.len())?;
    let mut all = Array3::zeros((row_values.len(), column_values.len(), names.len()));
    for (i, &a) in row_values.iter().enumerate() {
        for (j, &b) in column_values.iter().enumerate() {
            let got = numbers(a, b)?;
            if got.len() != names.len() {
                return Err(InputError::Names { expected: names.len(), got: got.len() }.into());
            }
            got.into_iter().enumerate().for_each(|(q, number)| all[[i, j, q]] = number);
        }
    }
    Ok(SensitivityGrid {
        settings: [rows.to_owned(), columns.to_owned()],
        values: [row_values, column_values],
        names,
        numbers: all,
    })
}

/// How far posteriors of changed priors or data are from one of them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PosteriorShifts {
    /// The parameters' names, D of them.
    pub names: ParameterNames,
    /// What was changed, K labels.
    pub labels: Vec<String>,
    /// How much higher the mean is, in standard deviations of the posterior that they are compared with, `[K, D]`.
    pub shifts: Array2<f64>,
    /// The standard deviation as a share of that posterior's, `[K, D]`.
    pub widths: Array2<f64>,
    /// The sliced Wasserstein distance of all parameters, in standard deviations of each.
    pub distances: Vec<f64>,
}

/// Compares posteriors with one of them: the same data under other priors (contexts of an amortized prior), or without
/// one observation after the other. An amortized posterior makes each of them in milliseconds: Elsemüller et al.,
/// *Sensitivity-aware amortized Bayesian inference*, 2024.
///
/// # Shapes
/// Draws `[1, L, D]` of the posterior that the others are compared with, and `[K, L', D]` of these, with K labels.
///
/// # Errors
/// If parameters or numbers of labels differ, there are fewer than two draws, a value is not finite, or a parameter of
/// the first posterior does not vary.
///
/// ```
/// use bayesburn_core::Draws;
/// use bayesburn_diagnostics::posterior_shifts;
/// use ndarray::array;
///
/// let names = || ["mu".to_owned()].into();
/// let all = Draws::new(names(), array![[[-1.0], [0.0], [1.0]]])?;
/// let without = Draws::new(names(), array![[[0.0], [1.0], [2.0]], [[-2.0], [0.0], [2.0]]])?;
/// let shifts = posterior_shifts(&all, &without, ["without 1", "without 2"])?;
/// assert_eq!((shifts.shifts[[0, 0]], shifts.widths[[1, 0]]), (1.0, 2.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn posterior_shifts(
    base: &Draws,
    others: &Draws,
    labels: impl IntoIterator<Item = impl Into<String>>,
) -> Result<PosteriorShifts> {
    let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
    let (k, d) = (others.num_data_sets(), base.num_parameters());
    if base.names() != others.names() {
        let (expected, got) = (base.names().to_vec(), others.names().to_vec());
        return Err(InputError::OtherParameters { expected, got }.into());
    }
    if base.num_data_sets() != 1 {
        return Err(InputError::Rows { expected: 1, got: base.num_data_sets() }.into());
    }
    if labels.len() != k {
        return Err(InputError::Rows { expected: k, got: labels.len() }.into());
    }
    at_least(Extent::Draws, 2, base.num_draws().min(others.num_draws()))?;
    let moments = |column: ArrayView1<'_, f32>| (mean(column.iter().map(|&x| f64::from(x))), variance(column).sqrt());
    [base, others].into_iter().try_for_each(|draws| check_finite_draws(draws.values()))?;
    let of_base: Vec<(f64, f64)> = base.data_set(0).columns().into_iter().map(moments).collect();
    if let Some(column) = of_base.iter().position(|(_, std)| *std <= 0.0) {
        return Err(InputError::ConstantParameter { name: base.names()[column].clone() }.into());
    }
    let (mut shifts, mut widths) = (Array2::zeros((k, d)), Array2::zeros((k, d)));
    let standardized = |draws: ndarray::ArrayView2<'_, f32>| {
        Array2::from_shape_fn(draws.dim(), |(l, i)| {
            let (mean, std) = of_base[i];
            ((f64::from(draws[[l, i]]) - mean) / std) as f32
        })
    };
    let reference = standardized(base.data_set(0));
    let mut distances = Vec::with_capacity(k);
    for other in 0..k {
        let draws = others.data_set(other);
        for (i, column) in draws.columns().into_iter().enumerate() {
            let (mean, std) = moments(column);
            shifts[[other, i]] = (mean - of_base[i].0) / of_base[i].1;
            widths[[other, i]] = std / of_base[i].1;
        }
        distances.push(sliced_wasserstein(&reference, &standardized(draws), PROJECTIONS, 0)?);
    }
    Ok(PosteriorShifts { names: base.names().clone(), labels, shifts, widths, distances })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DiagnosticsError;
    use ndarray::array;

    fn draws(values: Array3<f32>) -> Draws {
        Draws::new((0..values.dim().2).map(|i| format!("p{i}")).collect(), values).expect("names fit")
    }

    #[test]
    fn grids_are_filled_row_by_row_and_errors_passed_on() {
        let mut calls = Vec::new();
        let grid = sensitivity_grid(("a", vec![1.0, 2.0]), ("b", vec![3.0]), ["sum", "none"], |a, b| {
            calls.push((a, b));
            Ok::<_, DiagnosticsError>(vec![a + b, f64::NAN])
        });
        let grid = grid.expect("valid");
        assert_eq!((calls.as_slice(), grid.numbers[[1, 0, 0]]), (&[(1.0, 3.0), (2.0, 3.0)][..], 5.0));
        let wrong = |numbers: fn(f64, f64) -> Result<Vec<f64>>| {
            sensitivity_grid(("a", vec![1.0]), ("b", vec![1.0]), ["q"], numbers)
                .expect_err("must be refused")
                .to_string()
        };
        assert!(wrong(|_, _| Ok(vec![])).contains("0 columns, but 1 names"));
        assert!(wrong(|_, _| Err(InputError::Widths { got: vec![7] }.into())).contains("[7]"));
        let none = sensitivity_grid(("a", vec![]), ("b", vec![1.0]), ["q"], |_, _| Ok::<_, DiagnosticsError>(vec![]));
        assert!(none.expect_err("no value").to_string().contains("0 values"));
    }

    #[test]
    fn shifts_are_in_units_of_the_first_posterior() {
        let base = draws(array![[[0.0, 10.0], [2.0, 30.0], [4.0, 50.0]]]);
        let other = draws(array![[[2.0, 10.0], [4.0, 30.0], [6.0, 50.0]], [[0.0, 20.0], [2.0, 30.0], [4.0, 40.0]]]);
        let shifts = posterior_shifts(&base, &other, ["x", "y"]).expect("valid");
        assert_eq!(shifts.shifts, array![[1.0, 0.0], [0.0, 0.0]]);
        assert_eq!(shifts.widths, array![[1.0, 1.0], [1.0, 0.5]]);
        assert!(shifts.distances[0] > shifts.distances[1] && shifts.distances[1] > 0.0);
        assert!(posterior_shifts(&base, &base, ["same"]).expect("valid").distances[0] < 1e-9);
    }

    #[test]
    fn posteriors_that_do_not_fit_are_refused() {
        let base = draws(array![[[0.0], [1.0]]]);
        assert!(posterior_shifts(&base, &draws(array![[[0.0, 1.0], [1.0, 2.0]]]), ["x"]).is_err());
        assert!(posterior_shifts(&base, &base, ["x", "y"]).expect_err("two labels").to_string().contains("2 rows"));
        assert!(posterior_shifts(&draws(Array3::zeros((2, 2, 1))), &base, ["x"]).is_err());
        assert!(
            posterior_shifts(&draws(Array3::zeros((1, 2, 1))), &base, ["x"])
                .expect_err("constant")
                .to_string()
                .contains("`p0` is the same")
        );
        assert!(posterior_shifts(&base, &draws(array![[[f32::NAN], [1.0]]]), ["x"]).is_err());
    }
}
