//! A conditional invertible network of coupling layers as one operation.

use crate::{
    blocks::{blocks, on_each},
    coupling::{Coupling, CouplingTape},
    gradients::{Gradients, sum_blocks},
    memory::Buffer,
    operation::Kernel,
    source::Source,
    vector::add,
};
use std::ops::Range;

/// Coupling layers one after the other, in the direction from targets to latents.
///
/// Output `[B, D + 1]`: latents, then the log-determinant.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The layers.
    pub layers: Vec<FlowLayer>,
    /// D, the width of the targets.
    pub dim: usize,
    /// The place of the targets, `[B, D]`.
    pub targets: usize,
    /// Place and width of the condition, `[M, C]`, of which each row belongs to B / M rows of the targets that follow one another.
    pub condition: Option<(usize, usize)>,
    /// Place and width of the masks of dropped units, `[B, W]`.
    pub masks: Option<(usize, usize)>,
}

/// Activation normalisation, permutation, coupling.
#[derive(Debug, Clone)]
pub struct FlowLayer {
    /// The places of scale and bias.
    pub act_norm: Option<[usize; 2]>,
    /// Dimension i of what is coupled is dimension `order[i]` of what comes in.
    pub order: Vec<usize>,
    /// Transforms the first ⌊D/2⌋ dimensions given the others and the condition.
    pub first: Option<Coupling>,
    /// Transforms the others given the first ones, after their transform, and the condition.
    pub second: Coupling,
}

/// The same layers from latents to targets, without gradients. Output `[B, D]`.
#[derive(Debug, Clone)]
pub struct InverseFlow(pub Flow);

/// What the backward pass needs of each layer.
#[derive(Debug)]
pub(crate) struct LayerTape {
    input: Buffer,
    /// Both halves before their transforms, and the first one after it.
    u1: Buffer,
    u2: Buffer,
    v1: Buffer,
    first: Option<CouplingTape>,
    second: CouplingTape,
}

/// What the backward pass needs of each block of rows.
#[derive(Debug)]
pub struct FlowTape(Vec<Vec<LayerTape>>);

/// A block of rows, and the rows of the condition that it needs.
pub(crate) struct Block<'a> {
    rows: Range<usize>,
    condition_rows: Range<usize>,
    condition: Option<Source<'a>>,
}

impl Flow {
    /// Says where the masks of dropped units are, `[B, width]`: in the columns that its layers have.
    pub fn set_masks(&mut self, operand: usize, width: usize) {
        self.masks = Some((operand, width));
        for layer in &mut self.layers {
            layer.first.iter_mut().chain([&mut layer.second]).for_each(|coupling| coupling.set_masks(operand, width));
        }
    }

    /// The most numbers that a row of targets is in it, with what the networks see.
    #[cfg(feature = "gpu")]
    pub(crate) fn widest(&self) -> usize {
        let couplings = self.layers.iter().flat_map(|layer| layer.first.iter().chain([&layer.second]));
        let given = self.dim + self.condition.map_or(0, |(_, width)| width);
        couplings.map(Coupling::widest).max().unwrap_or(0).max(given)
    }

    fn rows(&self, operands: &[&[f32]]) -> usize {
        operands[self.targets].len() / self.dim
    }

