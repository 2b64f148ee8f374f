//! Computes chains of layers and their gradients on the processor.

use super::{Chain, Join, RowLayer, Sum};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        activation::Activation,
        dense::{
            Stack,
            cpu::{Seen, StackTape},
        },
        pool::{Pool, SetRows},
    },
    plan::{Data, SummaryBlock, SummaryOperation},
    source::Source,
    vector::add,
};
use std::any::Any;

/// The rows of data sets on their way through layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The number of data sets.
    pub(crate) sets: usize,
    /// The rows of a data set: N and 1 of sets and series, H and W of images.
    pub(crate) axes: [usize; 2],
    /// Numbers of a row.
    pub(crate) width: usize,
    pub(crate) values: &'a [f32],
    /// 1 or 0 for each row: whether it is there; `None`: all are.
    pub(crate) mask: Option<&'a [f32]>,
}

impl<'a> Rows<'a> {
    /// The rows of data `[N, F]` or `[H, W, C]`, of which the mask is one of rows.
    ///
    /// # Panics
    /// If the data have another number of axes or of features.
    fn of_data(data: &Data<'a>, features: usize, mask: Option<&'a [f32]>) -> Self {
        let (axes, width) = match *data.shape {
            [n, width] => ([n, 1], width),
            [h, w, width] => ([h, w], width),
            ref shape => panic!("data sets of shape {shape:?}, not [N, F] or [H, W, C]"),
        };
        assert_eq!(width, features, "features of a row of data");
        Self { sets: data.sets, axes, width, values: data.values, mask }
    }

    /// The number of rows of a data set.
    pub(crate) fn n(&self) -> usize {
        self.axes[0] * self.axes[1]
    }

    /// The number of rows of all data sets.
    pub(crate) fn all(&self) -> usize {
        self.sets * self.n()
    }

    /// The values of one data set, and which of its rows are there.
    pub(crate) fn set(&self, set: usize) -> (&'a [f32], Option<&'a [f32]>) {
        let (n, len) = (self.n(), self.n() * self.width);
        (&self.values[set * len..(set + 1) * len], self.mask.map(|mask| &mask[set * n..(set + 1) * n]))
    }

    fn sets(self) -> SetRows<'a> {
        SetRows { values: self.values, n: self.n(), width: self.width, mask: self.mask }
    }
}

/// The output of a layer, and the values that its backward pass needs.
pub struct RowTape {
    pub(crate) output: Buffer,
    sets: usize,
    axes: [usize; 2],
    pub(crate) width: usize,
    mask: Option<Buffer>,
    inner: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for RowTape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowTape").field("axes", &self.axes).field("width", &self.width).finish_non_exhaustive()
    }
}

impl RowTape {
    /// The output of a layer that keeps the rows of x and changes their width.
    pub(crate) fn of_rows(x: Rows<'_>, output: Buffer, inner: impl Any + Send + Sync) -> Self {
        let width = output.len() / x.all();
        let mask = x.mask.map(Buffer::copy_of);
        Self { output, sets: x.sets, axes: x.axes, width, mask, inner: Box::new(inner) }
    }

    /// The output of a layer with as many rows of each data set, with a mask or all there.
    pub(crate) fn new(
        sets: usize,
        axes: [usize; 2],
        (output, mask): (Buffer, Option<Buffer>),
        inner: impl Any + Send + Sync,
    ) -> Self {
        let width = output.len() / (sets * axes[0] * axes[1]);
        Self { output, sets, axes, width, mask, inner: Box::new(inner) }
    }

    /// The output as the rows that the next layer sees.
    pub(crate) fn rows(&self) -> Rows<'_> {
        let Self { output, sets, axes, width, mask, .. } = self;
        Rows { sets: *sets, axes: *axes, width: *width, values: output, mask: mask.as_deref() }
    }

    /// The values that the layer kept.
    pub(crate) fn inner<T: 'static>(&self) -> &T {
        self.inner.downcast_ref().expect("a tape is used with the layer that wrote it")
    }
}

/// A layer from rows to rows.
pub(crate) trait RowOperation {
    /// The output, with the values that the backward pass needs.
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape;

