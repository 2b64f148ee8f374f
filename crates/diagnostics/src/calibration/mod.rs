//! Judges ranks: of what they are counted, how they are shown, and whether they are uniform.

mod bands;
mod calibration_error;
mod counting;
mod coverage;
mod ecdf;
mod error;
mod histograms;
mod quantities;
mod ranks;
mod tarp;
mod uniformity;

pub use bands::EcdfBands;
pub use calibration_error::{CalibrationError, calibration_error};
pub use coverage::{Coverage, Region, central_coverage, highest_density_coverage};
pub use ecdf::{EcdfConfig, EcdfVerdict, Family, RankEcdfs, sbc_ecdf, sbc_ecdf_with};
pub use error::RankError;
pub use histograms::{Bins, RankHistograms, sbc_histograms};
pub use quantities::{density_ranks, distance_ranks, product_ranks, quantity_ranks};
pub(crate) use quantities::{pairs, ranks_of_pairs};
pub use ranks::{Ranks, sbc_ranks};
pub use tarp::{Tarp, tarp};
pub(crate) use uniformity::locations;
pub use uniformity::{HypothesisTest, RankTests, sbc_tests};
