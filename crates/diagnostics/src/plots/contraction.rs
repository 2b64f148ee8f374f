//! Draws posterior z-scores over contractions.

use super::figure::Figure;
use super::sheet::grid;
use super::style::{MAIN, Panel, axes, dots, dots_entry, range_of, reference, reference_entry, stride, thinned_label};
use crate::ZScoreContraction;

impl ZScoreContraction {
    /// z-score over contraction for each parameter, one dot a data set, thinned as in a recovery plot.
    ///
    /// The contraction axis runs from −0.05 to 1.05, or as far as the data go.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let m = self.z_scores.nrows();
        let stride = stride(m, self.names.len());
        let legend = vec![dots_entry(thinned_label("data set", m, stride), MAIN), reference_entry("z = 0")];
        grid(&self.names, "Posterior contraction", "Posterior z-score", legend, |parameter| {
            let (x, z) = (self.contractions.column(parameter), self.z_scores.column(parameter));
            let pairs = x.iter().copied().zip(z.iter().copied()).step_by(stride);
            let finite: Vec<(f64, f64)> = pairs.filter(|(x, z)| x.is_finite() && z.is_finite()).collect();
            let (low, high) = range_of(x.iter().copied().chain([0.0, 1.0]), 0.05);
            let reach = z.iter().filter(|z| z.is_finite()).fold(3.0_f64, |reach, z| reach.max(1.1 * z.abs()));
            let plots = vec![reference([(low, 0.0), (high, 0.0)]), dots(finite, MAIN, 2.5, 0.5)];
            let mean = format!("mean contraction {:.3}", self.mean_contractions[parameter]);
            Panel { plots, layout: axes((low, high), (-reach, reach)).with_subtitle(mean) }
        })
    }
}
