//! Draws rank histograms.

use super::figure::Figure;
use super::sheet::grid;
use super::style::{
    BAND, MAIN, Panel, SOFT, area_entry, axes, bars, reference, reference_entry, step_edges, steps, veil,
};
use crate::RankHistograms;

impl RankHistograms {
    /// One histogram for each parameter, over each bin's 99% interval and its expected count; bins outside are dark.
    #[must_use]
    pub fn plot(&self) -> Figure {
        // Rank r occupies r ± 1/2.
        let edges: Vec<f64> = self.edges.iter().map(|&edge| edge as f64 - 0.5).collect();
        let highest = |counts: &[usize]| counts.iter().copied().max().unwrap_or(0) as f64;
        let band_top = self.upper.iter().copied().max().unwrap_or(0) as f64;
        let as_f64 = |ends: &[u64]| steps(ends.iter().map(|&end| end as f64));
        let mut legend = vec![area_entry("ranks", SOFT), area_entry("99% interval", BAND), reference_entry("expected")];
        if (0..self.names.len()).any(|parameter| self.num_outside(parameter) > 0) {
            legend.insert(1, area_entry("ranks, outside", MAIN));
        }
        grid(&self.names, "Rank", "Count", legend, |parameter| {
            let counts = self.counts.row(parameter).to_vec();
            let heights = |inside: bool| -> Vec<f64> {
                let intervals = self.lower.iter().zip(&self.upper);
                let kept = counts.iter().zip(intervals).map(|(&count, (low, high))| {
                    if (*low..=*high).contains(&(count as u64)) == inside { count as f64 } else { 0.0 }
                });
                kept.collect()
            };
            let x = step_edges(&edges);
            let expected = x.iter().copied().zip(steps(self.expected.iter().copied()));
            let plots = vec![
                bars(&edges, &heights(true), SOFT),
                bars(&edges, &heights(false), MAIN),
                veil(x.clone(), as_f64(&self.lower), as_f64(&self.upper)),
                reference(expected),
            ];
            let top = 1.08 * highest(&counts).max(band_top);
            Panel { plots, layout: axes((edges[0], edges[self.num_bins()]), (0.0, top)) }
        })
    }
}
