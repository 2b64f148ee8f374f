//! Compares convolutions with naive loops in f64.

use super::{Convolution, Windows};
use crate::op::{
    Arrays,
    chain::cpu::{RowOperation, Rows},
    linear::Linear,
    testing::numbers,
};

const SETS: usize = 2;
const F: usize = 2;
const UNITS: usize = 3;

/// A number of the output at the window `at` of a data set, whose rows are `x` and of which `mask` are there.
fn naive(
    layer: &Convolution,
    operands: &[Vec<f32>],
    (x, axes, mask): (&[f32], [usize; 2], &[f32]),
    at: [usize; 2],
) -> Vec<f64> {
    let mut out: Vec<f64> = operands[1].iter().map(|bias| f64::from(*bias)).collect();
    for i in 0..layer.kernel[0] {
        for j in 0..layer.kernel[1] {
            // The row of x that is the (i, j)-th of the window.
            let place = |axis: usize, k: usize| match layer.windows {
                Windows::Periodic => Some((at[axis] + k + 5 * axes[axis] - (layer.kernel[axis] - 1) / 2) % axes[axis]),
                Windows::Around => (at[axis] + k).checked_sub((layer.kernel[axis] - 1) / 2),
                Windows::Before => (at[axis] + k).checked_sub(layer.kernel[axis] - 1),
                Windows::Apart => Some(at[axis] * layer.kernel[axis] + k),
            };
            let (Some(row), Some(column)) = (place(0, i), place(1, j)) else { continue };
            if row >= axes[0] || column >= axes[1] || mask[row * axes[1] + column] == 0.0 {
                continue;
            }
            for feature in 0..F {
                let value = f64::from(x[(row * axes[1] + column) * F + feature]);
                let weight = ((i * layer.kernel[1] + j) * F + feature) * UNITS;
                for (unit, out) in out.iter_mut().enumerate() {
                    *out += value * f64::from(operands[0][weight + unit]);
                }
            }
        }
    }
    out
}

#[test]
fn windows_are_those_of_a_naive_loop() {
    let series = [([7, 1], [1, 1]), ([7, 1], [3, 1]), ([7, 1], [4, 1]), ([2, 1], [5, 1])];
    let images = [([3, 5], [3, 3]), ([4, 3], [2, 3]), ([5, 5], [1, 1])];
    for (axes, kernel) in series.into_iter().chain(images) {
        for windows in [Windows::Around, Windows::Periodic, Windows::Before, Windows::Apart] {
            let columns = kernel[0] * kernel[1] * F;
            let operands = vec![numbers(columns * UNITS, 1), numbers(UNITS, 2)];
            let layer = Convolution { linear: Linear { weight: 0, bias: Some(1), units: UNITS }, kernel, windows };
            let rows = axes[0] * axes[1];
            let values = numbers(SETS * rows * F, 9);
            // Gaps in the second data set.
            let gaps: Vec<f32> = (0..SETS * rows).map(|r| if r < rows || r % 3 == 0 { 1.0 } else { 0.0 }).collect();
            for mask in [None, Some(&gaps[..])] {
                let views: Vec<&[f32]> = operands.iter().map(|operand| &operand[..]).collect();
                let x = Rows { sets: SETS, axes, width: F, values: &values, mask };
                let tape = layer.forward(x, Arrays::new(&views));
                let Rows { axes: [height, width], values: got, mask: there, .. } = tape.rows();
                let expected_axes = match windows {
                    Windows::Apart => [0, 1].map(|axis| axes[axis].div_ceil(kernel[axis])),
                    Windows::Around | Windows::Periodic | Windows::Before => axes,
                };
                assert_eq!([height, width], expected_axes, "{windows:?} of {kernel:?}");
                for (window, got) in got.chunks_exact(UNITS).enumerate() {
                    let (set, at) = (window / (height * width), window % (height * width));
                    let all = vec![1.0; rows];
                    let mask = mask.map_or(&all[..], |mask| &mask[set * rows..(set + 1) * rows]);
                    let at = [at / width, at % width];
                    let expected = naive(&layer, &operands, (&values[set * rows * F..], axes, mask), at);
                    for (got, expected) in got.iter().zip(expected) {
                        let close = (f64::from(*got) - expected).abs() < 1e-5;
                        assert!(close, "{windows:?} of {kernel:?} at {at:?}: {got} against {expected}");
                    }
                    // Apart: with any row; else with the row itself.
                    let expected = match windows {
                        Windows::Apart => (0..rows).any(|row| {
                            [row / axes[1] / kernel[0], row % axes[1] / kernel[1]] == at && mask[row] != 0.0
                        }),
                        Windows::Around | Windows::Periodic | Windows::Before => mask[at[0] * axes[1] + at[1]] != 0.0,
                    };
                    assert_eq!(there.is_none_or(|there| there[window] != 0.0), expected, "{windows:?} at {at:?}");
                }
            }
        }
    }
}
