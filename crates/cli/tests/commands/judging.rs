//! Judges draws of any tool by `diagnose` and `report`.

use crate::{normal, read_draws, refused, run, text};
use bayesburn_core::Draws;
use bayesburn_io::write_draws;
use ndarray::{Array1, Array2, Axis};
use ndarray_npy::{read_npy, write_npy};
use std::{fs, path::Path};

/// Draws from the posteriors of 200 data sets, too narrow by this factor, and the truths.
fn judged(at: &Path, width: f32) {
    let (m, l) = (200, 50);
    let truths = normal((m, 1, 2), 1).remove_axis(Axis(1));
    let data = truths.clone() + normal((m, 1, 2), 2).remove_axis(Axis(1));
    let (mean, std) = (&data / 2.0, 0.5_f32.sqrt());
    let values = normal((m, l, 2), 3) * (std * width) + mean.insert_axis(Axis(1));
    let names = ["mu".to_owned(), "nu".to_owned()];
    write_draws(at.join("draws.npz"), &Draws::new(names.into(), values).expect("two names")).expect("written");
    write_npy(at.join("truths.npy"), &truths).expect("written");
    write_npy(at.join("x.npy"), &data).expect("written");
    let log_prob = Array1::from_elem(m, -1.0_f32);
    write_npy(at.join("q.npy"), &log_prob).expect("written");
}

const JUDGE: [&str; 7] = ["diagnose", "--draws", "draws.npz", "--truths", "truths.npy", "--data", "x.npy"];

#[test]
fn draws_of_any_tool_are_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    judged(at, 1.0);
    let reports = ["--html", "out/r.html", "--junit", "out/r.xml", "--markdown", "out/r.md", "--log-prob", "q.npy"];
    let words = text(at, &[&JUDGE[..], &reports].concat(), 0);
    assert!(words.starts_with("PASSED") && words.contains("Written: out/r.html"), "{words}");
    assert!(fs::read_to_string(at.join("out/r.html")).expect("written").contains("</html>"));
    assert!(fs::read_to_string(at.join("out/r.xml")).expect("written").contains("<testsuite"));
    let saved = text(at, &[&JUDGE[..], &["--json"]].concat(), 0);
    fs::write(at.join("r.json"), &saved).expect("written");
    assert_eq!(text(at, &["report", "r.json", "--json"], 0), saved);
    assert!(text(at, &["report", "r.json", "--markdown", "again.md"], 0).starts_with("PASSED"));

    // Limits, and the same draws as a baseline.
    text(at, &[&JUDGE[..], &["--contraction-at-least", "0.4", "--baseline", "r.json"]].concat(), 0);
    let words = text(at, &[&JUDGE[..], &["--contraction-at-least", "0.9"]].concat(), 1);
    assert!(words.contains("contraction"), "{words}");
    judged(at, 0.7);
    let words = text(at, &JUDGE, 1);
    assert!(words.starts_with("FAILED") && words.contains("too narrow"), "{words}");
    text(at, &[&JUDGE[..], &["--baseline", "r.json"]].concat(), 1);
    let saved = text(at, &[&JUDGE[..], &["--json"]].concat(), 1);
    fs::write(at.join("bad.json"), &saved).expect("written");
    assert!(text(at, &["report", "bad.json"], 1).contains("too narrow"));
}

#[test]
fn truths_of_pandas_and_r_are_judged_as_plain_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    judged(at, 1.0);
    let truths: Array2<f32> = read_npy(at.join("truths.npy")).expect("written");
    let judge = |table: &str| {
        fs::write(at.join("t.csv"), table).expect("written");
        let output = run(at, &["diagnose", "--draws", "draws.npz", "--truths", "t.csv", "--data", "x.npy", "--json"]);
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{notes}");
        (notes, output.stdout)
    };
    let rows = |row: &dyn Fn(usize, f32, f32) -> String| -> String {
        truths.outer_iter().enumerate().map(|(i, theta)| row(i, theta[0], theta[1])).collect()
    };
    let plain = judge(&format!("mu,nu\n{}", rows(&|_, mu, nu| format!("{mu},{nu}\n"))));
    assert_eq!(plain.0, "");
    for (table, note) in [
        (format!(",mu,nu\n{}", rows(&|i, mu, nu| format!("{i},{mu},{nu}\n"))), "has no name"),
        (format!("\"mu\",\"nu\"\n{}", rows(&|i, mu, nu| format!("\"{}\",{mu},{nu}\n", i + 1))), "has no name"),
        (format!("nu,mu\n{}", rows(&|_, mu, nu| format!("{nu},{mu}\n"))), "put in the order"),
        (format!("mu,nu,.draw\n{}", rows(&|i, mu, nu| format!("{mu},{nu},{i}\n"))), ".draw"),
        (format!("0,1\n{}", rows(&|_, mu, nu| format!("{mu},{nu}\n"))), "taken for a heading"),
    ] {
        let (notes, report) = judge(&table);
        assert!(notes.contains(note), "{notes}");
        assert_eq!(report, plain.1, "{note}");
    }
}

