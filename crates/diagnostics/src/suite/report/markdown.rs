//! Writes a report as Markdown, for a comment on a pull request.

use super::Report;
use super::text::{number, p_value};
use std::fmt::Write;

/// Parameters that a table shows at most; a comment is read in a narrow column.
const ROWS: usize = 30;

/// The text.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("## {}\n\n**{}**\n", cell(&report.title), report.headline());
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{line}");
    };
    if !report.passed() {
        line("\n".to_owned());
        report.findings().for_each(|check| line(format!("- {} (p = {})\n", check.finding, p_value(check.p_value))));
        report.exceeded().for_each(|limit| line(format!("- {limit}\n")));
    }
    if !report.advice.is_empty() {
        line("\nWhat to try:\n".to_owned());
        report.advice.iter().for_each(|advice| line(format!("- {advice}\n")));
    }
    line(
        "\n| parameter | bias | width | contraction | error | calibration error |\n|---|---:|---:|---:|---:|---:|\n"
            .to_owned(),
    );
    let parameters = &report.metrics.parameters;
    // Those with something wrong first; the rest in their order.
    let faulty = report.faulty();
    let is_fine = |name: &String| !faulty.contains(name);
    let mut order: Vec<usize> = (0..parameters.len()).collect();
    order.sort_by_key(|&i| is_fine(&parameters[i].name));
    for p in order.iter().take(ROWS).map(|&i| &parameters[i]) {
        let numbers = [p.bias, p.width, p.contraction, p.normalized_rmse, p.calibration_error].map(number);
        line(format!("| {} | {} |\n", cell(&p.name), numbers.join(" | ")));
    }
    if parameters.len() > ROWS {
        line(format!("\n{} more parameters are in the whole report.\n", parameters.len() - ROWS));
    }
    if !report.strata.is_empty() {
        line("\n| context | data sets | parameter | bias | width | |\n|---|---:|---|---:|---:|---|\n".to_owned());
        let mut rows = report.rows_of_strata();
        rows.sort_by_key(|row| row.passed);
        for row in rows.iter().take(ROWS) {
            let (label, parameter, numbers) = (cell(row.label), cell(row.parameter), [row.bias, row.width].map(number));
            let (verdict, numbers) = (if row.passed { "passed" } else { "failed" }, numbers.join(" | "));
            line(format!("| {label} | {} | {parameter} | {numbers} | {verdict} |\n", row.num_data_sets));
        }
        if rows.len() > ROWS {
            line(format!("\n{} more rows are in the whole report.\n", rows.len() - ROWS));
        }
    }
    line("\n".to_owned());
    report.notes().iter().for_each(|note| line(format!("{note}\n")));
    text
}

/// Text that does not end its cell, its row or its heading.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
