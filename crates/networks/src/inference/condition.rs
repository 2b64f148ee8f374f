//! Holds what an inference network is conditioned on.

use crate::repeated;
use burn::tensor::Tensor;

/// What an inference network is conditioned on, for M data sets: their summaries `[M, S]` and, beside them, the direct
/// conditions `[M, C]`, if there are any.
#[derive(Debug, Clone)]
pub struct Condition {
    summaries: Tensor<2>,
    direct: Option<Tensor<2>>,
}

/// The widths of a [`Condition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConditionWidths {
    /// S, the length of a summary.
    pub summaries: usize,
    /// C, the number of direct conditions.
    pub direct: usize,
}

impl Condition {
    /// Summaries alone.
    #[must_use]
    pub fn new(summaries: Tensor<2>) -> Self {
        Self { summaries, direct: None }
    }

    /// With direct conditions beside the summaries, or without.
    #[must_use]
    pub fn with_direct(self, direct: Option<Tensor<2>>) -> Self {
        Self { direct, ..self }
    }

    /// The summaries, `[M, S]`.
    #[must_use]
    pub fn summaries(&self) -> &Tensor<2> {
        &self.summaries
    }

    /// The direct conditions, `[M, C]`.
    #[must_use]
    pub fn direct(&self) -> Option<&Tensor<2>> {
        self.direct.as_ref()
    }

    /// Summaries and direct conditions side by side, `[M, S + C]`.
    #[must_use]
    pub fn joined(&self) -> Tensor<2> {
        match &self.direct {
            Some(direct) => Tensor::cat(vec![self.summaries.clone(), direct.clone()], 1),
            None => self.summaries.clone(),
        }
    }

    /// The same for each of B rows of targets, of which B / M belong to each data set: `[B, S + C]`.
    ///
    /// # Panics
    /// If M does not divide B.
    #[must_use]
    pub fn joined_for(&self, rows: usize) -> Tensor<2> {
        repeated(self.joined(), rows)
    }
}

impl ConditionWidths {
    /// Of summaries alone.
    #[must_use]
    pub fn of_summaries(summaries: usize) -> Self {
        Self { summaries, direct: 0 }
    }

    /// The width of [`Condition::joined`], S + C.
    #[must_use]
    pub fn joined(self) -> usize {
        self.summaries + self.direct
    }
}
