//! Draws calibration curves of model probabilities, and confusion matrices.

use super::figure::Figure;
use super::sheet::{grid, single, squared};
use super::style::{
    MAIN, Panel, SOFT, area_entry, axes, bars, dots, line, line_entry, overprinted, reference, reference_entry, title,
};
use crate::{ConfusionMatrix, ModelCalibration};
use kuva::plot::Heatmap;
use kuva::plot::colormap::ColorMap;
use kuva::render::plots::Plot;
use std::sync::Arc;

/// The ink of the largest share: black numbers can be read on it.
const STRONGEST: f64 = 0.6;
/// Width of a cell of a confusion matrix, and the room that labels and titles take beside all of them.
const CELL: f64 = 72.0;
const MARGINS: (f64, f64) = (110.0, 100.0);

impl ModelCalibration {
    /// How often each model is true over its probability, with a histogram of the probabilities.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let legend = vec![
            line_entry("true in this share", MAIN),
            area_entry("share of data sets", SOFT),
            reference_entry("calibrated"),
        ];
        grid(&self.names, "Posterior probability", "Frequency", legend, |model| {
            let bins = &self.bins[model];
            let edges: Vec<f64> = (0..=bins.len()).map(|b| b as f64 / bins.len() as f64).collect();
            let shares: Vec<f64> = bins.iter().map(|bin| bin.count as f64 / self.num_data_sets as f64).collect();
            let filled = bins.iter().filter(|bin| bin.count > 0);
            let points: Vec<(f64, f64)> = filled.map(|bin| (bin.probability, bin.frequency)).collect();
            let plots = vec![
                bars(&edges, &shares, SOFT),
                reference([(0.0, 0.0), (1.0, 1.0)]),
                Plot::Line(line(points.iter().copied(), MAIN, 1.5)),
                dots(points, MAIN, 3.0, 1.0),
            ];
            let error = format!("expected calibration error {:.3}", self.errors[model]);
            Panel { plots, layout: squared(axes((0.0, 1.0), (0.0, 1.0))).with_subtitle(error) }
        })
    }
}

impl ConfusionMatrix {
    /// The shares of each true model's data sets, in rows, of which each model is the most probable.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let k = self.names.len();
        let names: Vec<String> = self.names.iter().map(|name| title(name)).collect();
        // A model that is never true has no shares, and white cells.
        let rounded = |share: &f64| if share.is_nan() { 0.0 } else { (100.0 * share).round() / 100.0 };
        // The first model is in the first row, which is the last from below.
        let rows = self.shares.outer_iter().rev().map(|row| row.iter().map(rounded).collect::<Vec<f64>>());
        let colors = ColorMap::Custom(Arc::new(|share: f64| overprinted([(MAIN, STRONGEST * share)])));
        let cells = Heatmap::new().with_data(rows).with_color_map(colors).with_values();
        let end = k as f64 + 0.5;
        let layout = axes((0.5, end), (0.5, end))
            .with_x_categories(names.clone())
            .with_y_categories(names.into_iter().rev().collect())
            .with_x_label("Most probable model")
            .with_y_label("True model")
            .with_title(format!("right for {:.1}% of data sets", 100.0 * self.accuracy));
        let size = (CELL * k as f64 + MARGINS.0, CELL * k as f64 + MARGINS.1);
        single(Panel { plots: vec![Plot::Heatmap(cells)], layout }, size, Vec::new())
    }
}
