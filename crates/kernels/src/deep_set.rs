//! A permutation-invariant summary network as one operation.

use crate::{
    blocks::{blocks, on_each},
    gradients::{Gradients, sum_blocks},
    memory::Buffer,
    operation::Kernel,
    source::Source,
    stack::{Stack, StackTape},
    vector::{add, sum_rows, vectorised},
};
use std::ops::Range;

/// How the observations of a set become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// The mean over observations.
    Mean,
    /// The largest value of each unit.
    Max,
}

/// Equivariant modules, pooling, and layers on the pooled set. Output `[B, S]`.
#[derive(Debug, Clone)]
pub struct SetNetwork {
    /// The place of the data, `[B, N, F]`.
    pub data: usize,
    /// N, the number of observations.
    pub observations: usize,
    /// F, their features.
    pub features: usize,
    /// Before everything else, on each observation.
    pub embedding: Option<Stack>,
    /// The equivariant modules.
    pub modules: Vec<SetModule>,
    /// Before the last pooling, on each observation.
    pub before: Option<Stack>,
    /// After it, on each set.
    pub after: Stack,
    /// How sets are pooled.
    pub pool: Pool,
}

impl SetNetwork {
    /// The most numbers that an observation is in it.
    #[cfg(feature = "gpu")]
    pub(crate) fn widest(&self) -> usize {
        let modules = self.modules.iter().flat_map(|module| [module.before.as_ref(), Some(&module.joint)]);
        let stacks = modules.chain([self.embedding.as_ref(), self.before.as_ref()]).flatten();
        stacks.map(Stack::widest).max().unwrap_or(0).max(self.features)
    }
}

/// x ↦ joint(x, after(pool(before(x)))), with a skip x + joint(...).
#[derive(Debug, Clone)]
pub struct SetModule {
    /// Before pooling, on each observation.
    pub before: Option<Stack>,
    /// After pooling, on each set.
    pub after: Option<Stack>,
    /// On each observation beside the pooled set: the first layer has two inputs.
    pub joint: Stack,
    /// Whether x is added.
    pub skip: bool,
}

/// What the backward pass needs of each block of sets.
#[derive(Debug)]
pub struct SetTape(Vec<BlockTape>);

#[derive(Debug)]
pub(crate) struct BlockTape {
    embedding: Option<StackTape>,
    modules: Vec<ModuleTape>,
    last: PoolTape,
    after: StackTape,
}

impl BlockTape {
    /// The summaries.
    pub(crate) fn output(&self) -> &[f32] {
        self.after.output()
    }
}

#[derive(Debug)]
struct ModuleTape {
    pooled: PoolTape,
    after: Option<StackTape>,
    joint: StackTape,
}

#[derive(Debug)]
struct PoolTape {
    before: Option<StackTape>,
    pooled: Buffer,
}

/// Observations one after the other, and their width.
#[derive(Clone, Copy)]
struct Observations<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Observations<'a> {
    fn source(self) -> [Source<'a>; 1] {
        [Source::new(self.values, self.width)]
    }
}

impl Pool {
    fn forward(self, values: &[f32], n: usize, width: usize) -> Buffer {
        let mut pooled = Buffer::new(values.len() / n);
        for (set, pooled) in values.chunks_exact(n * width).zip(pooled.chunks_exact_mut(width)) {
            match self {
                Self::Mean => {
                    sum_rows(set, pooled);
                    pooled.iter_mut().for_each(|sum| *sum /= n as f32);
                }
                Self::Max => {
                    pooled.fill(f32::NEG_INFINITY);
                    vectorised!(for row in set.chunks_exact(width) {
                        for (most, x) in pooled.iter_mut().zip(row) {
                            *most = if *x > *most { *x } else { *most };
                        }
                    });
                }
            }
        }
        pooled
    }

    /// The gradient of each observation; with [`Pool::Max`], that of the first which has the largest value.
    fn backward(self, values: &[f32], pooled: &[f32], of_pooled: &[f32], n: usize, width: usize) -> Buffer {
        let mut of_values = Buffer::new(values.len());
        let sets = of_values.chunks_exact_mut(n * width).zip(values.chunks_exact(n * width));
        let pooled = pooled.chunks_exact(width).zip(of_pooled.chunks_exact(width));
        for ((of_set, set), (pooled, of_pooled)) in sets.zip(pooled) {
            match self {
                Self::Mean => {
                    let (first, rest) = of_set.split_at_mut(width);
                    first.iter_mut().zip(of_pooled).for_each(|(of_x, of_pooled)| *of_x = of_pooled / n as f32);
                    rest.chunks_exact_mut(width).for_each(|of_row| of_row.copy_from_slice(first));
                }
                Self::Max => {
                    let mut left = Buffer::copy_of(of_pooled);
                    for (of_row, row) in of_set.chunks_exact_mut(width).zip(set.chunks_exact(width)) {
                        for i in 0..width {
                            let hit = row[i] == pooled[i];
                            of_row[i] = if hit { left[i] } else { 0.0 };
                            left[i] = if hit { 0.0 } else { left[i] };
                        }
                    }
                }
            }
        }
        of_values
    }
}

