//! Draws sets of samples over each other, one parameter at a time and in pairs.

use super::figure::Figure;
use super::matrix::{AxisLabels, Matrix};
use super::sheet::{PANEL, grid, single};
use super::style::{
    CURVES, Panel, Range, area, area_entry, axes, dots, dots_entry, line, overprinted, shortened, step_edges, steps,
    stride, title,
};
use crate::grids::within;
use crate::pairs::LabelledRows;
use crate::{Diagonal, OffDiagonal, PairDensity, PairPlot};
use bayesburn_core::ParameterNames;
use kuva::plot::legend::LegendEntry;
use kuva::plot::{ColorMap, ContourPlot, Histogram2D};
use kuva::render::layout::TickFormat;
use kuva::render::plots::Plot;
use kuva::render::render_utils::compute_tick_step;
use ndarray::Array2;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// Parameters shown at most: the panels of 12 fill a page.
const MAX_SHOWN: usize = 12;
/// From so many parameters on, panels are small, and so is the number of their cells: an SVG has an element for each.
const MANY: usize = 7;
/// Sides of the axes of a panel: 3 units for each of 50 cells, and 4 for each of 25, so that cells end where pixels do.
const SIDE: f64 = 150.0;
const SMALL_SIDE: f64 = 100.0;
/// Characters of a label that fit into the legend.
const MAX_LABEL: usize = 40;
/// Room around the axes of a panel; more where the ticks of neighbours meet.
const GAP: f64 = 5.0;
const WIDE_GAP: f64 = 11.0;
/// Line widths of contours, the innermost first.
const CONTOUR_WIDTHS: [f64; 3] = [1.6, 1.2, 0.8];

impl PairPlot {
    /// A panel for each parameter on the diagonal, and one for each pair above it, or above and below, if
    /// [`PairPlot::with_lower`] says so. With one parameter, a single panel.
    ///
    /// Axes span the limits. Points are lines on the diagonal and dots off it. The legend names sets and points where
    /// there is more than one, and says how many of them are outside the limits and how few scatter panels draw.
    ///
    /// From 7 parameters on, histograms and densities of pairs are drawn in 25 by 25 cells. Of more than 12 parameters
    /// the first 12 are shown, and the title says so. From the ninth set or point on, colours start again.
    #[must_use]
    pub fn plot(&self) -> Figure {
        if let [parameter] = self.subset[..] {
            let Panel { plots, layout } = self.marginal(parameter);
            let layout = layout.with_x_label(title(&self.axis_labels[parameter])).with_y_label("Density");
            return single(Panel { plots, layout }, (PANEL.0 * 1.25, PANEL.1), self.legend(&[]));
        }
        let all = self.subset.len();
        let shown = &self.subset[..all.min(MAX_SHOWN)];
        let many = shown.len() >= MANY;
        let strides = self.strides(shown.len());
        let labels: Vec<String> = shown.iter().map(|&parameter| self.axis_labels[parameter].clone()).collect();
        let matrix = Matrix {
            labels: &labels,
            side: if many { SMALL_SIDE } else { SIDE },
            gap: if self.lower.is_some() { WIDE_GAP } else { GAP },
            axis_labels: if self.lower.is_some() { AxisLabels::Outside } else { AxisLabels::Diagonal },
            title: (shown.len() < all).then(|| format!("Parameters 1–{} of {all}", shown.len())),
            legend: self.legend(&strides),
        };
        let pair = |parameters, style| self.pair(parameters, style, if many { 2 } else { 1 }, &strides);
        matrix.draw(|row, column| {
            let parameters = [shown[column], shown[row]];
            match row.cmp(&column) {
                Ordering::Less => Some(pair(parameters, self.upper)),
                Ordering::Greater => self.lower.map(|style| pair(parameters, style)),
                Ordering::Equal => Some(self.marginal(shown[row])),
            }
        })
    }

    /// The diagonal alone: a panel for each parameter, side by side.
    #[must_use]
    pub fn plot_marginals(&self) -> Figure {
        let labels: ParameterNames = self.subset.iter().map(|&parameter| self.axis_labels[parameter].clone()).collect();
        grid(&labels, "Value", "Density", self.legend(&[]), |index| self.marginal(self.subset[index]))
    }

