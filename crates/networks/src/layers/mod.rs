//! Has the layers that summary networks share.

mod convolution;
mod image;
mod mask;
mod recurrent;

pub(crate) use convolution::{Alignment, SeriesConvolution};
pub(crate) use image::{ChannelNorm, ImageConvolution, average_pool, mean_over_pixels};
pub(crate) use mask::with_a_row;
pub(crate) use recurrent::Recurrent;
pub use recurrent::{Direction, RecurrentCell};