    pub(crate) fn block<'a>(&self, operands: &[&'a [f32]], rows: Range<usize>) -> Block<'a> {
        let Some((place, width)) = self.condition else {
            return Block { rows, condition_rows: 0..0, condition: None };
        };
        let values = operands[place];
        let repeat = self.rows(operands) / (values.len() / width);
        let condition_rows = rows.start / repeat..rows.end.div_ceil(repeat);
        let source = Source::repeated(
            &values[condition_rows.start * width..condition_rows.end * width],
            width,
            repeat,
            rows.start % repeat,
        );
        Block { rows, condition_rows, condition: Some(source) }
    }

    /// The operands with the masks of these rows alone, since layers see rows of a block.
    fn with_masks_of<'a>(&self, operands: &[&'a [f32]], rows: &Range<usize>) -> Vec<&'a [f32]> {
        let mut operands = operands.to_vec();
        if let Some((place, width)) = self.masks {
            operands[place] = &operands[place][rows.start * width..rows.end * width];
        }
        operands
    }

    pub(crate) fn forward_block(&self, operands: &[&[f32]], block: &Block<'_>, out: &mut Vec<f32>) -> Vec<LayerTape> {
        let operands = &self.with_masks_of(operands, &block.rows)[..];
        let (rows, dim) = (block.rows.len(), self.dim);
        let mut log_det = Buffer::zeros(rows);
        let mut x = Buffer::copy_of(&operands[self.targets][block.rows.start * dim..block.rows.end * dim]);
        let mut tapes = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let (next, tape) = layer.forward(operands, x, block.condition, dim, &mut log_det);
            tapes.push(tape);
            x = next;
        }
        for (z, log_det) in x.chunks_exact(dim).zip(&*log_det) {
            out.extend_from_slice(z);
            out.push(*log_det);
        }
        tapes
    }

    /// Gradients of targets, condition and parameters.
    pub(crate) fn backward_block<'a>(
        &self,
        operands: &'a [&'a [f32]],
        block: &Block<'_>,
        tapes: &[LayerTape],
        of_output: &[f32],
        wanted: &'a [bool],
    ) -> (Buffer, Option<Buffer>, Vec<Option<Buffer>>) {
        let (rows, dim) = (block.rows.len(), self.dim);
        let masked = self.with_masks_of(operands, &block.rows);
        let mut gradients = Gradients::new(operands, wanted);
        let (mut of_x, mut of_log_det) = (Buffer::new(rows * dim), Buffer::new(rows));
        let of_rows = of_output[block.rows.start * (dim + 1)..block.rows.end * (dim + 1)].chunks_exact(dim + 1);
        for ((of_row, of_x), of_log_det) in of_rows.zip(of_x.chunks_exact_mut(dim)).zip(of_log_det.iter_mut()) {
            of_x.copy_from_slice(&of_row[..dim]);
            *of_log_det = of_row[dim];
        }
        let wants_condition = self.condition.is_some_and(|(place, _)| wanted[place]);
        let mut of_condition: Option<Buffer> = None;
        for (layer, tape) in self.layers.iter().zip(tapes).rev() {
            let passes =
                Passes { operands: &masked, condition: block.condition, wants_condition, of_log_det: &of_log_det };
            of_x = layer.backward(&passes, tape, &of_x, &mut of_condition, &mut gradients);
        }
        (of_x, of_condition, gradients.into_values())
    }
}

/// What the backward passes of all layers share.
struct Passes<'a> {
    operands: &'a [&'a [f32]],
    condition: Option<Source<'a>>,
    wants_condition: bool,
    of_log_det: &'a [f32],
}

/// What a half is transformed given: the other half, the condition, or both.
fn given<'a>(half: Option<(&'a [f32], usize)>, condition: Option<Source<'a>>) -> Vec<Source<'a>> {
    half.map(|(values, width)| Source::new(values, width)).into_iter().chain(condition).collect()
}

impl FlowLayer {
    /// The widths of both halves: for one dimension there is no first one.
    pub(crate) fn split(&self, dim: usize) -> (usize, usize) {
        let first = if self.first.is_some() { dim / 2 } else { 0 };
        (first, dim - first)
    }

    fn forward(
        &self,
        operands: &[&[f32]],
        input: Buffer,
        condition: Option<Source<'_>>,
        dim: usize,
        log_det: &mut [f32],
    ) -> (Buffer, LayerTape) {
        let (d1, d2) = self.split(dim);
        let rows = log_det.len();
        let (mut u1, mut u2) = (Buffer::new(rows * d1), Buffer::new(rows * d2));
        let norm = self.act_norm.map(|[scale, bias]| (operands[scale], operands[bias]));
        for (r, x) in input.chunks_exact(dim).enumerate() {
            let (u1, u2) = (&mut u1[r * d1..(r + 1) * d1], &mut u2[r * d2..(r + 1) * d2]);
            for (u, &from) in u1.iter_mut().chain(u2).zip(&self.order) {
                *u = match norm {
                    Some((scale, bias)) => x[from] * scale[from] + bias[from],
                    None => x[from],
                };
            }
        }
        if let Some((scale, _)) = norm {
            let log_scale: f32 = scale.iter().map(|scale| scale.abs().ln()).sum();
            log_det.iter_mut().for_each(|log_det| *log_det += log_scale);
        }
        let (v1, first) = match &self.first {
            Some(first) => {
                let (v1, tape) = first.forward(operands, &u1, &given(Some((&u2, d2)), condition), log_det);
                (v1, Some(tape))
            }
            None => (Buffer::new(0), None),
        };
        let half = self.first.is_some().then_some((&*v1, d1));
        let (v2, second) = self.second.forward(operands, &u2, &given(half, condition), log_det);
        let mut out = Buffer::new(rows * dim);
        join(&v1, &v2, [d1, d2], &mut out);
        (out, LayerTape { input, u1, u2, v1, first, second })
    }

