//! Multiplies matrices, by the `gemm` crate: the one place with unsafe code.

use crate::memory::Buffer;
use gemm::{Parallelism, gemm};

/// A view of a matrix, by rows or, transposed, by columns.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "values of a {rows} x {columns} matrix");
        Self { values, rows, columns, strides: [columns, 1] }
    }

    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, strides: [self.strides[1], self.strides[0]], ..self }
    }

    /// Some of the rows of a matrix that is not transposed.
    pub(crate) fn rows(values: &'a [f32], first: usize, rows: usize, columns: usize) -> Self {
        Self::new(&values[first * columns..(first + rows) * columns], rows, columns)
    }
}

/// out = a b, rows one after the other.
///
/// Row by row the same, to the bit, for any number of rows of a: products of one row or of one column, for which `gemm` has other
/// algorithms that round differently, some of them up to a number of rows, are computed as products of two.
pub(crate) fn multiply(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    if b.columns == 1 {
        let mut beside_zeros = Buffer::zeros(2 * b.rows);
        for (row, pair) in beside_zeros.chunks_exact_mut(2).enumerate() {
            pair[0] = b.values[row * b.strides[0]];
        }
        let mut both = Buffer::new(2 * a.rows);
        multiply(&mut both, a, Matrix::new(&beside_zeros, b.rows, 2));
        both.chunks_exact(2).zip(out).for_each(|(pair, out)| *out = pair[0]);
    } else if a.rows == 1 {
        let twice = Matrix { rows: 2, strides: [0, a.strides[1]], ..a };
        let mut both = Buffer::new(2 * b.columns);
        product(&mut both, twice, b);
        out.copy_from_slice(&both[..b.columns]);
    } else {
        product(out, a, b);
    }
}

#[expect(unsafe_code, reason = "gemm takes pointers")]
fn product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(a.columns, b.rows, "inner dimensions of a product");
    assert_eq!(out.len(), a.rows * b.columns, "values of a product");
    let stride = |stride: usize| stride as isize;
    // SAFETY: `Matrix` reaches no further than its values, in either order of its strides or with one row for two, and `out` has as many
    // as the product, as was checked; `out` is borrowed mutably, so that it overlaps neither.
    unsafe {
        gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            stride(b.columns),
            false,
            a.values.as_ptr(),
            stride(a.strides[1]),
            stride(a.strides[0]),
            b.values.as_ptr(),
            stride(b.strides[1]),
            stride(b.strides[0]),
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// In all four orders, against sums in f64.
    #[test]
    fn products_match_sums() {
        for (m, k, n) in [(1, 1, 1), (1, 7, 3), (5, 1, 9), (16, 12, 128), (17, 20, 2), (3, 64, 1), (50, 4, 64)] {
            let (a, b) = (values(m * k, 1), values(k * n, 2));
            let transpose = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|i| x[(i % rows) * columns + i / rows]).collect()
            };
            let (a_by_columns, b_by_columns) = (transpose(&a, m, k), transpose(&b, k, n));
            for a in [Matrix::new(&a, m, k), Matrix::new(&a_by_columns, k, m).transposed()] {
                for b in [Matrix::new(&b, k, n), Matrix::new(&b_by_columns, n, k).transposed()] {
                    // What is there must not be read: it may be NaN.
                    let mut out = vec![f32::NAN; m * n];
                    multiply(&mut out, a, b);
                    for (i, &got) in out.iter().enumerate() {
                        let at = |x: Matrix<'_>, row: usize, column: usize| {
                            f64::from(x.values[row * x.strides[0] + column * x.strides[1]])
                        };
                        let expected: f64 = (0..k).map(|l| at(a, i / n, l) * at(b, l, i % n)).sum();
                        assert!((f64::from(got) - expected).abs() < 1e-4, "{got} against {expected}");
                    }
                }
            }
        }
    }

    /// Draws must not depend on how many there are.
    #[test]
    fn rows_do_not_depend_on_how_many_follow() {
        for (k, n) in
            [(1, 8), (2, 8), (8, 8), (8, 1), (8, 2), (8, 3), (10, 128), (128, 128), (128, 1), (128, 98), (64, 64)]
        {
            let (a, b) = (values(300 * k, 1), values(k * n, 2));
            let product = |m: usize| {
                let mut out = vec![0.0; m * n];
                multiply(&mut out, Matrix::rows(&a, 0, m, k), Matrix::new(&b, k, n));
                out
            };
            let all = product(300);
            for m in 1..300 {
                assert!(product(m)[..] == all[..m * n], "{m} of 300 rows, {k} x {n}");
            }
        }
    }
}
