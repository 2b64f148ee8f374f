//! Simulates into a folder ahead of training, and continues where an earlier call stopped.

use super::{
    DataError, Dataset,
    file::save_simulations,
    manifest::{MANIFEST, Manifest, Shard, shard_name},
};
use crate::{GenerativeModel, Progress, Shapes, SimulationError, progress::SimulationBar};
use bayesburn_core::{
    Simulations,
    files::{self, FolderLock, operation, settle},
    layout::SHARD,
};
use rayon::prelude::*;
use std::{fs, path::Path};

/// The largest default size of a shard, in bytes. It allows long reads for copies and checksums. With functions of
/// whole batches on 16 threads, 32 shards are in memory (16 being written and 16 being simulated), which is 1 GB.
const SHARD_BYTES: usize = 32 << 20;

/// The least number of shards of a call with at least as many simulations, so that an interruption loses only a few
/// percent of them.
const MIN_SHARDS: usize = 32;

/// The largest default number of simulations in a shard for models with non-batchable context, which is drawn once for
/// each shard.
const SHARED_CONTEXT_ROWS: usize = 1000;

/// Settings of [`GenerativeModel::presimulate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presimulation {
    /// Number of simulations that the folder shall hold, at least 1. If it already holds as many or more, nothing is
    /// simulated.
    pub num_simulations: usize,
    /// The seed. Simulation i of the folder is simulation i of this seed.
    pub seed: u64,
    /// Number of simulations in a file, at least 1. By default that of an existing folder; otherwise 1/32 of
    /// `num_simulations`, at most 32 MB, and at most 1,000 if the model has non-batchable context: a shard is one batch
    /// of the model, so that all its simulations share that context.
    pub simulations_per_shard: Option<usize>,
    /// Whether progress is shown; by default on a terminal.
    pub progress: Progress,
}

impl Presimulation {
    /// Stores this many simulations of this seed.
    #[must_use]
    pub fn new(num_simulations: usize, seed: u64) -> Self {
        Self { num_simulations, seed, simulations_per_shard: None, progress: Progress::default() }
    }

    /// Sets how many simulations a file holds.
    #[must_use]
    pub fn with_simulations_per_shard(mut self, simulations_per_shard: usize) -> Self {
        self.simulations_per_shard = Some(simulations_per_shard);
        self
    }

    /// Sets whether progress is shown.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    fn default_shard(&self, shapes: &Shapes) -> usize {
        let values = |shape: &Vec<usize>| shape.iter().product::<usize>();
        let contexts = shapes.prior_batchable_context.iter().chain(&shapes.sim_batchable_context);
        let values = values(&shapes.parameters) + shapes.num_values() + contexts.map(values).sum::<usize>();
        let shared = shapes.prior_non_batchable_context.is_some() || shapes.sim_non_batchable_context.is_some();
        let most = if shared { SHARED_CONTEXT_ROWS } else { usize::MAX };
        self.num_simulations.div_ceil(MIN_SHARDS).min(SHARD_BYTES / (4 * values)).min(most).max(1)
    }
}

