//! Draws parameters from a prior: a function that the user wrote, or distributions with a density.

mod density;
mod error;
mod normal;
mod univariate;

pub use density::Density;
pub use error::PriorError;
pub use univariate::Univariate;

use crate::{
    Context, ContextGenerator, Panics, Quantity, SimulationError,
    context::{DrawnContext, Owner},
    stack::{Batch, Finite},
};
use bayesburn_core::{Interval, ParameterNames, Purpose, StreamRng};
use ndarray::{Array1, Array2, ArrayD, ArrayView2, Axis, Ix2};
use normal::MultivariateNormal;
use std::{fmt, sync::Arc};

const PURPOSE: Purpose = Purpose::new("prior");

type One = Arc<dyn Fn(&mut StreamRng, &Context<'_>) -> Array1<f32> + Send + Sync>;
type Whole = Arc<dyn Fn(&mut StreamRng, usize, &Context<'_>) -> Array2<f32> + Send + Sync>;

#[derive(Clone)]
enum Function {
    One(One),
    Whole(Whole),
}

/// A prior over D named parameters.
///
/// Amortized inference needs only draws, for which a function is enough. The density is needed to keep posterior draws
/// inside the prior's support, to correct posterior densities for leakage, and for inference in several rounds. Priors
/// made from distributions have a density.
///
/// ```
/// use bayesburn_simulation::{Prior, Univariate};
/// use rand::RngExt;
/// use rand_distr::{Exp1, StandardNormal};
///
/// let prior = Prior::from_fn(["mu", "sigma"], |rng, _| [rng.sample(StandardNormal), rng.sample(Exp1)]);
/// assert_eq!(prior.sample(10, 2023)?.dim(), (10, 2));
///
/// let prior = Prior::independent([("mu", Univariate::normal(0.0, 1.0)?), ("sigma", Univariate::exponential(1.0)?)]);
/// let density = prior.density().expect("distributions have one");
/// assert!(density.contains(&[-0.5, 0.5]) && !density.contains(&[-0.5, -0.5]));
///
/// let prior = Prior::box_uniform(["x", "y", "z"], &[-2.0; 3], &[2.0; 3])?;
/// assert_eq!(prior.log_prob(&prior.sample(10, 2023)?)?, ndarray::Array1::from_elem(10, -64_f64.ln()));
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
#[derive(Clone)]
pub struct Prior {
    names: ParameterNames,
    function: Function,
    context: ContextGenerator,
    density: Option<Density>,
}

impl fmt::Debug for Prior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prior").field("names", &self.names).field("context", &self.context).finish_non_exhaustive()
    }
}

/// Means and standard deviations of the parameters under the prior: exact, or estimated from draws; `[D]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorMoments {
    /// Means.
    pub means: Array1<f32>,
    /// Standard deviations, with divisor n − 1; NaN for a single draw.
    pub stds: Array1<f32>,
}

/// Checks that there is one value for each parameter.
fn lengths(what: &'static str, got: usize, expected: usize) -> Result<(), PriorError> {
    if got == expected { Ok(()) } else { Err(PriorError::Lengths { what, expected, got }) }
}

impl Prior {
    /// A prior from a function of one draw: it returns one value for each name. Draws run in parallel on all cores.
    pub fn from_fn<I: IntoIterator<Item = f32>>(
        names: impl IntoIterator<Item = impl Into<String>>,
        f: impl Fn(&mut StreamRng, &Context<'_>) -> I + Send + Sync + 'static,
    ) -> Self {
        let function = Function::One(Arc::new(move |rng, context| f(rng, context).into_iter().collect()));
        Self::new(names, function)
    }

    /// A prior from a function of a whole batch: given the batch size B it returns `[B, D]`. It runs on one core.
    pub fn from_batch_fn(
        names: impl IntoIterator<Item = impl Into<String>>,
        f: impl Fn(&mut StreamRng, usize, &Context<'_>) -> Array2<f32> + Send + Sync + 'static,
    ) -> Self {
        Self::new(names, Function::Whole(Arc::new(f)))
    }

    fn new(names: impl IntoIterator<Item = impl Into<String>>, function: Function) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            function,
            context: ContextGenerator::new(),
            density: None,
        }
    }

    /// A prior that draws from its density.
    fn of_density(names: impl IntoIterator<Item = impl Into<String>>, density: Density) -> Self {
        let draws = density.clone();
        Self { density: Some(density), ..Self::from_fn(names, move |rng, _| draws.sample(rng)) }
    }

    /// A prior of independent parameters, each with its name and distribution.
    ///
    /// ```
    /// use bayesburn_simulation::{Prior, Univariate};
    ///
    /// let prior = Prior::independent([
    ///     ("rate", Univariate::log_normal(0.0, 0.5)?),
    ///     ("share", Univariate::beta(2.0, 2.0)?),
    ///     ("effect", Univariate::student_t(3.0, 0.0, 1.0)?.truncated(-5.0, 5.0)?),
    /// ]);
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    pub fn independent(parameters: impl IntoIterator<Item = (impl Into<String>, Univariate)>) -> Self {
        let (names, parameters): (Vec<String>, _) =
            parameters.into_iter().map(|(name, distribution)| (name.into(), distribution)).unzip();
        Self::of_density(names, Density::independent(parameters))
    }

