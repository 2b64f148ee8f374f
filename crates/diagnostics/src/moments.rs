//! Computes the sample moments that several checks share, in f64.

use ndarray::{Array2, ArrayView1, ArrayView2};

/// The mean; NaN for no values.
pub(crate) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

/// The variance with divisor n − 1, in two passes; NaN for fewer than two values.
pub(crate) fn variance(values: ArrayView1<'_, f32>) -> f64 {
    let center = mean(values.iter().map(|&x| f64::from(x)));
    values.iter().map(|&x| (f64::from(x) - center).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}

/// The median; the mean of the two middle values for an even number, NaN for none. Reorders the values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n == 0 {
        return f64::NAN;
    }
    let (lower_half, &mut upper, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    if n % 2 == 1 {
        return upper;
    }
    let lower = lower_half.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (lower + upper) / 2.0
}

/// Pearson's correlation of pairs; NaN if either is constant or there are fewer than two.
pub(crate) fn correlation(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let (n, sx, sy) = pairs.clone().fold((0.0, 0.0, 0.0), |(n, sx, sy), (x, y)| (n + 1.0, sx + x, sy + y));
    let (mx, my) = (sx / n, sy / n);
    let (xx, yy, xy) = pairs.fold((0.0, 0.0, 0.0), |(xx, yy, xy), (x, y)| {
        (xx + (x - mx).powi(2), yy + (y - my).powi(2), xy + (x - mx) * (y - my))
    });
    xy / (xx * yy).sqrt()
}

/// The `[D, D]` correlations of the columns of `[M, D]`; NaN in the row and column of a constant.
pub(crate) fn correlations(samples: ArrayView2<'_, f32>) -> Array2<f64> {
    let d = samples.ncols();
    let mut matrix = Array2::from_elem((d, d), f64::NAN);
    for i in 0..d {
        for j in 0..=i {
            let pairs = samples.column(i).into_iter().zip(samples.column(j));
            let r = correlation(pairs.map(|(&x, &y)| (f64::from(x), f64::from(y))));
            (matrix[[i, j]], matrix[[j, i]]) = (r, r);
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&mut [7.0]), 7.0);
        assert!(median(&mut []).is_nan());
    }

    #[test]
    fn correlations_match_hand_computed_values_and_constants_have_none() {
        let samples = array![[1.0, 2.0, 5.0], [2.0, 1.0, 5.0], [3.0, 3.0, 5.0]];
        let matrix = correlations(samples.view());
        assert!((matrix[[0, 0]] - 1.0).abs() < 1e-12);
        assert!((matrix[[0, 1]] - 0.5).abs() < 1e-12 && matrix[[0, 1]] == matrix[[1, 0]]);
        assert!((0..3).all(|i| matrix[[2, i]].is_nan()));
        assert_eq!(variance(samples.column(0)), 1.0);
    }
}
