//! Runs a user's function once for each simulation, on all cores, and stacks what it returns into one array.

use crate::{Quantity, SimulationError};
use bayesburn_core::{Purpose, StreamRng, stream};
use ndarray::{ArrayD, ArrayViewD, Axis, Dimension, IxDyn};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Which simulations, of which seed, and for which model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) seed: u64,
    /// The global number of the first simulation.
    pub(crate) first: u64,
    pub(crate) len: usize,
    pub(crate) num_parameters: usize,
    /// Whether simulation i is the same in every batch: no non-batchable context and no function of a whole batch.
    pub(crate) independent: bool,
}

impl Batch {
    pub(crate) fn check(&self) -> Result<(), SimulationError> {
        if self.len == 0 { Err(SimulationError::NoSimulations) } else { Ok(()) }
    }

    /// Calls `f(generator, row)` for each row of the batch, in parallel; generator i is that of simulation i.
    pub(crate) fn each(
        &self,
        quantity: Quantity,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng, usize) -> ArrayD<f32> + Sync,
    ) -> Result<ArrayD<f32>, SimulationError> {
        let rows: Vec<Result<ArrayD<f32>, SimulationError>> = (0..self.len)
            .into_par_iter()
            .map(|row| {
                let index = self.first + row as u64;
                let value = self.guard(quantity, index, || f(&mut stream(self.seed, purpose, index), row))?;
                self.check_value(quantity, index, value.view())?;
                Ok(value)
            })
            .collect();
        // Of several errors the first simulation's, whichever thread was faster.
        let rows = rows.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.stack(quantity, &rows)
    }

    /// Calls `f(generator)` once for the whole batch; the generator is that of the batch's first simulation.
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

    /// Like [`Batch::once`], for a function that returns `[batch, ...]`.
    pub(crate) fn whole(
        &self,
        quantity: Quantity,
        purpose: Purpose,
        f: impl Fn(&mut StreamRng) -> ArrayD<f32>,
    ) -> Result<ArrayD<f32>, SimulationError> {
        let value = self.guard(quantity, self.first, || f(&mut stream(self.seed, purpose, self.first)))?;
        if value.ndim() < 2 || value.shape()[0] != self.len || value.is_empty() {
            return Err(SimulationError::BatchShape { quantity, expected: self.len, got: value.shape().to_vec() });
        }
        for (index, row) in (self.first..).zip(value.outer_iter()) {
            self.check_value(quantity, index, row)?;
        }
        Ok(value.as_standard_layout().into_owned())
    }

    /// Turns a panic of the user's function into an error that names the simulation.
    fn guard<T>(&self, quantity: Quantity, index: u64, f: impl FnOnce() -> T) -> Result<T, SimulationError> {
        catch_unwind(AssertUnwindSafe(f)).map_err(|panic| SimulationError::Panicked {
            quantity,
            index,
            seed: self.seed,
            num_parameters: self.num_parameters,
            message: panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".into()),
        })
    }

    /// Whether one draw holds something, and only finite values.
    fn check_value(&self, quantity: Quantity, index: u64, value: ArrayViewD<'_, f32>) -> Result<(), SimulationError> {
        if value.is_empty() {
            return Err(SimulationError::Empty { quantity, index, got: value.shape().to_vec() });
        }
        if value.iter().all(|v| v.is_finite()) {
            return Ok(());
        }
        let (first, num_simulations) = if self.independent { (index, 1) } else { (self.first, self.len) };
        match value.indexed_iter().find(|(_, v)| !v.is_finite()) {
            Some((position, &v)) => Err(SimulationError::NonFinite {
                quantity,
                index,
                seed: self.seed,
                first,
                num_simulations,
                position: position.as_array_view().to_vec(),
                value: v,
            }),
            None => Ok(()),
        }
    }

    fn stack(&self, quantity: Quantity, rows: &[ArrayD<f32>]) -> Result<ArrayD<f32>, SimulationError> {
        let shape = rows[0].shape();
        let mut stacked = ArrayD::zeros(IxDyn(&[&[rows.len()], shape].concat()));
        for ((index, row), mut slot) in (self.first..).zip(rows).zip(stacked.axis_iter_mut(Axis(0))) {
            if row.shape() != shape {
                return Err(SimulationError::ShapeChanged {
                    quantity,
                    index,
                    seed: self.seed,
                    expected: shape.to_vec(),
                    got: row.shape().to_vec(),
                });
            }
            slot.assign(row);
        }
        Ok(stacked)
    }
}
