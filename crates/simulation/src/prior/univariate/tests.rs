//! Checks densities, moments and draws of each distribution against one another.

use super::*;
use bayesburn_core::{Purpose, stream};

fn all() -> Vec<(&'static str, Univariate)> {
    let made = |distribution: Result<Univariate, PriorError>| distribution.expect("valid settings");
    let cut = |distribution, low, high| made(made(distribution).truncated(low, high));
    vec![
        ("uniform", made(Univariate::uniform(-2.0, 3.0))),
        ("normal", made(Univariate::normal(1.0, 0.5))),
        ("log-normal", made(Univariate::log_normal(0.3, 0.6))),
        ("gamma", made(Univariate::gamma(2.5, 3.0))),
        ("beta", made(Univariate::beta(2.0, 3.5))),
        ("exponential", made(Univariate::exponential(0.7))),
        ("half-normal", made(Univariate::half_normal(2.0))),
        ("student-t", made(Univariate::student_t(8.0, -1.0, 2.0))),
        ("normal, cut", cut(Univariate::normal(0.0, 1.0), 0.5, 1.5)),
        ("normal, its tail", cut(Univariate::normal(0.0, 1.0), 3.0, f64::INFINITY)),
        ("gamma, cut", cut(Univariate::gamma(2.0, 1.0), 0.0, 0.3)),
        ("log-normal, cut", cut(Univariate::log_normal(0.0, 1.0), f64::NEG_INFINITY, 2.0)),
        ("student-t, cut", cut(Univariate::student_t(1.0, 0.0, 1.0), -1.0, 4.0)),
    ]
}

/// ∫ f(θ) p(θ) dθ by the trapezoidal rule over the reals that the support is mapped to.
fn integral(distribution: &Univariate, f: impl Fn(f64) -> f64) -> f64 {
    let interval = distribution.support();
    let step = 1e-3;
    let term = |k: i32| {
        let theta = interval.from_real(step * f64::from(k));
        let log_prob = distribution.log_prob(theta) - interval.log_derivative(theta);
        f(f64::from(theta)) * log_prob.exp()
    };
    // ±18 is as near to a bound as f32 can be told from it; the reals themselves need more for heavy tails.
    let reach = if interval == Interval::Real { 300_000 } else { 16_000 };
    step * (-reach..=reach).map(term).sum::<f64>()
}

#[test]
fn densities_are_normalised_and_moments_theirs() {
    for (name, distribution) in all() {
        assert!((integral(&distribution, |_| 1.0) - 1.0).abs() < 2e-4, "{name}");
        let (mean, std) = distribution.mean_and_std();
        let by_density = integral(&distribution, |theta| theta);
        assert!((mean - by_density).abs() < 1e-3 * std, "{name}: {mean}, by its density {by_density}");
        let variance = integral(&distribution, |theta| (theta - mean).powi(2));
        assert!((std / variance.sqrt() - 1.0).abs() < 3e-3, "{name}: {std}, by its density {}", variance.sqrt());
    }
}

/// Kolmogorov-Smirnov distance of n = 20,000 draws from the integrated density; the bound is that of alpha 1e-4, 2.23 /
/// √n.
fn follows_its_density(draws_of: &Univariate, density_of: &Univariate) -> bool {
    const N: usize = 20_000;
    let mut rng = stream(2023, const { Purpose::new("draws of a distribution") }, 0);
    let interval = density_of.support();
    let mut reals: Vec<f64> = (0..N).map(|_| interval.to_real(draws_of.sample(&mut rng))).collect();
    reals.sort_by(f64::total_cmp);
    // The cumulative density at the draws, by the trapezoidal rule between a grid's points.
    let (low, high) = (reals[0] - 1.0, reals[N - 1] + 1.0);
    let steps = 200_000;
    let width = (high - low) / steps as f64;
    let density = |u: f64| {
        let theta = interval.from_real(u);
        (density_of.log_prob(theta) - interval.log_derivative(theta)).exp()
    };
    let (mut cumulative, mut at, mut distance) = (0.0, 0, 0.0_f64);
    for k in 0..steps {
        let u = low + width * (k as f64 + 0.5);
        cumulative += width * density(u);
        while at < N && reals[at] <= u + 0.5 * width {
            let below = at as f64 / N as f64;
            distance = distance.max((cumulative - below).abs());
            at += 1;
        }
    }
    distance < 2.23 / (N as f64).sqrt()
}

#[test]
fn draws_follow_their_density() {
    for (name, distribution) in all() {
        assert!(follows_its_density(&distribution, &distribution), "{name}");
    }
    // The twins: a scale, a shape and a bound that are off by a twentieth.
    let made = |distribution: Result<Univariate, PriorError>| distribution.expect("valid settings");
    let twins = [
        (made(Univariate::normal(0.0, 1.0)), made(Univariate::normal(0.0, 1.1))),
        (made(Univariate::gamma(2.5, 3.0)), made(Univariate::gamma(2.6, 3.0))),
        (made(Univariate::uniform(0.0, 1.0)), made(Univariate::uniform(0.0, 1.05))),
    ];
    for (draws, density) in twins {
        assert!(!follows_its_density(&draws, &density), "{density:?}");
    }
}

#[test]
fn draws_stay_inside() {
    let extreme = [
        Univariate::beta(0.01, 0.01),
        Univariate::gamma(0.001, 1.0),
        Univariate::log_normal(0.0, 100.0),
        Univariate::student_t(0.05, 0.0, 1.0),
        Univariate::uniform(0.1, 0.1 + 1e-7),
    ];
    for distribution in extreme.into_iter().flatten().chain(all().into_iter().map(|(_, d)| d)) {
        let mut rng = stream(1, const { Purpose::new("draws of a distribution") }, 1);
        for _ in 0..2000 {
            let draw = distribution.sample(&mut rng);
            let log_prob = distribution.log_prob(draw);
            assert!(draw.is_finite() && log_prob.is_finite(), "{draw} of {distribution:?} has {log_prob}");
        }
    }
}

#[test]
fn settings_outside_their_range_are_refused() {
    let refused = [
        Univariate::uniform(1.0, 1.0),
        Univariate::normal(0.0, 0.0),
        Univariate::normal(f64::NAN, 1.0),
        Univariate::log_normal(0.0, -1.0),
        Univariate::gamma(0.0, 1.0),
        Univariate::beta(1.0, f64::INFINITY),
        Univariate::exponential(-1.0),
        Univariate::half_normal(0.0),
        Univariate::student_t(0.0, 0.0, 1.0),
        Univariate::normal(0.0, 1.0).and_then(|normal| normal.truncated(2.0, 1.0)),
        Univariate::normal(0.0, 1.0).and_then(|normal| normal.truncated(40.0, 41.0)),
        Univariate::beta(2.0, 2.0).and_then(|beta| beta.truncated(1.0, 2.0)),
    ];
    for (i, distribution) in refused.into_iter().enumerate() {
        assert!(distribution.is_err(), "case {i}: {distribution:?}");
    }
    let error = Univariate::gamma(-2.0, 1.0).expect_err("a negative shape").to_string();
    assert!(error.contains("gamma") && error.contains("shape and rate above 0") && error.contains("-2"), "{error}");
}
