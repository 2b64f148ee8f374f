//! Judges draws, and shows reports.

use crate::{
    Outcome, Result,
    arguments::{Diagnose, Report as ReportOptions, Reports},
    output::{noted, say},
};
use bayesburn_diagnostics::{DiagnosticsSuite, Limit, Metrics, Report, SuiteInput};
use bayesburn_io::{read_array, read_draws_and_truths, read_values};
use ndarray::{Ix2, Ix3};
use std::path::PathBuf;

pub(crate) fn run(options: &Diagnose, json: bool) -> Result<Outcome> {
    options.reports.check()?;
    if !(options.drift >= 0.0 && options.drift.is_finite()) {
        return Err(format!("--drift {}: give a number from 0 on", options.drift).into());
    }
    let mut suite = DiagnosticsSuite::new().with_title(options.title.as_str()).with_alpha(options.alpha);
    let limits = [
        options.contraction_at_least.map(Limit::ContractionAtLeast),
        options.nrmse_at_most.map(Limit::NormalizedRmseAtMost),
        options.bias_at_most.map(Limit::BiasAtMost),
        options.calibration_error_at_most.map(Limit::CalibrationErrorAtMost),
        options.nll_at_most.map(Limit::NegativeLogProbAtMost),
        match &options.baseline {
            Some(path) => {
                let baseline = Metrics::of_saved_report(path)?;
                Some(Limit::DriftAtMost { baseline, by: options.drift })
            }
            None => None,
        },
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
    let report = suite.with_seed(options.seed).run(&input)?;
    #[cfg(feature = "plots")]
    let report = if options.reports.html.is_some() { report.with_figures(&input)? } else { report };
    finish(&report, &options.reports, json)
}

pub(crate) fn report(options: &ReportOptions, json: bool) -> Result<Outcome> {
    options.reports.check()?;
    finish(&Report::load(&options.report)?, &options.reports, json)
}

fn finish(report: &Report, reports: &Reports, json: bool) -> Result<Outcome> {
    if json {
        say(format_args!("{}\n", report.to_json()?))?;
    } else {
        say(report)?;
    }
    for (path, _) in reports.given() {
        report.save(path)?;
        if !json {
            say(format_args!("Written: {}\n", path.display()))?;
        }
    }
    Ok(if report.passed() { Outcome::Passed } else { Outcome::Failed })
}

impl Reports {
    /// The paths given, with what they should end in.
    fn given(&self) -> impl Iterator<Item = (&PathBuf, &'static str)> {
        let all = [(&self.html, "html"), (&self.markdown, "md"), (&self.junit, "xml")];
        all.into_iter().filter_map(|(path, extension)| Some((path.as_ref()?, extension)))
    }

    fn check(&self) -> Result<()> {
        match self.given().find(|(path, extension)| path.extension().is_none_or(|e| !e.eq_ignore_ascii_case(extension)))
        {
            Some((path, extension)) => Err(format!("{}: end the path in .{extension}", path.display()).into()),
            None => Ok(()),
        }
    }
}
