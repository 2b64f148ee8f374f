//! Handles simulations that are not finite: by an error, redrawing, dropping or masking.

use crate::{
    Quantity, SimulationError,
    stack::{Batch, first_non_finite},
};
use bayesburn_core::{Data, InvalidData, SimulationId, Simulations};
use ndarray::{ArrayViewD, Axis};
use serde::{Deserialize, Serialize};

/// The policy for invalid simulations: those whose data contain NaN or infinity and, with [`Panics::AsInvalid`], those
/// that panicked. Non-finite parameters and contexts are always an error.
///
/// [`Simulator::on_invalid`](crate::Simulator::on_invalid) sets the policy of a model and has an example. Under every
/// policy, [`Simulations::invalid`] lists each invalid attempt, and
/// [`GenerativeModel::replay`](crate::GenerativeModel::replay) reproduces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum InvalidSimulations {
    /// The first invalid simulation is an error, so that training uses exactly the model as written.
    #[default]
    Error,
    /// Parameters and data are redrawn, with the same shared context of the batch, until the data are finite.
    ///
    /// The effective prior becomes p(θ | x valid): posteriors are conditioned on the simulation being valid, as
    /// observed data are. Moments and draws of [`Prior`](crate::Prior) remain those of the prior as written.
    Redraw {
        /// The number of attempts at one simulation, including the first, before it is an error; 0 and 1 redraw
        /// nothing. If a share p of draws is invalid, all attempts fail with probability p^max_attempts.
        max_attempts: u32,
    },
    /// Invalid simulations are left out. The effective prior becomes p(θ | x valid), as with
    /// [`InvalidSimulations::Redraw`], and batches become smaller; an empty batch is an error.
    Drop,
    /// Non-finite values are missing values: they become 0, and the mask of values ([`Data`]) is 1 for known and 0 for
    /// missing values. The mask is always present, even if all values are known. [`Simulations::observations`] has NaN
    /// for missing values, as observed data have.
    ///
    /// The prior is unchanged, and the mask is part of the data: a network that sees it learns p(θ | values, mask), so
    /// that a missing value is informative about θ.
    Mask,
}

/// Whether a simulation that panics is treated as invalid. [`Simulator::on_panic`](crate::Simulator::on_panic) sets it
/// for a model and has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Panics {
    /// A panic is an error that names the simulation, since bugs show as panics too.
    #[default]
    Error,
    /// The data of a simulation that panics count as all NaN, and [`InvalidSimulations`] applies: the simulation is
    /// redrawn, dropped, or masked entirely. [`Simulations::panicked`] lists it with its message. The same holds for a
    /// simulation that a process answers with an error ([`WorkerFault::Reported`](crate::WorkerFault::Reported)). A
    /// panic of a prior, a context or a function of a whole batch stays an error, and so does any panic under
    /// [`InvalidSimulations::Error`].
    AsInvalid,
}

