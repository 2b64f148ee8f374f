//! Simulates clusters of marked points, and computes the likelihood of their marks.

use crate::common::grid::Terms;
use bayesburn::prelude::*;
use std::f64::consts::TAU;

/// Clusters in a pattern.
pub(crate) const CLUSTERS: usize = 12;
/// Points in a cluster.
pub(crate) const SIZE: usize = 4;
/// The least distance between two clusters. The square's side is 1, and opposite sides are joined.
const APART: f64 = 0.15;
/// The side of the square in which a cluster's points lie.
const EXTENT: f64 = 0.04;
/// Waves per side that encode a coordinate.
const WAVES: [f64; 3] = [1.0, 2.0, 4.0];
/// Features of a point: a sine and a cosine of each wave for each coordinate, and the mark.
const FEATURES: usize = 4 * WAVES.len() + 1;

/// Points and their marks, cluster by cluster.
pub(crate) struct Pattern {
    pub(crate) points: Vec<[f64; 2]>,
    pub(crate) marks: Vec<f64>,
}

impl Pattern {
    /// Clusters are placed one by one, each uniformly where no other is closer than `APART` (simple sequential
    /// inhibition). θ is ln sd(shared) and ln sd(own).
    pub(crate) fn simulate(rng: &mut StreamRng, theta: [f64; 2]) -> Self {
        let mut clusters: Vec<[f64; 2]> = Vec::new();
        while clusters.len() < CLUSTERS {
            let place = [rng.random::<f64>(), rng.random::<f64>()];
            if clusters.iter().all(|other| distance(place, *other) >= APART) {
                clusters.push(place);
            }
        }
        let [between, within] = theta.map(f64::exp);
        let mut pattern = Self { points: Vec::new(), marks: Vec::new() };
        for place in clusters {
            let shared = between * rng.sample::<f64, _>(StandardNormal);
            for _ in 0..SIZE {
                pattern.points.push(place.map(|x| x + EXTENT * (rng.random::<f64>() - 0.5)));
                pattern.marks.push(shared + within * rng.sample::<f64, _>(StandardNormal));
            }
        }
        pattern
    }

    /// The data `[N, FEATURES]`. Coordinates are encoded as sines and cosines of several waves, as usual for attention
    /// (Vaswani et al. 2017, section 3.5): the product of two points' features is largest where the points are closest.
    pub(crate) fn encoded(&self) -> Array2<f32> {
        Array2::from_shape_fn((self.points.len(), FEATURES), |(i, feature)| {
            if feature == FEATURES - 1 {
                return self.marks[i] as f32;
            }
            let angle = TAU * WAVES[feature / 4] * self.points[i][feature / 2 % 2];
            (if feature % 2 == 0 { angle.cos() } else { angle.sin() }) as f32
        })
    }
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    let [dx, dy] = [0, 1].map(|axis| (a[axis] - b[axis]).abs()).map(|d| d.min(1.0 - d));
    dx.hypot(dy)
}

/// The sufficient statistics of encoded patterns `[M, N, FEATURES]`: the sum of the clusters' squared means, and the
/// sum of the marks' squared distances from their cluster's mean, `[M, 2]`. Points are in order of clusters, which
/// permutation-invariant networks do not see.
pub(crate) fn statistics(patterns: &Data) -> Array2<f64> {
    let mut statistics = Array2::zeros((patterns.len(), 2));
    for (pattern, mut sums) in patterns.values().outer_iter().zip(statistics.outer_iter_mut()) {
        for cluster in 0..CLUSTERS {
            let marks: [f64; SIZE] = std::array::from_fn(|i| pattern[[SIZE * cluster + i, FEATURES - 1]].into());
            let mean = marks.iter().sum::<f64>() / SIZE as f64;
            sums[0] += mean * mean;
            sums[1] += marks.iter().map(|mark| (mark - mean).powi(2)).sum::<f64>();
        }
    }
    statistics
}

/// The likelihood of a one-way analysis of variance: both sums are independent, variances times χ² numbers.
pub(crate) fn likelihood(theta: [f64; 2]) -> Terms {
    let [between, within] = theta.map(|log_sd| (2.0 * log_sd).exp());
    let variances = [between + within / SIZE as f64, within];
    let degrees = [CLUSTERS, CLUSTERS * (SIZE - 1)];
    Terms {
        natural: variances.iter().map(|variance| -0.5 / variance).collect(),
        log_normaliser: variances.iter().zip(degrees).map(|(variance, n)| 0.5 * n as f64 * variance.ln()).sum(),
    }
}
