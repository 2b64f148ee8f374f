//! Lays panels out in a grid, with a title above and one legend below.

use super::figure::Figure;
use super::style::{Panel, axes, title};
use bayesburn_core::ParameterNames;
use kuva::plot::LegendPlot;
use kuva::plot::legend::LegendEntry;
use kuva::render::layout::{ComputedLayout, Layout};
use kuva::render::plots::Plot;

/// Width and height of one panel. The height makes its axes nearly square: titles take more room than tick labels.
pub(super) const PANEL: (f64, f64) = (280.0, 292.0);
/// Room above the axes of a panel, for a title and a line below it, and below them, for tick labels and a label.
const TOP: f64 = 45.0;
const BOTTOM: f64 = 40.0;
const RIGHT: f64 = 10.0;
const SPACING: f64 = 8.0;
const PADDING: f64 = 10.0;
const TITLE_SIZE: u32 = 15;
const LEGEND_LINE: f64 = 17.0;
/// Symbol and space of a legend entry, and the mean width of a character of its text; the library keeps its own to
/// itself.
const LEGEND_SYMBOL: f64 = 44.0;
const LEGEND_CHARACTER: f64 = 6.4;

/// Panels with their place in the grid, row by row.
pub(super) struct Sheet {
    pub(super) column_widths: Vec<f64>,
    pub(super) row_heights: Vec<f64>,
    /// Each with its cell, counted along the rows.
    pub(super) panels: Vec<(usize, Panel)>,
    pub(super) title: Option<String>,
    pub(super) legend: Vec<LegendEntry>,
}

impl Sheet {
    pub(super) fn draw(self) -> Figure {
        let Self { column_widths, mut row_heights, panels, title, legend } = self;
        let columns = column_widths.len();
        let (mut structure, mut plots, mut layouts) = (Vec::new(), Vec::new(), Vec::new());
        for (cell, panel) in panels {
            structure.push(vec![cell]);
            plots.push(panel.plots);
            layouts.push(panel.layout);
        }
        if !legend.is_empty() {
            let inner = column_widths.iter().sum::<f64>() + SPACING * (columns as f64 - 1.0);
            let longest = legend.iter().map(|entry| entry.label.chars().count()).max().unwrap_or(0);
            let width = LEGEND_SYMBOL + LEGEND_CHARACTER * longest as f64;
            let legend_columns = ((inner / width) as usize).clamp(1, legend.len());
            let lines = legend.len().div_ceil(legend_columns);
            let side = ((inner - width * legend_columns as f64) / 2.0).max(10.0);
            let first = row_heights.len() * columns;
            structure.push((first..first + columns).collect());
            let plot = LegendPlot::from_entries(legend).with_cols(legend_columns).with_max_cols(legend_columns);
            plots.push(vec![Plot::LegendPlot(plot.without_box())]);
            let layout = axes((0.0, 1.0), (0.0, 1.0)).with_force_margins(side, side).with_force_margins_y(8.0, 4.0);
            layouts.push(layout);
            row_heights.push(LEGEND_LINE * lines as f64 + 12.0);
        }
        let mut figure = kuva::render::figure::Figure::new(row_heights.len(), columns)
            .with_structure(structure)
            .with_plots(plots)
            .with_layouts(layouts)
            .with_spacing(SPACING)
            .with_padding(PADDING)
            .with_title_size(TITLE_SIZE);
        for (column, width) in column_widths.into_iter().enumerate() {
            figure = figure.with_col_width(column, width);
        }
        for (row, height) in row_heights.into_iter().enumerate() {
            figure = figure.with_row_height(row, height);
        }
        if let Some(title) = title {
            figure = figure.with_title(title);
        }
        Figure::new(figure.render())
    }
}

/// Rows and columns for P panels: at most 6 columns, and no emptier last row than that needs.
fn shape(panels: usize) -> (usize, usize) {
    let rows = panels.div_ceil(6).max(1);
    (rows, panels.div_ceil(rows).max(1))
}

/// One panel for each parameter, titled with its name; axis labels only along the left and the bottom of the grid.
pub(super) fn grid(
    names: &ParameterNames,
    x_label: &str,
    y_label: &str,
    legend: Vec<LegendEntry>,
    mut panel: impl FnMut(usize) -> Panel,
) -> Figure {
    let (rows, columns) = shape(names.len());
    let panels = names.iter().enumerate().map(|(parameter, name)| {
        let Panel { plots, mut layout } = panel(parameter);
        layout = layout.with_title(title(name));
        if layout.force_margin_top.is_none() {
            layout = layout.with_force_margins_y(TOP, BOTTOM);
        }
        if parameter % columns == 0 {
            layout = layout.with_y_label(y_label);
        }
        if parameter + columns >= names.len() {
            layout = layout.with_x_label(x_label);
        }
        (parameter, Panel { plots, layout })
    });
    let panels = panels.collect();
    let (width, height) = PANEL;
    Sheet { column_widths: vec![width; columns], row_heights: vec![height; rows], panels, title: None, legend }.draw()
}

/// Makes the axes of a panel of [`grid`] exactly square, whatever room its tick labels take.
pub(super) fn squared(mut layout: Layout) -> Layout {
    let (width, height) = PANEL;
    (layout.width, layout.height) = (Some(width), Some(height));
    let left = ComputedLayout::from_layout(&layout).margin_left;
    let side = (height - TOP - BOTTOM).min(width - left - RIGHT);
    layout.with_force_margins(left, width - left - side).with_force_margins_y(TOP, height - TOP - side)
}

/// A single panel of its own size.
pub(super) fn single(panel: Panel, (width, height): (f64, f64), legend: Vec<LegendEntry>) -> Figure {
    Sheet { column_widths: vec![width], row_heights: vec![height], panels: vec![(0, panel)], title: None, legend }
        .draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_grow_by_rows_of_at_most_six() {
        assert_eq!(shape(1), (1, 1));
        assert_eq!(shape(4), (1, 4));
        assert_eq!(shape(7), (2, 4));
        assert_eq!(shape(100), (17, 6));
    }
}
