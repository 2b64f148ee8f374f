//! Counts, for each data set and parameter, the draws below the truth, and breaks ties: the one place that ranks.

use super::RankError;
use crate::checks::{at_least, check_draws_and_truths};
use crate::{Extent, InputError, Result};
use bayesburn_core::{Draws, ParameterNames, Purpose, stream};
use ndarray::{Array2, ArrayView1, Axis};
use rand::RngExt;
use rayon::prelude::*;

/// Ranks of the truths among their draws: what simulation-based calibration (SBC) judges.
///
/// If the posterior is exact, each rank is uniform on {0, …, L}: Talts et al., *Validating Bayesian inference
/// algorithms with simulation-based calibration*, 2018, theorem 1. For parameters that are discrete, lie on a bound, or
/// differ by less than f32 resolves, this holds if ties are broken at random: a truth that equals t draws takes each of
/// the t + 1 places among them with the same probability. All functions that return ranks break ties. The stream of a
/// data set depends on its place and on its counts alone, so that results repeat; [`Ranks::with_ties_broken`] breaks
/// ties by a seed. Without ties there is nothing random in ranks.
///
/// Tests of ranks need independent draws for different data sets: see the crate's documentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranks {
    names: ParameterNames,
    num_draws: usize,
    /// With ties broken.
    values: Array2<u32>,
    /// How many draws are below the truth.
    below: Array2<u32>,
    /// How many draws are equal to the truth.
    ties: Array2<u32>,
}

impl Ranks {
    /// Ranks `[M, D]` that were counted elsewhere, each in 0..=`num_draws`, with any ties broken.
    ///
    /// # Errors
    /// If an axis is empty, the number of names is not D, or a rank exceeds `num_draws`.
    pub fn new(names: ParameterNames, num_draws: usize, values: Array2<u32>) -> Result<Self, RankError> {
        let ties = Array2::zeros(values.dim());
        Self::counted(names, num_draws, values, ties)
    }

    /// From the numbers of draws below each truth and equal to it, `[M, D]` each.
    pub(crate) fn counted(
        names: ParameterNames,
        num_draws: usize,
        below: Array2<u32>,
        ties: Array2<u32>,
    ) -> Result<Self, RankError> {
        let (m, d) = below.dim();
        if names.len() != d {
            return Err(InputError::Names { expected: names.len(), got: d }.into());
        }
        at_least(Extent::DataSets, 1, m)?;
        at_least(Extent::Draws, 1, num_draws)?;
        at_least(Extent::Parameters, 1, d)?;
        match below.indexed_iter().find(|(_, rank)| **rank as usize > num_draws) {
            None => Ok(Self { names, num_draws, values: broken(&below, &ties, seed_of), below, ties }),
            Some(((data_set, parameter), &got)) => Err(RankError::Rank { data_set, parameter, num_draws, got }),
        }
    }

    /// The same ranks with ties broken by a seed. The result has no ties left: tests of it use these ranks, whatever
    /// their own seed.
    #[must_use]
    pub fn with_ties_broken(&self, seed: u64) -> Self {
        let values = broken(&self.below, &self.ties, |_, _| seed);
        Self { below: values.clone(), ties: Array2::zeros(values.dim()), values, ..self.clone() }
    }

    /// The ranks of some parameters, with ties broken as in all of them.
    #[cfg(feature = "plots")]
    pub(crate) fn of_parameters(&self, parameters: &[usize]) -> Self {
        let of = |all: &Array2<u32>| all.select(Axis(1), parameters);
        let names = parameters.iter().map(|&i| self.names[i].clone()).collect();
        let (values, below, ties) = (of(&self.values), of(&self.below), of(&self.ties));
        Self { names, num_draws: self.num_draws, values, below, ties }
    }

    /// For each data set, the interval on which the probability integral transform of one parameter's truth is uniform,
    /// given the draws: from r / (L + 1) to (r + t + 1) / (L + 1), with r draws below the truth and t equal to it. Over
    /// all data sets of an exact posterior, the transform is uniform on [0, 1].
    pub(crate) fn parts(&self, parameter: usize) -> impl Iterator<Item = (f64, f64)> {
        let cells = (self.num_draws + 1) as f64;
        let part = move |(&below, &ties): (&u32, &u32)| {
            (f64::from(below) / cells, (f64::from(below) + f64::from(ties) + 1.0) / cells)
        };
        self.below.column(parameter).into_iter().zip(self.ties.column(parameter)).map(part)
    }

