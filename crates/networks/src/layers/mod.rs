//! Has the layers that summary networks share.

mod attention;
mod block;
mod convolution;
mod feed_forward;
mod image;
mod mask;
mod norm;
mod recurrent;
mod time;

pub(crate) use attention::{KeyMask, MultiHeadAttention};
pub use block::{AttentionArchitecture, PostNormConfig};
pub(crate) use block::{AttentionBlock, AttentionPooling, BlockConfig, InducedBlock};
pub(crate) use convolution::{Alignment, SeriesConvolution};
pub(crate) use feed_forward::FeedForward;
pub(crate) use image::{ImageConvolution, average_pool, mean_over_pixels};
pub(crate) use mask::with_a_row;
pub(crate) use norm::{LayerNorm, RmsNorm};
pub(crate) use recurrent::Recurrent;
pub use recurrent::{Direction, RecurrentCell};
pub(crate) use time::Time2Vec;
