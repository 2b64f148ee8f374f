//! Holds draws from the posteriors of one or many data sets.

use crate::ParameterNames;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};
use thiserror::Error;

/// Draws whose names or shapes do not fit.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DrawsError {
    /// The number of names differs from the length of the last axis.
    #[error("draws of {got} parameters, but {expected} names: pass one name for each parameter")]
    Names {
        /// The number of names.
        expected: usize,
        /// The length of the last axis.
        got: usize,
    },
    /// Two sets of draws have different parameters.
    #[error(
        "draws of {got:?} cannot follow draws of {expected:?}: join draws of the same parameters in the same order"
    )]
    JoinNames {
        /// The names of the first set.
        expected: ParameterNames,
        /// The names of the set that does not fit.
        got: ParameterNames,
    },
    /// Two sets of draws have different shapes.
    #[error(
        "draws of shape [.., {got_draws}, {got_parameters}] cannot follow draws of shape [.., {draws}, {parameters}]: \
         sample the same number of draws of the same parameters for each data set"
    )]
    Join {
        /// The number of draws of the first set.
        draws: usize,
        /// The number of parameters of the first set.
        parameters: usize,
        /// The number of draws of the set that does not fit.
        got_draws: usize,
        /// The number of parameters of the set that does not fit.
        got_parameters: usize,
    },
}

/// Posterior draws, `[M, L, D]`: M data sets, L draws for each, D parameters. Always three axes, also for one data set.
///
/// [`Draws::warnings`] lists reasons why they may be wrong, for example that a data set is unlike the simulations that
/// the posterior was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    names: ParameterNames,
    values: Array3<f32>,
    warnings: Vec<String>,
}

impl Draws {
    /// Draws `[M, L, D]` of D named parameters.
    ///
    /// # Errors
    /// If the number of names is not D.
    pub fn new(names: ParameterNames, values: Array3<f32>) -> Result<Self, DrawsError> {
        let got = values.dim().2;
        if names.len() != got {
            return Err(DrawsError::Names { expected: names.len(), got });
        }
        Ok(Self { names, values, warnings: Vec::new() })
    }

    /// Adds reasons why these draws may be wrong.
    #[must_use]
    pub fn with_warnings(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Reasons why these draws may be wrong; empty if none are known.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Joins the draws for several groups of data sets along the first axis.
    ///
    /// # Errors
    /// If they differ in the number of draws or in the parameters.
    pub fn join(mut self, others: impl IntoIterator<Item = Draws>) -> Result<Self, DrawsError> {
        for other in others {
            if self.names != other.names {
                return Err(DrawsError::JoinNames { expected: self.names, got: other.names });
            }
            let ((_, draws, parameters), (_, got_draws, got_parameters)) = (self.values.dim(), other.values.dim());
            self.values.append(Axis(0), other.values.view()).map_err(|_| DrawsError::Join {
                draws,
                parameters,
                got_draws,
                got_parameters,
            })?;
            self.warnings.extend(other.warnings);
        }
        Ok(self)
    }

    /// The parameters' names.
    #[must_use]
    pub fn names(&self) -> &ParameterNames {
        &self.names
    }

    /// All draws, `[M, L, D]`.
    #[must_use]
    pub fn values(&self) -> ArrayView3<'_, f32> {
        self.values.view()
    }

    /// Converts into all draws, `[M, L, D]`, without a copy.
    #[must_use]
    pub fn into_values(self) -> Array3<f32> {
        self.values
    }

    /// The draws of some parameters, in this order, for example for one page of a figure.
    ///
    /// # Panics
    /// If there is no such parameter.
    #[must_use]
    pub fn select_parameters(&self, parameters: &[usize]) -> Self {
        let names = parameters.iter().map(|&i| self.names[i].clone()).collect();
        Self { names, values: self.values.select(Axis(2), parameters), warnings: self.warnings.clone() }
    }

    /// The draws for one data set, `[L, D]`.
    ///
    /// # Panics
    /// If there is no such data set.
    #[must_use]
    pub fn data_set(&self, index: usize) -> ArrayView2<'_, f32> {
        self.values.index_axis(Axis(0), index)
    }

    /// M, the number of data sets.
    #[must_use]
    pub fn num_data_sets(&self) -> usize {
        self.values.dim().0
    }

    /// L, the number of draws for each data set.
    #[must_use]
    pub fn num_draws(&self) -> usize {
        self.values.dim().1
    }

    /// D, the number of parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.values.dim().2
    }

    /// Posterior means, `[M, D]`, added up in f64.
    #[must_use]
    pub fn mean(&self) -> Array2<f64> {
        let (m, l, d) = self.values.dim();
        let mut sums = Array2::<f64>::zeros((m, d));
        for (draws, mut sums) in self.values.outer_iter().zip(sums.outer_iter_mut()) {
            for draw in draws.outer_iter() {
                sums.zip_mut_with(&draw, |sum, &x| *sum += f64::from(x));
            }
        }
        sums / l as f64
    }

    /// Posterior standard deviations, `[M, D]`, with divisor L − 1; NaN for a single draw.
    #[must_use]
    pub fn std(&self) -> Array2<f64> {
        let mean = self.mean();
        let mut squares = Array2::<f64>::zeros(mean.dim());
        for ((draws, mean), mut squares) in
            self.values.outer_iter().zip(mean.outer_iter()).zip(squares.outer_iter_mut())
        {
            for draw in draws.outer_iter() {
                ndarray::Zip::from(&mut squares)
                    .and(&draw)
                    .and(&mean)
                    .for_each(|square, &x, &mean| *square += (f64::from(x) - mean).powi(2));
            }
        }
        let divisor = self.num_draws() as f64 - 1.0;
        squares.mapv_into(|square| (square / divisor).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr3, array};

    fn names(n: usize) -> ParameterNames {
        (0..n).map(|i| format!("p{i}")).collect()
    }

    #[test]
    fn moments_match_hand_computed_values() {
        let draws = Draws::new(names(2), arr3(&[[[1.0, 10.0], [3.0, 10.0], [8.0, 13.0]]])).expect("two names");
        assert_eq!(draws.mean(), array![[4.0, 11.0]]);
        let expected = array![[13f64.sqrt(), 3f64.sqrt()]]; // Σ(x − mean)² = 26 and 6, over 2
        assert!((draws.std() - expected).iter().all(|d| d.abs() < 1e-12));
    }

    #[test]
    fn join_appends_data_sets_and_refuses_other_shapes() {
        let of = |m, l, d| Draws::new(names(d), Array3::zeros((m, l, d))).expect("names fit");
        assert_eq!(of(1, 5, 2).join([of(3, 5, 2)]).expect("same shape").num_data_sets(), 4);
        let error = of(1, 5, 2).join([of(1, 4, 2)]).expect_err("4 draws after 5").to_string();
        assert!(error.contains("[.., 4, 2]") && error.contains("[.., 5, 2]"), "{error}");
        let swapped = Draws::new(["p1".into(), "p0".into()].into(), Array3::zeros((1, 5, 2))).expect("two names");
        assert!(matches!(of(1, 5, 2).join([swapped]), Err(DrawsError::JoinNames { .. })));
    }

    #[test]
    fn wrong_number_of_names_is_refused() {
        assert!(matches!(
            Draws::new(names(3), Array3::zeros((1, 1, 2))),
            Err(DrawsError::Names { expected: 3, got: 2 })
        ));
    }
}
