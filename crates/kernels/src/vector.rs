//! Computes elementary functions of many numbers at once, with the widest SIMD instructions of the processor.
//!
//! The functions are written for one number, without branches, and the compiler vectorises them. It can only do so for
//! code that is inlined into the function that it compiles for each instruction set, hence macros and `inline(always)`.
//! Products are never fused with sums, so that results do not depend on the instruction set.

use std::f32::consts::{FRAC_PI_2, FRAC_PI_4, LOG2_E};

/// A value that a closure consumes, so that the closure can be called only once. Other closures are called through a
/// function that is not always inlined, and are then compiled without AVX: a softmax took four times as long.
pub(crate) struct Once;

/// Compiles an expression for several instruction sets and evaluates it with the best available one.
macro_rules! vectorised {
    ($work:expr) => {{
        let once = $crate::vector::Once;
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                let $crate::vector::Once = { once };
                $work
            },
        )
    }};
}

/// Replaces each number by a function of it, as `map!(x in values => exp(x))`; or of it and its partner, as
/// `map!(x in values, y in partners => x * y)`.
macro_rules! map {
    ($x:ident in $values:expr => $function:expr) => {{
        let values: &mut [f32] = $values;
        $crate::vector::vectorised!(for value in values {
            let $x = *value;
            *value = $function;
        });
    }};
    ($x:ident in $values:expr, $y:ident in $partners:expr => $function:expr) => {{
        let (values, partners): (&mut [f32], &[f32]) = ($values, $partners);
        $crate::vector::vectorised!(for (value, &$y) in values.iter_mut().zip(partners) {
            let $x = *value;
            *value = $function;
        });
    }};
}

pub(crate) use {map, vectorised};

/// n = round(x / ln 2), as 2ⁿ, and exp(x − n ln 2) − 1.
#[inline(always)]
fn power_and_rest(x: f32) -> (f32, f32) {
    // ln 2 as a number of few digits, whose products with n are exact, and the rest (Cody & Waite 1980).
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    // Added to a number, it leaves the nearest integer in the last digits.
    const ROUND: f32 = 12_582_912.0;
    // Below, 2ⁿ is 0; above, n stays 127 and the rest is what makes the result infinite.
    let x = x.clamp(-87.9, 89.5);
    let rounded = (x * LOG2_E + ROUND).min(ROUND + 127.0);
    let n = rounded - ROUND;
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    // Taylor's series: the next term is under 2e-10 for |r| ≤ ln 2 / 2, and 1e-7 for ln 2, which r reaches at the
    // largest results.
    let series = 1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0 + r * (1.0 / 40320.0)));
    (power, r + r * r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * series))))
}

/// exp(x); 0 for x below −87.68, where exp(x) is under the least normal number.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (power, rest) = power_and_rest(x);
    power * rest + power
}

/// exp(x) − 1.
#[inline(always)]
pub(crate) fn exp_m1(x: f32) -> f32 {
    let (power, rest) = power_and_rest(x);
    power * rest + (power - 1.0)
}

/// tanh(x).
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let below = exp_m1(-2.0 * x.abs());
    (-below / (below + 2.0)).copysign(x)
}

/// The inverse tangent of x.
#[inline(always)]
pub(crate) fn atan(x: f32) -> f32 {
    let t = x.abs();
    // The angle from 0, π/4 or π/2, whichever is nearest: tan(a − b) = (tan a − tan b) / (1 + tan a tan b).
    let (above, below, from) = if t > 2.414_213_5 {
        (-1.0, t, FRAC_PI_2)
    } else if t > 0.414_213_57 {
        (t - 1.0, t + 1.0, FRAC_PI_4)
    } else {
        (t, 1.0, 0.0)
    };
    let z = above / below;
    let square = z * z;
    // For |z| ≤ tan(π/8), with the coefficients of Cephes' `atanf` (Moshier 1992).
    let series = -0.333_329_5 + square * (0.199_777_11 + square * (-0.138_776_86 + square * 0.080_537_446));
    (from + (z + z * square * series)).copysign(x)
}

/// 1 / (1 + exp(−x)).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    let above = 1.0 / (1.0 + small);
    if x < 0.0 { small * above } else { above }
}

