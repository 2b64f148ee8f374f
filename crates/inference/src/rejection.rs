//! Draws from a posterior until enough draws are inside the prior's support.

use crate::InferenceError;
use bayesburn_amortizers::{AmortizedPosterior, Conditions};
use bayesburn_core::{Draws, ParameterNames, settings::at_least_one};
use bayesburn_networks::SummaryConfig;
use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    ops::Range,
    time::{Duration, Instant},
};

/// Limits for redrawing draws outside of the prior's support.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectionConfig {
    /// The largest number of tries per requested draw, averaged over the draws of a data set. A data set without any
    /// draw inside after ten times as many tries is given up early; if one in that many were inside, this would have
    /// probability exp(−10).
    pub max_tries_per_draw: usize,
    /// A time limit for all data sets together, checked after each round of tries. With a time limit, results depend on
    /// the machine.
    pub max_time: Option<Duration>,
    /// How data sets with too few draws are handled.
    pub when_unfinished: WhenUnfinished,
}

/// How data sets with too few draws are handled when tries or time are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnfinished {
    /// An error names the first of them.
    Error,
    /// They keep fewer draws; see [`Sampled::is_complete`].
    Partial,
}

impl Default for RejectionConfig {
    fn default() -> Self {
        Self { max_tries_per_draw: 10_000, max_time: None, when_unfinished: WhenUnfinished::Error }
    }
}

impl RejectionConfig {
    /// At most 10,000 tries per draw, no time limit, and an error if that is not enough.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of tries.
    #[must_use]
    pub fn with_max_tries_per_draw(mut self, tries: usize) -> Self {
        self.max_tries_per_draw = tries;
        self
    }

    /// Sets a time limit.
    #[must_use]
    pub fn with_max_time(mut self, time: Duration) -> Self {
        self.max_time = Some(time);
        self
    }

    /// Sets how data sets with too few draws are handled.
    #[must_use]
    pub fn with_when_unfinished(mut self, when_unfinished: WhenUnfinished) -> Self {
        self.when_unfinished = when_unfinished;
        self
    }
}

/// Tries for one data set, and how many were inside the support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acceptance {
    /// Draws inside.
    pub accepted: usize,
    /// Draws tried.
    pub tried: usize,
}

impl Acceptance {
    /// The fraction of draws inside: an estimate of the density's probability inside the support.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.accepted as f64 / self.tried as f64
    }
}

/// Draws inside the support, with the numbers of tries.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    names: ParameterNames,
    /// Row after row, for each data set.
    values: Vec<Vec<f32>>,
    acceptance: Vec<Acceptance>,
    wanted: usize,
    warnings: Vec<String>,
    usual: Option<UsualLeakage>,
}

/// The largest leakage over held-out simulations, as a reference for observations: more leakage than that has a
/// probability of about one in `simulations`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsualLeakage {
    /// The least fraction inside the support, minus a standard error.
    pub(crate) least_inside: f64,
    pub(crate) simulations: usize,
}

/// With an acceptance below this, the estimated posterior is mostly outside of the prior's support, and draws inside
/// represent only a small part of it.
const LOW_ACCEPTANCE: f64 = 0.01;

impl Sampled {
    /// Tries and draws inside, for each data set.
    #[must_use]
    pub fn acceptance(&self) -> &[Acceptance] {
        &self.acceptance
    }

    /// The draws for one data set, `[L, D]`; L may be smaller than requested, with [`WhenUnfinished::Partial`].
    ///
    /// # Panics
    /// If there is no such data set.
    #[must_use]
    pub fn data_set(&self, index: usize) -> Array2<f32> {
        let dim = self.names.len();
        let values = self.values[index].clone();
        Array2::from_shape_vec((values.len() / dim, dim), values).expect("whole rows")
    }

