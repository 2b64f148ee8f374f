//! Writes a report as JUnit XML, which CI services show: one test case for each check and each limit.

use super::Report;
use super::text::{number, p_value};
use bayesburn_core::one_line;
use quick_junit::{NonSuccessKind, Report as Xml, TestCase, TestCaseStatus, TestSuite};

/// The XML.
pub(super) fn xml(report: &Report) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(&*one_line(&report.title));
    for check in &report.checks {
        let name = format!("{}: {}", check.kind.label(), check.subject);
        let seen = format!("p = {}, fails at {}", p_value(check.p_value), p_value(check.alpha));
        suite.add_test_case(case(name, "calibration", check.passed, &check.finding, &seen));
    }
    for limit in &report.limits {
        let name = match &limit.parameter {
            Some(parameter) => format!("{}: {parameter}", limit.quantity),
            None => limit.quantity.clone(),
        };
        let seen = format!("{} where {} {} is asked for", number(limit.value), limit.side.label(), number(limit.limit));
        suite.add_test_case(case(name, "limits", limit.passed, &limit.to_string(), &seen));
    }
    let mut xml = Xml::new("bayesburn");
    xml.add_test_suite(suite);
    xml.to_string()
}

fn case(name: String, group: &str, passed: bool, finding: &str, seen: &str) -> TestCase {
    let (name, finding) = (one_line(&name), one_line(finding));
    let status = if passed {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(&*finding).set_type(group).set_description(format!("{finding}\n{seen}"));
        status
    };
    let mut case = TestCase::new(&*name, status);
    case.set_classname(group);
    if passed {
        case.set_system_out(seen);
    }
    case
}
