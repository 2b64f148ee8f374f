//! Tests the suite: how often it alarms on an exact posterior, and how often it finds what is wrong with another.
//!
//! The model is the quickstart's: four means with a standard normal prior and 50 observations, whose exact posterior is
//! N(n·x̄/(n + 1), 1/(n + 1)). In some tests the noise of the first two dimensions is correlated, and so is their
//! posterior.

#![allow(clippy::print_stdout, reason = "what was measured")]

use bayesburn_core::{Draws, ParameterNames, Purpose, stream};
use bayesburn_diagnostics::{CheckKind, DiagnosticsSuite, Report, SuiteInput};
use ndarray::{Array1, Array2, Array3};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

const N: usize = 50;
const D: usize = 4;

/// What is wrong with a posterior.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    /// Standard deviations are too small by 20%.
    Narrow,
    /// Means are too high by 0.3 standard deviations.
    Shifted,
    /// Draws are of the prior.
    IgnoresData,
    /// Draws of the first two parameters are exchanged.
    Swapped,
    /// The first two parameters are independent in the draws, and correlated in truth; margins are right.
    CorrelationLost,
    /// The same model, with its correlation.
    CorrelationKept,
}

/// Data `[M, N, D]`, truths `[M, D]` and draws `[M, L, D]`.
fn simulated([m, l]: [usize; 2], fault: Fault, seed: u64) -> (Array3<f32>, Array2<f32>, Draws) {
    let mut rng = stream(seed, Purpose::new("runs of the suite"), 0);
    let mut normal = || -> f64 { rng.sample(StandardNormal) };
    let correlated = matches!(fault, Fault::CorrelationLost | Fault::CorrelationKept);
    // Noise of the first two: a and b are independent, (a + b) / √2 has variance 1 + ρ and (a − b) / √2 variance 1 − ρ.
    let rho: f64 = if correlated { 0.6 } else { 0.0 };
    let noise = |normal: &mut dyn FnMut() -> f64| {
        let mut z = [(); D].map(|()| normal());
        let (sum, difference) = ((1.0 + rho).sqrt() * z[0], (1.0 - rho).sqrt() * z[1]);
        (z[0], z[1]) = ((sum + difference) / 2f64.sqrt(), (sum - difference) / 2f64.sqrt());
        z
    };
    let n = N as f64;
    let truths = Array2::from_shape_simple_fn((m, D), || normal() as f32);
    let mut data = Array3::zeros((m, N, D));
    let mut draws = Array3::zeros((m, l, D));
    for i in 0..m {
        let mut mean = [0.0; D];
        for j in 0..N {
            let z = noise(&mut normal);
            for d in 0..D {
                data[[i, j, d]] = truths[[i, d]] + z[d] as f32;
                mean[d] += f64::from(data[[i, j, d]]) / n;
            }
        }
        // In the sum and the difference of the first two, the posterior is that of independent parameters.
        let posterior = |x: f64, variance: f64| (n * x / (n + variance), (variance / (n + variance)).sqrt());
        for k in 0..l {
            let mut theta = [0.0; D];
            let mut z = [(); D].map(|()| normal());
            let (sum, sum_std) = posterior((mean[0] + mean[1]) / 2f64.sqrt(), 1.0 + rho);
            let (difference, difference_std) = posterior((mean[0] - mean[1]) / 2f64.sqrt(), 1.0 - rho);
            if fault == Fault::CorrelationLost {
                let std = ((sum_std.powi(2) + difference_std.powi(2)) / 2.0).sqrt();
                theta[0] = (sum + difference) / 2f64.sqrt() + std * z[0];
                theta[1] = (sum - difference) / 2f64.sqrt() + std * z[1];
            } else {
                let width = if fault == Fault::Narrow { 0.8 } else { 1.0 };
                z = z.map(|z| width * z);
                let (sum, difference) = (sum + sum_std * z[0], difference + difference_std * z[1]);
                (theta[0], theta[1]) = ((sum + difference) / 2f64.sqrt(), (sum - difference) / 2f64.sqrt());
            }
            for d in 2..D {
                let (center, std) = posterior(mean[d], 1.0);
                theta[d] = center + std * z[d];
            }
            match fault {
                Fault::Shifted => theta = theta.map(|theta| theta + 0.3 / (n + 1.0).sqrt()),
                Fault::IgnoresData => theta = [(); D].map(|()| normal()),
                Fault::Swapped => theta.swap(0, 1),
                _ => {}
            }
            (0..D).for_each(|d| draws[[i, k, d]] = theta[d] as f32);
        }
    }
    let names: ParameterNames = (1..=D).map(|d| format!("mu_{d}")).collect();
    (data, truths, Draws::new(names, draws).expect("four names"))
}

