//! Uses data sets of one observation as their own summaries.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

/// The one observation of each data set is its summary.
#[derive(Debug, Clone)]
pub struct IdentitySummary {
    /// F, which is S too.
    pub features: usize,
}
