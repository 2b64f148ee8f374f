//! Shuffles the rows of a data set into the batches of an epoch.

use crate::{TrainerError, error::in_range};
use bayesburn_core::{Purpose, Simulations, stream};
use bayesburn_simulation::{Copies, DataError, Dataset, SimulationError};
use burn::config::Config;
use rand::seq::SliceRandom;

/// How the last simulations of an epoch are handled if they are fewer than a batch.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum LastBatch {
    /// They form a smaller batch.
    Keep,
    /// They are left out. The next epoch leaves out others, except that groups smaller than a batch are never trained
    /// on.
    Drop,
}

/// The rows that an epoch trains on, by group; a batch contains rows of one group.
///
/// An index takes 4 bytes for each row: 20 MB for 4 GB of simulations of 800 bytes.
pub(crate) type Groups = Vec<Vec<u32>>;

/// The groups of a data set's rows, in order.
pub(crate) fn groups(data: &Dataset) -> Result<Groups, TrainerError> {
    in_range(u32::try_from(data.len()).is_ok(), "simulations", "fewer than 2³²", data.len())?;
    Ok(data.groups().iter().map(|group| group.rows().map(|row| row as u32).collect()).collect())
}

/// The rows of a data set that occur more than once, unless equal ones may be different simulations.
pub(crate) fn copies(data: &Dataset) -> Result<Copies, TrainerError> {
    Ok(Some(data.copies()?).filter(|copies| !copies.parameters_recur()).unwrap_or_default())
}

/// Removes at most this many random rows from a group, each with all its copies. The choice is the same in all runs of
/// a trainer. The remaining rows are reordered.
pub(crate) fn hold_out(rows: &mut Vec<u32>, most: usize, copies: &Copies, group: usize, trainer_seed: u64) -> Vec<u32> {
    rows.shuffle(&mut stream(trainer_seed, const { Purpose::new("validation split") }, group as u64));
    if copies.is_empty() {
        return rows.split_off(rows.len() - most);
    }
    let order: Vec<usize> = rows.iter().rev().map(|row| *row as usize).collect();
    let [held_out, left] =
        <[_; 2]>::from(copies.split(&order, most)).map(|rows| rows.iter().map(|row| *row as u32).collect());
    *rows = left;
    held_out
}

/// What was selected; `None` if all of it was dropped as invalid.
pub(crate) fn valid(selected: Result<Simulations, DataError>) -> Result<Option<Simulations>, TrainerError> {
    match selected {
        Ok(simulations) => Ok(Some(simulations)),
        Err(DataError::Simulation(SimulationError::NothingLeft { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The batches in an epoch.
pub(crate) fn num_batches(group_lengths: impl IntoIterator<Item = usize>, size: usize, last: LastBatch) -> usize {
    let of_group = |length: usize| match last {
        LastBatch::Keep => length.div_ceil(size),
        LastBatch::Drop => length / size,
    };
    group_lengths.into_iter().map(of_group).sum()
}

/// An epoch's rows in a random order, every one equally likely, cut into batches.
#[derive(Debug, Clone)]
pub(crate) struct ShuffledEpoch {
    groups: Groups,
    /// The group, the first row in it and the length of each batch.
    batches: Vec<(u32, u32, u32)>,
}

impl ShuffledEpoch {
    /// The order of this index among the streams of `(seed, purpose)`.
    pub(crate) fn new(
        mut groups: Groups,
        size: usize,
        last: LastBatch,
        (seed, purpose, index): (u64, Purpose, u64),
    ) -> Self {
        let mut rng = stream(seed, purpose, index);
        let mut batches = Vec::with_capacity(num_batches(groups.iter().map(Vec::len), size, last));
        for (number, group) in (0..).zip(&mut groups) {
            group.shuffle(&mut rng);
            let mut first = 0;
            for rows in group.chunks(size) {
                if rows.len() == size || last == LastBatch::Keep {
                    batches.push((number, first, rows.len() as u32));
                }
                first += rows.len() as u32;
            }
        }
        // Else all batches of one group would come first.
        if groups.len() > 1 {
            batches.shuffle(&mut rng);
        }
        Self { groups, batches }
    }

    /// The number of batches.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// The rows of a batch, in the order in which they lie in the data, which a step does not depend on.
    ///
    /// # Panics
    /// If the epoch has no such batch.
    pub(crate) fn rows(&self, batch: usize) -> Vec<usize> {
        let (group, first, length) = self.batches[batch];
        let rows = &self.groups[group as usize][first as usize..(first + length) as usize];
        let mut rows: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
        rows.sort_unstable();
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSE: Purpose = Purpose::new("test shuffle");

    fn epoch(groups: Groups, last: LastBatch, index: u64) -> Vec<Vec<usize>> {
        let epoch = ShuffledEpoch::new(groups, 4, last, (1, PURPOSE, index));
        (0..epoch.len()).map(|batch| epoch.rows(batch)).collect()
    }

    #[test]
    fn an_epoch_has_every_row_once_and_no_batch_of_two_groups() {
        let groups = vec![(0..10).collect::<Vec<u32>>(), (10..13).collect()];
        let batches = epoch(groups.clone(), LastBatch::Keep, 0);
        assert_eq!(batches.len(), num_batches([10, 3], 4, LastBatch::Keep));
        let mut rows: Vec<usize> = batches.iter().flatten().copied().collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..13).collect::<Vec<_>>());
        assert!(batches.iter().all(|rows| rows.iter().all(|row| *row < 10) || rows.iter().all(|row| *row >= 10)));
        let full = epoch(groups, LastBatch::Drop, 0);
        assert_eq!((full.len(), num_batches([10, 3], 4, LastBatch::Drop)), (2, 2));
        assert!(full.iter().all(|rows| rows.len() == 4));
    }

    /// The shuffle is of the whole index, not of a window: over n = 2,000 epochs of 1,000 rows, the first batch of 4
    /// holds on average rows of mean 499.5. A mean of 8,000 uniform rows has standard error 288.7/√8,000 = 3.2; the
    /// bound is 4 of them (alpha 6e-5). The twin is a shuffle within a window of 100.
    #[test]
    fn the_first_batch_comes_from_everywhere() {
        let mean = |rows: u32| {
            let first = |index| epoch(vec![(0..rows).collect()], LastBatch::Keep, index)[0].iter().sum::<usize>();
            (0..2000).map(first).sum::<usize>() as f64 / 8000.0
        };
        assert!((mean(1000) - 499.5).abs() < 12.9, "{}", mean(1000));
        assert!((mean(100) - 499.5).abs() > 12.9);
    }

    #[test]
    fn epochs_differ_and_repeat() {
        let of = |index| epoch(vec![(0..100).collect()], LastBatch::Keep, index);
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }
}
