//! Permutation-invariant summary networks, as in [`crate::deep_set`].

use super::{
    Gpu, Rows,
    stack::{Gradients, Input, Operands, StackTape},
};
use crate::{deep_set::SetNetwork, stack::Stack};

/// What the backward pass needs of a forward pass.
#[derive(Debug)]
pub(super) struct SetTape {
    embedding: Option<StackTape>,
    modules: Vec<ModuleTape>,
    last: PoolTape,
    after: StackTape,
}

impl SetTape {
    /// The summaries.
    pub(super) fn output(&self) -> &Rows {
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
    pooled: Rows,
}

/// What comes out of these modules, or of what is before them.
fn observations<'a>(data: &'a Rows, embedding: &'a Option<StackTape>, modules: &'a [ModuleTape]) -> &'a Rows {
    match (modules.last(), embedding) {
        (Some(module), _) => module.joint.output(),
        (None, Some(embedding)) => embedding.output(),
        (None, None) => data,
    }
}

impl Gpu {
    /// The summaries of data sets, whose observations, `n` of each, are the rows of `data`.
    pub(super) fn set(&self, network: &SetNetwork, operands: &Operands, data: &Rows, n: usize, keeps: bool) -> SetTape {
        let stack = |stack: &Stack, input: Input| self.stack(stack, operands, input, false, keeps);
        let pool = |before: &Option<Stack>, h: &Rows| {
            let before = before.as_ref().map(|before| stack(before, Input::Own(h.clone())));
            let pooled = self.pool(before.as_ref().map_or(h, StackTape::output), n, network.pool);
            PoolTape { before, pooled }
        };
        let embedding = network.embedding.as_ref().map(|embedding| stack(embedding, Input::Own(data.clone())));
        let mut modules: Vec<ModuleTape> = Vec::with_capacity(network.modules.len());
        for module in &network.modules {
            let h = observations(data, &embedding, &modules).clone();
            let pooled = pool(&module.before, &h);
            let after = module.after.as_ref().map(|after| stack(after, Input::Own(pooled.pooled.clone())));
            let shared = after.as_ref().map_or(&pooled.pooled, StackTape::output).clone();
            let joint = self.stack(&module.joint, operands, Input::Shared { own: h, shared }, module.skip, keeps);
            if !keeps {
                modules.clear();
            }
            modules.push(ModuleTape { pooled, after, joint });
        }
        let last = pool(&network.before, observations(data, &embedding, &modules));
        let after = stack(&network.after, Input::Own(last.pooled.clone()));
        SetTape { embedding, modules, last, after }
    }

    /// Writes the gradients of the parameters, from those of the summaries.
    pub(super) fn set_backward(
        &self,
        network: &SetNetwork,
        operands: &Operands,
        data: &Rows,
        tape: &SetTape,
        of_output: Rows,
        gradients: &Gradients,
    ) {
        let stack = |stack: &Stack, tape: &StackTape, of: Rows, wants: bool, others: Option<&Rows>| {
            self.stack_backward(stack, operands, tape, of, wants, others, gradients)
        };
        let of_one = |(of, _): (Option<Rows>, Option<Rows>)| of.expect("it was asked for");
        let unpool =
            |before: &Option<Stack>, h: &Rows, tape: &PoolTape, of: &Rows, wants: bool, others: Option<Rows>| match (
                before,
                &tape.before,
            ) {
                (Some(before), Some(before_tape)) => {
                    let of_values = self.unpool(before_tape.output(), &tape.pooled, of, network.pool, None);
                    stack(before, before_tape, of_values, wants, others.as_ref()).0
                }
                _ => wants.then(|| self.unpool(h, &tape.pooled, of, network.pool, others)),
            };
        // The data's own gradient is not asked for; so that of the first layer's input is not computed.
        let wants_h = |module: usize| module > 0 || network.embedding.is_some();
        let of_pooled = of_one(stack(&network.after, &tape.after, of_output, true, None));
        let count = network.modules.len();
        let h = observations(data, &tape.embedding, &tape.modules);
        let mut of_h = unpool(&network.before, h, &tape.last, &of_pooled, wants_h(count), None);
        for (i, (module, module_tape)) in network.modules.iter().zip(&tape.modules).enumerate().rev() {
            let of_output = of_h.take().expect("the gradient of a module's output was asked for");
            let h = observations(data, &tape.embedding, &tape.modules[..i]);
            let wants = wants_h(i);
            let others = (module.skip && wants).then(|| of_output.clone());
            let (of_own, of_shared) = stack(&module.joint, &module_tape.joint, of_output, wants, others.as_ref());
            let mut of_shared = of_shared.expect("a joint layer has shared rows");
            if let (Some(after), Some(after_tape)) = (&module.after, &module_tape.after) {
                of_shared = of_one(stack(after, after_tape, of_shared, true, None));
            }
            of_h = unpool(&module.before, h, &module_tape.pooled, &of_shared, wants, of_own);
        }
        if let (Some(embedding), Some(embedding_tape), Some(of_output)) = (&network.embedding, &tape.embedding, of_h) {
            stack(embedding, embedding_tape, of_output, false, None);
        }
    }
}
