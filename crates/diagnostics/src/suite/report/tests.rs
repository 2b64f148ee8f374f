//! Tests what reports say in each format.

use crate::{DiagnosticsSuite, Limit, Metrics, Report, SuiteInput};
use bayesburn_core::{Draws, Purpose, stream};
use ndarray::{Array2, Array3};
use quick_junit::Report as Xml;
use rand::RngExt;
use rand_distr::StandardNormal;

/// Of draws with this width and a name that no format may take for its own syntax.
fn report(width: f32) -> Report {
    let mut rng = stream(1, Purpose::new("reports"), 0);
    let mut normal = || -> f32 { rng.sample(StandardNormal) };
    let truths = Array2::from_shape_simple_fn((200, 2), &mut normal);
    let draws = Array3::from_shape_simple_fn((200, 50, 2), || width * normal());
    let draws = Draws::new(["a|<b>&\"".to_owned(), "b".to_owned()].into(), draws).expect("two names");
    let input = SuiteInput::new(&draws, &truths).expect("valid");
    let suite = DiagnosticsSuite::new().with_title("a <title>").with_limit(Limit::BiasAtMost(0.5));
    let report = suite.run(&input).expect("it runs");
    #[cfg(feature = "plots")]
    let report = report.with_figures(&input).expect("they are drawn");
    report
}

#[test]
fn reports_say_what_failed_in_every_format() {
    let (good, bad) = (report(1.0), report(0.6));
    assert!(good.passed() && !bad.passed(), "{good}{bad}");
    let finding = "posteriors are too narrow: their standard deviation is 0.5";
    for text in
        [bad.to_string(), bad.to_html(), bad.to_markdown(), bad.to_junit().expect("XML"), bad.to_json().expect("JSON")]
    {
        assert!(text.contains(finding), "{text}");
    }
    for text in [good.to_string(), good.to_html(), good.to_markdown()] {
        assert!(
            !text.contains(finding) && text.contains("PASSED") && text.contains("No data that vary were given"),
            "{text}"
        );
    }
    let html = bad.to_html();
    assert!(!html.contains("<b>&") && html.contains("a|&lt;b&gt;&amp;") && html.contains("a &lt;title&gt;"));
    assert!(!html.contains("http://") || html.matches("http://").count() == html.matches("http://www.w3.org").count());
    let markdown = bad.to_markdown();
    assert!(markdown.contains("| a\\|<b>&\" |"), "{markdown}");
}

#[test]
fn junit_has_a_case_for_each_check_and_limit() {
    let bad = report(0.6);
    let xml = Xml::deserialize_from_str(&bad.to_junit().expect("XML")).expect("JUnit");
    let cases = bad.checks.len() + bad.limits.len();
    let failures = bad.failed().count() + bad.exceeded().count();
    assert_eq!((xml.tests, xml.failures), (cases, failures));
    assert!(failures >= 2 && failures < cases);
}

#[test]
fn saved_numbers_are_a_baseline() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/report.json");
    let then = report(1.0);
    then.save(&path).expect("written");
    assert_eq!(Report::load(&path).expect("a report").to_json().expect("JSON"), then.to_json().expect("JSON"));
    let baseline = Metrics::of_saved_report(&path).expect("a report");
    assert_eq!(baseline.parameters[0].name, then.metrics.parameters[0].name);
    assert!((baseline.parameters[1].width - then.metrics.parameters[1].width).abs() < 1e-12);
    let limit = |by| Limit::DriftAtMost { baseline: baseline.clone(), by };
    let exceeded =
        |now: &Report, by| limit(by).check(&now.metrics).expect("same names").iter().any(|check| !check.passed);
    assert!(!exceeded(&report(1.0), 0.0) && exceeded(&report(0.6), 0.05));
    assert!(!exceeded(&report(0.6), 1.0));

    let mut other = baseline.clone();
    other.parameters[0].name = "c".to_owned();
    let error = Limit::DriftAtMost { baseline: other, by: 0.1 }.check(&then.metrics).expect_err("other names");
    assert!(error.to_string().contains("save a new baseline"), "{error}");
    std::fs::write(&path, "{}").expect("writable");
    let error = Metrics::of_saved_report(&path).expect_err("no report").to_string();
    assert!(error.contains("is not a report") && error.contains("metrics"), "{error}");
    assert!(then.save(folder.path().join("a.pdf")).expect_err("no format").to_string().contains(".html, .md, .xml"));
    assert!(
        Metrics::of_saved_report(folder.path().join("none.json"))
            .expect_err("no file")
            .to_string()
            .contains("cannot read")
    );
}
