//! Draws the coverage of credible regions with its band.

use super::figure::Figure;
use super::sheet::grid;
use super::style::{BAND, MAIN, Panel, area_entry, axes, band, line, line_entry, range_of, reference, reference_entry};
use crate::{Coverage, Region};
use kuva::render::plots::Plot;

impl Coverage {
    /// Coverage minus probability over the probability of the region, with the 95% band, one panel for each name. Below
    /// 0, regions hold the truth less often than they should.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let legend = vec![
            line_entry("coverage", MAIN),
            area_entry(format!("{}% simultaneous band", 100.0 * self.confidence), BAND),
            reference_entry("calibrated"),
        ];
        let x_label = match self.region {
            Region::Central => "Probability of central interval",
            Region::HighestDensity => "Probability of highest density region",
        };
        // No region holds no truth, and that of probability 1 all.
        let x: Vec<f64> = [0.0].into_iter().chain(self.probabilities.iter().copied()).chain([1.0]).collect();
        let difference = |counts: &mut dyn Iterator<Item = usize>| -> Vec<f64> {
            let shares = counts.map(|count| count as f64 / self.num_data_sets as f64);
            let inner = shares.zip(&self.probabilities).map(|(share, probability)| share - probability);
            [0.0].into_iter().chain(inner).chain([0.0]).collect()
        };
        let lower = difference(&mut self.lower.iter().copied());
        let upper = difference(&mut self.upper.iter().copied());
        grid(&self.names, x_label, "Coverage difference", legend, |name| {
            let y = difference(&mut self.covered.row(name).iter().copied());
            let (low, high) = range_of(y.iter().chain(&lower).chain(&upper).copied(), 0.0);
            let reach = 1.1 * high.max(-low);
            let plots = vec![
                band(x.clone(), lower.clone(), upper.clone()),
                Plot::Line(line(x.iter().copied().zip(y), MAIN, 1.5)),
                reference([(0.0, 0.0), (1.0, 0.0)]),
            ];
            let held = format!("90% regions hold {:.1}%", 100.0 * self.of(name, 0.9));
            Panel { plots, layout: axes((0.0, 1.0), (-reach, reach)).with_subtitle(held) }
        })
    }
}
