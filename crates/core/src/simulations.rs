//! Holds one batch of simulations: the quantities that a generative model yields.

use crate::{Data, InvalidData};
use ndarray::{Array1, Array2, ArrayD, Axis, concatenate};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// One name for each parameter, in the order of the parameter axis.
pub type ParameterNames = Arc<[String]>;

/// Names one attempt at one simulation, so that it can be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulationId {
    /// The seed.
    pub seed: u64,
    /// The number of the simulation.
    pub index: u64,
    /// 0 for the first attempt, 1 for the first redraw, and so on.
    pub attempt: u32,
    /// The first simulation of the smallest batch that replays it: `index`, unless simulations depend on their batch.
    pub first: u64,
    /// The number of simulations of that batch.
    pub batch: usize,
}

/// A simulation whose simulator panicked, or whose program answered with an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PanickedSimulation {
    /// Which attempt at which simulation; it is in [`Simulations::invalid`] too.
    pub id: SimulationId,
    /// The message of the panic or the error.
    pub message: String,
}

/// Arrays that do not form a batch of simulations, or batches that cannot be joined.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimulationsError {
    /// Nothing to join.
    #[error("no batch to join: pass at least one")]
    Nothing,
    /// The batches have different parameters.
    #[error("simulations of {got:?} cannot follow simulations of {expected:?}: join batches of one model")]
    Names {
        /// The names of the first batch.
        expected: ParameterNames,
        /// The names of the batch that does not fit.
        got: ParameterNames,
    },
    /// Names, parameters and data do not fit each other.
    #[error("{got} {what} for {expected} {of}: give one for each")]
    Lengths {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// What was counted against it.
        of: &'static str,
        /// How many there should be.
        expected: usize,
    },
    /// Data that do not fit each other.
    #[error(transparent)]
    Data(#[from] InvalidData),
    /// A quantity has different shapes, is missing in one of the batches, or is shared by each batch and has different
    /// values.
    #[error(
        "`{quantity}` is {got} in one batch and {expected} in the first: join batches that agree in everything but \
         their length"
    )]
    Quantity {
        /// Which field.
        quantity: &'static str,
        /// Its shape or value in the first batch.
        expected: String,
        /// Its shape or value in the other batch.
        got: String,
    },
}

/// A batch of B simulations.
///
/// *Batchable* context differs between the simulations of a batch and has the batch as first axis; *non-batchable*
/// context, such as the number of observations, is shared by the batch and has none.
///
/// # Shapes
/// B simulations of D parameters; the axes after B are the model's own, usually `[N, features]` for N observations: see
/// [`Data`].
#[derive(Debug, Clone, PartialEq)]
pub struct Simulations {
    /// The parameters' names, D of them.
    pub parameter_names: ParameterNames,
    /// Prior draws θ, `[B, D]`.
    pub parameters: Array2<f32>,
    /// Simulated data x, B data sets, with masks of what is padding or missing.
    pub data: Data,
    /// The prior's batchable context, `[B, ...]`.
    pub prior_batchable_context: Option<ArrayD<f32>>,
    /// The prior's non-batchable context.
    pub prior_non_batchable_context: Option<ArrayD<f32>>,
    /// The simulator's batchable context, `[B, ...]`.
    pub sim_batchable_context: Option<ArrayD<f32>>,
    /// The simulator's non-batchable context.
    pub sim_non_batchable_context: Option<ArrayD<f32>>,
    /// Where each simulation's parameters came from, `[B]`: 0 for the prior, and the number of a proposal for others,
    /// as inference in rounds counts them. `None`: the prior for all.
    pub proposals: Option<Array1<u32>>,
    /// The attempts that were not finite, or panicked, and were redrawn, dropped or masked.
    pub invalid: Vec<SimulationId>,
    /// Those of [`Simulations::invalid`] that panicked, with their messages.
    pub panicked: Vec<PanickedSimulation>,
}