fn report(size: [usize; 2], fault: Fault, seed: u64) -> Report {
    let (data, truths, draws) = simulated(size, fault, seed);
    let input = SuiteInput::new(&draws, &truths).and_then(|input| input.with_data(data.view()));
    DiagnosticsSuite::new().run(&input.expect("sound input")).expect("it runs")
}

/// 1,000 runs of 200 data sets and 100 draws at a false-alarm rate of 1%: 10 alarms are expected at most, with a
/// standard error of 3.1; 20 are 3.2 of them more (alpha 0.2%).
#[test]
fn exact_posteriors_fail_no_more_often_than_promised() {
    let alarms = |fault, runs: std::ops::Range<u64>| {
        runs.into_par_iter().filter(|&seed| !report([200, 100], fault, seed).passed()).count()
    };
    let alarms = [alarms(Fault::Nothing, 0..1000), alarms(Fault::CorrelationKept, 1000..1300)];
    println!("false alarms: {} of 1,000, and {} of 300 with correlation", alarms[0], alarms[1]);
    assert!(alarms[0] <= 20, "{} of 1,000", alarms[0]);
    // 3 expected, 1.7 of standard error.
    assert!(alarms[1] <= 9, "{} of 300", alarms[1]);
}

/// 200 runs of each fault, 200 data sets and 100 draws. At 95% the standard error of a share is 1.5%.
#[test]
fn faults_are_found_and_named() {
    let runs = 200;
    for (fault, kinds) in [
        (Fault::Narrow, vec![CheckKind::Width]),
        (Fault::Shifted, vec![CheckKind::Bias]),
        (Fault::IgnoresData, vec![CheckKind::DataBias]),
        (Fault::Swapped, vec![CheckKind::Width, CheckKind::DataBias]),
        (Fault::CorrelationLost, vec![CheckKind::Pair]),
    ] {
        let reports: Vec<Report> =
            (0..runs).into_par_iter().map(|seed| report([200, 100], fault, 5000 + seed)).collect();
        let share = |found: &dyn Fn(&Report) -> bool| {
            reports.iter().filter(|report| found(report)).count() as f64 / runs as f64
        };
        let (any, named) = (
            share(&|report| !report.passed()),
            share(&|report| kinds.iter().all(|kind| report.failed().any(|check| check.kind == *kind))),
        );
        println!("{fault:?}: found in {:.1}% of runs, by {kinds:?} in {:.1}%", 100.0 * any, 100.0 * named);
        assert!(any > 0.95 && named > 0.9, "{fault:?}: {any}, {named}");
    }
    let swapped = report([200, 100], Fault::Swapped, 1);
    let text = swapped.to_string();
    assert!(text.contains("Draws of `mu_1` follow the truths of `mu_2`"), "{text}");
}

/// What is said to be found in 90% of runs is: 300 runs of one parameter's bias and width, with many draws and with
/// few. The standard error is 1.7%, the bound 4 of them.
#[test]
fn deviations_that_are_said_to_be_detectable_are() {
    let (m, runs) = (100, 300);
    for l in [400, 20] {
        let found = |shift: f64, width: f64, kind: CheckKind| {
            let run = |seed: u64| {
                let mut rng = stream(seed, Purpose::new("detectable deviations"), 0);
                let mut normal = || -> f64 { rng.sample(StandardNormal) };
                let truths = Array2::from_shape_simple_fn((m, 1), || normal() as f32);
                let draws = Array3::from_shape_simple_fn((m, l, 1), || (width * normal() + shift) as f32);
                let draws = Draws::new(["theta".to_owned()].into(), draws).expect("one name");
                let input = SuiteInput::new(&draws, &truths).expect("valid");
                let report = DiagnosticsSuite::new().run(&input).expect("it runs");
                report.failed().any(|check| check.kind == kind)
            };
            (0..runs).into_par_iter().filter(|&seed| run(seed)).count() as f64 / runs as f64
        };
        let detectable = report_of_nothing(m, l).detectable;
        let shares = [
            found(detectable.bias, 1.0, CheckKind::Bias),
            found(0.0, detectable.narrow, CheckKind::Width),
            found(0.0, detectable.wide, CheckKind::Width),
        ];
        assert!(shares.iter().all(|share| (share - 0.9).abs() < 0.07), "{l} draws, {detectable}: {shares:?}");
    }
}