    /// The panel of one parameter.
    fn marginal(&self, parameter: usize) -> Panel {
        let axis = self.axis(parameter);
        let curve = |set: usize| -> Vec<(f64, f64)> {
            let (x, y, [first, last]) = match self.diagonal {
                Diagonal::Histogram => {
                    let histogram = self.marginal_histogram(set, parameter);
                    (step_edges(&histogram.edges), steps(histogram.heights()), [0.0, 0.0])
                }
                Diagonal::Density => {
                    let marginal = self.marginal_density(set, parameter);
                    let ends = [marginal.density[0], marginal.density[marginal.density.len() - 1]];
                    (marginal.points, marginal.density, ends)
                }
            };
            let inner = x.into_iter().zip(y).map(|(x, y)| (axis.share(x), y * axis.length()));
            let ends = [(0.0, first * axis.length()), (1.0, last * axis.length())];
            [ends[0]].into_iter().chain(inner).chain([ends[1]]).collect()
        };
        let curves: Vec<Vec<(f64, f64)>> = (0..self.sets.len()).map(curve).collect();
        let highest = curves.iter().flatten().map(|point| point.1).fold(0.0, f64::max);
        let top = if highest > 0.0 { 1.1 * highest } else { 1.0 };
        let mut plots: Vec<Plot> = curves.into_iter().enumerate().map(|(set, curve)| area(curve, color(set))).collect();
        for (points, color) in self.colored_points() {
            let shares = points.samples.column(parameter).into_iter().filter_map(|&x| axis.share_within(x));
            plots.extend(shares.map(|x| Plot::Line(line([(x, 0.0), (x, top)], color, 1.5))));
        }
        let layout = axes((0.0, 1.0), (0.0, top)).with_show_grid(false);
        let layout = layout.with_x_tick_step(0.5).with_x_tick_format(axis.tick_format());
        // What is drawn is the density of the share of the axis; what the ticks say, that of the parameter.
        let (length, highest) = (axis.length(), top / axis.length());
        let layout = layout
            .with_y_tick_step(compute_tick_step(0.0, highest, 4) * length)
            .with_y_tick_format(TickFormat::Custom(Arc::new(move |share| tick(share / length, highest))));
        Panel { plots, layout }
    }

    /// The panel of two parameters, whose cells are of so many bins each way.
    fn pair(&self, parameters: [usize; 2], style: OffDiagonal, cell: usize, strides: &[usize]) -> Panel {
        let [x, y] = parameters.map(|parameter| self.axis(parameter));
        let sets = || (0..self.sets.len()).map(|set| (set, color(set)));
        let inside = |samples: &Array2<f32>, stride: usize| -> Vec<(f64, f64)> {
            let rows = samples.rows().into_iter().step_by(stride);
            let shares = rows.map(|row| parameters.map(|parameter| row[parameter]));
            shares.filter_map(|pair| Some((x.share_within(pair[0])?, y.share_within(pair[1])?))).collect()
        };
        let mut plots: Vec<Plot> = match style {
            OffDiagonal::Histogram => {
                let count = |set| self.pair_histogram(set, parameters).counts.mapv(|count| count as f64);
                let layers = sets().map(|(set, color)| (coarsened(&count(set), cell), color));
                vec![shades(&layers.collect::<Vec<_>>())]
            }
            OffDiagonal::Density => {
                let density = |set| self.pair_density(set, parameters).density;
                let layers = sets().map(|(set, color)| (coarsened(&density(set), cell), color));
                vec![shades(&layers.collect::<Vec<_>>())]
            }
            OffDiagonal::Contour => {
                let lines = |(set, color)| contours(&self.pair_density(set, parameters), &self.contours, color);
                sets().flat_map(lines).collect()
            }
            OffDiagonal::Scatter => sets()
                .map(|(set, color)| dots(inside(&self.sets[set].samples, strides[set]), color, 1.5, 0.35))
                .collect(),
        };
        for (points, color) in self.colored_points() {
            // A white rim, so that a dot stands out where many samples are.
            let points = inside(&points.samples, 1);
            plots.extend([dots(points.iter().copied(), "#ffffff", 4.0, 1.0), dots(points, color, 3.0, 1.0)]);
        }
        let layout = axes((0.0, 1.0), (0.0, 1.0)).with_box_axes().with_show_grid(false);
        let layout = layout.with_x_tick_step(0.5).with_x_tick_format(x.tick_format());
        Panel { plots, layout: layout.with_y_tick_step(0.5).with_y_tick_format(y.tick_format()) }
    }

    fn axis(&self, parameter: usize) -> Axis {
        Axis(self.limits()[parameter])
    }

    /// Points have the colours after those of the sets.
    fn colored_points(&self) -> impl Iterator<Item = (&LabelledRows, &'static str)> {
        self.points.iter().enumerate().map(|(index, points)| (points, color(self.sets.len() + index)))
    }

    /// Every how many samples of each set a scatter panel has a dot, with so many parameters; none if there is no such
    /// panel.
    fn strides(&self, shown: usize) -> Vec<usize> {
        let scatter =
            [Some(self.upper), self.lower].iter().filter(|style| **style == Some(OffDiagonal::Scatter)).count();
        let panels = scatter * shown * (shown - 1) / 2 * self.sets.len();
        if panels == 0 { Vec::new() } else { self.sets.iter().map(|set| stride(set.samples.nrows(), panels)).collect() }
    }

