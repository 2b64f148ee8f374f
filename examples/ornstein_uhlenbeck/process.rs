//! Simulates an Ornstein–Uhlenbeck process at irregular times, and computes its exact posterior on a grid, in f64.

use crate::common::grid::Exact;
use bayesburn::{
    core::{Purpose, stream},
    prelude::*,
};
use std::f64::consts::TAU;

/// Name, mean and standard deviation of the priors, which are normal.
pub(crate) const PRIORS: [(&str, f64, f64); 3] = [("mean", 0.0, 1.0), ("log_rate", -0.7, 0.5), ("log_sd", 0.0, 0.3)];

/// ln of the time before the first observation. After so long, nothing is left of any earlier value: the first
/// observation has the stationary distribution.
const LOG_LONG_AGO: f64 = 6.9;

/// A series of 20 to 200 observations `[N, 3]`: ln of the time since the previous observation, that observation, and
/// this one. Typical intervals are 1; one in ten is a gap, typically 10.
pub(crate) fn simulate(rng: &mut StreamRng, theta: &[f32]) -> Array2<f32> {
    let [mean, log_rate, log_sd] = [theta[0], theta[1], theta[2]].map(f64::from);
    let (rate, sd) = (log_rate.exp(), log_sd.exp());
    let mut series = Array2::zeros((rng.random_range(20..=200), 3));
    let (mut log_interval, mut previous) = (LOG_LONG_AGO, 0.0);
    for mut row in series.outer_iter_mut() {
        let (persistence, variance) = transition(rate, log_interval);
        let noise = sd * variance.sqrt() * rng.sample::<f64, _>(StandardNormal);
        let x = mean + (previous - mean) * persistence + noise;
        row.assign(&arr1(&[log_interval, previous, x].map(|value| value as f32)));
        let typical: f64 = if rng.random_bool(0.1) { 10.0 } else { 1.0 };
        (log_interval, previous) = (typical.ln() + 0.5 * rng.sample::<f64, _>(StandardNormal), x);
    }
    series
}

/// e^−κΔ, and the variance of an observation given the previous one, relative to the stationary variance.
fn transition(rate: f64, log_interval: f64) -> (f64, f64) {
    let persistence = (-rate * log_interval.exp()).exp();
    (persistence, 1.0 - persistence * persistence)
}

/// Points of the grid in each of ln κ and ln s, over 5 prior standard deviations to both sides. The narrowest
/// posteriors have a standard deviation of about three cells.
const POINTS: usize = 201;

/// Sums over a series that determine its likelihood, for one κ. An observation has the residual a − b μ and the
/// variance u s²; the sums are Σ a²/u, Σ a b/u, Σ b²/u and Σ ln u.
#[derive(Default)]
struct Sums {
    aa: f64,
    ab: f64,
    bb: f64,
    log_u: f64,
}

/// The normal posterior of μ given κ and s.
struct GivenScales {
    mean: f64,
    sd: f64,
    /// ln p(x | κ, s), with μ integrated out.
    log_evidence: f64,
}

impl Sums {
    fn new(series: &[[f64; 3]], log_rate: f64) -> Self {
        let rate = log_rate.exp();
        let mut sums = Self::default();
        for [log_interval, previous, x] in series {
            let (persistence, u) = transition(rate, *log_interval);
            let (a, b) = (x - persistence * previous, 1.0 - persistence);
            sums.aa += a * a / u;
            sums.ab += a * b / u;
            sums.bb += b * b / u;
            sums.log_u += u.ln();
        }
        sums
    }

    fn given(&self, n: usize, log_sd: f64) -> GivenScales {
        let (_, prior_mean, prior_sd) = PRIORS[0];
        let (variance, prior_precision) = ((2.0 * log_sd).exp(), prior_sd.powi(-2));
        let precision = prior_precision + self.bb / variance;
        let mean = (prior_precision * prior_mean + self.ab / variance) / precision;
        let squares = self.aa / variance + prior_precision * prior_mean * prior_mean - precision * mean * mean;
        let log_scales = n as f64 * (TAU.ln() + 2.0 * log_sd) + self.log_u;
        let log_evidence = -0.5 * (log_scales + squares + (precision / prior_precision).ln());
        GivenScales { mean, sd: precision.sqrt().recip(), log_evidence }
    }
}

fn log_normal(x: f64, mean: f64, sd: f64) -> f64 {
    let z = (x - mean) / sd;
    -0.5 * (z * z + TAU.ln()) - sd.ln()
}

/// ln of the prior density of ln κ and ln s.
fn log_prior(log_rate: f64, log_sd: f64) -> f64 {
    let [_, (_, rate_mean, rate_sd), (_, sd_mean, sd_sd)] = PRIORS;
    log_normal(log_rate, rate_mean, rate_sd) + log_normal(log_sd, sd_mean, sd_sd)
}

/// One cell of the grid.
struct Cell {
    weight: f64,
    /// The mean of μ given the others, and ln κ and ln s in the middle of the cell.
    point: [f64; 3],
    /// The standard deviation of μ given the others.
    sd: f64,
}

