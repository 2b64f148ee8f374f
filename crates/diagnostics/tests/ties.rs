//! Judges exact posteriors whose draws tie with the truth: discrete parameters, bounds that have a probability, values
//! that f32 tells coarsely.

use bayesburn_core::{Draws, Purpose, StreamRng, stream};
use bayesburn_diagnostics::{
    Bins, DiagnosticsSuite, RankEcdfs, SuiteInput, calibration_error, central_coverage, density_ranks,
    estimation_errors, highest_density_coverage, product_ranks, quantity_ranks, sbc_ecdf, sbc_histograms, sbc_ranks,
    sbc_tests, tarp,
};
use ndarray::{Array1, Array2, Array3, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

const M: usize = 400;
const L: usize = 49;
const D: usize = 2;
const RUNS: u64 = 20;

/// What ties.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// 0, …, 5, uniform before the data.
    Integers,
    /// 0 or 1.
    Binary,
    /// Near 10⁶, where f32 goes in steps of 1/16, with a posterior standard deviation of 0.07.
    Coarse,
    /// Normal numbers, of which those below 0 are 0.
    Censored,
    /// 0, or a log-normal number.
    ZeroInflated,
    /// What the data tell without doubt: all draws are the truth.
    Known,
}

const KINDS: [Kind; 6] = [Kind::Integers, Kind::Binary, Kind::Coarse, Kind::Censored, Kind::ZeroInflated, Kind::Known];

/// What is wrong with a posterior.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    /// Too high, by a third of a unit or more.
    Shifted,
    /// Of a spread that is too small by a third or more.
    Narrow,
}

/// Draws, truths, and ln q of both.
struct Simulated {
    draws: Draws,
    truths: Array2<f32>,
    data: Array3<f32>,
    log_prob: Array2<f32>,
    of_truths: Array1<f32>,
}

/// The truth, the data, and draws with their log density, of one parameter.
fn one(kind: Kind, fault: Fault, rng: &mut StreamRng) -> (f32, f32, Vec<(f32, f32)>, f32) {
    let shift = if fault == Fault::Shifted { 0.5 } else { 0.0 };
    let width = if fault == Fault::Narrow { 0.6 } else { 1.0 };
    let normal = |rng: &mut StreamRng| -> f64 { rng.sample(StandardNormal) };
    // z ~ N(0, 1) and x ~ N(z, 1), so that z | x ~ N(x/2, 1/2).
    let latent = |rng: &mut StreamRng, x: f64| x / 2.0 + shift + width * 0.5_f64.sqrt() * normal(rng);
    let log_normal = |z: f64, x: f64| -((z - x / 2.0 - shift) / width).powi(2);
    match kind {
        Kind::Integers | Kind::Binary => {
            let values = if kind == Kind::Binary { 2 } else { 6 };
            let truth = rng.random_range(0..values);
            let x = f64::from(truth) + normal(rng);
            let log = |n: i32| -0.5 * ((x + shift - f64::from(n)) / width).powi(2);
            let weights: Vec<f64> = (0..values).map(|n| log(n).exp()).collect();
            let total: f64 = weights.iter().sum();
            let mut draw = || {
                let mut u = rng.random::<f64>() * total;
                let n = weights.iter().position(|weight| {
                    u -= weight;
                    u <= 0.0
                });
                let n = n.unwrap_or(weights.len() - 1) as i32;
                (n as f32, log(n) as f32)
            };
            (truth as f32, x as f32, (0..L).map(|_| draw()).collect(), log(truth) as f32)
        }
        Kind::Coarse | Kind::Censored => {
            let z = normal(rng);
            let x = z + normal(rng);
            let value = |z: f64| if kind == Kind::Coarse { (1e6 + 0.1 * z) as f32 } else { z.max(0.0) as f32 };
            // Of the value, so that equal ones have equal densities.
            let log = |value: f32| match kind {
                Kind::Coarse => log_normal((f64::from(value) - 1e6) / 0.1, x) as f32,
                _ if value == 0.0 => 0.0,
                _ => log_normal(f64::from(value), x) as f32,
            };
            let mut draw = || {
                let value = value(latent(rng, x));
                (value, log(value))
            };
            (value(z), x as f32, (0..L).map(|_| draw()).collect(), log(value(z)))
        }
        Kind::ZeroInflated => {
            // 0 with probability 1/2 before the data, which are N(is it not 0?, 1/4) beside those of z.
            let (z, some) = (normal(rng), rng.random_bool(0.5));
            let (x, y) = (z + normal(rng), f64::from(u8::from(some)) + 0.5 * normal(rng));
            let odds = (4.0 * (y + shift) - 2.0).exp().powf(1.0 / width);
            let value = |some: bool, z: f64| if some { z.exp() as f32 } else { 0.0 };
            let log = |value: f32| if value > 0.0 { log_normal(f64::from(value).ln(), x) as f32 } else { -1.0 };
            let mut draw = || {
                let value = value(rng.random_bool(odds / (1.0 + odds)), latent(rng, x));
                (value, log(value))
            };
            (value(some, z), (x + 10.0 * y) as f32, (0..L).map(|_| draw()).collect(), log(value(some, z)))
        }
        Kind::Known => {
            let truth = rng.random_range(0..6) as f32;
            // A spread cannot be too small here: both faults are wrong values for a third of the data sets, on one side
            // or on both.
            let off = match (fault, rng.random_range(0..6)) {
                (Fault::Shifted, 0..2) | (Fault::Narrow, 0) => 1.0,
                (Fault::Narrow, 1) => -1.0,
                _ => 0.0,
            };
            (truth, truth, vec![(truth + off, 0.0); L], 0.0)
        }
    }
}

