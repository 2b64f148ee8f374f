//! Runs a user's function once for each simulation, on all cores, and stacks what it returns into one array.

use crate::{
    Panics, Quantity, SimulationError,
    rows::{Drawn, Misfit, Part, Parts},
};
use bayesburn_core::{Data, Purpose, SimulationId, StreamRng, stream};
use ndarray::{ArrayD, ArrayViewD, Axis, Dimension};
use rand::Rng;
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Attempt a > 0 of every simulation takes its streams from a seed of its own, drawn from stream a of this purpose.
const REDRAW: Purpose = Purpose::new("redraw");

/// The values that have to be finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finite {
    /// All values; the first non-finite value is an error.
    All,
    /// All but the data; rows with non-finite data are listed.
    AllButData,
    /// None, to inspect a simulation that failed.
    Nothing,
}

/// The draws of a batch, one after the other.
#[derive(Debug)]
pub(crate) struct Stacked<T> {
    /// Arrays `[rows, ...]`, or data.
    pub(crate) values: T,
    /// The rows with non-finite values, ascending; empty if such values are an error.
    pub(crate) invalid: Vec<usize>,
    /// The rows that panicked, with their messages; their values are NaN. If all rows panicked, the shape is unknown:
    /// `[rows, 0]`.
    pub(crate) panicked: Vec<(usize, String)>,
}

/// Which simulations, of which seed, and for which model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) seed: u64,
    /// The global number of the first simulation.
    pub(crate) first: u64,
    pub(crate) len: usize,
    pub(crate) num_parameters: usize,
    /// Whether simulation i is the same in every batch: no non-batchable context and no function of a whole batch.
    pub(crate) independent: bool,
    /// 0, or the number of the redraw.
    pub(crate) attempt: u32,
    /// The rows to draw, ascending; `None` for all.
    pub(crate) rows: Option<&'a [usize]>,
    pub(crate) finite: Finite,
    /// Whether data may be those of a panic.
    pub(crate) panics: Panics,
}

