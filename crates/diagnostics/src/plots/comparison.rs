//! Draws the losses of several trainings side by side.

use super::figure::Figure;
use super::losses::{envelope, every_nth, not_shown, readable_range};
use super::sheet::Sheet;
use super::style::{
    CURVES, Panel, Range, axes, dots, line, line_entry, range_of, reference, reference_entry, shortened, softened,
};
use crate::{LossComparison, LossPanel, TrainingCurve};
use kuva::plot::legend::LegendEntry;
use kuva::render::layout::TickFormat;
use kuva::render::plots::Plot;
use std::sync::Arc;

/// Width and height of a panel that is alone, and of one of several.
const ALONE: (f64, f64) = (760.0, 420.0);
const BESIDE: (f64, f64) = (480.0, 380.0);
const MAX_COLUMNS: usize = 3;
/// Room above the axes of all panels if one of them has a title, so that their loss axes stay level.
const TOP: f64 = 40.0;
const BOTTOM: f64 = 45.0;
/// Characters of a label that fit into the legend below one panel.
const MAX_LABEL: usize = 100;
/// Up to this many points are drawn as dots too.
const DOTTED: usize = 50;
/// Losses of a curve that have a say in the range of the loss axis, so that no long curve outvotes the short ones.
const VOTES: usize = 100;
/// Percentage of the losses that are no tail: one in four may be, as the first of four points.
const NO_TAIL: usize = 74;
/// How far above or below the other losses a curve may lie as a whole and still be on the axis, in lengths of their
/// range.
const REACH: f64 = 10.0;
/// Length of a dash and of the gap after it, in the units of the figure.
const DASH: f64 = 7.0;
const EVERY_LOSS: &str = "#bbbbbb";

impl LossComparison {
    /// A panel for each cost, over one loss axis and one legend, with a colour for each training.
    ///
    /// Curves of 200 points and more are drawn faint, with their moving average on top. The loss axis leaves out the
    /// far ends of heavy tails, such as a first loss of 1e6, but shows the smallest loss of every curve; a curve that
    /// lies further away than ten times the range of the others is not shown, and the legend says so. The title of a
    /// panel counts the losses that are not shown. From the ninth curve on, lines are dashed and the colours start
    /// again.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let mut labels: Vec<&str> = Vec::new();
        for curve in self.curves() {
            if !labels.contains(&curve.label.as_str()) {
                labels.push(&curve.label);
            }
        }
        let loss_axis = self.loss_axis();
        let notes: Vec<Option<String>> = self.panels.iter().map(|panel| note(panel, loss_axis)).collect();
        let titled = notes.iter().any(Option::is_some);
        let columns = self.panels.len().min(MAX_COLUMNS);
        let panels = self.panels.iter().zip(notes).enumerate().map(|(cell, (panel, note))| {
            let style = |label: &str| Style::new(labels.iter().position(|other| *other == label).unwrap_or(0));
            let Panel { plots, mut layout } = draw(panel, loss_axis, self.best_possible, style);
            if titled {
                layout = layout.with_force_margins_y(TOP, BOTTOM);
            }
            if let Some(note) = note {
                layout = layout.with_title(note);
            }
            if cell % columns == 0 {
                layout = layout.with_y_label("Loss");
            }
            (cell, Panel { plots, layout })
        });
        let panels = panels.collect();
        let (width, height) = if self.panels.len() == 1 { ALONE } else { BESIDE };
        let rows = self.panels.len().div_ceil(columns.max(1));
        let legend = self.legend(&labels, loss_axis);
        Sheet { column_widths: vec![width; columns], row_heights: vec![height; rows], panels, title: None, legend }
            .draw()
    }

    fn curves(&self) -> impl Iterator<Item = &TrainingCurve> {
        self.panels.iter().flat_map(|panel| &panel.curves)
    }

    /// What all panels show of the losses.
    fn loss_axis(&self) -> Range {
        let mut votes: Vec<f64> = self.curves().flat_map(votes).collect();
        let (low, high) = readable_range(&mut votes, NO_TAIL);
        let reach = REACH * (high - low);
        let within = low - reach..=high + reach;
        let smallest = self.curves().map(|curve| curve.smallest_loss).filter(|loss| within.contains(loss));
        range_of(smallest.chain([low, high]).chain(self.best_possible), 0.05)
    }

    fn legend(&self, labels: &[&str], loss_axis: Range) -> Vec<LegendEntry> {
        let mut legend: Vec<LegendEntry> = labels
            .iter()
            .enumerate()
            .map(|(index, label)| {
                let mut curves = self.curves().filter(|curve| curve.label == *label);
                let hidden = curves.all(|curve| curve.points.iter().all(|&(_, loss)| !shows(loss_axis, loss)));
                let beyond = if hidden { " (beyond the axis)" } else { "" };
                Style::new(index).entry(format!("{}{beyond}", shortened(label, MAX_LABEL)))
            })
            .collect();
        let smoothed = || self.curves().filter(|curve| curve.window > 1).map(|curve| curve.window);
        if let (Some(least), Some(most)) = (smoothed().min(), smoothed().max()) {
            let windows = if least == most { format!("{least}") } else { format!("{least} to {most}") };
            legend.push(line_entry(format!("each loss (bold: mean of {windows})"), EVERY_LOSS));
        }
        legend.extend(self.best_possible.map(|_| reference_entry("best possible")));
        legend
    }
}