    /// The ranks of some data sets, in this order.
    pub(crate) fn of_data_sets(&self, data_sets: &[usize]) -> Self {
        let of = |all: &Array2<u32>| all.select(Axis(0), data_sets);
        let (values, below, ties) = (of(&self.values), of(&self.below), of(&self.ties));
        Self { names: self.names.clone(), num_draws: self.num_draws, values, below, ties }
    }

    /// The parameters' names.
    #[must_use]
    pub fn names(&self) -> &ParameterNames {
        &self.names
    }

    /// L, the number of draws and the largest possible rank.
    #[must_use]
    pub fn num_draws(&self) -> usize {
        self.num_draws
    }

    /// M, the number of data sets.
    #[must_use]
    pub fn num_data_sets(&self) -> usize {
        self.values.nrows()
    }

    /// The ranks, `[M, D]`.
    #[must_use]
    pub fn values(&self) -> &Array2<u32> {
        &self.values
    }

    /// How often each rank 0..=L occurs for one parameter.
    ///
    /// # Panics
    /// If there is no such parameter.
    #[must_use]
    pub fn frequencies(&self, parameter: usize) -> Vec<usize> {
        let mut frequencies = vec![0; self.num_draws + 1];
        for &rank in self.values.column(parameter) {
            frequencies[rank as usize] += 1;
        }
        frequencies
    }

    /// How many ranks of one parameter are at or below each of some ranks, which increase.
    pub(crate) fn counts(&self, parameter: usize, points: &[usize]) -> Vec<usize> {
        let mut below = self.frequencies(parameter);
        for rank in 1..below.len() {
            below[rank] += below[rank - 1];
        }
        points.iter().map(|&point| below[point]).collect()
    }
}

/// Puts each truth in one of the t + 1 places among the t draws that it equals. The seed of a data set is a function of
/// its counts.
fn broken(
    below: &Array2<u32>,
    ties: &Array2<u32>,
    seed: impl Fn(ArrayView1<'_, u32>, ArrayView1<'_, u32>) -> u64,
) -> Array2<u32> {
    let mut values = below.clone();
    for (data_set, (mut ranks, ties)) in values.outer_iter_mut().zip(ties.outer_iter()).enumerate() {
        let mut rng = stream(seed(ranks.view(), ties), Purpose::new("ties of ranks"), data_set as u64);
        ranks.iter_mut().zip(ties).for_each(|(rank, &ties)| *rank += rng.random_range(0..=ties));
    }
    values
}

