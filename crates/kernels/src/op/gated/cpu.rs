//! Computes gated feed-forward networks and their gradients on the processor.

use super::Gated;
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        activation::Activation,
        chain::cpu::{RowOperation, RowTape, Rows},
    },
    vector::{map, sigmoid, vectorised},
};

/// The values of a forward pass: l₁(x), l₂(x) and a(l₁(x)) ⊙ l₂(x).
struct Kept {
    sums: Buffer,
    up: Buffer,
    product: Buffer,
}

/// One pass over memory for x · sigmoid(x), which is the usual activation; others take three.
fn gate(activation: Activation, sums: &[f32], up: &[f32], product: &mut [f32]) {
    if activation == Activation::Silu {
        let inputs = sums.iter().zip(up);
        vectorised!(for (product, (&x, up)) in product.iter_mut().zip(inputs) {
            *product = x * sigmoid(x) * up;
        });
        return;
    }
    product.copy_from_slice(sums);
    activation.apply(product);
    map!(gate in product, up in up => gate * up);
}

/// Replaces the gradients of the product by those of l₂(x), and writes those of l₁(x).
fn gate_backward(activation: Activation, sums: &[f32], up: &[f32], grad: &mut [f32], grad_sums: &mut [f32]) {
    if activation == Activation::Silu {
        let inputs = sums.iter().zip(up);
        vectorised!(for ((grad, grad_sum), (&x, up)) in grad.iter_mut().zip(grad_sums).zip(inputs) {
            let s = sigmoid(x);
            *grad_sum = *grad * up * (s * (1.0 + x * (1.0 - s)));
            *grad *= x * s;
        });
        return;
    }
    let mut gate = Buffer::copy_of(sums);
    activation.apply(&mut gate);
    grad_sums.copy_from_slice(grad);
    map!(grad in grad_sums, up in up => grad * up);
    activation.apply_backward(sums, grad_sums);
    map!(grad in grad, gate in &gate => grad * gate);
}

impl RowOperation for Gated {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let sums = self.gate.rows(x.values, x.width, arrays);
        let up = self.up.rows(x.values, x.width, arrays);
        let mut product = Buffer::new(sums.len());
        gate(self.activation, &sums, &up, &mut product);
        let out = self.down.rows(&product, self.up.units, arrays);
        RowTape::of_rows(x, out, Kept { sums, up, product })
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let Kept { sums, up, product } = tape.inner();
        let mut grad_product = None;
        let inner = (&**product, self.up.units);
        self.down.gradients(inner, &grad_output, Some(&mut grad_product), (arrays, &mut *gradients));
        let mut grad_up = grad_product.expect("a gradient that was asked for");
        let mut grad_sums = Buffer::new(grad_up.len());
        gate_backward(self.activation, sums, up, &mut grad_up, &mut grad_sums);
        let mut grad_x = None;
        for (linear, grad) in [(&self.gate, &grad_sums), (&self.up, &grad_up)] {
            let grad_x = wants_x.then_some(&mut grad_x);
            linear.gradients((x.values, x.width), grad, grad_x, (arrays, &mut *gradients));
        }
        grad_x
    }
}
