//! Puts every network of the crate through the laws it promises: one table of maps, one table of summary networks.

mod act_norm;
mod attention;
mod bijections;
mod cases;
mod configs;
mod densities;
mod images;
mod init;
#[cfg(feature = "flex")]
mod kernels;
mod passes;
mod series;
mod several_inputs;
mod splines;
mod summaries;
#[cfg(feature = "flex")]
mod summary_kernels;
mod support;
