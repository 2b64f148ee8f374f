//! Draws the chapter's figures with kuva, the library that bayesburn's own figures are made with.

use crate::exact;
use bayesburn::{Error, Result};
use kuva::{
    backend::png::PngBackend,
    plot::{LinePlot, ScatterPlot},
    render::{
        annotations::ReferenceLine,
        figure::Figure,
        layout::{Layout, TickFormat},
        plots::Plot,
    },
};
use std::{fs, path::Path};

pub(crate) const EXACT: &str = "#777777";
pub(crate) const NORMAL: &str = "#0072b2";
pub(crate) const MIXTURE: &str = "#8f2727";
const DATA: &str = "#56b4e9";
const REFERENCE: &str = "#333333";

/// Axis labels.
const THETA: &str = "θ (parameter)";
const X: &str = "x (observation)";
/// What the axes show of both.
const THETA_RANGE: (f64, f64) = (0.0, 1.0);
const X_RANGE: (f64, f64) = (-0.2, 1.2);

/// What is drawn on one pair of axes.
pub(crate) struct Panel {
    plots: Vec<Plot>,
    layout: Layout,
}

impl Panel {
    /// Empty axes.
    fn new(title: impl Into<String>, (x_label, x): (&str, (f64, f64)), (y_label, y): (&str, (f64, f64))) -> Self {
        let layout = Layout::new(x, y)
            .with_x_axis_min(x.0)
            .with_x_axis_max(x.1)
            .with_y_axis_min(y.0)
            .with_y_axis_max(y.1)
            .with_title(title)
            .with_x_label(x_label)
            .with_y_label(y_label)
            .with_title_size(15)
            .with_label_size(13)
            .with_tick_size(11)
            .with_ticks(5);
        Self { plots: Vec::new(), layout }
    }

    fn dots(mut self, points: impl IntoIterator<Item = (f64, f64)>, label: &str) -> Self {
        let dots = ScatterPlot::new().with_data(points).with_color(DATA).with_size(1.8).with_marker_opacity(0.6);
        self.plots.push(dots.with_legend(label).into());
        self
    }

    /// A curve; none in the legend if the label is empty.
    fn line(mut self, points: impl IntoIterator<Item = (f64, f64)>, color: &str, label: &str) -> Self {
        let line = LinePlot::new().with_data(points).with_color(color).with_stroke_width(2.0);
        self.plots.push(if label.is_empty() { line } else { line.with_legend(label) }.into());
        self
    }

    /// A curve with a shade below it.
    fn area(mut self, points: impl IntoIterator<Item = (f64, f64)>, color: &str, label: &str) -> Self {
        let line = LinePlot::new().with_data(points).with_color(color).with_stroke_width(1.0);
        self.plots.push(line.with_fill().with_fill_opacity(0.35).with_legend(label).into());
        self
    }

    fn reference(mut self, line: ReferenceLine) -> Self {
        self.layout = self.layout.with_reference_line(line.with_color(REFERENCE).with_stroke_width(1.2));
        self
    }
}

/// Writes panels row by row as a PNG, with one legend for all.
fn save(path: &Path, columns: usize, (width, height): (f64, f64), panels: Vec<Panel>) -> Result<()> {
    let rows = panels.len().div_ceil(columns);
    let (plots, layouts) = panels.into_iter().map(|panel| (panel.plots, panel.layout)).unzip();
    let figure = Figure::new(rows, columns)
        .with_plots(plots)
        .with_layouts(layouts)
        .with_cell_size(width, height)
        .with_shared_legend();
    let png = PngBackend::new().with_scale(2.0).render_scene(&figure.render()).map_err(Error::message)?;
    fs::write(path, png)?;
    Ok(())
}

fn curve(x: &[f64], y: &[f64]) -> Vec<(f64, f64)> {
    x.iter().copied().zip(y.iter().copied()).collect()
}

/// The pairs, and what the regression made of them.
pub(crate) fn regression(path: &Path, pairs: &[(f64, f64)], thetas: &[f64], predictions: &[f64]) -> Result<()> {
    let panel = Panel::new("A network learns x = f(θ)", (THETA, THETA_RANGE), (X, X_RANGE))
        .dots(pairs.iter().copied(), &format!("{} pairs", pairs.len()))
        .line(thetas.iter().map(|theta| (*theta, exact::forward(*theta))), EXACT, "f(θ) without noise")
        .line(curve(thetas, predictions), MIXTURE, "network");
    save(path, 1, (640.0, 440.0), vec![panel])
}

/// The same pairs both ways round.
pub(crate) fn both_ways(path: &Path, pairs: &[(f64, f64)], x: f64) -> Result<()> {
    let label = format!("{} pairs", pairs.len());
    let forward = Panel::new("Forward: given θ, one x and some noise", (THETA, THETA_RANGE), (X, X_RANGE))
        .dots(pairs.iter().copied(), &label);
    let inverse = Panel::new("Inverse: given x, which θ?", (X, X_RANGE), (THETA, THETA_RANGE))
        .dots(pairs.iter().map(|(theta, x)| (*x, *theta)), &label)
        .reference(ReferenceLine::vertical(x).with_label(format!("x = {x}")));
    save(path, 2, (500.0, 420.0), vec![forward, inverse])
}

