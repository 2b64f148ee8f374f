//! Holds the input of the suite: draws for simulated data sets, the truths, and optionally data, densities and
//! quantities.

use super::strata::Context;
use crate::calibration::density_ranks;
use crate::checks::{at_least, check_draws_and_truths, check_finite};
use crate::{Extent, InputError, InputValue, RankError, Ranks, Result};
use bayesburn_core::Draws;
use ndarray::{Array1, Array2, ArrayView1, ArrayView3, Axis, concatenate};

/// The input of a [`DiagnosticsSuite`](crate::DiagnosticsSuite): posterior draws for M simulated data sets and the
/// parameters that simulated them.
///
/// The draws of a data set are independent, as those of a network are; those of a Markov chain have to be thinned until
/// they are. Draws for different data sets must be independent as well: one call with the same seed for each data set
/// repeats its random numbers. Draws and truths are enough for most checks. With [`SuiteInput::with_data`] the suite
/// also sees posteriors that overlook some of the data; without, it can't tell draws of the prior, which are calibrated
/// too, from those of a posterior.
///
/// ```
/// use bayesburn_core::Draws;
/// use bayesburn_diagnostics::{DiagnosticsSuite, SuiteInput};
/// # use ndarray::{Array2, Array3};
/// # let truths = Array2::from_shape_fn((100, 1), |(m, _)| m as f32 - 0.5);
/// # let draws = Array3::from_shape_fn((100, 99, 1), |(_, l, _)| l as f32);
/// # let draws = Draws::new(["mu".to_owned()].into(), draws)?;
/// let report = DiagnosticsSuite::new().run(&SuiteInput::new(&draws, &truths)?)?;
/// println!("{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SuiteInput<'a> {
    pub(super) draws: &'a Draws,
    pub(super) truths: &'a Array2<f32>,
    pub(super) features: Option<Array2<f32>>,
    pub(super) density: Option<Density>,
    pub(super) quantities: Vec<Ranks>,
    pub(super) contexts: Vec<Context>,
}

/// What a posterior says of its own density.
#[derive(Debug, Clone)]
pub(super) struct Density {
    pub(super) ranks: Option<Ranks>,
    pub(super) of_truths: Array1<f32>,
}

impl<'a> SuiteInput<'a> {
    /// Draws `[M, L, D]` and truths `[M, D]`.
    ///
    /// # Errors
    /// If the truths do not fit the draws, a value is not finite, there are fewer than 2 draws or 20 data sets, or all
    /// draws of a parameter are equal.
    pub fn new(draws: &'a Draws, truths: &'a Array2<f32>) -> Result<Self, InputError> {
        check_draws_and_truths(draws, truths)?;
        at_least(Extent::Draws, 2, draws.num_draws())?;
        at_least(Extent::DataSets, 20, draws.num_data_sets())?;
        for (i, name) in draws.names().iter().enumerate() {
            let all = draws.values();
            let of_parameter = all.index_axis(Axis(2), i);
            let value = of_parameter[[0, 0]];
            let (name, is_value) = (name.clone(), |other: &f32| *other == value);
            if of_parameter.iter().all(is_value) {
                return Err(match truths.column(i).iter().all(is_value) {
                    true => InputError::ConstantParameter { name },
                    false => InputError::ConstantDraws { name, value },
                });
            }
        }
        Ok(Self { draws, truths, features: None, density: None, quantities: Vec::new(), contexts: Vec::new() })
    }

    /// The data that posteriors were inferred from, `[M, N, F]`: N observations of F numbers each. They are summed up
    /// by means and standard deviations over the observations, or taken as they are if N is 1. Called again, it adds
    /// more.
    ///
    /// # Errors
    /// If there are not M data sets, or a number is infinite. (NaN are missing values, and left out.)
    pub fn with_data(self, data: ArrayView3<'_, f32>) -> Result<Self, InputError> {
        self.with_data_of_sizes([data])
    }

