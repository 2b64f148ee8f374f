//! Trains on existing simulations, in memory or on disk.

use super::{
    LastBatch, RunContext, Source,
    shuffle::{Groups, ShuffledEpoch, copies, groups, hold_out, num_batches, valid},
};
use crate::{TrainerError, error::in_range};
use bayesburn_core::{Purpose, Simulations};
use bayesburn_simulation::{Copies, Dataset, Group};
use serde_json::{Value, json};

const SHUFFLE: Purpose = Purpose::new("offline shuffle");
/// Rows that are read at a time for the validation loss.
const VALIDATION_ROWS: usize = 1024;

/// The validation data of an offline training.
#[derive(Debug, Clone)]
pub enum Validation {
    /// No validation on the data.
    None,
    /// A random fraction of the data, between 0 and 1, which is not trained on. Copies of a simulation are either all
    /// in it or all outside, so that it may be smaller by up to a hundredth of the data; a `tracing` warning reports
    /// copies.
    Fraction(f64),
    /// Other data, all of it.
    Data(Dataset),
}

/// Offline training: epochs over a fixed set of simulations. For simulators that are too slow to run during training,
/// or run elsewhere.
///
/// Each epoch takes all simulations in a new random order. A fixed set can be overfitted: hold some simulations out for
/// validation, stop early and regularise ([`TrainingConfig::regularised`](crate::TrainingConfig::regularised)), and use
/// dropout in the networks.
///
/// ```no_run
/// use bayesburn_amortizers::PosteriorConfig;
/// use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
/// use bayesburn_simulation::Dataset;
/// use bayesburn_trainers::{Offline, Trainer, TrainingConfig};
///
/// // A folder with `parameters.npy` [B, D] and `data.npy` [B, N, F], of any program; it may be larger than memory.
/// let data = Dataset::open("simulations")?.with_parameter_names(["mu", "sigma"])?;
/// let networks = PosteriorConfig::new(DeepSetConfig::new(8), InvertibleNetworkConfig::new()).with_dropout(0.05);
/// let mut trainer = Trainer::builder(data.clone(), networks).checkpoints("out/run").build()?;
/// trainer.train(Offline::new(data).with_epochs(50), &TrainingConfig::regularised())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Offline {
    data: Dataset,
    epochs: usize,
    batch_size: usize,
    last_batch: LastBatch,
    validation: Validation,
    /// The rows to train on and those to validate on.
    split: Option<(Groups, Groups)>,
    /// The epoch that batches were last asked for.
    epoch: Option<(usize, ShuffledEpoch)>,
}

impl Offline {
    /// 10 epochs over these data in batches of 32, of which the last may be smaller; a tenth is held out for
    /// validation.
    #[must_use]
    pub fn new(data: Dataset) -> Self {
        Self {
            data,
            epochs: 10,
            batch_size: 32,
            last_batch: LastBatch::Keep,
            validation: Validation::Fraction(0.1),
            split: None,
            epoch: None,
        }
    }

    /// Number of epochs, at least 1.
    #[must_use]
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Simulations in a step, at least 1 and at most the number of training simulations.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// How the last simulations of an epoch are handled if they are fewer than a batch.
    #[must_use]
    pub fn with_last_batch(mut self, last_batch: LastBatch) -> Self {
        self.last_batch = last_batch;
        self
    }

    /// Sets the validation data.
    #[must_use]
    pub fn with_validation(mut self, validation: Validation) -> Self {
        self.validation = validation;
        self
    }

    /// The number of rows held out of each group; their sum is the requested fraction, rounded down.
    fn held_out(&self) -> Vec<usize> {
        let fraction = match self.validation {
            Validation::Fraction(fraction) => fraction,
            Validation::None | Validation::Data(_) => 0.0,
        };
        let share = |rows: usize| (fraction * rows as f64) as usize;
        let mut rows = 0;
        let of_group = |group: &Group| {
            rows += group.len();
            share(rows) - share(rows - group.len())
        };
        self.data.groups().iter().map(of_group).collect()
    }

    fn epoch_length(&self) -> usize {
        let left = self.data.groups().iter().zip(self.held_out()).map(|(group, held_out)| group.len() - held_out);
        num_batches(left, self.batch_size, self.last_batch)
    }