    /// Writes the gradients of the operands, and returns that of x if it is wanted.
    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        pass: (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer>;
}

impl RowLayer {
    /// The one table of layers.
    fn operation(&self) -> &dyn RowOperation {
        match self {
            Self::Dense(layer) => layer,
            Self::Linear(layer) => layer,
            Self::Activation(layer) => layer,
            Self::Norm(layer) => layer,
            Self::Gated(layer) => layer,
            Self::Time(layer) => layer,
            Self::Attention(layer) => layer,
            Self::Convolution(layer) => layer,
            Self::AveragePool(layer) => layer,
            Self::Recurrent(layer) => layer,
            Self::Pool(layer) => layer,
            Self::Flatten => &Flatten,
            Self::Sum(layer) => layer,
            Self::Join(layer) => layer,
        }
    }
}

/// The tapes of layers, from the first.
pub(crate) fn forward(layers: &[RowLayer], x: Rows<'_>, arrays: Arrays<'_>) -> Vec<RowTape> {
    let mut tapes: Vec<RowTape> = Vec::with_capacity(layers.len());
    for layer in layers {
        let tape = layer.operation().forward(tapes.last().map_or(x, RowTape::rows), arrays);
        tapes.push(tape);
    }
    tapes
}

/// The gradient of x, if it is wanted, from that of the last layer's output.
pub(crate) fn backward(
    layers: &[RowLayer],
    x: Rows<'_>,
    tapes: &[RowTape],
    grad_output: Buffer,
    wants_x: bool,
    (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
) -> Option<Buffer> {
    let mut gradient = Some(grad_output);
    for (i, layer) in layers.iter().enumerate().rev() {
        let input = if i == 0 { x } else { tapes[i - 1].rows() };
        let grad = gradient.expect("the gradient of a layer's input, where layers come before");
        gradient = layer.operation().backward(input, &tapes[i], grad, i > 0 || wants_x, (arrays, &mut *gradients));
    }
    gradient.filter(|_| wants_x)
}

/// The rows that come out of layers.
pub(crate) fn output<'a>(x: Rows<'a>, tapes: &'a [RowTape]) -> Rows<'a> {
    tapes.last().map_or(x, RowTape::rows)
}

impl SummaryOperation for Chain {
    type Tape = Vec<RowTape>;

    fn summary_dim(&self) -> usize {
        self.summary_dim
    }

    fn forward_block(&self, block: &SummaryBlock<'_>) -> Vec<RowTape> {
        let tapes = self.with_rows(block, |rows| forward(&self.layers, rows, Arrays::new(block.operands)));
        let last = tapes.last().expect("a chain has layers");
        assert_eq!((last.axes, last.width), ([1, 1], self.summary_dim), "one row of each data set");
        tapes
    }

    fn output<'t>(&self, tape: &'t Vec<RowTape>) -> &'t [f32] {
        &tape.last().expect("a chain has layers").output
    }

    fn backward_block(
        &self,
        block: &SummaryBlock<'_>,
        tape: &Vec<RowTape>,
        grad_output: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>> {
        let pass = (Arrays::new(block.operands), gradients);
        let grad_output = Buffer::copy_of(grad_output);
        vec![self.with_rows(block, |rows| backward(&self.layers, rows, tape, grad_output, block.wanted[0], pass))]
    }
}

impl Chain {
    /// Calls `f` with the rows of a block. The mask of an image may be one of its rows, which becomes one of pixels.
    fn with_rows<R>(&self, block: &SummaryBlock<'_>, f: impl FnOnce(Rows<'_>) -> R) -> R {
        let [data] = block.inputs else { panic!("{} inputs where one is expected", block.inputs.len()) };
        let all = data.values.len() / self.features;
        let finer = data.mask.filter(|mask| mask.len() < all).map(|mask| {
            let each = all / mask.len();
            let mut finer = Buffer::new(all);
            finer.chunks_exact_mut(each).zip(mask).for_each(|(pixels, there)| pixels.fill(*there));
            finer
        });
        f(Rows::of_data(data, self.features, finer.as_deref().or(data.mask)))
    }
}

impl RowOperation for Stack {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let sources = [Source::new(x.values, x.width)];
        let tape = Stack::forward(self, &Seen { arrays, sources: &sources, rows: x.all() });
        RowTape::of_rows(x, Buffer::copy_of(tape.output()), tape)
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let sources = [Source::new(x.values, x.width)];
        let seen = Seen { arrays, sources: &sources, rows: x.all() };
        Stack::backward(self, &seen, tape.inner::<StackTape>(), grad_output, &[wants_x], gradients).remove(0)
    }
}

impl RowOperation for Activation {
    fn forward(&self, x: Rows<'_>, _: Arrays<'_>) -> RowTape {
        let mut output = Buffer::copy_of(x.values);
        self.apply(&mut output);
        RowTape::of_rows(x, output, ())
    }

