//! Compares gradients of chains with finite differences, with gaps and padding, and checks that both change nothing.

use super::{Chain, Join, RowLayer, Sum};
use crate::{
    gradients::Gradients,
    op::{
        activation::Activation,
        attention::{Attention, Queries},
        average_pool::AveragePool,
        convolution::{Convolution, Windows},
        gated::Gated,
        linear::Linear,
        norm::RowNorm,
        pool::Pool,
        recurrent::{Cell, Recurrent},
        testing::{asked_for, assert_gradient, numbers, weighted},
        time::{RowTime, TimeEmbedding},
    },
    plan::{Data, SummaryBlock, SummaryOperation},
};

const SETS: usize = 3;
const N: usize = 5;
const F: usize = 2;
const WIDTH: usize = 4;

/// Operands that are made one after the other.
#[derive(Default)]
struct Made(Vec<Vec<f32>>);

impl Made {
    fn operand(&mut self, len: usize) -> usize {
        self.0.push(numbers(len, self.0.len() + 3));
        self.0.len() - 1
    }

    fn linear(&mut self, width: usize, units: usize, has_bias: bool) -> Linear {
        let weight = self.operand(width * units);
        Linear { weight, bias: has_bias.then(|| self.operand(units)), units }
    }

    fn norm(&mut self, centred: bool) -> RowNorm {
        let scale = self.operand(WIDTH);
        RowNorm { centred, scale, bias: centred.then(|| self.operand(WIDTH)), epsilon: 1e-3 }
    }

    fn gated(&mut self) -> RowLayer {
        let [gate, up] = [(); 2].map(|()| self.linear(WIDTH, 6, false));
        RowLayer::Gated(Gated { gate, up, down: self.linear(6, WIDTH, false), activation: Activation::Silu })
    }

    fn attention(&mut self, queries: Queries, keys: Vec<RowLayer>, has_bias: bool) -> RowLayer {
        let maps = [6, 6, 8].map(|units| self.linear(WIDTH, units, has_bias));
        let maps = [maps[0], maps[1], maps[2], self.linear(8, WIDTH, has_bias)];
        RowLayer::Attention(Attention { queries, keys, query_norm: Some(self.norm(has_bias)), maps, heads: 2 })
    }

    fn convolution(&mut self, width: usize, kernel: [usize; 2], windows: Windows) -> RowLayer {
        let linear = self.linear(kernel[0] * kernel[1] * width, WIDTH, true);
        RowLayer::Convolution(Convolution { linear, kernel, windows })
    }

    /// Branches that read rows in both directions, to states of 3 units.
    fn both_directions(&mut self, cell: Cell) -> Vec<Vec<RowLayer>> {
        let columns = cell.num_gates() * 3;
        let mut branch = |reversed| {
            let (input, state) = (self.linear(WIDTH, columns, true), self.linear(3, columns, cell == Cell::Gru));
            vec![RowLayer::Recurrent(Recurrent { cell, input, state, units: 3, reversed })]
        };
        vec![branch(false), branch(true)]
    }

    fn learned(&mut self, number: usize) -> Queries {
        let operand = self.operand(number * 3);
        let layers = vec![RowLayer::Linear(self.linear(3, WIDTH, false))];
        Queries::Learned { operand, number, layers }
    }
}

/// Chains with each kind of layer, and their operands.
fn chains() -> Vec<(&'static str, Chain, Made)> {
    let chain = |layers, summary_dim| Chain { features: F, summary_dim, layers };
    let mut all = Vec::new();

    let mut made = Made::default();
    let embedding = RowLayer::Linear(made.linear(F, WIDTH, true));
    let keys = vec![RowLayer::Norm(made.norm(false))];
    let attention = made.attention(Queries::Rows(Vec::new()), keys, false);
    let feed = RowLayer::residual(vec![RowLayer::Norm(made.norm(true)), made.gated()]);
    let layers = vec![embedding, attention, feed, RowLayer::Pool(Pool::Mean)];
    all.push(("self attention, mean", chain(layers, WIDTH), made));

    let mut made = Made::default();
    let embedding = RowLayer::Linear(made.linear(F, WIDTH, false));
    let seeds = made.learned(3);
    let induced = made.attention(seeds, Vec::new(), true);
    let block = made.attention(Queries::Rows(Vec::new()), vec![induced], true);
    let seeds = made.learned(2);
    let norm = RowLayer::Norm(made.norm(false));
    let pooled = made.attention(seeds, vec![norm], false);
    let output = RowLayer::Linear(made.linear(2 * WIDTH, 3, true));
    let layers = vec![embedding, block, pooled, RowLayer::Flatten, output];
    all.push(("induced attention, pooling by attention", chain(layers, 3), made));

    for time in [RowTime::Index(0.3), RowTime::Column(1)] {
        let mut made = Made::default();
        let (factors, offsets) = (made.operand(3), made.operand(3));
        let embedding = RowLayer::Time(TimeEmbedding { factors, offsets, number: 3, time });
        let linear = RowLayer::Linear(made.linear(F + 3, WIDTH, true));
        let branch = vec![RowLayer::Activation(Activation::Tanh), RowLayer::Linear(made.linear(WIDTH, WIDTH, true))];
        let layers = vec![embedding, linear, RowLayer::residual(branch), RowLayer::Pool(Pool::Mean)];
        all.push(("time", chain(layers, WIDTH), made));
    }

    for (cell, name) in [(Cell::Gru, "gru, skip path"), (Cell::Lstm, "lstm, skip path")] {
        let mut made = Made::default();
        let first = made.convolution(F, [3, 1], Windows::Around);
        let mut branches = made.both_directions(cell);
        let strided = made.convolution(WIDTH, [2, 1], Windows::Apart);
        branches.push(vec![strided, RowLayer::Sum(Sum { branches: made.both_directions(cell) })]);
        let output = RowLayer::Linear(made.linear(3, 2, true));
        let layers = vec![first, RowLayer::Activation(Activation::Mish), RowLayer::Sum(Sum { branches }), output];
        all.push((name, chain(layers, 2), made));
    }

    for (windows, name) in [
        (Windows::Around, "around"),
        (Windows::Periodic, "periodic"),
        (Windows::Before, "before"),
        (Windows::Apart, "apart"),
    ] {
        let mut made = Made::default();
        let first = made.convolution(F, [1, 1], Windows::Around);
        let second = made.convolution(WIDTH, [3, 1], windows);
        let layers = vec![first, RowLayer::Activation(Activation::Mish), second, RowLayer::Pool(Pool::Mean)];
        all.push((name, chain(layers, WIDTH), made));
    }
    all
}

