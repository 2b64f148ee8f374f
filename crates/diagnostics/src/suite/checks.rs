//! Tests what is true of every exact posterior, each check with its share of the false alarms.

use super::{Metrics, dependence::Directions, input::SuiteInput, strata::Part, verdict};
use crate::calibration::{locations, pairs, ranks_of_pairs};
use crate::{HypothesisTest, RankTests, Result, sbc_ranks, tarp};
use bayesburn_core::{Purpose, stream};
use ndarray::Array2;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// Pairs of parameters that are looked at, at most: all of 25 parameters. Of more, some are chosen at random.
const MOST_PAIRS: usize = 300;

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CheckKind {
    /// The mean of a parameter's ranks: are posteriors too high or too low?
    Bias,
    /// The spread of a parameter's ranks: are posteriors too narrow or too wide?
    Width,
    /// The ECDF of a parameter's ranks: do posteriors have the right shape?
    Shape,
    /// The ranks of a pair's products: do draws of two parameters go together as they should?
    Pair,
    /// The ranks of distances to random points: are all parameters together where they should be?
    Distance,
    /// Whether a parameter's ranks depend on the data: is something in the data overlooked?
    DataBias,
    /// Whether the spread of a parameter's ranks depends on the data: are posteriors too narrow for some data, and too
    /// wide for others?
    DataWidth,
    /// The ranks of the density: is the truth as probable as draws are?
    Density,
    /// The ranks of a quantity of the user's.
    Quantity,
    /// As [`CheckKind::Bias`], of the data sets with a context in some range: see [`SuiteInput::with_context`].
    ContextBias,
    /// As [`CheckKind::Width`], likewise.
    ContextWidth,
    /// As [`CheckKind::Shape`], likewise.
    ContextShape,
}

/// One test, and what it found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Check {
    /// What it looks at.
    pub kind: CheckKind,
    /// Of what: a parameter, two of them, a quantity.
    pub subject: String,
    /// The parameters that it is about; none of a quantity.
    pub parameters: Vec<String>,
    /// The range of the context that it is about, in words, as in [`Stratum::label`](super::Stratum::label); `None` if
    /// it is about all data sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stratum: Option<String>,
    /// The probability of something as extreme from an exact posterior.
    pub p_value: f64,
    /// The p-value below which it fails: its share of the suite's false alarms.
    pub alpha: f64,
    /// Whether it passed.
    pub passed: bool,
    /// What is wrong, in words; empty if nothing is.
    pub finding: String,
}

impl Check {
    /// `of` has the names of the parameters. Its level is set when all checks are known.
    fn new(kind: CheckKind, subject: &str, of: &[String], test: HypothesisTest, finding: String) -> Self {
        let (subject, parameters) = (subject.to_owned(), of.to_vec());
        Self { kind, subject, parameters, stratum: None, p_value: test.p_value, alpha: 0.0, passed: true, finding }
    }

    /// Of the data sets of this stratum alone.
    fn within(mut self, stratum: &str) -> Self {
        self.subject = format!("{}, {stratum}", self.subject);
        self.finding = format!("{stratum}: {}", self.finding);
        Self { stratum: Some(stratum.to_owned()), ..self }
    }

    /// Whether a bias or a wrong width of one of its parameters would explain it: these bend the shape, and are seen in
    /// pairs and distances.
    pub(super) fn is_explained_by_margins(&self) -> bool {
        matches!(self.kind, CheckKind::Shape | CheckKind::Pair | CheckKind::Distance | CheckKind::ContextShape)
    }

    /// Whether it is about a bias or a wrong width.
    pub(super) fn is_of_margins(&self) -> bool {
        matches!(self.kind, CheckKind::Bias | CheckKind::Width | CheckKind::ContextBias | CheckKind::ContextWidth)
    }
}

/// Bias, width and shape of one parameter's posteriors, of so many data sets, by the tests of its ranks and the sizes
/// of bias and width.
fn of_margin(
    [bias, width, shape]: [CheckKind; 3],
    name: &String,
    (tests, i, data_sets): (&RankTests, usize, usize),
    sizes: (f64, f64),
) -> [Check; 3] {
    let (location, spread, of) = (tests.location[i], tests.spread[i], std::slice::from_ref(name));
    let of_bias = verdict::bias(name, location.statistic > 0.0, sizes.0);
    let of_width = verdict::width(name, spread.statistic > data_sets as f64 - 1.0, sizes.1);
    [
        Check::new(bias, name, of, location, of_bias),
        Check::new(width, name, of, spread, of_width),
        Check::new(shape, name, of, tests.gamma[i], verdict::shape(name)),
    ]
}

