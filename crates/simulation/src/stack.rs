//! Runs a user's function once for each simulation, on all cores, and stacks what it returns into one array.

use crate::{Panics, Quantity, SimulationError};
use bayesburn_core::{Purpose, SimulationId, StreamRng, stream};
use ndarray::{ArrayD, ArrayViewD, Axis, Dimension, IxDyn};
use rand::Rng;
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Attempt a > 0 of every simulation takes its streams from a seed of its own, drawn from stream a of this purpose.
const REDRAW: Purpose = Purpose::new("redraw");

/// What has to be finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finite {
    /// Everything: the first value that is not is an error.
    All,
    /// All but the data, of which the rows that are not are listed.
    AllButData,
    /// Nothing, to look at a simulation that failed.
    Nothing,
}

/// The draws of a batch, one after the other.
#[derive(Debug)]
pub(crate) struct Stacked {
    /// `[rows, ...]`
    pub(crate) values: ArrayD<f32>,
    /// Where along the first axis values are not finite, ascending; empty where that is an error.
    pub(crate) invalid: Vec<usize>,
    /// Those of them that panicked, with their messages; their values are NaN. If all rows have, their shape is not known: `[rows, 0]`.
    pub(crate) panicked: Vec<(usize, String)>,
}

/// Draws of neighbours, up to the first of another shape.
#[derive(Debug, Default)]
struct Part {
    first: usize,
    /// Of one draw; `None` as long as all have panicked.
    shape: Option<Vec<usize>>,
    /// Of the draws that have not panicked.
    values: Vec<f32>,
    invalid: Vec<usize>,
    panicked: Vec<(usize, String)>,
    /// The row of another shape, and that shape.
    changed: Option<(usize, Vec<usize>)>,
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

impl Part {
    /// Writes the rows, `len` values each; NaN for those that have panicked.
    fn write(&self, len: usize, slot: &mut [f32]) {
        if self.panicked.is_empty() {
            return slot.copy_from_slice(&self.values);
        }
        slot.fill(f32::NAN);
        let has_panicked = |row: usize| self.panicked.iter().any(|(other, _)| *other == row);
        let rows = slot.chunks_mut(len).zip(self.first..).filter(|(_, row)| !has_panicked(*row));
        rows.zip(self.values.chunks(len)).for_each(|((slot, _), values)| slot.copy_from_slice(values));
    }
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