/// The colour and the dashes of a training, the same in all panels.
#[derive(Clone, Copy)]
struct Style {
    color: &'static str,
    dashed: bool,
}

impl Style {
    fn new(index: usize) -> Self {
        Self { color: CURVES[index % CURVES.len()], dashed: (index / CURVES.len()) % 2 == 1 }
    }

    fn lines(self, points: Vec<(f64, f64)>, pixel: (f64, f64)) -> Vec<Plot> {
        let pieces = if self.dashed { dashes(&points, pixel) } else { vec![points] };
        pieces.into_iter().map(|piece| Plot::Line(line(piece, self.color, 2.0))).collect()
    }

    fn entry(self, label: String) -> LegendEntry {
        LegendEntry { dasharray: self.dashed.then(|| "3 5".into()), ..line_entry(label, self.color) }
    }
}

/// The curves of one panel: the faint ones first, below all others.
fn draw(panel: &LossPanel, loss_axis: Range, best: Option<f64>, style: impl Fn(&str) -> Style) -> Panel {
    let costs = panel.curves.iter().flat_map(|curve| [curve.points.first(), curve.points.last()]).flatten();
    let (start, end) = range_of(costs.map(|point| point.0).chain([0.0]), 0.0);
    let (unit, suffix) = unit(start, end);
    let layout = axes((start, end + 0.01 * (end - start)), loss_axis)
        .with_ticks(6)
        .with_x_label(format!("{}{suffix}", panel.cost))
        .with_x_tick_format(TickFormat::Custom(Arc::new(move |cost| TickFormat::Auto.format(cost / unit))));

    // Axis lengths of about 400 by 300, whatever the panel: dashes need no more.
    let pixel = ((end - start) / 400.0, (loss_axis.1 - loss_axis.0) / 300.0);
    let (mut faint, mut main) = (Vec::new(), Vec::new());
    faint.extend(best.map(|loss| reference([(start, loss), (end, loss)])));
    for curve in &panel.curves {
        let style = style(&curve.label);
        if curve.window > 1 {
            let points = within(&envelope(&curve.points), loss_axis);
            faint.push(Plot::Line(line(points, &softened(style.color), 0.6)));
            let average = curve.points.iter().zip(&curve.moving_average).map(|(point, &mean)| (point.0, mean));
            let average: Vec<(f64, f64)> = average.filter(|(_, mean)| mean.is_finite()).collect();
            main.extend(style.lines(within(&every_nth(average), loss_axis), pixel));
        } else {
            main.extend(style.lines(within(&envelope(&curve.points), loss_axis), pixel));
        }
        if curve.points.len() <= DOTTED {
            let shown = curve.points.iter().copied().filter(|&(_, loss)| shows(loss_axis, loss));
            main.push(dots(shown, style.color, 3.0, 1.0));
        }
    }
    faint.extend(main);
    Panel { plots: faint, layout }
}

