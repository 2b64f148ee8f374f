//! Draws posterior medians over truths.

use super::figure::Figure;
use super::sheet::{grid, squared};
use super::style::{
    MAIN, Panel, SOFT, axes, dots, dots_entry, line, line_entry, range_of, reference, reference_entry, stride,
    thinned_label,
};
use crate::Recovery;
use kuva::render::plots::Plot;

impl Recovery {
    /// Median ± median absolute deviation over truth for each parameter, on square axes with the identity.
    ///
    /// At most 1,000 data sets a panel are drawn, evenly chosen, fewer if there are many panels; the legend says so. R²
    /// and r count all of them.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let m = self.truths.nrows();
        let stride = stride(m, self.names.len());
        let legend = vec![
            dots_entry(thinned_label("posterior median", m, stride), MAIN),
            line_entry("± median absolute deviation", SOFT),
            reference_entry("identity"),
        ];
        grid(&self.names, "True value", "Posterior median", legend, |parameter| {
            let truths = self.truths.column(parameter);
            let (medians, mads) = (self.medians.column(parameter), self.mads.column(parameter));
            let rows = || (0..m).step_by(stride).map(|row| (f64::from(truths[row]), medians[row], mads[row]));
            // One range for both axes, from all data sets and not only from those drawn.
            let reached = truths.iter().map(|&x| f64::from(x)).chain(medians.iter().copied());
            let range = range_of(reached.chain(rows().flat_map(|(_, y, mad)| [y - mad, y + mad])), 0.1);
            let mut plots: Vec<Plot> =
                rows().map(|(x, y, mad)| Plot::Line(line([(x, y - mad), (x, y + mad)], SOFT, 1.0))).collect();
            plots.push(dots(rows().map(|(x, y, _)| (x, y)), MAIN, 2.0, 0.6));
            plots.push(reference([(range.0, range.0), (range.1, range.1)]));
            let score = format!("R² = {:.3}, r = {:.3}", self.r_squared[parameter], self.correlations[parameter]);
            Panel { plots, layout: squared(axes(range, range)).with_subtitle(score) }
        })
    }
}
