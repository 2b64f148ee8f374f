//! Computes a coupling layer and its gradients on the processor.

use super::FlowLayer;
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        columns::join,
        coupling::{Coupling, CouplingTape, GradHalf},
        dense::cpu::Seen,
    },
    source::Source,
    vector::add,
};

/// What all layers of a flow have at hand in a pass.
#[derive(Clone, Copy)]
pub(crate) struct LayerPass<'a> {
    pub(crate) arrays: Arrays<'a>,
    pub(crate) condition: Option<Source<'a>>,
    pub(crate) rows: usize,
    /// D.
    pub(crate) dim: usize,
}

/// The values of a forward pass that the backward pass needs.
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

/// What the backward passes of all layers have at hand beside [`LayerPass`].
pub(crate) struct GradLayers<'a> {
    pub(crate) log_det: &'a [f32],
    pub(crate) wants_condition: bool,
    /// The sum over the layers so far.
    pub(crate) condition: Option<Buffer>,
}

impl GradLayers<'_> {
    fn add_condition(&mut self, term: Option<Buffer>) {
        match (&mut self.condition, term) {
            (Some(sum), Some(term)) => add(sum, &term),
            (none, Some(first)) => *none = Some(first),
            (_, None) => {}
        }
    }
}

impl<'a> LayerPass<'a> {
    /// What the networks of a half see, the other half and the condition, to be used by `use_seen`.
    fn given<R>(&self, other: Option<(&[f32], usize)>, use_seen: impl FnOnce(&Seen<'_>) -> R) -> R {
        let other = other.map(|(values, width)| Source::new(values, width));
        let sources: Vec<Source<'_>> = other.into_iter().chain(self.condition).collect();
        use_seen(&Seen { arrays: self.arrays, sources: &sources, rows: self.rows })
    }
}

impl FlowLayer {
    pub(crate) fn forward(&self, pass: &LayerPass<'_>, input: Buffer, log_det: &mut [f32]) -> (Buffer, LayerTape) {
        let widths @ [d1, d2] = self.split(pass.dim);
        let normalised = self.normalization.map(|normalization| normalization.forward(pass.arrays, &input, log_det));
        let [u1, u2] = self.permutation.split(normalised.as_ref().unwrap_or(&input), widths);
        let (v1, first) = match &self.first {
            Some(first) => {
                let (v1, tape) = pass.given(Some((&u2, d2)), |seen| first.forward(seen, &u1, log_det));
                (v1, Some(tape))
            }
            None => (Buffer::new(0), None),
        };
        let half = self.first.is_some().then_some((&*v1, d1));
        let (v2, second) = pass.given(half, |seen| self.second.forward(seen, &u2, log_det));
        let mut out = Buffer::new(pass.rows * pass.dim);
        join(&v1, &v2, widths, &mut out);
        (out, LayerTape { input, u1, u2, v1, first, second })
    }

    pub(crate) fn inverse(&self, pass: &LayerPass<'_>, latents: &[f32]) -> Buffer {
        let widths @ [d1, d2] = self.split(pass.dim);
        let [v1, v2] = halves(latents, widths);
        let half = self.first.is_some().then_some((&*v1, d1));
        let u2 = pass.given(half, |seen| self.second.inverse(seen, &v2));
        let u1 = match &self.first {
            Some(first) => pass.given(Some((&u2, d2)), |seen| first.inverse(seen, &v1)),
            None => Buffer::new(0),
        };
        let mut x = self.permutation.join([&u1, &u2], widths);
        if let Some(normalization) = &self.normalization {
            normalization.inverse(pass.arrays, &mut x);
        }
        x
    }

    pub(crate) fn backward(
        &self,
        pass: &LayerPass<'_>,
        tape: &LayerTape,
        grad_out: &[f32],
        grad: &mut GradLayers<'_>,
        gradients: &mut Gradients<'_>,
    ) -> Buffer {
        let widths @ [d1, d2] = self.split(pass.dim);
        let [mut grad_v1, grad_v2] = halves(grad_out, widths);
        let half = self.first.is_some().then_some((&*tape.v1, d1));
        let wanted: Vec<bool> =
            half.map(|_| true).into_iter().chain(pass.condition.map(|_| grad.wants_condition)).collect();
        let grad_log_det = grad.log_det;
        let mut back = |coupling: &Coupling, tape: &CouplingTape, other, [x, grad_y]: [&[f32]; 2]| {
            let half = GradHalf { x, grad_y, grad_log_det, wanted: &wanted };
            pass.given(other, |seen| coupling.backward(seen, tape, half, gradients))
        };

        let of_second = back(&self.second, &tape.second, half, [&tape.u2, &grad_v2]);
        let mut grad_u2 = of_second.x;
        let mut of_sources = of_second.sources.into_iter();
        if half.is_some()
            && let Some(grad_half) = of_sources.next().flatten()
        {
            add(&mut grad_v1, &grad_half);
        }
        grad.add_condition(of_sources.next().flatten());

        let mut grad_u1 = Buffer::new(0);
        if let (Some(first), Some(first_tape)) = (&self.first, &tape.first) {
            let of_first = back(first, first_tape, Some((&tape.u2, d2)), [&tape.u1, &grad_v1]);
            grad_u1 = of_first.x;
            let mut of_sources = of_first.sources.into_iter();
            if let Some(grad_half) = of_sources.next().flatten() {
                add(&mut grad_u2, &grad_half);
            }
            grad.add_condition(of_sources.next().flatten());
        }

        let mut grad_x = self.permutation.join([&grad_u1, &grad_u2], widths);
        if let Some(normalization) = &self.normalization {
            normalization.backward(pass.arrays, &tape.input, &mut grad_x, grad_log_det, gradients);
        }
        grad_x
    }
}

/// The halves of rows in which they are side by side.
fn halves(both: &[f32], [d1, d2]: [usize; 2]) -> [Buffer; 2] {
    let rows = both.len() / (d1 + d2);
    let (mut first, mut second) = (Buffer::new(rows * d1), Buffer::new(rows * d2));
    for (r, both) in both.chunks_exact(d1 + d2).enumerate() {
        first[r * d1..(r + 1) * d1].copy_from_slice(&both[..d1]);
        second[r * d2..(r + 1) * d2].copy_from_slice(&both[d1..]);
    }
    [first, second]
}
