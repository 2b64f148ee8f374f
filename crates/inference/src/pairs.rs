//! Trains on pairs of parameters and data from one round or several, of each of which some are held out.

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

/// Pairs that were appended together, and where their parameters came from.
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    pub(crate) simulations: Simulations,
    /// The number of the posterior that proposed the parameters, from 1; 0 for the prior.
    pub(crate) proposal: usize,
    pub(crate) excluded: usize,
    pub(crate) round: usize,
    /// Whether the parameters are said to be from the prior.
    pub(crate) is_of_prior: bool,
    /// All parameters as they were appended, those of pairs that were left out among them; `None` if they were
    /// simulated here.
    pub(crate) foreign: Option<Array2<f32>>,
}

/// All pairs so far; the same rows are held out of those of a round in every training.
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
    /// What is done about proposals, if anything is.
    correction: Option<Correction>,
    /// The epoch that a batch was last asked for, and its order.
    order: Option<(usize, Vec<usize>)>,
}

impl Pairs {
    /// Splits the pairs of each call by themselves: what a later one adds does not change that. Of calls too small for
    /// it, one after the other, as many are held out as of one call. Copies go where the first of them is; whether
    /// equal pairs are copies, is for `are_copies` to say.
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
        let copies = Some(all.copies()).filter(|copies| !copies.is_empty() && are_copies(copies)).unwrap_or_default();
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
                // Each is there more often than that: one of them is held out.
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

    /// With what is done about proposals: another is another run.
    pub(crate) fn with_correction(mut self, correction: Option<Correction>) -> Self {
        self.correction = correction;
        self
    }

    /// Pairs to train on, and pairs held out.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.trained.len(), self.held_out.len())
    }

    /// What is trained on.
    pub(crate) fn training(&self) -> Result<Simulations, TrainerError> {
        Ok(self.all.select(&self.trained)?)
    }

    /// What is held out: at most so many, from end to end.
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

    /// Whole batches alone: a last one of a few pairs would weigh as much as the others.
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
