//! Says what is wrong with ranks, or with what is ranked.

use crate::InputError;
use bayesburn_core::SettingError;
use thiserror::Error;

/// Ranks, or quantities to be ranked, that cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RankError {
    /// Draws and truths that cannot be judged.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A setting outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A rank larger than the number of draws.
    #[error(
        "rank {got} for data set {data_set}, parameter {parameter}, but {num_draws} draws: \
         pass ranks in 0..={num_draws}"
    )]
    Rank {
        /// The row, counted from 0.
        data_set: usize,
        /// The column, counted from 0.
        parameter: usize,
        /// The number of draws, and the largest possible rank.
        num_draws: usize,
        /// The rank passed.
        got: u32,
    },
    /// A test quantity that is NaN or ∞, and so has no rank.
    #[error(
        "`{name}` of {} is {value} for data set {data_set}: a test quantity must be finite or −∞ for the truth and \
         every draw, also for draws far from the truth",
        draw.map_or("the truth".to_owned(), |draw| format!("draw {draw}"))
    )]
    TestQuantity {
        /// Its name.
        name: String,
        /// The draw, counted from 0; none if it is the truth's.
        draw: Option<usize>,
        /// The data set, counted from 0.
        data_set: usize,
        /// NaN or ∞.
        value: f64,
    },
    /// Reference points that do not belong to the truths.
    #[error("references of shape {got:?}, but the truths have {expected:?}: pass one point for each data set")]
    References {
        /// The shape of the truths.
        expected: [usize; 2],
        /// The shape of the references.
        got: [usize; 2],
    },
}