    /// As [`SuiteInput::with_data`], of data sets with different numbers of observations: `[m, N, F]` of those that
    /// have as many, one array after the other, M data sets in all.
    ///
    /// # Errors
    /// If there are not M data sets, a number is infinite, or F is not the same in all arrays.
    pub fn with_data_of_sizes<'b>(
        self,
        data: impl IntoIterator<Item = ArrayView3<'b, f32>>,
    ) -> Result<Self, InputError> {
        let data: Vec<_> = data.into_iter().collect();
        let sums_up = data.iter().any(|data| data.dim().1 > 1);
        let features: Vec<_> = data.iter().map(|data| features_of(data.view(), sums_up)).collect();
        let views: Vec<_> = features.iter().map(|features| features.view()).collect();
        // None of no array, of which the number of rows is wrong.
        let features = match views.is_empty() {
            true => Array2::zeros((0, 0)),
            false => concatenate(Axis(0), &views)
                .map_err(|_| InputError::Widths { got: data.iter().map(|data| data.dim().2).collect() })?,
        };
        self.with_features(features)
    }

    /// A number that each data set shares with others, `[M]`, such as how many observations it has: what the verdict is
    /// over. Posteriors are judged for ranges of it, too, of about 40 data sets each or more, never below 20, and the
    /// report names them. Called again, it adds more.
    ///
    /// ```
    /// # use bayesburn_core::{Draws, Purpose, stream};
    /// # use bayesburn_diagnostics::{DiagnosticsSuite, SuiteInput};
    /// # use ndarray::{Array1, Array2, Array3};
    /// # use rand::RngExt;
    /// # use rand_distr::StandardNormal;
    /// # let mut rng = stream(1, Purpose::new("example of contexts"), 0);
    /// # let mut normal = || -> f32 { rng.sample(StandardNormal) };
    /// # let truths = Array2::from_shape_simple_fn((400, 1), &mut normal);
    /// # let draws = Array3::from_shape_simple_fn((400, 50, 1), &mut normal);
    /// # let draws = Draws::new(["mu".to_owned()].into(), draws)?;
    /// let n = Array1::from_shape_fn(400, |m| (5 + m % 50) as f32); // of data set m
    /// let report = DiagnosticsSuite::new().run(&SuiteInput::new(&draws, &truths)?.with_context("N", n)?)?;
    /// assert_eq!(report.strata[0].label, "N from 5 to 14");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If there are not M numbers, or one is not finite.
    pub fn with_context(mut self, name: impl Into<String>, values: Array1<f32>) -> Result<Self, InputError> {
        let expected = self.draws.num_data_sets();
        if values.len() != expected {
            return Err(InputError::Rows { expected, got: values.len() });
        }
        check_finite(InputValue::Feature, values.view().insert_axis(Axis(1)))?;
        self.contexts.push(Context { name: name.into(), values: values.to_vec() });
        Ok(self)
    }

    /// Numbers that sum up each data set, `[M, F]`, and are made of the data alone: what posteriors should depend on.
    /// Called again, it adds more.
    ///
    /// # Errors
    /// If there are not M rows, or a number is not finite.
    pub fn with_features(mut self, features: Array2<f32>) -> Result<Self, InputError> {
        let expected = self.draws.num_data_sets();
        if features.nrows() != expected {
            return Err(InputError::Rows { expected, got: features.nrows() });
        }
        check_finite(InputValue::Feature, features.view())?;
        self.features = Some(match self.features {
            None => features,
            Some(before) => concatenate![Axis(1), before, features],
        });
        Ok(self)
    }

    /// The logarithms of the posterior density of the draws, `[M, L]`, and of the truths, `[M]`.
    ///
    /// # Errors
    /// If shapes do not fit, or a value is NaN or ∞.
    pub fn with_log_prob(mut self, of_draws: &Array2<f32>, of_truths: Array1<f32>) -> Result<Self, RankError> {
        let expected = self.draws.num_data_sets();
        if of_draws.nrows() != expected {
            return Err(InputError::Rows { expected, got: of_draws.nrows() }.into());
        }
        let ranks = density_ranks(of_draws, &of_truths)?;
        self.density = Some(Density { ranks: Some(ranks), of_truths });
        Ok(self)
    }

    /// The logarithms of the posterior density of the truths alone, `[M]`: for a limit of their mean.
    ///
    /// # Errors
    /// If there are not M of them, or one is NaN or ∞.
    pub fn with_log_prob_of_truths(mut self, of_truths: Array1<f32>) -> Result<Self, InputError> {
        let expected = self.draws.num_data_sets();
        if of_truths.len() != expected {
            return Err(InputError::Rows { expected, got: of_truths.len() });
        }
        if let Some(data_set) = of_truths.iter().position(|value| value.is_nan() || *value == f32::INFINITY) {
            let value = of_truths[data_set];
            return Err(InputError::NonFinite { input: InputValue::LogProb, data_set, parameter: 0, value });
        }
        self.density = Some(Density { ranks: None, of_truths });
        Ok(self)
    }

    /// What the data are, contexts included; `None` without data, of which contexts alone tell nothing.
    pub(super) fn all_features(&self) -> Option<Array2<f32>> {
        let mut features = self.features.clone()?;
        for context in &self.contexts {
            let column = ArrayView1::from(&context.values);
            features.push_column(column).expect("as many numbers as data sets");
        }
        Some(features)
    }

    /// Ranks of quantities of one's own, such as a likelihood, by [`quantity_ranks`](crate::quantity_ranks).
    ///
    /// # Errors
    /// If they are not of M data sets.
    pub fn with_quantities(mut self, ranks: Ranks) -> Result<Self, InputError> {
        let expected = self.draws.num_data_sets();
        if ranks.num_data_sets() != expected {
            return Err(InputError::Rows { expected, got: ranks.num_data_sets() });
        }
        self.quantities.push(ranks);
        Ok(self)
    }
}

