//! Tests whether appended parameters look like draws from their stated distribution.

use crate::pairs::Appended;
use bayesburn_core::ParameterNames;
use ndarray::{Array2, ArrayView1, Axis};
use std::collections::{BTreeMap, HashSet};

/// The false-alarm probability of all comparisons of a training together.
const ALPHA: f64 = 1e-4;
/// The largest number of rows compared, of parameters and of draws; enough to detect a distance of 0.04.
pub(crate) const MOST_ROWS: usize = 10_000;
/// The largest number of pairs of parameters compared.
const MOST_PAIRS: usize = 120;

/// Appended parameters that should follow the prior, and those that should follow this round's proposal, by call; small
/// calls of a round are pooled.
pub(crate) fn samples(appended: &[Appended], round: usize) -> [Vec<Array2<f32>>; 2] {
    const SMALL: usize = 100;
    let (mut large, mut small) = ([Vec::new(), Vec::new()], BTreeMap::new());
    for part in appended.iter().filter(|part| part.is_of_prior || part.round == round) {
        let Some(parameters) = &part.foreign else { continue };
        let kind = usize::from(!part.is_of_prior);
        if parameters.nrows() < SMALL {
            let together = small.entry((kind, part.round)).or_insert_with(|| Array2::zeros((0, parameters.ncols())));
            together.append(Axis(0), parameters.view()).expect("rows of one width");
        } else {
            large[kind].push(parameters.clone());
        }
    }
    small.into_iter().for_each(|((kind, _), parameters)| large[kind].push(parameters));
    large
}

/// A description of how parameters `[M, D]` differ from draws `[K, D]`, if they do, as one of several comparisons.
///
/// The test uses Kolmogorov-Smirnov distances of each parameter, and of the sum of ranks of each pair of parameters,
/// which is sensitive to their dependence. Ranks are taken in the pooled sample, so that the test is valid for any
/// distribution, including discrete ones. The bound is that of Dvoretzky, Kiefer and Wolfowitz for two samples (Wei &
/// Dudley 2012), e exp(−2 d² M K / (M + K)), for all distances together.
pub(crate) fn difference(
    names: &ParameterNames,
    parameters: &Array2<f32>,
    draws: &Array2<f32>,
    comparisons: usize,
) -> Option<String> {
    if parameters.is_empty() {
        return None;
    }
    let dim = names.len();
    let pairs: Vec<(usize, usize)> = (0..dim).flat_map(|i| (0..i).map(move |j| (j, i))).take(MOST_PAIRS).collect();
    // Rows drawn with replacement from a table count once each, unless equal rows are to be expected.
    let parameters = if recur(draws) { spread(parameters) } else { spread(&different(parameters)) };
    let column = |of: &Array2<f32>, d: usize| of.column(d).iter().copied().map(f64::from).collect();
    let scores: Vec<[Vec<f64>; 2]> = (0..dim).map(|d| mid_ranks([column(&parameters, d), column(draws, d)])).collect();
    let [m, k] = [&parameters, draws].map(|rows| rows.nrows() as f64);
    let tests = (comparisons * (dim + pairs.len())) as f64;
    let bound = ((tests * std::f64::consts::E / ALPHA).ln() * (m + k) / (2.0 * m * k)).sqrt();
    let alone = (0..dim).map(|d| (distance(&scores[d]), format!("`{}` does", names[d])));
    let together = pairs.iter().map(|&(i, j)| {
        let sum = |of: usize| scores[i][of].iter().zip(&scores[j][of]).map(|(a, b)| a + b).collect();
        (distance(&[sum(0), sum(1)]), format!("`{}` and `{}` together do", names[i], names[j]))
    });
    let (worst, what) = alone.chain(together).max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (worst > bound).then(|| {
        format!("{what} not, by a Kolmogorov-Smirnov distance of {worst:.2} where {bound:.2} is likely by chance")
    })
}

/// Evenly spaced rows, if there are more than can be compared.
fn spread(rows: &Array2<f32>) -> Array2<f32> {
    let count = rows.nrows().min(MOST_ROWS);
    let chosen: Vec<usize> = (0..count).map(|i| i * rows.nrows() / count).collect();
    rows.select(Axis(0), &chosen)
}

