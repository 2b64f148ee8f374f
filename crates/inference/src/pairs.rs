//! Provides batches of pairs of parameters and data from all rounds; some pairs of each round are held out.

use crate::Correction;
use bayesburn_core::{Purpose, Simulations, stream};
use bayesburn_simulation::{Copies, Dataset};
use bayesburn_trainers::{RunContext, Source, TrainerError};
use ndarray::{Array1, Array2};
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Rows of a part of the validation data.
const VALIDATION_ROWS: usize = 1024;

/// Pairs that were appended together, and the origin of their parameters.
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    pub(crate) simulations: Simulations,
    /// The number of the posterior that proposed the parameters, from 1; 0 for the prior.
    pub(crate) proposal: usize,
    pub(crate) excluded: usize,
    pub(crate) round: usize,
    /// Whether the parameters are said to be from the prior.
    pub(crate) is_of_prior: bool,
    /// All appended parameters, including those of dropped pairs; `None` if the pairs were simulated here.
    pub(crate) foreign: Option<Array2<f32>>,
}

/// All pairs so far. Every training holds out the same pairs of a round.
#[derive(Debug, Clone)]
pub(crate) struct Pairs {
    /// With the number of the proposal as the prior's batchable context.
    all: Dataset,
    copies: Copies,
    trained: Vec<usize>,
    held_out: Vec<usize>,
    batch_size: usize,
    max_epochs: usize,
    fraction: f64,
    /// The correction for proposals, if there is one.
    correction: Option<Correction>,
    /// The epoch of the last requested batch, and its order.
    order: Option<(usize, Vec<usize>)>,
}

impl Pairs {
    /// Splits the pairs of each call separately, so that later calls do not change the split. Consecutive calls that
    /// are too small for it are split as one. Copies are on the same side as the first of them; `are_copies` decides
    /// whether equal pairs are copies.
    pub(crate) fn new(
        appended: &[Appended],
        seed: u64,
        fraction: f64,
        (batch_size, max_epochs): (usize, usize),
        are_copies: impl FnOnce(&Copies) -> bool,
    ) -> Result<Self, TrainerError> {
        let numbered = appended.iter().map(|part| {
            let proposals = Some(Array1::from_elem(part.simulations.len(), part.proposal as u32));
            Simulations { proposals, ..part.simulations.clone() }
        });
        let all = Dataset::from_simulations(Simulations::join(&numbered.collect::<Vec<_>>())?)?;
        let copies = Some(all.copies()?).filter(|copies| !copies.is_empty() && are_copies(copies)).unwrap_or_default();
        let (mut trained, mut held_out, mut start) = (Vec::new(), Vec::new(), 0);
        let (mut is_held_out, mut small, mut held_of_small) = (HashMap::new(), 0, 0);
        for (number, part) in appended.iter().enumerate() {
            let rows = part.simulations.len();
            let mut order: Vec<usize> = (start..start + rows).collect();
            start += rows;
            order.shuffle(&mut stream(seed, const { Purpose::new("held-out pairs") }, number as u64));
            let (known, new): (Vec<_>, Vec<_>) =
                order.into_iter().partition(|&row| is_held_out.contains_key(&copies.first_of(row)));
            let share = |rows: usize| (fraction * rows as f64) as usize;
            let due = match share(new.len()) {
                0 => {
                    small += new.len();
                    share(small).saturating_sub(held_of_small)
                }
                due => due,
            };
            let (mut held, mut left) = copies.split(&new, due.min(new.len()));
            if due > 0 && held.is_empty() && !left.is_empty() {
                // Every pair has more copies than that: one pair with its copies is held out.
                let first = copies.first_of(left[0]);
                (held, left) = left.into_iter().partition(|&row| copies.first_of(row) == first);
            }
            held_of_small += if share(new.len()) == 0 { held.len() } else { 0 };
            if !copies.is_empty() {
                is_held_out.extend(held.iter().map(|&row| (copies.first_of(row), true)));
                is_held_out.extend(left.iter().map(|&row| (copies.first_of(row), false)));
            }
            let (held_copies, left_copies): (Vec<_>, Vec<_>) =
                known.into_iter().partition(|&row| is_held_out[&copies.first_of(row)]);
            held_out.extend(held.into_iter().chain(held_copies));
            trained.extend(left.into_iter().chain(left_copies));
        }
        held_out.sort_unstable();
        trained.sort_unstable();
        let batch_size = batch_size.min(trained.len());
        Ok(Self { all, copies, trained, held_out, batch_size, max_epochs, fraction, correction: None, order: None })
    }

    /// Sets the correction for proposals, which is part of a run's identity.
    pub(crate) fn with_correction(mut self, correction: Option<Correction>) -> Self {
        self.correction = correction;
        self
    }

    /// Pairs to train on, and pairs held out.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.trained.len(), self.held_out.len())
    }

    /// The training pairs.
    pub(crate) fn training(&self) -> Result<Simulations, TrainerError> {
        Ok(self.all.select(&self.trained)?)
    }

    /// At most `most` of the held-out pairs, evenly spaced.
    pub(crate) fn validation_pairs(&self, most: usize) -> Result<Simulations, TrainerError> {
        let count = self.held_out.len().min(most);
        let rows: Vec<usize> = (0..count).map(|i| self.held_out[i * self.held_out.len() / count]).collect();
        Ok(self.all.select(&rows)?)
    }

    /// The number of pairs that are copies of others.
    pub(crate) fn copies(&self) -> usize {
        self.copies.len()
    }

    /// All pairs.
    pub(crate) fn data(&self) -> &Dataset {
        &self.all
    }

    /// Only full batches: a smaller last one would have the same weight as the others.
    fn epoch_length(&self) -> usize {
        (self.trained.len() / self.batch_size.max(1)).max(1)
    }
}

impl Source for Pairs {
    fn epochs(&self) -> Result<Vec<usize>, TrainerError> {
        Ok(vec![self.epoch_length(); self.max_epochs])
    }

    fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError> {
        let (epoch, batch) = (step / self.epoch_length(), step % self.epoch_length());
        if self.order.as_ref().is_none_or(|(held, _)| *held != epoch) {
            let mut order = self.trained.clone();
            order.shuffle(&mut stream(run.seed(), const { Purpose::new("pairs shuffle") }, epoch as u64));
            self.order = Some((epoch, order));
        }
        let (_, order) = self.order.as_ref().expect("it was just made");
        Ok(self.all.select(&order[batch * self.batch_size..(batch + 1) * self.batch_size])?)
    }

    fn config(&self) -> Value {
        json!({ "pairs": {
            "fingerprint": self.all.fingerprint(),
            "batch_size": self.batch_size,
            "max_epochs": self.max_epochs,
            "validation_fraction": self.fraction,
            "correction": self.correction,
        }})
    }

    fn validation(&mut self, part: usize, _run: &RunContext) -> Result<Option<Simulations>, TrainerError> {
        Ok(self.held_out.chunks(VALIDATION_ROWS).nth(part).map(|rows| self.all.select(rows)).transpose()?)
    }
}