    fn inverse(&self, operands: &[&[f32]], latents: &[f32], condition: Option<Source<'_>>, dim: usize) -> Buffer {
        let (d1, d2) = self.split(dim);
        let rows = latents.len() / dim;
        let (mut v1, mut v2) = (Buffer::new(rows * d1), Buffer::new(rows * d2));
        cut(latents, [d1, d2], &mut v1, &mut v2);
        let half = self.first.is_some().then_some((&*v1, d1));
        let u2 = self.second.inverse(operands, &v2, &given(half, condition), rows);
        let u1 = match &self.first {
            Some(first) => first.inverse(operands, &v1, &given(Some((&u2, d2)), condition), rows),
            None => Buffer::new(0),
        };
        let mut x = Buffer::new(rows * dim);
        for (r, x) in x.chunks_exact_mut(dim).enumerate() {
            let (u1, u2) = (&u1[r * d1..(r + 1) * d1], &u2[r * d2..(r + 1) * d2]);
            for (u, &to) in u1.iter().chain(u2).zip(&self.order) {
                x[to] = match self.act_norm {
                    Some([scale, bias]) => (u - operands[bias][to]) / operands[scale][to],
                    None => *u,
                };
            }
        }
        x
    }

    fn backward(
        &self,
        passes: &Passes<'_>,
        tape: &LayerTape,
        of_out: &[f32],
        of_condition: &mut Option<Buffer>,
        gradients: &mut Gradients<'_>,
    ) -> Buffer {
        let Passes { operands, condition, wants_condition, of_log_det } = *passes;
        let rows = of_log_det.len();
        let dim = of_out.len() / rows;
        let (d1, d2) = self.split(dim);
        let (mut of_v1, mut of_v2) = (Buffer::new(rows * d1), Buffer::new(rows * d2));
        cut(of_out, [d1, d2], &mut of_v1, &mut of_v2);
        let mut add_condition = |of_given: Option<Buffer>| match (&mut *of_condition, of_given) {
            (Some(sum), Some(term)) => add(sum, &term),
            (none, Some(first)) => *none = Some(first),
            (_, None) => {}
        };

        let half = self.first.is_some().then_some((&*tape.v1, d1));
        let wanted: Vec<bool> = half.map(|_| true).into_iter().chain(condition.map(|_| wants_condition)).collect();
        let sources = given(half, condition);
        let of =
            self.second.backward(operands, &tape.u2, &sources, &tape.second, &of_v2, of_log_det, &wanted, gradients);
        let mut of_u2 = of.x;
        let mut of_given = of.given.into_iter();
        if half.is_some()
            && let Some(of_half) = of_given.next().flatten()
        {
            add(&mut of_v1, &of_half);
        }
        add_condition(of_given.next().flatten());

        let mut of_u1 = Buffer::new(0);
        if let (Some(first), Some(first_tape)) = (&self.first, &tape.first) {
            let sources = given(Some((&tape.u2, d2)), condition);
            let of = first.backward(operands, &tape.u1, &sources, first_tape, &of_v1, of_log_det, &wanted, gradients);
            of_u1 = of.x;
            let mut of_given = of.given.into_iter();
            if let Some(of_half) = of_given.next().flatten() {
                add(&mut of_u2, &of_half);
            }
            add_condition(of_given.next().flatten());
        }

        // Back through permutation and normalisation.
        let mut of_x = Buffer::new(rows * dim);
        for (r, of_x) in of_x.chunks_exact_mut(dim).enumerate() {
            let (u1, u2) = (&of_u1[r * d1..(r + 1) * d1], &of_u2[r * d2..(r + 1) * d2]);
            for (of_u, &from) in u1.iter().chain(u2).zip(&self.order) {
                of_x[from] = *of_u;
            }
        }
        let Some([scale, bias]) = self.act_norm else { return of_x };
        if let Some(of_bias) = gradients.of(bias) {
            crate::vector::sum_rows(&of_x, of_bias);
        }
        let scales = operands[scale];
        if let Some(of_scale) = gradients.of(scale) {
            let of_log_scale: f32 = of_log_det.iter().sum();
            of_scale.iter_mut().zip(scales).for_each(|(of_scale, scale)| *of_scale = of_log_scale / scale);
            for (of_x, x) in of_x.chunks_exact(dim).zip(tape.input.chunks_exact(dim)) {
                for ((of_scale, of_x), x) in of_scale.iter_mut().zip(of_x).zip(x) {
                    *of_scale += of_x * x;
                }
            }
        }
        for of_x in of_x.chunks_exact_mut(dim) {
            of_x.iter_mut().zip(scales).for_each(|(of_x, scale)| *of_x *= scale);
        }
        of_x
    }
}

