//! Gathers the data sets that a posterior is judged by, over the contexts that they share.

use crate::WorkflowError;
use bayesburn_amortizers::{AmortizerError, Conditions, Configured};
use bayesburn_core::Simulations;
use bayesburn_simulation::GenerativeModel;
use ndarray::{Array1, ArrayD, ArrayView, Axis, RemoveAxis, concatenate};

/// Numbers of one context at most that the verdict is split by; of more, their mean is.
const MOST_NUMBERS: usize = 4;

/// Data sets whose parameters are known.
#[derive(Debug, Clone)]
pub(crate) struct TestSets {
    /// Data sets of equal shapes in each, which can be drawn for together; there is at least one.
    pub(crate) groups: Vec<Configured>,
    /// Each number that batches share and that differs among them, `[M]`, in the order of the groups.
    pub(crate) contexts: Vec<(String, Array1<f32>)>,
}

impl TestSets {
    /// Of batches of a model, each with a context of its own.
    pub(crate) fn new(
        model: &GenerativeModel,
        batches: &[Simulations],
        configure: impl Fn(&Simulations) -> Result<Configured, WorkflowError>,
    ) -> Result<Self, WorkflowError> {
        let mut by_shape: Vec<(Vec<usize>, Vec<usize>, Vec<Configured>)> = Vec::new();
        for (number, batch) in batches.iter().enumerate() {
            let configured = configure(batch)?;
            let shape = shape_of(&configured.conditions);
            match by_shape.iter_mut().find(|(other, ..)| *other == shape) {
                Some((_, numbers, group)) => {
                    numbers.push(number);
                    group.push(configured);
                }
                None => by_shape.push((shape, vec![number], vec![configured])),
            }
        }
        by_shape.sort_by_key(|(shape, ..)| shape.clone());
        let rows =
            || by_shape.iter().flat_map(|(_, numbers, group)| numbers.iter().zip(group.iter().map(Configured::len)));
        let contexts = contexts(model, batches).into_iter().map(|(name, values)| {
            (name, rows().flat_map(|(&number, rows)| std::iter::repeat_n(values[number], rows)).collect())
        });
        let contexts = contexts.collect();
        let groups = by_shape.iter().map(|(.., group)| Configured::joined(group)).collect::<Result<_, _>>()?;
        Ok(Self { groups, contexts })
    }
}

/// What data sets have in common that can be drawn for together: their shapes, where they are not padded, and how many
/// direct conditions.
fn shape_of(conditions: &Conditions) -> Vec<usize> {
    let lengths = conditions.data.inputs().iter().flat_map(|input| {
        let shape = &input.values().shape()[1..];
        // Padded data sets of any length are taken together.
        let first = if input.row_mask().is_some() { shape.len() - 1 } else { 0 };
        shape[first..].to_vec()
    });
    lengths.chain(conditions.direct_conditions.as_ref().map(|direct| direct.ncols())).collect()
}

/// One after the other.
pub(crate) fn rows_of<'a, D: RemoveAxis>(
    arrays: impl Iterator<Item = ArrayView<'a, f32, D>>,
) -> Result<ndarray::Array<f32, D>, WorkflowError> {
    let views: Vec<_> = arrays.collect();
    let differ = |error: ndarray::ShapeError| AmortizerError::Configurator(format!("test batches differ: {error}"));
    Ok(concatenate(Axis(0), &views).map_err(differ)?)
}

/// The numbers that the simulations of a batch share, by name, one of each batch, if they differ among batches.
fn contexts(model: &GenerativeModel, batches: &[Simulations]) -> Vec<(String, Vec<f32>)> {
    let mut all: Vec<(String, Vec<f32>)> = Vec::new();
    let observations: Vec<f32> = batches.iter().map(|batch| batch.data.values().shape()[1] as f32).collect();
    if batches.iter().all(|batch| batch.data.values().ndim() > 2) {
        all.push(("N".to_owned(), observations));
    }
    let counts = model.num_observations().is_some();
    all.extend(numbers(batches, "the prior's context", |batch| batch.prior_non_batchable_context.as_ref()));
    let of_simulator = numbers(batches, "the context", |batch| batch.sim_non_batchable_context.as_ref());
    for (name, values) in of_simulator {
        if all.iter().all(|(_, other)| *other != values) {
            all.push((if counts { "N".to_owned() } else { name }, values));
        }
    }
    all.retain(|(_, values)| values.iter().any(|value| *value != values[0]));
    all
}

/// The numbers of one context: each by itself, or the mean of many or of differently many.
fn numbers<'a>(
    batches: &'a [Simulations],
    name: &str,
    of: impl Fn(&'a Simulations) -> Option<&'a ArrayD<f32>>,
) -> Vec<(String, Vec<f32>)> {
    let contexts: Vec<&ArrayD<f32>> = batches.iter().filter_map(of).collect();
    let Some(first) = contexts.first().filter(|_| contexts.len() == batches.len()) else { return Vec::new() };
    let count = first.len();
    if count > MOST_NUMBERS || contexts.iter().any(|context| context.len() != count) {
        let means = contexts.iter().map(|context| context.mean().unwrap_or_default());
        return vec![(format!("the mean of {name}"), means.collect())];
    }
    let number = |i: usize| {
        let name = if count == 1 { name.to_owned() } else { format!("number {i} of {name}") };
        (name, contexts.iter().map(|context| context.iter().nth(i).copied().unwrap_or_default()).collect())
    };
    (0..count).map(number).collect()
}
