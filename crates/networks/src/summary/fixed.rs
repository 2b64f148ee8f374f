//! Says which fixed statistics of an input go beside the learned summaries.

use bayesburn_core::InputShape;
use burn::config::Config;

/// Fixed statistics of one input, such as means and logarithms of variances, which a posterior computes from the data
/// and gives to its regression and its inference network beside the learned summaries.
///
/// What they tell of the parameters is known before anything is trained. They never make a network's own summaries
/// worse; whether the order of rows counts is known to the network alone, which says so by
/// [`SummaryConfig::statistics`](crate::SummaryConfig::statistics).
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum FixedStatistics {
    /// None.
    None,
    /// The values of a vector `[F]`.
    OfVectors,
    /// Of rows in any order: means, logarithms of variances, and correlations of features.
    OfSets,
    /// Of rows `[T, F]` in the order of time: those of sets, autocorrelations, differences and trends.
    OfSeries,
    /// Of pixels `[H, W, C]` at their places: those of sets, differences of neighbours, and means of a coarse grid.
    OfImages,
}

impl FixedStatistics {
    /// What is right for every network that takes data of this shape: the values of a vector, and statistics of any
    /// other input that do not depend on the order of its rows.
    #[must_use]
    pub fn for_shape(input: &InputShape) -> Self {
        match input.rank() {
            0 | 1 => Self::OfVectors,
            _ => Self::OfSets,
        }
    }
}
