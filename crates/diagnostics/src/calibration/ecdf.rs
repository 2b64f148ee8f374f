//! Compares the ECDF of the ranks with the band that a calibrated posterior stays in.

use super::RankError;
use super::{
    bands::EcdfBands,
    ranks::{Ranks, sbc_ranks},
};
use crate::Result;
use crate::checks::check_confidence;
use bayesburn_core::{Draws, ParameterNames};
use ndarray::{Array2, ArrayView1};

/// Whether the confidence holds for each parameter by itself or for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// Each band holds with the confidence. Of 100 calibrated parameters, about 5 leave their 95% band.
    #[default]
    EachParameter,
    /// All bands hold together with at least the confidence, by Bonferroni: each has 1 − (1 − confidence)/D.
    AllParameters,
}

/// What the bands of [`sbc_ecdf_with`] promise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EcdfConfig {
    /// The probability that a calibrated path stays inside, in (0, 1). Default 0.95.
    pub confidence: f64,
    /// Which parameters the confidence speaks about. Default: each by itself.
    pub family: Family,
}

impl Default for EcdfConfig {
    fn default() -> Self {
        Self { confidence: 0.95, family: Family::EachParameter }
    }
}

impl EcdfConfig {
    /// 95% for each parameter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the confidence, in (0, 1).
    #[must_use]
    pub fn with_confidence(self, confidence: f64) -> Self {
        Self { confidence, ..self }
    }

    /// Sets which parameters the confidence speaks about.
    #[must_use]
    pub fn with_family(self, family: Family) -> Self {
        Self { family, ..self }
    }
}

/// The verdict on one parameter.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EcdfVerdict {
    /// Whether the whole ECDF stays inside the band.
    pub inside: bool,
    /// The first rank at which it does not.
    pub first_exceedance: Option<usize>,
}

/// ECDFs of the ranks, one for each parameter, with their simultaneous band.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RankEcdfs {
    /// The parameters' names, D of them.
    pub names: ParameterNames,
    /// The band, and the K ranks at which it is evaluated.
    pub bands: EcdfBands,
    /// The number of ranks at or below each of the band's points, `[D, K]`.
    pub counts: Array2<usize>,
    /// One verdict for each parameter.
    pub verdicts: Vec<EcdfVerdict>,
}

impl RankEcdfs {
    /// Compares ranks with their band.
    ///
    /// # Errors
    /// If the confidence is not strictly between 0 and 1.
    pub fn new(ranks: &Ranks, config: EcdfConfig) -> Result<Self, RankError> {
        let d = ranks.names().len();
        check_confidence(config.confidence)?;
        let confidence = match config.family {
            Family::EachParameter => config.confidence,
            Family::AllParameters => 1.0 - (1.0 - config.confidence) / d as f64,
        };
        let bands = EcdfBands::new(ranks.num_data_sets(), ranks.num_draws(), confidence)?;
        let mut counts = Array2::zeros((d, bands.points().len()));
        for (parameter, mut counts) in counts.outer_iter_mut().enumerate() {
            counts.assign(&ArrayView1::from(&ranks.counts(parameter, bands.points())));
        }
        let verdicts = counts
            .outer_iter()
            .map(|counts| {
                let first = bands.first_exceedance(counts.iter().copied()).map(|index| bands.points()[index]);
                EcdfVerdict { inside: first.is_none(), first_exceedance: first }
            })
            .collect();
        Ok(Self { names: ranks.names().clone(), bands, counts, verdicts })
    }

    /// Whether every parameter stays inside its band.
    ///
    /// With [`Family::EachParameter`], D calibrated, independent parameters all do so only with probability
    /// confidence^D: 0.6% for D = 100 at 95%. For one verdict on many parameters, use [`Family::AllParameters`].
    #[must_use]
    pub fn all_inside(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.inside)
    }
}

/// ECDFs of the ranks against their 95% simultaneous band: a graphical test of calibration with one answer a parameter.
/// Ties, as of discrete parameters, are broken as [`Ranks`] says.
///
/// # Shapes
/// Draws `[M, L, D]`, truths `[M, D]`.
///
/// # Errors
/// If the truths do not fit the draws, an axis is empty, or a value is not finite.
///
/// ```
/// use bayesburn_core::Draws;
/// use ndarray::{Array2, Array3};
///
/// // Truths at every level of the same draws are as uniform as ranks can be.
/// let draws = Array3::from_shape_fn((100, 99, 1), |(_, l, _)| l as f32);
/// let truths = Array2::from_shape_fn((100, 1), |(m, _)| m as f32 - 0.5);
/// let draws = Draws::new(["mu".to_owned()].into(), draws)?;
/// assert!(bayesburn_diagnostics::sbc_ecdf(&draws, &truths)?.all_inside());
///
/// let biased = truths + 30.0;
/// let ecdfs = bayesburn_diagnostics::sbc_ecdf(&draws, &biased)?;
/// assert!(!ecdfs.all_inside());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sbc_ecdf(draws: &Draws, truths: &Array2<f32>) -> Result<RankEcdfs, RankError> {
    sbc_ecdf_with(draws, truths, EcdfConfig::default())
}

/// [`sbc_ecdf`] with another confidence, or with one confidence for all parameters together.
///
/// # Errors
/// As [`sbc_ecdf`], and if the confidence is not strictly between 0 and 1.
pub fn sbc_ecdf_with(draws: &Draws, truths: &Array2<f32>, config: EcdfConfig) -> Result<RankEcdfs, RankError> {
    RankEcdfs::new(&sbc_ranks(draws, truths)?, config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(num_draws: usize, columns: &[Vec<u32>]) -> Ranks {
        let names = (0..columns.len()).map(|i| format!("p{i}")).collect();
        let values = Array2::from_shape_fn((columns[0].len(), columns.len()), |(m, d)| columns[d][m]);
        Ranks::new(names, num_draws, values).expect("valid ranks")
    }

    #[test]
    fn counts_are_cumulative_and_verdicts_name_the_first_exceedance() {
        let uniform: Vec<u32> = (0..100).map(|m| m % 10).collect();
        let high: Vec<u32> = (0..100).map(|m| 5 + m % 5).collect();
        let ecdfs = RankEcdfs::new(&ranks(9, &[uniform, high]), EcdfConfig::new()).expect("valid");
        assert_eq!(ecdfs.counts.row(0).to_vec(), (1..10).map(|j| 10 * j).collect::<Vec<_>>());
        assert!(ecdfs.verdicts[0].inside);
        assert_eq!(ecdfs.verdicts[1], EcdfVerdict { inside: false, first_exceedance: Some(0) });
        assert!(!ecdfs.all_inside());
    }

    #[test]
    fn a_family_of_parameters_widens_the_band() {
        let column: Vec<u32> = (0..100).collect();
        let columns = vec![column; 10];
        let each = RankEcdfs::new(&ranks(99, &columns), EcdfConfig::new()).expect("valid");
        let config = EcdfConfig::new().with_family(Family::AllParameters);
        let all = RankEcdfs::new(&ranks(99, &columns), config).expect("valid");
        assert!((all.bands.confidence() - 0.995).abs() < 1e-12);
        assert!(all.bands.gamma() < each.bands.gamma());
    }
}
