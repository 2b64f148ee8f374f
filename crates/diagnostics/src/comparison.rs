//! Compares the losses of several trainings, against what they cost.

use crate::losses::moving_average;
use crate::{InputError, Result};
use bayesburn_core::{
    SettingError,
    settings::{at_least_one, in_range},
};
use std::collections::HashSet;
use std::fmt;
use thiserror::Error;

/// What a training spends, and its loss is compared against.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cost {
    /// Simulations seen, each as often as it is used.
    Simulations,
    /// Wall-clock time in seconds.
    Seconds,
    /// Optimizer steps.
    Steps,
    /// Anything else, as the axis is to name it: `"Simulator calls"`, `"Hours"`.
    Named(String),
}

/// The name, as an axis shows it.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simulations => "Simulations",
            Self::Seconds => "Seconds",
            Self::Steps => "Training steps",
            Self::Named(name) => name,
        })
    }
}

/// Losses that cannot be smoothed or compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LossError {
    /// There are too few losses.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A setting outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A comparison without a training.
    #[error("no loss curve against {cost}: pass a label and points for at least one training")]
    NoCurve {
        /// What the losses are compared against.
        cost: Cost,
    },
    /// A training without a finite loss.
    #[error("curve `{label}` has {got} points, but none whose cost and loss are finite: leave this training out")]
    NoFiniteLoss {
        /// The training.
        label: String,
        /// The number of points passed.
        got: usize,
    },
    /// Two trainings with one label, which no legend can tell apart.
    #[error("two curves against {cost} are labelled `{label}`: give each training a label of its own")]
    SameLabel {
        /// The label of both.
        label: String,
        /// What the losses are compared against.
        cost: Cost,
    },
    /// A cost that is smaller than the one before it.
    #[error(
        "curve `{label}`: {cost} go back from {before} to {after}: pass the points in order, and if the training was \
         resumed, add what the earlier part had spent"
    )]
    CostDecreases {
        /// The training.
        label: String,
        /// What the losses are compared against.
        cost: Cost,
        /// The larger cost.
        before: f64,
        /// The smaller cost that follows it.
        after: f64,
    },
}

/// The losses of one training.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TrainingCurve {
    /// What tells this training from the others.
    pub label: String,
    /// Costs and losses, in the order of their costs; all finite, and at least one.
    pub points: Vec<(f64, f64)>,
    /// The smallest loss.
    pub smallest_loss: f64,
    /// The cost at which the smallest loss was first seen.
    pub smallest_at: f64,
    /// How many points the moving average looks back, itself included.
    pub window: usize,
    /// The mean of the last `window` losses (fewer at the start), one for each point.
    pub moving_average: Vec<f64>,
    /// The number of points left out because their loss or cost is NaN or infinite.
    pub non_finite: usize,
}

impl TrainingCurve {
    fn new(label: String, cost: &Cost, points: &[(f64, f64)]) -> Result<Self, LossError> {
        let finite: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        if let Some(pair) = finite.windows(2).find(|pair| pair[1].0 < pair[0].0) {
            let (cost, before, after) = (cost.clone(), pair[0].0, pair[1].0);
            return Err(LossError::CostDecreases { label, cost, before, after });
        }
        // The first of equals: `min_by` keeps it.
        let Some(&(smallest_at, smallest_loss)) = finite.iter().min_by(|a, b| a.1.total_cmp(&b.1)) else {
            return Err(LossError::NoFiniteLoss { label, got: points.len() });
        };
        let curve = Self {
            label,
            smallest_loss,
            smallest_at,
            window: 0,
            moving_average: Vec::new(),
            non_finite: points.len() - finite.len(),
            points: finite,
        };
        let window = (curve.points.len() / 100).max(1);
        Ok(curve.smoothed(window))
    }

    fn smoothed(self, window: usize) -> Self {
        let losses: Vec<f64> = self.points.iter().map(|point| point.1).collect();
        Self { moving_average: moving_average(&losses, window), window, ..self }
    }

    /// The cost of the first point whose loss is at or below the threshold; `None` where none is.
    ///
    /// A noisy training loss dips below a threshold long before its mean does, so ask this of validation losses.
    #[must_use]
    pub fn first_below(&self, threshold: f64) -> Option<f64> {
        self.points.iter().find(|point| point.1 <= threshold).map(|point| point.0)
    }
}

/// Several trainings against one cost.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LossPanel {
    /// What the losses are compared against.
    pub cost: Cost,
    /// One curve for each training, in the order passed; no two have one label.
    pub curves: Vec<TrainingCurve>,
}

