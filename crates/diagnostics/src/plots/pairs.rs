//! Draws samples in pairs: histograms on the diagonal, scatter below, correlations above.

use super::figure::Figure;
use super::matrix::{AxisLabels, Matrix};
use super::sheet::{PANEL, single};
use super::style::{
    MAIN, Panel, REFERENCE, Range, SOFT, area_entry, axes, bars, dots, line, line_entry, range_of, stride, title,
};
use crate::{LatentSpace, PriorPairs, SampleMoments};
use kuva::plot::TextPlot;
use kuva::plot::text::TextAlign;
use kuva::render::plots::Plot;

/// Dimensions shown at most: 64 panels fill a page.
const MAX_SHOWN: usize = 8;
/// The side of the axes of a panel, and the room around them.
const SIDE: f64 = 140.0;
const GAP: f64 = 5.0;
/// Histogram bins at most; the number grows with the square root of the samples.
const MAX_BINS: usize = 30;

impl LatentSpace {
    /// The latent dimensions in pairs, with the standard normal's density over each histogram.
    ///
    /// At most the first 8 dimensions are shown, and the title says so.
    #[must_use]
    pub fn plot(&self) -> Figure {
        moments_plot(&self.moments, "Latent space", Overlay::StandardNormal)
    }
}

impl PriorPairs {
    /// The prior draws in pairs.
    ///
    /// At most the first 8 parameters are shown, and the title says so.
    #[must_use]
    pub fn plot(&self) -> Figure {
        moments_plot(&self.moments, "Prior draws", Overlay::Nothing)
    }
}

/// What is drawn over the histograms.
#[derive(Clone, Copy, PartialEq)]
enum Overlay {
    Nothing,
    StandardNormal,
}

fn moments_plot(moments: &SampleMoments, subject: &str, overlay: Overlay) -> Figure {
    let d = moments.names.len();
    let shown = d.min(MAX_SHOWN);
    let mut legend = Vec::new();
    if overlay == Overlay::StandardNormal {
        legend.extend([area_entry("samples", SOFT), line_entry("standard normal", REFERENCE)]);
    }
    let ranges: Vec<Range> = (0..shown)
        .map(|i| {
            let column = moments.samples.column(i).into_iter().map(|&x| f64::from(x));
            match overlay {
                Overlay::Nothing => range_of(column, 0.05),
                Overlay::StandardNormal => range_of(column.chain([-3.5, 3.5]), 0.02),
            }
        })
        .collect();
    if d == 1 {
        let Panel { plots, layout } = histogram(moments, 0, ranges[0], overlay);
        let layout = layout.with_title(title(&moments.names[0])).with_x_label("Value").with_y_label("Density");
        return single(Panel { plots, layout }, (PANEL.0 * 1.25, PANEL.1), legend);
    }
    let count = if shown < d { format!(", dimensions 1–{shown} of {d}") } else { String::new() };
    let matrix = Matrix {
        labels: &moments.names[..shown],
        side: SIDE,
        gap: GAP,
        axis_labels: AxisLabels::Outside,
        title: Some(format!("{subject}{count}")),
        legend,
    };
    matrix.draw(|row, column| {
        Some(match row.cmp(&column) {
            std::cmp::Ordering::Equal => histogram(moments, row, ranges[row], overlay),
            std::cmp::Ordering::Greater => {
                let samples = &moments.samples;
                let rows = (0..samples.nrows()).step_by(stride(samples.nrows(), shown * (shown - 1) / 2));
                let pairs = rows.map(|m| (samples[[m, column]].into(), samples[[m, row]].into()));
                let plots = vec![dots(pairs, MAIN, 1.5, 0.35)];
                Panel { plots, layout: axes(ranges[column], ranges[row]) }
            }
            std::cmp::Ordering::Less => correlation(moments.correlations[[row, column]]),
        })
    })
}

fn histogram(moments: &SampleMoments, dimension: usize, (low, high): Range, overlay: Overlay) -> Panel {
    let n = moments.samples.nrows();
    let bins = ((n as f64).sqrt() as usize).clamp(5, MAX_BINS);
    let width = (high - low) / bins as f64;
    let mut heights = vec![0.0; bins];
    for &x in moments.samples.column(dimension) {
        let bin = ((f64::from(x) - low) / width) as usize;
        heights[bin.min(bins - 1)] += 1.0 / (n as f64 * width);
    }
    let edges: Vec<f64> = (0..=bins).map(|bin| low + width * bin as f64).collect();
    let mut top = heights.iter().copied().fold(0.0, f64::max);
    let mut plots = vec![bars(&edges, &heights, SOFT)];
    if overlay == Overlay::StandardNormal {
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let curve = (0..=100).map(|i| low + (high - low) * f64::from(i) / 100.0).map(|x| (x, density(x)));
        plots.push(Plot::Line(line(curve, REFERENCE, 1.5)));
        top = top.max(density(0.0));
    }
    Panel { plots, layout: axes((low, high), (0.0, 1.1 * top)) }
}

fn correlation(r: f64) -> Panel {
    // Rounded first, because −0.001 would print as "-0.00".
    let body =
        if r.is_nan() { "r undefined".to_owned() } else { format!("r = {:.2}", (100.0 * r).round() / 100.0 + 0.0) };
    let text = TextPlot::new().with_body(body).with_font_size(13).with_align(TextAlign::Center);
    let text = text.with_padding(0.0).with_text_color(REFERENCE);
    // Text starts at the top of its cell; half a cell further down, it is centred.
    let layout = axes((0.0, 1.0), (0.0, 1.0)).with_force_margins_y(GAP + SIDE / 2.0 - 10.0, GAP);
    Panel { plots: vec![Plot::Text(text)], layout }
}