/// A seed made of a data set's own counts. With one seed for all data, some numbers of data sets would be unlucky:
/// checks of binary parameters at a level of 5% failed up to 15% of exact posteriors together, and others hardly any.
fn seed_of(below: ArrayView1<'_, u32>, ties: ArrayView1<'_, u32>) -> u64 {
    let mixed = |seed: u64, &count: &u32| (seed ^ u64::from(count)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    below.iter().chain(ties).fold(0, mixed)
}

/// Ranks each truth among its draws: `rank = #{draws < truth}`, in 0..=L, and with ties broken at random as [`Ranks`]
/// says.
///
/// # Shapes
/// Draws `[M, L, D]` and truths `[M, D]` give ranks `[M, D]`. One pass over the draws, parallel over data sets.
///
/// # Errors
/// If the truths do not fit the draws, an axis is empty, or a value is not finite.
///
/// ```
/// use bayesburn_core::Draws;
/// use ndarray::{array, Array2};
///
/// let names = ["mu".to_owned()].into();
/// let draws = Draws::new(names, array![[[0.1], [0.7], [0.4]]])?;
/// let ranks = bayesburn_diagnostics::sbc_ranks(&draws, &array![[0.5]])?;
/// assert_eq!(ranks.values(), &array![[2]]); // 0.1 and 0.4 lie below 0.5
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sbc_ranks(draws: &Draws, truths: &Array2<f32>) -> Result<Ranks, RankError> {
    check_draws_and_truths(draws, truths)?;
    let (m, d) = truths.dim();
    let mut counts = vec![[0; 2]; m * d];
    counts.par_chunks_mut(d).enumerate().for_each(|(data_set, counts)| {
        let (draws, truths) = (draws.data_set(data_set), truths.row(data_set).to_vec());
        for draw in draws.outer_iter() {
            for ((count, x), truth) in counts.iter_mut().zip(draw).zip(&truths) {
                count[0] += u32::from(x < truth);
                count[1] += u32::from(x == truth);
            }
        }
    });
    let counted =
        |which: usize| Array2::from_shape_fn((m, d), |(data_set, parameter)| counts[data_set * d + parameter][which]);
    Ranks::counted(draws.names().clone(), draws.num_draws(), counted(0), counted(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn names(d: usize) -> ParameterNames {
        (0..d).map(|i| format!("p{i}")).collect()
    }

    #[test]
    fn ranks_match_a_sort() {
        // Values from a fixed linear congruence; no two are equal to a truth.
        let (m, l, d) = (7, 31, 3);
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0
        };
        let values = Array3::from_shape_simple_fn((m, l, d), &mut next);
        let truths = Array2::from_shape_simple_fn((m, d), &mut next);
        let ranks = sbc_ranks(&Draws::new(names(d), values.clone()).expect("names fit"), &truths).expect("valid");
        for ((i, j), &rank) in ranks.values().indexed_iter() {
            let mut sorted: Vec<f32> = (0..l).map(|draw| values[[i, draw, j]]).collect();
            sorted.sort_by(f32::total_cmp);
            assert_eq!(rank as usize, sorted.partition_point(|x| *x < truths[[i, j]]));
        }
    }

    #[test]
    fn extremes_reach_zero_and_l_and_ties_are_in_between() {
        let draws = Draws::new(names(2), Array3::zeros((3, 4, 2))).expect("two names");
        let ranks = sbc_ranks(&draws, &array![[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]).expect("valid");
        assert_eq!((ranks.below.column(0).to_vec(), ranks.ties.column(0).to_vec()), (vec![0, 0, 4], vec![0, 4, 0]));
        assert_eq!([ranks.values()[[0, 0]], ranks.values()[[2, 0]]], [0, 4]);
        assert_eq!(ranks.frequencies(1).iter().sum::<usize>(), 3);
        assert_eq!(ranks.parts(0).collect::<Vec<_>>(), [(0.0, 0.2), (0.0, 1.0), (0.8, 1.0)]);
    }

    #[test]
    fn broken_ties_fill_all_places() {
        let draws = Draws::new(names(1), Array3::zeros((2000, 3, 1))).expect("one name");
        let ranks = sbc_ranks(&draws, &Array2::zeros((2000, 1))).expect("valid");
        // 500 each, with a standard deviation of 19.
        for ranks in [&ranks, &ranks.with_ties_broken(1)] {
            let frequencies = ranks.frequencies(0);
            assert!(frequencies.iter().all(|&count| count.abs_diff(500) < 80), "{frequencies:?}");
        }
        let broken = ranks.with_ties_broken(1);
        assert_eq!(broken, broken.with_ties_broken(2), "none is left");
        assert_ne!(broken.values(), ranks.values());
    }

    /// 500 truths that are equal to 1,000 draws, and to 999: the correlation of their places has a standard error of
    /// 0.045, and 4 of them are allowed (alpha 6e-5). The twin are the places by one seed.
    #[test]
    fn unrelated_data_have_ties_broken_independently() {
        let ranks = |l: usize| {
            let draws = Draws::new(names(1), Array3::zeros((500, l, 1))).expect("one name");
            sbc_ranks(&draws, &Array2::zeros((500, 1))).expect("valid")
        };
        let places = |ranks: Ranks| ranks.values().iter().map(|&rank| f64::from(rank)).collect::<Vec<f64>>();
        let correlation = |a: Ranks, b: Ranks| crate::moments::correlation(places(a).into_iter().zip(places(b)));
        assert!(correlation(ranks(1000), ranks(999)).abs() < 0.18);
        assert!(correlation(ranks(1000).with_ties_broken(1), ranks(999).with_ties_broken(1)) > 0.9);
    }

    #[test]
    fn impossible_ranks_are_refused() {
        let error = Ranks::new(names(2), 9, array![[1, 2], [3, 10]]).expect_err("10 of 9").to_string();
        assert!(error.contains("rank 10 for data set 1, parameter 1") && error.contains("0..=9"), "{error}");
        assert!(matches!(Ranks::new(names(1), 9, array![[1, 2]]), Err(RankError::Input(InputError::Names { .. }))));
    }
}
