//! Turns simulations into parameters, data to condition on and direct conditions.

use crate::{AmortizerError, Conditions, Configured};
use bayesburn_core::{Data, Given, Simulations};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, Ix2, Ix3, concatenate};

/// Decides what the networks condition on, and what is inferred.
///
/// # To implement this
/// Return, for each batch, arrays of the same widths. What networks condition on is a function of data and contexts
/// alone, so that it is the same for simulations and for what was observed. Transformations of the parameters among the
/// targets, such as logarithms, mean that draws are of the transformed parameters. What a simulation counts in training
/// is given there too.
///
/// Two closures are enough: see [`SplitConfigurator`]. So is one, `|simulations| Configured::new(..)`, of which the
/// conditions must not depend on the parameters: observed data have none, and it is called with others in their place.
pub trait Configurator: Send + Sync + 'static {
    /// What the networks are conditioned on.
    ///
    /// # Errors
    /// If data or contexts are not what this configurator expects.
    fn conditions(&self, given: &Given<'_>) -> Result<Conditions, AmortizerError>;

    /// What is inferred: all parameters, with a weight of 1, unless it is said here.
    ///
    /// # Errors
    /// If the simulations are not what this configurator expects.
    fn targets(&self, simulations: &Simulations) -> Result<TrainingTargets, AmortizerError> {
        Ok(TrainingTargets::new(simulations.parameters.clone()))
    }

    /// Both, of one batch of simulations.
    ///
    /// # Errors
    /// As the two; numbers of data sets that differ; values that are not finite.
    fn configure(&self, simulations: &Simulations) -> Result<Configured, AmortizerError> {
        let TrainingTargets { parameters, weights } = self.targets(simulations)?;
        let configured = Configured::new(parameters, self.conditions(&simulations.given())?)?;
        let configured = match weights {
            Some(weights) => configured.with_weights(weights)?,
            None => configured,
        };
        Ok(Configured { proposals: simulations.proposals.clone(), ..configured })
    }
}

/// What is inferred of a batch of simulations.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingTargets {
    /// The parameters to infer, `[B, D]`.
    pub parameters: Array2<f32>,
    /// As [`Configured::weights`].
    pub weights: Option<Array1<f32>>,
}

impl TrainingTargets {
    /// Parameters `[B, D]`, each simulation with a weight of 1.
    #[must_use]
    pub fn new(parameters: Array2<f32>) -> Self {
        Self { parameters, weights: None }
    }

    /// With a weight for each simulation, as [`Configured::with_weights`].
    #[must_use]
    pub fn with_weights(self, weights: Array1<f32>) -> Self {
        Self { weights: Some(weights), ..self }
    }
}

/// A configurator of two functions: what networks condition on, and what is inferred.
///
/// ```
/// use bayesburn_amortizers::{Conditions, SplitConfigurator, TrainingTargets};
/// use bayesburn_core::{Given, Simulations};
///
/// // The logarithm of the first parameter, of data as they are.
/// let configurator = SplitConfigurator::new(
///     |given: &Given<'_>| Ok(Conditions::from(given.data.clone())),
///     |simulations: &Simulations| {
///         let first = simulations.parameters.slice(ndarray::s![.., ..1]);
///         Ok(TrainingTargets::new(first.mapv(f32::ln)))
///     },
/// );
/// # fn takes(_: impl bayesburn_amortizers::Configurator) {}
/// # takes(configurator);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SplitConfigurator<C, T> {
    conditions: C,
    targets: T,
}