    fn validation_data(&self) -> &Dataset {
        match &self.validation {
            Validation::Data(data) => data,
            Validation::None | Validation::Fraction(_) => &self.data,
        }
    }

    /// The training rows, and the validation rows in parts. They are the same in every run of a trainer, so that no run
    /// trains on validation rows of another.
    fn split(&mut self, seed: u64) -> Result<&(Groups, Groups), TrainerError> {
        if self.split.is_none() {
            let mut training = groups(&self.data)?;
            let mut validation = match &self.validation {
                Validation::Data(data) => groups(data)?,
                Validation::None | Validation::Fraction(_) => Vec::new(),
            };
            let held_out = self.held_out().into_iter().enumerate();
            let copies =
                if held_out.clone().any(|(_, held)| held > 0) { copies(&self.data)? } else { Copies::default() };
            for (group, (number, held_out)) in training.iter_mut().zip(held_out).filter(|(_, (_, held))| *held > 0) {
                let mut rows = hold_out(group, held_out, &copies, number, seed);
                rows.sort_unstable();
                validation.push(rows);
                // Data are read faster in the order in which they lie.
                group.sort_unstable();
            }
            if !copies.is_empty() {
                let (copies, all) = (copies.len(), self.data.len());
                tracing::warn!(
                    copies,
                    all,
                    "simulations occur more than once: copies are held out or trained on together"
                );
                if validation.iter().all(Vec::is_empty) && matches!(self.validation, Validation::Fraction(_)) {
                    return Err(TrainerError::Copies { copies, all });
                }
            }
            let mut parts = Vec::new();
            for rows in validation.iter().flat_map(|group| group.chunks(VALIDATION_ROWS)) {
                // A part whose rows were all dropped as invalid is skipped.
                if valid(self.validation_data().select(&numbers(rows)))?.is_some() {
                    parts.push(rows.to_vec());
                }
            }
            self.split = Some((training, parts));
        }
        Ok(self.split.as_ref().expect("it was just made"))
    }
}

fn numbers(rows: &[u32]) -> Vec<usize> {
    rows.iter().map(|row| *row as usize).collect()
}

impl Source for Offline {
    fn epochs(&self) -> Result<Vec<usize>, TrainerError> {
        in_range(self.epochs > 0, "epochs", "at least 1", self.epochs)?;
        in_range(self.batch_size > 0, "batch_size", "at least 1", self.batch_size)?;
        if let Validation::Fraction(fraction) = self.validation {
            in_range((0.0..1.0).contains(&fraction), "validation fraction", "at least 0 and below 1", fraction)?;
        }
        let held_out: usize = self.held_out().iter().sum();
        if let (Validation::Fraction(fraction), 0) = (&self.validation, held_out) {
            in_range(
                *fraction == 0.0,
                "validation fraction",
                "0, or large enough for at least one simulation",
                fraction,
            )?;
        }
        let available = self.data.len() - held_out;
        if self.batch_size > available {
            return Err(TrainerError::FewerThanABatch { available, batch_size: self.batch_size });
        }
        match self.epoch_length() {
            0 => Err(TrainerError::FewerThanABatch { available, batch_size: self.batch_size }),
            length => Ok(vec![length; self.epochs]),
        }
    }

    fn batch(&mut self, step: usize, run: &RunContext) -> Result<Simulations, TrainerError> {
        let length = self.epoch_length();
        let (number, batch) = (step / length, step % length);
        if self.epoch.as_ref().is_none_or(|(held, _)| *held != number) {
            // Before the next is made: one index at a time in memory.
            self.epoch = None;
            let (size, last) = (self.batch_size, self.last_batch);
            let (training, _) = self.split(run.trainer_seed())?;
            let epoch = ShuffledEpoch::new(training.clone(), size, last, (run.seed(), SHUFFLE, number as u64));
            self.epoch = Some((number, epoch));
        }
        let (_, epoch) = self.epoch.as_ref().expect("it was just made");
        // All simulations of a small batch may be invalid and dropped; then the next batch takes its place.
        for batch in (0..length).map(|i| (batch + i) % length) {
            if let Some(simulations) = valid(self.data.select(&epoch.rows(batch)))? {
                return Ok(simulations);
            }
        }
        Ok(self.data.select(&epoch.rows(batch))?)
    }

