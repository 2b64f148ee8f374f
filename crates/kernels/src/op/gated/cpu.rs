//! Computes gated feed-forward networks and their gradients on the processor.

use super::Gated;
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        chain::cpu::{RowOperation, RowTape, Rows},
    },
    vector::map,
};

/// The values of a forward pass: l₁(x), a(l₁(x)), l₂(x) and the product of the last two.
struct Kept {
    sums: Buffer,
    gate: Buffer,
    up: Buffer,
    product: Buffer,
}

impl RowOperation for Gated {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let sums = self.gate.rows(x.values, x.width, arrays);
        let up = self.up.rows(x.values, x.width, arrays);
        let mut gate = Buffer::copy_of(&sums);
        self.activation.apply(&mut gate);
        let mut product = Buffer::copy_of(&gate);
        map!(gate in &mut product, up in &up => gate * up);
        let out = self.down.rows(&product, self.up.units, arrays);
        RowTape::of_rows(x, out, Kept { sums, gate, up, product })
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let Kept { sums, gate, up, product } = tape.inner();
        let mut grad_product = None;
        let inner = (&**product, self.up.units);
        self.down.gradients(inner, &grad_output, Some(&mut grad_product), (arrays, &mut *gradients));
        let mut grad_gate = grad_product.expect("a gradient that was asked for");
        let mut grad_up = Buffer::copy_of(&grad_gate);
        map!(grad in &mut grad_up, gate in gate => grad * gate);
        map!(grad in &mut grad_gate, up in up => grad * up);
        self.activation.apply_backward(sums, &mut grad_gate);
        let mut grad_x = None;
        for (linear, grad) in [(&self.gate, &grad_gate), (&self.up, &grad_up)] {
            let grad_x = wants_x.then_some(&mut grad_x);
            linear.gradients((x.values, x.width), grad, grad_x, (arrays, &mut *gradients));
        }
        grad_x
    }
}
