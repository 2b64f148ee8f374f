//! Compares gradients of stacks with finite differences, and checks which inputs rows depend on.

use super::{Layer, Stack, Weight, cpu::Seen};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays, Dropout,
        activation::Activation,
        testing::{asked_for, assert_gradient, numbers, weighted},
    },
    source::Source,
};

const ROWS: usize = 6;

/// Two inputs of 2 and 3 numbers, the second of which is shared by three rows; layers of 5, 5 and 4 units, of which the
/// second has a skip and the first drops units; a shortcut.
fn stack(activation: Activation) -> (Stack, Vec<Vec<f32>>) {
    let mut operands = Vec::new();
    let mut push = |len: usize| {
        operands.push(numbers(len, operands.len() + 1));
        operands.len() - 1
    };
    let mut layer = |weight: usize, activation, skip, dropout| {
        let weights = vec![Weight { operand: weight, first_row: 0 }];
        Layer { weights, bias: push(5), units: 5, activation, skip, dropout }
    };
    let joint = 3;
    let mut first = layer(joint, Some(activation), false, Some(1));
    first.weights.push(Weight { operand: joint, first_row: 2 });
    let second = layer(4, Some(activation), true, None);
    let last = layer(5, None, false, None);
    push(5 * 5);
    push(5 * 5);
    push(5 * 5);
    let shortcut = push(5 * 5);
    let shortcut = [0, 2].map(|first_row| Weight { operand: shortcut, first_row }).to_vec();
    (Stack { layers: vec![first, second, last], shortcut }, operands)
}

/// Operands, the two inputs, and masks of dropped units.
struct Arguments {
    operands: Vec<Vec<f32>>,
    own: Vec<f32>,
    shared: Vec<f32>,
    masks: Vec<f32>,
}

impl Arguments {
    fn new(operands: &[Vec<f32>]) -> Self {
        let masks = numbers(ROWS * 7, 30).iter().map(|v| if *v < -0.5 { 0.0 } else { 1.25 }).collect();
        Self { operands: operands.to_vec(), own: numbers(ROWS * 2, 20), shared: numbers(2 * 3, 21), masks }
    }

    fn with<R>(&self, use_seen: impl FnOnce(&Seen<'_>) -> R) -> R {
        let operands: Vec<&[f32]> = self.operands.iter().map(|operand| &operand[..]).collect();
        let dropout = Dropout { values: &self.masks, width: 7 };
        let sources = [Source::new(&self.own, 2), Source::repeated(&self.shared, 3, 3, 0)];
        use_seen(&Seen { arrays: Arrays { operands: &operands, dropout }, sources: &sources, rows: ROWS })
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    use Activation::{Elu, Mish, Silu, Softplus, Tanh};
    // Not max(x, 0), which has a kink that differences may straddle; it is exact in the laws against compositions.
    for activation in [Silu, Elu, Tanh, Softplus, Mish] {
        let (stack, operands) = stack(activation);
        let arguments = Arguments::new(&operands);
        let weights = numbers(ROWS * 5, 40);
        let value = |arguments: &Arguments| arguments.with(|seen| weighted(stack.forward(seen).output(), &weights));
        let (of_operands, of_sources) = arguments.with(|seen| {
            let wanted = vec![true; operands.len()];
            let mut gradients = Gradients::new(seen.arrays.operands, &wanted);
            let tape = stack.forward(seen);
            let of_sources = stack.backward(seen, &tape, Buffer::copy_of(&weights), &[true, true], &mut gradients);
            (gradients.into_values(), of_sources)
        });
        for (place, gradient) in of_operands.iter().enumerate() {
            assert_gradient(&format!("{activation:?}, operand {place}"), asked_for(gradient), &operands[place], |x| {
                let mut moved = Arguments::new(&operands);
                moved.operands[place] = x.to_vec();
                value(&moved)
            });
        }
        let what = format!("{activation:?}, own input");
        assert_gradient(&what, asked_for(&of_sources[0]), &arguments.own, |x| {
            value(&Arguments { own: x.to_vec(), ..Arguments::new(&operands) })
        });
        let what = format!("{activation:?}, shared input");
        assert_gradient(&what, asked_for(&of_sources[1]), &arguments.shared, |x| {
            value(&Arguments { shared: x.to_vec(), ..Arguments::new(&operands) })
        });
    }
}

#[test]
fn shared_rows_give_the_bits_of_rows_that_are_not_shared() {
    let (stack, operands) = stack(Activation::Relu);
    let arguments = Arguments::new(&operands);
    let shared = arguments.with(|seen| stack.forward(seen).output().to_vec());
    let repeated: Vec<f32> = arguments.shared.chunks_exact(3).flat_map(|row| [row, row, row].concat()).collect();
    let own = arguments.with(|seen| {
        let sources = [seen.sources[0], Source::new(&repeated, 3)];
        stack.forward(&Seen { sources: &sources, ..*seen }).output().to_vec()
    });
    assert_eq!(shared, own);
}
