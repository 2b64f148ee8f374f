//! Computes set networks and their gradients on a GPU.

use super::{SetModule, SetNetwork};
use crate::{
    gpu::Rows,
    op::{
        dense::{
            Stack,
            gpu::{Seen, StackTape, WantedOwn},
        },
        pool::gpu::{PooledRows, SetRows},
    },
    plan::gpu::{GpuGradients, GpuInput, GpuPass, GpuSummaries, GpuSummary},
};

/// Summaries of sets, with what the backward pass needs.
struct Summaries<'a> {
    network: &'a SetNetwork,
    pass: GpuPass<'a>,
    input: &'a GpuInput,
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
    pooled: Rows,
}

/// The observations as they come out of these modules, or of what is before them.
fn observations<'a>(data: &'a Rows, embedding: &'a Option<StackTape>, modules: &'a [ModuleTape]) -> &'a Rows {
    match (modules.last(), embedding) {
        (Some(module), _) => module.joint.output(),
        (None, Some(embedding)) => embedding.output(),
        (None, None) => data,
    }
}

impl GpuInput {
    /// Observations of the same sets.
    fn sets<'a>(&'a self, rows: &'a Rows) -> SetRows<'a> {
        SetRows { rows, n: self.shape[0], mask: self.mask.as_ref() }
    }
}

impl SetNetwork {
    fn pool_on_gpu(&self, pass: GpuPass<'_>, before: Option<&Stack>, h: &Rows, input: &GpuInput) -> PoolTape {
        let before = before.map(|before| before.forward_on_gpu(pass, Seen::Own(h.clone()), false));
        let pooled = pass.gpu.pool(input.sets(before.as_ref().map_or(h, StackTape::output)), self.pool);
        PoolTape { before, pooled }
    }

    fn module_on_gpu(&self, pass: GpuPass<'_>, module: &SetModule, h: &Rows, input: &GpuInput) -> ModuleTape {
        let pooled = self.pool_on_gpu(pass, module.before.as_ref(), h, input);
        let seen = || Seen::Own(pooled.pooled.clone());
        let after = module.after.as_ref().map(|after| after.forward_on_gpu(pass, seen(), false));
        let shared = after.as_ref().map_or(&pooled.pooled, StackTape::output).clone();
        let joint = module.joint.forward_on_gpu(pass, Seen::Shared { own: h.clone(), shared }, module.skip);
        ModuleTape { pooled, after, joint }
    }
}

impl GpuSummary for SetNetwork {
    fn widest(&self) -> usize {
        let modules = self.modules.iter().flat_map(|module| [module.before.as_ref(), Some(&module.joint)]);
        let stacks = modules.chain([self.embedding.as_ref(), self.before.as_ref()]).flatten();
        stacks.map(Stack::widest).max().unwrap_or(0).max(self.features)
    }

    fn forward<'a>(&'a self, pass: GpuPass<'a>, inputs: &'a [GpuInput]) -> Box<dyn GpuSummaries + 'a> {
        let [input] = inputs else { panic!("{} inputs where one is expected", inputs.len()) };
        assert_eq!((input.shape.len(), input.rows.width), (2, self.features), "dimensions of a set, and features");
        let embedding = self.embedding.as_ref();
        let embedding = embedding.map(|stack| stack.forward_on_gpu(pass, Seen::Own(input.rows.clone()), false));
        let mut modules: Vec<ModuleTape> = Vec::with_capacity(self.modules.len());
        for module in &self.modules {
            let h = observations(&input.rows, &embedding, &modules).clone();
            let tape = self.module_on_gpu(pass, module, &h, input);
            if !pass.keeps {
                modules.clear();
            }
            modules.push(tape);
        }
        let h = observations(&input.rows, &embedding, &modules);
        let last = self.pool_on_gpu(pass, self.before.as_ref(), h, input);
        let after = self.after.forward_on_gpu(pass, Seen::Own(last.pooled.clone()), false);
        Box::new(Summaries { network: self, pass, input, embedding, modules, last, after })
    }
}

impl Summaries<'_> {
    /// The gradients of observations that went through these layers and were pooled, if they are wanted, with others
    /// added.
    fn unpool(
        &self,
        before: Option<&Stack>,
        tape: &PoolTape,
        (h, wants, others): (&Rows, bool, Option<Rows>),
        grad_pooled: &Rows,
        gradients: &GpuGradients,
    ) -> Option<Rows> {
        let (gpu, pool) = (self.pass.gpu, self.network.pool);
        let of = |rows| PooledRows { sets: self.input.sets(rows), pooled: &tape.pooled };
        match (before, &tape.before) {
            (Some(before), Some(before_tape)) => {
                let grad_values = gpu.unpool(of(before_tape.output()), grad_pooled, pool, None);
                let wanted = WantedOwn { wants, others: others.as_ref() };
                before.backward_on_gpu(self.pass, before_tape, grad_values, wanted, gradients).own
            }
            _ => wants.then(|| gpu.unpool(of(h), grad_pooled, pool, others)),
        }
    }
}

impl GpuSummaries for Summaries<'_> {
    fn output(&self) -> &Rows {
        self.after.output()
    }

    fn backward(self: Box<Self>, grad_output: Rows, gradients: &GpuGradients) {
        let Self { network, pass, input, embedding, modules, last, after } = &*self;
        let pass = *pass;
        // The data's own gradient is not asked for; so that of the first layer's input is not computed.
        let wants_h = |module: usize| module > 0 || embedding.is_some();
        let of_after = network.after.backward_on_gpu(pass, after, grad_output, WantedOwn::ALONE, gradients);
        let grad_pooled = of_after.asked_for();
        let h = observations(&input.rows, embedding, modules);
        let of_h = (h, wants_h(modules.len()), None);
        let mut grad_h = self.unpool(network.before.as_ref(), last, of_h, &grad_pooled, gradients);
        for (i, (module, tape)) in network.modules.iter().zip(modules).enumerate().rev() {
            let grad_output = grad_h.take().expect("the gradient of a module's output was asked for");
            let h = observations(&input.rows, embedding, &modules[..i]);
            let wants = wants_h(i);
            let others = (module.skip && wants).then(|| grad_output.clone());
            let wanted = WantedOwn { wants, others: others.as_ref() };
            let of_joint = module.joint.backward_on_gpu(pass, &tape.joint, grad_output, wanted, gradients);
            let mut grad_shared = of_joint.shared.expect("a joint layer has shared rows");
            if let (Some(after), Some(after_tape)) = (&module.after, &tape.after) {
                let of_after = after.backward_on_gpu(pass, after_tape, grad_shared, WantedOwn::ALONE, gradients);
                grad_shared = of_after.asked_for();
            }
            let of_h = (h, wants, of_joint.own);
            grad_h = self.unpool(module.before.as_ref(), &tape.pooled, of_h, &grad_shared, gradients);
        }
        if let (Some(stack), Some(tape), Some(grad_output)) = (&network.embedding, embedding, grad_h) {
            let wanted = WantedOwn { wants: false, others: None };
            stack.backward_on_gpu(pass, tape, grad_output, wanted, gradients);
        }
    }
}