    fn backward(
        &self,
        x: Rows<'_>,
        _: &RowTape,
        mut grad_output: Buffer,
        _: bool,
        _: (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        self.apply_backward(x.values, &mut grad_output);
        Some(grad_output)
    }
}

impl RowOperation for Pool {
    fn forward(&self, x: Rows<'_>, _: Arrays<'_>) -> RowTape {
        let mut pooled = Pool::forward(*self, x.sets());
        // The mean of no rows would be 0 / 0.
        if let Some(mask) = x.mask {
            for (pooled, there) in pooled.chunks_exact_mut(x.width).zip(mask.chunks_exact(x.n())) {
                if there.iter().all(|there| *there == 0.0) {
                    pooled.fill(0.0);
                }
            }
        }
        RowTape::new(x.sets, [1, 1], (pooled, None), ())
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        _: bool,
        _: (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        Some(Pool::backward(*self, x.sets(), &tape.output, &grad_output))
    }
}

/// See [`RowLayer::Flatten`].
struct Flatten;

impl RowOperation for Flatten {
    fn forward(&self, x: Rows<'_>, _: Arrays<'_>) -> RowTape {
        assert!(x.mask.is_none(), "all rows are there where they are put side by side");
        RowTape::new(x.sets, [1, 1], (Buffer::copy_of(x.values), None), ())
    }

    fn backward(
        &self,
        _: Rows<'_>,
        _: &RowTape,
        grad_output: Buffer,
        _: bool,
        _: (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        Some(grad_output)
    }
}

impl RowOperation for Sum {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let branches: Vec<_> = self.branches.iter().map(|layers| forward(layers, x, arrays)).collect();
        let first = output(x, &branches[0]);
        let mut sum = Buffer::copy_of(first.values);
        for tapes in &branches[1..] {
            let rows = output(x, tapes);
            assert_eq!((rows.axes, rows.width), (first.axes, first.width), "branches of one shape");
            add(&mut sum, rows.values);
        }
        RowTape::new(x.sets, first.axes, (sum, first.mask.map(Buffer::copy_of)), branches)
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let mut sum: Option<Buffer> = None;
        for (layers, tapes) in self.branches.iter().zip(tape.inner::<Vec<Vec<RowTape>>>()) {
            let grad = Buffer::copy_of(&grad_output);
            let grad_x = backward(layers, x, tapes, grad, wants_x, (arrays, &mut *gradients));
            match (&mut sum, grad_x) {
                (Some(sum), Some(grad_x)) => add(sum, &grad_x),
                (sum, grad_x) => *sum = grad_x,
            }
        }
        sum
    }
}

impl RowOperation for Join {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let branches: Vec<_> = self.branches.iter().map(|layers| forward(layers, x, arrays)).collect();
        let outputs: Vec<Rows<'_>> = branches.iter().map(|tapes| output(x, tapes)).collect();
        let first = outputs[0];
        assert!(outputs.iter().all(|rows| rows.axes == first.axes), "branches with as many rows");
        let width = outputs.iter().map(|rows| rows.width).sum();
        let mut joined = Buffer::new(first.all() * width);
        for (r, mut row) in joined.chunks_exact_mut(width).enumerate() {
            for rows in &outputs {
                let (own, rest) = row.split_at_mut(rows.width);
                own.copy_from_slice(&rows.values[r * rows.width..(r + 1) * rows.width]);
                row = rest;
            }
        }
        let mask = first.mask.map(Buffer::copy_of);
        let axes = first.axes;
        RowTape::new(x.sets, axes, (joined, mask), branches)
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let mut sum: Option<Buffer> = None;
        let mut first = 0;
        for (layers, tapes) in self.branches.iter().zip(tape.inner::<Vec<Vec<RowTape>>>()) {
            let rows = output(x, tapes);
            let mut grad = Buffer::new(rows.values.len());
            for (grad, joined) in grad.chunks_exact_mut(rows.width).zip(grad_output.chunks_exact(tape.width)) {
                grad.copy_from_slice(&joined[first..first + rows.width]);
            }
            first += rows.width;
            let grad_x = backward(layers, x, tapes, grad, wants_x, (arrays, &mut *gradients));
            match (&mut sum, grad_x) {
                (Some(sum), Some(grad_x)) => add(sum, &grad_x),
                (sum, grad_x) => *sum = grad_x,
            }
        }
        sum
    }
}
