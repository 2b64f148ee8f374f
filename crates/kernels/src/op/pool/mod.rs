//! Pools the rows of each data set into one row.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
#[cfg(test)]
mod tests;

pub(crate) use cpu::SetRows;

/// How the observations of a set are pooled into one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// The mean over observations.
    Mean,
    /// The largest value of each unit.
    Max,
}
