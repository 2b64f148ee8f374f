//! Draws data given parameters, by a simulator that the user supplies.

use crate::{
    Context, ContextGenerator, InvalidSimulations, Panics, ProcessSimulator, Quantity, SimulationError,
    context::{DrawnContext, Owner},
    process::{Jobs, ProcessPool},
    rows::Drawn,
    stack::{Batch, Stacked},
};
use bayesburn_core::{Data, Purpose, StreamRng};
use ndarray::{Array, Array2, ArrayD, ArrayView2, Axis, Dimension};
use std::{fmt, sync::Arc};

const PURPOSE: Purpose = Purpose::new("simulator");

type One = Arc<dyn Fn(&mut StreamRng, &[f32], &Context<'_>) -> Drawn + Send + Sync>;
type Whole = Arc<dyn Fn(&mut StreamRng, ArrayView2<'_, f32>, &Context<'_>) -> ArrayD<f32> + Send + Sync>;
type WholeData = Arc<dyn Fn(&mut StreamRng, ArrayView2<'_, f32>, &Context<'_>) -> Data + Send + Sync>;

#[derive(Clone)]
enum Function {
    One(One),
    Whole(Whole),
    WholeData(WholeData),
    Process(Arc<ProcessPool>),
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
    on_invalid: InvalidSimulations,
    feature_names: Option<Arc<[String]>>,
    on_panic: Panics,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("context", &self.context)
            .field("on_invalid", &self.on_invalid)
            .field("feature_names", &self.feature_names)
            .field("on_panic", &self.on_panic)
            .finish_non_exhaustive()
    }
}

