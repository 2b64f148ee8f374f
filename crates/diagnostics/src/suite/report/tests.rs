//! Tests what reports say in each format.

use crate::{DiagnosticsSuite, Limit, Metrics, Report, SuiteInput};
use bayesburn_core::{Draws, Purpose, stream};
use ndarray::{Array2, Array3};
use quick_junit::Report as Xml;
use rand::RngExt;
use rand_distr::StandardNormal;

/// Ends lines, cells and code, claims a verdict, clears a terminal, mentions a user, links, and turns text around.
const HOSTILE: &str = "x`\n\n## PASSED\n| ok | **PASSED** |\r\u{1b}[2J\u{9b}2J\u{202e}<img src=x> @team [a](b) \\| c";

/// Of draws with this width and a name that no format may take for its own syntax.
fn report(width: f32) -> Report {
    report_of("a|<b>&\"", width)
}

fn report_of(name: &str, width: f32) -> Report {
    let mut rng = stream(1, Purpose::new("reports"), 0);
    let mut normal = || -> f32 { rng.sample(StandardNormal) };
    let truths = Array2::from_shape_simple_fn((200, 2), &mut normal);
    let draws = Array3::from_shape_simple_fn((200, 50, 2), || width * normal());
    let draws = Draws::new([name.to_owned(), "b".to_owned()].into(), draws).expect("two names");
    let input = SuiteInput::new(&draws, &truths).expect("valid");
    // Two strata, whose labels have the name too.
    let context = (0..200).map(|i| (i % 2) as f32).collect();
    let input = if name == HOSTILE { input.with_context(name, context).expect("200 values") } else { input };
    let title = if name == HOSTILE { name } else { "a <title>" };
    let suite = DiagnosticsSuite::new().with_title(title).with_limit(Limit::BiasAtMost(0.5));
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
    assert!(markdown.contains("| `a\\|<b>&\"` |"), "{markdown}");
}

/// The lines of a report are as many as with a name of letters, and none begins as the name would have it.
#[test]
fn a_name_forges_nothing_in_any_format() {
    // With the same contexts.
    let bad = report_of(HOSTILE, 0.6);
    let mut tame = bad.clone();
    let tamed = |text: &mut String| *text = text.replace(HOSTILE, "x").replace(HOSTILE_IN_FINDINGS.as_str(), "x");
    let json = bad.to_json().expect("JSON");
    tame.title = "x".to_owned();
    tame.metrics.parameters[0].name = "x".to_owned();
    tame.contexts[0].name = "x".to_owned();
    tame.strata.iter_mut().for_each(|stratum| tamed(&mut stratum.label));
    for check in &mut tame.checks {
        check.parameters.iter_mut().for_each(tamed);
        check.stratum.iter_mut().for_each(tamed);
        [&mut check.subject, &mut check.finding].into_iter().for_each(tamed);
    }
    tame.limits.iter_mut().for_each(|limit| limit.parameter.iter_mut().for_each(tamed));
    assert!(!tame.to_json().expect("JSON").contains("PASSED") && json.contains("PASSED"));

    let is_printable = |text: &str| !text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}');
    for (text, expected) in [(bad.to_string(), tame.to_string()), (bad.to_markdown(), tame.to_markdown())] {
        assert_eq!(text.lines().count(), expected.lines().count(), "{text}");
        assert!(is_printable(&text), "{text:?}");
        for (line, expected) in text.lines().zip(expected.lines()) {
            let start: String = expected.chars().take_while(|c| !c.is_alphanumeric() && *c != '`').collect();
            assert!(line.starts_with(&start), "{line} instead of {expected}");
        }
    }
    // Cells: as GitHub splits rows, at pipes that no backslash escapes.
    let cells = |line: &str| {
        let (mut escaped, mut cells) = (false, 0);
        for c in line.chars() {
            cells += usize::from(c == '|' && !escaped);
            escaped = c == '\\' && !escaped;
        }
        cells
    };
    let (markdown, expected) = (bad.to_markdown(), tame.to_markdown());
    let rows = |text: &str| text.lines().filter(|line| line.starts_with('|')).map(cells).collect::<Vec<_>>();
    assert_eq!(rows(&markdown), rows(&expected), "{markdown}");
    // Outside of code, every character that has a meaning is escaped.
    for line in markdown.lines() {
        let mut text = String::new();
        let mut rest = line.replace("\\`", "");
        while let Some(start) = rest.find('`') {
            let fence: String = rest[start..].chars().take_while(|c| *c == '`').collect();
            let after = &rest[start + fence.len()..];
            let end = after.find(&fence).unwrap_or_else(|| panic!("code without an end: {line}"));
            text.push_str(&rest[..start]);
            rest = after[end + fence.len()..].to_owned();
        }
        text.push_str(&rest);
        let bare = text.replace("\\\\", "").replace(&format!("**{}**", bad.headline()), "");
        for markup in ["<", "[", "_", "**", "@t"] {
            let escaped = format!("\\{}", &markup[..1]);
            assert!(!bare.replace(&escaped, "").contains(markup), "`{markup}` in {line}");
        }
    }

    let html = bad.to_html();
    assert!(!html.contains("<img") && is_printable(&html), "{html:?}");
    let junit = bad.to_junit().expect("XML");
    let xml = Xml::deserialize_from_str(&junit).expect("JUnit");
    assert_eq!(xml.tests, bad.checks.len() + bad.limits.len());
    assert!(is_printable(&junit) && junit.contains("u{1b}[2J"), "{junit:?}");
    // Everything else has the name as it is.
    assert_eq!(Report::load(saved(&json)).expect("a report").metrics.parameters[0].name, HOSTILE);
}

/// Where findings have it between backticks.
static HOSTILE_IN_FINDINGS: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| super::super::verdict::quoted(HOSTILE).trim_matches('`').to_owned());

fn saved(json: &str) -> tempfile::TempPath {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), json).expect("writable");
    file.into_temp_path()
}

/// What another program wrote into a report is not trusted either.
#[test]
fn a_finding_of_a_file_forges_nothing() {
    let mut report = report(0.6);
    let first = report.checks.iter_mut().find(|check| !check.passed).expect("one fails");
    first.finding = "1. `a\n\n**PASSED**: <b>all</b>".to_owned();
    report.advice = vec!["# PASSED".to_owned(), "- [x] PASSED".to_owned()];
    let markdown = report.to_markdown();
    for line in
        ["- 1\\. \\`a\\n\\n\\*\\*PASSED\\*\\*: \\<b\\>all\\</b\\> (p", "\n- \\# PASSED\n", "\n- \\- \\[x\\] PASSED\n"]
    {
        let line = line.replace("a\\n\\n", "a\\\\n\\\\n");
        assert!(markdown.contains(&line), "{line} is not in: {markdown}");
    }
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