/// Means and standard deviations over observations of what is not missing, or the one observation itself; 0 for what is
/// all missing.
fn features_of(data: ArrayView3<'_, f32>, sums_up: bool) -> Array2<f32> {
    let (m, _, f) = data.dim();
    if !sums_up {
        return Array2::from_shape_fn((m, f), |(m, f)| if data[[m, 0, f]].is_nan() { 0.0 } else { data[[m, 0, f]] });
    }
    let mut features = Array2::zeros((m, 2 * f));
    for (data, mut features) in data.outer_iter().zip(features.outer_iter_mut()) {
        for (i, column) in data.columns().into_iter().enumerate() {
            let present = || column.iter().filter(|x| !x.is_nan()).map(|&x| f64::from(x));
            let count = present().count().max(1) as f64;
            let mean = present().sum::<f64>() / count;
            let variance = present().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            (features[i], features[f + i]) = (mean as f32, variance.sqrt() as f32);
        }
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn data_are_summed_up_over_observations() {
        let features = features_of(array![[[1.0, f32::NAN], [3.0, 5.0]]].view(), true);
        assert_eq!(features, array![[2.0, 5.0, 1.0, 0.0]]);
        assert_eq!(features_of(array![[[7.0, f32::NAN]]].view(), false), array![[7.0, 0.0]]);
        assert_eq!(features_of(array![[[7.0, f32::NAN]]].view(), true), array![[7.0, 0.0, 0.0, 0.0]]);
    }

    #[test]
    fn what_does_not_belong_is_refused() {
        let draws = Array3::from_shape_fn((20, 3, 1), |(_, l, _)| l as f32);
        let draws = Draws::new(["a".to_owned()].into(), draws).expect("one name");
        let truths = Array2::zeros((20, 1));
        let constant = Draws::new(["a".to_owned()].into(), Array3::zeros((20, 3, 1))).expect("one name");
        let error = SuiteInput::new(&constant, &truths).expect_err("a constant").to_string();
        assert!(error.contains("`a` is the same") && error.contains("leave it out"), "{error}");
        let input = || SuiteInput::new(&draws, &truths).expect("valid");
        let sizes = [Array3::zeros((7, 2, 2)), Array3::zeros((13, 9, 2))];
        assert!(input().with_data_of_sizes(sizes.iter().map(|data| data.view())).is_ok());
        let sizes = [Array3::zeros((7, 2, 2)), Array3::zeros((13, 2, 3))];
        let widths = input().with_data_of_sizes(sizes.iter().map(|data| data.view())).expect_err("2 and 3");
        assert!(widths.to_string().contains("[2, 3]"), "{widths}");
        assert!(input().with_context("N", Array1::zeros(19)).is_err());
        assert!(input().with_context("N", Array1::from_elem(20, f32::NAN)).is_err());
        let rows = input().with_data(Array3::zeros((19, 2, 2)).view()).expect_err("19 rows").to_string();
        assert!(rows.contains("19 rows") && rows.contains("20 data sets"), "{rows}");
        assert!(input().with_features(Array2::from_elem((20, 1), f32::INFINITY)).is_err());
        assert!(input().with_log_prob(&Array2::zeros((20, 3)), Array1::zeros(19)).is_err());
        assert!(input().with_log_prob_of_truths(Array1::from_elem(20, f32::NAN)).is_err());
        let few = Draws::new(["a".to_owned()].into(), Array3::zeros((19, 3, 1))).expect("one name");
        let error = SuiteInput::new(&few, &Array2::zeros((19, 1))).expect_err("19 data sets").to_string();
        assert!(error.contains("at least 20"), "{error}");
    }
}