#[test]
fn draws_that_cannot_be_judged_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    judged(at, 1.0);
    refused(at, &[&JUDGE[..], &["--alpha", "2"]].concat(), &["--alpha", "below 1"]);
    refused(at, &[&JUDGE[..], &["--html", "r.pdf"]].concat(), &["r.pdf", ".html"]);
    refused(at, &[&JUDGE[..], &["--drift", "0.1"]].concat(), &["--baseline"]);
    fs::write(at.join("b.json"), text(at, &[&JUDGE[..], &["--json"]].concat(), 0)).expect("written");
    refused(
        at,
        &[&JUDGE[..], &["--baseline", "b.json", "--drift", "NaN"]].concat(),
        &["--drift", "NaN", "0 or larger"],
    );
    refused(at, &[&JUDGE[..], &["--nll-at-most", "0.1"]].concat(), &["--log-prob"]);
    refused(at, &[&JUDGE[..], &["--dats", "x.npy"]].concat(), &["--dats"]);
    refused(at, &[&JUDGE[..], &["--baseline", "x.npy"]].concat(), &["x.npy"]);
    refused(at, &["report", "x.npy"], &["x.npy"]);
    fs::write(at.join("no.json"), "{}").expect("written");
    refused(at, &["report", "no.json"], &["no.json", "is not a report"]);

    let with = |option: &str, file: &str| {
        let mut arguments = JUDGE.to_vec();
        let place = arguments.iter().position(|argument| *argument == option).expect("an option");
        arguments[place + 1] = file;
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let refused_with = |option: &str, file: &str, parts: &[&str]| {
        let arguments = with(option, file);
        refused(at, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), parts);
    };
    let truths: Array2<f32> = read_npy(at.join("truths.npy")).expect("written");
    let draws = read_draws(at.join("draws.npz")).expect("written").into_values();
    write_npy(at.join("few.npy"), &truths.slice(ndarray::s![..30, ..])).expect("written");
    refused_with("--truths", "few.npy", &["30", "200"]);
    write_npy(at.join("wide.npy"), &Array2::<f32>::zeros((200, 3))).expect("written");
    refused_with("--truths", "wide.npy", &["3 parameters"]);
    let mut unknown = draws.clone();
    unknown[[3, 4, 1]] = f32::NAN;
    write_npy(at.join("nan.npy"), &unknown).expect("written");
    refused_with("--draws", "nan.npy", &["NaN"]);
    write_npy(at.join("flat.npy"), &Array1::<f32>::zeros(4)).expect("written");
    refused_with("--draws", "flat.npy", &["[4]", "[M, L, D]"]);
    refused_with("--data", "flat.npy", &["[4]", "[200, F]"]);
    refused_with("--draws", "none.npy", &["cannot read", "none.npy"]);
    write_npy(at.join("one.npy"), &draws.slice(ndarray::s![..1, .., ..])).expect("written");
    write_npy(at.join("one_truth.npy"), &truths.slice(ndarray::s![..1, ..])).expect("written");
    refused(at, &["diagnose", "--draws", "one.npy", "--truths", "one_truth.npy"], &["1", "20"]);
    // Nothing can be judged of a parameter that is constant.
    let mut constant = draws;
    constant.slice_mut(ndarray::s![.., .., 1]).fill(0.5);
    let mut truths = truths;
    truths.column_mut(1).fill(0.5);
    write_npy(at.join("constant.npy"), &constant).expect("written");
    write_npy(at.join("truths.npy"), &truths).expect("written");
    let some = ["diagnose", "--draws", "constant.npy", "--truths", "wide.npy"];
    refused(at, &[&JUDGE[..], &["--bias-at-most", "nan"]].concat(), &["--bias-at-most", "finite"]);
    write_npy(at.join("wide.npy"), &normal((200, 1, 2), 9).remove_axis(Axis(1))).expect("written");
    refused(at, &some, &["all draws of parameter `theta_2` are 0.5"]);
    let constant = ["diagnose", "--draws", "constant.npy", "--truths", "truths.npy"];
    refused(at, &constant, &["theta_2", "is the same in all draws and truths"]);
}
