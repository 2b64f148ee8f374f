//! Simulates data sets to test on, spread over the context that a batch shares.

use super::GenerativeModel;
use crate::SimulationError;
use bayesburn_core::Simulations;

impl GenerativeModel {
    /// Simulates data sets to test on, over the context that a batch shares, such as the number of observations: many
    /// batches of five simulations, each with a context of its own, so that 1,000 data sets have 200 contexts. Without
    /// such context, one batch.
    ///
    /// The ends of the context's distribution are where posteriors are wrong first, and few data sets would show it: a
    /// fifth of all has a context among the lowest 2%, and a fifth each one from there to 10%, 90%, 98% and the
    /// highest. The order is that of the context's first number, the simulator's if it has any.
    ///
    /// Where invalid simulations are dropped, there are fewer, and of some contexts there may be none.
    ///
    /// ```
    /// use bayesburn_simulation::{ContextGenerator, GenerativeModel, Prior, Simulator};
    /// use ndarray::Array2;
    ///
    /// let prior = Prior::from_fn(["mu"], |_, _| [0.0]);
    /// let simulator = Simulator::from_fn(|_, _, context| Array2::zeros((context.num_observations(), 1)))
    ///     .with_context(ContextGenerator::num_observations(5..=100));
    /// let batches = GenerativeModel::new(prior, simulator)?.simulate_over_contexts(1000, 1)?;
    /// assert_eq!((batches.len(), batches[0].len()), (200, 5));
    /// # Ok::<(), bayesburn_simulation::SimulationError>(())
    /// ```
    ///
    /// # Errors
    /// As [`GenerativeModel::simulate`].
    pub fn simulate_over_contexts(
        &self,
        num_simulations: usize,
        seed: u64,
    ) -> Result<Vec<Simulations>, SimulationError> {
        /// As few as use the cores: a context that is not among the test sets is not judged.
        const EACH: usize = 5;
        let shapes = &self.shapes;
        if (&shapes.prior_non_batchable_context, &shapes.sim_non_batchable_context) == (&None, &None) {
            return Ok(vec![self.simulate(num_simulations, seed)?]);
        }
        let (mut batches, mut nothing) = (Vec::new(), SimulationError::NoSimulations);
        let mut left = num_simulations;
        for number in self.spread_over_contexts(num_simulations.div_ceil(EACH), EACH, seed)? {
            let count = left.min(EACH);
            left -= count;
            match self.simulate_from(seed, (number * EACH) as u64, count) {
                Ok(batch) => batches.push(batch),
                Err(error @ SimulationError::NothingLeft { .. }) => nothing = error,
                Err(error) => return Err(error),
            }
        }
        if batches.is_empty() { Err(nothing) } else { Ok(batches) }
    }

    /// The numbers of `count` among the batches of `each` simulations of a seed, by what they share: see
    /// [`GenerativeModel::simulate_over_contexts`].
    fn spread_over_contexts(&self, count: usize, each: usize, seed: u64) -> Result<Vec<usize>, SimulationError> {
        /// Batches to choose from for each that is chosen: the lowest 2% of 20 times as many are twice as many as are
        /// chosen of them.
        const CANDIDATES: usize = 20;
        const QUANTILES: [f64; 6] = [0.0, 0.02, 0.1, 0.9, 0.98, 1.0];
        let number = |batch: usize| -> Result<f32, SimulationError> {
            let batch = self.batch(seed, (batch * each) as u64, each);
            let shared = match self.simulator.draw_shared(&batch)? {
                Some(context) => Some(context),
                None => self.prior.draw_shared(&batch)?,
            };
            Ok(shared.and_then(|context| context.first().copied()).unwrap_or_default())
        };
        let numbers = (0..CANDIDATES * count).map(number).collect::<Result<Vec<_>, _>>()?;
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
        let strata = QUANTILES.windows(2).enumerate().flat_map(|(i, ends)| {
            let [low, high] = [ends[0], ends[1]].map(|quantile| (quantile * order.len() as f64).round() as usize);
            let wanted = count * (i + 1) / 5 - count * i / 5;
            // From end to end of the stratum.
            (0..wanted).map(move |j| low + (2 * j + 1) * (high - low) / (2 * wanted))
        });
        let mut chosen: Vec<usize> = strata.map(|place| order[place]).collect();
        chosen.sort_unstable();
        Ok(chosen)
    }
}
