//! Draws the checks' numbers; nothing here computes a statistic.
//!
//! `figure` is what users hold, `sheet` lays panels out and `matrix` those of pairs, `style` owns colours, sizes and
//! axes; then one file for each plot.

mod comparison;
mod contraction;
mod coverage;
mod ecdf;
mod figure;
mod histograms;
mod lc2st;
mod losses;
mod matrix;
mod models;
mod pairplot;
mod pairs;
mod predictive;
mod recovery;
mod sensitivity;
mod sheet;
mod style;

pub use ecdf::{EcdfPanels, EcdfPlot, EcdfScale};
pub use figure::{Figure, FigureError};
