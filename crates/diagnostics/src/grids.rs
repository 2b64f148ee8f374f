//! Divides ranges into bins, and smooths what was counted in them.

use crate::moments::mean;
use ndarray::Array2;

/// An axis range.
pub(crate) type Range = (f64, f64);

/// Histogram bins of one parameter at most: where the samples fill a small part of their limits, the rule asks for
/// more.
const MAX_BINS: usize = 100;
/// Where kernels end, in standard deviations.
const REACH: f64 = 4.0;

/// The range of the finite values, widened on both sides by `margin` of its length; never empty.
pub(crate) fn range_of(values: impl IntoIterator<Item = f64>, margin: f64) -> Range {
    let finite = values.into_iter().filter(|x| x.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low > high {
        return (0.0, 1.0);
    }
    let length = high - low;
    // A constant gets a window around it that its own f64 digits still resolve.
    let pad = if length > 0.0 { margin * length } else { (low.abs() * 0.1).max(0.5) };
    (low - pad, high + pad)
}

/// Whether a sample lies within limits, ends included. They are compared at the sample's precision: the f32 nearest to
/// 0.1 is within 0 and 0.1, although it is the larger number.
pub(crate) fn within((low, high): Range, x: f32) -> bool {
    (low as f32..=high as f32).contains(&x)
}

/// Equally wide bins between two limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) limits: Range,
    pub(crate) bins: usize,
}

impl Grid {
    pub(crate) fn width(self) -> f64 {
        (self.limits.1 - self.limits.0) / self.bins as f64
    }

    /// The value so many bins above the lower limit; exactly a limit at both ends.
    fn at(self, position: f64) -> f64 {
        let share = position / self.bins as f64;
        self.limits.0 * (1.0 - share) + self.limits.1 * share
    }

    pub(crate) fn edges(self) -> Vec<f64> {
        (0..=self.bins).map(|i| self.at(i as f64)).collect()
    }

    pub(crate) fn centers(self) -> Vec<f64> {
        (0..self.bins).map(|i| self.at(i as f64 + 0.5)).collect()
    }

    /// How many bins a sample lies above the lower limit, if it is within the limits.
    pub(crate) fn position(self, x: f32) -> Option<f64> {
        let position = (f64::from(x) - self.limits.0) / self.width();
        within(self.limits, x).then(|| position.clamp(0.0, self.bins as f64))
    }

    pub(crate) fn bin(self, position: f64) -> usize {
        (position as usize).min(self.bins - 1)
    }
}

/// The number of bins that Freedman and Diaconis advise over a range: width 2 · IQR / n^(1/3). Sturges' log₂ n + 1
/// where half of the values are equal. Sorts the values.
pub(crate) fn freedman_diaconis(values: &mut [f64], length: f64) -> usize {
    if values.len() < 2 {
        return 1;
    }
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len() as f64;
    let range = quantile(values, 0.75) - quantile(values, 0.25);
    let bins = if range > 0.0 { length * n.cbrt() / (2.0 * range) } else { n.log2() + 1.0 };
    (bins.ceil() as usize).clamp(1, MAX_BINS)
}

/// A quantile of sorted values, interpolated between the two nearest.
fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let position = probability * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + position.fract() * (above - below)
}

/// The share of the samples' covariance that is the kernel's, by Scott's rule for n samples in so many dimensions.
/// Scott, *Multivariate Density Estimation*, 1992, equation 6.42, squared.
pub(crate) fn scott(n: usize, dimensions: i32) -> f64 {
    (n.max(1) as f64).powf(-2.0 / f64::from(dimensions + 4))
}

/// The covariance with divisor n − 1; 0 for fewer than two values.
pub(crate) fn covariance(a: &[f64], b: &[f64]) -> f64 {
    if a.len() < 2 {
        return 0.0;
    }
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    let products = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b));
    products.sum::<f64>() / (a.len() as f64 - 1.0)
}

fn reach(variance: f64) -> usize {
    (REACH * variance.sqrt()).ceil() as usize
}

/// Counts spread by a Gaussian kernel of this variance, in bins. What leaves the grid is lost.
pub(crate) fn smoothed(counts: &[usize], variance: f64) -> Vec<f64> {
    let reach = reach(variance);
    let kernel: Vec<f64> =
        (0..=2 * reach).map(|i| (-0.5 * (i as f64 - reach as f64).powi(2) / variance).exp()).collect();
    let total: f64 = kernel.iter().sum();
    let mut density = vec![0.0; counts.len()];
    for (bin, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let first = bin.saturating_sub(reach);
        for (point, density) in density.iter_mut().enumerate().take(bin + reach + 1).skip(first) {
            *density += count as f64 * kernel[point + reach - bin] / total;
        }
    }
    density
}

/// [`smoothed`] for two parameters, by a kernel with the covariance `[[xx, xy], [xy, yy]]`.
pub(crate) fn smoothed_pairs(counts: &Array2<usize>, [xx, xy, yy]: [f64; 3]) -> Array2<f64> {
    let (reach_x, reach_y) = (reach(xx), reach(yy));
    let determinant = xx * yy - xy * xy;
    let kernel = Array2::from_shape_fn((2 * reach_x + 1, 2 * reach_y + 1), |(i, j)| {
        let (x, y) = (i as f64 - reach_x as f64, j as f64 - reach_y as f64);
        (-0.5 * (yy * x * x - 2.0 * xy * x * y + xx * y * y) / determinant).exp()
    });
    let total: f64 = kernel.iter().sum();
    let (rows, columns) = counts.dim();
    let mut density = Array2::zeros((rows, columns));
    // Only bins that hold samples: a posterior fills a small part of its limits.
    for ((i, j), &count) in counts.indexed_iter().filter(|(_, count)| **count > 0) {
        let share = count as f64 / total;
        for row in i.saturating_sub(reach_x)..=(i + reach_x).min(rows - 1) {
            for column in j.saturating_sub(reach_y)..=(j + reach_y).min(columns - 1) {
                density[[row, column]] += share * kernel[[row + reach_x - i, column + reach_y - j]];
            }
        }
    }
    density
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_never_empty() {
        assert_eq!(range_of([1.0, 3.0], 0.1), (0.8, 3.2));
        assert_eq!(range_of([f64::NAN], 0.1), (0.0, 1.0));
        for constant in [0.0, 5.0, -1e20] {
            let (low, high) = range_of([constant], 0.1);
            assert!(low < constant && constant < high, "{constant}: {low} to {high}");
        }
    }

    #[test]
    fn limits_are_compared_at_the_precision_of_the_samples() {
        assert!(f64::from(0.1_f32) > 0.1 && within((0.0, 0.1), 0.1));
        assert!(!within((0.0, 0.1), 0.100_01) && !within((0.0, 0.1), -1e-20));
        assert!(within((f64::MIN, f64::MAX), f32::MAX));
    }

    #[test]
    fn freedman_and_diaconis_count_bins() {
        let mut even: Vec<f64> = (0..100).map(f64::from).collect();
        // IQR 49.5, so a width of 99 / 100^(1/3) = 21.3, of which 99 holds 4.6.
        assert_eq!(freedman_diaconis(&mut even, 99.0), 5);
        assert_eq!(freedman_diaconis(&mut even, 1e9), MAX_BINS);
        assert_eq!(freedman_diaconis(&mut [7.0; 8], 1.4), 4); // no spread: log₂ 8 + 1
        assert_eq!((freedman_diaconis(&mut [7.0], 1.0), freedman_diaconis(&mut [], 1.0)), (1, 1));
        assert_eq!(quantile(&[1.0, 2.0, 4.0, 8.0], 0.75), 5.0);
    }
}