impl SetNetwork {
    fn sets(&self, operands: &[&[f32]]) -> usize {
        operands[self.data].len() / (self.observations * self.features)
    }

    fn data<'a>(&self, operands: &[&'a [f32]], sets: &Range<usize>) -> Observations<'a> {
        let len = self.observations * self.features;
        Observations { values: &operands[self.data][sets.start * len..sets.end * len], width: self.features }
    }

    fn pool_forward(&self, before: Option<&Stack>, operands: &[&[f32]], h: Observations<'_>, n: usize) -> PoolTape {
        let before = before.map(|stack| stack.forward(operands, &h.source(), h.values.len() / h.width));
        let values = before.as_ref().map_or(h.values, StackTape::output);
        let width = values.len() / (h.values.len() / h.width);
        PoolTape { pooled: self.pool.forward(values, n, width), before }
    }

    /// The gradient of h, from that of the pooled sets.
    #[expect(clippy::too_many_arguments, reason = "the arguments of `pool_forward`, its tape and where gradients go")]
    fn pool_backward(
        &self,
        before: Option<&Stack>,
        operands: &[&[f32]],
        h: Observations<'_>,
        n: usize,
        tape: &PoolTape,
        of_pooled: &[f32],
        wanted: bool,
        gradients: &mut Gradients<'_>,
    ) -> Option<Buffer> {
        let values = tape.before.as_ref().map_or(h.values, StackTape::output);
        let width = values.len() / (h.values.len() / h.width);
        let of_values = self.pool.backward(values, &tape.pooled, of_pooled, n, width);
        match (before, &tape.before) {
            (Some(stack), Some(tape)) => {
                stack.backward(operands, &h.source(), tape, of_values, &[wanted], gradients).remove(0)
            }
            _ => Some(of_values),
        }
    }

    pub(crate) fn forward_block(&self, operands: &[&[f32]], sets: &Range<usize>) -> BlockTape {
        let (n, data) = (self.observations, self.data(operands, sets));
        let rows = sets.len() * n;
        let embedding = self.embedding.as_ref().map(|stack| stack.forward(operands, &data.source(), rows));
        let mut modules: Vec<ModuleTape> = Vec::with_capacity(self.modules.len());
        for module in &self.modules {
            let h = self.observations(data, &embedding, &modules);
            let pooled = self.pool_forward(module.before.as_ref(), operands, h, n);
            let pooled_width = pooled.pooled.len() / sets.len();
            let after = module
                .after
                .as_ref()
                .map(|stack| stack.forward(operands, &[Source::new(&pooled.pooled, pooled_width)], sets.len()));
            let set = after.as_ref().map_or(&*pooled.pooled, StackTape::output);
            let sources = [Source::new(h.values, h.width), Source::repeated(set, set.len() / sets.len(), n, 0)];
            let mut joint = module.joint.forward(operands, &sources, rows);
            if module.skip {
                add(joint.output_mut(), h.values);
            }
            modules.push(ModuleTape { pooled, after, joint });
        }
        let last = self.pool_forward(self.before.as_ref(), operands, self.observations(data, &embedding, &modules), n);
        let width = last.pooled.len() / sets.len();
        let after = self.after.forward(operands, &[Source::new(&last.pooled, width)], sets.len());
        BlockTape { embedding, modules, last, after }
    }

    /// What comes out of these modules, or of what is before them.
    fn observations<'a>(
        &self,
        data: Observations<'a>,
        embedding: &'a Option<StackTape>,
        modules: &'a [ModuleTape],
    ) -> Observations<'a> {
        let values = match (modules.last(), embedding) {
            (Some(module), _) => module.joint.output(),
            (None, Some(embedding)) => embedding.output(),
            (None, None) => return data,
        };
        Observations { values, width: values.len() / (data.values.len() / data.width) }
    }

    /// The gradients of the data, if they are wanted, and of the parameters.
    pub(crate) fn backward_block<'a>(
        &self,
        operands: &'a [&'a [f32]],
        sets: &Range<usize>,
        tape: &BlockTape,
        of_output: &[f32],
        wanted: &'a [bool],
    ) -> (Option<Buffer>, Vec<Option<Buffer>>) {
        let (n, data) = (self.observations, self.data(operands, sets));
        let width = of_output.len() / self.sets(operands);
        let mut gradients = Gradients::new(operands, wanted);
        let of_output = Buffer::copy_of(&of_output[sets.start * width..sets.end * width]);
        let of_one = |of: Vec<Option<Buffer>>| of.into_iter().next().flatten();
        let source = [Source::new(&tape.last.pooled, tape.last.pooled.len() / sets.len())];
        let of_pooled = of_one(self.after.backward(operands, &source, &tape.after, of_output, &[true], &mut gradients));
        let of_pooled = of_pooled.expect("the gradient of the pooled sets was asked for");
        let h = self.observations(data, &tape.embedding, &tape.modules);
        // The data's own gradient is rarely asked for; without it the first layers' is not computed.
        let wants_data = wanted[self.data];
        let wants_h = |module: usize| module > 0 || self.embedding.is_some() || wants_data;
        let count = self.modules.len();
        let before = self.before.as_ref();
        let mut of_h =
            self.pool_backward(before, operands, h, n, &tape.last, &of_pooled, wants_h(count), &mut gradients);
        for (i, (module, module_tape)) in self.modules.iter().zip(&tape.modules).enumerate().rev() {
            let of_out = of_h.take().expect("the gradient of a module's output was asked for");
            let h = self.observations(data, &tape.embedding, &tape.modules[..i]);
            let pooled = &module_tape.pooled.pooled;
            let set = module_tape.after.as_ref().map_or(&**pooled, StackTape::output);
            let sources = [Source::new(h.values, h.width), Source::repeated(set, set.len() / sets.len(), n, 0)];
            let of_skip = (module.skip && wants_h(i)).then(|| Buffer::copy_of(&of_out));
            let wants = [wants_h(i), true];
            let mut of = module.joint.backward(operands, &sources, &module_tape.joint, of_out, &wants, &mut gradients);
            let mut of_set = of.pop().flatten().expect("the gradient of the pooled set was asked for");
            of_h = of.pop().flatten();
            if let (Some(stack), Some(stack_tape)) = (&module.after, &module_tape.after) {
                let source = [Source::new(pooled, pooled.len() / sets.len())];
                let of = of_one(stack.backward(operands, &source, stack_tape, of_set, &[true], &mut gradients));
                of_set = of.expect("the gradient of the pooled set was asked for");
            }
            let (before, pool_tape) = (module.before.as_ref(), &module_tape.pooled);
            let of_pooled = self.pool_backward(before, operands, h, n, pool_tape, &of_set, wants_h(i), &mut gradients);
            if let Some(of_h) = &mut of_h {
                [of_pooled, of_skip].iter().flatten().for_each(|term| add(of_h, term));
            }
        }
        if let (Some(embedding), Some(embedding_tape)) = (&self.embedding, &tape.embedding) {
            let of_out = of_h.take().expect("the gradient of the embedding was asked for");
            let wants = [wants_data];
            of_h = of_one(embedding.backward(operands, &data.source(), embedding_tape, of_out, &wants, &mut gradients));
        }
        (of_h.filter(|_| wants_data), gradients.into_values())
    }
}

