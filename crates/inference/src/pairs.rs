//! Trains on pairs of parameters and data from one round or several, of each of which some are held out.

use crate::Correction;
use bayesburn_core::{Purpose, Simulations, stream};
use bayesburn_simulation::Dataset;
use bayesburn_trainers::{RunContext, Source, TrainerError};
use ndarray::Array2;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

/// Rows of a part of the validation data.
const VALIDATION_ROWS: usize = 1024;

/// Pairs that were appended together, and where their parameters came from.
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    pub(crate) simulations: Simulations,
    /// The number of the posterior that proposed the parameters, from 1; 0 for the prior.
    pub(crate) proposal: usize,
    pub(crate) excluded: usize,
}

/// All pairs so far; the same rows are held out of those of a round in every training.
#[derive(Debug, Clone)]
pub(crate) struct Pairs {
    /// With the number of the proposal as the prior's batchable context.
    all: Dataset,
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
    pub(crate) fn new(
        appended: &[Appended],
        seed: u64,
        fraction: f64,
        batch_size: usize,
        max_epochs: usize,
    ) -> Result<Self, TrainerError> {
        let (mut trained, mut held_out, mut start) = (Vec::new(), Vec::new(), 0);
        let mut numbered = Vec::with_capacity(appended.len());
        for (number, part) in appended.iter().enumerate() {
            let rows = part.simulations.len();
            let mut order: Vec<usize> = (start..start + rows).collect();
            order.shuffle(&mut stream(seed, const { Purpose::new("held-out pairs") }, number as u64));
            let validation = (fraction * rows as f64) as usize;
            held_out.extend_from_slice(&order[..validation]);
            trained.extend_from_slice(&order[validation..]);
            start += rows;
            let number = Array2::from_elem((rows, 1), part.proposal as f32);
            numbered.push(Simulations { prior_batchable_context: Some(number.into_dyn()), ..part.simulations.clone() });
        }
        held_out.sort_unstable();
        trained.sort_unstable();
        let all = Dataset::from_simulations(Simulations::join(&numbered)?)?;
        let batch_size = batch_size.min(trained.len());
        Ok(Self { all, trained, held_out, batch_size, max_epochs, fraction, correction: None, order: None })
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
