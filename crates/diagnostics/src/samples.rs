//! Summarises independent samples, from the prior or the latent space, by moments and correlations.

use crate::checks::{at_least, check_finite};
use crate::moments::{correlations, mean, variance};
use crate::{Extent, InputError, InputValue, Result};
use bayesburn_core::ParameterNames;
use ndarray::Array2;

/// Samples `[M, D]` and their first two moments.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampleMoments {
    /// One name for each column, D of them.
    pub names: ParameterNames,
    /// The samples, `[M, D]`.
    pub samples: Array2<f32>,
    /// The mean of each column.
    pub means: Vec<f64>,
    /// The standard deviation of each column, with divisor M − 1.
    pub stds: Vec<f64>,
    /// Pearson's correlations, `[D, D]`; NaN in the row and column of a constant.
    pub correlations: Array2<f64>,
}

impl SampleMoments {
    fn new(names: ParameterNames, samples: &Array2<f32>, input: InputValue) -> Result<Self, InputError> {
        if names.len() != samples.ncols() {
            return Err(InputError::Names { expected: names.len(), got: samples.ncols() });
        }
        at_least(Extent::DataSets, 2, samples.nrows())?;
        at_least(Extent::Parameters, 1, samples.ncols())?;
        check_finite(input, samples.view())?;
        let columns = || samples.columns().into_iter();
        Ok(Self {
            names,
            means: columns().map(|column| mean(column.iter().map(|&x| f64::from(x)))).collect(),
            stds: columns().map(|column| variance(column).sqrt()).collect(),
            correlations: correlations(samples.view()),
            samples: samples.clone(),
        })
    }
}

/// The latent variables of simulated pairs, which the loss pushes towards a standard normal.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LatentSpace {
    /// The latent variables, named z₁ to z_D, with their moments.
    pub moments: SampleMoments,
}

/// Prior draws.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PriorPairs {
    /// The draws with their moments.
    pub moments: SampleMoments,
}

/// Latent variables of a normalizing flow against the standard normal that they should follow.
///
/// Means near 0, standard deviations near 1 and no correlations mean that training has converged; they do not mean that
/// the posterior is calibrated for each data set.
///
/// # Shapes
/// Latent variables `[M, D]`.
///
/// # Errors
/// If there are fewer than two rows, no column, or a value that is not finite.
///
/// ```
/// let z = ndarray::array![[-1.0, 1.0], [0.0, -2.0], [1.0, 1.0]];
/// let latent = bayesburn_diagnostics::latent_space(&z)?;
/// assert_eq!(latent.moments.means, [0.0, 0.0]);
/// assert_eq!(latent.moments.correlations[[0, 1]], 0.0);
/// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
/// ```
pub fn latent_space(z: &Array2<f32>) -> Result<LatentSpace, InputError> {
    let names = (1..=z.ncols()).map(|i| format!("z{}", subscript(i))).collect();
    Ok(LatentSpace { moments: SampleMoments::new(names, z, InputValue::Latent)? })
}

/// Prior draws in pairs: what the prior says before any data, correlations included.
///
/// # Shapes
/// Prior draws `[M, D]`, and D names.
///
/// # Errors
/// If the number of names is not D, there are fewer than two draws, no parameter, or a value that is not finite.
///
/// ```
/// let names = ["rate".to_owned(), "constant".to_owned()].into();
/// let pairs = bayesburn_diagnostics::prior_pairs(&names, &ndarray::array![[1.0, 7.0], [3.0, 7.0]])?;
/// assert_eq!(pairs.moments.means, [2.0, 7.0]);
/// assert!(pairs.moments.correlations[[0, 1]].is_nan()); // a constant correlates with nothing
/// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
/// ```
pub fn prior_pairs(names: &ParameterNames, draws: &Array2<f32>) -> Result<PriorPairs, InputError> {
    Ok(PriorPairs { moments: SampleMoments::new(names.clone(), draws, InputValue::PriorDraw)? })
}

/// The digits of `number` as Unicode subscripts.
fn subscript(number: usize) -> String {
    number.to_string().bytes().filter_map(|digit| char::from_u32(0x2080 + u32::from(digit - b'0'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn moments_match_hand_computed_values() {
        let latent = latent_space(&array![[1.0, 3.0], [3.0, 1.0]]).expect("valid");
        assert_eq!(latent.moments.names.to_vec(), ["z₁", "z₂"]);
        assert_eq!((latent.moments.means[0], latent.moments.stds[0]), (2.0, 2.0_f64.sqrt()));
        assert!((latent.moments.correlations[[1, 0]] + 1.0).abs() < 1e-12);
        assert_eq!(subscript(120), "₁₂₀");
    }

    #[test]
    fn bad_samples_are_refused_by_name() {
        let names: ParameterNames = ["a".to_owned()].into();
        assert!(matches!(prior_pairs(&names, &Array2::zeros((3, 2))), Err(InputError::Names { expected: 1, got: 2 })));
        assert!(latent_space(&Array2::zeros((1, 2))).is_err());
        let error = prior_pairs(&names, &array![[0.0], [f32::NEG_INFINITY]]).expect_err("infinite").to_string();
        assert!(error.contains("the prior draw is -inf for data set 1, parameter 0"), "{error}");
    }
}
