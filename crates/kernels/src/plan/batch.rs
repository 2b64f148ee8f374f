//! Holds a batch for a training step as arrays: data, conditions, targets and weights.

use std::ops::Range;

/// A batch of B simulations for a loss.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The data x, in the order in which the summary takes its inputs; empty if there is no summary.
    pub inputs: Vec<Input>,
    /// The direct conditions, which follow the summary in the condition, `[B, C]`; may be empty.
    pub direct: Vec<f32>,
    /// The targets of the loss, `[B, D]`: parameters θ, for a density.
    pub targets: Vec<f32>,
    /// w, `[B]`; `None`: 1 for all.
    pub weights: Option<Vec<f32>>,
    /// The dropout masks of the loss network, `[B, W]`; empty without dropout.
    pub dropout: Vec<f32>,
}

/// Data sets of one shape.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// `[B, ...]`: the data sets one after the other.
    pub values: Vec<f32>,
    /// The shape of one data set: `[N, F]` of N observations of F features.
    pub shape: Vec<usize>,
    /// The mask of rows of each data set, 1 or 0: `[B, N]`, or `[B, G, N]` of sets of sets; `None` if all rows exist.
    /// Values of padding do not count, but must be finite.
    pub mask: Option<Vec<f32>>,
}

/// Some data sets of an [`Input`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Data<'a> {
    /// How many.
    pub sets: usize,
    /// Their values, one after the other.
    pub values: &'a [f32],
    /// The shape of one data set.
    pub shape: &'a [usize],
    /// The mask of rows of each data set; `None` if all rows exist.
    pub mask: Option<&'a [f32]>,
}

/// The widths of a batch's arrays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Widths {
    /// Of the direct conditions.
    pub(crate) direct: usize,
    pub(crate) targets: usize,
    pub(crate) dropout: usize,
}

impl Batch {
    /// The number of rows.
    ///
    /// # Panics
    /// If the arrays do not have these widths, or do not fit each other.
    pub(crate) fn check(&self, widths: Widths) -> usize {
        let Self { inputs, direct, targets, weights, dropout } = self;
        let sets = targets.len() / widths.targets;
        assert_eq!(targets.len(), sets * widths.targets, "targets of whole rows");
        inputs.iter().for_each(|input| input.check(sets));
        assert_eq!(direct.len(), sets * widths.direct, "direct conditions of each set");
        assert_eq!(dropout.len(), sets * widths.dropout, "masks of dropped units of each set");
        assert!(weights.as_ref().is_none_or(|weights| weights.len() == sets), "a weight for each set");
        sets
    }
}

impl Input {
    /// Numbers of a data set.
    pub(crate) fn set_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// # Panics
    /// If these are not values and a mask of so many data sets.
    pub(crate) fn check(&self, sets: usize) {
        let Self { values, shape, mask } = self;
        assert_eq!(values.len(), sets * self.set_len(), "data of shape {shape:?} for each of {sets} rows of targets");
        let Some(mask) = mask else { return };
        let mut rows = shape.iter().scan(sets, |rows, axis| {
            *rows *= axis;
            Some(*rows)
        });
        assert!(rows.any(|rows| rows == mask.len()), "a mask for each row of data of shape {shape:?}");
    }

    /// The data sets of a block.
    pub(crate) fn block(&self, sets: &Range<usize>) -> Data<'_> {
        Data::new(&self.values, &self.shape, self.mask.as_deref()).block(sets)
    }
}

impl<'a> Data<'a> {
    pub(crate) fn new(values: &'a [f32], shape: &'a [usize], mask: Option<&'a [f32]>) -> Self {
        Self { sets: values.len() / shape.iter().product::<usize>().max(1), values, shape, mask }
    }

    /// Some of them.
    pub(crate) fn block(self, sets: &Range<usize>) -> Self {
        let part = |values: &'a [f32]| {
            let len = values.len() / self.sets;
            &values[sets.start * len..sets.end * len]
        };
        Self { sets: sets.len(), values: part(self.values), shape: self.shape, mask: self.mask.map(part) }
    }
}
