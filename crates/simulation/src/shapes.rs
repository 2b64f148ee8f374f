//! Describes the shapes of the arrays of a simulation.

use bayesburn_core::{Data, DataShape, Simulations};
use ndarray::ArrayD;
use std::fmt;

/// The shapes found in a pilot run, without the batch axis; `None` where the model has no such context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shapes {
    /// Shape of the parameters, `[D]`.
    pub parameters: Vec<usize>,
    /// Shape of the data of one simulation, of the first input if there are several. If the number of observations
    /// varies between batches, this is one example; if it varies between simulations, it is the longest.
    pub data: Vec<usize>,
    /// Shape of each input, if inputs have names.
    pub inputs: Vec<(String, Vec<usize>)>,
    /// Shape of the prior's batchable context.
    pub prior_batchable_context: Option<Vec<usize>>,
    /// Shape of the prior's non-batchable context.
    pub prior_non_batchable_context: Option<Vec<usize>>,
    /// Shape of the simulator's batchable context.
    pub sim_batchable_context: Option<Vec<usize>>,
    /// Shape of the simulator's non-batchable context.
    pub sim_non_batchable_context: Option<Vec<usize>>,
}

impl Shapes {
    pub(crate) fn of(pilot: &Simulations) -> Self {
        let one = |array: &ArrayD<f32>| array.shape()[1..].to_vec();
        let shared = |array: &ArrayD<f32>| array.shape().to_vec();
        Self {
            parameters: vec![pilot.parameters.ncols()],
            data: one(pilot.data.values()),
            inputs: match pilot.data.is_named() {
                true => pilot.data.inputs().iter().map(|of| (of.name().to_owned(), one(of.values()))).collect(),
                false => Vec::new(),
            },
            prior_batchable_context: pilot.prior_batchable_context.as_ref().map(one),
            prior_non_batchable_context: pilot.prior_non_batchable_context.as_ref().map(shared),
            sim_batchable_context: pilot.sim_batchable_context.as_ref().map(one),
            sim_non_batchable_context: pilot.sim_non_batchable_context.as_ref().map(shared),
        }
    }
}

impl Shapes {
    /// The lengths of the last axes, of all inputs together.
    pub(crate) fn num_features(&self) -> usize {
        let last = |shape: &Vec<usize>| shape.last().copied().unwrap_or(1);
        if self.inputs.is_empty() { last(&self.data) } else { self.inputs.iter().map(|(_, shape)| last(shape)).sum() }
    }

    /// The number of values in the data of one simulation, of all inputs together.
    #[must_use]
    pub fn num_values(&self) -> usize {
        let values = |shape: &Vec<usize>| shape.iter().product::<usize>();
        if self.inputs.is_empty() {
            values(&self.data)
        } else {
            self.inputs.iter().map(|(_, shape)| values(shape)).sum()
        }
    }

    /// The shapes of the data for a network: sets and series may have any length.
    #[must_use]
    pub fn data_shape(&self) -> DataShape {
        self.nan(0).shape()
    }

    /// Data of these shapes that are NaN throughout.
    pub(crate) fn nan(&self, rows: usize) -> Data {
        let nan = |shape: &[usize]| Data::new(ArrayD::from_elem([&[rows], shape].concat(), f32::NAN));
        if self.inputs.is_empty() {
            return nan(&self.data);
        }
        Data::named(self.inputs.iter().map(|(name, shape)| (name.clone(), nan(shape)))).expect("as in the pilot run")
    }
}

impl fmt::Display for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batch = |shape: &[usize]| {
            shape.iter().fold("[B".to_string(), |mut text, n| {
                text += &format!(", {n}");
                text
            }) + "]"
        };
        let optional = |shape: &Option<Vec<usize>>, batchable| match shape {
            None => "none".to_string(),
            Some(shape) if batchable => batch(shape),
            Some(shape) => format!("{shape:?}"),
        };
        writeln!(f, "parameters                    {}", batch(&self.parameters))?;
        match &self.inputs[..] {
            [] => writeln!(f, "data                          {}", batch(&self.data))?,
            inputs => inputs
                .iter()
                .try_for_each(|(name, shape)| writeln!(f, "{:<29} {}", format!("data `{name}`"), batch(shape)))?,
        }
        writeln!(f, "prior batchable context       {}", optional(&self.prior_batchable_context, true))?;
        writeln!(f, "prior non-batchable context   {}", optional(&self.prior_non_batchable_context, false))?;
        writeln!(f, "sim batchable context         {}", optional(&self.sim_batchable_context, true))?;
        write!(f, "sim non-batchable context     {}", optional(&self.sim_non_batchable_context, false))
    }
}
