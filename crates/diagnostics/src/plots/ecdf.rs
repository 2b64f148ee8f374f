//! Draws rank ECDFs with their simultaneous band.

use super::figure::Figure;
use super::sheet::{grid, single};
use super::style::{
    BAND, CURVES, MAIN, Panel, Range, SOFT, area_entry, axes, band, dots, dots_entry, line, line_entry, range_of,
    reference, reference_entry, title,
};
use crate::RankEcdfs;
use kuva::render::plots::Plot;

const STACKED_SIZE: (f64, f64) = (520.0, 420.0);

/// What the vertical axis of an ECDF plot shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EcdfScale {
    /// The ECDF minus the uniform's, which spreads the band over the whole height.
    #[default]
    Difference,
    /// The ECDF itself.
    Ecdf,
}

/// How the parameters of an ECDF plot share panels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EcdfPanels {
    /// A panel for each parameter.
    #[default]
    Separate,
    /// All parameters in one panel.
    Stacked,
}

/// What an ECDF plot shows. Default: differences, in separate panels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EcdfPlot {
    /// The vertical axis.
    pub scale: EcdfScale,
    /// One panel or many.
    pub panels: EcdfPanels,
}

impl EcdfPlot {
    /// Differences, in separate panels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the vertical axis.
    #[must_use]
    pub fn with_scale(self, scale: EcdfScale) -> Self {
        Self { scale, ..self }
    }

    /// Sets whether parameters share a panel.
    #[must_use]
    pub fn with_panels(self, panels: EcdfPanels) -> Self {
        Self { panels, ..self }
    }
}

impl RankEcdfs {
    /// ECDF differences with their band, one panel for each parameter; a dot marks where a curve first leaves the band.
    #[must_use]
    pub fn plot(&self) -> Figure {
        self.plot_with(EcdfPlot::default())
    }

    /// [`RankEcdfs::plot`] with another vertical axis, or with all parameters in one panel.
    #[must_use]
    pub fn plot_with(&self, options: EcdfPlot) -> Figure {
        let y_label = match options.scale {
            EcdfScale::Difference => "ECDF difference",
            EcdfScale::Ecdf => "ECDF",
        };
        let percent = format!("{:.4}", 100.0 * self.bands.confidence());
        let percent = percent.trim_end_matches('0').trim_end_matches('.');
        let mut legend = vec![area_entry(format!("{percent}% simultaneous band"), BAND), reference_entry("uniform")];
        match options.panels {
            EcdfPanels::Separate => {
                legend.insert(0, line_entry("ranks", MAIN));
                if !self.all_inside() {
                    legend.push(dots_entry("first rank outside", MAIN));
                }
                grid(&self.names, "Fractional rank", y_label, legend, |parameter| {
                    let Panel { plots, layout } = self.panel(&[parameter], options.scale, |_| MAIN);
                    let verdict = match self.verdicts[parameter].first_exceedance {
                        None => "stays in the band".to_owned(),
                        Some(rank) => format!("leaves the band at rank {rank}"),
                    };
                    Panel { plots, layout: layout.with_subtitle(verdict) }
                })
            }
            EcdfPanels::Stacked => {
                let d = self.names.len();
                // Curves outside come last, on top.
                let mut order: Vec<usize> = (0..d).collect();
                order.sort_by_key(|&parameter| !self.verdicts[parameter].inside);
                let few = d <= CURVES.len();
                let color = |parameter: usize| match self.verdicts[parameter].inside {
                    _ if few => CURVES[parameter],
                    true => SOFT,
                    false => MAIN,
                };
                if few {
                    legend.extend(self.names.iter().zip(CURVES).map(|(name, color)| line_entry(title(name), color)));
                } else {
                    let inside = self.verdicts.iter().filter(|verdict| verdict.inside).count();
                    legend.push(line_entry(format!("{inside} parameters inside"), SOFT));
                    legend.push(line_entry(format!("{} outside", d - inside), MAIN));
                }
                let Panel { plots, layout } = self.panel(&order, options.scale, color);
                let layout = layout.with_x_label("Fractional rank").with_y_label(y_label);
                single(Panel { plots, layout }, STACKED_SIZE, legend)
            }
        }
    }

    /// The band with the curves of some parameters.
    fn panel(&self, parameters: &[usize], scale: EcdfScale, color: impl Fn(usize) -> &'static str) -> Panel {
        let bands = &self.bands;
        let x: Vec<f64> = bands.points().iter().map(|&point| bands.probability(point)).collect();
        // Every path starts at 0 and ends at 1, where the band has no width.
        let curve = |counts: &mut dyn Iterator<Item = usize>| -> Vec<f64> {
            let n = bands.num_ranks() as f64;
            let offset = |z: f64| if scale == EcdfScale::Difference { z } else { 0.0 };
            let inner = counts.zip(&x).map(|(count, &z)| count as f64 / n - offset(z));
            [0.0].into_iter().chain(inner).chain([1.0 - offset(1.0)]).collect()
        };
        let lower = curve(&mut bands.lower().iter().copied());
        let upper = curve(&mut bands.upper().iter().copied());
        let all_x: Vec<f64> = [0.0].into_iter().chain(x.iter().copied()).chain([1.0]).collect();
        let mut plots = vec![band(all_x.clone(), lower.clone(), upper.clone())];
        let mut extent: Range = range_of(lower.into_iter().chain(upper), 0.0);
        for &parameter in parameters {
            let y = curve(&mut self.counts.row(parameter).iter().copied());
            let (low, high) = range_of(y.iter().copied(), 0.0);
            extent = (extent.0.min(low), extent.1.max(high));
            plots.push(Plot::Line(line(all_x.iter().copied().zip(y.iter().copied()), color(parameter), 1.5)));
            let first = self.verdicts[parameter].first_exceedance;
            let index = first.and_then(|rank| bands.points().iter().position(|&point| point == rank));
            plots.extend(index.map(|i| dots([(all_x[i + 1], y[i + 1])], color(parameter), 4.0, 1.0)));
        }
        let end = if scale == EcdfScale::Difference { 0.0 } else { 1.0 };
        plots.push(reference([(0.0, 0.0), (1.0, end)]));
        let y = match scale {
            EcdfScale::Difference => {
                let reach = 1.1 * extent.1.max(-extent.0);
                (-reach, reach)
            }
            EcdfScale::Ecdf => (0.0, 1.0),
        };
        Panel { plots, layout: axes((0.0, 1.0), y) }
    }
}
