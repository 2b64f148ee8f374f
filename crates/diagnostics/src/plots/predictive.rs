//! Draws statistics of simulated data, and of the observed ones among them; and null distributions of tests.

use super::figure::Figure;
use super::sheet::{grid, single};
use super::style::{BAND, MAIN, Panel, REFERENCE, SOFT, area_entry, axes, bars, line, line_entry, range_of};
use crate::{MmdTest, PredictiveCheck};
use kuva::render::plots::Plot;

/// Histogram bins at most; the number grows with the square root of the samples.
const MAX_BINS: usize = 30;
const SIZE: (f64, f64) = (420.0, 320.0);
/// The level from which on a test's region of rejection is shown.
const LEVEL: f64 = 0.05;

impl PredictiveCheck {
    /// A histogram of each statistic, with the observed one as a line.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let mut legend = vec![area_entry("simulated", SOFT)];
        legend.extend(self.observed.as_ref().map(|_| line_entry("observed", MAIN)));
        grid(&self.names, "Statistic", "Data sets", legend, |statistic| {
            let values: Vec<f64> = self.simulated.column(statistic).to_vec();
            let observed =
                self.observed.as_ref().map(|observed| (observed.values[statistic], observed.p_values[statistic]));
            let (plots, layout) = histogram(&values, observed.map(|(value, _)| value), None);
            let layout = match observed {
                Some((_, p)) => layout.with_subtitle(format!("as far out: {:.1}%", 100.0 * p)),
                None => layout,
            };
            Panel { plots, layout }
        })
    }
}

impl MmdTest {
    /// The null distribution, with what is beyond its 95% in grey, and the observed discrepancy as a line.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let mut sorted = self.null.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let limit = sorted[((1.0 - LEVEL) * (sorted.len() - 1) as f64).ceil() as usize];
        let (plots, layout) = histogram(&self.null, Some(self.squared), Some(limit));
        let legend = vec![
            area_entry("as much at random", SOFT),
            area_entry("the largest 5% of it", BAND),
            line_entry("observed", MAIN),
        ];
        let layout =
            layout.with_title(format!("p = {:.3}", self.p_value)).with_x_label("MMD²").with_y_label("Permutations");
        single(Panel { plots, layout }, SIZE, legend)
    }
}

/// A histogram with a line at one value, and a shade from another one on.
fn histogram(values: &[f64], at: Option<f64>, shade_from: Option<f64>) -> (Vec<Plot>, kuva::render::layout::Layout) {
    let (low, high) = range_of(values.iter().copied().chain(at), 0.04);
    let bins = ((values.len() as f64).sqrt() as usize).clamp(5, MAX_BINS);
    let width = (high - low) / bins as f64;
    let mut heights = vec![0.0; bins];
    for value in values {
        heights[(((value - low) / width) as usize).min(bins - 1)] += 1.0;
    }
    let edges: Vec<f64> = (0..=bins).map(|bin| low + width * bin as f64).collect();
    let top = 1.08 * heights.iter().copied().fold(1.0, f64::max);
    let mut plots = Vec::new();
    if let Some(from) = shade_from {
        plots.push(super::style::band(vec![from, high], vec![0.0; 2], vec![top; 2]));
    }
    plots.push(bars(&edges, &heights, SOFT));
    if let Some(at) = at {
        plots.push(Plot::Line(line([(at, 0.0), (at, top)], MAIN, 2.0)));
    }
    plots.push(Plot::Line(line([(low, 0.0), (high, 0.0)], REFERENCE, 0.5)));
    (plots, axes((low, high), (0.0, top)))
}
