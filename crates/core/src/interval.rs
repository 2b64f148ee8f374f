//! Represents the interval that a parameter can lie in, and maps it to the real numbers and back.

use serde::{Deserialize, Serialize};
use statrs::function::erf::{erfc, erfc_inv};
use std::f64::consts::{PI, SQRT_2};
use std::fmt;
use thiserror::Error;

/// The values that a parameter can take: the support of its prior.
///
/// The map to the reals is the identity without bounds, a logarithm with one bound, and the probit (the quantile
/// function of the standard normal distribution) between two bounds. The probit maps a uniform distribution to a
/// standard normal, the base distribution of flows, and the tails of a truncated distribution fall as fast as a
/// normal's; with a logit they would fall only exponentially. Parameters and bounds are f32, so that values mapped back
/// from the reals are never outside, not even by rounding.
///
/// ```
/// use bayesburn_core::Interval;
///
/// let rate = Interval::between(0.0, 2.0)?;
/// let real = rate.to_real(0.5);
/// assert!((real + 0.6744897501960817).abs() < 1e-12); // a quarter of the standard normal distribution is below
/// assert_eq!(rate.from_real(real), 0.5);
/// assert_eq!(rate.from_real(1e9), 2.0);
/// # Ok::<(), bayesburn_core::IntervalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Interval {
    /// Any number.
    #[default]
    Real,
    /// At least this value.
    Above(f32),
    /// At most this value.
    Below(f32),
    /// From the first value to the second.
    Between(f32, f32),
}

/// Bounds that enclose no interval.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("an interval from {low} to {high}: give finite bounds, the lower one first")]
pub struct IntervalError {
    /// The lower bound.
    pub low: f32,
    /// The upper bound.
    pub high: f32,
}

impl Interval {
    /// From `low` to `high`.
    ///
    /// # Errors
    /// Unless `low < high`, both finite.
    pub fn between(low: f32, high: f32) -> Result<Self, IntervalError> {
        Self::Between(low, high).checked()
    }

    /// The interval itself, if its bounds are valid.
    ///
    /// # Errors
    /// Bounds that are not finite, or in the wrong order.
    pub fn checked(self) -> Result<Self, IntervalError> {
        let (low, high) = self.bounds();
        let finite = match self {
            Self::Real => true,
            Self::Above(low) => low.is_finite(),
            Self::Below(high) => high.is_finite(),
            Self::Between(low, high) => low.is_finite() && high.is_finite(),
        };
        if finite && low < high { Ok(self) } else { Err(IntervalError { low, high }) }
    }