/// Data sets without parameters: simulated or observed data, and contexts.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The names of the parameters to infer.
    pub parameter_names: &'a ParameterNames,
    /// A placeholder drawn from the prior, for configurators that are functions of whole simulations; zeros if `None`.
    pub stand_in: Option<&'a Array1<f32>>,
    /// As [`Simulations::data`].
    pub data: &'a Data,
    /// As [`Simulations::prior_batchable_context`].
    pub prior_batchable_context: Option<&'a ArrayD<f32>>,
    /// As [`Simulations::prior_non_batchable_context`].
    pub prior_non_batchable_context: Option<&'a ArrayD<f32>>,
    /// As [`Simulations::sim_batchable_context`].
    pub sim_batchable_context: Option<&'a ArrayD<f32>>,
    /// As [`Simulations::sim_non_batchable_context`].
    pub sim_non_batchable_context: Option<&'a ArrayD<f32>>,
}

impl<'a> Given<'a> {
    /// Data without contexts.
    #[must_use]
    pub fn new(parameter_names: &'a ParameterNames, data: &'a Data) -> Self {
        Self {
            parameter_names,
            stand_in: None,
            data,
            prior_batchable_context: None,
            prior_non_batchable_context: None,
            sim_batchable_context: None,
            sim_non_batchable_context: None,
        }
    }
}