impl InvalidSimulations {
    /// Applies the policy to existing simulations, such as rows read from files. `rows` are their row numbers, for
    /// errors and for [`Simulations::invalid`]: its entries have the row number as `index`, but cannot be replayed
    /// (seed and attempt 0, a batch of one).
    ///
    /// ```
    /// use bayesburn_core::Simulations;
    /// use bayesburn_simulation::InvalidSimulations;
    /// use ndarray::array;
    ///
    /// let x = array![[0.5], [f32::NAN], [1.5]].into_dyn();
    /// let loaded = Simulations::new(["mu".to_owned()].into(), array![[0.0], [1.0], [2.0]], x)?;
    /// let kept = InvalidSimulations::Drop.apply(loaded, &[70, 71, 72])?;
    /// assert_eq!((kept.parameters, kept.invalid[0].index), (array![[0.0], [2.0]], 71));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidSimulations::Redraw`], since existing simulations cannot be redrawn; another number of row numbers than
    /// of simulations; non-finite parameters or contexts; non-finite data under [`InvalidSimulations::Error`]; no valid
    /// row under [`InvalidSimulations::Drop`].
    pub fn apply(self, simulations: Simulations, rows: &[u64]) -> Result<Simulations, SimulationError> {
        if matches!(self, Self::Redraw { .. }) {
            return Err(SimulationError::CannotRedraw);
        }
        let (expected, got) = (simulations.len(), rows.len());
        if expected != got {
            return Err(SimulationError::RowNumbers { expected, got });
        }
        let shared = [
            (Quantity::PriorNonBatchableContext, &simulations.prior_non_batchable_context),
            (Quantity::SimNonBatchableContext, &simulations.sim_non_batchable_context),
        ];
        for (quantity, context) in shared {
            refuse(quantity, None, context.as_ref().map(|context| context.view()))?;
        }
        let own = [
            (Quantity::Parameters, Some(simulations.parameters.view().into_dyn())),
            (Quantity::PriorBatchableContext, simulations.prior_batchable_context.as_ref().map(|c| c.view())),
            (Quantity::SimBatchableContext, simulations.sim_batchable_context.as_ref().map(|c| c.view())),
        ];
        for (quantity, array) in own {
            for (&row, value) in rows.iter().zip(array.iter().flat_map(|array| array.outer_iter())) {
                refuse(quantity, Some(row), Some(value))?;
            }
        }
        let mut invalid = Vec::new();
        for input in simulations.data.inputs() {
            for (row, value) in input.values().outer_iter().enumerate() {
                match self {
                    Self::Error => refuse(Quantity::SimData, Some(rows[row]), Some(value))?,
                    _ if value.iter().all(|v| v.is_finite()) => {}
                    _ => invalid.push(row),
                }
            }
        }
        invalid.sort_unstable();
        invalid.dedup();
        let id = |row: usize| SimulationId { seed: 0, index: rows[row], attempt: 0, first: rows[row], batch: 1 };
        self.set_aside(simulations, &invalid, id)
    }

    /// Drops or masks these rows, which have the identities `id`; the other policies leave them as they are.
    pub(crate) fn set_aside(
        self,
        mut simulations: Simulations,
        invalid: &[usize],
        id: impl Fn(usize) -> SimulationId,
    ) -> Result<Simulations, SimulationError> {
        let (mut ids, panicked) = (std::mem::take(&mut simulations.invalid), std::mem::take(&mut simulations.panicked));
        ids.extend(invalid.iter().map(|&row| id(row)));
        match self {
            Self::Drop if !invalid.is_empty() => {
                let count = simulations.len();
                let kept: Vec<usize> = (0..count).filter(|row| invalid.binary_search(row).is_err()).collect();
                if kept.is_empty() {
                    return Err(SimulationError::NothingLeft { count, first: id(0), panicked });
                }
                simulations = simulations.select(&kept);
            }
            // If every simulation panicked, the shape to mask is unknown.
            Self::Mask if simulations.data.values().is_empty() => {
                return Err(SimulationError::NothingLeft { count: simulations.len(), first: id(0), panicked });
            }
            Self::Mask => simulations.data.mask_non_finite(invalid),
            _ => {}
        }
        if !invalid.is_empty() {
            let panicked = panicked.len();
            tracing::debug!(policy = ?self, invalid = invalid.len(), panicked, "simulations that are not finite");
        }
        (simulations.invalid, simulations.panicked) = (ids, panicked);
        Ok(simulations)
    }
}

