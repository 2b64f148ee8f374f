//! Takes pilot simulations, for widths, standardisation constants and the regression.

use crate::{
    Origin, TrainerError,
    source::{LastBatch, ShuffledEpoch, copies, groups, hold_out, valid},
};
use bayesburn_core::{Purpose, Simulations, derive_seed};

/// The number of pilot batches, each with its own non-batchable context, and their size. With 512 simulations the
/// standard errors of means and standard deviations are 3 to 5%, with 32 contexts about 15% for those of the context,
/// which is precise enough for standardisation. With 10 features, the residual standard deviation of a regression on
/// the pilot is about 1% above that on all simulations.
pub(crate) const PILOT_BATCHES: u64 = 32;
pub(crate) const PILOT_BATCH_SIZE: usize = 16;
const PILOT: Purpose = Purpose::new("pilot simulations");

/// Pilot simulations, for widths, standardisation constants and the regression: drawn from the model, or a random
/// sample of the data that [`Offline`](crate::Offline) would train on if it held out a tenth.
pub(crate) fn pilot(origin: &Origin, seed: u64, batches: u64) -> Result<Vec<Simulations>, TrainerError> {
    let pilot_seed = derive_seed(seed, PILOT);
    match origin {
        Origin::Model(model) => {
            let firsts = (0..batches).map(|batch| batch * PILOT_BATCH_SIZE as u64);
            firsts.map(|first| Ok(model.simulate_from(pilot_seed, first, PILOT_BATCH_SIZE)?)).collect()
        }
        Origin::Data(data) => {
            let (mut groups, copies) = (groups(data)?, copies(data)?);
            for (number, group) in groups.iter_mut().enumerate() {
                let most = group.len().div_ceil(10).min(group.len() - 1);
                hold_out(group, most, &copies, number, seed);
            }
            let order = ShuffledEpoch::new(groups, PILOT_BATCH_SIZE, LastBatch::Keep, (pilot_seed, PILOT, 0));
            let batches = (0..order.len()).take(batches as usize);
            let batches = batches.filter_map(|batch| valid(data.select(&order.rows(batch))).transpose());
            batches.collect()
        }
    }
}