impl LossPanel {
    fn new<L, P>(cost: Cost, curves: impl IntoIterator<Item = (L, P)>) -> Result<Self, LossError>
    where
        L: Into<String>,
        P: AsRef<[(f64, f64)]>,
    {
        let curves = curves.into_iter().map(|(label, points)| TrainingCurve::new(label.into(), &cost, points.as_ref()));
        let curves = curves.collect::<Result<Vec<_>, LossError>>()?;
        if curves.is_empty() {
            return Err(LossError::NoCurve { cost });
        }
        let mut seen = HashSet::new();
        if let Some(twice) = curves.iter().find(|curve| !seen.insert(&curve.label)) {
            return Err(LossError::SameLabel { label: twice.label.clone(), cost });
        }
        Ok(Self { cost, curves })
    }
}

/// The losses of several trainings, against one cost or more.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LossComparison {
    /// One for each cost, at least one. A training has the same label in all of them.
    pub panels: Vec<LossPanel>,
    /// The smallest loss that any training could reach, if it is known.
    pub best_possible: Option<f64>,
}

impl LossComparison {
    /// Adds the same trainings against another cost, as one more panel. A training may be missing, or new.
    ///
    /// # Errors
    /// As [`compare_losses`].
    pub fn with_panel<L, P>(mut self, cost: Cost, curves: impl IntoIterator<Item = (L, P)>) -> Result<Self, LossError>
    where
        L: Into<String>,
        P: AsRef<[(f64, f64)]>,
    {
        self.panels.push(LossPanel::new(cost, curves)?);
        Ok(self)
    }

    /// Sets the smallest loss that any training could reach, such as the expected negative log density of the exact
    /// posterior. The figure shows it as a line.
    ///
    /// # Errors
    /// If it is NaN or infinite.
    pub fn with_best_possible(self, loss: f64) -> Result<Self, LossError> {
        in_range(loss.is_finite(), "best_possible", "finite; leave it out if it is not known", loss)?;
        Ok(Self { best_possible: Some(loss), ..self })
    }

    /// The same losses, each curve averaged over another number of its points. Default: 1% of them, at least 1.
    ///
    /// # Errors
    /// If the window is 0.
    pub fn with_window(mut self, window: usize) -> Result<Self, LossError> {
        at_least_one("window", window)?;
        for panel in &mut self.panels {
            panel.curves = std::mem::take(&mut panel.curves).into_iter().map(|curve| curve.smoothed(window)).collect();
        }
        Ok(self)
    }
}