/// Runs all checks for which the input has what they need, and shares `alpha` among them: each kind has as much, and so
/// has each check of a kind (Bonferroni).
pub(super) fn checks(
    input: &SuiteInput<'_>,
    metrics: &Metrics,
    (parts, z_scores): (&[Part], &Array2<f64>),
    alpha: f64,
    seed: u64,
) -> Result<Vec<Check>> {
    let (draws, truths) = (input.draws, input.truths);
    let names = draws.names();
    let d = names.len();
    let mut all = Vec::new();

    let ranks = sbc_ranks(draws, truths)?;
    let marginal = RankTests::new(&ranks, seed)?;
    for (i, name) in names.iter().enumerate() {
        let sizes = (metrics.parameters[i].bias, metrics.parameters[i].width);
        let kinds = [CheckKind::Bias, CheckKind::Width, CheckKind::Shape];
        all.extend(of_margin(kinds, name, (&marginal, i, truths.nrows()), sizes));
    }
    if d > 1 {
        let mut chosen = pairs(d);
        if chosen.len() > MOST_PAIRS {
            chosen.shuffle(&mut stream(seed, Purpose::new("pairs of parameters"), 0));
            chosen.truncate(MOST_PAIRS);
            chosen.sort_unstable();
        }
        let ranks = ranks_of_pairs(draws, truths, &chosen)?;
        for ((pair, of), test) in ranks.names().iter().zip(chosen).zip(locations(&ranks, seed)) {
            let of = of.map(|i| names[i].clone());
            all.push(Check::new(CheckKind::Pair, pair, &of, test, verdict::pair(pair, test.statistic > 0.0)));
        }
        let tarp = tarp(draws, truths, seed)?;
        let (test, finding) = (tarp.tests.gamma[0], verdict::distance(tarp.area_to_curve));
        all.push(Check::new(CheckKind::Distance, "all parameters", names, test, finding));
    }
    for part in parts {
        let tests = RankTests::new(&ranks.of_data_sets(&part.data_sets), seed)?;
        for (i, name) in names.iter().enumerate() {
            let z_scores = part.data_sets.iter().map(|&data_set| z_scores[[data_set, i]]);
            let sizes = Metrics::bias_and_width(z_scores);
            let kinds = [CheckKind::ContextBias, CheckKind::ContextWidth, CheckKind::ContextShape];
            let checks = of_margin(kinds, name, (&tests, i, part.data_sets.len()), sizes);
            all.extend(checks.map(|check| check.within(&part.label)));
        }
    }
    if let Some(directions) = input.all_features().as_ref().and_then(Directions::new) {
        for (i, name) in names.iter().enumerate() {
            let of = &names[i..=i];
            let scores = || marginal.normal_scores.column(i).into_iter().copied();
            let (test, share) = directions.test(scores());
            all.push(Check::new(CheckKind::DataBias, name, of, test, verdict::data_bias(name, share)));
            let (test, share) = directions.test(scores().map(score_of_size));
            all.push(Check::new(CheckKind::DataWidth, name, of, test, verdict::data_width(name, share)));
        }
    }
    if let Some(ranks) = input.density.as_ref().and_then(|density| density.ranks.as_ref()) {
        let tests = RankTests::new(ranks, seed)?;
        let lower = tests.location[0].statistic < 0.0;
        all.push(Check::new(CheckKind::Density, "log density", names, tests.gamma[0], verdict::density(lower)));
    }
    for ranks in &input.quantities {
        let tests = RankTests::new(ranks, seed)?;
        for (i, name) in ranks.names().iter().enumerate() {
            let higher = tests.location[i].statistic > 0.0;
            all.push(Check::new(CheckKind::Quantity, name, &[], tests.gamma[i], verdict::quantity(name, higher)));
        }
    }

    let mut kinds: Vec<(CheckKind, usize)> = Vec::new();
    for check in &all {
        match kinds.iter_mut().find(|(kind, _)| *kind == check.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((check.kind, 1)),
        }
    }
    for check in &mut all {
        let of_kind = kinds.iter().find(|(kind, _)| *kind == check.kind).map_or(1, |(_, count)| *count);
        check.alpha = alpha / (kinds.len() * of_kind) as f64;
        check.passed = check.p_value > check.alpha;
        if check.passed {
            check.finding.clear();
        }
    }
    Ok(all)
}

/// A normal score's distance from 0, as a normal score itself: of a standard normal score, a standard normal one.
fn score_of_size(score: f64) -> f64 {
    use statrs::distribution::{ContinuousCDF, Normal};
    let normal = Normal::standard();
    // 1 − 2 Φ(−|z|) from its small part, so that large scores keep their digits.
    -normal.inverse_cdf((2.0 * normal.cdf(-score.abs())).clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_scores_are_scores() {
        // Φ(0.6745) = 0.75: half of all scores are smaller.
        assert!(score_of_size(0.674_489_750_196_081_7).abs() < 1e-9);
        assert!(score_of_size(3.0) > 2.5 && score_of_size(3.0) == score_of_size(-3.0) && score_of_size(0.01) < -2.0);
        assert!(score_of_size(0.0).is_finite() && score_of_size(40.0).is_finite());
    }
}
