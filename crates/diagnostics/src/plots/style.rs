//! Chooses colours, text sizes, axis ranges and marks, the same for all figures.

pub(super) use crate::grids::{Range, range_of};
use kuva::plot::legend::{LegendEntry, LegendShape};
use kuva::plot::{BandPlot, Histogram, LinePlot, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::theme::Theme;

/// Estimates and curves.
pub(super) const MAIN: &str = "#8f2727";
/// The same, set back: raw data, error bars, bars that are as expected.
pub(super) const SOFT: &str = "#cf9f9f";
/// Intervals and bands.
pub(super) const BAND: &str = "#d9d9d9";
/// Reference lines and curves.
pub(super) const REFERENCE: &str = "#333333";
/// Up to this many curves in one panel, each has its own colour: Okabe and Ito's, safe for colour-blind readers.
pub(super) const CURVES: [&str; 8] =
    ["#8f2727", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#555555", "#d55e00"];

/// White in [`softened`], for each part of the colour: more than in [`SOFT`], since eight may overlap.
const WHITE: f64 = 3.0;
const TITLE_SIZE: u32 = 13;
const SUBTITLE_SIZE: u32 = 10;
const LABEL_SIZE: u32 = 11;
pub(super) const TICK_SIZE: u32 = 10;
const TICKS: usize = 4;
/// Characters of a panel's title that fit above it.
const MAX_TITLE: usize = 32;
/// Marks in a whole figure: an SVG of about 3 MB with 100 panels.
const MAX_MARKS: usize = 20_000;

/// What is drawn on one pair of axes.
pub(super) struct Panel {
    pub(super) plots: Vec<Plot>,
    pub(super) layout: Layout,
}

/// Axes that span exactly `x` and `y`, where the library would round outwards.
pub(super) fn axes(x: Range, y: Range) -> Layout {
    let theme = Theme {
        axis_color: "#666666".into(),
        grid_color: "#eeeeee".into(),
        tick_color: "#666666".into(),
        legend_border: "none".into(),
        ..Theme::light()
    };
    Layout::new(x, y)
        .with_theme(theme)
        .with_x_axis_min(x.0)
        .with_x_axis_max(x.1)
        .with_y_axis_min(y.0)
        .with_y_axis_max(y.1)
        .with_ticks(TICKS)
        .with_title_size(TITLE_SIZE)
        .with_subtitle_size(SUBTITLE_SIZE)
        .with_label_size(LABEL_SIZE)
        .with_tick_size(TICK_SIZE)
        .with_body_size(LABEL_SIZE)
}

/// A name as a title, cut where it would run into the next panel's.
pub(super) fn title(name: &str) -> String {
    shortened(name, MAX_TITLE)
}

/// A name of at most so many characters, the last an ellipsis if some are missing.
pub(super) fn shortened(name: &str, characters: usize) -> String {
    if name.chars().count() <= characters {
        return name.to_owned();
    }
    name.chars().take(characters - 1).chain(['…']).collect()
}

/// A colour `#rrggbb` set back: mixed with three times as much white.
pub(super) fn softened(color: &str) -> String {
    hex(channels(color).map(|channel| (channel + WHITE * 255.0) / (1.0 + WHITE)))
}

/// What inks printed over each other on white paper look like, each with its strength from 0 to 1.
pub(super) fn overprinted(inks: impl IntoIterator<Item = (&'static str, f64)>) -> String {
    let mut light = [1.0; 3];
    for (color, strength) in inks {
        for (light, channel) in light.iter_mut().zip(channels(color)) {
            *light *= 1.0 - strength * (1.0 - channel / 255.0);
        }
    }
    hex(light.map(|light| (255.0 * light).round()))
}

/// Red, green and blue of `#rrggbb`, 0 to 255.
fn channels(color: &str) -> [f64; 3] {
    [1, 3, 5].map(|start| {
        color.get(start..start + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).map_or(0.0, f64::from)
    })
}

fn hex([red, green, blue]: [f64; 3]) -> String {
    format!("#{:02x}{:02x}{:02x}", red as u8, green as u8, blue as u8)
}

/// Every how many rows to draw so that the marks of all panels stay near [`MAX_MARKS`]: at most 1,000 each, and never
/// cut below 100.
pub(super) fn stride(rows: usize, panels: usize) -> usize {
    rows.div_ceil((MAX_MARKS / panels.max(1)).clamp(200, 1000)).max(1)
}

/// What a thinned scatter shows, for a legend: `"data sets"`, or `"data sets (200 of 5000)"`.
pub(super) fn thinned_label(label: &str, rows: usize, stride: usize) -> String {
    if stride == 1 { label.to_owned() } else { format!("{label} ({} of {rows})", rows.div_ceil(stride)) }
}

pub(super) fn line(points: impl IntoIterator<Item = (f64, f64)>, color: &str, width: f64) -> LinePlot {
    LinePlot::new().with_data(points).with_color(color).with_stroke_width(width)
}

/// A line with a shade of its colour below it, down to 0.
pub(super) fn area(points: impl IntoIterator<Item = (f64, f64)>, color: &str) -> Plot {
    Plot::Line(line(points, color, 1.2).with_fill().with_fill_opacity(0.25))
}

/// A dashed line through the points, for what is expected.
pub(super) fn reference(points: impl IntoIterator<Item = (f64, f64)>) -> Plot {
    Plot::Line(line(points, REFERENCE, 1.0).with_dashed())
}

pub(super) fn dots(points: impl IntoIterator<Item = (f64, f64)>, color: &str, radius: f64, opacity: f64) -> Plot {
    let dots = ScatterPlot::new().with_data(points).with_color(color).with_size(radius);
    Plot::Scatter(dots.with_marker_opacity(opacity))
}

pub(super) fn band(x: Vec<f64>, lower: Vec<f64>, upper: Vec<f64>) -> Plot {
    Plot::Band(BandPlot::new(x, lower, upper).with_color(BAND).with_opacity(1.0))
}

/// [`band`] as a shade over what lies below: black at 15% is [`BAND`] on white.
pub(super) fn veil(x: Vec<f64>, lower: Vec<f64>, upper: Vec<f64>) -> Plot {
    Plot::Band(BandPlot::new(x, lower, upper).with_color("#000000").with_opacity(0.15))
}

/// Bars over `edges`, with a thin gap between them.
pub(super) fn bars(edges: &[f64], heights: &[f64], color: &str) -> Plot {
    let mut gapped = Vec::with_capacity(2 * edges.len());
    let mut values = Vec::with_capacity(2 * heights.len());
    for (edge, height) in edges.windows(2).zip(heights) {
        let gap = 0.03 * (edge[1] - edge[0]);
        gapped.extend([edge[0] + gap, edge[1] - gap]);
        values.extend([*height, 0.0]);
    }
    values.pop();
    Plot::Histogram(Histogram::from_bins(gapped, values).with_color(color))
}

/// Repeats the values of bins at both their edges, for a curve with steps.
pub(super) fn steps(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    values.into_iter().flat_map(|value| [value, value]).collect()
}

/// The x coordinates that belong to [`steps`].
pub(super) fn step_edges(edges: &[f64]) -> Vec<f64> {
    edges.windows(2).flat_map(|edge| [edge[0], edge[1]]).collect()
}

fn entry(label: impl Into<String>, color: &str, shape: LegendShape, dashes: Option<&str>) -> LegendEntry {
    LegendEntry { label: label.into(), color: color.into(), shape, dasharray: dashes.map(Into::into) }
}

/// A legend entry for a filled area.
pub(super) fn area_entry(label: impl Into<String>, color: &str) -> LegendEntry {
    entry(label, color, LegendShape::Rect, None)
}

/// A legend entry for a curve.
pub(super) fn line_entry(label: impl Into<String>, color: &str) -> LegendEntry {
    entry(label, color, LegendShape::Line, None)
}

/// A legend entry for a [`reference`].
pub(super) fn reference_entry(label: impl Into<String>) -> LegendEntry {
    entry(label, REFERENCE, LegendShape::Line, Some("3 4"))
}

/// A legend entry for [`dots`].
pub(super) fn dots_entry(label: impl Into<String>, color: &str) -> LegendEntry {
    entry(label, color, LegendShape::Circle, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_bounds_the_marks_of_a_figure() {
        assert_eq!(stride(500, 4), 1);
        assert_eq!(stride(10_000, 1), 10);
        assert_eq!(stride(10_000, 100), 50);
        assert_eq!(thinned_label("data sets", 10_000, 50), "data sets (200 of 10000)");
        assert_eq!(title(&"x".repeat(40)).chars().count(), 32);
    }

    #[test]
    fn soft_colours_are_lighter_mixtures() {
        // (0x8f + 3 * 0xff) / 4 = 227 and (0x27 + 3 * 0xff) / 4 = 201.
        assert_eq!(softened(MAIN), "#e3c9c9");
        assert_eq!(softened("#ffffff"), "#ffffff");
    }

    #[test]
    fn inks_darken_each_other() {
        assert_eq!(overprinted([(MAIN, 0.0), (REFERENCE, 0.0)]), "#ffffff");
        assert_eq!(overprinted([(MAIN, 1.0)]), MAIN);
        // Half of 255 − 0x33 = 204 is taken away once, or twice: 153, and 255 · 0.6² = 91.8.
        assert_eq!(overprinted([("#333333", 0.5)]), "#999999");
        assert_eq!(overprinted([("#333333", 0.5), ("#333333", 0.5)]), "#5c5c5c");
    }
}
