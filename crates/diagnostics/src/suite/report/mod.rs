//! Holds what the suite found.

mod error;
mod html;
mod junit;
mod markdown;
mod text;

use super::{Check, CheckKind, ContextRange, Detectable, LimitCheck, Metrics, Stratum, strata::short};
use crate::Result;
use bayesburn_core::{FileError, files::write_atomically};
pub use error::ReportError;
use html::Shown;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use text::p_value;
#[cfg(feature = "plots")]
use {
    super::SuiteInput,
    crate::{Bins, Coverage, RankEcdfs, RankHistograms, recovery, sbc_ranks, z_score_contraction},
    ndarray::Axis,
};

/// Parameters with figures, at most: those of the smallest p-values. A page with more is slow on a phone.
#[cfg(feature = "plots")]
const MOST_SHOWN: usize = 12;

/// What a [`DiagnosticsSuite`](super::DiagnosticsSuite) found. Printed, it is the verdict in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// What the report is called.
    pub title: String,
    /// M, the number of data sets.
    pub num_data_sets: usize,
    /// L, the number of draws for each.
    pub num_draws: usize,
    /// The probability that any check alarms although the posterior is exact, at most.
    pub alpha: f64,
    /// The seed of what the checks had of chance.
    pub seed: u64,
    /// Whether data were given, without which draws of the prior pass as well.
    pub looks_at_data: bool,
    /// What data sets share with others, such as how many observations they have, and from where to where they do: what the verdict is over.
    #[serde(default)]
    pub contexts: Vec<ContextRange>,
    /// The verdict for ranges of each of them.
    #[serde(default)]
    pub strata: Vec<Stratum>,
    /// All checks.
    pub checks: Vec<Check>,
    /// All limits.
    pub limits: Vec<LimitCheck>,
    /// Numbers to compare posteriors by, and the next run with this one.
    pub metrics: Metrics,
    /// Which deviations would have been found.
    pub detectable: Detectable,
    /// What to try, if something failed.
    pub advice: Vec<String>,
    #[serde(skip)]
    pub(super) figures: Vec<Shown>,
}

/// One parameter in one range of a context, as tables show it.
struct StratumRow<'a> {
    label: &'a str,
    num_data_sets: usize,
    parameter: &'a str,
    bias: f64,
    width: f64,
    passed: bool,
}

