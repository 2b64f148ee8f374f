//! Computes exact posteriors of two parameters on a grid, in f64, and compares learned ones with them.

use bayesburn::{
    core::{Purpose, stream},
    prelude::*,
};
use ndarray::{ArrayViewMut2, s};

/// An exponential family's likelihood at θ: ln p(x | θ) = η(θ) · s(x) − A(θ) + terms without θ, where s(x) are K
/// sufficient statistics.
pub(crate) struct Terms {
    /// η(θ), `[K]`.
    pub(crate) natural: Array1<f64>,
    /// A(θ).
    pub(crate) log_normaliser: f64,
}

/// Two parameters' ranges, divided into cells of equal size.
pub(crate) struct Grid {
    names: [&'static str; 2],
    priors: [Univariate; 2],
    /// The middle of the first cell and the size of a cell, for each parameter.
    axes: [(f64, f64); 2],
    side: usize,
}

/// The exact posteriors of M data sets.
pub(crate) struct Exact {
    /// `[M, 2]`.
    pub(crate) mean: Array2<f64>,
    /// `[M, 2]`.
    pub(crate) sd: Array2<f64>,
    /// The mean of −ln p(θ | x) over the true parameters. A network's loss on the same data sets cannot be expected to
    /// be lower.
    pub(crate) loss: f64,
    /// `[M, L, 2]`.
    pub(crate) draws: Draws,
}

impl Grid {
    /// `side` × `side` cells over the given intervals, which must contain nearly all of the priors' mass. Sums over
    /// cells equal integrals to many digits if a cell is at most as wide as a posterior's sd. Draws are uniform within
    /// a cell, which makes them too wide by a factor of 1 + (cell / sd)² / 24; so cells should be at most sd / 2.
    pub(crate) fn new(parameters: [(&'static str, Univariate, [f64; 2]); 2], side: usize) -> Self {
        let axis = |[low, high]: [f64; 2]| {
            let cell = (high - low) / side as f64;
            (low + 0.5 * cell, cell)
        };
        let axes = parameters.each_ref().map(|(_, _, range)| axis(*range));
        let names = parameters.each_ref().map(|(name, _, _)| *name);
        Self { names, priors: parameters.map(|(_, prior, _)| prior), axes, side }
    }

    /// θ at the middle of a cell.
    fn point(&self, cell: usize) -> [f64; 2] {
        let [(x, dx), (y, dy)] = self.axes;
        [x + dx * (cell / self.side) as f64, y + dy * (cell % self.side) as f64]
    }

    fn log_prior(&self, theta: [f64; 2]) -> f64 {
        self.priors.iter().zip(theta).map(|(prior, theta)| prior.log_prob(theta as f32)).sum()
    }

    /// The posteriors for statistics `[M, K]` of data sets with true parameters `[M, 2]`, and L draws of each.
    pub(crate) fn posteriors(
        &self,
        likelihood: impl Fn([f64; 2]) -> Terms,
        statistics: &Array2<f64>,
        truths: &Array2<f32>,
        num_draws: usize,
    ) -> bayesburn::Result<Exact> {
        let (data_sets, cells) = (statistics.nrows(), self.side * self.side);
        let mut natural = Array2::zeros((statistics.ncols(), cells));
        let mut offset = Array1::zeros(cells);
        for cell in 0..cells {
            let theta = self.point(cell);
            let terms = likelihood(theta);
            natural.column_mut(cell).assign(&terms.natural);
            offset[cell] = self.log_prior(theta) - terms.log_normaliser;
        }
        let log_area = (self.axes[0].1 * self.axes[1].1).ln();
        let [mut mean, mut sd] = [(); 2].map(|()| Array2::zeros((data_sets, 2)));
        let (mut draws, mut loss) = (Array3::zeros((data_sets, num_draws, 2)), 0.0);
        // One matrix product for 50 data sets: for all at once, the result would have M numbers for each cell.
        for first in (0..data_sets).step_by(50) {
            let some = first..data_sets.min(first + 50);
            let log_posteriors = statistics.slice(s![some.clone(), ..]).dot(&natural) + &offset;
            for (m, log_posterior) in some.zip(log_posteriors.outer_iter()) {
                let highest = log_posterior.fold(f64::NEG_INFINITY, |a, b| a.max(*b));
                let weights = log_posterior.mapv(|value| (value - highest).exp());
                let total = weights.sum();
                for (d, moments) in self.moments(&weights).into_iter().enumerate() {
                    (mean[[m, d]], sd[[m, d]]) = moments;
                }
                let truth = [0, 1].map(|d| f64::from(truths[[m, d]]));
                let terms = likelihood(truth);
                let log_prob = terms.natural.dot(&statistics.row(m)) - terms.log_normaliser + self.log_prior(truth);
                loss -= (log_prob - highest - total.ln() - log_area) / data_sets as f64;
                let rng = &mut stream(1, const { Purpose::new("draws from a grid") }, m as u64);
                self.draw(rng, &weights, &mut draws.index_axis_mut(Axis(0), m));
            }
        }
        Ok(Exact { mean, sd, loss, draws: Draws::new(self.names.map(str::to_owned).into(), draws)? })
    }

    /// Mean and standard deviation of each parameter.
    fn moments(&self, weights: &Array1<f64>) -> [(f64, f64); 2] {
        let table = weights.to_shape((self.side, self.side)).expect("side × side cells");
        [1, 0].map(|other| {
            let marginal = table.sum_axis(Axis(other));
            let (first, cell) = self.axes[1 - other];
            let values = Array1::from_shape_fn(self.side, |i| first + cell * i as f64);
            let mean = marginal.dot(&values) / marginal.sum();
            let variance = marginal.dot(&(values - mean).mapv(|e| e * e)) / marginal.sum();
            (mean, variance.sqrt())
        })
    }

    /// Draws cells by their weights, and points in them.
    fn draw(&self, rng: &mut StreamRng, weights: &Array1<f64>, draws: &mut ArrayViewMut2<'_, f32>) {
        let mut sum = 0.0;
        let up_to = |weight: &f64| {
            sum += weight;
            sum
        };
        let cumulative: Vec<f64> = weights.iter().map(up_to).collect();
        for mut draw in draws.outer_iter_mut() {
            let u = sum * rng.random::<f64>();
            let cell = cumulative.partition_point(|below| *below <= u).min(weights.len() - 1);
            for (d, middle) in self.point(cell).into_iter().enumerate() {
                draw[d] = (middle + self.axes[d].1 * (rng.random::<f64>() - 0.5)) as f32;
            }
        }
    }
}

/// How far learned posteriors are from the exact ones.
pub(crate) struct Comparison {
    /// |learned mean − exact mean| in exact standard deviations, averaged over data sets and parameters.
    pub(crate) mean_error_in_sd: f64,
    /// Learned over exact standard deviation, averaged likewise.
    pub(crate) sd_ratio: f64,
}

impl Comparison {
    pub(crate) fn new(draws: &Draws, exact: &Exact) -> Self {
        let average = |values: Array2<f64>| values.mean().unwrap_or(f64::NAN);
        Self {
            mean_error_in_sd: average((draws.mean() - &exact.mean).mapv(f64::abs) / &exact.sd),
            sd_ratio: average(draws.std() / &exact.sd),
        }
    }

    /// Whether both are within a tenth.
    pub(crate) fn is_close(&self) -> bool {
        self.mean_error_in_sd < 0.1 && (self.sd_ratio - 1.0).abs() < 0.1
    }
}