impl Kernel for SetNetwork {
    type Tape = SetTape;

    fn forward(&self, operands: &[&[f32]], with_gradients: bool) -> (Vec<f32>, [usize; 2], SetTape) {
        let sets = self.sets(operands);
        let parts = on_each(&set_blocks(sets, self.observations, with_gradients), |sets| {
            let tape = self.forward_block(operands, &sets);
            // Without gradients the tapes are dropped block by block.
            (tape.output().to_vec(), with_gradients.then_some(tape))
        });
        let (out, tapes): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (out.concat(), [sets, self.after.units()], SetTape(tapes.into_iter().flatten().collect()))
    }

    fn backward(
        &self,
        operands: &[&[f32]],
        tape: &SetTape,
        of_output: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>> {
        let sets = self.sets(operands);
        let blocks = set_blocks(sets, self.observations, true);
        let parts = on_each(&(0..blocks.len()).map(|i| i..i + 1).collect::<Vec<_>>(), |i| {
            self.backward_block(operands, &blocks[i.start], &tape.0[i.start], of_output, wanted)
        });
        let (of_data, of_parameters): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let mut gradients = sum_blocks(of_parameters);
        if wanted[self.data] {
            gradients[self.data] = Some(of_data.iter().flatten().flat_map(|of_block| of_block.to_vec()).collect());
        }
        gradients
    }
}

/// With gradients, blocks of sets; without, blocks of about as many observations as a flow's block has rows.
fn set_blocks(sets: usize, observations: usize, with_gradients: bool) -> Vec<Range<usize>> {
    if with_gradients {
        return blocks(sets, true);
    }
    let in_block = (512 / observations).max(1);
    (0..sets).step_by(in_block).map(|start| start..(start + in_block).min(sets)).collect()
}