impl Report {
    /// Whether all checks passed, and all limits are kept.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed().next().is_none() && self.exceeded().next().is_none()
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed)
    }

    /// What is wrong, in words: the checks that failed, but for those of which another one says more. A bias or a wrong width bends the ECDF too,
    /// and is seen in pairs and distances.
    pub fn findings(&self) -> impl Iterator<Item = &Check> {
        let margins: HashSet<&String> =
            self.failed().filter(|check| check.is_of_margins()).flat_map(|check| &check.parameters).collect();
        let is_explained = move |check: &Check| {
            check.is_explained_by_margins() && check.parameters.iter().any(|parameter| margins.contains(parameter))
        };
        self.failed().filter(move |check| !is_explained(check))
    }

    /// The parameters that something is wrong with.
    pub(super) fn faulty(&self) -> HashSet<&String> {
        self.findings().flat_map(|check| &check.parameters).collect()
    }

    /// The places of the parameters, that of the smallest p-value first: what to look at of hundreds of them.
    ///
    /// ```
    /// # use bayesburn_core::{Draws, Purpose, stream};
    /// # use bayesburn_diagnostics::{DiagnosticsSuite, SuiteInput, sbc_ecdf};
    /// # use ndarray::{Array2, Array3, Axis};
    /// # use rand::RngExt;
    /// # use rand_distr::StandardNormal;
    /// # let mut rng = stream(1, Purpose::new("example of pages"), 0);
    /// # let mut normal = || -> f32 { rng.sample(StandardNormal) };
    /// # let names = (0..30).map(|i| format!("theta_{i}")).collect();
    /// # let truths = Array2::from_shape_simple_fn((100, 30), &mut normal);
    /// # let draws = Draws::new(names, Array3::from_shape_simple_fn((100, 50, 30), &mut normal)).expect("30 names");
    /// let report = DiagnosticsSuite::new().run(&SuiteInput::new(&draws, &truths)?)?;
    /// for page in report.worst_first().chunks(12) {
    ///     let ecdfs = sbc_ecdf(&draws.select_parameters(page), &truths.select(Axis(1), page))?;
    /// #   let _ = stringify! {
    ///     ecdfs.plot().save(format!("out/ecdf_{}.png", page[0]))?;
    /// #   };
    /// }
    /// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
    /// ```
    #[must_use]
    pub fn worst_first(&self) -> Vec<usize> {
        let least = |name: &String| {
            let checks = self.checks.iter().filter(|check| check.parameters.contains(name));
            checks.fold(1.0, |least: f64, check| least.min(check.p_value))
        };
        let least: Vec<f64> = self.metrics.parameters.iter().map(|parameter| least(&parameter.name)).collect();
        let mut places: Vec<usize> = (0..least.len()).collect();
        places.sort_by(|&a, &b| least[a].total_cmp(&least[b]));
        places
    }

    /// Each stratum with each parameter.
    fn rows_of_strata(&self) -> Vec<StratumRow<'_>> {
        let names = || self.metrics.parameters.iter().map(|parameter| &parameter.name);
        let mut rows = Vec::new();
        for stratum in &self.strata {
            let failed = self.failed().filter(|check| check.stratum.as_ref() == Some(&stratum.label));
            let faulty: HashSet<&String> = failed.flat_map(|check| &check.parameters).collect();
            rows.extend(names().zip(&stratum.bias).zip(&stratum.width).map(|((parameter, &bias), &width)| {
                StratumRow {
                    label: &stratum.label,
                    num_data_sets: stratum.num_data_sets,
                    parameter,
                    bias,
                    width,
                    passed: !faulty.contains(parameter),
                }
            }));
        }
        rows
    }

    /// The limits that are not kept.
    pub fn exceeded(&self) -> impl Iterator<Item = &LimitCheck> {
        self.limits.iter().filter(|limit| !limit.passed)
    }

    /// One line: whether it passed, and how much of it did.
    #[must_use]
    pub fn headline(&self) -> String {
        let verdict = if self.passed() { "PASSED" } else { "FAILED" };
        let checks = self.checks.len();
        let passed = checks - self.failed().count();
        let mut line = format!("{verdict}: {passed} of {checks} checks passed");
        if !self.limits.is_empty() {
            let kept = self.limits.len() - self.exceeded().count();
            line += &format!(", {kept} of {} limits kept", self.limits.len());
        }
        line + &format!(" ({} data sets, {} draws each)", self.num_data_sets, self.num_draws)
    }

    /// What is to be known of a verdict: what it promises, and what it can't see.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let percent = format!("{:.4}", 100.0 * self.alpha);
        let percent = percent.trim_end_matches('0').trim_end_matches('.');
        let mut notes = vec![
            format!("An exact posterior fails any of these checks with a probability of at most {percent}%."),
            format!("With a probability of 90%, for each parameter, they find {}.", self.detectable),
        ];
        if let Some(smallest) = self.strata.iter().min_by_key(|stratum| stratum.num_data_sets) {
            notes.push(format!("In each range of the context by itself, they find {}.", smallest.detectable));
        }
        if !self.contexts.is_empty() {
            let over = |range: &ContextRange| match range.distinct {
                1 => format!("{} = {}, the only value", range.name, short(range.least)),
                values => {
                    format!("{} from {} to {} ({values} values)", range.name, short(range.least), short(range.most))
                }
            };
            let ranges: Vec<String> = self.contexts.iter().map(over).collect();
            notes.push(format!("The verdict is over {}, and says nothing beyond.", ranges.join(", ")));
        }
        if !self.looks_at_data {
            notes.push(
                "No data that vary were given: draws of the prior, whatever the data, would pass as well.".to_owned(),
            );
        }
        notes
    }
}

