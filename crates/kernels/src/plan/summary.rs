//! Defines the summary network of a plan, and makes one an operation of Burn's graph.

use super::{Data, Part};
use crate::{
    blocks::{blocks, on_each},
    gradients::{Gradients, sum_blocks},
    memory::Buffer,
    operation::{Kernel, Operands, run},
};
use burn::tensor::Tensor;
use std::{any::Any, fmt, ops::Range, sync::Arc};

/// A network from data sets to summaries, as an operation on a block of data sets.
///
/// # To implement this
/// Compute the summaries of a block, with a tape for [`SummaryOperation::backward_block`], and the gradients. Each row
/// of summaries must depend only on its own data set. A [`Plan`](crate::Plan) runs blocks on all cores and adds up
/// their gradients, and [`Part::run`] makes the same code an operation of Burn's graph.
pub trait SummaryOperation: fmt::Debug + Send + Sync + 'static {
    /// The values of a forward pass that the backward pass needs.
    type Tape: fmt::Debug + Send + Sync + 'static;

    /// S, the length of a summary.
    fn summary_dim(&self) -> usize;

    /// Computes summaries from data.
    ///
    /// # Panics
    /// If the data have another shape than the network takes.
    fn forward_block(&self, block: &SummaryBlock<'_>) -> Self::Tape;

    /// The summaries of a block, `[M, S]`.
    fn output<'t>(&self, tape: &'t Self::Tape) -> &'t [f32];

    /// Writes the gradients of the operands, from those of the summaries, and returns that of each input which is
    /// wanted.
    fn backward_block(
        &self,
        block: &SummaryBlock<'_>,
        tape: &Self::Tape,
        grad_output: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>>;

    /// The network on a GPU; without it, a plan runs only on the processor.
    #[cfg(feature = "gpu")]
    fn on_gpu(&self) -> Option<&dyn super::gpu::GpuSummary> {
        None
    }
}

/// Data sets that go through a summary network together.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SummaryBlock<'a> {
    /// The network's operands, by their places.
    pub operands: &'a [&'a [f32]],
    /// The inputs, with the same number of data sets each.
    pub inputs: &'a [Data<'a>],
    /// For which inputs gradients are wanted; training wants none.
    pub wanted: &'a [bool],
}

/// A summary network of any kind.
#[derive(Debug, Clone)]
pub struct Summary(Arc<dyn AnySummary>);

type AnyTape = Box<dyn Any + Send + Sync>;

/// [`SummaryOperation`] with tapes of any type.
trait AnySummary: fmt::Debug + Send + Sync {
    fn summary_dim(&self) -> usize;

    fn forward_block(&self, block: &SummaryBlock<'_>) -> AnyTape;

    fn output<'t>(&self, tape: &'t AnyTape) -> &'t [f32];

    fn backward_block(
        &self,
        block: &SummaryBlock<'_>,
        tape: &AnyTape,
        grad_output: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>>;

    #[cfg(feature = "gpu")]
    fn on_gpu(&self) -> Option<&dyn super::gpu::GpuSummary>;
}

fn typed<T: 'static>(tape: &AnyTape) -> &T {
    tape.downcast_ref().expect("a tape is used with the operation that wrote it")
}

impl<O: SummaryOperation> AnySummary for O {
    fn summary_dim(&self) -> usize {
        SummaryOperation::summary_dim(self)
    }

    fn forward_block(&self, block: &SummaryBlock<'_>) -> AnyTape {
        Box::new(SummaryOperation::forward_block(self, block))
    }

    fn output<'t>(&self, tape: &'t AnyTape) -> &'t [f32] {
        SummaryOperation::output(self, typed(tape))
    }

    fn backward_block(
        &self,
        block: &SummaryBlock<'_>,
        tape: &AnyTape,
        grad_output: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>> {
        SummaryOperation::backward_block(self, block, typed(tape), grad_output, gradients)
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(&self) -> Option<&dyn super::gpu::GpuSummary> {
        SummaryOperation::on_gpu(self)
    }
}

/// The summaries of a block of data sets, with the way back.
pub(crate) struct Summaries<'a> {
    summary: &'a Summary,
    block: SummaryBlock<'a>,
    tape: AnyTape,
}

impl Summary {
    /// Of this network.
    pub fn new(operation: impl SummaryOperation) -> Self {
        Self(Arc::new(operation))
    }

    /// S, the length of a summary.
    #[must_use]
    pub fn summary_dim(&self) -> usize {
        self.0.summary_dim()
    }