impl Simulator {
    /// A simulator from a function of one draw: given θ `[D]` it returns x, usually `[N, features]`; one number without
    /// an axis ([`arr0`](ndarray::arr0)) is a vector of one. Draws run in parallel on all cores.
    ///
    /// Every draw must have the same shape, with one exception: the first of several axes, N of `[N, features]`, may
    /// differ between draws. Such data sets are padded to the longest of their batch, with a mask (see [`Data`]).
    ///
    /// ```
    /// use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
    /// use ndarray::Array2;
    /// use rand::RngExt;
    /// use rand_distr::StandardNormal;
    ///
    /// let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
    /// let simulator = Simulator::from_fn(|rng, mu, _| {
    ///     let n = rng.random_range(5..=100);
    ///     Array2::from_shape_fn((n, 1), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
    /// });
    /// let simulations = GenerativeModel::new(prior, simulator)?.simulate(1000, 1)?;
    /// assert!(simulations.data.is_padded() && (5..=100).contains(&simulations.data.num_rows(7)));
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    pub fn from_fn<S: Dimension>(
        f: impl Fn(&mut StreamRng, &[f32], &Context<'_>) -> Array<f32, S> + Send + Sync + 'static,
    ) -> Self {
        Self::new(Function::One(Arc::new(move |rng, parameters, context| {
            let data = f(rng, parameters, context).into_dyn();
            Drawn::One(if data.ndim() == 0 { data.insert_axis(Axis(0)) } else { data })
        })))
    }

    /// As [`Simulator::from_fn`], for a function that returns several named inputs, such as an image and a vector.
    ///
    /// ```
    /// use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
    /// use ndarray::{Array3, arr1};
    ///
    /// let prior = Prior::from_fn(["brightness"], |_, _| [0.5]);
    /// let simulator = Simulator::from_named_fn(|_, theta, _| {
    ///     [("image", Array3::from_elem((8, 8, 1), theta[0]).into_dyn()), ("age", arr1(&[40.0]).into_dyn())]
    /// });
    /// let simulations = GenerativeModel::new(prior, simulator)?.simulate(10, 1)?;
    /// assert_eq!(simulations.data.shape().to_string(), "image [8, 8, 1], age [1]");
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    pub fn from_named_fn<I>(f: impl Fn(&mut StreamRng, &[f32], &Context<'_>) -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator<Item = (&'static str, ArrayD<f32>)>,
    {
        Self::new(Function::One(Arc::new(move |rng, parameters, context| {
            let named = f(rng, parameters, context).into_iter();
            let axis = |data: ArrayD<f32>| if data.ndim() == 0 { data.insert_axis(Axis(0)) } else { data };
            Drawn::Named(named.map(|(name, data)| (name.to_owned(), axis(data))).collect())
        })))
    }

    /// A simulator from a function of a whole batch: given θ `[B, D]` it returns x `[B, ...]`. It runs on one core,
    /// unless it parallelises itself.
    pub fn from_batch_fn<S: Dimension>(
        f: impl Fn(&mut StreamRng, ArrayView2<'_, f32>, &Context<'_>) -> Array<f32, S> + Send + Sync + 'static,
    ) -> Self {
        Self::new(Function::Whole(Arc::new(move |rng, parameters, context| f(rng, parameters, context).into_dyn())))
    }

    /// As [`Simulator::from_batch_fn`], for a function that returns [`Data`]: padded data sets with their mask, or
    /// several inputs.
    pub fn from_batch_data_fn(
        f: impl Fn(&mut StreamRng, ArrayView2<'_, f32>, &Context<'_>) -> Data + Send + Sync + 'static,
    ) -> Self {
        Self::new(Function::WholeData(Arc::new(f)))
    }

    /// A simulator that is a program in any language; [`ProcessSimulator`] describes the protocol. Clones share its
    /// processes.
    #[must_use]
    pub fn from_process(process: ProcessSimulator) -> Self {
        Self::new(Function::Process(Arc::new(ProcessPool::new(process))))
    }

    fn new(function: Function) -> Self {
        let (on_invalid, on_panic) = (InvalidSimulations::Error, Panics::Error);
        Self { function, context: ContextGenerator::new(), on_invalid, on_panic, feature_names: None }
    }

    /// The range of the number of observations, if it is drawn by [`ContextGenerator::num_observations`].
    pub(crate) fn observations(&self) -> Option<&std::ops::RangeInclusive<u32>> {
        self.context.observations()
    }

    /// Gives the simulator context to depend on.
    #[must_use]
    pub fn with_context(mut self, context: ContextGenerator) -> Self {
        self.context = context;
        self
    }

    /// Names the features, in the order of the last axis of the data. Every posterior that is trained on the model
    /// stores the names, finds columns of tables by them, and uses them in warnings.
    /// [`GenerativeModel::new`](crate::GenerativeModel::new) checks that there is one for each feature.
    ///
    /// ```
    /// use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
    /// use ndarray::Array2;
    /// use rand::RngExt;
    ///
    /// let prior = Prior::from_fn(["drift"], |rng, _| [rng.random::<f32>()]);
    /// let simulator = Simulator::from_fn(|rng, drift, _| {
    ///     Array2::from_shape_fn((50, 2), |(_, i)| if i == 0 { drift[0] + rng.random::<f32>() } else { 1.0 })
    /// });
    /// let model = GenerativeModel::new(prior, simulator.with_feature_names(["rt", "choice"]))?;
    /// assert_eq!(model.feature_names().map(<[String]>::len), Some(2));
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    #[must_use]
    pub fn with_feature_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.feature_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    pub(crate) fn feature_names(&self) -> Option<&[String]> {
        self.feature_names.as_deref()
    }

    /// Sets the policy for simulations whose data contain NaN or infinity; by default they are an error. It applies to
    /// everything that simulates from the model: training, validation, tests. The model's pilot run needs one valid
    /// simulation under every policy.
    ///
    /// ```
    /// use bayesburn_simulation::{GenerativeModel, InvalidSimulations, Prior, Simulator};
    /// use ndarray::arr1;
    /// use rand::RngExt;
    /// use rand_distr::StandardNormal;
    ///
    /// let prior = Prior::from_fn(["growth"], |rng, _| [rng.sample(StandardNormal)]);
    /// // A simulator that diverges where θ > 1.2816, a tenth of the prior.
    /// let simulator = Simulator::from_fn(|_, theta, _| arr1(&[if theta[0] > 1.2816 { f32::NAN } else { theta[0] }]))
    ///     .on_invalid(InvalidSimulations::Redraw { max_attempts: 100 });
    /// let model = GenerativeModel::new(prior, simulator)?;
    /// let simulations = model.simulate(2000, 1)?;
    /// assert!(simulations.data.iter().all(|x| x.is_finite()));
    /// println!("{} attempts for 2000 simulations", 2000 + simulations.invalid.len());
    /// // What went wrong in the first that failed: NaN is there to see.
    /// let failed = model.replay(simulations.invalid[0])?;
    /// assert!(failed.data.values()[[0, 0]].is_nan() && failed.parameters[[0, 0]] > 1.2816);
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    #[must_use]
    pub fn on_invalid(mut self, policy: InvalidSimulations) -> Self {
        self.on_invalid = policy;
        self
    }

    /// Sets whether a simulation that panics, or whose program answers with an error, is invalid, so that
    /// [`Simulator::on_invalid`] applies to it. By default it is an error.
    ///
    /// ```
    /// use bayesburn_simulation::{GenerativeModel, InvalidSimulations, Panics, Prior, Simulator};
    /// use ndarray::arr1;
    /// use rand::RngExt;
    /// use rand_distr::StandardNormal;
    ///
    /// let prior = Prior::from_fn(["rate"], |rng, _| [rng.sample(StandardNormal)]);
    /// let solver = Simulator::from_fn(|_, theta, _| {
    ///     assert!(theta[0] < 2.0, "the solver did not converge at {}", theta[0]);
    ///     arr1(&[theta[0]])
    /// });
    /// let solver = solver.on_invalid(InvalidSimulations::Drop).on_panic(Panics::AsInvalid);
    /// let model = GenerativeModel::new(prior, solver)?;
    /// let simulations = model.simulate(1000, 1)?;
    /// println!("{} panicked, the first with: {}", simulations.panicked.len(), simulations.panicked[0].message);
    /// # assert_eq!(simulations.len() + simulations.panicked.len(), 1000);
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    #[must_use]
    pub fn on_panic(mut self, panics: Panics) -> Self {
        self.on_panic = panics;
        self
    }

    /// Whether a simulation that panics is invalid, as set by [`Simulator::on_panic`].
    #[must_use]
    pub fn panics(&self) -> Panics {
        self.on_panic
    }

    /// The policy for invalid simulations, as set by [`Simulator::on_invalid`].
    #[must_use]
    pub fn invalid_simulations(&self) -> InvalidSimulations {
        self.on_invalid
    }

    /// Whether the function is one of a whole batch, and so needs the parameters of all rows to compute any row.
    pub(crate) fn needs_whole_batch(&self) -> bool {
        matches!(self.function, Function::Whole(_) | Function::WholeData(_))
    }

    /// Whether simulation i, given its parameters, is the same in every batch.
    pub(crate) fn is_independent(&self) -> bool {
        matches!(self.function, Function::One(_) | Function::Process(_)) && !self.context.is_shared()
    }

    /// The context that a batch shares.
    pub(crate) fn draw_shared(&self, batch: &Batch<'_>) -> Result<Option<ArrayD<f32>>, SimulationError> {
        self.context.draw_shared(batch, Owner::Simulator)
    }

    pub(crate) fn draw(
        &self,
        batch: &Batch<'_>,
        parameters: &Array2<f32>,
    ) -> Result<(Stacked<Data>, DrawnContext), SimulationError> {
        let context = self.context.draw(batch, Owner::Simulator)?;
        let data = match &self.function {
            Function::One(f) => batch.each_data(PURPOSE, |rng, row| {
                let theta = parameters.row(row);
                f(rng, theta.as_slice().expect("drawn parameters are contiguous"), &context.of_row(row))
            })?,
            Function::Whole(f) => {
                let Stacked { values, invalid, panicked } =
                    batch.whole(Quantity::SimData, PURPOSE, |rng| f(rng, parameters.view(), &context.of_batch()))?;
                Stacked { values: Data::new(values), invalid, panicked }
            }
            Function::WholeData(f) => {
                batch.whole_data(PURPOSE, |rng| f(rng, parameters.view(), &context.of_batch()))?
            }
            Function::Process(pool) => {
                let rows = pool.simulate(&Jobs::new(batch, PURPOSE, parameters, &context))?;
                batch.stack(rows)?
            }
        };
        Ok((data, context))
    }
}

impl From<ProcessSimulator> for Simulator {
    fn from(process: ProcessSimulator) -> Self {
        Self::from_process(process)
    }
}
