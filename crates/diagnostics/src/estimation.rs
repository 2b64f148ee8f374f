//! Measures how far draws are from the truths: root mean squared errors, and correlations.

use crate::checks::{at_least, check_draws_and_truths};
use crate::moments::{correlation, mean, median};
use crate::{Extent, InputError, Result};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;

/// How far draws are from the truths, for each parameter.
///
/// These say how much is learnt from data, which depends on the model as well as on the networks; they do not say
/// whether a posterior is honest.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EstimationErrors {
    /// The parameters' names, D of them.
    pub names: ParameterNames,
    /// The root mean squared distance of a data set's draws from its truth, `[M, D]`.
    pub rmse_of_each: Array2<f64>,
    /// Its median over data sets.
    pub rmse: Vec<f64>,
    /// The same, divided by that of draws from the prior instead of the posterior: 0 if all draws are the truth, 1 if
    /// the data say nothing. The truths are what is known of the prior. (BayesFlow resamples them; here the sum over
    /// all is exact.) NaN if they are constant.
    pub normalized_rmse: Vec<f64>,
    /// The median over l of the correlation of the l-th draws with the truths, of those l whose draws vary; NaN if none
    /// do, or the truths are constant.
    pub correlations: Vec<f64>,
}

/// Root mean squared errors and correlations of draws, as in BayesFlow 2.
///
/// # Shapes
/// Draws `[M, L, D]`, truths `[M, D]`.
///
/// # Errors
/// If the truths do not fit the draws, a value is not finite, or there are fewer than two data sets.
///
/// ```
/// use bayesburn_core::Draws;
/// use ndarray::array;
///
/// let draws = Draws::new(["mu".to_owned()].into(), array![[[1.0], [3.0]], [[5.0], [5.0]]])?;
/// let errors = bayesburn_diagnostics::estimation_errors(&draws, &array![[1.0], [5.0]])?;
/// assert_eq!(errors.rmse_of_each, array![[2.0_f64.sqrt()], [0.0]]);
/// assert_eq!(errors.normalized_rmse, [0.25]); // a prior draw is 4 or 0 away, √8 on average
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn estimation_errors(draws: &Draws, truths: &Array2<f32>) -> Result<EstimationErrors, InputError> {
    check_draws_and_truths(draws, truths)?;
    at_least(Extent::DataSets, 2, draws.num_data_sets())?;
    let (m, d) = truths.dim();
    let l = draws.num_draws();
    let values = draws.values();
    let error = |i: usize| {
        let (data_set, parameter) = (i / d, i % d);
        let truth = f64::from(truths[[data_set, parameter]]);
        let squares = (0..l).map(|draw| (f64::from(values[[data_set, draw, parameter]]) - truth).powi(2));
        mean(squares).sqrt()
    };
    let all: Vec<f64> = (0..m * d).into_par_iter().map(error).collect();
    let rmse_of_each = Array2::from_shape_fn((m, d), |(data_set, parameter)| all[data_set * d + parameter]);
    let rmse: Vec<f64> = rmse_of_each.columns().into_iter().map(|column| median(&mut column.to_vec())).collect();
    let of_prior = |column: ArrayView1<'_, f32>| {
        let center = mean(column.iter().map(|&x| f64::from(x)));
        let square = |&x: &f32| (f64::from(x) - center).powi(2);
        let variance = mean(column.iter().map(square));
        // The mean over all θ' of (θ' − θ)².
        let mut errors: Vec<f64> = column.iter().map(|x| (variance + square(x)).sqrt()).collect();
        if variance > 0.0 { median(&mut errors) } else { f64::NAN }
    };
    let correlations = (0..d).into_par_iter().map(|parameter| {
        let of_draw = |draw: usize| {
            let pairs = (0..m).map(|i| (f64::from(values[[i, draw, parameter]]), f64::from(truths[[i, parameter]])));
            correlation(pairs)
        };
        median(&mut (0..l).map(of_draw).filter(|r| !r.is_nan()).collect::<Vec<f64>>())
    });
    Ok(EstimationErrors {
        names: draws.names().clone(),
        normalized_rmse: rmse.iter().zip(truths.columns()).map(|(rmse, column)| rmse / of_prior(column)).collect(),
        rmse_of_each,
        rmse,
        correlations: correlations.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn errors_match_hand_computed_values() {
        let names = ["a".to_owned(), "b".to_owned()].into();
        let draws =
            Draws::new(names, array![[[1.0, 0.0], [2.0, 0.0]], [[3.0, 0.0], [5.0, 0.0]], [[2.0, 0.0], [9.0, 0.0]]]);
        let errors =
            estimation_errors(&draws.expect("two names"), &array![[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]]).expect("valid");
        // a: √(1/2), √5, √(37/2); a prior draw is √(2/3 + 1), √(2/3) and √(2/3 + 1) away.
        assert!((errors.rmse[0] - 5.0_f64.sqrt()).abs() < 1e-12);
        assert!((errors.normalized_rmse[0] - (5.0_f64 / (5.0 / 3.0)).sqrt()).abs() < 1e-12);
        // (1, 3, 2) and (2, 5, 9) with (1, 2, 3): 1/2, and 7/2 over √(74/3) · ½ √2.
        let second = 3.5 / ((74.0_f64 / 3.0) / 2.0).sqrt();
        assert!((errors.correlations[0] - (0.5 + second) / 2.0).abs() < 1e-12, "{:?}", errors.correlations);
        assert!(
            (errors.rmse[1], errors.normalized_rmse[1].is_nan(), errors.correlations[1].is_nan()) == (7.0, true, true)
        );
    }

    /// The first draws do not vary, and have no correlation; those of the second and third are 1 and 1/2.
    #[test]
    fn draws_that_do_not_vary_have_no_part_in_the_median_of_correlations() {
        let draws = array![[[7.0], [1.0], [2.0]], [[7.0], [2.0], [1.0]], [[7.0], [3.0], [3.0]]];
        let draws = Draws::new(["a".to_owned()].into(), draws).expect("one name");
        let errors = estimation_errors(&draws, &array![[1.0], [2.0], [3.0]]).expect("valid");
        assert!((errors.correlations[0] - 0.75).abs() < 1e-12, "{:?}", errors.correlations);
    }

    #[test]
    fn one_data_set_is_refused() {
        let draws = Draws::new(["a".to_owned()].into(), Array3::zeros((1, 3, 1))).expect("one name");
        assert!(estimation_errors(&draws, &array![[0.0]]).is_err());
    }
}
