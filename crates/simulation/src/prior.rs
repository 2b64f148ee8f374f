//! Draws parameters from a prior that the user wrote as a function.

use crate::{
    Context, ContextGenerator, Quantity, SimulationError,
    context::{DrawnContext, Owner},
    stack::{Batch, Finite},
};
use bayesburn_core::{ParameterNames, Purpose, StreamRng};
use ndarray::{Array1, Array2, ArrayD, Axis, Ix2};
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
/// ```
/// use bayesburn_simulation::Prior;
/// use rand::RngExt;
/// use rand_distr::{Exp1, StandardNormal};
///
/// let prior = Prior::from_fn(["mu", "sigma"], |rng, _| [rng.sample(StandardNormal), rng.sample(Exp1)]);
/// assert_eq!(prior.sample(10, 2023)?.dim(), (10, 2));
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
#[derive(Clone)]
pub struct Prior {
    names: ParameterNames,
    function: Function,
    context: ContextGenerator,
}

impl fmt::Debug for Prior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prior").field("names", &self.names).field("context", &self.context).finish_non_exhaustive()
    }
}

/// Means and standard deviations of the parameters under the prior, estimated from draws; `[D]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Means.
    pub means: Array1<f32>,
    /// Standard deviations, with divisor n − 1; NaN for a single draw.
    pub stds: Array1<f32>,
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
        Self { names: names.into_iter().map(Into::into).collect(), function, context: ContextGenerator::new() }
    }

    /// Gives the prior context to depend on.
    #[must_use]
    pub fn with_context(mut self, context: ContextGenerator) -> Self {
        self.context = context;
        self
    }

    /// The parameters' names.
    #[must_use]
    pub fn names(&self) -> &ParameterNames {
        &self.names
    }

    /// Draws `[num_draws, D]` from the prior.
    ///
    /// # Errors
    /// Zero draws, or a function that returns the wrong shape or a value that is not finite, or panics.
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
    pub fn moments(&self, num_draws: usize, seed: u64) -> Result<Moments, SimulationError> {
        let draws = self.sample(num_draws, seed)?.mapv(f64::from);
        let means = draws.mean_axis(Axis(0)).expect("at least one draw");
        let stds = draws.std_axis(Axis(0), 1.0);
        Ok(Moments { means: means.mapv(|m| m as f32), stds: stds.mapv(|s| s as f32) })
    }

    pub(crate) fn check_names(&self) -> Result<(), SimulationError> {
        if self.names.is_empty() {
            return Err(SimulationError::NoParameters);
        }
        match self.names.iter().enumerate().find(|(i, name)| self.names[..*i].contains(name)) {
            Some((_, name)) => Err(SimulationError::DuplicateName { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// Whether draw i is the same in every batch.
    pub(crate) fn is_independent(&self) -> bool {
        matches!(self.function, Function::One(_)) && !self.context.is_shared()
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
