//! Adds figures to a report.

use super::{Report, ReportError, html::Shown};
use crate::suite::SuiteInput;
use crate::{Bins, Coverage, RankEcdfs, RankHistograms, Result, recovery, sbc_ranks, z_score_contraction};
use ndarray::Axis;

/// Parameters with figures, at most: those of the smallest p-values. A page with more is slow on a phone.
const MOST_SHOWN: usize = 12;

impl Report {
    /// The report with figures: ECDFs and histograms of ranks, coverage, recovery, contraction. Of more than 12
    /// parameters, those of the smallest p-values are shown.
    ///
    /// # Errors
    /// An input of other parameters than the report.
    pub fn with_figures(mut self, input: &SuiteInput<'_>) -> Result<Self> {
        let names = input.draws.names();
        if self.metrics.parameter_names() != names[..] {
            let (expected, got) = (self.metrics.parameter_names(), names.to_vec());
            return Err(ReportError::OtherParameters { expected, got }.into());
        }
        let mut shown = self.worst_first();
        shown.truncate(MOST_SHOWN);
        shown.sort_unstable();
        let draws = input.draws.select_parameters(&shown);
        let truths = input.truths.select(Axis(1), &shown);
        // As the checks have them.
        let ranks = sbc_ranks(input.draws, input.truths)?.with_ties_broken(self.seed).of_parameters(&shown);
        let which = match names.len() - shown.len() {
            0 => String::new(),
            _ => format!(" Of {} parameters, those of the {} smallest p-values.", names.len(), shown.len()),
        };
        let figures = [
            (
                "Calibration",
                "ECDF of the ranks, less what is expected.",
                RankEcdfs::new(&ranks, Default::default())?.plot(),
            ),
            (
                "Ranks",
                "A bowl is too narrow, a hump too wide, a slope biased.",
                RankHistograms::new(&ranks, Bins::Auto)?.plot(),
            ),
            ("Coverage", "How often central intervals hold the truth.", Coverage::central(&ranks)?.plot()),
            ("Recovery", "Posterior medians over truths.", recovery(&draws, &truths)?.plot()),
            (
                "Contraction",
                "How much the data say, and how far off means are.",
                z_score_contraction(&draws, &truths)?.plot(),
            ),
        ];
        let shown = figures.map(|(heading, caption, figure)| Shown {
            heading,
            caption: format!("{caption}{which}"),
            svg: figure.to_svg(),
        });
        self.figures = shown.into();
        Ok(self)
    }
}
