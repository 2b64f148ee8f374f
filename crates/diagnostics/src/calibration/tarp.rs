//! Tests coverage by balls around random points, from draws alone.

use super::RankError;
use super::{
    ecdf::{EcdfConfig, RankEcdfs},
    quantities::distance_ranks,
    ranks::Ranks,
    uniformity::RankTests,
};
use crate::checks::check_draws_and_truths;
use crate::{InputError, Result};
use bayesburn_core::{Draws, Purpose, stream};
use ndarray::{Array2, Axis};
use rand::RngExt;

/// Tests of accuracy with random points.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Tarp {
    /// For each data set, how many draws are nearer to its reference than the truth is.
    pub ranks: Ranks,
    /// The ECDF of these ranks is the expected coverage over credibility; with its 95% band.
    pub ecdfs: RankEcdfs,
    /// Tests of the ranks.
    pub tests: RankTests,
    /// The area between expected coverage and credibility above 1/2, `ATC` in sbi: above 0 if posteriors are too wide,
    /// below 0 if they are too narrow or biased, 1/8 at most.
    pub area_to_curve: f64,
}

/// Tests of accuracy with random points (TARP): Lemos et al., *Sampling-based accuracy testing of posterior estimators
/// for general inference*, 2023.
///
/// A ball around a random reference with the truth on its surface holds a share of the posterior that is uniform on [0,
/// 1] if the posterior is exact. The references are uniform between the least and the greatest value of each parameter,
/// of truths and draws together, and distances count parameters in units of that range.
///
/// Draws of the prior, whatever the data, pass too: references that depend on the data, for
/// [`distance_ranks`](crate::distance_ranks), would see that.
///
/// # Shapes
/// Draws `[M, L, D]`, truths `[M, D]`.
///
/// # Errors
/// If the truths do not fit the draws, an axis is empty, a value is not finite, or a parameter is the same everywhere.
///
/// ```
/// use bayesburn_core::{Draws, Purpose, stream};
/// use ndarray::{Array2, Array3};
/// use rand::RngExt;
/// use rand_distr::StandardNormal;
///
/// let mut rng = stream(1, Purpose::new("example of tarp"), 0);
/// let mut normal = || -> f32 { rng.sample(StandardNormal) };
/// let truths = Array2::from_shape_simple_fn((200, 2), &mut normal);
/// let draws = Array3::from_shape_simple_fn((200, 99, 2), || 0.3 * normal());
/// let draws = Draws::new(["a".to_owned(), "b".to_owned()].into(), draws)?;
/// let tarp = bayesburn_diagnostics::tarp(&draws, &truths, 1)?;
/// assert!(tarp.tests.gamma[0].p_value < 1e-4 && tarp.area_to_curve < -0.02); // far too narrow
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tarp(draws: &Draws, truths: &Array2<f32>, seed: u64) -> Result<Tarp, RankError> {
    check_draws_and_truths(draws, truths)?;
    // Of truths and draws together: an outermost truth would otherwise be at the end of its own range, and its rank not
    // uniform.
    let range = |i: usize| {
        let all = draws.values();
        let column = all.index_axis(Axis(2), i);
        let column = truths.column(i).into_iter().chain(column.iter());
        let ends = column.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
        (f64::from(ends.0), f64::from(ends.1))
    };
    let ranges: Vec<(f64, f64)> = (0..truths.ncols()).map(range).collect();
    if let Some(constant) = ranges.iter().position(|(low, high)| low == high) {
        return Err(InputError::ConstantParameter { name: draws.names()[constant].clone() }.into());
    }
    let mut rng = stream(seed, Purpose::new("references of tarp"), 0);
    let references = Array2::from_shape_fn(truths.dim(), |(_, i)| {
        let (low, high) = ranges[i];
        (low + (high - low) * rng.random::<f64>()) as f32
    });
    let scales: Vec<f64> = ranges.iter().map(|(low, high)| high - low).collect();
    Tarp::new(distance_ranks(draws, truths, &references, &scales)?, seed)
}

impl Tarp {
    /// From the ranks of distances to references of one's choice. `seed` is that of what the tests have of chance, and
    /// of how ties are broken.
    ///
    /// # Errors
    /// None for ranks that exist.
    pub fn new(ranks: Ranks, seed: u64) -> Result<Self, RankError> {
        let ranks = ranks.with_ties_broken(seed);
        // Of (rank + ½) / (L + 1) = u, the area between an ECDF and the diagonal above ½ is the mean of 1 − max(u, ½),
        // less 3/8.
        let cells = (ranks.num_draws() + 1) as f64;
        let u = ranks.values().column(0).mapv(|rank| (f64::from(rank) + 0.5) / cells);
        let area_to_curve = u.mapv(|u| 1.0 - u.max(0.5)).sum() / u.len() as f64 - 0.375;
        let ecdfs = RankEcdfs::new(&ranks, EcdfConfig::new())?;
        Ok(Self { tests: RankTests::new(&ranks, seed)?, ecdfs, ranks, area_to_curve })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_match_hand_computed_values() {
        let area = |ranks: Vec<u32>| {
            let values = Array2::from_shape_vec((ranks.len(), 1), ranks).expect("one column");
            let ranks = Ranks::new(["distance".to_owned()].into(), 9, values).expect("valid ranks");
            Tarp::new(ranks, 1).expect("valid").area_to_curve
        };
        // Each rank once: 0.5 from five, then 0.45, 0.35, 0.25, 0.15, 0.05; a mean of 0.375.
        assert!(area((0..10).collect()).abs() < 1e-12);
        // All in the middle: 0.5 and 0.45.
        assert!((area(vec![4, 5]) - 0.1).abs() < 1e-12);
        assert!((area(vec![0, 9]) - (0.275 - 0.375)).abs() < 1e-12);
    }

    #[test]
    fn constant_parameters_are_refused() {
        let draws = Draws::new(["a".to_owned()].into(), ndarray::Array3::zeros((2, 3, 1))).expect("one name");
        assert!(tarp(&draws, &Array2::zeros((2, 1)), 1).expect_err("constant").to_string().contains("`a` is the same"));
    }
}