/// Both halves side by side.
pub(crate) fn join(first: &[f32], second: &[f32], [d1, d2]: [usize; 2], out: &mut [f32]) {
    for (r, out) in out.chunks_exact_mut(d1 + d2).enumerate() {
        out[..d1].copy_from_slice(&first[r * d1..(r + 1) * d1]);
        out[d1..].copy_from_slice(&second[r * d2..(r + 1) * d2]);
    }
}

/// The halves of what is side by side.
fn cut(both: &[f32], [d1, d2]: [usize; 2], first: &mut [f32], second: &mut [f32]) {
    for (r, both) in both.chunks_exact(d1 + d2).enumerate() {
        first[r * d1..(r + 1) * d1].copy_from_slice(&both[..d1]);
        second[r * d2..(r + 1) * d2].copy_from_slice(&both[d1..]);
    }
}

impl Kernel for Flow {
    type Tape = FlowTape;

    fn forward(&self, operands: &[&[f32]], with_gradients: bool) -> (Vec<f32>, [usize; 2], FlowTape) {
        let rows = self.rows(operands);
        let width = self.dim + 1;
        let parts = on_each(&blocks(rows, with_gradients), |rows| {
            let mut out = Vec::with_capacity(rows.len() * width);
            let tapes = self.forward_block(operands, &self.block(operands, rows), &mut out);
            // Without gradients the tapes are dropped block by block.
            (out, with_gradients.then_some(tapes))
        });
        let (out, tapes): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (out.concat(), [rows, width], FlowTape(tapes.into_iter().flatten().collect()))
    }

    fn backward(
        &self,
        operands: &[&[f32]],
        tape: &FlowTape,
        of_output: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>> {
        let rows = self.rows(operands);
        let blocks = blocks(rows, true);
        let parts = on_each(&(0..blocks.len()).map(|i| i..i + 1).collect::<Vec<_>>(), |i| {
            let block = self.block(operands, blocks[i.start].clone());
            let (of_x, of_condition, gradients) =
                self.backward_block(operands, &block, &tape.0[i.start], of_output, wanted);
            (of_x, (block.condition_rows, of_condition), gradients)
        });
        let mut of_targets = Vec::new();
        let mut of_condition = self.condition.map(|(place, width)| (vec![0.0; operands[place].len()], width));
        let mut of_parameters = Vec::with_capacity(parts.len());
        for (of_x, (condition_rows, of_rows), gradients) in parts {
            of_targets.extend_from_slice(&of_x);
            if let (Some((sum, width)), Some(of_rows)) = (&mut of_condition, of_rows) {
                add(&mut sum[condition_rows.start * *width..condition_rows.end * *width], &of_rows);
            }
            of_parameters.push(gradients);
        }
        let mut gradients = sum_blocks(of_parameters);
        gradients[self.targets] = Some(of_targets);
        if let (Some((place, _)), Some((sum, _))) = (self.condition, of_condition) {
            gradients[place] = Some(sum);
        }
        gradients
    }
}

impl Kernel for InverseFlow {
    type Tape = ();

    fn forward(&self, operands: &[&[f32]], _with_gradients: bool) -> (Vec<f32>, [usize; 2], ()) {
        let Self(flow) = self;
        let (rows, dim) = (flow.rows(operands), flow.dim);
        let parts = on_each(&blocks(rows, false), |rows| {
            let block = flow.block(operands, rows);
            let mut x = Buffer::copy_of(&operands[flow.targets][block.rows.start * dim..block.rows.end * dim]);
            for layer in flow.layers.iter().rev() {
                x = layer.inverse(operands, &x, block.condition, dim);
            }
            x.to_vec()
        });
        (parts.concat(), [rows, dim], ())
    }

    fn backward(&self, _: &[&[f32]], (): &(), _: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        unreachable!("the inverse is computed without gradients")
    }
}