    /// Whether all data sets have all requested draws.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.first_unfinished().is_none()
    }

    fn first_unfinished(&self) -> Option<usize> {
        self.values.iter().position(|values| values.len() < self.wanted * self.names.len())
    }

    /// Reasons why the draws may be wrong, such as observations unlike the simulations, or much leakage; `None` if none
    /// are known.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let all: Vec<String> = self.warnings.iter().cloned().chain(self.leakage_warning()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// A warning about the acceptance: if it is below 1% for some data set; or, given at least 100 held-out
    /// simulations, if the odds of leakage are more than twice the largest odds of any of them for more than 2% of the
    /// data sets.
    fn leakage_warning(&self) -> Option<String> {
        const REMEDY: &str = "train with more simulations, or map parameters to the reals by `NpeConfig::with_space`";
        let (data_set, worst) =
            self.acceptance.iter().enumerate().min_by(|(_, a), (_, b)| a.rate().total_cmp(&b.rate()))?;
        if worst.rate() < LOW_ACCEPTANCE {
            return Some(format!(
                "only {:.3}% of the draws for data set {data_set} are inside the prior's support: drawing is slow, \
                 and the density hardly fits there; {REMEDY}",
                100.0 * worst.rate()
            ));
        }
        let UsualLeakage { least_inside, simulations } = self.usual.filter(|usual| usual.simulations >= 100)?;
        let odds = |inside: f64| (1.0 - inside) / inside.max(f64::MIN_POSITIVE);
        let unusual = self.acceptance.iter().filter(|acceptance| {
            let rate = acceptance.rate();
            let at_most = rate + 3.0 * (rate * (1.0 - rate) / acceptance.tried as f64).sqrt();
            odds(at_most) > 2.0 * odds(least_inside)
        });
        let unusual = unusual.count();
        (50 * unusual > self.acceptance.len()).then(|| {
            format!(
                "{:.0}% of the density for data set {data_set} is outside of the prior's support, and at most {:.0}% \
                 for {simulations} simulations that training has not seen: data like these were rare in training, or \
                 the density hardly fits there; {REMEDY}",
                100.0 * (1.0 - worst.rate()),
                100.0 * (1.0 - least_inside)
            )
        })
    }

    /// All draws, `[M, L, D]`.
    ///
    /// # Errors
    /// A data set with too few draws.
    pub fn into_draws(self) -> Result<Draws, InferenceError> {
        let dim = self.names.len();
        if let Some(data_set) = self.first_unfinished() {
            let Acceptance { tried, .. } = self.acceptance[data_set];
            let accepted = self.values[data_set].len() / dim;
            return Err(InferenceError::Rejection { data_set, accepted, wanted: self.wanted, tried });
        }
        let shape = (self.values.len(), self.wanted, dim);
        let values = Array3::from_shape_vec(shape, self.values.concat()).expect("as many rows as wanted");
        let leakage = self.leakage_warning();
        Ok(Draws::new(self.names, values)?.with_warnings(self.warnings).with_warnings(leakage))
    }

    /// Adds reasons why the draws may be wrong, which [`Sampled::into_draws`] passes on.
    #[must_use]
    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}

/// For each data set, the first `wanted` draws of `amortizer` that `accept` accepts, in order. Later rounds draw only
/// for data sets with too few. The first data set has the number `first`.
pub(crate) fn sample<C: SummaryConfig>(
    amortizer: &AmortizedPosterior<C>,
    (conditions, first): (&Conditions, usize),
    (wanted, seed): (usize, u64),
    (config, usual): (&RejectionConfig, Option<UsualLeakage>),
    accept: &(dyn Fn(&[f32]) -> bool + Sync),
) -> Result<Sampled, InferenceError> {
    /// Rows that are drawn at a time: some tens of megabytes.
    const MOST_ROWS: usize = 1 << 20;
    /// Rows of a data set that are drawn at least: fewer take no less time.
    const FEWEST_ROWS: usize = 32;
    at_least_one("num_draws", wanted)?;
    let (begun, dim) = (Instant::now(), amortizer.parameter_names().len());
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); conditions.len()];
    let mut acceptance = vec![Acceptance { accepted: 0, tried: 0 }; conditions.len()];
    let mut active: Vec<usize> = (0..conditions.len()).collect();
    let (mut next, most) = (0, wanted.saturating_mul(config.max_tries_per_draw.max(1)));
    while !active.is_empty() && next < most {
        if next > 0 && config.max_time.is_some_and(|limit| begun.elapsed() >= limit) {
            break;
        }
        // As many as the worst data set is expected to need, and a tenth more.
        let needed = active.iter().map(|&m| {
            let left = (wanted - values[m].len() / dim) as f64;
            let rate = if next == 0 { 1.0 } else { acceptance[m].rate().max(0.5 / acceptance[m].tried as f64) };
            let needed = 1.1 * left / rate;
            // For data sets without any accepted draw yet, only as many as are needed to find out whether there is one.
            if acceptance[m].accepted == 0 {
                needed.min(10.0 * config.max_tries_per_draw as f64).max(left)
            } else {
                needed
            }
        });
        let needed = needed.fold(1.0, f64::max).min((MOST_ROWS / active.len()) as f64) as usize;
        let range = next..next + needed.max(FEWEST_ROWS).min(most - next);
        next = range.end;
        let some = if active.len() == conditions.len() { conditions.clone() } else { conditions.select(&active) };
        let numbers: Vec<usize> = active.iter().map(|&m| first.saturating_add(m)).collect();
        let drawn = amortizer.sample_part(&some, &numbers, range, seed)?.into_values();
        let inside: Vec<Vec<usize>> = (0..active.len())
            .into_par_iter()
            .map(|i| {
                let rows = drawn.index_axis(Axis(0), i);
                let rows = rows.as_slice().expect("contiguous draws").chunks_exact(dim);
                rows.enumerate().filter(|(_, row)| accept(row)).map(|(l, _)| l).collect()
            })
            .collect();
        for (i, (&m, inside)) in active.iter().zip(&inside).enumerate() {
            acceptance[m].accepted += inside.len();
            acceptance[m].tried += drawn.dim().1;
            for &l in inside.iter().take(wanted - values[m].len() / dim) {
                values[m].extend(drawn.slice(ndarray::s![i, l, ..]));
            }
        }
        let hopeless = |m: usize| {
            acceptance[m].accepted == 0 && acceptance[m].tried >= config.max_tries_per_draw.saturating_mul(10)
        };
        active.retain(|&m| values[m].len() < wanted * dim && !hopeless(m));
    }
    let names = amortizer.parameter_names().clone();
    let sampled = Sampled { names, values, acceptance, wanted, usual, warnings: Vec::new() };
    if let Some(warning) = sampled.warning() {
        tracing::warn!("{warning}");
    }
    match (config.when_unfinished, sampled.first_unfinished()) {
        // The error says which.
        (WhenUnfinished::Error, Some(_)) => Err(sampled.into_draws().expect_err("a data set lacks draws")),
        _ => Ok(sampled),
    }
}

