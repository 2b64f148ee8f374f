//! Draws panels of dots and lines with kuva, as bayesburn's own figures are.

use bayesburn::{Error, Result};
use kuva::{
    backend::png::PngBackend,
    plot::{LinePlot, ScatterPlot},
    render::{figure::Figure, layout::Layout, plots::Plot},
};
use std::{fs, path::Path};

pub(crate) const BLUE: &str = "#0072b2";
pub(crate) const ORANGE: &str = "#d55e00";
pub(crate) const GREY: &str = "#777777";

/// Plots on one pair of axes.
pub(crate) struct Panel {
    pub(crate) plots: Vec<Plot>,
    pub(crate) layout: Layout,
}

impl Panel {
    pub(crate) fn new(title: impl Into<String>, x: (f64, f64), y: (f64, f64)) -> Self {
        let layout = Layout::new(x, y)
            .with_x_axis_min(x.0)
            .with_x_axis_max(x.1)
            .with_y_axis_min(y.0)
            .with_y_axis_max(y.1)
            .with_title(title)
            .with_title_size(13)
            .with_label_size(12)
            .with_tick_size(10)
            .with_ticks(4);
        Self { plots: Vec::new(), layout }
    }

    pub(crate) fn labels(mut self, x: &str, y: &str) -> Self {
        self.layout = self.layout.with_x_label(x).with_y_label(y);
        self
    }

    pub(crate) fn dots(mut self, points: impl IntoIterator<Item = (f64, f64)>, size: f64, color: &str) -> Self {
        let dots = ScatterPlot::new().with_data(points).with_color(color).with_size(size);
        self.plots.push(dots.with_marker_opacity(0.5).into());
        self
    }

    pub(crate) fn line(mut self, points: impl IntoIterator<Item = (f64, f64)>, color: &str) -> Self {
        let line = LinePlot::new().with_data(points).with_color(color).with_stroke_width(1.2);
        self.plots.push(line.into());
        self
    }

    /// Pairs of an exact and a learned number, beside the diagonal.
    pub(crate) fn against(title: String, pairs: Vec<(f64, f64)>) -> Self {
        let all = || pairs.iter().flat_map(|(x, y)| [*x, *y]);
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        let margin = 0.03 * (high - low);
        let range = (low - margin, high + margin);
        let panel = Self::new(title, range, range).labels("exact", "learned");
        panel.dots(pairs, 1.5, BLUE).line([(low, low), (high, high)], GREY)
    }
}

/// Writes panels row by row as a PNG.
pub(crate) fn save(path: &Path, columns: usize, (width, height): (f64, f64), panels: Vec<Panel>) -> Result<()> {
    let rows = panels.len().div_ceil(columns);
    let (plots, layouts) = panels.into_iter().map(|panel| (panel.plots, panel.layout)).unzip();
    let figure = Figure::new(rows, columns).with_plots(plots).with_layouts(layouts).with_cell_size(width, height);
    let png = PngBackend::new().with_scale(2.0).render_scene(&figure.render()).map_err(Error::message)?;
    fs::write(path, png)?;
    Ok(())
}