/// What the ticks of a cost count in: seven digits would run into the next tick's.
fn unit(start: f64, end: f64) -> (f64, &'static str) {
    match end.max(-start) {
        most if most >= 1e6 => (1e6, " (millions)"),
        most if most >= 1e5 => (1e3, " (thousands)"),
        _ => (1.0, ""),
    }
}

fn shows((low, high): Range, loss: f64) -> bool {
    (low..=high).contains(&loss)
}

/// How many losses of a panel its figure does not show.
fn note(panel: &LossPanel, loss_axis: Range) -> Option<String> {
    let losses = panel.curves.iter().flat_map(|curve| &curve.points);
    let hidden = losses.filter(|point| !shows(loss_axis, point.1)).count();
    not_shown(hidden, panel.curves.iter().map(|curve| curve.non_finite).sum())
}

/// The quantiles of a curve's losses at [`VOTES`] levels, or all of them if there are fewer.
fn votes(curve: &TrainingCurve) -> Vec<f64> {
    let mut losses: Vec<f64> = curve.points.iter().map(|point| point.1).collect();
    losses.sort_unstable_by(f64::total_cmp);
    let n = losses.len();
    let count = n.min(VOTES);
    (0..count).map(|vote| losses[(2 * vote + 1) * n / (2 * count)]).collect()
}

/// The line through the points, bent at 20% outside the axis: a point far outside would overflow the pixel coordinates,
/// and moving it inwards would change the slope of the part that shows.
fn within(points: &[(f64, f64)], (low, high): Range) -> Vec<(f64, f64)> {
    let beyond = 0.2 * (high - low);
    let (low, high) = (low - beyond, high + beyond);
    let mut line = Vec::with_capacity(points.len());
    for (i, &(x, y)) in points.iter().enumerate() {
        if let Some(&(x0, y0)) = i.checked_sub(1).and_then(|before| points.get(before)) {
            let bounds = if y0 < y { [low, high] } else { [high, low] };
            let crossed = bounds.into_iter().filter(|bound| (y0 < *bound) != (y < *bound));
            line.extend(crossed.map(|bound| (x0 + (x - x0) * ((bound - y0) / (y - y0)), bound)));
        }
        line.push((x, y.clamp(low, high)));
    }
    line
}

