//! Ranks what is more than a parameter by itself: functions of several of them, and of the data.

use super::RankError;
use super::ranks::Ranks;
use crate::checks::{at_least, check_draws_and_truths};
use crate::{Extent, InputError, InputValue, Result};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

/// Ranks of test quantities: for each, how many draws have a smaller one than the truth. Ties are broken as [`Ranks`]
/// says.
///
/// If a posterior is exact, the rank of the truth's quantity among those of its draws is uniform, whatever the quantity
/// is. Ranks of parameters alone do not see whether draws go together as they should, or whether the data were looked
/// at; those of products, distances and likelihoods do: Modrák et al., *Simulation-based calibration checking for
/// Bayesian computation: the choice of test quantities shapes sensitivity*, 2025. The ranks are judged as others are,
/// by [`RankEcdfs`](crate::RankEcdfs), [`RankHistograms`](crate::RankHistograms), [`RankTests`](crate::RankTests) and
/// [`Coverage`](crate::Coverage).
///
/// The function is given a data set's index and parameters `[D]`, those of the truth and of each draw, and returns one
/// number for each name.
///
/// # Errors
/// If the truths do not fit the draws, an axis is empty, a parameter is not finite, a quantity is NaN or ∞, or the
/// numbers of names and quantities differ. (−∞ is the logarithm of a likelihood of 0.)
///
/// ```
/// use bayesburn_core::Draws;
/// use bayesburn_diagnostics::{RankTests, quantity_ranks};
/// use ndarray::{array, arr3};
///
/// // The likelihood of what was observed, a number for each of three data sets.
/// let observed = [0.3_f32, -1.0, 2.0];
/// let names = ["mu".to_owned()].into();
/// let draws = Draws::new(names, arr3(&[[[0.1], [0.4]], [[-1.2], [-0.8]], [[1.5], [2.5]]]))?;
/// let ranks = quantity_ranks(&draws, &array![[0.25], [-0.9], [1.2]], ["log likelihood"], |data_set, mu| {
///     vec![-0.5 * f64::from(observed[data_set] - mu[0]).powi(2)]
/// })?;
/// assert_eq!(ranks.values(), &array![[2], [2], [0]]);
/// let tests = RankTests::new(&ranks, 1)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn quantity_ranks(
    draws: &Draws,
    truths: &Array2<f32>,
    names: impl IntoIterator<Item = impl Into<String>>,
    quantities: impl Fn(usize, ArrayView1<'_, f32>) -> Vec<f64> + Sync,
) -> Result<Ranks, RankError> {
    ranks_of(draws, truths, names, |data_set, _, _| {
        let quantities = &quantities;
        move |theta: ArrayView1<'_, f32>| quantities(data_set, theta)
    })
}

/// Ranks of products of two standardised parameters, one for each pair: whether parameters that go together do so in
/// the draws.
///
/// Parameters are standardised by mean and standard deviation of a data set's draws and truth together, so that ranks
/// of an exact posterior are exactly uniform.
///
/// # Errors
/// As [`quantity_ranks`], and if there is but one parameter.
pub fn product_ranks(draws: &Draws, truths: &Array2<f32>) -> Result<Ranks, RankError> {
    at_least(Extent::Parameters, 2, draws.num_parameters())?;
    ranks_of_pairs(draws, truths, &pairs(draws.num_parameters()))
}

/// All pairs of D parameters.
pub(crate) fn pairs(d: usize) -> Vec<[usize; 2]> {
    (0..d).flat_map(|j| (0..j).map(move |i| [i, j])).collect()
}

/// [`product_ranks`] of some pairs.
pub(crate) fn ranks_of_pairs(draws: &Draws, truths: &Array2<f32>, pairs: &[[usize; 2]]) -> Result<Ranks, RankError> {
    let names = pairs.iter().map(|pair| {
        let [a, b] = pair.map(|i| &draws.names()[i]);
        format!("{a} × {b}")
    });
    ranks_of(draws, truths, names, |_, truth, draws| {
        let (mean, scale) = pooled_moments(truth, draws);
        move |theta: ArrayView1<'_, f32>| {
            let z: Vec<f64> = (0..mean.len()).map(|i| (f64::from(theta[i]) - mean[i]) * scale[i]).collect();
            pairs.iter().map(|&[i, j]| z[i] * z[j]).collect()
        }
    })
}

