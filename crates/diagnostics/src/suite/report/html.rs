//! Writes a report as one HTML page that needs nothing else: figures are in it, and it reads on a phone, on paper and
//! in the dark.

use super::Report;
use super::text::{number, p_value};
use crate::suite::{Check, LimitCheck, ParameterMetrics};
use bayesburn_core::{one_line, printable};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// A figure's heading, what it shows, and its SVG.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::suite) struct Shown {
    pub(super) heading: &'static str,
    pub(super) caption: String,
    pub(super) svg: String,
}

/// The page.
pub(super) fn page(report: &Report, figures: &[Shown]) -> String {
    let verdict = if report.passed() { "passed" } else { "failed" };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (one_line(&report.title)) ": " (verdict) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (one_line(&report.title)) }
                    p class={ "verdict " (verdict) } { (report.headline()) }
                }
                main {
                    (findings(report))
                    @for note in report.notes() { p class="note" { (words(&note)) } }
                    (limits(&report.limits))
                    (parameters(report))
                    (strata(report))
                    (figures_of(figures))
                    (checks(&report.checks))
                }
            }
        }
    };
    page.into_string()
}

fn findings(report: &Report) -> Markup {
    html! {
        @if !report.passed() {
            section {
                h2 { "What is wrong" }
                ul class="findings" {
                    @for check in report.findings() {
                        li { (words(&check.finding)) " " span class="p" { "p = " (p_value(check.p_value)) } }
                    }
                    @for limit in report.exceeded() { li { (words(&limit.to_string())) } }
                }
                @if !report.advice.is_empty() {
                    h2 { "What to try" }
                    ul { @for advice in &report.advice { li { (words(advice)) } } }
                }
            }
        }
    }
}

fn limits(limits: &[LimitCheck]) -> Markup {
    html! {
        @if !limits.is_empty() {
            section {
                h2 { "Limits" }
                div class="scroll" { table {
                    thead { tr { th { "Quantity" } th { "Parameter" } th { "Value" } th { "Limit" } th {} } }
                    tbody {
                        @for limit in limits {
                            tr class=[(!limit.passed).then_some("bad")] {
                                td { (one_line(&limit.quantity)) }
                                td { (one_line(limit.parameter.as_deref().unwrap_or(""))) }
                                td class="number" { (number(limit.value)) }
                                td class="number" { (limit.side.label()) " " (number(limit.limit)) }
                                td { (mark(limit.passed)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn parameters(report: &Report) -> Markup {
    let faulty = report.faulty();
    let bad = |p: &ParameterMetrics| faulty.contains(&p.name);
    html! {
        section {
            h2 { "Parameters" }
            div class="scroll" { table {
                thead { tr {
                    th { "Parameter" }
                    th title="posterior mean minus truth, in posterior standard deviations: 0 at best" { "Bias" }
                    th title="the posterior's standard deviation as a share of what it should be: 1 at best" { "Width" }
                    th title="1 − posterior variance / prior variance" { "Contraction" }
                    th title="root mean squared error of draws, as a share of that of prior draws" { "Error" }
                    th title="median |coverage − probability| of central intervals" { "Calibration error" }
                } }
                tbody {
                    @for p in &report.metrics.parameters {
                        tr class=[bad(p).then_some("bad")] {
                            td { (one_line(&p.name)) }
                            @for value in [p.bias, p.width, p.contraction, p.normalized_rmse, p.calibration_error] {
                                td class="number" { (number(value)) }
                            }
                        }
                    }
                }
            } }
            @if let Some(value) = report.metrics.negative_log_prob {
                p class="note" { "Mean of −ln q of the truths: " (number(value)) }
            }
        }
    }
}

fn strata(report: &Report) -> Markup {
    html! {
        @if !report.strata.is_empty() {
            section {
                h2 { "By context" }
                div class="scroll" { table {
                    thead { tr {
                        th { "Context" } th { "Data sets" } th { "Parameter" } th { "Bias" } th { "Width" } th {}
                    } }
                    tbody {
                        @for row in report.rows_of_strata() {
                            tr class=[(!row.passed).then_some("bad")] {
                                td { (one_line(row.label)) }
                                td class="number" { (row.num_data_sets) }
                                td { (one_line(row.parameter)) }
                                td class="number" { (number(row.bias)) }
                                td class="number" { (number(row.width)) }
                                td { (mark(row.passed)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn figures_of(figures: &[Shown]) -> Markup {
    html! {
        @if !figures.is_empty() {
            section {
                h2 { "Figures" }
                @for figure in figures {
                    figure {
                        figcaption { b { (figure.heading) } " " (one_line(&figure.caption)) }
                        div class="scroll" { (PreEscaped(printable(&figure.svg))) }
                    }
                }
            }
        }
    }
}

fn checks(checks: &[Check]) -> Markup {
    html! {
        section {
            details {
                summary { "All " (checks.len()) " checks" }
                div class="scroll" { table {
                    thead { tr { th { "Check" } th { "Of" } th { "p" } th { "Fails at" } th {} } }
                    tbody {
                        @for check in checks {
                            tr class=[(!check.passed).then_some("bad")] {
                                td { (check.kind.label()) }
                                td { (one_line(&check.subject)) }
                                td class="number" { (p_value(check.p_value)) }
                                td class="number" { (p_value(check.alpha)) }
                                td { (mark(check.passed)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// Text with what is between backticks as code.
fn words(text: &str) -> Markup {
    html! {
        @for (i, part) in one_line(text).split('`').enumerate() {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn mark(passed: bool) -> &'static str {
    if passed { "✓" } else { "✗" }
}
