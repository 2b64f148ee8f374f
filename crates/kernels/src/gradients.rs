//! Collects the gradients of an operation's operands.

use crate::{
    blocks::on_each,
    memory::Buffer,
    vector::{add, vectorised},
};
use std::ops::Range;

/// Gradients of the operands of an operation, from one block of rows. Each operand is used once, so its gradient is
/// written, not accumulated.
#[derive(Debug)]
pub struct Gradients<'a> {
    operands: &'a [&'a [f32]],
    wanted: &'a [bool],
    values: Vec<Option<Buffer>>,
}

impl<'a> Gradients<'a> {
    pub(crate) fn new(operands: &'a [&'a [f32]], wanted: &'a [bool]) -> Self {
        Self { operands, wanted, values: operands.iter().map(|_| None).collect() }
    }

    /// The buffer for the gradient of an operand, if it is wanted: as long as the operand, with arbitrary initial
    /// values. Several layers may write different rows; together they must write all of it.
    pub fn of(&mut self, operand: usize) -> Option<&mut [f32]> {
        if !self.wanted[operand] {
            return None;
        }
        let len = self.operands[operand].len();
        Some(self.values[operand].get_or_insert_with(|| Buffer::new(len)))
    }

    pub(crate) fn into_values(self) -> Vec<Option<Buffer>> {
        self.values
    }
}

/// The sum over blocks in their order, independent of threads.
pub(crate) fn sum_blocks(blocks: Vec<Vec<Option<Buffer>>>) -> Vec<Option<Vec<f32>>> {
    let sum = |operand: usize| {
        let mut sum = vec![0.0; blocks.iter().find_map(|block| block[operand].as_deref())?.len()];
        write_sum(&mut sum, blocks.iter().filter_map(|block| block[operand].as_deref()));
        Some(sum)
    };
    on_each(&groups(blocks[0].len()), |group| group.map(sum).collect::<Vec<_>>()).into_iter().flatten().collect()
}

/// The sum of these terms, in their order; nothing is written if there are none.
pub(crate) fn write_sum<'a>(sum: &mut [f32], mut terms: impl Iterator<Item = &'a [f32]>) {
    let Some(first) = terms.next() else { return };
    match terms.next() {
        // The usual two, in one pass over memory.
        Some(second) => vectorised!(for (sum, (a, b)) in sum.iter_mut().zip(first.iter().zip(second)) {
            *sum = a + b;
        }),
        None => sum.copy_from_slice(first),
    }
    terms.for_each(|term| add(sum, term));
}

/// Gradients in groups that are large enough for a thread.
pub(crate) fn groups(gradients: usize) -> Vec<Range<usize>> {
    (0..gradients).step_by(16).map(|first| first..(first + 16).min(gradients)).collect()
}