    /// A uniform prior on a box, from `low[d]` to `high[d]` for parameter d.
    ///
    /// # Errors
    /// Another number of bounds than of names; a lower bound that is not below the upper one.
    pub fn box_uniform(
        names: impl IntoIterator<Item = impl Into<String>>,
        low: &[f64],
        high: &[f64],
    ) -> Result<Self, PriorError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        lengths("lower bounds", low.len(), names.len())?;
        lengths("upper bounds", high.len(), names.len())?;
        let sides = low.iter().zip(high).map(|(&low, &high)| Univariate::uniform(low, high));
        let sides = sides.collect::<Result<Vec<_>, _>>()?;
        Ok(Self::independent(names.into_iter().zip(sides)))
    }

    /// A multivariate normal prior with this mean `[D]` and covariance `[D, D]`.
    ///
    /// # Errors
    /// Another number of means than of names; a covariance that is not `[D, D]`, symmetric and positive definite.
    pub fn multivariate_normal<'a>(
        names: impl IntoIterator<Item = impl Into<String>>,
        mean: &[f64],
        covariance: impl Into<ArrayView2<'a, f64>>,
    ) -> Result<Self, PriorError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        lengths("means", mean.len(), names.len())?;
        let normal = MultivariateNormal::new(mean, covariance.into())?;
        Ok(Self::of_density(names, Density::normal(normal)))
    }

    /// A multivariate normal prior with this mean `[D]` and precision `[D, D]`, the inverse of the covariance.
    ///
    /// ```
    /// use bayesburn_simulation::Prior;
    /// use ndarray::array;
    ///
    /// let precision = array![[2.0, 1.0], [1.0, 2.0]]; // covariance [[2, -1], [-1, 2]] / 3
    /// let prior = Prior::multivariate_normal_with_precision(["a", "b"], &[0.0; 2], &precision)?;
    /// let log_prob = prior.density().expect("it has one").log_prob(&[1.0, -1.0]);
    /// assert!((log_prob - (-1.0 + 0.5 * 3_f64.ln() - std::f64::consts::TAU.ln())).abs() < 1e-12);
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    ///
    /// # Errors
    /// Another number of means than of names; a precision that is not `[D, D]`, symmetric and positive definite.
    pub fn multivariate_normal_with_precision<'a>(
        names: impl IntoIterator<Item = impl Into<String>>,
        mean: &[f64],
        precision: impl Into<ArrayView2<'a, f64>>,
    ) -> Result<Self, PriorError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        lengths("means", mean.len(), names.len())?;
        let normal = MultivariateNormal::of_precision(mean, precision.into())?;
        Ok(Self::of_density(names, Density::normal(normal)))
    }

    /// The product of independent priors, for example a multivariate normal and a gamma.
    ///
    /// # Errors
    /// A prior without a density.
    pub fn product(priors: impl IntoIterator<Item = Prior>) -> Result<Self, PriorError> {
        let (mut names, mut factors) = (Vec::new(), Vec::new());
        for prior in priors {
            if prior.is_of_functions() {
                return Err(PriorError::ProductOfFunctions { names: prior.names });
            }
            names.extend(prior.names.iter().cloned());
            factors.extend(prior.density);
        }
        Ok(Self::of_density(names, Density::product(factors)))
    }

    /// Adds a density to a prior that draws by a function: the interval of each parameter, and the normalised ln p(θ)
    /// for θ of D values inside these intervals, −∞ where the density is 0.
    ///
    /// If ln p(θ) lacks a constant, every posterior density is off by the same constant. The caller must ensure that
    /// draws and density agree.
    ///
    /// ```
    /// use bayesburn_core::Interval;
    /// use bayesburn_simulation::Prior;
    /// use rand::RngExt;
    ///
    /// // Two times of which the second comes later: uniform on a triangle of area 1/2.
    /// let prior = Prior::from_fn(["start", "end"], |rng, _| {
    ///     let (a, b) = (rng.random::<f32>(), rng.random::<f32>());
    ///     [a.min(b), a.max(b)]
    /// })
    /// .with_log_prob([Interval::Between(0.0, 1.0); 2], |t| {
    ///     if t[0] <= t[1] { 2_f64.ln() } else { f64::NEG_INFINITY }
    /// })?;
    /// assert!(!prior.density().expect("just given").contains(&[0.7, 0.2]));
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    ///
    /// # Errors
    /// Another number of intervals than of names; an interval with invalid bounds.
    pub fn with_log_prob(
        mut self,
        support: impl IntoIterator<Item = Interval>,
        log_prob: impl Fn(&[f32]) -> f64 + Send + Sync + 'static,
    ) -> Result<Self, PriorError> {
        let support = support.into_iter().map(Interval::checked).collect::<Result<Vec<_>, _>>()?;
        lengths("intervals", support.len(), self.names.len())?;
        self.density = Some(Density::function(support, Arc::new(log_prob)));
        Ok(self)
    }

    /// Adds context for the prior to depend on. This removes the density, which cannot depend on context.
    #[must_use]
    pub fn with_context(mut self, context: ContextGenerator) -> Self {
        self.context = context;
        self.density = None;
        self
    }

    /// The density, if the prior was made with one.
    #[must_use]
    pub fn density(&self) -> Option<&Density> {
        self.density.as_ref()
    }

    /// ln p(θ) of each row of parameters, `[M, D]` to `[M]`; −∞ outside of the support.
    ///
    /// # Errors
    /// A prior without a density; rows of another length.
    pub fn log_prob(&self, parameters: &Array2<f32>) -> Result<Array1<f64>, PriorError> {
        let density = self.density.as_ref().ok_or_else(|| PriorError::NoDensity { names: self.names.clone() })?;
        lengths("columns", parameters.ncols(), self.names.len())?;
        Ok(parameters.outer_iter().map(|row| density.log_prob(&row.to_vec())).collect())
    }

    /// Whether draws come from a function, and not from the density.
    fn is_of_functions(&self) -> bool {
        self.density.as_ref().is_none_or(Density::is_function)
    }

    /// The parameters' names.
    #[must_use]
    pub fn names(&self) -> &ParameterNames {
        &self.names
    }

    /// Draws `[num_draws, D]` from the prior.
    ///
    /// # Errors
    /// Zero draws; a function that returns a wrong shape or a non-finite value, or panics.
    pub fn sample(&self, num_draws: usize, seed: u64) -> Result<Array2<f32>, SimulationError> {
        let independent = self.is_independent();
        let batch = Batch {
            seed,
            first: 0,
            len: num_draws,
            num_parameters: self.names.len(),
            independent,
            attempt: 0,
            rows: None,
            finite: Finite::All,
            panics: Panics::Error,
        };
        batch.check()?;
        self.check_names()?;
        Ok(self.draw(&batch)?.0)
    }

    /// Estimates the prior's means and standard deviations from `num_draws` draws (1,000 give means to 3% of a standard
    /// deviation).
    ///
    /// # Errors
    /// As [`Prior::sample`].
    pub fn moments(&self, num_draws: usize, seed: u64) -> Result<PriorMoments, SimulationError> {
        let draws = self.sample(num_draws, seed)?.mapv(f64::from);
        let means = draws.mean_axis(Axis(0)).expect("at least one draw");
        let stds = draws.std_axis(Axis(0), 1.0);
        Ok(PriorMoments { means: means.mapv(|m| m as f32), stds: stds.mapv(|s| s as f32) })
    }

    pub(crate) fn check_names(&self) -> Result<(), PriorError> {
        if self.names.is_empty() {
            return Err(PriorError::NoParameters);
        }
        match self.names.iter().enumerate().find(|(i, name)| self.names[..*i].contains(name)) {
            Some((_, name)) => Err(PriorError::DuplicateName { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// Whether draw i is the same in every batch.
    pub(crate) fn is_independent(&self) -> bool {
        matches!(self.function, Function::One(_)) && !self.context.is_shared()
    }

    /// The context that a batch shares.
    pub(crate) fn draw_shared(&self, batch: &Batch<'_>) -> Result<Option<ArrayD<f32>>, SimulationError> {
        self.context.draw_shared(batch, Owner::Prior)
    }

    pub(crate) fn draw(&self, batch: &Batch<'_>) -> Result<(Array2<f32>, DrawnContext), SimulationError> {
        if let (Function::Whole(_), Some(rows)) = (&self.function, batch.rows) {
            let (parameters, context) = self.draw(&batch.whole_batch())?;
            return Ok((parameters.select(Axis(0), rows), context.select(rows)));
        }
        let context = self.context.draw(batch, Owner::Prior)?;
        let drawn = match &self.function {
            Function::One(f) => {
                batch.each(Quantity::Parameters, PURPOSE, |rng, row| f(rng, &context.of_row(row)).into_dyn())?
            }
            Function::Whole(f) => {
                batch.whole(Quantity::Parameters, PURPOSE, |rng| f(rng, batch.len, &context.of_batch()).into_dyn())?
            }
        };
        let parameters: ArrayD<f32> = drawn.values;
        let (expected, got) = (self.names.len(), parameters.shape()[1]);
        let parameters = parameters.into_dimensionality::<Ix2>().ok().filter(|_| got == expected);
        let parameters = parameters.ok_or(SimulationError::ParameterCount { index: batch.index(0), expected, got })?;
        Ok((parameters, context))
    }
}