impl Report {
    /// The report with figures: ECDFs and histograms of ranks, coverage, recovery, contraction. Of more than 12 parameters, those of the
    /// smallest p-values are shown.
    ///
    /// # Errors
    /// An input of other parameters than the report.
    #[cfg(feature = "plots")]
    pub fn with_figures(mut self, input: &SuiteInput<'_>) -> Result<Self> {
        let names = input.draws.names();
        if self.metrics.parameter_names() != names[..] {
            let (expected, got) = (self.metrics.parameter_names(), names.to_vec());
            return Err(ReportError::OtherParameters { expected, got }.into());
        }
        let mut shown = self.worst_first();
        shown.truncate(MOST_SHOWN);
        shown.sort_unstable();
        let draws = input.draws.select_parameters(&shown);
        let truths = input.truths.select(Axis(1), &shown);
        // As the checks have them.
        let ranks = sbc_ranks(input.draws, input.truths)?.with_ties_broken(self.seed).of_parameters(&shown);
        let which = match names.len() - shown.len() {
            0 => String::new(),
            _ => format!(" Of {} parameters, those of the {} smallest p-values.", names.len(), shown.len()),
        };
        let figures = [
            (
                "Calibration",
                "ECDF of the ranks, less what is expected.",
                RankEcdfs::new(&ranks, Default::default())?.plot(),
            ),
            (
                "Ranks",
                "A bowl is too narrow, a hump too wide, a slope biased.",
                RankHistograms::new(&ranks, Bins::Auto)?.plot(),
            ),
            ("Coverage", "How often central intervals hold the truth.", Coverage::central(&ranks)?.plot()),
            ("Recovery", "Posterior medians over truths.", recovery(&draws, &truths)?.plot()),
            (
                "Contraction",
                "How much the data say, and how far off means are.",
                z_score_contraction(&draws, &truths)?.plot(),
            ),
        ];
        let shown = figures.map(|(heading, caption, figure)| Shown {
            heading,
            caption: format!("{caption}{which}"),
            svg: figure.to_svg(),
        });
        self.figures = shown.into();
        Ok(self)
    }

    /// As JSON, with all numbers; NaN are `null`.
    ///
    /// # Errors
    /// None for a report that the suite has made.
    pub fn to_json(&self) -> Result<String, ReportError> {
        serde_json::to_string_pretty(self).map_err(|error| ReportError::Format { reason: error.to_string() })
    }

    /// A report that was saved as JSON, without figures.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such report.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ReportError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(FileError::read(path))?;
        serde_json::from_str(&text)
            .map_err(|error| ReportError::NoReport { path: path.into(), reason: error.to_string() })
    }

    /// As one HTML page that needs no other file.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::page(self, &self.figures)
    }

    /// As Markdown, for a pull request.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::text(self)
    }

    /// As JUnit XML, a test case for each check and each limit.
    ///
    /// # Errors
    /// None for a report that the suite has made.
    pub fn to_junit(&self) -> Result<String, ReportError> {
        junit::xml(self).map_err(|error| ReportError::Format { reason: error.to_string() })
    }

    /// Writes the report in the format that the path ends in, `.html`, `.md`, `.xml` (JUnit) or `.json`, replacing a file that is there. Folders
    /// are made.
    ///
    /// # Errors
    /// If the path ends in anything else, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        let path = path.as_ref();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let text = match extension.as_deref() {
            Some("html") => self.to_html(),
            Some("md") => self.to_markdown(),
            Some("xml") => self.to_junit()?,
            Some("json") => self.to_json()?,
            _ => return Err(ReportError::Extension { path: path.into() }),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let written = folder
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| write_atomically(path, |file| file.write_all(text.as_bytes())));
        Ok(written.map_err(FileError::write(path))?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline())?;
        for check in self.findings() {
            writeln!(f, "- {} (p = {})", check.finding, p_value(check.p_value))?;
        }
        for limit in self.exceeded() {
            writeln!(f, "- {limit}")?;
        }
        for Stratum { label, num_data_sets, passed, .. } in &self.strata {
            writeln!(f, "{label}: {} ({num_data_sets} data sets)", if *passed { "passed" } else { "failed" })?;
        }
        for advice in &self.advice {
            writeln!(f, "Try: {advice}")?;
        }
        for note in self.notes() {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

impl CheckKind {
    /// What the check is called in reports.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Bias => "bias",
            Self::Width => "width",
            Self::Shape => "shape",
            Self::Pair => "pair",
            Self::Distance => "distance to random points",
            Self::DataBias => "bias, given the data",
            Self::DataWidth => "width, given the data",
            Self::Density => "density",
            Self::Quantity => "quantity",
            Self::ContextBias => "bias, given the context",
            Self::ContextWidth => "width, given the context",
            Self::ContextShape => "shape, given the context",
        }
    }
}

#[cfg(test)]
mod tests {
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
        for text in [
            bad.to_string(),
            bad.to_html(),
            bad.to_markdown(),
            bad.to_junit().expect("XML"),
            bad.to_json().expect("JSON"),
        ] {
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
        assert!(
            !html.contains("http://") || html.matches("http://").count() == html.matches("http://www.w3.org").count()
        );
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
        assert!(
            then.save(folder.path().join("a.pdf")).expect_err("no format").to_string().contains(".html, .md, .xml")
        );
        assert!(
            Metrics::of_saved_report(folder.path().join("none.json"))
                .expect_err("no file")
                .to_string()
                .contains("cannot read")
        );
    }
}