/// The mid-rank of each value in the pooled sample.
fn mid_ranks(samples: [Vec<f64>; 2]) -> [Vec<f64>; 2] {
    let mut all: Vec<f64> = samples.concat();
    all.sort_by(f64::total_cmp);
    samples.map(|sample| {
        let rank = |value: f64| all.partition_point(|x| *x < value) + all.partition_point(|x| *x <= value);
        sample.into_iter().map(|value| rank(value) as f64).collect()
    })
}

/// The Kolmogorov-Smirnov distance: the largest difference of two empirical distribution functions.
fn distance(samples: &[Vec<f64>; 2]) -> f64 {
    let sorted = samples.each_ref().map(|sample| {
        let mut sorted = sample.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    });
    let share = |of: &[f64], value: f64| of.partition_point(|x| *x <= value) as f64 / of.len() as f64;
    let at = |value: &f64| (share(&sorted[0], *value) - share(&sorted[1], *value)).abs();
    sorted.iter().flatten().map(at).fold(0.0, f64::max)
}

/// Whether draws repeat, as integers do. Then equal simulations need not be copies.
pub(crate) fn recur(draws: &Array2<f32>) -> bool {
    10 * different(draws).nrows() < 9 * draws.nrows()
}

/// The rows that are not equal to an earlier one.
fn different(rows: &Array2<f32>) -> Array2<f32> {
    let mut seen = HashSet::new();
    let bits = |row: ArrayView1<'_, f32>| row.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    let first: Vec<usize> = (0..rows.nrows()).filter(|&i| seen.insert(bits(rows.row(i)))).collect();
    rows.select(Axis(0), &first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayesburn_simulation::{Prior, Univariate};
    use ndarray::{arr2, s};

    fn normal(std: f64, correlation: f64) -> Prior {
        let covariance = arr2(&[[std * std, correlation * std], [correlation * std, 1.0]]);
        Prior::multivariate_normal(["a", "b"], &[0.0; 2], &covariance).expect("a covariance")
    }

    fn differs(parameters: &Array2<f32>, prior: &Prior) -> Option<String> {
        difference(prior.names(), parameters, &prior.sample(MOST_ROWS, 0).expect("it draws"), 1)
    }

    /// 600 samples of n from 10 to 2,000 from the prior itself, continuous and of whole numbers: at alpha = 1e-4 for
    /// each, 2 or more differ with a probability of 0.002. The twins: a standard deviation of 0.6, a mean of half a
    /// deviation, a correlation of 0.5, each of n = 1,000.
    #[test]
    fn draws_of_the_prior_do_not_differ_and_others_do() {
        let whole = Prior::from_fn(["a", "b"], |rng, _| {
            let count = Univariate::exponential(0.3).expect("settings").sample(rng).floor();
            [count, count % 2.0]
        });
        let mut alarms = 0;
        for seed in 1..=100 {
            for prior in [normal(1.0, 0.3), whole.clone()] {
                let draws = prior.sample(2000, seed).expect("it draws");
                alarms += [10, 100, 2000]
                    .iter()
                    .filter(|n| differs(&draws.slice(s![..**n, ..]).to_owned(), &prior).is_some())
                    .count();
            }
        }
        assert!(alarms < 2, "{alarms}");
        let prior = normal(1.0, 0.0);
        let sample = |prior: &Prior| prior.sample(1000, 7).expect("it draws");
        let narrow = differs(&sample(&normal(0.6, 0.0)), &prior).expect("the twin of another width");
        assert!(narrow.contains("`a` does not"), "{narrow}");
        let moved = Prior::multivariate_normal(["a", "b"], &[0.0, 0.5], &arr2(&[[1.0, 0.0], [0.0, 1.0]]));
        let moved = differs(&sample(&moved.expect("a covariance")), &prior).expect("the twin of another mean");
        assert!(moved.contains("`b` does not"), "{moved}");
        let together = differs(&sample(&normal(1.0, 0.5)), &prior).expect("the twin of dependent parameters");
        assert!(together.contains("`a` and `b` together do not"), "{together}");
        assert!(recur(&whole.sample(1000, 1).expect("it draws")) && !recur(&sample(&prior)));
    }
}
