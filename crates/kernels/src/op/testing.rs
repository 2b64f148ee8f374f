//! Compares gradients with finite differences, in tests of operations.

use crate::memory::Buffer;

/// Numbers between −1 and 1 that look random.
pub(crate) fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729 + 13) % 1009) as f32 / 504.5 - 1.0).collect()
}

/// Σ value · weight, in f64.
pub(crate) fn weighted(values: &[f32], weights: &[f32]) -> f64 {
    assert_eq!(values.len(), weights.len(), "a weight for each number");
    values.iter().zip(weights).map(|(&value, &weight)| f64::from(value) * f64::from(weight)).sum()
}

/// Panics unless `gradient` is that of `f` at x, by central differences of a hundredth in f32: their own error is below
/// 1e-3 for the functions here, and an error of 0.05 in any entry is noticed.
#[track_caller]
pub(crate) fn assert_gradient(what: &str, gradient: &[f32], x: &[f32], f: impl Fn(&[f32]) -> f64) {
    assert_eq!(gradient.len(), x.len(), "{what}: numbers of a gradient");
    let mut checked = 0;
    for (i, &got) in gradient.iter().enumerate() {
        let at = |step: f32| {
            let mut moved = x.to_vec();
            moved[i] += step;
            (f(&moved), f64::from(moved[i]))
        };
        let ((above, right), (below, left)) = (at(1e-2), at(-1e-2));
        let expected = (above - below) / (right - left);
        let close = |got: f64| (got - expected).abs() < 2e-3 * expected.abs().max(1.0);
        assert!(close(f64::from(got)), "{what} {i}: {got} against {expected}");
        checked += usize::from(!close(f64::from(got) + 0.05 * expected.abs().max(1.0)));
    }
    assert_eq!(checked, x.len(), "{what}: a planted error passes");
}

/// A gradient that was asked for.
pub(crate) fn asked_for(gradient: &Option<Buffer>) -> &[f32] {
    gradient.as_deref().expect("a gradient that was asked for")
}