    /// An entry for each set and each point; none if there is only one set and nothing to say about it.
    fn legend(&self, strides: &[usize]) -> Vec<LegendEntry> {
        let mut noted = false;
        let mut label = |set: &LabelledRows, stride: usize| {
            let outside = self.count_outside(set);
            let notes = [
                (stride > 1).then(|| format!("1 in {stride} drawn")),
                (outside > 0).then(|| format!("{outside} of {} outside the limits", set.samples.nrows())),
            ];
            let notes: Vec<String> = notes.into_iter().flatten().collect();
            let label = shortened(&set.label, MAX_LABEL);
            if notes.is_empty() {
                return label;
            }
            noted = true;
            format!("{label} ({})", notes.join(", "))
        };
        let mut entries = Vec::new();
        for (index, set) in self.sets.iter().enumerate() {
            entries.push(area_entry(label(set, strides.get(index).copied().unwrap_or(1)), color(index)));
        }
        for (points, color) in self.colored_points() {
            entries.push(dots_entry(label(points, 1), color));
        }
        if entries.len() > 1 || noted { entries } else { Vec::new() }
    }
}

fn color(index: usize) -> &'static str {
    CURVES[index % CURVES.len()]
}

/// An axis that spans these limits. Panels are drawn in shares of it: the library draws nothing between numbers that
/// are less than 2e-16 apart.
#[derive(Clone, Copy)]
struct Axis(Range);

impl Axis {
    fn length(self) -> f64 {
        self.0.1 - self.0.0
    }

    fn share(self, x: f64) -> f64 {
        (x - self.0.0) / self.length()
    }

    fn share_within(self, x: f32) -> Option<f64> {
        within(self.0, x).then(|| self.share(x.into()))
    }

    /// Writes the numbers that belong to shares.
    fn tick_format(self) -> TickFormat {
        let ((low, high), length) = (self.0, self.length());
        TickFormat::Custom(Arc::new(move |share| tick(low * (1.0 - share) + high * share, length)))
    }
}

