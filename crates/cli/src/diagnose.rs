//! Judges draws, and shows reports.

use crate::{
    Result,
    arguments::{Diagnose, Report as ReportOptions},
    output::{noted, print, print_json},
};
use bayesburn_diagnostics::{DiagnosticsSuite, Limit, Report, SuiteInput};
use bayesburn_io::{read_array, read_draws_and_truths, read_values};
use bayesburn_workflow::commands::{Outcome, Reports};
use ndarray::{Ix2, Ix3};

pub(crate) fn run(options: &Diagnose, json: bool) -> Result<Outcome> {
    let suite = DiagnosticsSuite::new().with_title(options.title.as_str());
    let (mut suite, _) = options.judging.apply(suite)?;
    let limits = [
        options.contraction_at_least.map(Limit::ContractionAtLeast),
        options.nrmse_at_most.map(Limit::NormalizedRmseAtMost),
        options.bias_at_most.map(Limit::BiasAtMost),
        options.calibration_error_at_most.map(Limit::CalibrationErrorAtMost),
        options.nll_at_most.map(Limit::NegativeLogProbAtMost),
    ];
    for limit in limits.into_iter().flatten() {
        suite = suite.with_limit(limit);
    }
    let tables = options.tables.options();
    let (draws, truths) = noted(read_draws_and_truths(&options.draws, &options.truths, &tables)?);
    let mut input = SuiteInput::new(&draws, &truths)?;
    if let Some(path) = &options.data {
        let array = noted(read_array(path, &tables)?);
        let shape = array.shape().to_vec();
        let m = truths.nrows();
        let wrong =
            || format!("{}: an array of shape {shape:?}, where [{m}, F] or [{m}, N, F] is needed", path.display());
        input = match array.ndim() {
            2 => input.with_features(array.into_dimensionality::<Ix2>().map_err(|_| wrong())?)?,
            _ => input.with_data(array.into_dimensionality::<Ix3>().map_err(|_| wrong())?.view())?,
        };
    }
    if let Some(path) = &options.log_prob {
        input = input.with_log_prob_of_truths(noted(read_values(path, &tables)?))?;
    }
    let report = suite.run(&input)?;
    #[cfg(feature = "plots")]
    let report = if options.reports.html.is_some() { report.with_figures(&input)? } else { report };
    finish(&report, &options.reports, json)
}

pub(crate) fn report(options: &ReportOptions, json: bool) -> Result<Outcome> {
    finish(&Report::load(&options.report)?, &options.reports, json)
}

fn finish(report: &Report, reports: &Reports, json: bool) -> Result<Outcome> {
    if json {
        print_json(report.to_json()?)?;
    } else {
        print(report)?;
    }
    for path in reports.paths() {
        report.save(path)?;
        if !json {
            print(format_args!("Written: {}\n", path.display()))?;
        }
    }
    Ok(if report.passed() { Outcome::Passed } else { Outcome::Failed })
}