impl Simulations {
    /// Data and contexts, without the parameters.
    #[must_use]
    pub fn given(&self) -> Given<'_> {
        Given {
            parameter_names: &self.parameter_names,
            stand_in: None,
            data: &self.data,
            prior_batchable_context: self.prior_batchable_context.as_ref(),
            prior_non_batchable_context: self.prior_non_batchable_context.as_ref(),
            sim_batchable_context: self.sim_batchable_context.as_ref(),
            sim_non_batchable_context: self.sim_non_batchable_context.as_ref(),
        }
    }

    /// A batch of parameters `[B, D]` and B data sets (or an array `[B, ...]`), without contexts.
    ///
    /// # Errors
    /// If there are not D names or not B data sets.
    pub fn new(
        parameter_names: ParameterNames,
        parameters: Array2<f32>,
        data: impl Into<Data>,
    ) -> Result<Self, SimulationsError> {
        let data = data.into();
        let fits = |what, got, of, expected| {
            if got == expected { Ok(()) } else { Err(SimulationsError::Lengths { what, got, of, expected }) }
        };
        fits("names", parameter_names.len(), "parameters", parameters.ncols())?;
        fits("data sets", data.len(), "simulations", parameters.nrows())?;
        Ok(Self {
            parameter_names,
            parameters,
            data,
            prior_batchable_context: None,
            prior_non_batchable_context: None,
            sim_batchable_context: None,
            sim_non_batchable_context: None,
            proposals: None,
            invalid: Vec::new(),
            panicked: Vec::new(),
        })
    }

    /// The number of simulations, B.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parameters.nrows()
    }

    /// Whether there is no simulation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The data in the form of observations, `[B, ...]`: NaN marks missing values and padding rows. See
    /// [`Data::observations`].
    ///
    /// Use this to condition a posterior on a simulation. The raw values contain a 0 in place of each missing value,
    /// which would be taken for a measured 0.
    ///
    /// ```
    /// use bayesburn_core::{Data, Simulations};
    /// use ndarray::array;
    ///
    /// let data = Data::with_missing(array![[1.5, f32::NAN]]);
    /// let batch = Simulations::new(["mu".to_owned()].into(), array![[0.5]], data)?;
    /// let observed = batch.observations();
    /// assert!(observed[[0, 0]] == 1.5 && observed[[0, 1]].is_nan());
    /// # Ok::<(), bayesburn_core::SimulationsError>(())
    /// ```
    #[must_use]
    pub fn observations(&self) -> ArrayD<f32> {
        self.data.observations()
    }

    /// The simulations with these row numbers, in this order; a row may occur more than once. `invalid` and `panicked`
    /// of the result are empty: they belong to the batch in which they were counted.
    ///
    /// # Panics
    /// If a row does not exist.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let of = |array: &ArrayD<f32>| array.select(Axis(0), rows);
        Self {
            parameter_names: self.parameter_names.clone(),
            parameters: self.parameters.select(Axis(0), rows),
            data: self.data.select(rows),
            prior_batchable_context: self.prior_batchable_context.as_ref().map(of),
            prior_non_batchable_context: self.prior_non_batchable_context.clone(),
            sim_batchable_context: self.sim_batchable_context.as_ref().map(of),
            sim_non_batchable_context: self.sim_non_batchable_context.clone(),
            proposals: self.proposals.as_ref().map(|proposals| proposals.select(Axis(0), rows)),
            invalid: Vec::new(),
            panicked: Vec::new(),
        }
    }

    /// Concatenates batches. Data sets of different lengths are padded: see [`Data::join`].
    ///
    /// # Errors
    /// No batch; batches that differ in names, in shape, or in shared context.
    pub fn join<'a>(batches: impl IntoIterator<Item = &'a Simulations>) -> Result<Self, SimulationsError> {
        let batches: Vec<&Simulations> = batches.into_iter().collect();
        let Some(first) = batches.first() else { return Err(SimulationsError::Nothing) };
        if let Some(other) = batches.iter().find(|batch| batch.parameter_names != first.parameter_names) {
            let (expected, got) = (first.parameter_names.clone(), other.parameter_names.clone());
            return Err(SimulationsError::Names { expected, got });
        }
        let stacked = |quantity, of: &dyn for<'b> Fn(&'b Simulations) -> Option<&'b ArrayD<f32>>| {
            let row = |batch| of(batch).map(|array| array.shape()[1..].to_vec());
            let words = |shape: Option<Vec<usize>>| shape.map_or("missing".to_owned(), |s| format!("of shape {s:?}"));
            let expected = row(first);
            match batches.iter().map(|batch| row(batch)).find(|got| *got != expected) {
                Some(got) => Err(SimulationsError::Quantity { quantity, expected: words(expected), got: words(got) }),
                None => {
                    let views: Vec<_> = batches.iter().filter_map(|batch| of(batch)).map(|a| a.view()).collect();
                    Ok((!views.is_empty()).then(|| concatenate(Axis(0), &views).expect("rows of one shape")))
                }
            }
        };
        let shared = |quantity, of: &dyn for<'b> Fn(&'b Simulations) -> Option<&'b ArrayD<f32>>| {
            let words = |array: Option<&ArrayD<f32>>| array.map_or("missing".to_owned(), |a| a.to_string());
            let expected = of(first);
            match batches.iter().map(|batch| of(batch)).find(|got| *got != expected) {
                Some(got) => Err(SimulationsError::Quantity { quantity, expected: words(expected), got: words(got) }),
                None => Ok(expected.cloned()),
            }
        };
        let data = Data::join(batches.iter().map(|batch| &batch.data))?;
        let parameters: Vec<_> = batches.iter().map(|batch| batch.parameters.view()).collect();
        let proposals = batches.iter().any(|batch| batch.proposals.is_some()).then(|| {
            let of_prior = |batch: &Simulations| Array1::zeros(batch.len());
            batches.iter().flat_map(|batch| batch.proposals.clone().unwrap_or_else(|| of_prior(batch))).collect()
        });
        Ok(Self {
            parameter_names: first.parameter_names.clone(),
            parameters: concatenate(Axis(0), &parameters).expect("as many parameters as names"),
            data,
            prior_batchable_context: stacked("prior_batchable_context", &|b| b.prior_batchable_context.as_ref())?,
            prior_non_batchable_context: shared("prior_non_batchable_context", &|b| {
                b.prior_non_batchable_context.as_ref()
            })?,
            sim_batchable_context: stacked("sim_batchable_context", &|b| b.sim_batchable_context.as_ref())?,
            sim_non_batchable_context: shared("sim_non_batchable_context", &|b| b.sim_non_batchable_context.as_ref())?,
            proposals,
            invalid: batches.iter().flat_map(|batch| batch.invalid.iter().copied()).collect(),
            panicked: batches.iter().flat_map(|batch| batch.panicked.iter().cloned()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, array};

    fn batch(values: &[f32], context: f32) -> Simulations {
        let parameters = Array2::from_shape_fn((values.len(), 1), |(i, _)| values[i]);
        let data = parameters.mapv(|v| 10.0 * v);
        let mut batch = Simulations::new(["mu".to_owned()].into(), parameters, data).expect("one name, equal rows");
        batch.sim_non_batchable_context = Some(array![context].into_dyn());
        batch
    }

    #[test]
    fn selected_rows_come_in_order_and_joined_batches_one_after_the_other() {
        let all = Simulations::join([&batch(&[1.0, 2.0], 5.0), &batch(&[3.0], 5.0)]).expect("alike");
        assert_eq!(all, batch(&[1.0, 2.0, 3.0], 5.0));
        assert_eq!(all.select(&[2, 0, 2]), batch(&[3.0, 1.0, 3.0], 5.0));
    }

    #[test]
    fn batches_without_proposals_are_of_the_prior() {
        let mut proposed = batch(&[1.0, 2.0], 5.0);
        proposed.proposals = Some(array![1, 3]);
        let all = Simulations::join([&batch(&[0.0], 5.0), &proposed]).expect("alike");
        assert_eq!(all.proposals, Some(array![0, 1, 3]));
        assert_eq!(all.select(&[2, 0]).proposals, Some(array![3, 0]));
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        let of = |names: &[&str], rows| {
            let names = names.iter().map(ToString::to_string).collect();
            Simulations::new(names, Array2::zeros((2, 1)), ArrayD::<f32>::zeros(vec![rows, 3]))
                .map_err(|e| e.to_string())
        };
        assert!(of(&["mu"], 2).is_ok());
        assert_eq!(of(&["mu", "nu"], 2).expect_err("2 names"), "2 names for 1 parameters: give one for each");
        assert_eq!(of(&["mu"], 3).expect_err("3 rows"), "3 data sets for 2 simulations: give one for each");
    }

    #[test]
    fn observations_have_nan_where_values_are_missing() {
        let mut masked = batch(&[1.0, 2.0], 5.0);
        assert_eq!(&masked.observations(), masked.data.values(), "without a mask all values are there");
        masked.data = masked.data.with_value_mask(array![[1.0], [0.0]]).expect("of one shape");
        let observed = masked.observations();
        assert!(observed[[0, 0]] == 10.0 && observed[[1, 0]].is_nan(), "{observed}");
    }

    #[test]
    fn batches_that_differ_are_refused_with_what_differs() {
        let message =
            |other: Simulations| Simulations::join([&batch(&[1.0], 5.0), &other]).expect_err("they differ").to_string();
        assert!(message(batch(&[1.0], 6.0)).contains("`sim_non_batchable_context` is [6]"));
        let mut wider = batch(&[1.0], 5.0);
        wider.data = Data::new(Array::zeros((1, 3)));
        assert!(message(wider).contains("with shape [3] do not fit those with [1]"));
        let mut masked = batch(&[1.0], 5.0);
        masked.data = masked.data.nan_as_missing();
        assert!(message(masked).contains("have a mask of values and others have none"));
        assert!(matches!(Simulations::join([]), Err(SimulationsError::Nothing)));
        let mut other = batch(&[1.0], 5.0);
        other.parameter_names = ["sigma".to_owned()].into();
        assert!(message(other).contains("sigma"));
    }
}
