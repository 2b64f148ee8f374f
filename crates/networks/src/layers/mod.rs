//! Has the layers that summary networks share.

mod convolution;
mod recurrent;

pub(crate) use convolution::{Alignment, SeriesConvolution};
pub(crate) use recurrent::Recurrent;
pub use recurrent::{Direction, RecurrentCell};
