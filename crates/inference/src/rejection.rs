//! Draws from a posterior until enough draws are where the prior is.

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

/// How long draws outside of the prior's support are drawn again.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectionConfig {
    /// The most tries for each draw asked for, on average over the draws of a data set. A data set of which nothing was
    /// inside after ten times as many is given up at once, since it would need more: with a share of 1 in so many
    /// inside, that has a probability of exp(−10).
    pub max_tries_per_draw: usize,
    /// The longest time for all data sets together; looked at after each round of tries. With a limit of time, what is
    /// found depends on the machine.
    pub max_time: Option<Duration>,
    /// What comes of data sets that lack draws then.
    pub when_unfinished: WhenUnfinished,
}

/// What comes of data sets that lack draws when tries or time are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnfinished {
    /// An error that names the first of them.
    Error,
    /// Fewer draws, which [`Sampled`] tells.
    Partial,
}

impl Default for RejectionConfig {
    fn default() -> Self {
        Self { max_tries_per_draw: 10_000, max_time: None, when_unfinished: WhenUnfinished::Error }
    }
}

impl RejectionConfig {
    /// 10,000 tries for a draw, no limit of time, and an error where that is not enough.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another number of tries.
    #[must_use]
    pub fn with_max_tries_per_draw(mut self, tries: usize) -> Self {
        self.max_tries_per_draw = tries;
        self
    }

    /// A limit of time.
    #[must_use]
    pub fn with_max_time(mut self, time: Duration) -> Self {
        self.max_time = Some(time);
        self
    }

    /// What comes of data sets that lack draws.
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
    /// The share of draws inside: an estimate of the probability that the density has inside the support.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.accepted as f64 / self.tried as f64
    }
}

/// Draws inside the support, and what they took.
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

/// How much leaks at most for held-out simulations: for another observation as much is unusual, with a probability of 1
/// in so many.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsualLeakage {
    /// The least share inside the support, less a standard error.
    pub(crate) least_inside: f64,
    pub(crate) simulations: usize,
}

/// Below this a posterior is mostly outside of its prior, and draws inside may be a small corner of it.
const LOW_ACCEPTANCE: f64 = 0.01;

impl Sampled {
    /// Tries and draws inside, for each data set.
    #[must_use]
    pub fn acceptance(&self) -> &[Acceptance] {
        &self.acceptance
    }

    /// The draws for one data set, `[L, D]`; L may be smaller than was asked for, if the configuration allows it.
    ///
    /// # Panics
    /// If there is no such data set.
    #[must_use]
    pub fn data_set(&self, index: usize) -> Array2<f32> {
        let dim = self.names.len();
        let values = self.values[index].clone();
        Array2::from_shape_vec((values.len() / dim, dim), values).expect("whole rows")
    }

    /// Whether all data sets have all draws that were asked for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.first_unfinished().is_none()
    }

    fn first_unfinished(&self) -> Option<usize> {
        self.values.iter().position(|values| values.len() < self.wanted * self.names.len())
    }

    /// Why the draws may be wrong: observations unlike the simulations, and much that leaks. `None` if nothing is known
    /// against them.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let all: Vec<String> = self.warnings.iter().cloned().chain(self.leakage_warning()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// What is to be known about the acceptance: if it is below 1% for some data set; or if the odds of leaking are
    /// more than twice those of any simulation that was held out of the training, for more than 2% of the data sets,
    /// where there were 100 such simulations or more.
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
    /// A data set that lacks draws.
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

    /// Adds reasons why the draws may be wrong, which become those of [`Sampled::into_draws`].
    #[must_use]
    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}

/// The first `wanted` draws, among those of `amortizer` in their order, that `accept` takes, for each data set; only
/// data sets that lack some are drawn for again. The first data set has the number `first`.
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
            // Of what has none yet, no more than tells whether there is any.
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

/// The share of draws, those of this range, that `accept` takes, for each data set.
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

/// ln of the probability that `accept` has, for each data set, from few draws: 0 where it takes all of the first, and
/// elsewhere from others. Where a tenth leaks its standard error is 0.04. And what leaks at most.
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
    // No more is known of those of which the first are inside.
    let mut usual = UsualLeakage { least_inside: 0.95, simulations: first.len() };
    if !leaking.is_empty() {
        let others = (FIRST..FIRST + OTHERS, 0);
        let of_leaking = acceptance(amortizer, &conditions.select(&leaking), others, accept)?;
        for (m, acceptance) in leaking.into_iter().zip(of_leaking) {
            let (share, n) = (acceptance.rate().max(0.5 / OTHERS as f64), OTHERS as f64);
            // The logarithm of a share is too small on average, by half its variance.
            logs[m] = share.ln() + 0.5 * (1.0 - share) / (n * share);
            usual.least_inside = usual.least_inside.min(share - (share * (1.0 - share) / n).sqrt());
        }
    }
    Ok((logs, usual))
}