impl Batch<'_> {
    pub(crate) fn check(&self) -> Result<(), SimulationError> {
        if self.len == 0 { Err(SimulationError::NoSimulations) } else { Ok(()) }
    }

    /// The same with all rows.
    pub(crate) fn whole_batch(&self) -> Batch<'static> {
        Batch { rows: None, ..*self }
    }

    /// The identity of simulation `index`.
    pub(crate) fn id(&self, index: u64) -> SimulationId {
        let (first, batch) = if self.independent { (index, 1) } else { (self.first, self.len) };
        SimulationId { seed: self.seed, index, attempt: self.attempt, first, batch }
    }

    /// The number of the simulation in a row of what is drawn.
    pub(crate) fn index(&self, row: usize) -> u64 {
        self.first + self.rows.map_or(row, |rows| rows[row]) as u64
    }

    /// The seed of this attempt's streams.
    pub(crate) fn attempt_seed(&self) -> u64 {
        match self.attempt {
            0 => self.seed,
            attempt => stream(self.seed, REDRAW, u64::from(attempt)).next_u64(),
        }
    }

    /// Calls `f(generator, row)` for each row to draw, in parallel; generator i is that of simulation i, and rows are
    /// counted among those drawn.
    pub(crate) fn each(
        &self,
        quantity: Quantity,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng, usize) -> ArrayD<f32> + Sync,
    ) -> Result<Stacked<ArrayD<f32>>, SimulationError> {
        let mut parts = self.parts(quantity, purpose, |rng, row| Drawn::One(f(rng, row)))?;
        let (invalid, panicked) = parts.failures();
        Ok(Stacked { values: parts.array(0), invalid, panicked })
    }

    /// The same for data, of which data sets of two axes or more may be of different lengths.
    pub(crate) fn each_data(
        &self,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng, usize) -> Drawn + Sync,
    ) -> Result<Stacked<Data>, SimulationError> {
        let mut parts = self.parts(Quantity::SimData, purpose, f)?;
        let (invalid, panicked) = parts.failures();
        Ok(Stacked { values: parts.data()?, invalid, panicked })
    }

    fn parts(
        &self,
        quantity: Quantity,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng, usize) -> Drawn + Sync,
    ) -> Result<Parts, SimulationError> {
        let (seed, rows) = (self.attempt_seed(), self.rows.map_or(self.len, <[_]>::len));
        let may_vary = quantity == Quantity::SimData;
        // Single rows where there are few, since they may take long; many are taken together, so that what they return
        // is written side by side and not allocated row by row.
        let together = (rows / (16 * rayon::current_num_threads())).clamp(1, 64);
        let draw = |first: usize| -> Result<Part, SimulationError> {
            let mut part = Part::from(first);
            for row in first..(first + together).min(rows) {
                let index = self.index(row);
                let value = match self.guard(quantity, index, || f(&mut stream(seed, purpose, index), row)) {
                    Err(SimulationError::Panicked { message, .. }) if self.may_panic(quantity) => {
                        part.invalid.push(row);
                        part.panicked.push((row, message));
                        continue;
                    }
                    value => value?,
                };
                if !self.check_drawn(quantity, index, &value)? {
                    part.invalid.push(row);
                }
                if part.push(row, &value, may_vary, together.min(rows - row)) {
                    break;
                }
            }
            Ok(part)
        };
        let starts: Vec<usize> = (0..rows).step_by(together).collect();
        let parts: Vec<Result<Part, SimulationError>> = starts.into_par_iter().map(draw).collect();
        // Of several errors the first simulation's, whichever thread was faster.
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        Parts::new(parts, rows, together, may_vary).map_err(|(row, misfit)| self.misfit(quantity, row, misfit))
    }

    /// [`Batch::check_value`] of each input.
    fn check_drawn(&self, quantity: Quantity, index: u64, drawn: &Drawn) -> Result<bool, SimulationError> {
        let mut is_finite = true;
        for (_, value) in drawn.inputs() {
            is_finite &= self.check_value(quantity, index, value.view())?;
        }
        Ok(is_finite)
    }

    /// Whether a panic of the function of this quantity is counted and not an error.
    pub(crate) fn may_panic(&self, quantity: Quantity) -> bool {
        self.panics == Panics::AsInvalid && self.finite == Finite::AllButData && quantity == Quantity::SimData
    }

    /// Calls `f(generator)` once for the whole batch; the generator is that of the batch's first simulation, and the
    /// same in every attempt, so that redrawn simulations keep what their batch shares.
    pub(crate) fn once(
        &self,
        quantity: Quantity,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng) -> ArrayD<f32>,
    ) -> Result<ArrayD<f32>, SimulationError> {
        let value = self.guard(quantity, self.first, || f(&mut stream(self.seed, purpose, self.first)))?;
        self.check_value(quantity, self.first, value.view())?;
        Ok(value)
    }

    /// Calls `f(generator)` once for a whole batch, where it returns `[batch, ...]`; each attempt has a generator of
    /// its own.
    pub(crate) fn whole(
        &self,
        quantity: Quantity,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng) -> ArrayD<f32>,
    ) -> Result<Stacked<ArrayD<f32>>, SimulationError> {
        let value = self.guard(quantity, self.first, || f(&mut stream(self.attempt_seed(), purpose, self.first)))?;
        if value.ndim() < 2 || value.shape()[0] != self.len || value.is_empty() {
            return Err(SimulationError::BatchShape { quantity, expected: self.len, got: value.shape().to_vec() });
        }
        let mut invalid = Vec::new();
        for (row, value) in value.outer_iter().enumerate() {
            if !self.check_value(quantity, self.index(row), value)? {
                invalid.push(row);
            }
        }
        let values = if value.is_standard_layout() { value } else { value.as_standard_layout().into_owned() };
        Ok(Stacked { values, invalid, panicked: Vec::new() })
    }

    /// The same for a function that returns data, with masks or several inputs.
    pub(crate) fn whole_data(
        &self,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng) -> Data,
    ) -> Result<Stacked<Data>, SimulationError> {
        let quantity = Quantity::SimData;
        let values = self.guard(quantity, self.first, || f(&mut stream(self.attempt_seed(), purpose, self.first)))?;
        let mut invalid = Vec::new();
        for input in values.inputs() {
            if input.len() != self.len || input.values().is_empty() {
                let got = input.values().shape().to_vec();
                return Err(SimulationError::BatchShape { quantity, expected: self.len, got });
            }
            for (row, value) in input.values().outer_iter().enumerate() {
                if !self.check_value(quantity, self.index(row), value)? {
                    invalid.push(row);
                }
            }
        }
        invalid.sort_unstable();
        invalid.dedup();
        Ok(Stacked { values, invalid, panicked: Vec::new() })
    }

    /// Turns a panic of the user's function into an error that names the simulation.
    fn guard<T>(&self, quantity: Quantity, index: u64, f: impl FnOnce() -> T) -> Result<T, SimulationError> {
        catch_unwind(AssertUnwindSafe(f)).map_err(|panic| SimulationError::Panicked {
            quantity,
            index,
            seed: self.seed,
            attempt: self.attempt,
            num_parameters: self.num_parameters,
            message: panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".into()),
        })
    }

    /// Whether one draw is finite; an error if it has to be and is not, or if it holds nothing.
    pub(crate) fn check_value(
        &self,
        quantity: Quantity,
        index: u64,
        value: ArrayViewD<'_, f32>,
    ) -> Result<bool, SimulationError> {
        if value.is_empty() {
            return Err(SimulationError::Empty { quantity, index, got: value.shape().to_vec() });
        }
        if value.iter().all(|v| v.is_finite()) {
            return Ok(true);
        }
        match (self.finite, quantity, first_non_finite(value)) {
            (Finite::Nothing, ..) | (Finite::AllButData, Quantity::SimData, _) => Ok(false),
            (_, _, Some((position, value))) => {
                Err(SimulationError::NonFinite { quantity, id: self.id(index), position, value })
            }
            (_, _, None) => Ok(true),
        }
    }

    /// Stacks data sets, some of which may be messages of panics instead.
    pub(crate) fn stack(&self, rows: Vec<Result<Drawn, String>>) -> Result<Stacked<Data>, SimulationError> {
        let (quantity, count) = (Quantity::SimData, rows.len());
        let mut part = Part::default();
        for (row, drawn) in rows.into_iter().enumerate() {
            let is_valid = match drawn {
                Ok(drawn) => {
                    let is_valid = self.check_drawn(quantity, self.index(row), &drawn)?;
                    if part.push(row, &drawn, true, count - row) {
                        break;
                    }
                    is_valid
                }
                Err(message) => {
                    part.panicked.push((row, message));
                    false
                }
            };
            if !is_valid {
                part.invalid.push(row);
            }
        }
        let parts = Parts::new(vec![part], count, count, true);
        let mut parts = parts.map_err(|(row, misfit)| self.misfit(quantity, row, misfit))?;
        let (invalid, panicked) = parts.failures();
        Ok(Stacked { values: parts.data()?, invalid, panicked })
    }

    fn misfit(&self, quantity: Quantity, row: usize, misfit: Misfit) -> SimulationError {
        let (index, seed, attempt) = (self.index(row), self.seed, self.attempt);
        match misfit {
            Misfit::Shape { expected, got } => {
                SimulationError::ShapeChanged { quantity, index, seed, attempt, expected, got }
            }
            Misfit::Inputs { expected, got } => SimulationError::InputsChanged { index, seed, attempt, expected, got },
        }
    }
}

/// The first value that is not finite, and where it is.
pub(crate) fn first_non_finite(array: ArrayViewD<'_, f32>) -> Option<(Vec<usize>, f32)> {
    let found = array.indexed_iter().find(|(_, value)| !value.is_finite());
    found.map(|(position, &value)| (position.as_array_view().to_vec(), value))
}

/// The first value of a data set that is not finite, and where it is in its input.
pub(crate) fn first_of_row(data: &Data, row: usize) -> Option<(Vec<usize>, f32)> {
    data.inputs().iter().find_map(|input| first_non_finite(input.values().index_axis(Axis(0), row)))
}