/// The posterior of one series.
struct Posterior {
    cells: Vec<Cell>,
    total: f64,
    /// The highest log weight, by which all weights are divided.
    highest: f64,
    /// Sizes of a cell in ln κ and in ln s.
    cell: [f64; 2],
}

impl Posterior {
    fn new(series: &[[f64; 3]]) -> Self {
        let cell = [1, 2].map(|d: usize| 10.0 * PRIORS[d].2 / (POINTS - 1) as f64);
        let axis = |d: usize, i: usize| PRIORS[d].1 - 5.0 * PRIORS[d].2 + cell[d - 1] * i as f64;
        let mut cells = Vec::with_capacity(POINTS * POINTS);
        for log_rate in (0..POINTS).map(|i| axis(1, i)) {
            let sums = Sums::new(series, log_rate);
            for log_sd in (0..POINTS).map(|j| axis(2, j)) {
                let GivenScales { mean, sd, log_evidence } = sums.given(series.len(), log_sd);
                let weight = log_evidence + log_prior(log_rate, log_sd);
                cells.push(Cell { weight, point: [mean, log_rate, log_sd], sd });
            }
        }
        let highest = cells.iter().fold(f64::NEG_INFINITY, |most, cell| most.max(cell.weight));
        cells.iter_mut().for_each(|cell| cell.weight = (cell.weight - highest).exp());
        Self { total: cells.iter().map(|cell| cell.weight).sum(), cells, highest, cell }
    }

    fn mean_and_sd(&self) -> [(f64, f64); 3] {
        [0, 1, 2].map(|d| {
            let average = |of: &dyn Fn(&Cell) -> f64| {
                self.cells.iter().map(|cell| cell.weight * of(cell)).sum::<f64>() / self.total
            };
            let mean = average(&|cell| cell.point[d]);
            let variance = average(&|cell| {
                let inner = if d == 0 { cell.sd * cell.sd } else { 0.0 };
                (cell.point[d] - mean).powi(2) + inner
            });
            (mean, variance.sqrt())
        })
    }

    /// ln p(θ | x).
    fn log_prob(&self, series: &[[f64; 3]], [mean, log_rate, log_sd]: [f64; 3]) -> f64 {
        let given = Sums::new(series, log_rate).given(series.len(), log_sd);
        let log_weight = given.log_evidence + log_prior(log_rate, log_sd) - self.highest;
        let log_area = self.cell.iter().product::<f64>().ln();
        log_weight - self.total.ln() - log_area + log_normal(mean, given.mean, given.sd)
    }

    /// Draws cells by their weights, ln κ and ln s uniformly in their cell, and μ given both.
    fn draws(&self, num_draws: usize, rng: &mut StreamRng) -> Array2<f32> {
        let mut sum = 0.0;
        let cumulative: Vec<f64> = self
            .cells
            .iter()
            .map(|cell| {
                sum += cell.weight;
                sum
            })
            .collect();
        let mut draws = Array2::zeros((num_draws, 3));
        for mut draw in draws.outer_iter_mut() {
            let u = sum * rng.random::<f64>();
            let chosen = cumulative.partition_point(|below| *below <= u).min(self.cells.len() - 1);
            let Cell { point: [mean, log_rate, log_sd], sd, .. } = self.cells[chosen];
            let mut within = |d: usize| self.cell[d] * (rng.random::<f64>() - 0.5);
            let (log_rate, log_sd) = (log_rate + within(0), log_sd + within(1));
            let mean = mean + sd * rng.sample::<f64, _>(StandardNormal);
            draw.assign(&arr1(&[mean, log_rate, log_sd].map(|value| value as f32)));
        }
        draws
    }
}

/// The exact posteriors of series with true parameters `[M, 3]`, with L draws of each.
pub(crate) fn exact(data: &Data, truths: &Array2<f32>, num_draws: usize) -> bayesburn::Result<Exact> {
    let data_sets = data.len();
    let (mut mean, mut sd) = (Array2::zeros((data_sets, 3)), Array2::zeros((data_sets, 3)));
    let mut draws = Array3::zeros((data_sets, num_draws, 3));
    let mut loss = 0.0;
    for m in 0..data_sets {
        let series = series(data, m);
        let posterior = Posterior::new(&series);
        for (d, moments) in posterior.mean_and_sd().into_iter().enumerate() {
            (mean[[m, d]], sd[[m, d]]) = moments;
        }
        let truth = [0, 1, 2].map(|d| f64::from(truths[[m, d]]));
        loss -= posterior.log_prob(&series, truth) / data_sets as f64;
        let rng = &mut stream(1, const { Purpose::new("exact posterior") }, m as u64);
        draws.index_axis_mut(Axis(0), m).assign(&posterior.draws(num_draws, rng));
    }
    let names = PRIORS.map(|(name, _, _)| name.to_owned());
    Ok(Exact { mean, sd, loss, draws: Draws::new(names.into(), draws)? })
}

/// The rows of a series without padding.
pub(crate) fn series(data: &Data, data_set: usize) -> Vec<[f64; 3]> {
    let input = &data.inputs()[0];
    let rows = input.values().index_axis(Axis(0), data_set);
    (0..input.num_rows(data_set)).map(|row| [0, 1, 2].map(|feature| f64::from(rows[[row, feature]]))).collect()
}