/// All rows; three, four and one of five rows, with a gap.
fn masks() -> [Option<Vec<f32>>; 2] {
    let mask = [[1.0, 1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0, 0.0]];
    [None, Some(mask.concat())]
}

/// Branches of two widths side by side.
fn joined() -> (Chain, Made) {
    let mut made = Made::default();
    let branches = [3, 1].map(|units| {
        let linear = RowLayer::Linear(made.linear(F, units, true));
        vec![linear, RowLayer::Activation(Activation::Tanh)]
    });
    let layers = vec![RowLayer::Join(Join { branches: branches.to_vec() }), RowLayer::Pool(Pool::Mean)];
    (Chain { features: F, summary_dim: 4, layers }, made)
}

/// Residual convolutions of images of 3 × 5 pixels, averages of squares, convolutions of these.
fn of_images(windows: Windows) -> (Chain, Made) {
    let mut made = Made::default();
    let [skip, first] = [1, 3].map(|k| made.convolution(F, [k, k], windows));
    let [second, last] = [(); 2].map(|()| made.convolution(WIDTH, [3, 3], windows));
    let (skip, branch) = (vec![skip], vec![first, RowLayer::Activation(Activation::Mish), second]);
    let layers = vec![
        RowLayer::Sum(Sum { branches: vec![skip, branch] }),
        RowLayer::AveragePool(AveragePool),
        last,
        RowLayer::Pool(Pool::Mean),
    ];
    (Chain { features: F, summary_dim: WIDTH, layers }, made)
}

fn summaries(
    (chain, shape): (&Chain, &[usize]),
    operands: &[Vec<f32>],
    data: &[f32],
    mask: Option<&[f32]>,
) -> Vec<f32> {
    let operands: Vec<&[f32]> = operands.iter().map(|operand| &operand[..]).collect();
    let inputs = [Data::new(data, shape, mask)];
    let block = SummaryBlock { operands: &operands, inputs: &inputs, wanted: &[false] };
    let tape = chain.forward_block(&block);
    SummaryOperation::output(chain, &tape).to_vec()
}