    /// Lower and upper bound; infinite where there is no bound.
    #[must_use]
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Self::Real => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Above(low) => (low, f32::INFINITY),
            Self::Below(high) => (f32::NEG_INFINITY, high),
            Self::Between(low, high) => (low, high),
        }
    }

    /// Whether a value lies in the interval, its bounds included; NaN does not.
    #[must_use]
    pub fn contains(self, value: f32) -> bool {
        let (low, high) = self.bounds();
        low <= value && value <= high
    }

    /// Maps a value to the reals: θ, ln(θ − low), −ln(high − θ), or Φ⁻¹((θ − low) / (high − low)).
    ///
    /// A value on a bound or beyond it is mapped as if it were half an ulp inside, that is half the distance from the
    /// bound to the next f32. Rounding to f32 puts some values exactly on a bound that is far from 0; with this rule
    /// they are mapped close to their neighbours.
    #[must_use]
    pub fn to_real(self, value: f32) -> f64 {
        let (below, above) = self.distances(value);
        match self {
            Self::Real => f64::from(value),
            Self::Above(_) => below.ln(),
            Self::Below(_) => -above.ln(),
            // From the nearer bound, so that values near to it keep their digits.
            Self::Between(low, high) => {
                let width = width(low, high);
                if below < above { quantile(below / width) } else { -quantile(above / width) }
            }
        }
    }

    /// ln|d real / dθ| of [`Interval::to_real`].
    #[must_use]
    pub fn log_derivative(self, value: f32) -> f64 {
        let (below, above) = self.distances(value);
        match self {
            Self::Real => 0.0,
            Self::Above(_) => -below.ln(),
            Self::Below(_) => -above.ln(),
            Self::Between(low, high) => 0.5 * ((2.0 * PI).ln() + self.to_real(value).powi(2)) - width(low, high).ln(),
        }
    }

    /// The derivative of [`Interval::log_derivative`] with respect to θ.
    #[must_use]
    pub fn log_derivative_slope(self, value: f32) -> f64 {
        let (below, above) = self.distances(value);
        match self {
            Self::Real => 0.0,
            Self::Above(_) => -below.recip(),
            Self::Below(_) => above.recip(),
            Self::Between(..) => self.to_real(value) * self.log_derivative(value).exp(),
        }
    }

    /// Maps a real number to a value in the interval: the inverse of [`Interval::to_real`].
    #[must_use]
    pub fn from_real(self, real: f64) -> f32 {
        let (low, high) = self.bounds();
        let value = match self {
            Self::Real => real,
            Self::Above(low) => f64::from(low) + real.exp(),
            Self::Below(high) => f64::from(high) - (-real).exp(),
            Self::Between(low, high) if real < 0.0 => f64::from(low) + width(low, high) * below(real),
            Self::Between(low, high) => f64::from(high) - width(low, high) * below(-real),
        };
        // exp of a large number may be infinite.
        (value as f32).clamp(low.max(f32::MIN), high.min(f32::MAX))
    }

    /// Distances of a value from both bounds; half an ulp if it is not inside.
    fn distances(self, value: f32) -> (f64, f64) {
        let (low, high) = self.bounds();
        let distance = |from: f32, to: f32, half_ulp: f64| {
            let distance = f64::from(to) - f64::from(from);
            if distance > 0.0 { distance } else { half_ulp }
        };
        (distance(low, value, half_ulp(low, low.next_up())), distance(value, high, half_ulp(high.next_down(), high)))
    }
}

/// Half the distance between two neighbours; between the largest f32 and infinity, half that to the next smaller f32.
fn half_ulp(a: f32, b: f32) -> f64 {
    const LARGEST: f64 = (1_u128 << 103) as f64;
    (0.5 * (f64::from(b) - f64::from(a))).min(LARGEST)
}

fn width(low: f32, high: f32) -> f64 {
    f64::from(high) - f64::from(low)
}

/// Φ: the cumulative distribution function of the standard normal.
fn below(real: f64) -> f64 {
    0.5 * erfc(-real / SQRT_2)
}