fn simulated(kind: Kind, fault: Fault, seed: u64) -> Simulated {
    let mut rng = stream(seed, Purpose::new("posteriors with ties"), 0);
    let (mut truths, mut data) = (Array2::zeros((M, D)), Array3::zeros((M, 1, D)));
    let (mut draws, mut log_prob, mut of_truths) = (Array3::zeros((M, L, D)), Array2::zeros((M, L)), Array1::zeros(M));
    for m in 0..M {
        for d in 0..D {
            let (truth, x, of_draws, log) = one(kind, fault, &mut rng);
            (truths[[m, d]], data[[m, 0, d]]) = (truth, x);
            for (l, (draw, log)) in of_draws.into_iter().enumerate() {
                draws[[m, l, d]] = draw;
                log_prob[[m, l]] += log;
            }
            of_truths[m] += log;
        }
    }
    let names = ["a".to_owned(), "b".to_owned()].into();
    Simulated { draws: Draws::new(names, draws).expect("two names"), truths, data, log_prob, of_truths }
}

/// For each check, its verdicts on one posterior, true for an alarm; all at a level of 5%.
fn alarms(s: &Simulated) -> Vec<(&'static str, Vec<bool>)> {
    let (draws, truths) = (&s.draws, &s.truths);
    let of_ecdfs = |ecdfs: &RankEcdfs| ecdfs.verdicts.iter().map(|verdict| !verdict.inside).collect();
    let histograms = sbc_histograms(draws, truths, Bins::Count(10)).expect("valid");
    let central = central_coverage(draws, truths).expect("valid");
    let highest = highest_density_coverage(&s.log_prob, &s.of_truths).expect("valid");
    let outside = |inside: &[bool]| inside.iter().map(|inside| !inside).collect();
    let quantity =
        quantity_ranks(draws, truths, ["sum"], |m, theta| vec![f64::from((theta.sum() - s.data[[m, 0, 0]]).abs())]);
    let ecdf_of = |ranks| of_ecdfs(&RankEcdfs::new(&ranks, Default::default()).expect("valid"));
    vec![
        ("sbc_ecdf", of_ecdfs(&sbc_ecdf(draws, truths).expect("valid"))),
        // Ten bins at 1%: two or more are outside in 0.4% of histograms.
        ("sbc_histograms", (0..D).map(|d| histograms.num_outside(d) > 1).collect()),
        ("central_coverage", outside(&central.inside)),
        ("highest_density_coverage", outside(&highest.inside)),
        ("quantity_ranks", ecdf_of(quantity.expect("valid"))),
        ("product_ranks", ecdf_of(product_ranks(draws, truths).expect("valid"))),
        ("density_ranks", ecdf_of(density_ranks(&s.log_prob, &s.of_truths).expect("valid"))),
        ("tarp", of_ecdfs(&tarp(draws, truths, 1).expect("valid").ecdfs)),
        ("sbc_tests", sbc_tests(draws, truths, 1).expect("valid").gamma.iter().map(|t| t.p_value <= 0.05).collect()),
    ]
}

/// The number of alarms of each check in all runs, and of how many verdicts.
fn counted(kind: Kind, fault: Fault) -> Vec<(&'static str, usize, usize)> {
    let runs: Vec<_> = (0..RUNS).into_par_iter().map(|seed| alarms(&simulated(kind, fault, seed))).collect();
    let of = |check: usize| {
        let verdicts = || runs.iter().flat_map(|run| &run[check].1);
        (runs[0][check].0, verdicts().filter(|alarm| **alarm).count(), verdicts().count())
    };
    (0..runs[0].len()).map(of).collect()
}

/// 20 runs of 400 data sets with 49 draws: of 20 or 40 verdicts at 5%, 1 or 2 are alarms. More than 5 of 20 have a
/// probability of 3e-4, more than 8 of 40 of 2e-4 (alpha 1.4% over 54 bounds).
#[test]
fn exact_posteriors_pass_all_checks() {
    for kind in KINDS {
        for (check, alarms, verdicts) in counted(kind, Fault::Nothing) {
            assert!(alarms <= if verdicts == 20 { 5 } else { 8 }, "{kind:?}: {alarms} of {verdicts} by {check}");
        }
    }
}

