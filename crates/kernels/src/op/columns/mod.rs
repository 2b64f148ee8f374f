//! Joins the columns of matrices side by side, and takes them apart.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

pub(crate) use cpu::{columns, join};
