//! Says which deviations so many data sets could have shown.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};
use std::fmt;

/// The probability with which a deviation would have been found.
const POWER: f64 = 0.9;

/// The smallest deviations of one parameter that the suite finds with a probability of 90%, of posteriors that are about normal and have many draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Detectable {
    /// A bias, in posterior standard deviations.
    pub bias: f64,
    /// A standard deviation that is this many times what it should be, below 1.
    pub narrow: f64,
    /// A standard deviation that is this many times what it should be, above 1; infinite for few data sets.
    pub wide: f64,
}

impl Detectable {
    /// Of M data sets, by tests of these levels.
    pub(super) fn new(num_data_sets: usize, alpha_of_bias: f64, alpha_of_width: f64) -> Self {
        let m = num_data_sets as f64;
        let normal = Normal::standard();
        let bias = (normal.inverse_cdf(1.0 - alpha_of_bias / 2.0) + normal.inverse_cdf(POWER)) / m.sqrt();
        // Normal scores of posteriors that are too narrow have a variance s² > 1, of which the sum of squares is s² χ².
        let (narrow, wide) = ChiSquared::new(m - 1.0).map_or((0.0, f64::INFINITY), |law| {
            let narrow = law.inverse_cdf(1.0 - POWER) / law.inverse_cdf(1.0 - alpha_of_width / 2.0);
            let wide = law.inverse_cdf(POWER) / law.inverse_cdf(alpha_of_width / 2.0);
            (narrow.sqrt(), wide.sqrt())
        });
        Self { bias, narrow, wide }
    }
}

impl fmt::Display for Detectable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a bias of {:.2} posterior standard deviations, or widths of {:.2} or {:.2} times the right one",
            self.bias, self.narrow, self.wide
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_match_tables() {
        // z of 0.975 and 0.9: 1.960 and 1.2816. χ² with 99 degrees of freedom: 81.449 at 0.1, 128.422 at 0.975, 117.407 at 0.9, 73.361 at 0.025.
        let detectable = Detectable::new(100, 0.05, 0.05);
        assert!((detectable.bias - 0.32415).abs() < 1e-4, "{detectable:?}");
        assert!((detectable.narrow - (81.449_f64 / 128.422).sqrt()).abs() < 1e-4, "{detectable:?}");
        assert!((detectable.wide - (117.407_f64 / 73.361).sqrt()).abs() < 1e-4, "{detectable:?}");
        assert!(Detectable::new(1000, 0.05, 0.05).bias < detectable.bias);
    }
}
