//! Turns simulations into parameters, summary conditions and direct conditions.

use crate::{AmortizerError, Conditions, Configured, conditions::beside_mask};
use bayesburn_core::Simulations;
use ndarray::{Array2, Array3, ArrayD, Axis, Ix2, Ix3, concatenate};

/// Decides which quantities of a simulation are inferred and which the networks condition on.
///
/// # To implement this
/// Return, for each batch, arrays of the same widths; a closure `|simulations| Configured::new(..)` will do. Transformations
/// of the parameters here, such as logarithms, mean that draws are of the transformed parameters. What a simulation counts in
/// training is given here too, by [`Configured::with_weights`].
pub trait Configurator: Send + Sync + 'static {
    /// Configures one batch.
    ///
    /// # Errors
    /// If the simulations are not what this configurator expects.
    fn configure(&self, simulations: &Simulations) -> Result<Configured, AmortizerError>;
}

impl<F> Configurator for F
where
    F: Fn(&Simulations) -> Result<Configured, AmortizerError> + Send + Sync + 'static,
{
    fn configure(&self, simulations: &Simulations) -> Result<Configured, AmortizerError> {
        self(simulations)
    }
}

/// The configurator of the BayesFlow tutorial.
///
/// - parameters: all of them;
/// - summary conditions: the simulated data, `[B, N, F]`, or `[B, F]` read as one observation each; then, where values may be missing,
///   their mask, with 0 in place of each value that is missing, as [`Conditions::with_missing`] makes of observed data; then the
///   batchable contexts of prior and simulator beside each observation: `[B, C]` is repeated for each, `[B, N, C]` has one for
///   each;
/// - direct conditions: the non-batchable contexts of prior and simulator, flat, repeated for each simulation.
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultConfigurator;

impl Configurator for DefaultConfigurator {
    fn configure(&self, simulations: &Simulations) -> Result<Configured, AmortizerError> {
        if simulations.data.is_padded() || simulations.data.only().is_none() {
            let reason = "the default configurator takes one input of data sets of one length: give one of your own";
            return Err(AmortizerError::Configurator(reason.to_owned()));
        }
        let data = observations("data", simulations.data.values())?;
        let (batch, n, features) = data.dim();
        let masked = if simulations.data.value_mask().is_some() { features } else { 0 };
        let data = match simulations.data.value_mask() {
            None => data,
            Some(mask) => beside_mask(data, observations("the mask of the data", mask)?),
        };
        let mut parts = vec![data];
        for (what, context) in [
            ("prior_batchable_context", &simulations.prior_batchable_context),
            ("sim_batchable_context", &simulations.sim_batchable_context),
        ] {
            if let Some(context) = context {
                parts.push(beside_observations(what, context, n)?);
            }
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        let summary_conditions = concatenate(Axis(2), &views)
            .map_err(|error| AmortizerError::Configurator(format!("contexts do not fit the data: {error}")))?;
        let shared: Vec<f32> = [&simulations.prior_non_batchable_context, &simulations.sim_non_batchable_context]
            .into_iter()
            .flatten()
            .flat_map(|context| context.iter().copied())
            .collect();
        let direct_conditions =
            (!shared.is_empty()).then(|| Array2::from_shape_fn((batch, shared.len()), |(_, i)| shared[i]));
        let conditions = Conditions { summary_conditions, direct_conditions, masked };
        let configured = Configured::new(simulations.parameters.clone(), conditions)?;
        Ok(Configured { proposals: simulations.proposals.clone(), ..configured })
    }
}

/// `[B, N, F]` as it is, `[B, F]` as one observation.
fn observations(what: &'static str, data: &ArrayD<f32>) -> Result<Array3<f32>, AmortizerError> {
    let wrong = || AmortizerError::Shape { what, got: data.shape().to_vec(), expected: "[B, N, F] or [B, F]" };
    match data.ndim() {
        2 => data.clone().insert_axis(Axis(1)).into_dimensionality::<Ix3>().map_err(|_| wrong()),
        _ => data.clone().into_dimensionality::<Ix3>().map_err(|_| wrong()),
    }
}

/// `[B, N, C]` as it is, `[B, C]` repeated for each of N observations.
fn beside_observations(what: &'static str, context: &ArrayD<f32>, n: usize) -> Result<Array3<f32>, AmortizerError> {
    let wrong = || AmortizerError::Shape { what, got: context.shape().to_vec(), expected: "[B, C] or [B, N, C]" };
    if let Ok(flat) = context.clone().into_dimensionality::<Ix2>() {
        let (batch, width) = flat.dim();
        return Ok(Array3::from_shape_fn((batch, n, width), |(b, _, c)| flat[[b, c]]));
    }
    let full = context.clone().into_dimensionality::<Ix3>().map_err(|_| wrong())?;
    if full.dim().1 == n { Ok(full) } else { Err(wrong()) }
}
