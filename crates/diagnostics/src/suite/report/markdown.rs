//! Writes a report as Markdown, for a comment on a pull request.

use super::Report;
use super::text::{number, p_value};
use bayesburn_core::one_line;
use std::fmt::Write;

/// Parameters that a table shows at most; a comment is read in a narrow column.
const ROWS: usize = 30;

/// The text.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("## {}\n\n**{}**\n", plain(&report.title), report.headline());
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{line}");
    };
    if !report.passed() {
        line("\n".to_owned());
        report
            .findings()
            .for_each(|check| line(format!("- {} (p = {})\n", words(&check.finding), p_value(check.p_value))));
        report.exceeded().for_each(|limit| line(format!("- {}\n", words(&limit.to_string()))));
    }
    if !report.advice.is_empty() {
        line("\nWhat to try:\n".to_owned());
        report.advice.iter().for_each(|advice| line(format!("- {}\n", words(advice))));
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
        line(format!("| {} | {} |\n", cell(&code(&p.name)), numbers.join(" | ")));
    }
    if parameters.len() > ROWS {
        line(format!("\n{} more parameters are in the whole report.\n", parameters.len() - ROWS));
    }
    if !report.strata.is_empty() {
        line("\n| context | data sets | parameter | bias | width | |\n|---|---:|---|---:|---:|---|\n".to_owned());
        let mut rows = report.rows_of_strata();
        rows.sort_by_key(|row| row.passed);
        for row in rows.iter().take(ROWS) {
            let (label, parameter) = (cell(&plain(row.label)), cell(&code(row.parameter)));
            let numbers = [row.bias, row.width].map(number);
            let (verdict, numbers) = (if row.passed { "passed" } else { "failed" }, numbers.join(" | "));
            line(format!("| {label} | {} | {parameter} | {numbers} | {verdict} |\n", row.num_data_sets));
        }
        if rows.len() > ROWS {
            line(format!("\n{} more rows are in the whole report.\n", rows.len() - ROWS));
        }
    }
    line("\n".to_owned());
    report.notes().iter().for_each(|note| line(format!("{}\n", words(note))));
    text
}

/// A name as code, in which there is no markup, no link and no mention of a user: between more backticks than it has in
/// a row, and beside spaces where these would be taken for its own.
fn code(name: &str) -> String {
    let name = one_line(name);
    let longest = name.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if name.starts_with(['`', ' ']) || name.ends_with(['`', ' ']) { " " } else { "" };
    // Without a name there is nothing to fence: the two fences would be one.
    if name.is_empty() { String::new() } else { format!("{fence}{space}{name}{space}{fence}") }
}

/// Text with what is between backticks as code.
fn words(text: &str) -> String {
    let text = one_line(text);
    let parts: Vec<&str> = text.trim_start().split('`').collect();
    let part = |(i, part): (usize, &&str)| match i % 2 {
        0 => plain(part),
        // A backtick without its twin.
        _ if i + 1 == parts.len() => plain(&format!("`{part}")),
        _ => code(part),
    };
    parts.iter().enumerate().map(part).collect()
}

/// Text that is only text: what Markdown takes for markup or HTML is escaped, also at the start of a line, where `#` is
/// a heading, and what GitHub takes for the name of a user, by a space without width.
fn plain(text: &str) -> String {
    let text = one_line(text);
    let number = text.find(|character: char| !character.is_ascii_digit());
    let mut plain = String::with_capacity(text.len());
    for (place, character) in text.char_indices() {
        let is_markup = matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '$');
        let begins_a_block = match character {
            '#' | '+' | '-' | '=' => place == 0,
            '.' | ')' => place > 0 && number == Some(place),
            _ => false,
        };
        if is_markup || begins_a_block {
            plain.push('\\');
        }
        plain.push(character);
        if character == '@' {
            plain.push('\u{200b}');
        }
    }
    plain
}

/// Markdown that does not end its cell of a table: a pipe is escaped, in code as well, where it is shown without the
/// backslash. The backslash must not be escaped itself by one before it.
fn cell(markdown: &str) -> String {
    let (mut cell, mut backslashes) = (String::with_capacity(markdown.len() + 4), 0);
    for character in markdown.chars() {
        if character == '|' {
            cell.push_str(if backslashes % 2 == 0 { "\\" } else { "\\\\" });
        }
        backslashes = if character == '\\' { backslashes + 1 } else { 0 };
        cell.push(character);
    }
    cell
}
