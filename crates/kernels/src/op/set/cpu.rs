//! Computes set networks and their gradients on the processor.

use super::{SetModule, SetNetwork};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        dense::{
            Stack,
            cpu::{Seen, StackTape},
        },
        pool::{Pool, SetRows},
    },
    plan::{SummaryBlock, SummaryOperation},
    source::Source,
    vector::add,
};

/// What the backward pass needs of a block of sets.
#[derive(Debug)]
pub struct SetTape {
    embedding: Option<StackTape>,
    modules: Vec<ModuleTape>,
    last: PoolTape,
    after: StackTape,
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

/// A block of data sets, on its way through a network.
#[derive(Clone, Copy)]
struct Sets<'a> {
    arrays: Arrays<'a>,
    sets: usize,
    data: SetRows<'a>,
    pool: Pool,
}

impl<'a> Sets<'a> {
    /// # Panics
    /// If the data are not sets of observations of so many features.
    fn new(network: &SetNetwork, block: &SummaryBlock<'a>) -> Self {
        let [data] = block.inputs else { panic!("{} inputs where one is expected", block.inputs.len()) };
        let &[n, width] = data.shape else { panic!("data sets of shape {:?}, not [N, F]", data.shape) };
        assert_eq!(width, network.features, "features of an observation");
        let rows = SetRows { values: data.values, n, width, mask: data.mask };
        Self { arrays: Arrays::new(block.operands), sets: data.sets, data: rows, pool: network.pool }
    }

