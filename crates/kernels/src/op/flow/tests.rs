//! Checks flows of affine and spline layers: gradients against finite differences, inverses, log-determinants.

use super::{Flow, FlowLayer, cpu::FlowBlock};
use crate::{
    gradients::Gradients,
    op::{
        Dropout,
        affine::Affine,
        coupling::Coupling,
        dense::{Layer, Stack, Weight},
        normalization::Normalization,
        permutation::Permutation,
        spline::{Spline, SplineTransform},
        testing::{asked_for, assert_gradient, numbers, weighted},
    },
    source::Source,
};

const ROWS: usize = 5;
const DIM: usize = 3;
const CONDITION: usize = 2;

/// Linear networks for these halves; operands are pushed.
struct Operands(Vec<Vec<f32>>);

impl Operands {
    fn push(&mut self, len: usize) -> usize {
        self.0.push(numbers(len, self.0.len() + 1).iter().map(|v| 0.5 * v).collect());
        self.0.len() - 1
    }

    /// Of the other half and the condition.
    fn net(&mut self, other: usize, units: usize) -> Stack {
        let operand = self.push((other + CONDITION) * units);
        let weights = [0, other].map(|first_row| Weight { operand, first_row }).to_vec();
        let layer = Layer { weights, bias: self.push(units), units, activation: None, skip: false, dropout: None };
        Stack { layers: vec![layer], shortcut: Vec::new() }
    }
}

fn flow() -> (Flow, Vec<Vec<f32>>) {
    let mut operands = Operands(Vec::new());
    let normalization = Normalization { scale: operands.push(DIM), bias: operands.push(DIM) };
    operands.0[normalization.scale].iter_mut().for_each(|scale| *scale += 1.5);
    let affine = |operands: &mut Operands, own: usize, separate: bool| {
        let scale = operands.net(DIM - own, if separate { own } else { 2 * own });
        let translation = separate.then(|| operands.net(DIM - own, own));
        Coupling::Affine(Affine { scale, translation, soft_clamping: separate.then_some(1.9) })
    };
    let spline = |operands: &mut Operands, own: usize| {
        let spline = Spline { bins: 3, domain: 2.0, bin_offset: 1.0, derivative_offset: 0.5, smallest: 1e-3 };
        Coupling::Spline(SplineTransform { net: operands.net(DIM - own, 10 * own), spline })
    };
    let layers = vec![
        FlowLayer {
            normalization: Some(normalization),
            permutation: Permutation { order: vec![2, 0, 1] },
            first: Some(affine(&mut operands, 1, true)),
            second: affine(&mut operands, 2, false),
        },
        FlowLayer {
            normalization: None,
            permutation: Permutation { order: vec![1, 2, 0] },
            first: Some(spline(&mut operands, 1)),
            second: spline(&mut operands, 2),
        },
    ];
    (Flow { layers, dim: DIM, condition_dim: CONDITION, dropout_dim: 0 }, operands.0)
}

/// What a flow is a function of.
#[derive(Clone)]
struct Arguments {
    operands: Vec<Vec<f32>>,
    targets: Vec<f32>,
    condition: Vec<f32>,
}

impl Arguments {
    fn with<R>(&self, rows: &[f32], use_block: impl FnOnce(&FlowBlock<'_>) -> R) -> R {
        let operands: Vec<&[f32]> = self.operands.iter().map(|operand| &operand[..]).collect();
        let condition = Some(Source::new(&self.condition, CONDITION));
        use_block(&FlowBlock { operands: &operands, rows, condition, dropout: Dropout::default() })
    }

    /// Latents and log-determinants.
    fn out(&self, flow: &Flow) -> Vec<f32> {
        let mut out = Vec::new();
        self.with(&self.targets, |block| flow.forward_block(block, &mut out));
        out
    }
}

fn arguments() -> (Flow, Arguments) {
    let (flow, operands) = flow();
    (flow, Arguments { operands, targets: numbers(ROWS * DIM, 50), condition: numbers(ROWS * CONDITION, 51) })
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (flow, arguments) = arguments();
    let weights = numbers(ROWS * (DIM + 1), 60);
    let value = |arguments: &Arguments| weighted(&arguments.out(&flow), &weights);
    let wanted = vec![true; arguments.operands.len()];
    let (grad, of_operands) = arguments.with(&arguments.targets, |block| {
        let mut gradients = Gradients::new(block.operands, &wanted);
        let tapes = flow.forward_block(block, &mut Vec::new());
        let grad = flow.backward_block(block, &tapes, &weights, true, &mut gradients);
        (grad, gradients.into_values())
    });
    for (place, gradient) in of_operands.iter().enumerate() {
        assert_gradient(&format!("operand {place}"), asked_for(gradient), &arguments.operands[place], |x| {
            let mut moved = arguments.clone();
            moved.operands[place] = x.to_vec();
            value(&moved)
        });
    }
    assert_gradient("targets", &grad.targets, &arguments.targets, |x| {
        value(&Arguments { targets: x.to_vec(), ..arguments.clone() })
    });
    assert_gradient("condition", asked_for(&grad.condition), &arguments.condition, |x| {
        value(&Arguments { condition: x.to_vec(), ..arguments.clone() })
    });
}

#[test]
fn the_way_back_leads_to_the_targets() {
    let (flow, arguments) = arguments();
    let out = arguments.out(&flow);
    let latents: Vec<f32> = out.chunks_exact(DIM + 1).flat_map(|row| &row[..DIM]).copied().collect();
    let targets = arguments.with(&latents, |block| flow.inverse_block(block));
    for (got, expected) in targets.iter().zip(&arguments.targets) {
        assert!((got - expected).abs() < 1e-4, "{got} against {expected}");
    }
}

/// ln|det ∂z/∂θ| of each row, by central differences and Sarrus' rule.
#[test]
fn log_determinants_are_those_of_the_jacobian() {
    let (flow, arguments) = arguments();
    let out = arguments.out(&flow);
    for r in 0..ROWS {
        let column = |d: usize| -> [f64; DIM] {
            let at = |step: f32| {
                let mut moved = arguments.clone();
                moved.targets[r * DIM + d] += step;
                moved.out(&flow)[r * (DIM + 1)..][..DIM].to_vec()
            };
            let (above, below) = (at(1e-2), at(-1e-2));
            std::array::from_fn(|i| f64::from(above[i] - below[i]) / 2e-2)
        };
        let [a, b, c] = [0, 1, 2].map(column);
        let minor = |i: usize, j: usize| b[i] * c[j] - b[j] * c[i];
        let determinant = a[0] * minor(1, 2) - a[1] * minor(0, 2) + a[2] * minor(0, 1);
        let got = f64::from(out[r * (DIM + 1) + DIM]);
        assert!((got - determinant.abs().ln()).abs() < 5e-3, "row {r}: {got} against {}", determinant.abs().ln());
    }
}
