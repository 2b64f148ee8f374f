//! Writes the state of a run into a checkpoint, and continues from one.

use super::Session;
use crate::{Source, TrainerError, checkpoint::Checkpoint, prefetch::SharedSource};
use bayesburn_amortizers::Amortizer;
use bayesburn_core::{
    files::{VerifyError, verify},
    layout::{BEST_WEIGHTS, CHECKPOINT, MEMORY, RAW_WEIGHTS},
};
use std::path::Path;

impl<A: Amortizer> Session<'_, A> {
    /// Restores optimizer, source and best weights, if the trainer was resumed within this run.
    pub(super) fn take_up(&mut self, checkpoint: &Checkpoint, source: &mut dyn Source) -> Result<(), TrainerError> {
        let run = self.trainer.run;
        if checkpoint.position.runs.len() != run + 1 || checkpoint.position.runs[run].finished.is_some() {
            return Ok(());
        }
        let damaged = |reason: String| TrainerError::DamagedCheckpoint { folder: checkpoint.folder.clone(), reason };
        self.updater
            .restore(checkpoint.optimizer.clone(), self.trainer.amortizer.networks())
            .map_err(|error| damaged(format!("optimizer state: {error}")))?;
        source.restore(&checkpoint.folder)?;
        if let (true, Some(steps)) = (self.keeps_best(), self.trainer.best_steps(run, usize::MAX)) {
            let best = self.best_weights(checkpoint, steps)?;
            self.trainer.weights.set_best(best);
        }
        if self.config.weight_average.is_some() {
            let raw = self.trainer.amortizer.clone().read_weights(checkpoint.folder.join(RAW_WEIGHTS))?;
            self.trainer.weights.resume_stepped(raw.networks().clone());
        }
        Ok(())
    }

    /// The weights of the best epoch, which ended after this many steps. Checkpoints of earlier versions refer to the
    /// one that was written then.
    fn best_weights(&self, checkpoint: &Checkpoint, steps: usize) -> Result<A::Networks, TrainerError> {
        let amortizer = &self.trainer.amortizer;
        let file = checkpoint.folder.join(BEST_WEIGHTS);
        if steps == checkpoint.history.steps.len() {
            return Ok(amortizer.networks().clone());
        }
        if file.is_file() {
            return Ok(amortizer.clone().read_weights(file)?.networks().clone());
        }
        let folder = checkpoint.folder.with_file_name(CHECKPOINT.name(steps));
        verify(&folder).map_err(|error| match error {
            VerifyError::Damaged(reason) => TrainerError::DamagedCheckpoint { folder: folder.clone(), reason },
            VerifyError::Unreadable(error) => error.into(),
        })?;
        Ok(amortizer.clone().load_weights(&folder)?.networks().clone())
    }

    pub(super) fn write_checkpoint(&mut self, shared: &SharedSource<'_>) -> Result<(), TrainerError> {
        self.put_parameters_back()?;
        let trainer = &*self.trainer;
        let Some(checkpoints) = &trainer.checkpoints else { return Ok(()) };
        let state = self.updater.to_bytes(trainer.amortizer.networks());
        let state = state.map_err(|error| TrainerError::write(checkpoints.folder())(std::io::Error::other(error)))?;
        let step = trainer.position.runs[trainer.run].steps_done;
        let save = |folder: &Path| {
            match trainer.weights.average() {
                None => trainer.amortizer.save_unsealed(folder)?,
                Some(average) => {
                    let mut averaged = trainer.amortizer.clone();
                    averaged.set_networks(average.clone());
                    averaged.save_unsealed(folder)?;
                    trainer.amortizer.write_weights(folder.join(RAW_WEIGHTS))?;
                }
            }
            if let Some(best) = trainer.weights.best()
                && trainer.best_steps(trainer.run, usize::MAX) != Some(trainer.history.steps.len())
            {
                let mut amortizer = trainer.amortizer.clone();
                amortizer.set_networks(best.clone());
                amortizer.write_weights(folder.join(BEST_WEIGHTS))?;
            }
            if trainer.memory.0 > 0 {
                trainer.memory.1.save(.., folder, MEMORY)?;
            }
            shared.lock().save(step, folder)
        };
        let best = |steps| trainer.best_steps(trainer.run, steps);
        checkpoints.write(&trainer.position, &trainer.history, &state, best, save)?;
        self.trainer.checkpoint_is_due = false;
        Ok(())
    }
}