    /// Calls `f(generator, row)` for each row to draw, in parallel; generator i is that of simulation i, and rows are counted
    /// among those drawn.
    pub(crate) fn each(
        &self,
        quantity: Quantity,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng, usize) -> ArrayD<f32> + Sync,
    ) -> Result<Stacked, SimulationError> {
        let (seed, rows) = (self.attempt_seed(), self.rows.map_or(self.len, <[_]>::len));
        // Single rows where there are few, since they may take long; many are taken together, so that what they return is written side
        // by side and not allocated row by row.
        let together = (rows / (16 * rayon::current_num_threads())).clamp(1, 64);
        let draw = |first: usize| -> Result<Part, SimulationError> {
            let mut part = Part { first, ..Part::default() };
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
                if !self.check_value(quantity, index, value.view())? {
                    part.invalid.push(row);
                }
                match &part.shape {
                    None => {
                        part.shape = Some(value.shape().to_vec());
                        part.values.reserve_exact(value.len() * together.min(rows - row));
                    }
                    Some(shape) if shape != value.shape() => {
                        part.changed = Some((row, value.shape().to_vec()));
                        break;
                    }
                    Some(_) => {}
                }
                match value.as_slice() {
                    Some(values) => part.values.extend_from_slice(values),
                    None => part.values.extend(value.iter()),
                }
            }
            Ok(part)
        };
        let starts: Vec<usize> = (0..rows).step_by(together).collect();
        let parts: Vec<Result<Part, SimulationError>> = starts.into_par_iter().map(draw).collect();
        // Of several errors the first simulation's, whichever thread was faster.
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        let shape = parts.iter().find_map(|part| part.shape.clone()).unwrap_or_else(|| vec![0]);
        for part in &parts {
            if let Some(got) = part.shape.as_ref().filter(|got| **got != shape) {
                return Err(self.shape_changed(quantity, part.first, &shape, got));
            }
            if let Some((row, got)) = &part.changed {
                return Err(self.shape_changed(quantity, *row, &shape, got));
            }
        }
        let invalid = parts.iter().flat_map(|part| part.invalid.iter().copied()).collect();
        let panicked = parts.iter().flat_map(|part| part.panicked.iter().cloned()).collect();
        let len: usize = shape.iter().product();
        let mut values = vec![0.0; rows * len];
        // Of no length where all rows have panicked, but pieces have one.
        let pieces = values.par_chunks_mut((together * len).max(1));
        pieces.zip(parts).for_each(|(slot, part)| part.write(len, slot));
        let values = ArrayD::from_shape_vec(IxDyn(&[&[rows], &shape[..]].concat()), values);
        Ok(Stacked { values: values.expect("as many values as rows of this shape have"), invalid, panicked })
    }

    /// Whether a panic of the function of this quantity is counted and not an error.
    pub(crate) fn may_panic(&self, quantity: Quantity) -> bool {
        self.panics == Panics::AsInvalid && self.finite == Finite::AllButData && quantity == Quantity::SimData
    }

    /// Calls `f(generator)` once for the whole batch; the generator is that of the batch's first simulation, and the same in
    /// every attempt, so that redrawn simulations keep what their batch shares.
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

    /// Calls `f(generator)` once for a whole batch, where it returns `[batch, ...]`; each attempt has a generator of its own.
    pub(crate) fn whole(
        &self,
        quantity: Quantity,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng) -> ArrayD<f32>,
    ) -> Result<Stacked, SimulationError> {
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

    /// Stacks rows, or the messages of those that there are none of.
    pub(crate) fn stack(
        &self,
        quantity: Quantity,
        rows: Vec<Result<ArrayD<f32>, String>>,
    ) -> Result<Stacked, SimulationError> {
        let shape = rows.iter().find_map(|row| Some(row.as_ref().ok()?.shape().to_vec())).unwrap_or_else(|| vec![0]);
        let values = ArrayD::from_elem(IxDyn(&[&[rows.len()], &shape[..]].concat()), f32::NAN);
        let mut stacked = Stacked { values, invalid: Vec::new(), panicked: Vec::new() };
        for (i, row) in rows.into_iter().enumerate() {
            let is_valid = match row {
                Ok(row) => {
                    let is_valid = self.check_value(quantity, self.index(i), row.view())?;
                    if row.shape() != shape {
                        return Err(self.shape_changed(quantity, i, &shape, row.shape()));
                    }
                    stacked.values.index_axis_mut(Axis(0), i).assign(&row);
                    is_valid
                }
                Err(message) => {
                    stacked.panicked.push((i, message));
                    false
                }
            };
            if !is_valid {
                stacked.invalid.push(i);
            }
        }
        Ok(stacked)
    }

    fn shape_changed(&self, quantity: Quantity, row: usize, expected: &[usize], got: &[usize]) -> SimulationError {
        SimulationError::ShapeChanged {
            quantity,
            index: self.index(row),
            seed: self.seed,
            attempt: self.attempt,
            expected: expected.to_vec(),
            got: got.to_vec(),
        }
    }
}

/// The first value that is not finite, and where it is.
pub(crate) fn first_non_finite(array: ArrayViewD<'_, f32>) -> Option<(Vec<usize>, f32)> {
    let found = array.indexed_iter().find(|(_, value)| !value.is_finite());
    found.map(|(position, &value)| (position.as_array_view().to_vec(), value))
}
