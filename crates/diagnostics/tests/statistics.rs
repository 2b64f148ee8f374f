//! Holds statistics against what BayesFlow 2 and sbi make of the same arrays, by `golden/statistics/reference.py`.

use bayesburn_core::{Draws, ParameterNames};
use bayesburn_diagnostics::{
    Bandwidth, Coverage, LocalC2st, MmdTestConfig, RankTests, Tarp, calibration_error, distance_ranks,
    estimation_errors, mmd_test_with, model_calibration, sbc_ranks,
};
use ndarray::{Array1, Array2, Array3};
use ndarray_npy::read_npy;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/statistics").join(name)
}

fn expected() -> Value {
    serde_json::from_str(&std::fs::read_to_string(file("expected.json")).expect("the file")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn arrays() -> (Draws, Array2<f32>) {
    let values: Array3<f32> = read_npy(file("draws.npy")).expect("draws");
    let names = ["exact".to_owned(), "narrow".to_owned(), "high".to_owned()].into();
    (Draws::new(names, values).expect("three names"), read_npy(file("truths.npy")).expect("truths"))
}

#[track_caller]
fn assert_close(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= tolerance, "{what}: {got}, and {expected} is expected");
    }
}

#[test]
fn errors_and_correlations_are_those_of_bayesflow() {
    let ((draws, truths), expected) = (arrays(), expected());
    let errors = estimation_errors(&draws, &truths).expect("valid");
    // BayesFlow computes in f32.
    assert_close("rmse", &errors.rmse, &numbers(&expected["rmse"]), 1e-6);
    assert_close("correlation", &errors.correlations, &numbers(&expected["correlation"]), 1e-6);
    // BayesFlow resamples the prior: 120 data sets of 49 draws, so that each error is off by about 1/√(2 · 49) = 10%,
    // and their median by 10%/√120 · 1.25.
    assert_close("normalised", &errors.normalized_rmse, &numbers(&expected["normalized_rmse_resampled"]), 0.03);
    let error = calibration_error(&draws, &truths).expect("valid");
    assert_close("calibration error", &error.errors, &numbers(&expected["calibration_error"]), 1e-6);
    // BayesFlow's intervals lie between quantiles of draws, and hold α (L − 1)/(L + 1) of a posterior on average: 2α/(L
    // + 1) less than α.
    for (error, of_quantiles) in error.errors.iter().zip(numbers(&expected["calibration_error_of_quantiles"])) {
        assert!(*error < of_quantiles && of_quantiles - error < 2.0 / 50.0, "{error} and {of_quantiles}");
    }
}

#[test]
fn tests_of_ranks_are_those_of_bayesflow() {
    let ((draws, truths), expected) = (arrays(), expected());
    let ranks = sbc_ranks(&draws, &truths).expect("valid");
    let sums: Vec<f64> = ranks.values().columns().into_iter().map(|column| f64::from(column.sum())).collect();
    assert_close("ranks", &sums, &numbers(&expected["ranks_sum"]), 0.0);
    let tests = RankTests::new(&ranks, 1).expect("valid");
    let gammas: Vec<f64> = tests.gamma.iter().map(|test| test.statistic).collect();
    // SciPy's 1 − cdf loses digits where γ is small.
    assert_close("gamma", &gammas, &numbers(&expected["gamma"]), 1e-12);
    // BayesFlow simulates the quantile, here of 20,000 gammas: its relative error is some 2%.
    assert_close("log gamma", &tests.log_gamma, &numbers(&expected["log_gamma_simulated"]), 0.08);
    let p_values: Vec<f64> = tests.kolmogorov_smirnov.iter().map(|test| test.p_value).collect();
    // sbi compares discrete ranks with continuous numbers, which moves the largest distance, of about 0.1 here, by up
    // to 1/50: 0.549, 0.0099, 2.2e-5.
    let of_sbi = numbers(&expected["ks_p_values_continuous"]);
    for (got, of_sbi) in p_values.iter().zip(of_sbi) {
        assert!(*got > of_sbi && got.ln() - of_sbi.ln() < 1.0, "Kolmogorov-Smirnov: {got}, and {of_sbi} of sbi");
    }
}

#[test]
fn coverages_are_those_of_bayesflow_with_the_probabilities_they_have() {
    let ((draws, truths), expected) = (arrays(), expected());
    let coverage = Coverage::central(&sbc_ranks(&draws, &truths).expect("valid")).expect("valid");
    let claimed = numbers(&expected["central_coverage"]["claimed_probability"]);
    for (parameter, counted) in
        expected["central_coverage"]["coverage"].as_array().expect("an array").iter().enumerate()
    {
        let counted = numbers(counted);
        for (k, probability) in coverage.probabilities.iter().enumerate() {
            // Between w + 1 draws there are w of 50 equally probable parts; BayesFlow says w + 1.
            let width = (probability * 50.0).round() as usize;
            assert!((claimed[width + 1] - probability - 0.02).abs() < 1e-9, "{width}");
            let share = coverage.covered[[parameter, k]] as f64 / 120.0;
            assert!((share - counted[width + 1]).abs() < 1e-9, "{parameter}, {width}");
        }
    }
}