impl GenerativeModel {
    /// Simulates into a folder and opens it as a [`Dataset`].
    ///
    /// The folder holds files `shard-000000.safetensors`, `shard-000001.safetensors` and so on (f32 arrays named as the
    /// fields of [`Simulations`](bayesburn_core::Simulations)), and `manifest.json`. Its bytes depend on the model, the
    /// seed and the numbers of simulations, not on threads. The values depend on the size of the shards only if
    /// simulations depend on their batch, by non-batchable context or a function of a whole batch; a shard is one
    /// batch.
    ///
    /// After an interruption, even by a kill, a call with the same settings continues at the first incomplete shard and
    /// ends with the same bytes as an uninterrupted run. A call with more simulations appends them in new shards. A
    /// deleted shard is simulated again. Only names and shapes of the model can be compared with those of the folder:
    /// after changing the model, use another folder.
    ///
    /// # Errors
    /// A simulation that fails (earlier shards are kept); a folder with other files, or begun with another seed, shard
    /// size or model; another process that simulates into the folder; a full disk.
    ///
    /// ```
    /// use bayesburn_simulation::{Dataset, GenerativeModel, Presimulation, Prior, Simulator};
    /// use ndarray::Array2;
    /// use rand::RngExt;
    /// use rand_distr::StandardNormal;
    ///
    /// let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
    /// let simulator = Simulator::from_fn(|rng, mu, _| {
    ///     Array2::from_shape_fn((50, 1), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
    /// });
    /// let model = GenerativeModel::new(prior, simulator)?;
    /// let folder = tempfile::tempdir()?;
    /// model.presimulate(folder.path(), &Presimulation::new(1_000, 2023))?;
    ///
    /// // In this program or another:
    /// let data = Dataset::open(folder.path())?;
    /// let all = model.simulate(1_000, 2023)?;
    /// assert_eq!(data.select(&[999, 5])?, all.select(&[999, 5]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn presimulate(&self, folder: impl AsRef<Path>, presimulation: &Presimulation) -> Result<Dataset, DataError> {
        let folder = folder.as_ref();
        if presimulation.num_simulations == 0 {
            return Err(SimulationError::NoSimulations.into());
        }
        if presimulation.simulations_per_shard == Some(0) {
            return Err(DataError::EmptyShards);
        }
        operation::create_folder(folder).map_err(DataError::write(folder))?;
        let _lock = lock(folder)?;
        let ours = |name: &str| name == MANIFEST || SHARD.number(name).is_some();
        settle(folder, ours).map_err(DataError::write(folder))?;
        let mut manifest = self.begin(folder, presimulation)?;
        delete_unlisted(folder, manifest.shards.len())?;
        self.restore(folder, &manifest)?;
        self.extend(folder, &mut manifest, presimulation)?;
        let data = Dataset::open(folder)?;
        match self.feature_names() {
            Some(names) => data.with_feature_names(names),
            None => Ok(data),
        }
    }

    /// The manifest of an existing store with the same settings, or of a new one.
    fn begin(&self, folder: &Path, presimulation: &Presimulation) -> Result<Manifest, DataError> {
        let names = (&self.parameter_names()[..], self.feature_names());
        let of = |per_shard| Manifest::new(names, presimulation.seed, per_shard, self.shapes());
        if folder.join(MANIFEST).exists() {
            let manifest = Manifest::read(folder)?;
            let given = of(presimulation.simulations_per_shard.unwrap_or(manifest.simulations_per_shard));
            return match manifest.difference(&given) {
                Some((setting, stored, given)) => {
                    Err(DataError::Setting { path: folder.to_owned(), setting, stored, given })
                }
                None => Ok(manifest),
            };
        }
        for entry in fs::read_dir(folder).map_err(DataError::read(folder))? {
            let found = entry.map_err(DataError::read(folder))?.file_name().to_string_lossy().into_owned();
            // Hidden files are the lock, or what the system leaves.
            if !found.starts_with('.') {
                return Err(DataError::NotAStore { path: folder.to_owned(), found });
            }
        }
        let default = || presimulation.default_shard(self.shapes());
        let manifest = of(presimulation.simulations_per_shard.unwrap_or_else(default));
        manifest.write(folder)?;
        Ok(manifest)
    }

    /// Simulates shards again that the manifest lists and that are not there.
    fn restore(&self, folder: &Path, manifest: &Manifest) -> Result<(), DataError> {
        for shard in &manifest.shards {
            let path = folder.join(&shard.file);
            match shard.check_length(&path) {
                Err(DataError::Missing { .. }) => {
                    tracing::warn!(path = %path.display(), "the shard is missing and is simulated again");
                    let (first, attempted) = (shard.first, shard.attempted);
                    let simulations = self.simulate_from(manifest.seed, first, attempted)?;
                    let simulated = Simulated { first, attempted, simulations };
                    // Under its name only when it is known to be the same: the next call would not compare it.
                    let scratch = folder.join(format!(".{}.restored.tmp", shard.file));
                    if simulated.write(shard.file.clone(), &scratch)? != *shard {
                        operation::delete_file(&scratch).map_err(DataError::write(&scratch))?;
                        return Err(DataError::NotReproduced { path });
                    }
                    operation::rename(&scratch, &path).map_err(DataError::write(&path))?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Adds shards until there are as many simulations as are asked for. While some are written, the next are
    /// simulated.
    fn extend(&self, folder: &Path, manifest: &mut Manifest, presimulation: &Presimulation) -> Result<(), DataError> {
        let (end, per_shard, seed) =
            (presimulation.num_simulations as u64, manifest.simulations_per_shard, manifest.seed);
        let mut next = manifest.next(manifest.shards.len());
        let bar = SimulationBar::new(presimulation.progress, next, end);
        // Functions of one draw use all cores within a shard, and an interruption then costs the fewest simulations. A
        // function of a whole batch runs on one core, which takes a shard for each.
        let wave = if self.simulations_are_independent() { 1 } else { rayon::current_num_threads() };
        let (mut simulated, mut failed) = (Vec::new(), None);
        loop {
            let starts: Vec<u64> = match failed {
                None => (next..end).step_by(per_shard).take(wave).collect(),
                Some(_) => Vec::new(),
            };
            if starts.is_empty() && simulated.is_empty() {
                bar.finish();
                return failed.map_or(Ok(()), Err);
            }
            let simulate = |&first: &u64| {
                let attempted = (end - first).min(per_shard as u64) as usize;
                let simulations = self.simulate_from(seed, first, attempted)?;
                bar.add(attempted);
                Ok(Simulated { first, attempted, simulations })
            };
            let done = manifest.shards.len();
            let write = |(i, simulated): (usize, &Simulated)| {
                let file = shard_name(done + i);
                let path = folder.join(&file);
                simulated.write(file, &path)
            };
            let (written, results) = rayon::join(
                || simulated.par_iter().enumerate().map(write).collect(),
                || starts.par_iter().map(simulate).collect(),
            );
            let (written, error) = until_error(written);
            if !written.is_empty() {
                manifest.shards.extend(written);
                manifest.write(folder)?;
            }
            if let Some(error) = error {
                return Err(error);
            }
            (simulated, failed) = match until_error(results) {
                (simulated, None) => (simulated, failed),
                (simulated, error) => (simulated, error),
            };
            next = next.saturating_add(per_shard.saturating_mul(wave) as u64);
        }
    }
}

/// The results before the first error, and that error. They do not depend on which thread was faster.
fn until_error<T>(results: Vec<Result<T, DataError>>) -> (Vec<T>, Option<DataError>) {
    let mut values = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => return (values, Some(error)),
        }
    }
    (values, None)
}

/// The simulations of one shard.
struct Simulated {
    first: u64,
    attempted: usize,
    simulations: Simulations,
}

impl Simulated {
    /// Writes the shard of this name to a path.
    fn write(&self, file: String, path: &Path) -> Result<Shard, DataError> {
        let Self { first, attempted, simulations } = self;
        save_simulations(simulations, path)?;
        let (crc32, bytes) = files::crc32(path).map_err(DataError::read(path))?;
        let (rows, invalid) = (simulations.len(), simulations.invalid.len());
        Ok(Shard { file, first: *first, attempted: *attempted, rows, invalid, bytes, crc32 })
    }
}

/// Locks a folder against other processes.
fn lock(folder: &Path) -> Result<FolderLock, DataError> {
    FolderLock::acquire(folder)?.ok_or_else(|| DataError::Locked { path: folder.to_owned() })
}

/// Deletes shards that an interrupted call wrote and did not list in the manifest.
fn delete_unlisted(folder: &Path, listed: usize) -> Result<(), DataError> {
    for (number, path) in SHARD.list(folder).map_err(DataError::read(folder))? {
        if number >= listed {
            operation::delete_file(&path).map_err(DataError::write(&path))?;
        }
    }
    Ok(())
}
