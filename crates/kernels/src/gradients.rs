//! Collects the gradients of an operation's operands.

use crate::{
    blocks::on_each,
    memory::Buffer,
    vector::{add, vectorised},
};

/// Gradients of the parameters among the operands, from one block of rows. Each parameter is used once, so that its gradient is
/// written and not added to.
pub(crate) struct Gradients<'a> {
    operands: &'a [&'a [f32]],
    wanted: &'a [bool],
    values: Vec<Option<Buffer>>,
}

impl<'a> Gradients<'a> {
    pub(crate) fn new(operands: &'a [&'a [f32]], wanted: &'a [bool]) -> Self {
        Self { operands, wanted, values: operands.iter().map(|_| None).collect() }
    }

    /// Where the gradient of an operand goes, if it is wanted. Several layers may write different rows of it.
    pub(crate) fn of(&mut self, operand: usize) -> Option<&mut Buffer> {
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

/// The sum over blocks, in their order, whatever threads they came from.
pub(crate) fn sum_blocks(blocks: Vec<Vec<Option<Buffer>>>) -> Vec<Option<Vec<f32>>> {
    let sum = |operand: usize| {
        let mut terms = blocks.iter().filter_map(|block| block[operand].as_deref());
        let (first, second) = (terms.next()?, terms.next());
        let mut sum: Vec<f32> = match second {
            // The usual two, in one pass over memory.
            Some(second) => vectorised(|| first.iter().zip(second).map(|(a, b)| a + b).collect()),
            None => first.to_vec(),
        };
        terms.for_each(|term| add(&mut sum, term));
        Some(sum)
    };
    let operands = blocks[0].len();
    let parts: Vec<_> = (0..operands).step_by(16).map(|first| first..(first + 16).min(operands)).collect();
    on_each(&parts, |part| part.map(sum).collect::<Vec<_>>()).into_iter().flatten().collect()
}
