//! Draws the context of priors and simulators: inputs other than the parameters.

use crate::{Quantity, SimulationError, stack::Batch};
use bayesburn_core::{Purpose, StreamRng};
use ndarray::{Array, Array1, ArrayD, ArrayViewD, Axis, Dimension};
use std::{fmt, ops::RangeInclusive, sync::Arc};

type NonBatchable = Arc<dyn Fn(&mut StreamRng) -> ArrayD<f32> + Send + Sync>;
type Batchable = Arc<dyn Fn(&mut StreamRng, Option<ArrayViewD<'_, f32>>) -> ArrayD<f32> + Send + Sync>;

/// The context that a function of a prior or simulator receives: that of one draw, or of the whole batch if the
/// function is one of a whole batch.
#[derive(Debug, Clone, Default)]
pub struct Context<'a> {
    batchable: Option<ArrayViewD<'a, f32>>,
    non_batchable: Option<ArrayViewD<'a, f32>>,
}

impl Context<'_> {
    /// The context that differs within a batch: that of this draw, or `[B, ...]` in a function of a whole batch.
    ///
    /// # Panics
    /// If the prior or simulator has no such generator. Inside a prior or simulator the panic becomes an error.
    #[must_use]
    pub fn batchable(&self) -> ArrayViewD<'_, f32> {
        const NONE: &str = "no batchable context: give the prior or simulator one by with_context and \
             ContextGenerator::with_batchable";
        self.batchable.as_ref().expect(NONE).view()
    }

    /// The context that the batch shares.
    ///
    /// # Panics
    /// If the prior or simulator has no such generator. Inside a prior or simulator the panic becomes an error.
    #[must_use]
    pub fn non_batchable(&self) -> ArrayViewD<'_, f32> {
        const NONE: &str = "no non-batchable context: give the prior or simulator one by with_context and \
                            ContextGenerator::num_observations, or with_non_batchable for another";
        self.non_batchable.as_ref().expect(NONE).view()
    }

    /// The first value of the non-batchable context as a count: the number of observations N of this batch.
    ///
    /// # Panics
    /// If there is no non-batchable context.
    #[must_use]
    pub fn num_observations(&self) -> usize {
        self.non_batchable().first().map_or(0, |&n| n as usize)
    }
}

/// Draws the context of a prior or a simulator.
///
/// *Batchable* context differs for each simulation of a batch, such as a design matrix. *Non-batchable* context is
/// drawn once for each batch and shared by it, such as the number of observations, which changes the shape of the data.
///
/// ```
/// use bayesburn_simulation::{ContextGenerator, GenerativeModel, Prior, Simulator};
/// use ndarray::{Array1, Array2};
/// use rand::RngExt;
/// use rand_distr::StandardNormal;
///
/// let prior = Prior::from_fn(["slope"], |rng, _| [rng.sample(StandardNormal)]);
/// let design = ContextGenerator::num_observations(5..=20)
///     .with_batchable_given_non_batchable(|rng, n| Array1::from_shape_fn(n[[0]] as usize, |_| rng.random::<f32>()));
/// let simulator = Simulator::from_fn(|rng, slope, context| {
///     let x = context.batchable();
///     Array2::from_shape_fn((context.num_observations(), 1), |(i, _)| {
///         slope[0] * x[[i]] + 0.1 * rng.sample::<f32, _>(StandardNormal)
///     })
/// })
/// .with_context(design);
/// let simulations = GenerativeModel::new(prior, simulator)?.simulate(8, 1)?;
/// let n = simulations.sim_non_batchable_context.as_ref().map(|n| n[[0]] as usize);
/// assert_eq!(Some(simulations.data.values().shape()[1]), n);
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
#[derive(Clone, Default)]
pub struct ContextGenerator {
    batchable: Option<Batchable>,
    non_batchable: Option<NonBatchable>,
    /// The range of the number of observations, if that is the non-batchable context.
    observations: Option<RangeInclusive<u32>>,
}

impl fmt::Debug for ContextGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextGenerator")
            .field("batchable", &self.batchable.is_some())
            .field("non_batchable", &self.non_batchable.is_some())
            .finish()
    }
}

impl ContextGenerator {
    /// Generates no context yet: add generators with the `with_` methods.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of observations as non-batchable context, uniform on a range, drawn anew for each batch.
    #[must_use]
    pub fn num_observations(range: RangeInclusive<u32>) -> Self {
        use rand::RngExt;
        let observations = Some(range.clone());
        let generator =
            Self::new().with_non_batchable(move |rng| Array1::from_elem(1, rng.random_range(range.clone()) as f32));
        Self { observations, ..generator }
    }