    pub(crate) fn forward<'a>(&'a self, block: SummaryBlock<'a>) -> Summaries<'a> {
        Summaries { summary: self, tape: self.0.forward_block(&block), block }
    }

    #[cfg(feature = "gpu")]
    pub(crate) fn on_gpu(&self) -> Option<&dyn super::gpu::GpuSummary> {
        self.0.on_gpu()
    }
}

impl Summaries<'_> {
    pub(crate) fn output(&self) -> &[f32] {
        self.summary.0.output(&self.tape)
    }

    pub(crate) fn backward(&self, grad_output: &[f32], gradients: &mut Gradients<'_>) {
        self.summary.0.backward_block(&self.block, &self.tape, grad_output, gradients);
    }
}

impl Part<Summary> {
    /// Summaries `[B, S]` of data `[B, N, F]` as one operation of Burn's graph; `mask` says which rows of the data are
    /// there. `None` if there are more operands than an operation may have.
    ///
    /// # Panics
    /// If the data have another shape than the network takes, or kernels do not [work on them](crate::runs_on).
    pub fn run<const D: usize>(self, data: Tensor<D>, mask: Option<Tensor<2>>) -> Option<Tensor<2>> {
        let Self { operation: summary, mut operands } = self;
        if operands.len() + 1 + usize::from(mask.is_some()) > Operands::MOST {
            return None;
        }
        let shape = data.dims()[1..].to_vec();
        let (data, mask) = (operands.push(data), mask.map(|mask| operands.push(mask)));
        Some(run(SummaryKernel { summary, data, shape, mask }, operands))
    }
}

/// A summary network and the places of its data. Output `[B, S]`.
#[derive(Debug)]
struct SummaryKernel {
    summary: Summary,
    /// The place of the data, of which each set has this shape.
    data: usize,
    shape: Vec<usize>,
    /// The place of their mask.
    mask: Option<usize>,
}

impl SummaryKernel {
    fn data<'a>(&'a self, operands: &[&'a [f32]]) -> Data<'a> {
        Data::new(operands[self.data], &self.shape, self.mask.map(|place| operands[place]))
    }

    /// With gradients, blocks of sets; without, blocks of about as many rows of data as a flow's block has of targets.
    fn blocks(&self, sets: usize, with_gradients: bool) -> Vec<Range<usize>> {
        if with_gradients {
            return blocks(sets, true);
        }
        let rows: usize = self.shape.iter().rev().skip(1).product();
        let in_block = (512 / rows).max(1);
        (0..sets).step_by(in_block).map(|start| start..(start + in_block).min(sets)).collect()
    }
}

impl Kernel for SummaryKernel {
    type Tape = Vec<AnyTape>;

    fn forward(&self, operands: &[&[f32]], with_gradients: bool) -> (Vec<f32>, [usize; 2], Self::Tape) {
        let data = self.data(operands);
        let parts = on_each(&self.blocks(data.sets, with_gradients), |sets| {
            let block = SummaryBlock { operands, inputs: &[data.block(&sets)], wanted: &[false] };
            let tape = self.summary.0.forward_block(&block);
            // Without gradients the tapes are dropped block by block.
            (self.summary.0.output(&tape).to_vec(), with_gradients.then_some(tape))
        });
        let (out, tapes): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (out.concat(), [data.sets, self.summary.summary_dim()], tapes.into_iter().flatten().collect())
    }

    fn backward(
        &self,
        operands: &[&[f32]],
        tape: &Self::Tape,
        grad_output: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>> {
        let (data, width) = (self.data(operands), self.summary.summary_dim());
        let blocks = self.blocks(data.sets, true);
        let parts = on_each(&(0..blocks.len()).map(|i| i..i + 1).collect::<Vec<_>>(), |i| {
            let sets = &blocks[i.start];
            let block = SummaryBlock { operands, inputs: &[data.block(sets)], wanted: &[wanted[self.data]] };
            let mut gradients = Gradients::new(operands, wanted);
            let grad_rows = &grad_output[sets.start * width..sets.end * width];
            let grad_data = self.summary.0.backward_block(&block, &tape[i.start], grad_rows, &mut gradients);
            (grad_data.into_iter().next().flatten(), gradients.into_values())
        });
        let (grad_data, grad_parameters): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let mut gradients = sum_blocks(grad_parameters);
        if wanted[self.data] {
            gradients[self.data] = Some(grad_data.iter().flatten().flat_map(|block| block.to_vec()).collect());
        }
        gradients
    }
}