    fn config(&self) -> Value {
        json!({ "offline": {
            "data": self.data.fingerprint(),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "last_batch": self.last_batch,
            "validation": match &self.validation {
                Validation::None => json!("none"),
                Validation::Fraction(fraction) => json!({ "fraction": fraction }),
                Validation::Data(data) => json!({ "data": data.fingerprint() }),
            },
        }})
    }

    fn validation(&mut self, part: usize, run: &RunContext) -> Result<Option<Simulations>, TrainerError> {
        let rows = self.split(run.trainer_seed())?.1.get(part).map(|rows| numbers(rows));
        Ok(rows.map(|rows| self.validation_data().select(&rows)).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, pilot::pilot};
    use ndarray::Array2;

    /// Each of 100 simulations ten times: an epoch takes as many batches as without copies.
    #[test]
    fn copies_are_held_out_together() {
        let rows = Array2::from_shape_fn((1000, 1), |(row, _)| (row % 100) as f32);
        let of = |rows: &Array2<f32>| {
            let simulations =
                Simulations::new(["row".to_owned()].into(), rows.clone(), rows.clone().into_dyn()).expect("sound");
            let data = Dataset::from_simulations(simulations).expect("sound");
            let mut offline = Offline::new(data.clone());
            let epochs = offline.epochs().expect("enough");
            let (training, held_out) = offline.split(5).expect("some are held out").clone();
            let values = |groups: Groups| groups.concat().iter().map(|&i| rows[[i as usize, 0]] as usize).collect();
            let [training, held_out]: [Vec<usize>; 2] = [training, held_out].map(values);
            let pilot = pilot(&Origin::Data(data), 5, 32).expect("sound");
            let in_pilot =
                pilot.iter().flat_map(|part| &part.parameters).any(|row| held_out.contains(&(*row as usize)));
            let known = held_out.iter().filter(|row| training.contains(row)).count();
            (epochs[0], training.len(), held_out.len(), known, in_pilot)
        };
        assert_eq!(of(&rows), (29, 900, 100, 0, false));
        // The twin: parameters that are not quite equal.
        let twin = Array2::from_shape_fn((1000, 1), |(row, _)| (row % 100) as f32 + 1e-4 * (row / 100) as f32);
        let (epochs, training, held_out, known, _) = of(&twin);
        assert!((epochs, training, held_out) == (29, 900, 100) && known > 50, "the twin: {known}");
        let one = Array2::zeros((1000, 1));
        let simulations = Simulations::new(["row".to_owned()].into(), one.clone(), one.into_dyn()).expect("sound");
        let error = Offline::new(Dataset::from_simulations(simulations).expect("sound")).split(5).map(|_| ());
        assert!(matches!(error, Err(TrainerError::Copies { copies: 999, all: 1000 })), "{error:?}");
    }

    /// What is fitted to the pilot would else be known of simulations that are to show what is not known.
    #[test]
    fn the_pilot_has_nothing_that_is_held_out() {
        let rows = Array2::from_shape_fn((300, 1), |(row, _)| row as f32);
        let simulations = Simulations::new(["row".to_owned()].into(), rows.clone(), rows.into_dyn()).expect("sound");
        let data = Dataset::from_simulations(simulations).expect("sound");
        let parts = pilot(&Origin::Data(data.clone()), 5, 32).expect("sound");
        let of_pilot: Vec<usize> = parts.iter().flat_map(|part| &part.parameters).map(|&row| row as usize).collect();
        assert_eq!(of_pilot.len(), 270);
        let held_out = |fraction: f64| {
            let mut offline = Offline::new(data.clone()).with_validation(Validation::Fraction(fraction));
            let parts = offline.split(5).expect("sound").1.clone();
            parts.concat().into_iter().filter(|row| of_pilot.contains(&(*row as usize))).count()
        };
        assert_eq!((held_out(0.1), held_out(0.05)), (0, 0));
        assert_eq!(held_out(0.2), 30, "the twin: twice as many are held out as the pilot leaves");
    }
}