/// ln(1 + exp(x)).
#[inline(always)]
pub(crate) fn softplus(x: f32) -> f32 {
    // ln(1 + u) = 2 artanh(u / (2 + u)), where the argument is at most 1/3: the series' next term is under 2e-8 of the
    // first.
    let small = exp(-x.abs());
    let s = small / (2.0 + small);
    let square = s * s;
    let series = 1.0 / 9.0 + square * (1.0 / 11.0 + square * (1.0 / 13.0));
    let series = 1.0 + square * (1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0 + square * series)));
    x.max(0.0) + 2.0 * s * series
}

/// Numbers that reductions add up side by side: one vector of AVX-512, two of AVX2.
const LANES: usize = 16;

/// Σ a b, as [`LANES`] sums that are added at the end: one order on every processor.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, rest_a) = a.as_chunks::<LANES>();
    let (b, rest_b) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    for (i, (a, b)) in rest_a.iter().zip(rest_b).enumerate() {
        sums[i] += a * b;
    }
    folded(sums, |a, b| a + b)
}

/// Σ x, in the order of [`dot`].
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for x in whole {
        for i in 0..LANES {
            sums[i] += x[i];
        }
    }
    for (i, x) in rest.iter().enumerate() {
        sums[i] += x;
    }
    folded(sums, |a, b| a + b)
}

/// The largest number; −∞ of none.
#[inline(always)]
pub(crate) fn max_of(x: &[f32]) -> f32 {
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for x in whole {
        for i in 0..LANES {
            most[i] = if x[i] > most[i] { x[i] } else { most[i] };
        }
    }
    for (i, &x) in rest.iter().enumerate() {
        most[i] = if x > most[i] { x } else { most[i] };
    }
    folded(most, |a, b| if b > a { b } else { a })
}

/// Halves the lanes until one is left.
#[inline(always)]
fn folded(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Adds `other` to `sum`, number by number.
pub(crate) fn add(sum: &mut [f32], other: &[f32]) {
    map!(x in sum, y in other => x + y);
}

/// Sums the rows into `sums`.
pub(crate) fn sum_rows(values: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    vectorised!(for row in values.chunks_exact(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function of all of some numbers, by name, and the same of one in f64.
    type Case = (&'static str, fn(&mut [f32]), fn(f64) -> f64);

    const CASES: [Case; 6] = [
        ("exp", |values| map!(x in values => exp(x)), f64::exp),
        ("exp_m1", |values| map!(x in values => exp_m1(x)), f64::exp_m1),
        ("atan", |values| map!(x in values => atan(x)), f64::atan),
        ("tanh", |values| map!(x in values => tanh(x)), f64::tanh),
        ("sigmoid", |values| map!(x in values => sigmoid(x)), |x| 1.0 / (1.0 + (-x).exp())),
        ("softplus", |values| map!(x in values => softplus(x)), |x| if x > 30.0 { x } else { x.exp().ln_1p() }),
    ];

    fn points() -> Vec<f32> {
        let near = (-4000..4000).map(|i| i as f32 * 0.02);
        near.chain([0.0, -0.0, 1e-30, -1e-30, 1e-6, -1e-6, 87.5, 88.7, 300.0, -300.0]).collect()
    }

    #[test]
    fn functions_are_within_some_units_in_the_last_place() {
        for (name, f, exact) in CASES {
            let mut values = points();
            f(&mut values);
            for (x, got) in points().into_iter().zip(values) {
                let expected = exact(f64::from(x)) as f32;
                let close = (got - expected).abs() <= 3e-7 * expected.abs() + 1e-37;
                assert!(close || got == expected, "{name}({x}) = {got}, not {expected}");
            }
        }
    }

    /// A network that has diverged must not seem to have made something finite.
    #[test]
    fn what_is_no_number_stays_so() {
        for (name, f, _) in CASES {
            let mut values = [f32::NAN; 20];
            f(&mut values);
            assert!(values.iter().all(|value| value.is_nan()), "{name}");
        }
        let mut values = [f32::INFINITY, f32::NEG_INFINITY];
        map!(x in &mut values => exp(x));
        assert_eq!(values, [f32::INFINITY, 0.0]);
    }

    /// Draws must not depend on what is computed beside them.
    #[test]
    fn values_do_not_depend_on_their_neighbours() {
        for (name, f, _) in CASES {
            let mut together = points();
            f(&mut together);
            for (x, expected) in points().into_iter().zip(together) {
                let mut alone = [x];
                f(&mut alone);
                assert!(
                    alone[0].to_bits() == expected.to_bits(),
                    "{name}({x}) = {} alone, {expected} among others",
                    alone[0]
                );
            }
        }
    }
}
