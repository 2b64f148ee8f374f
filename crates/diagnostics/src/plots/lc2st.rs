//! Draws the probabilities of the local classifier two-sample test.

use super::figure::Figure;
use super::sheet::{PANEL, single, squared};
use super::style::{BAND, MAIN, Panel, area_entry, axes, band, line, line_entry, reference, reference_entry};
use crate::LocalTest;
use kuva::render::plots::Plot;

impl LocalTest {
    /// The share of draws to which the network gives a probability or less of being one, over that probability, with
    /// what 95% of the trials by chance have. Of an exact posterior all are about a half; to the right of the band,
    /// there are too many draws where these are.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let levels: Vec<f64> = (0..self.shares.len()).map(|k| k as f64 / (self.shares.len() - 1) as f64).collect();
        let plots = vec![
            band(levels.clone(), self.lower.clone(), self.upper.clone()),
            reference([(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (1.0, 1.0)]),
            Plot::Line(line(levels.into_iter().zip(self.shares.iter().copied()), MAIN, 1.5)),
        ];
        let layout = squared(axes((0.0, 1.0), (0.0, 1.0)))
            .with_title(format!("p = {:.3}", self.p_value))
            .with_subtitle(format!("statistic {:.4}", self.statistic))
            .with_x_label("Probability of being a draw")
            .with_y_label("Share of draws");
        let legend = vec![
            line_entry("draws", MAIN),
            area_entry("95% of trials by chance", BAND),
            reference_entry("can't be told from truths"),
        ];
        single(Panel { plots, layout }, PANEL, legend)
    }
}