/// A number to three digits of the axis' length: the library's own are as long as they need to be.
fn tick(x: f64, length: f64) -> String {
    if x.abs() < 1e-3 * length {
        return "0".to_owned();
    }
    let trimmed = |digits: &str| digits.trim_end_matches('0').trim_end_matches('.').to_owned();
    if length >= 1e5 || (length < 1e-3 && x.abs() < 100.0 * length) {
        let text = format!("{x:.2e}");
        return text.split_once('e').map_or(text.clone(), |(digits, power)| format!("{}e{power}", trimmed(digits)));
    }
    let decimals = (2.0 - length.log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{x:.decimals$}");
    if text.contains('.') { trimmed(&text) } else { text }
}

/// Sums over cells of so many bins each way.
fn coarsened(grid: &Array2<f64>, cell: usize) -> Array2<f64> {
    let (rows, columns) = grid.dim();
    let sums: Vec<f64> = grid.exact_chunks((cell, cell)).into_iter().map(|chunk| chunk.sum()).collect();
    Array2::from_shape_fn((rows / cell, columns / cell), |(i, j)| sums[i * (columns / cell) + j])
}

/// Each set in shades of its colour, the darkest where it is densest, printed over each other. A shade grows with the
/// square root, or else tails would not show.
fn shades(layers: &[(Array2<f64>, &'static str)]) -> Plot {
    let (columns, rows) = layers.first().map_or((1, 1), |(grid, _)| grid.dim());
    let tops: Vec<f64> = layers.iter().map(|(grid, _)| grid.iter().copied().fold(0.0, f64::max)).collect();
    let strength = |value: f64, top: f64| if top > 0.0 { (value / top).sqrt() } else { 0.0 };
    // The library's histogram maps counts to colours and leaves out what is 0. These counts are numbers of colours.
    let (mut palette, mut numbers): (Vec<String>, HashMap<String, usize>) = (Vec::new(), HashMap::new());
    let mut bins = vec![vec![0; columns]; rows];
    for (j, row) in bins.iter_mut().enumerate() {
        for (i, bin) in row.iter_mut().enumerate() {
            let inks = layers.iter().zip(&tops).map(|((grid, color), &top)| (*color, strength(grid[[i, j]], top)));
            let shade = overprinted(inks);
            if shade != "#ffffff" {
                *bin = *numbers.entry(shade).or_insert_with_key(|shade| {
                    palette.push(shade.clone());
                    palette.len()
                });
            }
        }
    }
    let colors = palette.len() as f64;
    let shade = move |share: f64| {
        let number = (share * colors).round() as usize;
        palette.get(number.saturating_sub(1)).cloned().unwrap_or_default()
    };
    Plot::Histogram2d(Histogram2D {
        bins,
        x_range: (0.0, 1.0),
        y_range: (0.0, 1.0),
        bins_x: columns,
        bins_y: rows,
        color_map: ColorMap::Custom(Arc::new(shade)),
        ..Histogram2D::new()
    })
}

/// Lines around the smallest regions that hold these shares of the mass, increasing.
fn contours(pair: &PairDensity, masses: &[f64], color: &'static str) -> Vec<Plot> {
    // Scaled to a peak of 1: the library takes differences below 1e-12 for none. The outermost points are repeated at
    // the limits, where lines would end half a cell before them.
    let peak = pair.density.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let (columns, rows) = pair.density.dim();
    let nearest = |i: usize, points: usize| i.saturating_sub(1).min(points - 1);
    let height = |i: usize, j: usize| pair.density[[nearest(i, columns), nearest(j, rows)]] / peak;
    let heights: Vec<Vec<f64>> = (0..rows + 2).map(|j| (0..columns + 2).map(|i| height(i, j)).collect()).collect();
    let shares = |points: usize| -> Vec<f64> {
        (0..points + 2).map(|i| ((i as f64 - 0.5) / points as f64).clamp(0.0, 1.0)).collect()
    };
    let line = |(index, &mass): (usize, &f64)| {
        let contour = ContourPlot::new().with_grid(heights.clone(), shares(columns), shares(rows));
        let width = CONTOUR_WIDTHS[index.min(CONTOUR_WIDTHS.len() - 1)];
        Plot::Contour(contour.with_levels(&[pair.level(mass) / peak]).with_line_color(color).with_line_width(width))
    };
    masses.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair_plot;
    use ndarray::array;

    #[test]
    fn ticks_have_three_digits_of_the_length() {
        let ticks = [(-2.0, 4.0), (-2e-6, 4.0), (2.0 - 4e-6, 4.0), (-1.834_71, 4.0), (0.25, 1.0), (1234.6, 400.0)];
        assert_eq!(ticks.map(|(x, length)| tick(x, length)), ["-2", "0", "2", "-1.83", "0.25", "1235"]);
        let ticks = [(1.5e-5, 4e-5), (-1e30, 2e30), (1e24, 2e30), (5.000_13, 4e-4), (250_000.0, 5e5), (100.0, 200.0)];
        assert_eq!(ticks.map(|(x, length)| tick(x, length)), ["1.5e-5", "-1e30", "0", "5.00013", "2.5e5", "100"]);
    }

    #[test]
    fn cells_add_up_their_bins() {
        let grid = array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]];
        assert_eq!(coarsened(&grid, 2), array![[14.0, 22.0], [1.0, 2.0]]);
        assert_eq!(coarsened(&grid, 1), grid);
    }

    #[test]
    fn shades_are_darkest_at_each_sets_peak() {
        let layers = [(array![[4.0, 0.0], [1.0, 0.0]], CURVES[0]), (array![[0.0, 0.0], [0.0, 9.0]], CURVES[1])];
        let Plot::Histogram2d(histogram) = shades(&layers) else { unreachable!("shades are a histogram") };
        let shade = |bin: usize| histogram.color_map.map(bin as f64 / 3.0);
        // Rows of the histogram are of y, those of the grids of x.
        let [[first, half], [empty, second]] = [0, 1].map(|j| [0, 1].map(|i| histogram.bins[j][i]));
        assert_eq!((shade(first), shade(second), empty), (CURVES[0].to_owned(), CURVES[1].to_owned(), 0));
        assert_eq!(shade(half), overprinted([(CURVES[0], 0.5)])); // a quarter of the peak
    }

    #[test]
    fn legends_say_what_is_not_shown() {
        let names = ["a".to_owned(), "b".to_owned()].into();
        let samples = Array2::from_shape_fn((5_000, 2), |(i, _)| i as f32);
        let alone = pair_plot(&names, &samples).expect("valid");
        assert!(alone.legend(&[]).is_empty());
        let labels = |pairs: &PairPlot, strides: &[usize]| -> Vec<String> {
            pairs.legend(strides).into_iter().map(|entry| entry.label).collect()
        };
        let scatter = alone.clone().with_off_diagonal(OffDiagonal::Scatter);
        assert_eq!(labels(&scatter, &scatter.strides(2)), ["samples (1 in 5 drawn)"]);
        let limited = scatter.with_limits([(0.0, 4_996.0), (0.0, 1e4)]).expect("valid");
        let limited = limited.with_points("truth", [-1.0_f32, 2.0]).expect("valid");
        assert_eq!(
            labels(&limited, &[5]),
            ["samples (1 in 5 drawn, 3 of 5000 outside the limits)", "truth (1 of 1 outside the limits)"]
        );
        let both = alone.with("prior", &samples).expect("valid");
        assert_eq!(labels(&both, &both.strides(2)), ["samples", "prior"]);
    }
}
