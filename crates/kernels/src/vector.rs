//! Functions of many numbers at once, by the widest instructions that the processor has.

use pulp::Arch;
use wide::f32x8;

/// Compiles `work` for several instruction sets and runs the best that is there.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Replaces each number by a function of it, eight at a time. What comes out for a number does not depend on its place.
#[inline(always)]
pub(crate) fn map(values: &mut [f32], f: impl Fn(f32x8) -> f32x8) {
    vectorised(|| {
        let (eights, rest) = values.as_chunks_mut::<8>();
        for eight in eights {
            *eight = f(f32x8::new(*eight)).to_array();
        }
        let mut last = [0.0; 8];
        last[..rest.len()].copy_from_slice(rest);
        rest.copy_from_slice(&f(f32x8::new(last)).to_array()[..rest.len()]);
    });
}

/// As [`map`], of each number and its partner.
#[inline(always)]
pub(crate) fn map_with(values: &mut [f32], partners: &[f32], f: impl Fn(f32x8, f32x8) -> f32x8) {
    vectorised(|| {
        let (eights, rest) = values.as_chunks_mut::<8>();
        let (partner_eights, partner_rest) = partners.as_chunks::<8>();
        for (eight, partner) in eights.iter_mut().zip(partner_eights) {
            *eight = f(f32x8::new(*eight), f32x8::new(*partner)).to_array();
        }
        let (mut last, mut partner) = ([0.0; 8], [0.0; 8]);
        last[..rest.len()].copy_from_slice(rest);
        partner[..rest.len()].copy_from_slice(&partner_rest[..rest.len()]);
        rest.copy_from_slice(&f(f32x8::new(last), f32x8::new(partner)).to_array()[..rest.len()]);
    });
}

/// 1 / (1 + exp(−x)).
#[inline(always)]
pub(crate) fn sigmoid(x: f32x8) -> f32x8 {
    let small = (-x.abs()).exp();
    let at_minus_abs = small / (small + 1.0);
    x.simd_lt(f32x8::ZERO).select(at_minus_abs, f32x8::ONE - at_minus_abs)
}

/// ln(1 + exp(x)).
#[inline(always)]
pub(crate) fn softplus(x: f32x8) -> f32x8 {
    x.max(f32x8::ZERO) + (-x.abs()).exp().ln_1p()
}

/// Adds `other` to `sum`, number by number.
pub(crate) fn add(sum: &mut [f32], other: &[f32]) {
    vectorised(|| sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other));
}

/// Sums the rows into `sums`.
pub(crate) fn sum_rows(values: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    vectorised(|| {
        for row in values.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function, by name, and the same in f64.
    type Case = (&'static str, fn(f32x8) -> f32x8, fn(f64) -> f64);

    const CASES: [Case; 6] = [
        ("exp", f32x8::exp, f64::exp),
        ("exp_m1", f32x8::exp_m1, f64::exp_m1),
        ("atan", f32x8::atan, f64::atan),
        ("tanh", f32x8::tanh, f64::tanh),
        ("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        ("softplus", softplus, |x| if x > 30.0 { x } else { x.exp().ln_1p() }),
    ];

    fn points() -> Vec<f32> {
        let near = (-4000..4000).map(|i| i as f32 * 0.02);
        near.chain([0.0, -0.0, 1e-30, -1e-30, 1e-6, -1e-6, 300.0, -300.0]).collect()
    }

    #[test]
    fn functions_are_within_some_units_in_the_last_place() {
        for (name, f, exact) in CASES {
            let mut values = points();
            map(&mut values, f);
            for (x, got) in points().into_iter().zip(values) {
                let expected = exact(f64::from(x)) as f32;
                let close = (got - expected).abs() <= 5e-7 * expected.abs() + 1e-37;
                assert!(close || got == expected, "{name}({x}) = {got}, not {expected}");
            }
        }
    }

    /// Draws must not depend on what is computed beside them.
    #[test]
    fn values_do_not_depend_on_their_neighbours() {
        for (name, f, _) in CASES {
            let mut together = points();
            map(&mut together, f);
            for (x, expected) in points().into_iter().zip(together) {
                let mut alone = [x];
                map(&mut alone, f);
                assert!(
                    alone[0].to_bits() == expected.to_bits(),
                    "{name}({x}) = {} alone, {expected} among others",
                    alone[0]
                );
            }
        }
    }
}
