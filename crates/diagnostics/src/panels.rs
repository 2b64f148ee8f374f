//! Shows samples of one parameter or of two as histograms and densities.

use crate::grids::{Grid, Range, covariance, freedman_diaconis, scott, smoothed, smoothed_pairs, within};
use ndarray::{Array2, ArrayView1};

/// Points of the density of one parameter. At 10,000 samples the kernel is narrower than a 50th of their range.
const CURVE_POINTS: usize = 200;
/// Bins and density points of a pair of parameters, each way.
const PAIR_BINS: usize = 50;
/// Added to each kernel's variance, in bins: no kernel falls between the points, and constants have a density too.
const LEAST_VARIANCE: f64 = 0.25;

/// The samples of one parameter, counted in equally wide bins.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MarginalHistogram {
    /// The edges of the B bins, B + 1 of them, from the lower limit to the upper one.
    pub edges: Vec<f64>,
    /// The number of samples in each bin; the last bin holds its upper edge too.
    pub counts: Vec<usize>,
    /// The number of samples outside the limits.
    pub outside: usize,
}

impl MarginalHistogram {
    pub(crate) fn new(samples: ArrayView1<'_, f32>, limits: Range) -> Self {
        let mut inside: Vec<f64> = samples.iter().filter(|x| within(limits, **x)).map(|&x| f64::from(x)).collect();
        let grid = Grid { limits, bins: freedman_diaconis(&mut inside, limits.1 - limits.0) };
        let mut counts = vec![0; grid.bins];
        samples.iter().filter_map(|&x| grid.position(x)).for_each(|position| counts[grid.bin(position)] += 1);
        Self { edges: grid.edges(), outside: samples.len() - inside.len(), counts }
    }

    /// The counts as a density of all samples: over the limits it integrates to the share of the samples inside.
    #[must_use]
    pub fn heights(&self) -> Vec<f64> {
        let samples = (self.counts.iter().sum::<usize>() + self.outside) as f64;
        let bins = self.edges.windows(2).zip(&self.counts);
        bins.map(|(edge, &count)| count as f64 / (samples * (edge[1] - edge[0]))).collect()
    }
}

/// The density of one parameter, by a Gaussian kernel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MarginalDensity {
    /// Where the density is evaluated: the centres of 200 equal parts of the limits.
    pub points: Vec<f64>,
    /// The density of all samples at each point, of which those inside the limits are smoothed.
    pub density: Vec<f64>,
    /// The standard deviation of the kernel: Scott's rule, n^(−1/5) standard deviations of the n samples inside, its
    /// square enlarged by that of half the distance of two points.
    pub bandwidth: f64,
    /// The number of samples outside the limits.
    pub outside: usize,
}

impl MarginalDensity {
    pub(crate) fn new(samples: ArrayView1<'_, f32>, limits: Range) -> Self {
        let grid = Grid { limits, bins: CURVE_POINTS };
        let positions: Vec<f64> = samples.iter().filter_map(|&x| grid.position(x)).collect();
        let mut counts = vec![0; grid.bins];
        positions.iter().for_each(|&position| counts[grid.bin(position)] += 1);
        let variance = scott(positions.len(), 1) * covariance(&positions, &positions) + LEAST_VARIANCE;
        let scale = 1.0 / (samples.len() as f64 * grid.width());
        Self {
            points: grid.centers(),
            density: smoothed(&counts, variance).into_iter().map(|count| count * scale).collect(),
            bandwidth: variance.sqrt() * grid.width(),
            outside: samples.len() - positions.len(),
        }
    }
}

/// The samples of two parameters, counted in 50 by 50 bins.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PairHistogram {
    /// The edges of the bins of the first and of the second parameter, 51 each.
    pub edges: [Vec<f64>; 2],
    /// The number of samples in each bin, `[50, 50]`: row for the first parameter, column for the second.
    pub counts: Array2<usize>,
    /// The number of samples outside the limits of either parameter.
    pub outside: usize,
}

