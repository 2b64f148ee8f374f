//! Compares the classifier two-sample test with scikit-learn's, on reference posteriors of sbibm.

use bayesburn_diagnostics::{C2stConfig, c2st, c2st_with};
use ndarray::Array2;
use ndarray_npy::read_npy;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Rows of sbibm 1.1.0's reference posteriors (MIT licence) and scores of scikit-learn 1.9.1; the README there says
/// more.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/c2st")
}

/// A pair of sample sets, and what scikit-learn scores it with.
struct Case {
    name: String,
    reference: Array2<f32>,
    samples: Array2<f32>,
    expected: f64,
    tolerance: f64,
}

impl Case {
    fn all() -> Vec<Self> {
        let text = std::fs::read_to_string(golden().join("expected.json")).expect("expected.json");
        let expected: Value = serde_json::from_str(&text).expect("JSON");
        let read = |name: &str, file: &str| -> Array2<f32> {
            read_npy(golden().join(name).join(file)).unwrap_or_else(|error| panic!("{name}/{file}: {error}"))
        };
        let cases = expected.as_object().expect("an object").iter().map(|(name, case)| {
            let scores = case["scores"].as_array().expect("scores");
            let sum: f64 = scores.iter().map(|score| score.as_f64().expect("a number")).sum();
            Self {
                name: name.clone(),
                reference: read(name, "X.npy"),
                samples: read(name, "Y.npy"),
                expected: sum / scores.len() as f64,
                tolerance: case["tolerance"].as_f64().expect("a number"),
            }
        });
        cases.collect()
    }

    fn is_scikit_learns(&self, score: f64) -> bool {
        (score - self.expected).abs() <= self.tolerance
    }
}

/// 2 · 2,000 rows for each case, seed 1. The tolerance is 4.3 standard deviations of one of scikit-learn's scores
/// around the mean of eight, and at least what three of them lie apart. Passing shows that the classifiers are alike to
/// 1% to 5% of accuracy, the former for sets that differ.
#[test]
fn scores_are_those_of_scikit_learn() {
    let cases = Case::all();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let c2st = c2st(&case.reference, &case.samples, 1).expect("valid");
        let Case { name, expected, tolerance, .. } = &case;
        assert!(case.is_scikit_learns(c2st.score), "{name}: {c2st:?}, not {expected} ± {tolerance}");
    }
}

/// The twin: classifiers that stop after 3 epochs. On sets that differ scikit-learn's then score 0.46 to 0.76, better
/// than after the 500 epochs that learn rows by heart for the shifted normals, and worse for the others. The tolerance
/// must tell.
#[test]
fn classifiers_that_stop_early_are_found_out() {
    let config = C2stConfig::new().with_max_epochs(3);
    let different: Vec<Case> = Case::all().into_iter().filter(|case| !case.name.contains("null")).collect();
    assert_eq!(different.len(), 4);
    for case in different {
        let c2st = c2st_with(&config, &case.reference, &case.samples, 1).expect("valid");
        assert!(!case.is_scikit_learns(c2st.score), "{}: {c2st:?}", case.name);
    }
}

/// Another twin: halves of one set are no pair of sets that differ.
#[test]
fn scores_of_another_pair_are_found_out() {
    for case in Case::all().into_iter().filter(|case| !case.name.contains("null")) {
        let (first, second) = case.reference.view().split_at(ndarray::Axis(0), case.reference.nrows() / 2);
        let c2st = c2st(&first.to_owned(), &second.to_owned(), 1).expect("valid");
        assert!(!case.is_scikit_learns(c2st.score), "{}: {c2st:?}", case.name);
    }
}
