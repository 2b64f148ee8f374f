//! Measures how much of a posterior lies where there are hardly any simulations.

use bayesburn_core::Simulations;
use ndarray::Array2;
use rayon::prelude::*;

/// Number of draws whose neighbourhoods are examined.
const LOOKED_AROUND: usize = 512;
/// Expected number of simulations in the ball around a draw if simulations follow the posterior; an empty ball then has
/// probability e⁻²⁰.
const EXPECTED: f64 = 20.0;
/// The fraction of these below which there are hardly any.
const HARDLY_ANY: f64 = 0.05;

/// The fraction of posterior draws `[L, D]` that simulations do not cover: a ball around each draw contains a known
/// number of other draws, and less than 5% of the simulations that a round of `round` simulations from the posterior
/// would have in it. 0 if a round has fewer than 40 simulations, too few to tell.
pub(crate) fn uncovered(draws: &Array2<f32>, simulations: &[&Simulations], round: usize) -> f64 {
    let (count, dim) = draws.dim();
    let neighbours = ((EXPECTED * count as f64 / round as f64).ceil() as usize).clamp(20.min(count - 1), count / 4);
    let expected = neighbours as f64 * round as f64 / count as f64;
    if expected < 0.5 * EXPECTED {
        return 0.0;
    }
    // Half the width between quantiles, which a few stray draws do not change.
    let scales: Vec<f32> = (0..dim).map(|d| spread(draws.column(d).to_vec())).collect();
    let scaled = |theta: &Array2<f32>| -> Vec<f32> {
        theta.outer_iter().flat_map(|row| row.iter().zip(&scales).map(|(x, s)| x / s).collect::<Vec<_>>()).collect()
    };
    let own = scaled(draws);
    let simulated: Vec<Vec<f32>> = simulations.iter().map(|part| scaled(&part.parameters)).collect();
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let looked_around = LOOKED_AROUND.min(count);
    let is_uncovered = |at: &[f32]| {
        let mut distances: Vec<f32> = own.chunks_exact(dim).map(|other| distance(at, other)).collect();
        // One of them is the draw itself.
        let (_, radius, _) = distances.select_nth_unstable_by(neighbours, f32::total_cmp);
        let inside = |part: &Vec<f32>| part.chunks_exact(dim).filter(|theta| distance(at, theta) <= *radius).count();
        (simulated.iter().map(inside).sum::<usize>() as f64) < HARDLY_ANY * expected
    };
    let all: Vec<&[f32]> = own.chunks_exact(dim).take(looked_around).collect();
    all.into_par_iter().filter(|at| is_uncovered(at)).count() as f64 / looked_around as f64
}

/// The interquartile range, or the whole range if that is 0.
fn spread(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    let last = values.len() - 1;
    let between = |low: usize, high: usize| values[high] - values[low];
    let spread = between(last / 4, last - last / 4);
    let spread = if spread > 0.0 { spread } else { between(0, last) };
    if spread > 0.0 { spread } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayesburn_core::{Purpose, stream};
    use ndarray::{Array1, Axis, concatenate};
    use rand::RngExt;
    use rand_distr::StandardNormal;

    /// Of a standard normal in D dimensions, `far` of them beside it by ten standard deviations.
    fn normal(index: u64, rows: usize, dim: usize, far: usize) -> Array2<f32> {
        let mut rng = stream(1, const { Purpose::new("coverage tests") }, index);
        Array2::from_shape_fn((rows, dim), |(row, d)| {
            let shift = if row % rows.div_ceil(far.max(1)).max(1) == 0 && far > 0 && d == 0 { 10.0 } else { 0.0 };
            shift + rng.sample::<f32, _>(StandardNormal)
        })
    }

    fn share(draws: &Array2<f32>, parts: &[Array2<f32>], round: usize) -> f64 {
        let parts = parts.iter().map(|theta| {
            let names: Vec<String> = (0..theta.ncols()).map(|d| d.to_string()).collect();
            let data = Array1::zeros(theta.nrows()).insert_axis(Axis(1)).into_dyn();
            Simulations::new(names.into_iter().collect(), theta.clone(), data).expect("as many rows")
        });
        let parts: Vec<Simulations> = parts.collect();
        uncovered(draws, &parts.iter().collect::<Vec<_>>(), round)
    }

    /// n = 512 of 2,048 draws, and rounds of 200 and 1,000 simulations. A draw without a simulation around it has a
    /// probability of e⁻²⁰ where simulations are from the posterior, whose standard deviation may be off by 30%.
    /// Twins: a tenth of the draws lies elsewhere, and has no simulation, or five of a thousand from the prior.
    #[test]
    fn stray_draws_are_uncovered_and_others_are_not() {
        for dim in [1, 2, 5, 10] {
            for round in [200, 1000] {
                let draws = normal(1, 2048, dim, 0);
                for scale in [0.7f32, 1.0, 1.3] {
                    let simulations = normal(2, round, dim, 0) * scale;
                    let got = share(&draws, &[simulations], round);
                    assert!(got < 0.05, "{dim} dimensions, {round} simulations × {scale}: {got}");
                }
                let stray = normal(3, 2048, dim, 205);
                let got = share(&stray, &[normal(4, round, dim, 0)], round);
                assert!((0.07..0.2).contains(&got), "{dim} dimensions, {round} simulations: {got}");
            }
        }
        let stray = normal(3, 2048, 2, 205);
        let prior = Array2::from_shape_fn((5, 2), |(row, d)| if d == 0 { 9.0 + row as f32 } else { row as f32 - 2.0 });
        let round = concatenate(Axis(0), &[normal(4, 1000, 2, 0).view(), prior.view()]).expect("of one width");
        let got = share(&stray, &[round], 1000);
        assert!(got > 0.05, "a few from the prior: {got}");
        assert!(
            share(&stray, &[normal(4, 900, 2, 0), normal(5, 100, 2, 100)], 1000) < 0.05,
            "covered by another round"
        );
    }
}
