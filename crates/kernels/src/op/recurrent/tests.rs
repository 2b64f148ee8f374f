//! Compares recurrent layers with naive loops in f64.

use super::{Cell, Recurrent};
use crate::op::{
    Arrays,
    chain::cpu::{RowOperation, Rows},
    linear::Linear,
    testing::numbers,
};

const SETS: usize = 2;
const N: usize = 4;
const F: usize = 3;
const UNITS: usize = 5;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The state after the rows, one number at a time.
fn naive(layer: &Recurrent, operands: &[Vec<f32>], rows: &[&[f32]]) -> Vec<f64> {
    let product = |map: &Linear, x: &[f64], column: usize| {
        let weight = &operands[map.weight];
        let sum: f64 = x.iter().enumerate().map(|(i, x)| x * f64::from(weight[i * map.units + column])).sum();
        sum + map.bias.map_or(0.0, |bias| f64::from(operands[bias][column]))
    };
    let (mut h, mut c) = (vec![0.0; UNITS], vec![0.0; UNITS]);
    for row in rows {
        let x: Vec<f64> = row.iter().map(|v| f64::from(*v)).collect();
        let before = h.clone();
        for u in 0..UNITS {
            let a = |gate: usize| product(&layer.input, &x, gate * UNITS + u);
            let b = |gate: usize| product(&layer.state, &before, gate * UNITS + u);
            match layer.cell {
                Cell::Gru => {
                    let (r, z) = (sigmoid(a(0) + b(0)), sigmoid(a(1) + b(1)));
                    let n = (a(2) + r * b(2)).tanh();
                    h[u] = (1.0 - z) * n + z * before[u];
                }
                Cell::Lstm => {
                    let [i, f, o] = [0, 1, 3].map(|gate| sigmoid(a(gate) + b(gate)));
                    c[u] = f * c[u] + i * (a(2) + b(2)).tanh();
                    h[u] = o * c[u].tanh();
                }
            }
        }
    }
    h
}

#[test]
fn states_are_those_of_a_naive_loop() {
    for cell in [Cell::Gru, Cell::Lstm] {
        for reversed in [false, true] {
            let columns = cell.num_gates() * UNITS;
            let operands =
                vec![numbers(F * columns, 1), numbers(columns, 2), numbers(UNITS * columns, 3), numbers(columns, 4)];
            let input = Linear { weight: 0, bias: Some(1), units: columns };
            let state = Linear { weight: 2, bias: (cell == Cell::Gru).then_some(3), units: columns };
            let layer = Recurrent { cell, input, state, units: UNITS, reversed };
            let values = numbers(SETS * N * F, 9);
            // The second series has a gap and padding.
            let mask = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0];
            let views: Vec<&[f32]> = operands.iter().map(|operand| &operand[..]).collect();
            let x = Rows { sets: SETS, axes: [N, 1], width: F, values: &values, mask: Some(&mask) };
            let tape = layer.forward(x, Arrays::new(&views));
            for (set, state) in tape.output.chunks_exact(UNITS).enumerate() {
                let rows = values[set * N * F..(set + 1) * N * F].chunks_exact(F).zip(&mask[set * N..]);
                let mut rows: Vec<&[f32]> = rows.filter(|(_, there)| **there != 0.0).map(|(row, _)| row).collect();
                if reversed {
                    rows.reverse();
                }
                for (got, expected) in state.iter().zip(naive(&layer, &operands, &rows)) {
                    assert!((f64::from(*got) - expected).abs() < 1e-6, "{cell:?}: {got} against {expected}");
                }
            }
        }
    }
}