/// Panics unless all gradients are those of finite differences.
fn check_gradients(name: &str, (chain, shape): (&Chain, &[usize]), operands: &[Vec<f32>], mask: Option<&[f32]>) {
    let data = numbers(SETS * shape.iter().product::<usize>(), 50);
    let grad_output = numbers(SETS * chain.summary_dim, 60);
    let views: Vec<&[f32]> = operands.iter().map(|operand| &operand[..]).collect();
    let inputs = [Data::new(&data, shape, mask)];
    let block = SummaryBlock { operands: &views, inputs: &inputs, wanted: &[true] };
    let tape = chain.forward_block(&block);
    let wanted = vec![true; views.len()];
    let mut gradients = Gradients::new(&views, &wanted);
    let grad_data = chain.backward_block(&block, &tape, &grad_output, &mut gradients).remove(0);
    let loss =
        |operands: &[Vec<f32>], data: &[f32]| weighted(&summaries((chain, shape), operands, data, mask), &grad_output);
    let grad_data = grad_data.expect("a gradient that was asked for");
    assert_gradient(&format!("{name}, data"), &grad_data, &data, |data| loss(operands, data));
    for (place, gradient) in gradients.into_values().into_iter().enumerate() {
        let gradient = gradient.expect("a gradient that was asked for");
        assert_gradient(&format!("{name}, operand {place}"), &gradient, &operands[place], |values| {
            let mut operands = operands.to_vec();
            operands[place] = values.to_vec();
            loss(&operands, &data)
        });
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for (name, chain, Made(operands)) in chains() {
        for mask in masks() {
            check_gradients(name, (&chain, &[N, F]), &operands, mask.as_deref());
        }
    }
    let (chain, Made(operands)) = joined();
    check_gradients("branches side by side", (&chain, &[N, F]), &operands, None);
    for (windows, name) in [(Windows::Around, "images"), (Windows::Periodic, "periodic images")] {
        let (chain, Made(operands)) = of_images(windows);
        for mask in [None, Some(image_mask())] {
            check_gradients(name, (&chain, &[3, 5, F]), &operands, mask.as_deref());
        }
    }
}

/// Images of 3 × 5 pixels, of which the last has a square of pixels that are not there.
fn image_mask() -> Vec<f32> {
    let mut mask = vec![1.0; SETS * 15];
    [1, 30, 31, 35, 36, 40].into_iter().for_each(|pixel| mask[pixel] = 0.0);
    mask
}

/// Panics if what stands in rows that are not there matters, or what stands in the others does not.
fn check_mask(name: &str, (chain, shape): (&Chain, &[usize]), operands: &[Vec<f32>], mask: &[f32]) {
    let data = numbers(SETS * shape.iter().product::<usize>(), 50);
    let there = summaries((chain, shape), operands, &data, Some(mask));
    let mut changed = data.clone();
    for (row, there) in changed.chunks_exact_mut(F).zip(mask) {
        if *there == 0.0 {
            row.fill(7.0);
        }
    }
    assert_eq!(summaries((chain, shape), operands, &changed, Some(mask)), there, "{name}");
    let [all, changed] = [&data, &changed].map(|data| summaries((chain, shape), operands, data, None));
    assert_ne!(all, changed, "{name}");
}

#[test]
fn rows_that_are_not_there_change_nothing() {
    let [_, mask] = masks();
    let mask = mask.expect("the second has one");
    for (name, chain, Made(operands)) in chains() {
        check_mask(name, (&chain, &[N, F]), &operands, &mask);
    }
    let (chain, Made(operands)) = of_images(Windows::Around);
    check_mask("images", (&chain, &[3, 5, F]), &operands, &image_mask());
}

/// Draws must not depend on what is summarised beside them.
#[test]
fn data_sets_do_not_depend_on_their_neighbours() {
    let [_, mask] = masks();
    let images = of_images(Windows::Periodic);
    let cases = chains().into_iter().map(|(name, chain, made)| (name, vec![N, F], chain, made, mask.clone()));
    let images = ("images", vec![3, 5, F], images.0, images.1, Some(image_mask()));
    for (name, shape, chain, Made(operands), mask) in cases.chain([images]) {
        let len: usize = shape.iter().product();
        let data = numbers(SETS * len, 50);
        for mask in [None, mask] {
            let together = summaries((&chain, &shape), &operands, &data, mask.as_deref());
            let mut alone = Vec::new();
            for set in 0..SETS {
                let mask = mask.as_ref().map(|mask| &mask[set * len / F..(set + 1) * len / F]);
                alone.extend(summaries((&chain, &shape), &operands, &data[set * len..(set + 1) * len], mask));
            }
            assert_eq!(alone, together, "{name}");
        }
    }
}

/// The summary of a data set without rows is a number, and so are gradients; those of its data are 0. Attention needs
/// rows.
#[test]
fn data_sets_without_rows_stay_finite() {
    let images = of_images(Windows::Around);
    let cases = chains().into_iter().map(|(name, chain, made)| (name, vec![N, F], chain, made));
    let cases = cases.filter(|(name, ..)| !name.contains("attention"));
    for (name, shape, chain, Made(operands)) in cases.chain([("images", vec![3, 5, F], images.0, images.1)]) {
        let len: usize = shape.iter().product();
        let mut mask = vec![1.0; SETS * len / F];
        mask[len / F..2 * len / F].fill(0.0);
        let views: Vec<&[f32]> = operands.iter().map(|operand| &operand[..]).collect();
        let data = numbers(SETS * len, 50);
        let inputs = [Data::new(&data, &shape, Some(&mask))];
        let block = SummaryBlock { operands: &views, inputs: &inputs, wanted: &[true] };
        let tape = chain.forward_block(&block);
        let wanted = vec![true; views.len()];
        let mut gradients = Gradients::new(&views, &wanted);
        let grad_output = numbers(SETS * chain.summary_dim, 60);
        let grad_data = chain.backward_block(&block, &tape, &grad_output, &mut gradients).remove(0);
        let is_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        assert!(is_finite(SummaryOperation::output(&chain, &tape)), "{name}: summaries");
        assert!(asked_for(&grad_data)[len..2 * len].iter().all(|grad| *grad == 0.0), "{name}: gradients of no rows");
        let values = gradients.into_values();
        assert!(values.iter().chain([&grad_data]).all(|grad| is_finite(asked_for(grad))), "{name}: gradients");
    }
}