/// The losses of several trainings against what they cost: which gets lowest, and which gets there first.
///
/// Each training is a label with its points (cost, loss), in the order of their costs: validation losses are best, and
/// noisy training losses are drawn with a moving average over 1% of them. [`LossComparison::with_panel`] sets the same
/// trainings against a second cost, beside the first.
///
/// # Errors
/// If there is no curve, two curves have one label, a curve has no finite point, or a cost is smaller than the one
/// before it.
///
/// ```
/// use bayesburn_diagnostics::{Cost, compare_losses};
///
/// let small = [(1_000.0, 3.0), (2_000.0, 1.0), (3_000.0, 0.5)];
/// let large = [(1_000.0, 4.0), (2_000.0, f64::NAN), (3_000.0, 0.25)];
/// let comparison = compare_losses(Cost::Simulations, [("small", small), ("large", large)])?
///     .with_panel(Cost::Seconds, [("small", [(2.0, 3.0), (6.0, 0.5)]), ("large", [(9.0, 4.0), (27.0, 0.25)])])?
///     .with_best_possible(0.2)?;
///
/// let [small, large] = &comparison.panels[0].curves[..] else { unreachable!("two were passed") };
/// assert_eq!((large.smallest_loss, large.smallest_at, large.non_finite), (0.25, 3_000.0, 1));
/// assert_eq!((small.first_below(1.0), large.first_below(1.0)), (Some(2_000.0), Some(3_000.0)));
/// assert_eq!(small.first_below(0.25), None);
/// # #[cfg(feature = "plots")]
/// assert!(comparison.plot().to_svg().contains("Simulations"));
/// # Ok::<(), bayesburn_diagnostics::DiagnosticsError>(())
/// ```
pub fn compare_losses<L, P>(cost: Cost, curves: impl IntoIterator<Item = (L, P)>) -> Result<LossComparison, LossError>
where
    L: Into<String>,
    P: AsRef<[(f64, f64)]>,
{
    Ok(LossComparison { panels: vec![LossPanel::new(cost, curves)?], best_possible: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(points: &[(f64, f64)]) -> Result<TrainingCurve, LossError> {
        Ok(compare_losses(Cost::Steps, [("a", points)])?.panels.remove(0).curves.remove(0))
    }

    #[test]
    fn the_smallest_loss_is_where_it_was_first_seen() {
        let curve = one(&[(0.0, 5.0), (10.0, 2.0), (20.0, 3.0), (30.0, 2.0)]).expect("valid");
        assert_eq!((curve.smallest_loss, curve.smallest_at), (2.0, 10.0));
        assert_eq!((curve.window, curve.moving_average), (1, vec![5.0, 2.0, 3.0, 2.0]));
    }

    #[test]
    fn a_threshold_is_reached_at_the_first_point_at_or_below_it() {
        let curve = one(&[(0.0, 5.0), (10.0, 2.0), (20.0, 3.0), (30.0, -1.0)]).expect("valid");
        for (threshold, expected) in
            [(9.0, Some(0.0)), (5.0, Some(0.0)), (4.9, Some(10.0)), (2.0, Some(10.0)), (0.0, Some(30.0)), (-1.5, None)]
        {
            assert_eq!(curve.first_below(threshold), expected, "threshold {threshold}");
        }
        assert_eq!(curve.first_below(f64::NAN), None);
    }

    #[test]
    fn points_that_are_not_finite_are_left_out_and_counted() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let curve = one(&[(1.0, nan), (2.0, 4.0), (nan, 1.0), (inf, 1.0), (3.0, -inf), (4.0, 3.0)]).expect("valid");
        assert_eq!(curve.points, [(2.0, 4.0), (4.0, 3.0)]);
        assert_eq!((curve.non_finite, curve.smallest_loss), (4, 3.0));
        assert_eq!(curve.first_below(2.0), None);
    }

    #[test]
    fn averages_span_one_percent_of_each_curve_or_the_window() {
        let points: Vec<(f64, f64)> = (0..300).map(|i| (f64::from(i), f64::from(i % 3))).collect();
        let comparison = compare_losses(Cost::Steps, [("long", &points[..]), ("short", &points[..30])]).expect("valid");
        let curves = &comparison.panels[0].curves;
        assert_eq!((curves[0].window, curves[1].window), (3, 1));
        assert_eq!(curves[0].moving_average[..2], [0.0, 0.5]);
        assert!(curves[0].moving_average[2..].iter().all(|&mean| mean == 1.0));
        let wider = comparison.clone().with_window(2).expect("positive");
        assert_eq!(wider.panels[0].curves[1].moving_average[..4], [0.0, 0.5, 1.5, 1.0]);
        assert!(matches!(comparison.with_window(0), Err(LossError::Setting(_))));
    }

    #[test]
    fn every_refusal_names_the_curve_and_the_remedy() {
        let say = |curves: &[(&str, &[(f64, f64)])]| {
            let first = compare_losses(Cost::Seconds, curves.iter().copied()).expect_err("must be refused").to_string();
            let sound = compare_losses(Cost::Steps, [("a", [(1.0, 1.0)])]).expect("valid");
            let second = sound.with_panel(Cost::Seconds, curves.iter().copied()).expect_err("must be refused");
            assert_eq!(first, second.to_string());
            first
        };
        let none = say(&[]);
        assert!(none.contains("no loss curve") && none.contains("Seconds"), "{none}");
        let empty = say(&[("a", &[(0.0, 1.0)]), ("b", &[])]);
        assert!(empty.contains("`b`") && empty.contains("0 points"), "{empty}");
        let not_finite = say(&[("c", &[(0.0, f64::NAN), (f64::NAN, 1.0)])]);
        assert!(not_finite.contains("`c`") && not_finite.contains("2 points"), "{not_finite}");
        let twice = say(&[("a", &[(0.0, 1.0)]), ("b", &[(0.0, 1.0)]), ("a", &[(0.0, 2.0)])]);
        assert!(twice.contains("`a`"), "{twice}");
        let back = say(&[("d", &[(5.0, 1.0), (6.0, f64::NAN), (3.0, 1.0)])]);
        assert!(back.contains("`d`") && back.contains("5") && back.contains("3"), "{back}");
        let sound = compare_losses(Cost::Steps, [("a", [(1.0, 1.0)])]).expect("valid");
        assert!(sound.with_best_possible(f64::NAN).expect_err("NaN").to_string().contains("NaN"));
    }
}