/// Φ⁻¹: the quantile function of the standard normal.
fn quantile(share: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * share)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real => f.write_str("any number"),
            Self::Above(low) => write!(f, "at least {low}"),
            Self::Below(high) => write!(f, "at most {high}"),
            Self::Between(low, high) => write!(f, "[{low}, {high}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Interval; 5] = [
        Interval::Real,
        Interval::Above(-1.5),
        Interval::Below(3.0),
        Interval::Between(-2.0, 2.0),
        Interval::Between(0.1, 0.3),
    ];

    #[test]
    fn values_come_back() {
        for interval in ALL {
            for value in [0.11f32, 0.2, 0.29] {
                let back = interval.from_real(interval.to_real(value));
                assert!((back - value).abs() <= 2.0 * f32::EPSILON * value, "{interval}: {value} became {back}");
            }
        }
    }

    #[test]
    fn log_derivatives_are_those_of_differences() {
        for interval in ALL {
            for value in [0.125f32, 0.25] {
                let step = 2f32.powi(-12);
                let rise = interval.to_real(value + step) - interval.to_real(value - step);
                let expected = (rise / (2.0 * f64::from(step))).ln();
                let got = interval.log_derivative(value);
                assert!((got - expected).abs() < 1e-4, "{interval} at {value}: {got}, by differences {expected}");
            }
        }
    }

    #[test]
    fn slopes_of_log_derivatives_are_those_of_differences() {
        for interval in ALL {
            for value in [0.125f32, 0.25] {
                let step = 2f32.powi(-12);
                let rise = interval.log_derivative(value + step) - interval.log_derivative(value - step);
                let (expected, got) = (rise / (2.0 * f64::from(step)), interval.log_derivative_slope(value));
                assert!(
                    (got - expected).abs() < 1e-3 * expected.abs().max(1.0),
                    "{interval} at {value}: {got}, {expected}"
                );
            }
        }
    }

    #[test]
    fn nothing_comes_back_from_outside() {
        for interval in ALL {
            for real in [-1e300, -1e4, -90.0, -20.0, 0.0, 20.0, 90.0, 1e4, 1e300] {
                let value = interval.from_real(real);
                assert!(value.is_finite() && interval.contains(value), "{interval}: {real} became {value}");
            }
        }
    }

    #[test]
    fn bounds_have_finite_images() {
        let unit = Interval::Between(0.0, 1.0);
        assert!(unit.contains(0.0) && unit.contains(1.0) && !unit.contains(1.0 + f32::EPSILON));
        for value in [0.0, 1.0] {
            assert!(unit.to_real(value).is_finite() && unit.log_derivative(value).is_finite());
        }
        assert!(!Interval::Real.contains(f32::NAN));
    }

    /// Values on a bound are half as far from it as the next number, at either end and at any distance from 0; images
    /// rise.
    #[test]
    fn bounds_are_half_an_ulp_inside() {
        for bound in [0.0_f32, 1e-30, -1e-30, 1.0, -1.5, 100.0, 1e4, -2.45e6, 3e30] {
            let (up, down) = (Interval::Above(bound), Interval::Below(bound));
            let next = [bound.next_up(), bound.next_down()];
            let rises = [up.to_real(next[0]) - up.to_real(bound), down.to_real(bound) - down.to_real(next[1])];
            assert!(rises.iter().all(|rise| (rise - 2f64.ln()).abs() < 1e-12), "{bound}: {rises:?}");
            let fall = up.log_derivative(next[0]) - up.log_derivative(bound);
            assert!((fall + 2f64.ln()).abs() < 1e-12, "{bound}: {fall}");
            assert!((up.log_derivative_slope(bound) / up.log_derivative_slope(next[0]) - 2.0).abs() < 1e-12, "{bound}");

            let above = bound + bound.abs().max(1e-30);
            let between = Interval::between(bound, above).expect("bounds in order");
            let ends = [(bound, bound.next_up()), (above, above.next_down())];
            for (end, next) in ends {
                let share = (f64::from(next) - f64::from(end)).abs() / width(bound, above);
                assert!((below(-between.to_real(end).abs()) / (0.5 * share) - 1.0).abs() < 1e-9, "{between} at {end}");
                assert!((below(-between.to_real(next).abs()) / share - 1.0).abs() < 1e-9, "{between} at {next}");
                assert!(between.log_derivative(end).is_finite() && between.log_derivative_slope(end).is_finite());
            }
        }
        let largest = Interval::Above(f32::MAX);
        assert!(largest.to_real(f32::MAX).is_finite() && largest.contains(largest.from_real(90.0)));
    }

    /// 100,000 quantiles of exponential and uniform distributions beyond a bound, as f32, have the moments of ln x (−γ
    /// and π/√6) and of a normal, up to what rounding to steps of 1/16 takes away. It puts up to 3% of them on the
    /// bound: taken for 1e-38 away, they made a standard deviation of 14.6.
    #[test]
    fn values_that_rounding_puts_on_a_bound_are_not_far_from_others() {
        let n = 100_000;
        let shares = || (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n));
        let moments = |reals: Vec<f64>| {
            let mean = reals.iter().sum::<f64>() / reals.len() as f64;
            let variance = reals.iter().map(|real| (real - mean).powi(2)).sum::<f64>() / reals.len() as f64;
            (mean, variance.sqrt())
        };
        for low in [0.0_f32, 1.0, 100.0, 1e4, 1e6] {
            let step = f64::from(low.next_up()) - f64::from(low);
            let check = |what: &str, (mean, std): (f64, f64), expected: (f64, f64)| {
                assert!((mean - expected.0).abs() < 0.01 + 1.5 * step, "{what} at {low}: mean {mean}");
                assert!((std - expected.1).abs() < 0.02 + 2.0 * step, "{what} at {low}: standard deviation {std}");
            };
            let exponential = |share: f64| -(-share).ln_1p();
            let above = |share| Interval::Above(low).to_real((f64::from(low) + exponential(share)) as f32);
            check("above", moments(shares().map(above).collect()), (-0.5772, 1.2825));
            let below = |share| Interval::Below(-low).to_real(-((f64::from(low) + exponential(share)) as f32));
            check("below", moments(shares().map(below).collect()), (0.5772, 1.2825));
            let interval = Interval::Between(low, low + 1.0);
            let between = |share| interval.to_real((f64::from(low) + share) as f32);
            check("between", moments(shares().map(between).collect()), (0.0, 1.0));
        }
    }

    /// In other units, by a power of 2, which f32 does without rounding: the same images, but for the logarithm of the
    /// unit.
    #[test]
    fn units_do_not_matter() {
        for unit in [2f32.powi(-100), 2f32.powi(100)] {
            let log = f64::from(unit).ln();
            for value in [0.11f32, 0.2, 0.29, 0.3, 0.1] {
                let pairs = [
                    (Interval::Above(0.1), Interval::Above(0.1 * unit), log),
                    (Interval::Below(0.3), Interval::Below(0.3 * unit), -log),
                    (Interval::Between(-0.3, 0.3), Interval::Between(-0.3 * unit, 0.3 * unit), 0.0),
                    (Interval::Between(0.1, 0.3), Interval::Between(0.1 * unit, 0.3 * unit), 0.0),
                ];
                for (one, other, shift) in pairs {
                    let off = other.to_real(value * unit) - one.to_real(value) - shift;
                    assert!(off.abs() < 1e-12 * log.abs(), "{one} and {other} at {value}: {off}");
                    let off = other.log_derivative(value * unit) - one.log_derivative(value) + log;
                    assert!(off.abs() < 1e-12 * log.abs(), "{one} and {other} at {value}: {off}");
                    let back = other.from_real(other.to_real(value * unit));
                    assert!((back / unit - value).abs() <= 2.0 * f32::EPSILON * value, "{other}: {back}");
                }
            }
        }
    }

    #[test]
    fn values_near_a_bound_at_0_come_back() {
        for value in [1e-20_f32, 1e-38, 1e-42, 1e-45] {
            for interval in [Interval::Above(0.0), Interval::Between(0.0, 1.0), Interval::Between(0.0, 1e-15)] {
                let back = interval.from_real(interval.to_real(value));
                assert!((back - value).abs() <= 1e-5 * value, "{interval}: {value:e} became {back:e}");
                assert!(interval.to_real(value) > interval.to_real(0.0), "{interval}");
            }
            let (interval, value) = (Interval::Below(0.0), -value);
            assert!((interval.from_real(interval.to_real(value)) / value - 1.0).abs() <= 1e-5, "{value:e}");
        }
    }

    #[test]
    fn a_uniform_distribution_becomes_a_normal_one() {
        // Quantiles of the standard normal distribution, and its density there.
        let unit = Interval::Between(0.0, 1.0);
        for (share, quantile) in
            [(0.5f32, 0.0), (0.25, -0.674_489_750_196_081_7), (2f32.powi(-20), -4.763_001_034_267_814)]
        {
            assert!((unit.to_real(share) - quantile).abs() < 1e-9, "{share}: {}", unit.to_real(share));
            let log_prob = -0.5 * (quantile * quantile + (2.0 * PI).ln());
            assert!((unit.log_derivative(share) + log_prob).abs() < 1e-8);
        }
        assert_eq!(unit.to_real(0.75), -unit.to_real(0.25));
    }

    #[test]
    fn empty_intervals_are_refused() {
        assert!(Interval::between(1.0, 1.0).is_err() && Interval::between(0.0, f32::INFINITY).is_err());
        let error = Interval::between(2.0, -2.0).expect_err("the wrong order").to_string();
        assert!(error.contains("from 2 to -2"), "{error}");
        assert!(Interval::Above(f32::NAN).checked().is_err());
    }
}