/// The line in pieces of the length [`DASH`]: the library's own dashes start again at each point of a PNG, so that a
/// line of many points has no gap.
fn dashes(points: &[(f64, f64)], pixel: (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let (mut pieces, mut piece, mut travelled) = (Vec::new(), Vec::new(), 0.0);
    for pair in points.windows(2) {
        let ((x, y), (dx, dy)) = (pair[0], (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1));
        let length = (dx / pixel.0).hypot(dy / pixel.1);
        let steps = length.ceil().max(1.0);
        for step in 0..steps as usize {
            let done = step as f64 / steps;
            if (travelled + done * length) % (2.0 * DASH) <= DASH {
                piece.push((x + done * dx, y + done * dy));
            } else if !piece.is_empty() {
                pieces.push(std::mem::take(&mut piece));
            }
        }
        travelled += length;
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cost, compare_losses};

    fn axis(curves: &[(String, Vec<(f64, f64)>)]) -> Range {
        compare_losses(Cost::Steps, curves.iter().cloned()).expect("valid").loss_axis()
    }

    fn decay(n: usize, end: f64) -> Vec<(f64, f64)> {
        (0..n).map(|i| (i as f64, end + 6.0 * (-5.0 * i as f64 / n as f64).exp())).collect()
    }

    #[test]
    fn ordinary_curves_are_shown_whole() {
        let (low, high) = axis(&[("a".into(), decay(1000, -2.0)), ("b".into(), decay(15, -1.0))]);
        assert!(low < -1.96 && high > 5.0, "{low} to {high}");
    }

    #[test]
    fn a_huge_start_leaves_the_rest_readable() {
        for n in [4, 10, 15, 5_000] {
            let mut curves: Vec<_> = (0..4).map(|i| (i.to_string(), decay(n, f64::from(i)))).collect();
            curves.iter_mut().for_each(|curve| curve.1[0].1 = 1e30);
            let (low, high) = axis(&curves);
            assert!(low < 0.2 && high > 3.0 && high < 25.0, "{n} points: {low} to {high}");
        }
    }

    #[test]
    fn short_and_worse_curves_stay_on_the_axis_and_exploded_ones_do_not() {
        let long = |label: &str| (label.to_owned(), decay(10_000, 0.0));
        let (_, high) = axis(&[long("a"), ("short".into(), vec![(0.0, 40.0), (9_000.0, 30.0)])]);
        assert!(high > 30.0 && high < 100.0, "{high}");
        let exploded = ("exploded".to_owned(), vec![(0.0, 1e6)]);
        let comparison = compare_losses(Cost::Steps, [long("a"), long("b"), exploded]).expect("valid");
        assert!(comparison.loss_axis().1 < 10.0);
        let svg = comparison.plot().to_svg();
        assert!(svg.contains("exploded (beyond the axis)") && svg.contains("1 beyond the axis"));
        assert!(!svg.contains("a (beyond"));
    }

    #[test]
    fn the_best_possible_loss_is_on_the_axis() {
        let comparison = compare_losses(Cost::Steps, [("a", decay(20, 0.0))]).expect("valid");
        let (low, _) = comparison.with_best_possible(-50.0).expect("finite").loss_axis();
        assert!(low < -50.0);
    }

    #[test]
    fn lines_keep_their_slope_where_they_leave_the_axis() {
        // The axis is 0 to 10, so lines bend at -2 and 12.
        let line = within(&[(0.0, 22.0), (10.0, 2.0), (20.0, 2.0), (30.0, -8.0), (40.0, 1e300)], (0.0, 10.0));
        assert_eq!(line[..6], [(0.0, 12.0), (5.0, 12.0), (10.0, 2.0), (20.0, 2.0), (24.0, -2.0), (30.0, -2.0)]);
        assert_eq!(line[6..], [(30.0, -2.0), (30.0, 12.0), (40.0, 12.0)]);
    }

    #[test]
    fn dashes_are_as_long_as_their_gaps_however_many_points_there_are() {
        for n in [1, 10, 1_000] {
            let points: Vec<(f64, f64)> = (0..=n).map(|i| (f64::from(i) * 70.0 / f64::from(n), 1.0)).collect();
            let pieces = dashes(&points, (1.0, 1.0));
            let starts: Vec<f64> = pieces.iter().filter_map(|piece| Some(piece.first()?.0)).collect();
            assert_eq!(starts.len(), 5, "{n}: {starts:?}");
            assert!(starts.iter().zip([0.0, 14.0, 28.0, 42.0, 56.0]).all(|(a, b)| (a - b).abs() < 1.0), "{starts:?}");
            assert!(pieces.iter().filter_map(|piece| Some(piece.last()?.0 - piece[0].0)).all(|length| length < 7.1));
        }
    }

    #[test]
    fn large_costs_are_counted_in_thousands_and_millions() {
        assert_eq!([unit(0.0, 99_999.0), unit(0.0, 1e5), unit(0.0, 2e6)].map(|unit| unit.0), [1.0, 1e3, 1e6]);
        let comparison = compare_losses(Cost::Simulations, [("a", [(1e6, 2.0), (4e6, 1.0)])]).expect("valid");
        let svg = comparison.plot().to_svg();
        assert!(svg.contains("Simulations (millions)") && svg.contains(">4<") && !svg.contains(">4000000<"));
    }

    #[test]
    fn colours_follow_labels_from_panel_to_panel() {
        let points = [(0.0, 2.0), (1.0, 1.0)];
        let comparison = compare_losses(Cost::Steps, [("a", points), ("b", points)])
            .and_then(|comparison| comparison.with_panel(Cost::Seconds, [("b", points)]))
            .expect("valid");
        // The second training's line: in both panels, and in the legend.
        let svg = comparison.plot().to_svg();
        let lines = |color: &str| svg.matches(&format!("stroke=\"{color}\"")).count();
        assert_eq!((lines(CURVES[1]), lines(CURVES[0])), (3, 2));
        assert!(Style::new(8).dashed && !Style::new(7).dashed && Style::new(8).color == CURVES[0]);
    }
}