impl<C, T> SplitConfigurator<C, T>
where
    C: Fn(&Given<'_>) -> Result<Conditions, AmortizerError> + Send + Sync + 'static,
    T: Fn(&Simulations) -> Result<TrainingTargets, AmortizerError> + Send + Sync + 'static,
{
    /// Of the two functions.
    pub fn new(conditions: C, targets: T) -> Self {
        Self { conditions, targets }
    }
}

impl<C, T> Configurator for SplitConfigurator<C, T>
where
    C: Fn(&Given<'_>) -> Result<Conditions, AmortizerError> + Send + Sync + 'static,
    T: Fn(&Simulations) -> Result<TrainingTargets, AmortizerError> + Send + Sync + 'static,
{
    fn conditions(&self, given: &Given<'_>) -> Result<Conditions, AmortizerError> {
        (self.conditions)(given)
    }

    fn targets(&self, simulations: &Simulations) -> Result<TrainingTargets, AmortizerError> {
        (self.targets)(simulations)
    }
}

impl<F> Configurator for F
where
    F: Fn(&Simulations) -> Result<Configured, AmortizerError> + Send + Sync + 'static,
{
    fn conditions(&self, given: &Given<'_>) -> Result<Conditions, AmortizerError> {
        let shape = (given.data.len(), given.parameter_names.len());
        let unknown = given.stand_in.and_then(|row| row.broadcast(shape)).map(|rows| rows.to_owned());
        let unknown = unknown.unwrap_or_else(|| Array2::zeros(shape));
        let mut simulations = Simulations::new(given.parameter_names.clone(), unknown, given.data.clone())
            .map_err(|error| AmortizerError::Configurator(error.to_string()))?;
        simulations.prior_batchable_context = given.prior_batchable_context.cloned();
        simulations.prior_non_batchable_context = given.prior_non_batchable_context.cloned();
        simulations.sim_batchable_context = given.sim_batchable_context.cloned();
        simulations.sim_non_batchable_context = given.sim_non_batchable_context.cloned();
        Ok(self(&simulations)?.conditions)
    }

    fn targets(&self, simulations: &Simulations) -> Result<TrainingTargets, AmortizerError> {
        let Configured { parameters, weights, .. } = self(simulations)?;
        Ok(TrainingTargets { parameters, weights })
    }

    fn configure(&self, simulations: &Simulations) -> Result<Configured, AmortizerError> {
        self(simulations)
    }
}

/// The configurator of the BayesFlow tutorial.
///
/// - parameters: all of them;
/// - data: the simulated data, `[B, N, F]`, or `[B, F]` read as one observation each; then, where values may be
///   missing, their mask, with 0 in place of each value that is missing, as [`Conditions::from`] makes of observed
///   data; then the batchable contexts of prior and simulator beside each observation: `[B, C]` is repeated for each,
///   `[B, N, C]` has one for each;
/// - direct conditions: the non-batchable contexts of prior and simulator, flat, repeated for each simulation; and
///   where the data are no sets or series, such as images or several inputs, before them the batchable contexts, flat.
///
/// Named inputs keep their names and their order; the mask of missing values of each is behind its features. To pass
/// one of them as a direct condition instead, write a configurator: see [`SplitConfigurator`].
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultConfigurator;

impl Configurator for DefaultConfigurator {
    fn conditions(&self, given: &Given<'_>) -> Result<Conditions, AmortizerError> {
        let mut conditions = Conditions::from(given.data.clone());
        let batchable = [
            ("prior_batchable_context", given.prior_batchable_context),
            ("sim_batchable_context", given.sim_batchable_context),
        ];
        let batchable = batchable.into_iter().filter_map(|(what, context)| Some((what, context?)));
        let batch = given.data.len();
        let is_set = conditions.data.only().is_some_and(|only| only.values().ndim() == 3);
        let mut direct = Vec::new();
        if is_set {
            for (what, context) in batchable {
                conditions.data = beside_observations(what, context, &conditions.data)?;
            }
        } else {
            for (what, context) in batchable {
                let rows = context.shape().first().copied().unwrap_or(0);
                let flat = context.to_shape((rows, context.len() / rows.max(1))).map(|flat| flat.into_owned());
                let got = || context.shape().to_vec();
                let wrong = |_| AmortizerError::Shape { what, got: got(), expected: "[B, ...]" };
                direct.push(flat.map_err(wrong)?);
            }
        }
        let shared: Vec<f32> = [given.prior_non_batchable_context, given.sim_non_batchable_context]
            .into_iter()
            .flatten()
            .flat_map(|context| context.iter().copied())
            .collect();
        if !shared.is_empty() {
            direct.push(Array2::from_shape_fn((batch, shared.len()), |(_, i)| shared[i]));
        }
        if !direct.is_empty() {
            let views: Vec<_> = direct.iter().map(|part| part.view()).collect();
            let joined = concatenate(Axis(1), &views);
            let wrong = |error| AmortizerError::Configurator(format!("contexts do not fit the data: {error}"));
            conditions.direct_conditions = Some(joined.map_err(wrong)?);
        }
        Ok(conditions)
    }
}

/// Sets `[B, N, F]` with a context behind their features: `[B, N, C]` as it is, `[B, C]` repeated for each of N
/// observations.
fn beside_observations(what: &'static str, context: &ArrayD<f32>, sets: &Data) -> Result<Data, AmortizerError> {
    let wrong = || AmortizerError::Shape { what, got: context.shape().to_vec(), expected: "[B, C] or [B, N, C]" };
    sets.map_inputs(|input| {
        let n = input.values().shape()[1];
        let full = match context.clone().into_dimensionality::<Ix2>() {
            Ok(flat) => {
                let (batch, width) = flat.dim();
                Array3::from_shape_fn((batch, n, width), |(b, _, c)| flat[[b, c]])
            }
            Err(_) => context.clone().into_dimensionality::<Ix3>().map_err(|_| wrong())?,
        };
        if full.dim().1 != n {
            return Err(wrong());
        }
        let both = concatenate(Axis(2), &[input.values().view(), full.into_dyn().view()]);
        let both =
            both.map_err(|error| AmortizerError::Configurator(format!("contexts do not fit the data: {error}")))?;
        Ok(input.with_features(both)?)
    })
}
