//! Draws reported cases and predictions of them over time, with kuva, as bayesburn's own figures are.

use bayesburn::{Error, Result, prelude::*};
use kuva::{
    backend::png::PngBackend,
    plot::{BandPlot, LegendEntry, LegendShape, LinePlot, ScatterPlot},
    render::{figure::Figure, layout::Layout, plots::Plot},
};
use std::{fs, path::Path};

const BAND_90: &str = "#cfe3f0";
const BAND_50: &str = "#86bbdc";
const MEDIAN: &str = "#0072b2";
const OBSERVED: &str = "#333333";

/// A panel for each set of predictions `[L, days]`, with its title: the median and the bands that hold 50% and 90% of
/// them on each day, and the observed cases as dots.
pub(crate) fn predictions(path: &Path, observed: &Array2<f32>, sets: [(&str, &Array2<f32>); 2]) -> Result<()> {
    let panels = sets.map(|(title, predictions)| panel(title, observed, predictions));
    let (plots, layouts) = panels.into_iter().unzip();
    let figure = Figure::new(1, 2).with_plots(plots).with_layouts(layouts).with_cell_size(460.0, 360.0);
    let scene = figure.with_shared_legend_bottom().with_shared_legend_entries(legend()).render();
    fs::write(path, PngBackend::new().with_scale(2.0).render_scene(&scene).map_err(Error::message)?)?;
    Ok(())
}

fn legend() -> Vec<LegendEntry> {
    let entry = |label: &str, color: &str, shape| LegendEntry {
        label: label.into(),
        color: color.into(),
        shape,
        dasharray: None,
    };
    vec![
        entry("90% of predictions", BAND_90, LegendShape::Rect),
        entry("50% of predictions", BAND_50, LegendShape::Rect),
        entry("median", MEDIAN, LegendShape::Line),
        entry("observed", OBSERVED, LegendShape::Circle),
    ]
}

fn panel(title: &str, observed: &Array2<f32>, predictions: &Array2<f32>) -> (Vec<Plot>, Layout) {
    let days: Vec<f64> = (1..=predictions.ncols()).map(|day| day as f64).collect();
    let [low, lower, median, upper, high] = [0.05, 0.25, 0.5, 0.75, 0.95].map(|level| quantiles(predictions, level));
    let cases: Vec<f64> = observed.iter().map(|cases| f64::from(*cases)).collect();
    let top = 1.05 * high.iter().chain(&cases).copied().fold(1.0, f64::max);
    let layout = Layout::new((0.0, days.len() as f64 + 1.0), (0.0, top))
        .with_x_axis_min(0.0)
        .with_x_axis_max(days.len() as f64 + 1.0)
        .with_y_axis_min(0.0)
        .with_y_axis_max(top)
        .with_title(title)
        .with_x_label("Day")
        .with_y_label("Reported cases")
        .with_title_size(15)
        .with_label_size(13)
        .with_tick_size(11)
        .with_ticks(6);
    let band = |low: Vec<f64>, high, color: &str| -> Plot {
        BandPlot::new(days.clone(), low, high).with_color(color).with_opacity(1.0).into()
    };
    let median = LinePlot::new().with_data(days.iter().copied().zip(median)).with_color(MEDIAN).with_stroke_width(1.5);
    let dots = ScatterPlot::new().with_data(days.iter().copied().zip(cases)).with_color(OBSERVED).with_size(2.5);
    let plots = vec![band(low, high, BAND_90), band(lower, upper, BAND_50), median.into(), dots.into()];
    (plots, layout)
}

/// The quantile of each day.
fn quantiles(predictions: &Array2<f32>, level: f64) -> Vec<f64> {
    let of_day = |day: usize| {
        let mut cases = predictions.column(day).to_vec();
        cases.sort_unstable_by(f32::total_cmp);
        f64::from(cases[(level * (cases.len() - 1) as f64).round() as usize])
    };
    (0..predictions.ncols()).map(of_day).collect()
}
