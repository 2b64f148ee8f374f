//! Decides what becomes of simulations that are not finite: an error, redrawn, dropped or masked.

use crate::{
    Quantity, SimulationError,
    stack::{Batch, first_non_finite},
};
use bayesburn_core::{Data, InvalidData, SimulationId, Simulations};
use ndarray::{ArrayViewD, Axis};
use serde::{Deserialize, Serialize};

/// What becomes of a simulation whose data hold NaN or infinity, or which panicked if [`Panics::AsInvalid`] says so.
/// Parameters and contexts that are not finite are always an error.
///
/// [`Simulator::on_invalid`](crate::Simulator::on_invalid) sets it for a model, with an example. Whatever it is, each
/// invalid attempt is listed in [`Simulations::invalid`], and
/// [`GenerativeModel::replay`](crate::GenerativeModel::replay) shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum InvalidSimulations {
    /// An error that names the first of them: the model is learnt as it is written, or not at all.
    #[default]
    Error,
    /// Parameters and data are drawn anew, with the batch's shared context, until the data are finite.
    ///
    /// The prior becomes p(θ | x valid): posteriors are those of the model given that it yields a valid simulation,
    /// which is what observed data are. Prior moments and prior draws of [`Prior`](crate::Prior) remain those of the
    /// prior as it is written.
    Redraw {
        /// How many attempts one simulation has, the first among them, before it is an error; 0 and 1 redraw nothing.
        /// With a share p of invalid draws, all fail with probability p^max_attempts.
        max_attempts: u32,
    },
    /// They are left out. The prior becomes p(θ | x valid), as by [`InvalidSimulations::Redraw`], and batches become
    /// smaller by their number; a batch of which nothing is left is an error.
    Drop,
    /// Values that are not finite are missing: they become 0, and the data's mask of values ([`Data`]) says 1 where a
    /// value is there and 0 where it is missing; it is always present, also when all values are there.
    /// [`Simulations::observations`] has NaN there, as observed data have.
    ///
    /// The prior stays, and what is missing is a part of the data: a network that sees the mask learns p(θ | values,
    /// mask), in which that a value is missing tells about θ.
    Mask,
}

/// Whether a simulation that panics is invalid. [`Simulator::on_panic`](crate::Simulator::on_panic) sets it for a
/// model, with an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Panics {
    /// A panic is an error that names the simulation: mistakes in a program show as panics too.
    #[default]
    Error,
    /// A simulation that panics has data of NaN alone, and becomes what [`InvalidSimulations`] says: redrawn, dropped,
    /// or masked whole. It is listed with its message in [`Simulations::panicked`]. So is one that a process answers
    /// with an error ([`WorkerFault::Reported`](crate::WorkerFault::Reported)). A prior, a context or a function of a
    /// whole batch that panics stays an error, and so does any panic under [`InvalidSimulations::Error`].
    AsInvalid,
}

impl InvalidSimulations {
    /// Does the same with simulations that are already there, such as rows read from files; `rows` are their numbers,
    /// for errors and for [`Simulations::invalid`], whose entries have the row as `index` and nothing to replay (seed
    /// and attempt 0, a batch of one).
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
    /// [`InvalidSimulations::Redraw`], with which nothing can be done here; row numbers that are not one for each
    /// simulation; parameters or contexts that are not finite; data that are not, under [`InvalidSimulations::Error`];
    /// no row that is left, under [`InvalidSimulations::Drop`].
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
            // Of what panicked alone there is no shape to mask.
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

/// Draws the rows of a batch that are invalid again, until all are valid or attempts are used up; tells which rows are
/// invalid still.
///
/// Attempt a of simulation i is a function of (seed, i, a) alone, or with the batch where simulations depend on it:
/// neither of which other rows are invalid, nor of the threads.
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
        // All have panicked until now.
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

/// An error if an array that is already there is not finite.
fn refuse(quantity: Quantity, row: Option<u64>, array: Option<ArrayViewD<'_, f32>>) -> Result<(), SimulationError> {
    let Some(array) = array.filter(|array| !array.iter().all(|value| value.is_finite())) else { return Ok(()) };
    match first_non_finite(array) {
        Some((position, value)) => Err(SimulationError::NonFiniteRow { quantity, row, position, value }),
        None => Ok(()),
    }
}
