//! Makes one row of the rows of each data set.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
#[cfg(test)]
mod tests;

pub(crate) use cpu::SetRows;

/// How the observations of a set become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// The mean over observations.
    Mean,
    /// The largest value of each unit.
    Max,
}
