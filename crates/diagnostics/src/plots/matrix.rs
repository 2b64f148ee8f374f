//! Lays out a square of panels with a row and a column for each parameter.

use super::figure::Figure;
use super::sheet::Sheet;
use super::style::{Panel, title};
use kuva::plot::legend::LegendEntry;

/// Room for ticks and labels to the left of a panel, and below it.
const LEFT: f64 = 62.0;
const BOTTOM: f64 = 46.0;
/// Room beside the first and the last column for half a tick label.
const EDGE: f64 = 22.0;
const TICKS: usize = 3;

/// Where the axes of a [`Matrix`] have ticks and labels.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum AxisLabels {
    /// Along the left and the bottom: for panels below the diagonal.
    Outside,
    /// Below each panel of the diagonal: for a diagonal with nothing below it.
    Diagonal,
}

/// A panel for each parameter on the diagonal, and for pairs of parameters beside it.
pub(super) struct Matrix<'a> {
    /// What the axes are called.
    pub(super) labels: &'a [String],
    /// Width and height of the axes of a panel.
    pub(super) side: f64,
    /// Room between the axes of a panel and the end of its cell, where there are no labels.
    pub(super) gap: f64,
    pub(super) axis_labels: AxisLabels,
    pub(super) title: Option<String>,
    pub(super) legend: Vec<LegendEntry>,
}

impl Matrix<'_> {
    /// Draws the panels that there are, asked for by row and column. A panel may have a top margin of its own.
    pub(super) fn draw(self, mut panel: impl FnMut(usize, usize) -> Option<Panel>) -> Figure {
        let Self { labels, side, gap, axis_labels, title: text, legend } = self;
        let n = labels.len();
        let outside = axis_labels == AxisLabels::Outside;
        let left = |column: usize| match (column, axis_labels) {
            (0, AxisLabels::Outside) => LEFT,
            (0, AxisLabels::Diagonal) => EDGE,
            _ => gap,
        };
        let right = |column: usize| if !outside && column + 1 == n { EDGE } else { gap };
        let bottom = |row: usize| if !outside || row + 1 == n { BOTTOM } else { gap };
        let mut panels = Vec::with_capacity(n * n);
        for (row, column) in (0..n * n).map(|cell| (cell / n, cell % n)) {
            let Some(Panel { plots, layout }) = panel(row, column) else { continue };
            let top = layout.force_margin_top.unwrap_or(gap);
            let mut layout = layout
                .with_ticks(TICKS)
                .with_force_margins(left(column), right(column))
                .with_force_margins_y(top, bottom(row));
            let x_labelled = if outside { row + 1 == n } else { row == column };
            if x_labelled {
                layout = layout.with_x_label(title(&labels[column]));
            } else {
                layout.suppress_x_ticks = true;
            }
            if outside && column == 0 && row > 0 {
                layout = layout.with_y_label(title(&labels[row]));
            } else {
                layout.suppress_y_ticks = true;
            }
            panels.push((row * n + column, Panel { plots, layout }));
        }
        Sheet {
            column_widths: (0..n).map(|column| left(column) + side + right(column)).collect(),
            row_heights: (0..n).map(|row| gap + side + bottom(row)).collect(),
            panels,
            title: text,
            legend,
        }
        .draw()
    }
}
