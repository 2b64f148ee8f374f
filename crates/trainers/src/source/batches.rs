//! Holds numbered batches of simulations, and saves them into a checkpoint.

use crate::TrainerError;
use bayesburn_core::{Input, Simulations, files::write_atomically, layout::BatchFiles};
use bayesburn_simulation::{load_simulations, save_simulations};
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs::File, io::BufReader, ops::RangeBounds, path::Path};

/// Numbered batches of simulations.
#[derive(Debug, Clone, Default)]
pub(crate) struct NumberedBatches(BTreeMap<u64, Simulations>);

/// What one file holds: batches that fit into one array, one after the other.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Joined {
    batches: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    number: u64,
    rows: usize,
    invalid: usize,
}

impl NumberedBatches {
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.0.contains_key(&number)
    }

    /// # Panics
    /// If it is not there.
    pub(crate) fn get(&self, number: u64) -> &Simulations {
        &self.0[&number]
    }

    pub(crate) fn insert(&mut self, number: u64, batch: Simulations) {
        self.0.insert(number, batch);
    }

    /// Drops the batches before this number.
    pub(crate) fn forget_before(&mut self, number: u64) {
        while self.0.first_key_value().is_some_and(|(first, _)| *first < number) {
            self.0.pop_first();
        }
    }

    /// The batches in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Simulations> {
        self.0.values()
    }

    /// Saves the batches of a range into a folder: one file for each shared context, and an index of the batches in
    /// each. A file for each batch would wait for the disk a thousand times.
    pub(crate) fn save(
        &self,
        range: impl RangeBounds<u64>,
        folder: &Path,
        names: BatchFiles,
    ) -> Result<(), TrainerError> {
        let mut files: Vec<(Vec<&Simulations>, Joined)> = Vec::new();
        for (&number, batch) in self.0.range(range) {
            let like = files.iter().position(|(batches, _)| fits(batches[0], batch)).unwrap_or_else(|| {
                files.push((Vec::new(), Joined::default()));
                files.len() - 1
            });
            files[like].0.push(batch);
            files[like].1.batches.push(Entry { number, rows: batch.len(), invalid: batch.invalid.len() });
        }
        let index: Vec<&Joined> = files.iter().map(|(_, joined)| joined).collect();
        let path = folder.join(names.index);
        write_atomically(&path, |file| Ok(serde_json::to_writer(file, &index)?)).map_err(TrainerError::write(&path))?;
        for (i, (batches, _)) in files.iter().enumerate() {
            save_simulations(&Simulations::join(batches.iter().copied())?, folder.join(names.file.name(i)))?;
        }
        Ok(())
    }

    /// Loads what [`NumberedBatches::save`] saved; `None` if there is no index.
    pub(crate) fn load(folder: &Path, names: BatchFiles) -> Result<Option<Self>, TrainerError> {
        let path = folder.join(names.index);
        if !path.exists() {
            return Ok(None);
        }
        let index = File::open(&path).map_err(TrainerError::read(&path))?;
        let index: Vec<Joined> =
            serde_json::from_reader(BufReader::new(index)).map_err(|error| TrainerError::read(&path)(error.into()))?;
        let mut batches = BTreeMap::new();
        for (i, joined) in index.iter().enumerate() {
            let all = load_simulations(folder.join(names.file.name(i)))?;
            let (mut row, mut id) = (0, 0);
            for entry in &joined.batches {
                let mut batch = all.select(&(row..row + entry.rows).collect::<Vec<_>>());
                batch.invalid = all.invalid[id..id + entry.invalid].to_vec();
                let of_batch = all.panicked.iter().filter(|panic| batch.invalid.contains(&panic.id));
                batch.panicked = of_batch.cloned().collect();
                batches.insert(entry.number, batch);
                (row, id) = (row + entry.rows, id + entry.invalid);
            }
        }
        Ok(Some(Self(batches)))
    }
}

/// Whether two batches can be joined: their rows are alike, and so is the context that a batch shares.
fn fits(a: &Simulations, b: &Simulations) -> bool {
    let row = |array: &Option<ArrayD<f32>>| array.as_ref().map(|array| array.shape()[1..].to_vec());
    // Data sets of two axes and more may be of different lengths: joined, they are padded, and by themselves they are
    // not.
    let input = |input: &Input| {
        let shape = &input.values().shape()[1..];
        let lengths = if shape.len() > 1 { shape.len() - 1 } else { 0 };
        (input.name().to_owned(), lengths, shape[lengths..].to_vec(), input.value_mask().is_some())
    };
    let rows = |batch: &Simulations| {
        let inputs: Vec<_> = batch.data.inputs().iter().map(input).collect();
        let contexts = [&batch.prior_batchable_context, &batch.sim_batchable_context].map(row);
        (batch.parameter_names.clone(), inputs, contexts)
    };
    rows(a) == rows(b)
        && a.prior_non_batchable_context == b.prior_non_batchable_context
        && a.sim_non_batchable_context == b.sim_non_batchable_context
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayesburn_core::{SimulationId, layout::BUFFER};
    use ndarray::{Array, Array2, array};

    /// Rows of `n` values that share the context `n`.
    fn batch(rows: usize, n: usize) -> Simulations {
        let parameters = Array2::from_shape_fn((rows, 1), |(i, _)| (i + 10 * n) as f32);
        let data = Array::from_shape_fn((rows, n), |(i, j)| (i * j) as f32).into_dyn();
        let mut batch = Simulations::new(["mu".to_owned()].into(), parameters, data).expect("equal rows");
        batch.sim_non_batchable_context = Some(array![n as f32].into_dyn());
        let id = |index| SimulationId { seed: 1, index, attempt: 0, first: 0, batch: rows };
        batch.invalid = (0..rows as u64 / 2).map(id).collect();
        batch
    }

    #[test]
    fn batches_of_different_lengths_and_contexts_are_read_back() {
        let mut batches = NumberedBatches::default();
        for (number, (rows, n)) in [(3, 2), (4, 5), (5, 2), (2, 2), (4, 5)].into_iter().enumerate() {
            batches.insert(10 + number as u64, batch(rows, n));
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(NumberedBatches::load(folder.path(), BUFFER).expect("readable").is_none());
        batches.save(11.., folder.path(), BUFFER).expect("writable");
        // A file for each of two contexts, and the index.
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 3);
        batches.forget_before(11);
        let read = NumberedBatches::load(folder.path(), BUFFER).expect("readable").expect("saved");
        assert_eq!(read.0, batches.0);
        assert_eq!(read.0.len(), 4);
    }
}