/// The twins: the same posteriors shifted, or too narrow. Each check of a parameter by itself finds most of them;
/// narrow ones of two values show less.
#[test]
fn wrong_posteriors_fail() {
    for kind in KINDS {
        for fault in [Fault::Shifted, Fault::Narrow] {
            for (check, alarms, verdicts) in counted(kind, fault) {
                let sees = matches!(check, "sbc_ecdf" | "sbc_tests")
                    || (check == "central_coverage" && fault == Fault::Narrow);
                assert!(!sees || 2 * alarms > verdicts, "{kind:?}, {fault:?}: {alarms} of {verdicts} by {check}");
            }
        }
    }
}

/// The suite alarms at 1%: of 120 runs, 1.2 are expected, and more than 6 have a probability of 2e-4. Each wrong
/// posterior fails.
#[test]
fn the_suite_passes_exact_posteriors_and_fails_wrong_ones() {
    let failed = |kind: Kind, fault: Fault| {
        let run = |seed: &u64| {
            let s = simulated(kind, fault, *seed);
            let input = SuiteInput::new(&s.draws, &s.truths).and_then(|input| input.with_data(s.data.view()));
            let input = input.expect("valid").with_log_prob(&s.log_prob, s.of_truths.clone());
            let report = DiagnosticsSuite::new().with_seed(*seed).run(&input.expect("valid")).expect("it runs");
            assert!(!report.to_string().contains("NaN") && !report.to_string().contains("inf"), "{kind:?}: {report}");
            !report.passed()
        };
        (0..RUNS).into_par_iter().filter(run).count()
    };
    let exact: usize = KINDS.into_iter().map(|kind| failed(kind, Fault::Nothing)).sum();
    assert!(exact <= 6, "{exact} of 120");
    for kind in KINDS {
        for fault in [Fault::Shifted, Fault::Narrow] {
            assert!(failed(kind, fault) > 15, "{kind:?}, {fault:?}");
        }
    }
}

/// A coverage of 400 truths has a standard error of at most 0.5/√400 = 0.025. The mean of two parameters' errors has
/// 0.018, and 0.04 is more than two of them (alpha 3% for each kind if α is 1/2, less elsewhere). The twin is off by
/// more than twice as much.
#[test]
fn calibration_errors_of_exact_posteriors_are_small() {
    for kind in KINDS {
        let error = |fault: Fault| {
            let s = simulated(kind, fault, 7);
            let errors = calibration_error(&s.draws, &s.truths).expect("valid").errors;
            errors.iter().sum::<f64>() / D as f64
        };
        let (exact, narrow) = (error(Fault::Nothing), error(Fault::Narrow));
        assert!(exact < 0.04, "{kind:?}: {exact}");
        assert!(narrow > 2.0 * exact, "{kind:?}: {exact}, and {narrow} of the twin");
    }
}

/// A third of the data sets have draws that are all equal, and right: what is divided by their standard deviation
/// leaves them out.
#[test]
fn draws_without_a_spread_make_no_nonsense() {
    let mut s = simulated(Kind::Integers, Fault::Nothing, 3);
    let mut values = s.draws.values().to_owned();
    for m in (0..M).step_by(3) {
        for d in 0..D {
            values.index_axis_mut(Axis(0), m).column_mut(d).fill(s.truths[[m, d]]);
        }
    }
    s.draws = Draws::new(s.draws.names().clone(), values).expect("two names");
    let report = DiagnosticsSuite::new().run(&SuiteInput::new(&s.draws, &s.truths).expect("valid")).expect("it runs");
    assert!(report.passed(), "{report}");
    for parameter in &report.metrics.parameters {
        assert!(parameter.bias.abs() < 0.3 && (parameter.width - 1.0).abs() < 0.2, "{parameter:?}");
    }
    let errors = estimation_errors(&s.draws, &s.truths).expect("valid");
    assert!(errors.correlations.iter().all(|r| *r > 0.5), "{:?}", errors.correlations);
}

/// Ties are broken the same way each time, and by the caller's seed if there is one.
#[test]
fn results_repeat() {
    let s = simulated(Kind::Integers, Fault::Nothing, 1);
    let ranks = || sbc_ranks(&s.draws, &s.truths).expect("valid");
    assert_eq!(ranks(), ranks());
    assert_ne!(ranks().with_ties_broken(1).values(), ranks().with_ties_broken(2).values());
    assert_eq!(sbc_ecdf(&s.draws, &s.truths).expect("valid"), sbc_ecdf(&s.draws, &s.truths).expect("valid"));
}
