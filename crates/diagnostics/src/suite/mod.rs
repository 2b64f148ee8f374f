//! Judges a trained posterior by properties that every exact posterior has, with a verdict that a program can act on.

mod checks;
mod dependence;
mod input;
mod metrics;
mod power;
mod report;
mod strata;
mod verdict;

pub use checks::{Check, CheckKind};
pub use input::SuiteInput;
pub use metrics::{Limit, LimitCheck, LimitError, Metrics, ParameterMetrics, Side};
pub use power::Detectable;
pub use report::{Report, ReportError};
pub use strata::{ContextRange, Stratum};

use crate::checks::check_alpha;
use crate::moments::correlation;
use crate::{Result, z_score_contraction};
use checks::checks;
use strata::{Context, strata};

/// Checks of a posterior with one false-alarm rate for all of them.
///
/// The tested properties hold for every exact posterior, whatever the model: ranks of truths among draws are uniform,
/// for single parameters (their mean, their spread, their shape), for products of two, and for distances to random
/// points; and the ranks do not depend on the data. Where data sets share a number with others, such as how many
/// observations they have ([`SuiteInput::with_context`]), parameters' ranks are tested in ranges of it, too.
///
/// The checks share one false-alarm rate: together they fail an exact posterior with at most that probability. Limits
/// bound effect sizes in addition. The same input and seed give the same report.
///
/// ```
/// use bayesburn_core::{Draws, Purpose, stream};
/// use bayesburn_diagnostics::{DiagnosticsSuite, SuiteInput, Limit};
/// use ndarray::{Array2, Array3};
/// use rand::RngExt;
/// use rand_distr::StandardNormal;
///
/// // θ ~ N(0, 1) and x ~ N(θ, 1), whose posterior is N(x/2, 1/2).
/// let mut rng = stream(1, Purpose::new("example of the suite"), 0);
/// let mut normal = || -> f32 { rng.sample(StandardNormal) };
/// let truths = Array2::from_shape_simple_fn((200, 1), &mut normal);
/// let x = truths.mapv(|theta| theta + normal());
/// let mut draws = |std: f32| {
///     let draws = Array3::from_shape_fn((200, 100, 1), |(m, _, _)| x[[m, 0]] / 2.0 + std * normal());
///     Draws::new(["theta".to_owned()].into(), draws)
/// };
/// let suite = DiagnosticsSuite::new().with_limit(Limit::ContractionAtLeast(0.3));
/// let (exact, narrow) = (draws(0.5_f32.sqrt())?, draws(0.5)?);
/// let data = x.view().insert_axis(ndarray::Axis(1));
/// assert!(suite.run(&SuiteInput::new(&exact, &truths)?.with_data(data)?)?.passed());
///
/// let report = suite.run(&SuiteInput::new(&narrow, &truths)?.with_data(data)?)?;
/// assert!(!report.passed() && report.to_string().contains("`theta`: posteriors are too narrow"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DiagnosticsSuite {
    title: String,
    alpha: f64,
    seed: u64,
    limits: Vec<Limit>,
}

impl Default for DiagnosticsSuite {
    fn default() -> Self {
        Self { title: "Calibration".to_owned(), alpha: 0.01, seed: 0, limits: Vec::new() }
    }
}

impl DiagnosticsSuite {
    /// A false-alarm rate of 1%, and no limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the report is called.
    #[must_use]
    pub fn with_title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Another false-alarm rate of the whole suite, between 0 and 1.
    #[must_use]
    pub fn with_alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// Another seed of what the checks have of chance: how ties of ranks are broken, and random reference points.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// One more limit.
    #[must_use]
    pub fn with_limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// Runs all checks for which the input has what they need.
    ///
    /// # Errors
    /// If the false-alarm rate is not between 0 and 1, or a limit is to what is not known.
    pub fn run(&self, input: &SuiteInput<'_>) -> Result<Report> {
        check_alpha(self.alpha)?;
        let metrics = Metrics::new(input)?;
        let parts: Vec<_> = input.contexts.iter().flat_map(Context::parts).collect();
        let z_scores = z_score_contraction(input.draws, input.truths)?.z_scores;
        let checks = checks(input, &metrics, (&parts, &z_scores), self.alpha, self.seed)?;
        let strata = strata(input, &parts, &z_scores, &checks);
        let mut limits = Vec::new();
        for limit in &self.limits {
            limits.extend(limit.check(&metrics)?);
        }
        let of =
            |kind: CheckKind| checks.iter().find(|check| check.kind == kind).map_or(self.alpha, |check| check.alpha);
        let (bias, width) = (of(CheckKind::Bias), of(CheckKind::Width));
        let detectable = Detectable::new(input.draws.num_data_sets(), input.draws.num_draws(), bias, width);
        let looks_at_data = checks.iter().any(|check| check.kind == CheckKind::DataBias);
        let mut report = Report {
            title: self.title.clone(),
            num_data_sets: input.draws.num_data_sets(),
            num_draws: input.draws.num_draws(),
            alpha: self.alpha,
            seed: self.seed,
            looks_at_data,
            contexts: input.contexts.iter().map(Context::range).collect(),
            strata,
            checks,
            limits,
            metrics,
            detectable,
            advice: Vec::new(),
            figures: Vec::new(),
        };
        let findings: Vec<&Check> = report.findings().collect();
        report.advice = verdict::advice(&findings, &swapped(input, &findings));
        Ok(report)
    }
}

/// Pairs of parameters of which the first one's ranks failed, and its posterior means follow the other one's truths far
/// better than its own.
fn swapped(input: &SuiteInput<'_>, findings: &[&Check]) -> Vec<(String, String)> {
    const FAR: f64 = 0.5;
    let names = input.draws.names();
    let means = input.draws.mean();
    let follows = |i: usize, j: usize| {
        let truths = input.truths.column(j);
        let r = correlation(means.column(i).into_iter().copied().zip(truths.into_iter().map(|&x| f64::from(x))));
        if r.is_nan() { 0.0 } else { r }
    };
    let has_failed = |i: &usize| findings.iter().any(|check| check.parameters.contains(&names[*i]));
    let mut pairs = Vec::new();
    for i in (0..names.len()).filter(has_failed) {
        let own = follows(i, i);
        let others = (0..names.len()).filter(|j| *j != i).map(|j| (j, follows(i, j)));
        if let Some((j, other)) = others.max_by(|a, b| a.1.total_cmp(&b.1))
            && other > own + FAR
        {
            pairs.push((names[i].clone(), names[j].clone()));
        }
    }
    pairs
}
