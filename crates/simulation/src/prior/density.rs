//! Evaluates a prior's density and holds its support.

use super::{PriorMoments, normal::MultivariateNormal, univariate::Univariate};
use bayesburn_core::{Interval, StreamRng};
use ndarray::{Array1, Array2};
use std::{fmt, sync::Arc};

/// The density of a prior over D parameters.
///
/// Priors made from distributions have a density ([`Prior::independent`](crate::Prior::independent) and others). A
/// prior that draws by a function gets one by [`Prior::with_log_prob`](crate::Prior::with_log_prob).
#[derive(Clone)]
pub struct Density {
    support: Vec<Interval>,
    form: Form,
}

type Function = Arc<dyn Fn(&[f32]) -> f64 + Send + Sync>;

#[derive(Clone)]
enum Form {
    Independent(Vec<Univariate>),
    Normal(MultivariateNormal),
    /// A product of independent blocks of parameters, in order.
    Product(Vec<Density>),
    Function(Function),
}

impl fmt::Debug for Density {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Density").field("support", &self.support).finish_non_exhaustive()
    }
}

impl Density {
    pub(crate) fn independent(parameters: Vec<Univariate>) -> Self {
        Self { support: parameters.iter().map(Univariate::support).collect(), form: Form::Independent(parameters) }
    }

    pub(crate) fn normal(normal: MultivariateNormal) -> Self {
        Self { support: vec![Interval::Real; normal.mean.len()], form: Form::Normal(normal) }
    }

    pub(crate) fn product(factors: Vec<Density>) -> Self {
        let support = factors.iter().flat_map(|factor| factor.support.iter().copied()).collect();
        Self { support, form: Form::Product(factors) }
    }

    pub(crate) fn function(support: Vec<Interval>, function: Function) -> Self {
        Self { support, form: Form::Function(function) }
    }

    pub(crate) fn is_function(&self) -> bool {
        matches!(self.form, Form::Function(_))
    }

    /// One draw; not for a density given as a function.
    pub(crate) fn sample(&self, rng: &mut StreamRng) -> Vec<f32> {
        match &self.form {
            Form::Independent(parameters) => parameters.iter().map(|parameter| parameter.sample(rng)).collect(),
            Form::Normal(normal) => normal.sample(rng),
            Form::Product(factors) => factors.iter().flat_map(|factor| factor.sample(rng)).collect(),
            Form::Function(_) => Vec::new(),
        }
    }

    /// The interval of each parameter, D intervals. The density may be 0 in parts of their product.
    #[must_use]
    pub fn support(&self) -> &[Interval] {
        &self.support
    }

    /// ln p(θ) for D values; −∞ outside of the support.
    ///
    /// # Panics
    /// If there are not D values.
    #[must_use]
    pub fn log_prob(&self, values: &[f32]) -> f64 {
        assert_eq!(values.len(), self.support.len(), "a value for each parameter");
        if values.iter().zip(&self.support).any(|(value, interval)| !interval.contains(*value)) {
            return f64::NEG_INFINITY;
        }
        match &self.form {
            Form::Independent(parameters) => {
                parameters.iter().zip(values).map(|(parameter, &value)| parameter.log_prob(value)).sum()
            }
            Form::Normal(normal) => normal.log_prob(values),
            Form::Product(factors) => {
                let mut rest = values;
                let mut sum = 0.0;
                for factor in factors {
                    let (these, others) = rest.split_at(factor.support.len());
                    sum += factor.log_prob(these);
                    rest = others;
                }
                sum
            }
            Form::Function(function) => function(values),
        }
    }

    /// Whether the density is above 0 at these D values.
    ///
    /// # Panics
    /// If there are not D values.
    #[must_use]
    pub fn contains(&self, values: &[f32]) -> bool {
        assert_eq!(values.len(), self.support.len(), "a value for each parameter");
        let inside = values.iter().zip(&self.support).all(|(value, interval)| interval.contains(*value));
        inside && (self.is_product_of_intervals() || self.log_prob(values) > f64::NEG_INFINITY)
    }

    /// Whether the density is above 0 everywhere in the product of the intervals. It is not if parameters constrain one
    /// another, which only a density given as a function can express.
    #[must_use]
    pub fn is_product_of_intervals(&self) -> bool {
        match &self.form {
            Form::Independent(_) | Form::Normal(_) => true,
            Form::Product(factors) => factors.iter().all(Density::is_product_of_intervals),
            Form::Function(_) => false,
        }
    }

    /// Whether the density is the same everywhere in the support.
    #[must_use]
    pub fn is_uniform(&self) -> bool {
        match &self.form {
            Form::Independent(parameters) => parameters.iter().all(Univariate::is_uniform),
            Form::Product(factors) => factors.iter().all(Density::is_uniform),
            Form::Normal(_) | Form::Function(_) => false,
        }
    }

    /// Mean `[D]` and covariance `[D, D]`, if the density is known to be normal.
    #[must_use]
    pub fn as_normal(&self) -> Option<(Array1<f64>, Array2<f64>)> {
        match &self.form {
            Form::Independent(parameters) => {
                let moments: Vec<_> = parameters.iter().map(Univariate::as_normal).collect::<Option<_>>()?;
                let (mean, std): (Vec<f64>, Vec<f64>) = moments.into_iter().unzip();
                Some((mean.into(), Array2::from_diag(&Array1::from(std).mapv(|std| std * std))))
            }
            Form::Normal(normal) => {
                let (mean, covariance) = (&normal.mean, &normal.covariance);
                let covariance = Array2::from_shape_fn(covariance.shape(), |(i, j)| covariance[(i, j)]);
                Some((mean.iter().copied().collect(), covariance))
            }
            Form::Product(factors) => {
                let dim = self.support.len();
                let (mut mean, mut covariance, mut at) = (Array1::zeros(dim), Array2::zeros((dim, dim)), 0);
                for factor in factors {
                    let (of_factor, block) = factor.as_normal()?;
                    for i in 0..of_factor.len() {
                        mean[at + i] = of_factor[i];
                        for j in 0..of_factor.len() {
                            covariance[[at + i, at + j]] = block[[i, j]];
                        }
                    }
                    at += of_factor.len();
                }
                Some((mean, covariance))
            }
            Form::Function(_) => None,
        }
    }

    /// Exact means and standard deviations, NaN where they do not exist; `None` for a density given as a function.
    #[must_use]
    pub fn moments(&self) -> Option<PriorMoments> {
        let (means, stds) = self.moments_in_order()?.into_iter().unzip();
        Some(PriorMoments { means: Array1::from_vec(means), stds: Array1::from_vec(stds) })
    }

    fn moments_in_order(&self) -> Option<Vec<(f32, f32)>> {
        let narrow = |(mean, std): (f64, f64)| (mean as f32, std as f32);
        match &self.form {
            Form::Independent(parameters) => {
                Some(parameters.iter().map(|parameter| narrow(parameter.mean_and_std())).collect())
            }
            Form::Normal(normal) => {
                let stds = normal.covariance.diagonal();
                Some(normal.mean.iter().zip(&stds).map(|(mean, variance)| narrow((*mean, variance.sqrt()))).collect())
            }
            Form::Product(factors) => {
                let factors: Option<Vec<_>> = factors.iter().map(Density::moments_in_order).collect();
                Some(factors?.concat())
            }
            Form::Function(_) => None,
        }
    }
}