/// Ranks of Euclidean distances to a reference for each data set, `[M, D]`, of parameters divided by scales `[D]`: one
/// quantity of all of them.
///
/// References must not depend on the truths, but may on the data.
///
/// # Errors
/// As [`quantity_ranks`]; if the references do not fit the truths, or a scale is not above 0.
pub fn distance_ranks(
    draws: &Draws,
    truths: &Array2<f32>,
    references: &Array2<f32>,
    scales: &[f64],
) -> Result<Ranks, RankError> {
    if references.dim() != truths.dim() {
        return Err(RankError::References { expected: truths.dim().into(), got: references.dim().into() });
    }
    if scales.len() != truths.ncols() || scales.iter().any(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return Err(InputError::NotPositive { what: "scales", expected: truths.ncols(), got: scales.to_vec() }.into());
    }
    quantity_ranks(draws, truths, ["distance to a reference"], |data_set, theta| {
        let parts = theta.iter().zip(references.row(data_set)).zip(scales);
        let squares = parts.map(|((x, reference), scale)| ((f64::from(*x) - f64::from(*reference)) / scale).powi(2));
        vec![squares.sum::<f64>()]
    })
}

/// Ranks of the truths' densities: how many draws are less probable. Of a posterior that knows its own density. Ties
/// are broken as [`Ranks`] says.
///
/// # Shapes
/// ln q of the draws `[M, L]`, and of the truths `[M]`, each given its data set.
///
/// # Errors
/// If their numbers of data sets differ, an axis is empty, or a value is NaN or ∞. (−∞ is the density outside of the
/// support.)
pub fn density_ranks(log_prob: &Array2<f32>, of_truths: &Array1<f32>) -> Result<Ranks, RankError> {
    let (m, l) = log_prob.dim();
    if of_truths.len() != m {
        return Err(InputError::Truths { expected: [m, 1], got: [of_truths.len(), 1] }.into());
    }
    let bad = |value: &f32| value.is_nan() || *value == f32::INFINITY;
    let all = log_prob.indexed_iter().map(|((data_set, _), value)| (data_set, value));
    if let Some((data_set, &value)) = all.chain(of_truths.iter().enumerate()).find(|(_, value)| bad(value)) {
        return Err(InputError::NonFinite { input: InputValue::LogProb, data_set, parameter: 0, value }.into());
    }
    let counted = |counts: fn(f32, f32) -> bool| {
        let sets = log_prob.outer_iter().zip(of_truths);
        let counts = sets.map(|(draws, &truth)| draws.iter().filter(|x| counts(**x, truth)).count() as u32);
        Array1::from_iter(counts).insert_axis(ndarray::Axis(1))
    };
    let (below, ties) = (counted(|x, truth| x < truth), counted(|x, truth| x == truth));
    Ranks::counted(["log density".to_owned()].into(), l, below, ties)
}

/// By a function of a data set's index, truth `[D]` and draws `[L, D]`, which returns that of parameters. Quantities
/// are not kept: there may be hundreds, of a million draws.
fn ranks_of<F: FnMut(ArrayView1<'_, f32>) -> Vec<f64>>(
    draws: &Draws,
    truths: &Array2<f32>,
    names: impl IntoIterator<Item = impl Into<String>>,
    of_data_set: impl Fn(usize, ArrayView1<'_, f32>, ArrayView2<'_, f32>) -> F + Sync,
) -> Result<Ranks, RankError> {
    check_draws_and_truths(draws, truths)?;
    let names: ParameterNames = names.into_iter().map(Into::into).collect();
    let q = names.len();
    let rank = |data_set: usize| {
        let (truth, draws) = (truths.row(data_set), draws.data_set(data_set));
        let mut quantities = of_data_set(data_set, truth, draws);
        let mut checked = |draw: Option<usize>, theta: ArrayView1<'_, f32>| {
            let values = quantities(theta);
            if values.len() != q {
                return Err(InputError::Names { expected: q, got: values.len() }.into());
            }
            match values.iter().position(|value| value.is_nan() || *value == f64::INFINITY) {
                None => Ok(values),
                Some(i) => {
                    let (name, value) = (names[i].clone(), values[i]);
                    Err(RankError::TestQuantity { name, draw, data_set, value })
                }
            }
        };
        let of_truth = checked(None, truth)?;
        let mut counts = vec![[0_u32; 2]; q];
        for (l, draw) in draws.outer_iter().enumerate() {
            for ((count, x), truth) in counts.iter_mut().zip(checked(Some(l), draw)?).zip(&of_truth) {
                count[0] += u32::from(x < *truth);
                count[1] += u32::from(x == *truth);
            }
        }
        Ok(counts)
    };
    let all =
        (0..draws.num_data_sets()).into_par_iter().map(rank).collect::<Result<Vec<Vec<[u32; 2]>>, RankError>>()?;
    let counted = |which: usize| Array2::from_shape_fn((all.len(), q), |(m, q)| all[m][q][which]);
    Ranks::counted(names, draws.num_draws(), counted(0), counted(1))
}

