//! Chooses the scale of each parameter: its own, or a logarithm if the prior spans decades.

use bayesburn_core::Interval;
use bayesburn_simulation::{Density, Prior};

/// Number of prior draws for the quantiles. The standard error of the skewness is about 0.01, a tenth of its threshold.
const DRAWS: usize = 10_000;
/// The skewness (q₅ + q₉₅ − 2 q₅₀) / (q₉₅ − q₅) above which a parameter's own scale is skewed; an exponential
/// distribution has 0.57.
const SKEWED: f64 = 0.3;
/// The skewness up to which a logarithmic scale counts as symmetric. It is 0 for log-normal and log-uniform
/// distributions, −0.28 for the exponential one.
const EVEN: f64 = 0.15;
/// The least ratio of the 95% and 5% quantiles, of the distance from a bound, that counts as spanning decades: that of
/// a log-normal distribution whose logarithm has a standard deviation of 0.91.
const DECADES: f64 = 20.0;
/// The ratio above which there is a warning if the logarithmic scale is not symmetric either.
const WIDE: f64 = 100.0;

/// The scales chosen for a prior's parameters.
#[derive(Debug, Default)]
pub(crate) struct Scales {
    /// The intervals to map parameters from: those that span decades become logarithms, the others are unchanged.
    /// `None` if all are unchanged.
    pub(crate) support: Option<Vec<Interval>>,
    /// Parameters that span decades for which a logarithm is no better.
    pub(crate) unresolved: Vec<String>,
}

/// Chooses scales from prior draws; none if the prior cannot be drawn from.
pub(crate) fn scales(prior: &Prior) -> Scales {
    let bounded = |density: &&Density| density.support().iter().any(|interval| *interval != Interval::Real);
    let density = prior.density().filter(|density| bounded(density) && !density.is_uniform());
    let (Some(density), Ok(draws)) = (density, prior.sample(DRAWS, 0)) else { return Scales::default() };
    let mut scales = Scales::default();
    let mut support = Vec::with_capacity(density.support().len());
    for (d, &interval) in density.support().iter().enumerate() {
        let mut column = draws.column(d).to_vec();
        column.sort_by(f32::total_cmp);
        let quantiles = [0.05, 0.5, 0.95].map(|share| column[(share * DRAWS as f64) as usize]);
        let skewed = skewness(quantiles.map(f64::from)).abs() > SKEWED;
        // Parameters that are often exactly at a bound, such as integers, have no logarithm.
        let inside = |log: &Interval| {
            let (low, high) = log.bounds();
            quantiles.iter().all(|value| low < *value && *value < high)
        };
        let logarithms = logarithms(interval).into_iter().filter(inside);
        let logarithms: Vec<_> = logarithms.map(|log| (log, quantiles.map(|value| log.to_real(value)))).collect();
        let spans = |reals: &[f64; 3], factor: f64| skewed && reals[2] - reals[0] > factor.ln();
        let even = logarithms.iter().find(|(_, reals)| spans(reals, DECADES) && skewness(*reals).abs() < EVEN);
        support.push(even.map_or(Interval::Real, |(log, _)| *log));
        if even.is_none() && logarithms.iter().any(|(_, reals)| spans(reals, WIDE)) {
            scales.unresolved.push(prior.names()[d].clone());
        }
    }
    scales.support = support.iter().any(|interval| *interval != Interval::Real).then_some(support);
    scales
}

/// The possible logarithmic scales of a parameter in an interval: of itself, or of its distance from a bound.
fn logarithms(interval: Interval) -> Vec<Interval> {
    let (low, high) = interval.bounds();
    let mut logarithms = Vec::new();
    if low.is_finite() {
        logarithms.extend((low > 0.0).then_some(Interval::Above(0.0)));
        logarithms.push(Interval::Above(low));
    }
    if high.is_finite() {
        logarithms.extend((high < 0.0).then_some(Interval::Below(0.0)));
        logarithms.push(Interval::Below(high));
    }
    logarithms
}

fn skewness([low, middle, high]: [f64; 3]) -> f64 {
    (low + high - 2.0 * middle) / (high - low).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayesburn_simulation::{PriorError, Univariate};
    use rand::RngExt;
    use std::f32::consts::LN_10;

    fn of(distribution: Result<Univariate, PriorError>) -> Scales {
        scales(&Prior::independent([("a", distribution.expect("settings"))]))
    }

    fn of_function(interval: Interval, f: impl Fn(f32) -> f32 + Send + Sync + 'static) -> Scales {
        let prior = Prior::from_fn(["a"], move |rng, _| [f(rng.random::<f32>())]);
        scales(&prior.with_log_prob([interval], |_| 0.0).expect("one interval"))
    }

    #[test]
    fn priors_over_decades_are_logarithms() {
        for std in [1.0, 1.5, 3.0] {
            assert_eq!(of(Univariate::log_normal(-2.0, std)).support, Some(vec![Interval::Above(0.0)]), "{std}");
        }
        let log_uniform = |low: f32, high: f32| move |u: f32| (low * (high / low).powf(u)).clamp(low, high);
        for (low, high) in [(1e-3, 1e3), (0.1, 10.0), (1e4, 1e9)] {
            let scales = of_function(Interval::Between(low, high), log_uniform(low, high));
            assert_eq!(scales.support, Some(vec![Interval::Above(0.0)]), "{low} to {high}");
        }
        let shifted = of_function(Interval::Above(5.0), |u| 5.0 + (LN_10 * (4.0 * u - 2.0)).exp());
        assert_eq!(shifted.support, Some(vec![Interval::Above(5.0)]));
        let mirrored = of_function(Interval::Between(-100.0, 0.0), |u| -(LN_10 * (4.0 * u - 2.0)).exp());
        assert_eq!(mirrored.support, Some(vec![Interval::Below(0.0)]));
    }

    #[test]
    fn others_are_what_they_are() {
        let all = [
            Univariate::uniform(0.0, 1.0),
            Univariate::uniform(1e-3, 1e3),
            Univariate::uniform(-2.0, 2.0),
            Univariate::normal(3.0, 1.0),
            Univariate::log_normal(-1.0, 0.5),
            Univariate::gamma(2.0, 1.0),
            Univariate::beta(0.5, 0.5),
            Univariate::beta(2.0, 5.0),
            Univariate::exponential(1.0),
            Univariate::half_normal(1.0),
            Univariate::student_t(3.0, 0.0, 1.0),
        ];
        for (i, distribution) in all.into_iter().enumerate() {
            let Scales { support, unresolved } = of(distribution);
            assert!(support.is_none() && unresolved.is_empty(), "case {i}: {support:?}, {unresolved:?}");
        }
        // Over decades, and uneven on both scales.
        let uneven = of(Univariate::gamma(0.3, 1.0));
        assert_eq!((uneven.support, uneven.unresolved), (None, vec!["a".to_owned()]));
        let beside = Prior::independent([
            ("a", Univariate::normal(0.0, 1.0).expect("settings")),
            ("b", Univariate::log_normal(0.0, 1.5).expect("settings")),
        ]);
        assert_eq!(scales(&beside).support, Some(vec![Interval::Real, Interval::Above(0.0)]));
    }
}
