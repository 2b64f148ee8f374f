//! Draws numbers on a grid of settings, and how posteriors shift.

use super::figure::Figure;
use super::sheet::grid;
use super::style::{
    MAIN, Panel, SOFT, axes, dots, dots_entry, line, line_entry, overprinted, range_of, reference, reference_entry,
    shortened,
};
use crate::{PosteriorShifts, SensitivityGrid};
use kuva::plot::Heatmap;
use kuva::plot::colormap::ColorMap;
use kuva::render::plots::Plot;
use std::sync::Arc;

/// The ink of the largest number: black text can be read on it.
const STRONGEST: f64 = 0.6;
/// Cells in a row with their number in them; of more, the colours say enough.
const MOST_NUMBERS: usize = 6;
/// Characters of a label in a panel's second line.
const LABEL: usize = 24;

impl SensitivityGrid {
    /// A map of each number, from its least in white to its greatest in red; what is not finite is white.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let [rows, columns] = &self.values;
        let text = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<String>>();
        let (row_names, column_names) = (text(rows), text(columns));
        grid(&self.names, &self.settings[1], &self.settings[0], Vec::new(), |number| {
            let of = self.numbers.index_axis(ndarray::Axis(2), number);
            let (low, high) = range_of(of.iter().copied(), 0.0);
            let cell = |value: &f64| if value.is_finite() { *value } else { low };
            // The first row is the lowest one, as an axis has it.
            let cells = of.outer_iter().map(|row| row.iter().map(cell).collect::<Vec<f64>>());
            let colors = ColorMap::Custom(Arc::new(|share: f64| overprinted([(MAIN, STRONGEST * share)])));
            let map = Heatmap::new().with_data(cells).with_color_map(colors);
            // Where a number is missing, its cell would show the least one.
            let readable = columns.len() <= MOST_NUMBERS && of.iter().all(|value| value.is_finite());
            let map = if readable { map.with_values() } else { map };
            let ends = [columns.len(), rows.len()].map(|length| length as f64 + 0.5);
            let layout = axes((0.5, ends[0]), (0.5, ends[1]))
                .with_x_categories(column_names.clone())
                .with_y_categories(row_names.clone())
                .with_subtitle(format!("{low:.3} to {high:.3}"));
            Panel { plots: vec![Plot::Heatmap(map)], layout }
        })
    }
}

impl PosteriorShifts {
    /// For each parameter the means of all posteriors, with one standard deviation on either side, against the one that
    /// they are compared with.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let k = self.labels.len();
        let legend = vec![
            dots_entry("posterior mean", MAIN),
            line_entry("± standard deviation", SOFT),
            reference_entry("compared with"),
        ];
        grid(&self.names, "Posterior", "Shift / standard deviation", legend, |parameter| {
            let (shifts, widths) = (self.shifts.column(parameter), self.widths.column(parameter));
            let ends = shifts.iter().zip(widths).flat_map(|(shift, width)| [shift - width, shift + width]);
            let range = range_of(ends.chain([-1.0, 1.0]), 0.05);
            let x = |i: usize| (i + 1) as f64;
            let mut plots: Vec<Plot> = (0..k)
                .map(|i| {
                    let (shift, width) = (shifts[i], widths[i]);
                    Plot::Line(line([(x(i), shift - width), (x(i), shift + width)], SOFT, 1.0))
                })
                .collect();
            plots.push(reference([(0.5, 0.0), (k as f64 + 0.5, 0.0)]));
            plots.push(dots((0..k).map(|i| (x(i), shifts[i])), MAIN, 2.5, 0.9));
            let largest = (0..k).max_by(|&a, &b| shifts[a].abs().total_cmp(&shifts[b].abs()));
            let layout = axes((0.5, k as f64 + 0.5), range);
            let layout = match largest {
                Some(i) => layout.with_subtitle(format!("{}: {:+.2}", shortened(&self.labels[i], LABEL), shifts[i])),
                None => layout,
            };
            Panel { plots, layout }
        })
    }
}