/// The losses of one training: on what is trained on, and on what is held out.
pub(crate) struct Losses {
    pub(crate) title: &'static str,
    /// What the points are counted in.
    pub(crate) time: &'static str,
    pub(crate) loss: &'static str,
    pub(crate) trained: Vec<(f64, f64)>,
    pub(crate) held_out: Vec<(f64, f64)>,
    /// When more pairs are added.
    pub(crate) more_at: Option<f64>,
    /// The smallest loss possible.
    pub(crate) best: f64,
    /// The part of the loss axis to show, and decimal places of its numbers.
    pub(crate) axis: (f64, f64),
    pub(crate) decimals: usize,
}

pub(crate) fn losses(path: &Path, trainings: Vec<Losses>) -> Result<()> {
    let panel = |losses: Losses| {
        let (low, high) = losses.axis;
        // Points above the axis would be drawn across the title.
        let shown = |points: Vec<(f64, f64)>| points.into_iter().filter(move |point| (low..=high).contains(&point.1));
        let last = losses.trained.last().map_or(1.0, |point| point.0);
        let mut panel = Panel::new(losses.title, (losses.time, (0.0, last)), (losses.loss, losses.axis));
        panel.layout = panel.layout.with_y_tick_format(TickFormat::Fixed(losses.decimals));
        if let Some(step) = losses.more_at {
            panel = panel.reference(ReferenceLine::vertical(step).with_label("more pairs"));
        }
        panel = panel.line(shown(losses.trained), EXACT, "trained on");
        if !losses.held_out.is_empty() {
            panel = panel.line(shown(losses.held_out), NORMAL, "held out");
        }
        panel.line([(0.0, losses.best), (last, losses.best)], MIXTURE, "best possible")
    };
    save(path, trainings.len(), (440.0, 380.0), trainings.into_iter().map(panel).collect())
}

/// Posterior densities at one observation: p and what the networks made of it, on one grid of θ.
pub(crate) struct Densities {
    pub(crate) x: f64,
    pub(crate) pairs: usize,
    pub(crate) exact: Vec<f64>,
    pub(crate) normal: Vec<f64>,
    pub(crate) mixture: Vec<f64>,
}

/// A panel for each, `columns` in a row.
pub(crate) fn posteriors(path: &Path, columns: usize, thetas: &[f64], all: &[Densities]) -> Result<()> {
    let panel = |densities: &Densities| {
        let curves = [&densities.exact, &densities.normal, &densities.mixture];
        let highest = curves.iter().flat_map(|curve| curve.iter()).copied().fold(0.0, f64::max);
        let title = format!("p(θ | x = {}), learnt from {} pairs", densities.x, densities.pairs);
        Panel::new(title, (THETA, THETA_RANGE), ("density", (0.0, 1.1 * highest)))
            .area(curve(thetas, &densities.exact), EXACT, "exact")
            .line(curve(thetas, &densities.normal), NORMAL, "normal")
            .line(curve(thetas, &densities.mixture), MIXTURE, "mixture")
    };
    save(path, columns, (400.0, 340.0), all.iter().map(panel).collect())
}

/// Posteriors of several observations over the pairs: each along θ, to the right of its x.
pub(crate) fn over_data(path: &Path, pairs: &[(f64, f64)], thetas: &[f64], all: &[Densities]) -> Result<()> {
    /// The highest density of an exact posterior is so wide.
    const WIDTH: f64 = 0.12;
    let panel = |name: &'static str, color: &str, density: fn(&Densities) -> &[f64]| {
        let title = format!("p(θ | x) as a {name}, learnt from {} pairs", all.first().map_or(0, |first| first.pairs));
        let mut panel = Panel::new(title, (X, X_RANGE), (THETA, THETA_RANGE))
            .dots(pairs.iter().map(|(theta, x)| (*x, *theta)), &format!("{} pairs", pairs.len()));
        for (i, densities) in all.iter().enumerate() {
            let highest = densities.exact.iter().copied().fold(0.0, f64::max);
            let beside = |density: &[f64]| -> Vec<(f64, f64)> {
                density.iter().zip(thetas).map(|(p, theta)| (densities.x + WIDTH * p / highest, *theta)).collect()
            };
            // Each curve is in the legend once.
            let label = |label: &'static str| if i == 0 { label } else { "" };
            panel = panel.line(beside(&densities.exact), EXACT, label("exact"));
            panel = panel.line(beside(density(densities)), color, label(name));
        }
        panel
    };
    let normal = panel("normal", NORMAL, |densities| &densities.normal);
    let mixture = panel("mixture", MIXTURE, |densities| &densities.mixture);
    save(path, 2, (520.0, 460.0), vec![normal, mixture])
}
