//! Writes losses and learning rate as event files for TensorBoard.

use crate::TrainerError;
use std::{fmt, path::Path};
use tensorboard_rs::summary_writer::SummaryWriter;

/// The event file of one trainer.
pub(crate) struct Events(SummaryWriter);

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// A new event file in this folder, which is made if need be.
    pub(crate) fn create(folder: &Path) -> Result<Self, TrainerError> {
        // The writer panics where it cannot write, so that is found out before.
        crate::checkpoint::make_writable(folder)?;
        Ok(Self(SummaryWriter::new(folder)))
    }

    pub(crate) fn step(&mut self, step: usize, loss: f32, learning_rate: f64) {
        self.0.add_scalar("train/loss", loss, step);
        self.0.add_scalar("train/learning_rate", learning_rate as f32, step);
    }

    pub(crate) fn epoch(&mut self, step: usize, validation_loss: Option<f32>) {
        if let Some(loss) = validation_loss {
            self.0.add_scalar("validation/loss", loss, step);
        }
        self.0.flush();
    }
}
