//! Joins the errors of all topics into one.

#[cfg(feature = "plots")]
use crate::FigureError;
use crate::{InputError, LimitError, LossError, ModelError, PairPlotError, RankError, ReportError, TwoSampleError};
use bayesburn_core::SettingError;
use thiserror::Error;

/// The result of a check.
pub type Result<T, E = DiagnosticsError> = std::result::Result<T, E>;

/// Any error of this crate: what functions return in which several topics meet, and what those of one topic convert to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiagnosticsError {
    /// Draws, truths or other arrays that cannot be judged.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A setting outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Ranks, or quantities to be ranked.
    #[error(transparent)]
    Ranks(#[from] RankError),
    /// Losses of trainings.
    #[error(transparent)]
    Losses(#[from] LossError),
    /// Probabilities of models.
    #[error(transparent)]
    Models(#[from] ModelError),
    /// Two sample sets.
    #[error(transparent)]
    TwoSample(#[from] TwoSampleError),
    /// A limit of the suite.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A report of the suite.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A pair plot.
    #[error(transparent)]
    PairPlot(#[from] PairPlotError),
    /// A figure's file.
    #[cfg(feature = "plots")]
    #[error(transparent)]
    Figure(#[from] FigureError),
}
