//! Simulates data sets to test on, spread over the context that a batch shares.

use super::GenerativeModel;
use crate::SimulationError;
use bayesburn_core::Simulations;

impl GenerativeModel {
    /// Simulates test data sets that cover the context shared by a batch, such as the number of observations. It makes
    /// many batches of five simulations, each with its own context, so that 1,000 data sets have 200 contexts. Without
    /// shared context it makes one batch.
    ///
    /// Posteriors tend to be wrong first at the ends of the context's distribution, which random contexts rarely reach.
    /// So the contexts are stratified: one fifth of the data sets each from the quantiles 0 to 2%, 2 to 10%, 10 to 90%,
    /// 90 to 98% and 98 to 100% of the context's first number. The simulator's context counts, or the prior's if the
    /// simulator has none.
    ///
    /// If invalid simulations are dropped, there are fewer data sets, and for some contexts there may be none.
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
        /// Few simulations for each context, so that many contexts are tested; enough to keep the cores busy.
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

    /// The numbers of `count` batches of `each` simulations, stratified by their shared context: see
    /// [`GenerativeModel::simulate_over_contexts`].
    fn spread_over_contexts(&self, count: usize, each: usize, seed: u64) -> Result<Vec<usize>, SimulationError> {
        /// Candidates for each chosen batch. The lowest 2% of 20 times `count` candidates are 0.4 times `count`, twice
        /// the fifth of `count` that is chosen from them.
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