    /// Adds context that differs within a batch; `f` draws the context of one simulation.
    #[must_use]
    pub fn with_batchable<D: Dimension>(
        mut self,
        f: impl Fn(&mut StreamRng) -> Array<f32, D> + Send + Sync + 'static,
    ) -> Self {
        self.batchable = Some(Arc::new(move |rng, _| f(rng).into_dyn()));
        self
    }

    /// Adds context that differs within a batch and depends on the batch's non-batchable context, which `f` receives.
    #[must_use]
    pub fn with_batchable_given_non_batchable<D: Dimension>(
        mut self,
        f: impl Fn(&mut StreamRng, ArrayViewD<'_, f32>) -> Array<f32, D> + Send + Sync + 'static,
    ) -> Self {
        self.batchable = Some(Arc::new(move |rng, non_batchable| {
            let shared = non_batchable.expect(
                "batchable context that depends on non-batchable context needs ContextGenerator::with_non_batchable",
            );
            f(rng, shared).into_dyn()
        }));
        self
    }

    /// Adds context that a batch shares; `f` draws it once for each batch.
    #[must_use]
    pub fn with_non_batchable<D: Dimension>(
        mut self,
        f: impl Fn(&mut StreamRng) -> Array<f32, D> + Send + Sync + 'static,
    ) -> Self {
        self.non_batchable = Some(Arc::new(move |rng| f(rng).into_dyn()));
        self.observations = None;
        self
    }

    pub(crate) fn observations(&self) -> Option<&RangeInclusive<u32>> {
        self.observations.as_ref()
    }

    /// Whether simulations of one batch share context.
    pub(crate) fn is_shared(&self) -> bool {
        self.non_batchable.is_some()
    }

    /// Draws the context that a batch shares.
    pub(crate) fn draw_shared(&self, batch: &Batch<'_>, owner: Owner) -> Result<Option<ArrayD<f32>>, SimulationError> {
        let (_, (quantity, purpose)) = owner.streams();
        self.non_batchable.as_ref().map(|f| batch.once(quantity, purpose, |rng| f(rng))).transpose()
    }

    pub(crate) fn draw(&self, batch: &Batch<'_>, owner: Owner) -> Result<DrawnContext, SimulationError> {
        let ((batchable_quantity, batchable_purpose), _) = owner.streams();
        let non_batchable = self.draw_shared(batch, owner)?;
        let batchable = self
            .batchable
            .as_ref()
            .map(|f| {
                let shared = non_batchable.as_ref().map(|c| c.view());
                batch
                    .each(batchable_quantity, batchable_purpose, |rng, _| f(rng, shared.clone()))
                    .map(|drawn| drawn.values)
            })
            .transpose()?;
        Ok(DrawnContext { batchable, non_batchable })
    }
}

/// Whose context is drawn; each has its own streams.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    Prior,
    Simulator,
}

impl Owner {
    fn streams(self) -> ((Quantity, Purpose), (Quantity, Purpose)) {
        match self {
            Self::Prior => (
                (Quantity::PriorBatchableContext, const { Purpose::new("prior batchable") }),
                (Quantity::PriorNonBatchableContext, const { Purpose::new("prior non-batchable") }),
            ),
            Self::Simulator => (
                (Quantity::SimBatchableContext, const { Purpose::new("sim batchable") }),
                (Quantity::SimNonBatchableContext, const { Purpose::new("sim non-batchable") }),
            ),
        }
    }
}

/// The context of one batch.
#[derive(Debug)]
pub(crate) struct DrawnContext {
    /// `[B, ...]`
    pub(crate) batchable: Option<ArrayD<f32>>,
    pub(crate) non_batchable: Option<ArrayD<f32>>,
}

impl DrawnContext {
    /// The context of these rows.
    pub(crate) fn select(self, rows: &[usize]) -> Self {
        Self { batchable: self.batchable.map(|c| c.select(Axis(0), rows)), ..self }
    }

    /// The context that a function of one draw receives.
    pub(crate) fn of_row(&self, row: usize) -> Context<'_> {
        Context {
            batchable: self.batchable.as_ref().map(|c| c.index_axis(Axis(0), row)),
            non_batchable: self.non_batchable.as_ref().map(|c| c.view()),
        }
    }

    /// The context that a function of a whole batch receives.
    pub(crate) fn of_batch(&self) -> Context<'_> {
        Context {
            batchable: self.batchable.as_ref().map(|c| c.view()),
            non_batchable: self.non_batchable.as_ref().map(|c| c.view()),
        }
    }
}