    /// Other values for each observation.
    fn rows<'b>(&self, values: &'b [f32]) -> SetRows<'b>
    where
        'a: 'b,
    {
        SetRows { values, width: values.len() / (self.sets * self.data.n), ..self.data }
    }

    /// The observations as they come out of these modules, or of what is before them.
    fn observations<'b>(&self, embedding: &'b Option<StackTape>, modules: &'b [ModuleTape]) -> SetRows<'b>
    where
        'a: 'b,
    {
        match (modules.last(), embedding) {
            (Some(module), _) => self.rows(module.joint.output()),
            (None, Some(embedding)) => self.rows(embedding.output()),
            (None, None) => self.data,
        }
    }

    /// What a stack on each observation sees.
    fn on_each<R>(&self, h: SetRows<'_>, use_seen: impl FnOnce(&Seen<'_>) -> R) -> R {
        let sources = [Source::new(h.values, h.width)];
        use_seen(&Seen { arrays: self.arrays, sources: &sources, rows: self.sets * h.n })
    }

    /// What a stack on each pooled set sees.
    fn on_pooled<R>(&self, pooled: &[f32], use_seen: impl FnOnce(&Seen<'_>) -> R) -> R {
        let sources = [Source::new(pooled, pooled.len() / self.sets)];
        use_seen(&Seen { arrays: self.arrays, sources: &sources, rows: self.sets })
    }

    /// What a stack on each observation beside its pooled set sees.
    fn on_both<R>(&self, h: SetRows<'_>, set: &[f32], use_seen: impl FnOnce(&Seen<'_>) -> R) -> R {
        let set = Source::repeated(set, set.len() / self.sets, h.n, 0);
        let sources = [Source::new(h.values, h.width), set];
        use_seen(&Seen { arrays: self.arrays, sources: &sources, rows: self.sets * h.n })
    }

    fn pool_forward(&self, before: Option<&Stack>, h: SetRows<'_>) -> PoolTape {
        let before = before.map(|stack| self.on_each(h, |seen| stack.forward(seen)));
        let pooled = self.pool.forward(before.as_ref().map_or(h, |before| self.rows(before.output())));
        PoolTape { before, pooled }
    }

    /// The gradient of h, from that of the pooled sets.
    fn pool_backward(
        &self,
        before: Option<&Stack>,
        (h, wants_h): (SetRows<'_>, bool),
        tape: &PoolTape,
        grad_pooled: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Option<Buffer> {
        let values = tape.before.as_ref().map_or(h, |before| self.rows(before.output()));
        let grad_values = self.pool.backward(values, &tape.pooled, grad_pooled);
        match (before, &tape.before) {
            (Some(stack), Some(tape)) => {
                self.on_each(h, |seen| stack.backward(seen, tape, grad_values, &[wants_h], gradients)).remove(0)
            }
            _ => Some(grad_values),
        }
    }

    fn module_forward(&self, module: &SetModule, h: SetRows<'_>) -> ModuleTape {
        let pooled = self.pool_forward(module.before.as_ref(), h);
        let after = module.after.as_ref().map(|stack| self.on_pooled(&pooled.pooled, |seen| stack.forward(seen)));
        let set = after.as_ref().map_or(&*pooled.pooled, StackTape::output);
        let mut joint = self.on_both(h, set, |seen| module.joint.forward(seen));
        if module.skip {
            add(joint.output_mut(), h.values);
        }
        ModuleTape { pooled, after, joint }
    }

    /// The gradient of h, if it is wanted, from that of the module's output.
    fn module_backward(
        &self,
        module: &SetModule,
        (h, wants_h): (SetRows<'_>, bool),
        tape: &ModuleTape,
        grad_out: Buffer,
        gradients: &mut Gradients<'_>,
    ) -> Option<Buffer> {
        let pooled = &tape.pooled.pooled;
        let set = tape.after.as_ref().map_or(&**pooled, StackTape::output);
        let grad_skip = (module.skip && wants_h).then(|| Buffer::copy_of(&grad_out));
        let wanted = [wants_h, true];
        let mut of_both =
            self.on_both(h, set, |seen| module.joint.backward(seen, &tape.joint, grad_out, &wanted, gradients));
        let mut grad_set = asked_for(of_both.pop());
        let mut grad_h = of_both.pop().flatten();
        if let (Some(stack), Some(tape)) = (&module.after, &tape.after) {
            let of_pooled = self.on_pooled(pooled, |seen| stack.backward(seen, tape, grad_set, &[true], gradients));
            grad_set = asked_for(of_pooled.into_iter().next());
        }
        let of_pooled = self.pool_backward(module.before.as_ref(), (h, wants_h), &tape.pooled, &grad_set, gradients);
        if let Some(grad_h) = &mut grad_h {
            [of_pooled, grad_skip].iter().flatten().for_each(|term| add(grad_h, term));
        }
        grad_h
    }
}

fn asked_for(gradient: Option<Option<Buffer>>) -> Buffer {
    gradient.flatten().expect("a gradient that was asked for")
}

impl SummaryOperation for SetNetwork {
    type Tape = SetTape;

    fn summary_dim(&self) -> usize {
        self.after.units()
    }

    fn forward_block(&self, block: &SummaryBlock<'_>) -> SetTape {
        let sets = Sets::new(self, block);
        let embedding = self.embedding.as_ref().map(|stack| sets.on_each(sets.data, |seen| stack.forward(seen)));
        let mut modules: Vec<ModuleTape> = Vec::with_capacity(self.modules.len());
        for module in &self.modules {
            let tape = sets.module_forward(module, sets.observations(&embedding, &modules));
            modules.push(tape);
        }
        let last = sets.pool_forward(self.before.as_ref(), sets.observations(&embedding, &modules));
        let after = sets.on_pooled(&last.pooled, |seen| self.after.forward(seen));
        SetTape { embedding, modules, last, after }
    }

    fn output<'t>(&self, tape: &'t SetTape) -> &'t [f32] {
        tape.after.output()
    }

    fn backward_block(
        &self,
        block: &SummaryBlock<'_>,
        tape: &SetTape,
        grad_output: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>> {
        let sets = Sets::new(self, block);
        let SetTape { embedding, modules, last, after } = tape;
        // The data's own gradient is rarely asked for; without it the first layers' is not computed.
        let wants_data = block.wanted[0];
        let wants_h = |module: usize| module > 0 || self.embedding.is_some() || wants_data;

        let grad_output = Buffer::copy_of(grad_output);
        let of_pooled =
            sets.on_pooled(&last.pooled, |seen| self.after.backward(seen, after, grad_output, &[true], gradients));
        let grad_pooled = asked_for(of_pooled.into_iter().next());
        let h = (sets.observations(embedding, modules), wants_h(self.modules.len()));
        let mut grad_h = sets.pool_backward(self.before.as_ref(), h, last, &grad_pooled, gradients);
        for (i, (module, module_tape)) in self.modules.iter().zip(modules).enumerate().rev() {
            let h = (sets.observations(embedding, &modules[..i]), wants_h(i));
            grad_h = sets.module_backward(module, h, module_tape, asked_for(Some(grad_h)), gradients);
        }
        if let (Some(stack), Some(stack_tape)) = (&self.embedding, embedding) {
            let grad_out = asked_for(Some(grad_h));
            let wanted = [wants_data];
            let of_data =
                sets.on_each(sets.data, |seen| stack.backward(seen, stack_tape, grad_out, &wanted, gradients));
            grad_h = of_data.into_iter().next().flatten();
        }
        vec![grad_h.filter(|_| wants_data)]
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(&self) -> Option<&dyn crate::plan::gpu::GpuSummary> {
        Some(self)
    }
}