/// Redraws the invalid rows of a batch until all are valid or the attempts are used up. Returns the rows that are still
/// invalid.
///
/// Attempt a of simulation i is a function of (seed, i, a), and of the batch if simulations depend on it. It depends
/// neither on which other rows are invalid nor on the threads.
pub(crate) fn redraw(
    mut simulations: Simulations,
    invalid: &[usize],
    max_attempts: u32,
    batch: &Batch<'_>,
    draw: impl Fn(&Batch<'_>) -> Result<(Simulations, Vec<usize>), SimulationError>,
) -> Result<(Simulations, Vec<usize>), SimulationError> {
    let (mut rows, mut attempt) = (invalid.to_vec(), 0);
    while !rows.is_empty() {
        let failed = Batch { attempt, rows: Some(&rows), ..*batch };
        simulations.invalid.extend((0..rows.len()).map(|row| failed.id(failed.index(row))));
        attempt += 1;
        if attempt >= max_attempts {
            break;
        }
        let again = Batch { attempt, ..failed };
        let (drawn, still_invalid) = draw(&again)?;
        replace(&mut simulations, &drawn, &again)?;
        simulations.panicked.extend(drawn.panicked);
        rows = still_invalid.into_iter().map(|row| rows[row]).collect();
    }
    if !invalid.is_empty() {
        let redraws = simulations.invalid.len();
        tracing::debug!(invalid = invalid.len(), redraws, "simulations that were not finite are redrawn");
    }
    simulations.invalid.sort_by_key(|id| (id.index, id.attempt));
    simulations.panicked.sort_by_key(|panicked| (panicked.id.index, panicked.id.attempt));
    Ok((simulations, rows))
}

/// Puts redrawn simulations into their rows.
fn replace(simulations: &mut Simulations, drawn: &Simulations, again: &Batch<'_>) -> Result<(), SimulationError> {
    let rows = again.rows.unwrap_or_default();
    for (row, parameters) in rows.iter().zip(drawn.parameters.outer_iter()) {
        simulations.parameters.row_mut(*row).assign(&parameters);
    }
    if !drawn.data.values().is_empty() {
        replace_data(&mut simulations.data, rows, &drawn.data, again)?;
    }
    let arrays = [
        (
            Quantity::PriorBatchableContext,
            simulations.prior_batchable_context.as_mut(),
            drawn.prior_batchable_context.as_ref(),
        ),
        (
            Quantity::SimBatchableContext,
            simulations.sim_batchable_context.as_mut(),
            drawn.sim_batchable_context.as_ref(),
        ),
    ];
    for (quantity, of_batch, drawn) in arrays {
        let (Some(of_batch), Some(drawn)) = (of_batch, drawn) else { continue };
        if of_batch.shape()[1..] != drawn.shape()[1..] {
            return Err(SimulationError::ShapeChanged {
                quantity,
                index: again.index(0),
                seed: again.seed,
                attempt: again.attempt,
                expected: of_batch.shape()[1..].to_vec(),
                got: drawn.shape()[1..].to_vec(),
            });
        }
        for (row, value) in rows.iter().zip(drawn.outer_iter()) {
            of_batch.index_axis_mut(Axis(0), *row).assign(&value);
        }
    }
    Ok(())
}

/// Puts redrawn data into their rows; their lengths may differ.
fn replace_data(data: &mut Data, rows: &[usize], drawn: &Data, again: &Batch<'_>) -> Result<(), SimulationError> {
    if data.values().is_empty() {
        // All simulations have panicked so far.
        *data = drawn
            .select(&vec![0; data.len()])
            .map_inputs(|input| input.with_values(input.values().mapv(|_| f32::NAN)))?;
    }
    data.replace(rows, drawn).map_err(|error| match error {
        InvalidData::Shape { expected, got, .. } => {
            let (quantity, index) = (Quantity::SimData, again.index(0));
            SimulationError::ShapeChanged { quantity, index, seed: again.seed, attempt: again.attempt, expected, got }
        }
        error => error.into(),
    })
}

/// Returns an error if a given array is not finite.
fn refuse(quantity: Quantity, row: Option<u64>, array: Option<ArrayViewD<'_, f32>>) -> Result<(), SimulationError> {
    let Some(array) = array.filter(|array| !array.iter().all(|value| value.is_finite())) else { return Ok(()) };
    match first_non_finite(array) {
        Some((position, value)) => Err(SimulationError::NonFiniteRow { quantity, row, position, value }),
        None => Ok(()),
    }
}
