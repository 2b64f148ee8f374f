//! Holds the suite's results, and words its verdict.

mod error;
#[cfg(feature = "plots")]
mod figures;
mod files;
mod html;
mod junit;
mod markdown;
mod text;

pub use error::ReportError;

use super::{Check, CheckKind, ContextRange, Detectable, LimitCheck, Metrics, Stratum, strata::short};
use bayesburn_core::one_line;
use html::Shown;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;
use text::p_value;

/// The results of a [`DiagnosticsSuite`](super::DiagnosticsSuite). It prints as the verdict in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The title.
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
    /// What data sets share with others, such as how many observations they have, and from where to where they do: what
    /// the verdict is over.
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

    /// What is wrong, in words: the checks that failed, but for those of which another one says more. A bias or a wrong
    /// width bends the ECDF too, and is seen in pairs and distances.
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline())?;
        for check in self.findings() {
            writeln!(f, "- {} (p = {})", one_line(&check.finding), p_value(check.p_value))?;
        }
        for limit in self.exceeded() {
            writeln!(f, "- {limit}")?;
        }
        for Stratum { label, num_data_sets, passed, .. } in &self.strata {
            let verdict = if *passed { "passed" } else { "failed" };
            writeln!(f, "{}: {verdict} ({num_data_sets} data sets)", one_line(label))?;
        }
        for advice in &self.advice {
            writeln!(f, "Try: {}", one_line(advice))?;
        }
        for note in self.notes() {
            writeln!(f, "{}", one_line(&note))?;
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
mod tests;
