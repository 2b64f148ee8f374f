//! Measures the validation loss of a training.

use super::Session;
use crate::{Decay, TrainerError, error::in_range, loss::validation_loss, prefetch::SharedSource};
use bayesburn_amortizers::{Amortizer, AmortizerError, Configured};
use bayesburn_core::{Purpose, derive_seed};

/// Simulations of a validation batch that share context, as many as in a pilot batch.
const VALIDATION_BATCH: usize = 16;

impl<A: Amortizer> Session<'_, A> {
    /// The simulated part of the validation data. An error if a setting needs validation and there is none.
    pub(super) fn validation_set(&self, shared: &SharedSource<'_>) -> Result<Vec<Configured>, TrainerError> {
        let num = self.config.validation_simulations;
        let mut simulated = Vec::new();
        if num > 0 {
            let none = "0 for a trainer that was made from data, which validates on data";
            in_range(shared.run.model.is_some(), "validation_simulations", none, num)?;
            let model = shared.run.model()?;
            let seed = derive_seed(self.trainer.position.seed, const { Purpose::new("validation simulations") });
            // If a batch shares context, such as the number of observations, there are many batches, so that they cover
            // its range.
            let size = if model.simulations_are_independent() { num } else { VALIDATION_BATCH };
            for first in (0..num).step_by(size) {
                let batch = model.simulate_from(seed, first as u64, size.min(num - first))?;
                simulated.push(shared.configure(&batch)?);
            }
        }
        let plateau = matches!(self.config.schedule.decay, Decay::Plateau { .. }).then_some("a plateau schedule");
        let what = self.config.early_stopping.as_ref().map(|_| "early stopping").or(plateau);
        match what {
            Some(what) if simulated.is_empty() && shared.lock().validation(0, shared.run)?.is_none() => {
                Err(TrainerError::NoValidation { what })
            }
            _ => Ok(simulated),
        }
    }

    /// The weighted mean validation loss over the simulated validation data and those of the source. `None` if there
    /// are none, or the loss is not finite.
    pub(super) fn validate(
        &self,
        shared: &SharedSource<'_>,
        simulated: &[Configured],
    ) -> Result<Option<f32>, TrainerError> {
        let (mut sum, mut rows, mut has_weight) = (0.0, 0, false);
        let mut add = |part: &Configured| -> Result<(), TrainerError> {
            let loss = validation_loss(&self.trainer.amortizer, self.trainer.own_loss.as_ref(), part)?;
            sum += f64::from(loss) * part.len() as f64;
            rows += part.len();
            has_weight |= part.has_weight();
            Ok(())
        };
        simulated.iter().try_for_each(&mut add)?;
        for part in 0.. {
            let Some(simulations) = shared.lock().validation(part, shared.run)? else { break };
            add(&shared.configure(&simulations)?)?;
        }
        if rows > 0 && !has_weight {
            return Err(AmortizerError::NoWeight { of: "validation", simulations: rows }.into());
        }
        let loss = (sum / rows as f64) as f32;
        if rows > 0 && !loss.is_finite() {
            tracing::warn!(loss, steps = self.trainer.history.steps.len(), "the validation loss is not finite");
        }
        Ok((rows > 0 && loss.is_finite()).then_some(loss))
    }
}
