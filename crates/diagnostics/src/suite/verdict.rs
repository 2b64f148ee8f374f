//! Words the findings of checks, and advises what to try.

use super::checks::{Check, CheckKind};
use bayesburn_core::one_line;

/// A name between backticks, which it has none of itself, and in one line.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", one_line(name).replace('`', "'"))
}

/// The direction is that of the ranks, which were tested. The size of the bias is added if it has the same direction;
/// with discrete parameters and skewed posteriors it may not.
pub(super) fn bias(name: &str, ranks_are_high: bool, bias: f64) -> String {
    let name = quoted(name);
    let direction = if ranks_are_high { "low" } else { "high" };
    if (ranks_are_high && bias < 0.0) || (!ranks_are_high && bias > 0.0) {
        format!("{name}: posteriors are too {direction}, by {:.2} of their standard deviation on average", bias.abs())
    } else {
        let side = if ranks_are_high { "above" } else { "below" };
        format!("{name}: posteriors are too {direction}: truths are {side} their draws too often")
    }
}

/// As [`bias`]: the direction is that of the ranks, and the width is added if it has the same one.
pub(super) fn width(name: &str, ranks_are_outermost: bool, width: f64) -> String {
    let name = quoted(name);
    let direction = if ranks_are_outermost { "narrow" } else { "wide" };
    if (ranks_are_outermost && width < 1.0) || (!ranks_are_outermost && width > 1.0) {
        format!(
            "{name}: posteriors are too {direction}: their standard deviation is {width:.2} times what it should be"
        )
    } else {
        let often = if ranks_are_outermost { "often" } else { "rarely" };
        format!("{name}: posteriors are too {direction}: truths are at the ends of their draws too {often}")
    }
}

pub(super) fn shape(name: &str) -> String {
    let name = quoted(name);
    format!("{name}: posteriors have a wrong shape: the ECDF of the ranks leaves its band")
}

pub(super) fn pair(pair: &str, higher: bool) -> String {
    let pair = quoted(pair);
    let direction = if higher { "low" } else { "high" };
    format!("{pair}: the two do not go together as they should: their correlation in the posteriors is too {direction}")
}

pub(super) fn distance(area: f64) -> String {
    let direction = if area > 0.0 { "wide" } else { "narrow, or off the truth" };
    format!(
        "all parameters together: posteriors are too {direction}: distances of truths to random points do not rank \
         like those of draws"
    )
}

pub(super) fn data_bias(name: &str, share: f64) -> String {
    let name = quoted(name);
    format!(
        "{name}: posteriors overlook something in the data, which tells {:.0}% of where in its posterior the truth \
         lies",
        100.0 * share
    )
}

pub(super) fn data_width(name: &str, share: f64) -> String {
    let name = quoted(name);
    format!(
        "{name}: posteriors are too narrow for some data and too wide for others; the data tell {:.0}% of how far \
         out the truth lies",
        100.0 * share
    )
}

pub(super) fn density(lower: bool) -> String {
    let direction = if lower { "less" } else { "more" };
    format!(
        "the truth is {direction} probable than draws are by the posterior's own density, or its density is \
         differently spread"
    )
}

pub(super) fn quantity(name: &str, higher: bool) -> String {
    let name = quoted(name);
    let direction = if higher { "larger" } else { "smaller" };
    format!("{name} is {direction} for the truth than for draws, or differently spread")
}

/// What to try, given what is wrong. Causes that are looked for first come first.
pub(super) fn advice(findings: &[&Check], swapped: &[(String, String)]) -> Vec<String> {
    let mut all: Vec<String> = swapped
        .iter()
        .map(|(a, b)| {
            let (a, b) = (quoted(a), quoted(b));
            format!("Draws of {a} follow the truths of {b}, and not their own: are columns swapped, or names?")
        })
        .collect();
    let has = |kinds: &[CheckKind]| findings.iter().any(|check| kinds.contains(&check.kind));
    if has(&[CheckKind::ContextBias, CheckKind::ContextWidth, CheckKind::ContextShape]) {
        all.push(
            "Check that the networks are given the context (the default configurator passes it as direct conditions), \
             and that the training covers its whole range, with the rare ends."
                .to_owned(),
        );
    }
    if has(&[CheckKind::Bias, CheckKind::Width, CheckKind::Shape, CheckKind::Distance, CheckKind::Density]) {
        all.push(
            "Train longer, with more simulations or a larger network, as long as the validation loss falls; check that \
             draws and truths belong to the same data sets, in the same order."
                .to_owned(),
        );
    }
    if has(&[CheckKind::Pair]) {
        all.push(
            "Use a density estimator that can express dependence between parameters: more coupling layers, or a full \
             covariance."
                .to_owned(),
        );
    }
    if has(&[CheckKind::DataBias, CheckKind::DataWidth]) {
        all.push(
            "Give the summary network more outputs or more units, or train it longer; check that it gets all of the \
             data."
                .to_owned(),
        );
    }
    if has(&[CheckKind::Quantity]) {
        all.push("Compare the quantity's values for the truth and the draws of one data set.".to_owned());
    }
    all
}