/// θ ~ N(0, 1) and N observations x ~ N(θ, 1), N from 5 to 54; of N, a posterior is `width` times as wide as it should
/// be. The report, with or without the context.
fn over_n(width: impl Fn(f64) -> f64, with_context: bool, seed: u64) -> Report {
    let (m, l) = (600, 50);
    let mut rng = stream(seed, Purpose::new("runs over contexts"), 0);
    let n = Array1::from_shape_simple_fn(m, || rng.random_range(5_u16..=54));
    let mut normal = || -> f64 { rng.sample(StandardNormal) };
    let truths = Array2::from_shape_simple_fn((m, 1), || normal() as f32);
    let mut means = Array2::zeros((m, 1));
    let mut draws = Array3::zeros((m, l, 1));
    for i in 0..m {
        let n = f64::from(n[i]);
        let mean = f64::from(truths[[i, 0]]) + normal() / n.sqrt();
        means[[i, 0]] = mean as f32;
        let width = width(n);
        for k in 0..l {
            draws[[i, k, 0]] = (n * mean / (n + 1.0) + width * normal() / (n + 1.0).sqrt()) as f32;
        }
    }
    let draws = Draws::new(["mu".to_owned()].into(), draws).expect("one name");
    let mut input = SuiteInput::new(&draws, &truths).expect("sound").with_features(means).expect("a mean for each");
    if with_context {
        input = input.with_context("N", n.mapv(f32::from)).expect("N of each");
    }
    DiagnosticsSuite::new().run(&input).expect("it runs")
}

/// 300 runs of 600 data sets at a false-alarm rate of 1%: 3 alarms expected at most, with a standard error of 1.7; 9
/// are 3.5 of them more. The twins, 60 runs each, are too narrow for the smallest fifth of N alone, and also too wide
/// for the largest, which together nobody sees who does not look at N.
#[test]
fn a_posterior_that_is_wrong_for_some_contexts_alone_is_found() {
    let alarms = (0..300).into_par_iter().filter(|&seed| !over_n(|_| 1.0, true, seed).passed()).count();
    assert!(alarms <= 9, "{alarms} of 300");
    let counts = |width: fn(f64) -> f64, first: u64| {
        let count =
            |found: &(dyn Fn(u64) -> bool + Sync)| (first..first + 60).into_par_iter().filter(|&s| found(s)).count();
        let named = count(&|seed| !over_n(width, true, seed).strata[0].passed);
        (named, count(&|seed| !over_n(width, false, seed).passed()))
    };
    let small = |n: f64| if n < 15.0 { 0.6 } else { 1.0 };
    let both = |n: f64| if n < 15.0 { 0.6 } else { 1.0 + 0.7 * f64::from(u8::from(n > 44.0)) };
    let counts = [counts(small, 1000), counts(both, 2000)];
    println!("alarms: {alarms} of 300; found of 60, and without the context: {counts:?}");
    assert!(counts.iter().all(|(found, _)| *found >= 55) && counts[1].1 < 30, "{counts:?}");

    let report = over_n(|n| if n < 12.0 { 0.5 } else { 1.0 }, true, 7);
    assert_eq!((report.strata.len(), report.contexts[0].distinct), (5, 50));
    assert!(report.strata[0].label.starts_with("N from 5 to 1"), "{}", report.strata[0].label);
    assert!(report.strata[1..].iter().all(|stratum| stratum.passed), "{report}");
    let label = report.strata[0].label.clone();
    let finding = format!("{label}: `mu`: posteriors are too narrow");
    for text in
        [report.to_string(), report.to_markdown(), report.to_junit().expect("XML"), report.to_json().expect("JSON")]
    {
        assert!(text.contains(&finding), "{text}");
    }
    let html = report.to_html();
    assert!(html.contains("By context") && html.contains(&label), "{html}");
    let text = report.to_string();
    assert!(text.contains(&format!("{label}: failed")) && text.contains("over N from 5 to 54 (50 values)"), "{text}");
    let folder = tempfile::tempdir().expect("a folder");
    report.save(folder.path().join("report.json")).expect("written");
    let loaded = Report::load(folder.path().join("report.json")).expect("just written");
    assert_eq!(loaded.strata, report.strata);
}

fn report_of_nothing(m: usize, l: usize) -> Report {
    let truths = Array2::from_shape_fn((m, 1), |(i, _)| i as f32);
    let draws = Draws::new(["theta".to_owned()].into(), Array3::from_shape_fn((m, l, 1), |(_, k, _)| k as f32));
    let draws = draws.expect("one name");
    DiagnosticsSuite::new().run(&SuiteInput::new(&draws, &truths).expect("valid")).expect("it runs")
}
