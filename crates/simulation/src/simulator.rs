//! Draws data given parameters, by a simulator that the user wrote as a function.

use crate::{
    Context, ContextGenerator, Quantity, SimulationError,
    context::{DrawnContext, Owner},
    stack::Batch,
};
use bayesburn_core::{Purpose, StreamRng};
use ndarray::{Array, Array2, ArrayD, ArrayView2, Dimension};
use std::{fmt, sync::Arc};

const PURPOSE: Purpose = Purpose::new("simulator");

type One = Arc<dyn Fn(&mut StreamRng, &[f32], &Context<'_>) -> ArrayD<f32> + Send + Sync>;
type Whole = Arc<dyn Fn(&mut StreamRng, ArrayView2<'_, f32>, &Context<'_>) -> ArrayD<f32> + Send + Sync>;

#[derive(Clone)]
enum Function {
    One(One),
    Whole(Whole),
}

/// A simulator: data x given parameters θ, with a random generator of its own.
///
/// ```
/// use bayesburn_simulation::Simulator;
/// use ndarray::{Array2, Axis};
/// use rand::RngExt;
/// use rand_distr::StandardNormal;
///
/// // From one draw: 50 observations around θ.
/// let one = Simulator::from_fn(|rng, mu, _| {
///     Array2::from_shape_fn((50, mu.len()), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
/// });
/// // From a whole batch: one observation for each θ.
/// let whole = Simulator::from_batch_fn(|rng, mu, _| {
///     mu.mapv(|m| m + rng.sample::<f32, _>(StandardNormal)).insert_axis(Axis(1))
/// });
/// ```
#[derive(Clone)]
pub struct Simulator {
    function: Function,
    context: ContextGenerator,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Simulator {
    /// A simulator from a function of one draw: given θ `[D]` it returns x, usually `[N, features]`. Draws run in parallel on
    /// all cores; every draw of a batch must have the same shape.
    pub fn from_fn<S: Dimension>(
        f: impl Fn(&mut StreamRng, &[f32], &Context<'_>) -> Array<f32, S> + Send + Sync + 'static,
    ) -> Self {
        Self::new(Function::One(Arc::new(move |rng, parameters, context| f(rng, parameters, context).into_dyn())))
    }

    /// A simulator from a function of a whole batch: given θ `[B, D]` it returns x `[B, ...]`. It runs on one core, unless it
    /// parallelises itself.
    pub fn from_batch_fn<S: Dimension>(
        f: impl Fn(&mut StreamRng, ArrayView2<'_, f32>, &Context<'_>) -> Array<f32, S> + Send + Sync + 'static,
    ) -> Self {
        Self::new(Function::Whole(Arc::new(move |rng, parameters, context| f(rng, parameters, context).into_dyn())))
    }

    fn new(function: Function) -> Self {
        Self { function, context: ContextGenerator::new() }
    }

    /// Gives the simulator context to depend on.
    #[must_use]
    pub fn with_context(mut self, context: ContextGenerator) -> Self {
        self.context = context;
        self
    }

    /// Whether simulation i, given its parameters, is the same in every batch.
    pub(crate) fn is_independent(&self) -> bool {
        matches!(self.function, Function::One(_)) && !self.context.is_shared()
    }

    pub(crate) fn draw(
        &self,
        batch: &Batch,
        parameters: &Array2<f32>,
    ) -> Result<(ArrayD<f32>, DrawnContext), SimulationError> {
        let context = self.context.draw(batch, Owner::Simulator)?;
        let data = match &self.function {
            Function::One(f) => batch.each(Quantity::SimData, PURPOSE, |rng, row| {
                let theta = parameters.row(row);
                f(rng, theta.as_slice().expect("drawn parameters are contiguous"), &context.of_row(row))
            })?,
            Function::Whole(f) => {
                batch.whole(Quantity::SimData, PURPOSE, |rng| f(rng, parameters.view(), &context.of_batch()))?
            }
        };
        Ok((data, context))
    }
}