#[test]
fn distances_are_ranked_as_by_bayesflow_and_sbi() {
    let ((draws, truths), expected) = (arrays(), expected());
    let of =
        |references: &Array2<f32>, scales: &[f64]| distance_ranks(&draws, &truths, references, scales).expect("valid");
    let as_f64 =
        |ranks: &bayesburn_diagnostics::Ranks| ranks.values().iter().map(|&rank| f64::from(rank)).collect::<Vec<f64>>();
    let from_origin = of(&Array2::zeros((120, 3)), &[1.0; 3]);
    assert_close("distances", &as_f64(&from_origin), &numbers(&expected["distance_ranks"]), 0.0);

    let ranges: Vec<f64> = (0..3)
        .map(|i| {
            let ends = truths.column(i).iter().fold((f32::MAX, f32::MIN), |(low, high), &x| (low.min(x), high.max(x)));
            f64::from(ends.1) - f64::from(ends.0)
        })
        .collect();
    let ranks = of(&read_npy(file("references.npy")).expect("references"), &ranges);
    assert_close("TARP", &as_f64(&ranks), &numbers(&expected["tarp_ranks"]), 0.0);
    // sbi adds up 12 bins between the least and the greatest coverage seen.
    let area = Tarp::new(ranks, 1).expect("valid").area_to_curve;
    assert!((area - expected["tarp_sbi"]["area_to_curve"].as_f64().expect("a number")).abs() < 0.02, "{area}");
}

#[test]
fn model_probabilities_are_judged_as_by_bayesflow() {
    let expected = expected();
    let probabilities: Array2<f32> = read_npy(file("probabilities.npy")).expect("probabilities");
    let models: Array1<i64> = read_npy(file("models.npy")).expect("models");
    let models: Vec<usize> = models.iter().map(|&model| model as usize).collect();
    let names: ParameterNames = (1..=3).map(|i| format!("model {i}")).collect();
    let calibration = model_calibration(&names, &probabilities, &models, 10).expect("valid");
    assert_close("error", &calibration.errors, &numbers(&expected["expected_calibration_error"]), 1e-6);
    for (model, bins) in calibration.bins.iter().enumerate() {
        let filled = || bins.iter().filter(|bin| bin.count > 0);
        let predicted: Vec<f64> = filled().map(|bin| bin.probability).collect();
        let seen: Vec<f64> = filled().map(|bin| bin.frequency).collect();
        assert_close("predicted", &predicted, &numbers(&expected["probabilities_predicted"][model]), 1e-6);
        assert_close("seen", &seen, &numbers(&expected["probabilities_true"][model]), 1e-6);
    }
}

#[test]
fn misspecification_is_tested_as_by_sbi() {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(file("two_sample.json")).expect("the file")).expect("JSON");
    let reference: Array2<f32> = read_npy(file("mmd_reference.npy")).expect("an array");
    let number = |name: &str, key: &str| expected[name][key].as_f64().expect("a number");
    for name in ["mmd_usual", "mmd_unusual"] {
        let observed: Array2<f32> = read_npy(file(&format!("{name}.npy"))).expect("an array");
        let fixed = MmdTestConfig::new().with_bandwidth(Bandwidth::Fixed(1.0));
        let squared = mmd_test_with(&fixed, &reference, &observed, 1).expect("valid").squared;
        assert_close(name, &[squared], &[number(name, "squared")], 1e-9);
        // sbi resamples the reference, and takes the bandwidth anew each time; 2,000 and 1,000 trials alone are off by
        // 0.015 of 0.78.
        let p_value = mmd_test_with(&MmdTestConfig::new(), &reference, &observed, 1).expect("valid").p_value;
        assert_close(name, &[p_value], &[number(name, "p_value")], 0.06);
    }
}

/// Two classifiers that were trained on the same 1,000 pairs, scikit-learn's and ours, are not one: they agree in what
/// is wrong, and how much.
#[test]
fn posteriors_are_tested_at_an_observation_as_by_sbi() {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(file("two_sample.json")).expect("the file")).expect("JSON");
    let array = |name: &str| -> Array2<f32> { read_npy(file(&format!("lc2st_{name}.npy"))).expect("an array") };
    let test = LocalC2st::train(&array("draws"), &array("truths"), &array("x"), 1).expect("valid");
    for (name, is_wrong, tolerance) in [("wrong", true, 0.02), ("right", false, 0.005)] {
        let of_sbi = &expected[&format!("lc2st_{name}")];
        let x: Array1<f32> = numbers(&of_sbi["x"]).into_iter().map(|value| value as f32).collect();
        let found = test.test(&array(&format!("at_{name}")), x.view()).expect("valid");
        assert_close(name, &[found.statistic], &[of_sbi["statistic"].as_f64().expect("a number")], tolerance);
        for p_value in [found.p_value, of_sbi["p_value"].as_f64().expect("a number")] {
            assert_eq!(p_value < 0.05, is_wrong, "{name}: {p_value}");
        }
        assert_eq!(found.shares[100], 1.0);
        assert!(found.lower.iter().zip(&found.upper).all(|(lower, upper)| lower <= upper));
        // Where draws give themselves away, more of them have a probability above 0.6 than by chance.
        assert_eq!(
            found.shares[60] < found.lower[60],
            is_wrong,
            "{name}: {} and {}",
            found.shares[60],
            found.lower[60]
        );
    }
}