/// Of a data set's draws and truth together: means, and what deviations from them are multiplied by, 0 for constants.
fn pooled_moments(truth: ArrayView1<'_, f32>, draws: ArrayView2<'_, f32>) -> (Vec<f64>, Vec<f64>) {
    let n = (draws.nrows() + 1) as f64;
    let moments = |i: usize| {
        let values = || draws.column(i).into_iter().chain([&truth[i]]).map(|&x| f64::from(x));
        let mean = values().sum::<f64>() / n;
        let variance = values().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (mean, if variance > 0.0 { variance.sqrt().recip() } else { 0.0 })
    };
    (0..truth.len()).map(moments).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, arr3, array};

    fn draws() -> (Draws, Array2<f32>) {
        let names = ["a".to_owned(), "b".to_owned()].into();
        (Draws::new(names, arr3(&[[[0.0, 2.0], [4.0, 6.0], [4.0, 1.0]]])).expect("two names"), array![[2.0, 7.0]])
    }

    #[test]
    fn ranks_match_hand_computed_quantities() {
        let (draws, truths) = draws();
        // Means 2.5 and 4: products 5, 3 and −4.5 before scaling, and −1.5 of the truth.
        let products = product_ranks(&draws, &truths).expect("valid");
        assert_eq!((products.names().to_vec(), products.values()), (vec!["a × b".to_owned()], &array![[1]]));
        // Distances to (1, 2) with b divided by 5: 1, √9.64 and √9.04, and √2 of the truth.
        let distances = distance_ranks(&draws, &truths, &array![[1.0, 2.0]], &[1.0, 5.0]).expect("valid");
        assert_eq!(distances.values(), &array![[1]]);
        let (mean, scale) = pooled_moments(truths.row(0), draws.data_set(0));
        assert_eq!(mean, [2.5, 4.0]);
        assert!((scale[0] - (11.0_f64 / 4.0).sqrt().recip()).abs() < 1e-12);
        let densities = density_ranks(&array![[0.0, f32::NEG_INFINITY, 2.0]], &array![1.0]).expect("valid");
        assert_eq!(densities.values(), &array![[2]]);
    }

    #[test]
    fn bad_quantities_are_refused_by_name() {
        let (draws, truths) = draws();
        let refused = |f: fn(usize, ArrayView1<'_, f32>) -> Vec<f64>| {
            quantity_ranks(&draws, &truths, ["q"], f).expect_err("must be refused").to_string()
        };
        let infinite = refused(|_, theta| vec![1.0 / f64::from(theta[0] - 4.0)]);
        assert!(infinite.contains("`q` of draw 1 is inf for data set 0"), "{infinite}");
        assert!(refused(|_, _| vec![f64::NAN]).contains("`q` of the truth is NaN"));
        let impossible = |_, theta: ArrayView1<'_, f32>| vec![f64::from(theta[0] - 4.0).abs().ln()];
        assert!(quantity_ranks(&draws, &truths, ["q"], impossible).is_ok(), "the likelihood may be 0");
        assert!(refused(|_, _| vec![0.0, 1.0]).contains("2 columns, but 1 names"));
        let one = Draws::new(["a".to_owned()].into(), Array3::zeros((1, 1, 1))).expect("one name");
        assert!(product_ranks(&one, &array![[0.0]]).is_err());
        for (references, scales) in [(array![[0.0]], vec![1.0, 1.0]), (array![[0.0, 0.0]], vec![1.0, 0.0])] {
            assert!(distance_ranks(&draws, &truths, &references, &scales).is_err());
        }
        assert!(density_ranks(&array![[0.0]], &array![0.0, 1.0]).is_err());
        let error = density_ranks(&array![[0.0], [1.0]], &array![0.0, f32::NAN]).expect_err("NaN").to_string();
        assert!(error.contains("the log density is NaN for data set 1"), "{error}");
    }
}