/// For each data set, the fraction of the draws in this range that `accept` accepts.
pub(crate) fn acceptance<C: SummaryConfig>(
    amortizer: &AmortizedPosterior<C>,
    conditions: &Conditions,
    (draws, seed): (Range<usize>, u64),
    accept: &(dyn Fn(&[f32]) -> bool + Sync),
) -> Result<Vec<Acceptance>, InferenceError> {
    // Data sets at a time, so that memory stays bounded.
    let at_a_time = ((1 << 20) / draws.len()).max(1);
    let mut all = Vec::with_capacity(conditions.len());
    for start in (0..conditions.len()).step_by(at_a_time) {
        let numbers: Vec<usize> = (start..(start + at_a_time).min(conditions.len())).collect();
        let some = conditions.select(&numbers);
        let drawn = amortizer.sample_part(&some, &numbers, draws.clone(), seed)?.into_values();
        let dim = drawn.dim().2;
        let of_set = |i: usize| {
            let rows = drawn.index_axis(Axis(0), i);
            let rows = rows.as_slice().expect("contiguous draws").chunks_exact(dim);
            Acceptance { accepted: rows.filter(|row| accept(row)).count(), tried: draws.len() }
        };
        all.extend((0..numbers.len()).into_par_iter().map(of_set).collect::<Vec<_>>());
    }
    Ok(all)
}

/// For each data set, an estimate of ln of the acceptance probability from few draws: 0 if all of the first draws are
/// accepted, and from further draws otherwise. Its standard error is 0.04 if a tenth leaks. Also returns the largest
/// leakage.
pub(crate) fn log_acceptance<C: SummaryConfig>(
    amortizer: &AmortizedPosterior<C>,
    conditions: &Conditions,
    accept: &(dyn Fn(&[f32]) -> bool + Sync),
) -> Result<(Vec<f64>, UsualLeakage), InferenceError> {
    const FIRST: usize = 8;
    const OTHERS: usize = 64;
    let first = acceptance(amortizer, conditions, (0..FIRST, 0), accept)?;
    let leaking: Vec<usize> = (0..first.len()).filter(|&m| first[m].accepted < FIRST).collect();
    let mut logs = vec![0.0; first.len()];
    // If all of the first draws are inside, no further ones are drawn.
    let mut usual = UsualLeakage { least_inside: 0.95, simulations: first.len() };
    if !leaking.is_empty() {
        let others = (FIRST..FIRST + OTHERS, 0);
        let of_leaking = acceptance(amortizer, &conditions.select(&leaking), others, accept)?;
        for (m, acceptance) in leaking.into_iter().zip(of_leaking) {
            let (share, n) = (acceptance.rate().max(0.5 / OTHERS as f64), OTHERS as f64);
            // The logarithm of an estimated fraction is biased low by half its variance.
            logs[m] = share.ln() + 0.5 * (1.0 - share) / (n * share);
            usual.least_inside = usual.least_inside.min(share - (share * (1.0 - share) / n).sqrt());
        }
    }
    Ok((logs, usual))
}
