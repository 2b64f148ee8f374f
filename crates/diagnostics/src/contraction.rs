//! Measures how much narrower than the prior each posterior is, and how far off its mean.

use crate::checks::{at_least, check_draws_and_truths};
use crate::moments::{mean, median, variance};
use crate::{Extent, InputError, Result};
use bayesburn_core::{Draws, ParameterNames};
use ndarray::Array2;

/// The prior variances that contraction is measured against.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum PriorVariances {
    /// The truths' own variances over the data sets, with divisor M − 1. Right if the truths are prior draws.
    #[default]
    FromTruths,
    /// Known variances, one for each parameter: for truths on a grid, or few data sets.
    Known(Vec<f64>),
}

/// Posterior z-scores and contractions.
///
/// Contraction near 1 with |z| rarely above 2 is what informative data and an exact posterior give. Contraction near 0
/// means that the data say nothing, and large |z| at high contraction means overconfidence: Schad, Betancourt and
/// Vasishth, *Toward a principled Bayesian workflow in cognitive science*, 2021.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ZScoreContraction {
    /// The parameters' names, D of them.
    pub names: ParameterNames,
    /// z = (posterior mean − truth) / posterior standard deviation, `[M, D]`. Infinite or NaN if all draws are equal.
    pub z_scores: Array2<f64>,
    /// 1 − posterior variance / prior variance, `[M, D]`, *not clipped*: negative where the posterior is wider than the
    /// prior. NaN if the prior variance is taken from constant truths.
    pub contractions: Array2<f64>,
    /// The prior variances, D of them.
    pub prior_variances: Vec<f64>,
    /// The mean contraction of each parameter.
    pub mean_contractions: Vec<f64>,
    /// The median contraction of each parameter.
    pub median_contractions: Vec<f64>,
}

/// Posterior z-scores and contractions, against the variances of the truths.
///
/// # Shapes
/// Draws `[M, L, D]`, truths `[M, D]`.
///
/// # Errors
/// If the truths do not fit the draws, a value is not finite, or there are fewer than two draws or data sets.
///
/// ```
/// use bayesburn_core::Draws;
/// use ndarray::array;
///
/// let draws = Draws::new(["mu".to_owned()].into(), array![[[0.0], [2.0]], [[7.0], [9.0]]])?;
/// let check = bayesburn_diagnostics::z_score_contraction(&draws, &array![[1.0], [9.0]])?;
/// assert_eq!(check.prior_variances, [32.0]);
/// assert_eq!(check.mean_contractions, [1.0 - 2.0 / 32.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn z_score_contraction(draws: &Draws, truths: &Array2<f32>) -> Result<ZScoreContraction, InputError> {
    z_score_contraction_with(draws, truths, PriorVariances::FromTruths)
}

/// [`z_score_contraction`] against prior variances of one's choice.
///
/// # Errors
/// As [`z_score_contraction`], except that known variances allow a single data set; and if they are not one finite
/// positive number for each parameter.
pub fn z_score_contraction_with(
    draws: &Draws,
    truths: &Array2<f32>,
    prior: PriorVariances,
) -> Result<ZScoreContraction, InputError> {
    check_draws_and_truths(draws, truths)?;
    at_least(Extent::Draws, 2, draws.num_draws())?;
    let prior_variances = match prior {
        PriorVariances::FromTruths => {
            at_least(Extent::DataSets, 2, draws.num_data_sets())?;
            truths.columns().into_iter().map(variance).collect()
        }
        PriorVariances::Known(got) => {
            let expected = draws.num_parameters();
            if got.len() != expected || got.iter().any(|variance| !(variance.is_finite() && *variance > 0.0)) {
                return Err(InputError::NotPositive { what: "prior variances", expected, got });
            }
            got
        }
    };
    let std = draws.std();
    let z_scores = (draws.mean() - truths.mapv(f64::from)) / &std;
    let mut contractions = std;
    for (mut column, prior) in contractions.columns_mut().into_iter().zip(&prior_variances) {
        // 0 / 0 is NaN and s² / 0 is −∞; a constant has no contraction, so both become NaN.
        column.mapv_inplace(|std| if *prior > 0.0 { 1.0 - std * std / prior } else { f64::NAN });
    }
    let columns = || contractions.columns().into_iter();
    Ok(ZScoreContraction {
        names: draws.names().clone(),
        mean_contractions: columns().map(|column| mean(column.iter().copied())).collect(),
        median_contractions: columns().map(|column| median(&mut column.to_vec())).collect(),
        z_scores,
        contractions,
        prior_variances,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn draws(values: Array3<f32>) -> Draws {
        Draws::new((0..values.dim().2).map(|i| format!("p{i}")).collect(), values).expect("names fit")
    }

    #[test]
    fn values_match_hand_computation_and_are_not_clipped() {
        // Posterior variances 2 and 18, prior variance 2: contractions 0 and −8.
        let draws = draws(array![[[0.0], [2.0]], [[0.0], [6.0]]]);
        let check = z_score_contraction(&draws, &array![[1.0], [3.0]]).expect("valid");
        assert_eq!(check.prior_variances, [2.0]);
        assert!((check.contractions[[0, 0]]).abs() < 1e-12 && (check.contractions[[1, 0]] + 8.0).abs() < 1e-12);
        assert!((check.mean_contractions[0] + 4.0).abs() < 1e-12 && (check.median_contractions[0] + 4.0).abs() < 1e-12);
        assert_eq!(check.z_scores, array![[0.0], [0.0]]);
    }

    #[test]
    fn z_has_the_sign_of_the_overestimate() {
        let check =
            z_score_contraction_with(&draws(array![[[4.0], [6.0]]]), &array![[3.0]], PriorVariances::Known(vec![4.0]))
                .expect("one data set suffices with a known prior");
        assert!((check.z_scores[[0, 0]] - 2.0_f64.sqrt()).abs() < 1e-12);
        assert!((check.contractions[[0, 0]] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn constants_are_nan_and_bad_priors_refused() {
        let draws = draws(array![[[4.0], [6.0]], [[1.0], [2.0]]]);
        let truths = array![[3.0], [3.0]];
        let check = z_score_contraction(&draws, &truths).expect("valid");
        assert!(check.contractions.iter().all(|x| x.is_nan()));
        for bad in [vec![], vec![1.0, 1.0], vec![0.0], vec![f64::NAN]] {
            let error = z_score_contraction_with(&draws, &truths, PriorVariances::Known(bad)).expect_err("refused");
            assert!(matches!(error, InputError::NotPositive { expected: 1, .. }), "{error}");
        }
    }

    #[test]
    fn too_few_draws_or_data_sets_are_refused() {
        let one_draw = z_score_contraction(&draws(Array3::zeros((5, 1, 1))), &Array2::zeros((5, 1)));
        assert!(one_draw.expect_err("1 draw").to_string().contains("1 draws, but this check needs at least 2"));
        assert!(z_score_contraction(&draws(Array3::zeros((1, 5, 1))), &Array2::zeros((1, 1))).is_err());
    }
}
