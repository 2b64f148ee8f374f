//! Writes losses and learning rate as event files for TensorBoard.

use crate::{EpochSummary, StepLoss, TrainerError, checkpoint::make_writable};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};
use tensorboard_rs::summary_writer::SummaryWriter;

/// The event file of one trainer. If a run is resumed after a crash, the steps since the last checkpoint are written
/// again, and TensorBoard shows both.
pub(crate) struct Events {
    folder: PathBuf,
    writer: SummaryWriter,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Events {
    /// A new event file in this folder, which is made if need be.
    pub(crate) fn create(folder: PathBuf) -> Result<Self, TrainerError> {
        make_writable(&folder)?;
        let writer = guard(&folder, || SummaryWriter::new(&folder))?;
        Ok(Self { folder, writer })
    }

    pub(crate) fn step(&mut self, steps: usize, step: &StepLoss) -> Result<(), TrainerError> {
        let writer = &mut self.writer;
        guard(&self.folder, || {
            if let Some(loss) = step.loss {
                writer.add_scalar("train/loss", loss, steps);
            }
            writer.add_scalar("train/learning_rate", step.learning_rate, steps);
        })
    }

    pub(crate) fn epoch(&mut self, epoch: &EpochSummary) -> Result<(), TrainerError> {
        let writer = &mut self.writer;
        guard(&self.folder, || {
            if let Some(loss) = epoch.validation_loss {
                writer.add_scalar("validation/loss", loss, epoch.steps);
            }
            writer.flush();
        })
    }
}

/// The writer panics where it cannot write; that becomes an error.
fn guard<T>(folder: &Path, write: impl FnOnce() -> T) -> Result<T, TrainerError> {
    catch_unwind(AssertUnwindSafe(write))
        .map_err(|_| TrainerError::write(folder)(std::io::Error::other("the event writer failed")))
}
