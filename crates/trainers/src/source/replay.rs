//! Trains on fresh simulations, and on draws from a buffer of recent ones.

use super::{NumberedBatches, RunContext, Source};
use crate::{TrainerError, error::in_range};
use bayesburn_core::{Purpose, Simulations, layout::BUFFER, stream};
use rand::{RngExt, seq::index};
use serde_json::{Value, json};
use std::{ops::RangeInclusive, path::Path};

const DRAWS: Purpose = Purpose::new("replay draws");

/// Experience replay: a fresh batch enters a bounded buffer and is trained on, then some steps draw from the buffer.
/// For simulators that take longer than a training step.
///
/// A draw takes `batch_size` of the buffered simulations, each at most once, all equally likely. If the simulations of
/// a batch depend on each other, by shared context such as their number of observations, a draw takes a whole batch.
#[derive(Debug, Clone)]
pub struct Replay {
    epochs: usize,
    iterations_per_epoch: usize,
    batch_size: usize,
    capacity: usize,
    replayed_per_fresh: usize,
    /// The batches in [`Replay::window`], and some older ones.
    buffer: NumberedBatches,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            epochs: 10,
            iterations_per_epoch: 1000,
            batch_size: 32,
            capacity: 1000,
            replayed_per_fresh: 3,
            buffer: NumberedBatches::default(),
        }
    }
}

impl Replay {
    /// 10 epochs of 1,000 steps of 32 simulations; a buffer of 1,000 batches; 3 replayed steps after each fresh one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of epochs, at least 1.
    #[must_use]
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Steps in an epoch, fresh and replayed, at least 1.
    #[must_use]
    pub fn with_iterations_per_epoch(mut self, iterations_per_epoch: usize) -> Self {
        self.iterations_per_epoch = iterations_per_epoch;
        self
    }

    /// Simulations in a step, at least 1.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// The most batches that the buffer holds, at least 1; the oldest leaves first.
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Steps on draws from the buffer after each step on a fresh batch: with 3, a quarter of the steps simulate; with
    /// 0, all.
    #[must_use]
    pub fn with_replayed_per_fresh(mut self, replayed_per_fresh: usize) -> Self {
        self.replayed_per_fresh = replayed_per_fresh;
        self
    }

    /// The number of fresh batches before this step, and whether the step trains on a fresh one.
    fn fresh(&self, step: usize) -> (u64, bool) {
        let period = self.replayed_per_fresh + 1;
        (step.div_ceil(period) as u64, step.is_multiple_of(period))
    }

    /// The buffered batches when this many fresh ones, at least one, have been made.
    fn window(&self, made: u64) -> RangeInclusive<u64> {
        made.saturating_sub(self.capacity as u64)..=made - 1
    }
}

impl Source for Replay {
    fn epochs(&self) -> Result<Vec<usize>, TrainerError> {
        in_range(self.epochs > 0, "epochs", "at least 1", self.epochs)?;
        in_range(self.iterations_per_epoch > 0, "iterations_per_epoch", "at least 1", self.iterations_per_epoch)?;
        in_range(self.batch_size > 0, "batch_size", "at least 1", self.batch_size)?;
        in_range(self.capacity > 0, "capacity", "at least 1", self.capacity)?;
        Ok(vec![self.iterations_per_epoch; self.epochs])
    }

    fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError> {
        let (before, is_fresh) = self.fresh(step);
        let window = self.window(before + u64::from(is_fresh));
        for number in window.clone() {
            if !self.buffer.contains(number) {
                let first = number * self.batch_size as u64;
                self.buffer.insert(number, run.model()?.simulate_from(run.seed(), first, self.batch_size)?);
            }
        }
        // A checkpoint may need the window of an earlier step than the newest batch made: earlier by the prefetched
        // batches, and by one that a GPU already has.
        self.buffer.forget_before(window.start().saturating_sub(run.prefetch as u64 + 2));
        if is_fresh {
            return Ok(self.buffer.get(*window.end()).clone());
        }
        let mut rng = stream(run.seed(), DRAWS, step as u64);
        if !run.model()?.simulations_are_independent() {
            let mut batch = self.buffer.get(rng.random_range(window)).clone();
            // It was counted when it was fresh.
            batch.invalid.clear();
            batch.panicked.clear();
            return Ok(batch);
        }
        let lengths: Vec<(u64, usize)> = window.map(|number| (number, self.buffer.get(number).len())).collect();
        let total = lengths.iter().map(|(_, length)| length).sum();
        let mut rows = index::sample(&mut rng, total, self.batch_size.min(total)).into_vec();
        // In the buffer's order, so that the rows of a batch are taken together; a step does not depend on the order.
        rows.sort_unstable();
        let (mut parts, mut rows, mut start) = (Vec::new(), rows.into_iter().peekable(), 0);
        for (number, length) in lengths {
            let mut of_batch = Vec::new();
            while let Some(row) = rows.next_if(|row| *row < start + length) {
                of_batch.push(row - start);
            }
            if !of_batch.is_empty() {
                parts.push(self.buffer.get(number).select(&of_batch));
            }
            start += length;
        }
        Ok(Simulations::join(&parts)?)
    }

    fn config(&self) -> Value {
        json!({ "replay": {
            "epochs": self.epochs,
            "iterations_per_epoch": self.iterations_per_epoch,
            "batch_size": self.batch_size,
            "capacity": self.capacity,
            "replayed_per_fresh": self.replayed_per_fresh,
        }})
    }

    fn save(&self, step: usize, folder: &Path) -> Result<(), TrainerError> {
        match self.fresh(step) {
            (0, _) => Ok(()),
            (made, _) => self.buffer.save(self.window(made), folder, BUFFER),
        }
    }

    fn restore(&mut self, folder: &Path) -> Result<(), TrainerError> {
        self.buffer = NumberedBatches::load(folder, BUFFER)?.unwrap_or_default();
        Ok(())
    }
}
