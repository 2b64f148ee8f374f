//! Trains in rounds, each of which adds simulations to those before.

use super::{
    LastBatch, RunContext, Source,
    shuffle::{ShuffledEpoch, groups},
};
use crate::{TrainerError, error::in_range};
use bayesburn_core::{Purpose, Simulations, layout, stream};
use bayesburn_simulation::{Dataset, Presimulation};
use rand::Rng;
use serde_json::{Value, json};
use std::{collections::BTreeMap, ops::Range};

const SHUFFLE: Purpose = Purpose::new("rounds shuffle");

/// Round-based training: each round adds new simulations to those of earlier rounds and trains for some epochs on all
/// of them. The learning rate's schedule spans all rounds.
///
/// If the trainer writes checkpoints, the simulations are stored beside them on disk, so that a resumed run need not
/// repeat them; otherwise they stay in memory. The number of steps of an epoch is the requested number of simulations
/// divided by the batch size, rounded up. If invalid simulations were dropped, so that there are fewer batches, the
/// last steps repeat the first batches. If shared context splits the simulations into more batches than that, random
/// batches are left out.
#[derive(Debug, Clone)]
pub struct Rounds {
    rounds: usize,
    simulations_per_round: usize,
    epochs_per_round: usize,
    batch_size: usize,
    window: Option<usize>,
    /// The simulations in the window of the newest round.
    data: BTreeMap<usize, Dataset>,
    /// The epoch of the last requested batch.
    epoch: Option<OpenEpoch>,
}

#[derive(Debug, Clone)]
struct OpenEpoch {
    steps: Range<usize>,
    round: usize,
    first_of_round: bool,
    data: Dataset,
    batches: ShuffledEpoch,
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            rounds: 5,
            simulations_per_round: 2000,
            epochs_per_round: 10,
            batch_size: 32,
            window: None,
            data: BTreeMap::new(),
            epoch: None,
        }
    }
}

impl Rounds {
    /// 5 rounds, each of which adds 2,000 simulations and trains for 10 epochs in batches of 32.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of rounds, at least 1.
    #[must_use]
    pub fn with_rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Simulations that each round adds, at least one batch.
    #[must_use]
    pub fn with_simulations_per_round(mut self, simulations_per_round: usize) -> Self {
        self.simulations_per_round = simulations_per_round;
        self
    }

    /// Epochs in each round, at least 1.
    #[must_use]
    pub fn with_epochs_per_round(mut self, epochs_per_round: usize) -> Self {
        self.epochs_per_round = epochs_per_round;
        self
    }

    /// Simulations in a step, at least 1.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Trains on the simulations of this many newest rounds, at least 1; of all rounds by default.
    #[must_use]
    pub fn with_window(mut self, window: usize) -> Self {
        self.window = Some(window);
        self
    }

    /// The rounds that this one trains on.
    fn window_of(&self, round: usize) -> Range<usize> {
        (round + 1).saturating_sub(self.window.unwrap_or(usize::MAX))..round + 1
    }

    fn epoch_length(&self, round: usize) -> usize {
        (self.window_of(round).len() * self.simulations_per_round).div_ceil(self.batch_size)
    }

    /// The epoch of a step, and its steps.
    fn epoch_of(&self, step: usize) -> (usize, Range<usize>) {
        let mut start = 0;
        for round in 0..self.rounds {
            let (length, epochs) = (self.epoch_length(round), self.epochs_per_round);
            if step < start + length * epochs {
                let epoch = (step - start) / length;
                let first = start + epoch * length;
                return (round * epochs + epoch, first..first + length);
            }
            start += length * epochs;
        }
        // Past the end; never asked for by the training loop.
        (self.rounds * self.epochs_per_round, start..usize::MAX)
    }

    /// The simulations of one round.
    fn simulate(&self, number: usize, run: &RunContext) -> Result<Dataset, TrainerError> {
        let model = run.model()?;
        let seed = stream(run.seed(), const { Purpose::new("round") }, number as u64).next_u64();
        // If a batch shares context, such as the number of observations, every training batch has its own.
        let independent = model.simulations_are_independent();
        if let Some(folder) = run.folder() {
            let settings = Presimulation::new(self.simulations_per_round, seed).with_progress(run.progress);
            let settings = if independent { settings } else { settings.with_simulations_per_shard(self.batch_size) };
            let name = layout::round(number, self.simulations_per_round, self.batch_size);
            let data = model.presimulate(folder.join(name), &settings)?;
            // After a resumption, old files may have been changed.
            data.verify()?;
            return Ok(data);
        }
        let together = if independent { self.simulations_per_round } else { self.batch_size };
        let batches = (0..self.simulations_per_round).step_by(together).map(|first| {
            let length = together.min(self.simulations_per_round - first);
            Ok(model.simulate_from(seed, first as u64, length)?)
        });
        Ok(Dataset::from_batches(batches.collect::<Result<Vec<_>, TrainerError>>()?)?)
    }
}

impl Source for Rounds {
    fn epochs(&self) -> Result<Vec<usize>, TrainerError> {
        in_range(self.rounds > 0, "rounds", "at least 1", self.rounds)?;
        in_range(self.epochs_per_round > 0, "epochs_per_round", "at least 1", self.epochs_per_round)?;
        in_range(self.batch_size > 0, "batch_size", "at least 1", self.batch_size)?;
        in_range(self.window != Some(0), "window", "at least 1", 0)?;
        let available = self.simulations_per_round;
        if self.batch_size > available {
            return Err(TrainerError::FewerThanABatch { available, batch_size: self.batch_size });
        }
        let rounds = 0..self.rounds;
        Ok(rounds.flat_map(|round| std::iter::repeat_n(self.epoch_length(round), self.epochs_per_round)).collect())
    }

    fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError> {
        if self.epoch.as_ref().is_none_or(|open| !open.steps.contains(&step)) {
            let (number, steps) = self.epoch_of(step);
            let round = number / self.epochs_per_round;
            let window = self.window_of(round);
            // Rounds that have left the window are dropped.
            self.data.retain(|round, _| window.contains(round));
            for round in window {
                if !self.data.contains_key(&round) {
                    let data = self.simulate(round, run)?;
                    self.data.insert(round, data);
                }
            }
            let data = Dataset::join(self.data.values())?;
            let order = (run.seed(), SHUFFLE, number as u64);
            let batches = ShuffledEpoch::new(groups(&data)?, self.batch_size, LastBatch::Keep, order);
            let first_of_round = number.is_multiple_of(self.epochs_per_round);
            self.epoch = Some(OpenEpoch { steps, round, first_of_round, data, batches });
        }
        let open = self.epoch.as_ref().expect("it was just opened");
        let mut batch = open.data.select(&open.batches.rows((step - open.steps.start) % open.batches.len()))?;
        if step == open.steps.start && open.first_of_round {
            // Counted once, when the round begins.
            batch.invalid.extend(self.data[&open.round].invalid());
            batch.panicked.extend(self.data[&open.round].panicked().cloned());
        }
        Ok(batch)
    }

    fn config(&self) -> Value {
        json!({ "rounds": {
            "rounds": self.rounds,
            "simulations_per_round": self.simulations_per_round,
            "epochs_per_round": self.epochs_per_round,
            "batch_size": self.batch_size,
            "window": self.window,
        }})
    }
}
