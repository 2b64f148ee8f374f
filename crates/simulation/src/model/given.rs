//! Simulates data for parameters that are given.

use super::GenerativeModel;
use crate::{InvalidSimulations, Quantity, SimulationError, context::DrawnContext, invalid::redraw, stack::Batch};
use bayesburn_core::Simulations;
use ndarray::{Array2, Axis};

impl GenerativeModel {
    /// Simulates one batch of data for given parameters `[B, D]`: for example parameters that a proposal drew for the
    /// next round, or draws of a posterior, for predictions. Row i is simulation `first + i` of the seed. The prior is
    /// not used.
    ///
    /// ```
    /// use bayesburn_simulation::{GenerativeModel, Prior, Simulator, Univariate};
    /// use ndarray::{Array2, arr1};
    /// use rand::RngExt;
    /// use rand_distr::StandardNormal;
    ///
    /// let prior = Prior::independent([("mu", Univariate::normal(0.0, 1.0)?)]);
    /// let simulator = Simulator::from_fn(|rng, mu, _| arr1(&[mu[0] + rng.sample::<f32, _>(StandardNormal)]));
    /// let model = GenerativeModel::new(prior, simulator)?;
    /// let simulations = model.simulate_given(&Array2::from_elem((100, 1), 7.5), 2023, 0)?;
    /// assert!((simulations.data.values().mean().expect("100 values") - 7.5).abs() < 0.5);
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    ///
    /// # Errors
    /// No rows, or rows of another length than D; non-finite parameters; the errors of the simulator in
    /// [`GenerativeModel::simulate`]; [`InvalidSimulations::Redraw`], since given parameters cannot be redrawn.
    pub fn simulate_given(
        &self,
        parameters: &Array2<f32>,
        seed: u64,
        first: u64,
    ) -> Result<Simulations, SimulationError> {
        self.check_columns(parameters, first)?;
        if matches!(self.simulator.invalid_simulations(), InvalidSimulations::Redraw { .. }) {
            return Err(SimulationError::CannotRedraw);
        }
        let batch = self.batch(seed, first, parameters.nrows());
        let (simulations, invalid) = self.given_rows(&batch, parameters)?;
        self.settle(&batch, simulations, &invalid)
    }

    /// Predicts data for draws of a posterior, `[B, D]`. It is [`GenerativeModel::simulate_given`], except that with
    /// [`InvalidSimulations::Redraw`] the data of row i are redrawn for the same parameters until they are finite.
    /// Draws for which no attempt is finite are dropped, and all failed attempts are listed in
    /// [`Simulations::invalid`].
    ///
    /// In a model that redraws, valid data follow p(x | θ, x valid) for each θ of the posterior. Pairs (θ, x) from here
    /// do not follow the joint model p(θ, x | x valid), so do not train on them.
    ///
    /// # Errors
    /// As [`GenerativeModel::simulate_given`]; no draw is left.
    pub fn predict(&self, parameters: &Array2<f32>, seed: u64, first: u64) -> Result<Simulations, SimulationError> {
        let InvalidSimulations::Redraw { max_attempts } = self.simulator.invalid_simulations() else {
            return self.simulate_given(parameters, seed, first);
        };
        self.check_columns(parameters, first)?;
        let batch = self.batch(seed, first, parameters.nrows());
        let (simulations, invalid) = self.given_rows(&batch, parameters)?;
        let again = |again: &Batch<'_>| self.given_rows(again, parameters);
        let (mut simulations, never) = redraw(simulations, &invalid, max_attempts, &batch, again)?;
        if never.len() == simulations.len() {
            let (count, first) = (never.len(), batch.id(first));
            return Err(SimulationError::NothingLeft { count, first, panicked: simulations.panicked });
        }
        if !never.is_empty() {
            let kept: Vec<usize> = (0..batch.len).filter(|row| never.binary_search(row).is_err()).collect();
            let selected = simulations.select(&kept);
            simulations = Simulations { invalid: simulations.invalid, panicked: simulations.panicked, ..selected };
        }
        Ok(simulations)
    }

    fn check_columns(&self, parameters: &Array2<f32>, index: u64) -> Result<(), SimulationError> {
        let (expected, got) = (self.prior.names().len(), parameters.ncols());
        if got == expected { Ok(()) } else { Err(SimulationError::ParameterCount { index, expected, got }) }
    }

    /// Draws the data of the rows that a batch asks for, of parameters `[B, D]`.
    fn given_rows(
        &self,
        batch: &Batch<'_>,
        parameters: &Array2<f32>,
    ) -> Result<(Simulations, Vec<usize>), SimulationError> {
        batch.check()?;
        if let (true, Some(rows)) = (self.simulator.needs_whole_batch(), batch.rows) {
            let (all, invalid) = self.given_rows(&batch.whole_batch(), parameters)?;
            let invalid = (0..rows.len()).filter(|&i| invalid.binary_search(&rows[i]).is_ok()).collect();
            return Ok((all.select(rows), invalid));
        }
        let parameters = match batch.rows {
            Some(rows) => parameters.select(Axis(0), rows),
            None => parameters.clone(),
        };
        for (row, theta) in parameters.outer_iter().enumerate() {
            batch.check_value(Quantity::Parameters, batch.index(row), theta.into_dyn())?;
        }
        self.given(batch, parameters, DrawnContext { batchable: None, non_batchable: None })
    }
}