impl PairHistogram {
    pub(crate) fn new(samples: [ArrayView1<'_, f32>; 2], limits: [Range; 2]) -> Self {
        let binned = BinnedPairs::new(samples, limits);
        Self { edges: binned.grids.map(Grid::edges), counts: binned.counts, outside: binned.outside }
    }
}

/// The joint density of two parameters, by a Gaussian kernel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PairDensity {
    /// Where the density is evaluated: the centres of 50 equal parts of the limits of the first and of the second
    /// parameter.
    pub points: [Vec<f64>; 2],
    /// The density of all samples at each pair of points, of which those inside the limits are smoothed, `[50, 50]`:
    /// row for the first parameter, column for the second.
    pub density: Array2<f64>,
    /// The covariance of the kernel: Scott's rule, n^(−1/3) times the covariance of the n samples inside, its diagonal
    /// enlarged by the square of half the distance of two points.
    pub kernel: [[f64; 2]; 2],
    /// The number of samples outside the limits of either parameter.
    pub outside: usize,
}

impl PairDensity {
    pub(crate) fn new(samples: [ArrayView1<'_, f32>; 2], limits: [Range; 2]) -> Self {
        let total = samples[0].len() as f64;
        let BinnedPairs { grids, counts, positions: [x, y], outside } = BinnedPairs::new(samples, limits);
        let scott = scott(x.len(), 2);
        let xx = scott * covariance(&x, &x) + LEAST_VARIANCE;
        let yy = scott * covariance(&y, &y) + LEAST_VARIANCE;
        let xy = scott * covariance(&x, &y);
        let [width_x, width_y] = grids.map(Grid::width);
        let scale = 1.0 / (total * width_x * width_y);
        let cross = xy * width_x * width_y;
        Self {
            points: grids.map(Grid::centers),
            density: smoothed_pairs(&counts, [xx, xy, yy]).mapv_into(|count| count * scale),
            kernel: [[xx * width_x * width_x, cross], [cross, yy * width_y * width_y]],
            outside,
        }
    }

    /// The density above which lies this share of the mass inside the limits: the smallest region that holds 68% of it
    /// is where the density is at least `level(0.68)`.
    ///
    /// 0 if no sample is inside the limits.
    #[must_use]
    pub fn level(&self, mass: f64) -> f64 {
        let mut cells: Vec<f64> = self.density.iter().copied().collect();
        cells.sort_unstable_by(|a, b| b.total_cmp(a));
        let target = mass * cells.iter().sum::<f64>();
        let mut held = 0.0;
        let last = cells.into_iter().find(|cell| {
            held += cell;
            held >= target
        });
        last.unwrap_or(0.0)
    }
}

/// The samples of two parameters that are within the limits of both.
struct BinnedPairs {
    grids: [Grid; 2],
    /// Bins above the lower limits.
    positions: [Vec<f64>; 2],
    counts: Array2<usize>,
    outside: usize,
}

impl BinnedPairs {
    fn new([x, y]: [ArrayView1<'_, f32>; 2], limits: [Range; 2]) -> Self {
        let grids = limits.map(|limits| Grid { limits, bins: PAIR_BINS });
        let mut counts = Array2::zeros((PAIR_BINS, PAIR_BINS));
        let mut positions = [Vec::new(), Vec::new()];
        for (&x, &y) in x.iter().zip(&y) {
            if let (Some(x), Some(y)) = (grids[0].position(x), grids[1].position(y)) {
                counts[[grids[0].bin(x), grids[1].bin(y)]] += 1;
                positions[0].push(x);
                positions[1].push(y);
            }
        }
        Self { grids, outside: x.len() - positions[0].len(), positions, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};
    use std::f64::consts::PI;

    #[test]
    fn histograms_match_hand_computed_counts() {
        // Inside: five values of IQR 3.4, so a width of 6.8 / 5^(1/3) = 3.98 and two bins over (0, 4).
        let samples = array![0.0_f32, 0.5, 1.0, 3.9, 4.0, -0.1, 4.1];
        let histogram = MarginalHistogram::new(samples.view(), (0.0, 4.0));
        assert_eq!((histogram.edges.as_slice(), histogram.counts.as_slice()), (&[0.0, 2.0, 4.0][..], &[3, 2][..]));
        assert_eq!(histogram.outside, 2);
        assert_eq!(histogram.heights(), [3.0 / 14.0, 2.0 / 14.0]); // of 7 samples, in bins of width 2

        let (x, y) = (array![0.5_f32, 49.5, 50.0, 51.0, 3.0], array![0.5_f32, 0.5, 50.0, 1.0, -1.0]);
        let pairs = PairHistogram::new([x.view(), y.view()], [(0.0, 50.0); 2]);
        assert_eq!((pairs.counts[[0, 0]], pairs.counts[[49, 0]], pairs.counts[[49, 49]]), (1, 1, 1));
        assert_eq!((pairs.counts.sum(), pairs.outside), (3, 2));
        assert_eq!((pairs.edges[0][0], pairs.edges[1][1], pairs.edges[1][50]), (0.0, 1.0, 50.0));
    }

    /// Samples at grid points lose nothing to binning: the density is the sum of kernels, but for what lies beyond 4
    /// standard deviations of each, where a kernel is below exp(−8) = 0.034% of its peak.
    #[test]
    fn densities_are_sums_of_kernels() {
        let samples = array![50.5_f32, 60.5, 60.5, 150.5];
        let marginal = MarginalDensity::new(samples.view(), (0.0, 200.0));
        // The variance is 6600 / 3, of which Scott's rule takes 4^(−2/5); half a step is 0.5.
        let variance = 2200.0 * 4.0_f64.powf(-0.4) + 0.25;
        assert!((marginal.bandwidth - variance.sqrt()).abs() < 1e-9, "{}", marginal.bandwidth);
        let peak = 1.0 / (2.0 * PI * variance).sqrt();
        for (&point, &density) in marginal.points.iter().zip(&marginal.density) {
            let kernels = samples.iter().map(|&x| (-0.5 * (point - f64::from(x)).powi(2) / variance).exp());
            assert!((density - peak * kernels.sum::<f64>() / 4.0).abs() < 6e-4 * peak, "at {point}: {density}");
        }

        let (x, y) = (array![10.5_f32, 20.5, 30.5], array![10.5_f32, 25.5, 28.5]);
        let pair = PairDensity::new([x.view(), y.view()], [(0.0, 50.0); 2]);
        // Variances 100 and 93, covariance 90.
        let scott = 3.0_f64.powf(-1.0 / 3.0);
        let [[xx, xy], [_, yy]] = [[100.0 * scott + 0.25, 90.0 * scott], [90.0 * scott, 93.0 * scott + 0.25]];
        for (got, expected) in pair.kernel.iter().flatten().zip([xx, xy, xy, yy]) {
            assert!((got - expected).abs() < 1e-9, "{got} and {expected}");
        }
        let determinant = xx * yy - xy * xy;
        let peak = 1.0 / (2.0 * PI * determinant.sqrt());
        for ((i, j), &density) in pair.density.indexed_iter() {
            let kernels = x.iter().zip(&y).map(|(&x, &y)| {
                let (x, y) = (pair.points[0][i] - f64::from(x), pair.points[1][j] - f64::from(y));
                (-0.5 * (yy * x * x - 2.0 * xy * x * y + xx * y * y) / determinant).exp()
            });
            assert!((density - peak * kernels.sum::<f64>() / 3.0).abs() < 6e-4 * peak, "[{i}, {j}]: {density}");
        }
    }

    #[test]
    fn constants_and_empty_panels_have_densities() {
        let constant = Array1::from_elem(5, 7.0_f32);
        let marginal = MarginalDensity::new(constant.view(), (6.0, 8.0));
        assert!((marginal.bandwidth - 0.005).abs() < 1e-12, "{}", marginal.bandwidth);
        assert!((marginal.density.iter().sum::<f64>() * 0.01 - 1.0).abs() < 1e-9);

        let pair = PairDensity::new([constant.view(), constant.view()], [(6.0, 8.0), (0.0, 1.0)]);
        assert_eq!((pair.outside, pair.density.sum(), pair.level(0.95)), (5, 0.0, 0.0));
        let empty = MarginalHistogram::new(constant.view(), (0.0, 1.0));
        assert_eq!((empty.heights(), empty.outside), (vec![0.0], 5));
    }

    #[test]
    fn levels_hold_their_mass() {
        let points = || (0..50).map(f64::from).collect();
        let mut density = Array2::zeros((50, 50));
        (density[[3, 4]], density[[7, 7]], density[[0, 49]], density[[20, 1]]) = (4.0, 3.0, 2.0, 1.0);
        let density =
            PairDensity { points: [points(), points()], density, kernel: [[1.0, 0.0], [0.0, 1.0]], outside: 0 };
        // Of 10 in all: 4, then 7, then 9.
        assert_eq!([0.1, 0.4, 0.68, 0.7, 0.85, 0.95].map(|mass| density.level(mass)), [4.0, 4.0, 3.0, 3.0, 2.0, 1.0]);
    }
}
