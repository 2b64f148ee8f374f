//! Compares products with sums in f64, and rows with the same rows of smaller products.

use super::{Matrix, Product, Start};
use crate::source::Source;

fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
}

fn transpose(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| x[(i % rows) * columns + i / rows]).collect()
}

/// Rows with three numbers behind each but the last.
fn spread(rows: &[f32], width: usize) -> Vec<f32> {
    let mut spread = rows.chunks_exact(width).map(|row| [row, &[f32::NAN; 3]].concat()).collect::<Vec<_>>().concat();
    spread.truncate(spread.len() - 3);
    spread
}

/// In all orders, with rows side by side and apart, and from each start, against sums in f64.
#[test]
fn products_match_sums() {
    let shapes = [(1, 1, 1), (1, 7, 3), (5, 1, 9), (16, 12, 128), (17, 20, 2), (3, 64, 1), (50, 4, 64), (9, 300, 21)];
    for (m, k, n) in shapes.into_iter().chain([(64, 130, 40), (7, 128, 128), (100, 65, 33)]) {
        let (a, b, bias) = (values(m * k, 1), values(k * n, 2), values(n, 3));
        let (a_by_columns, b_by_columns) = (transpose(&a, m, k), transpose(&b, k, n));
        let exact =
            |i: usize, j: usize| -> f64 { (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum() };
        let there = values(m * n, 4);
        let [wide_a, wide_b, wide_b_by_columns] =
            [(&a, k), (&b, n), (&b_by_columns, k)].map(|(rows, width)| spread(rows, width));
        let strided = [Matrix::strided(&wide_a, m, k, k + 3), Matrix::strided(&wide_b, k, n, n + 3)];
        let strided_by_columns = Matrix::strided(&wide_b_by_columns, n, k, k + 3).transposed();
        for a in [Matrix::new(&a, m, k), Matrix::new(&a_by_columns, k, m).transposed(), strided[0]] {
            let by_columns = Matrix::new(&b_by_columns, n, k).transposed();
            for b in [Matrix::new(&b, k, n), by_columns, strided[1], strided_by_columns] {
                for (start, relu) in [
                    (Start::Zero, false),
                    (Start::There, false),
                    (Start::Rows(Source::of_all(&bias)), true),
                    (Start::Rows(Source::repeated(&there, n, 2, 1)), false),
                ] {
                    // What is there must not be read unless it is added to: it may be NaN.
                    let mut out = if matches!(start, Start::There) { there.clone() } else { vec![f32::NAN; m * n] };
                    Product { a, b, start, relu }.write(&mut out);
                    for (i, &got) in out.iter().enumerate() {
                        let (row, column) = (i / n, i % n);
                        let mut expected = exact(row, column);
                        expected += f64::from(match start {
                            Start::Zero => 0.0,
                            Start::There => there[i],
                            Start::Rows(rows) => rows.row(row)[column],
                        });
                        if relu {
                            expected = expected.max(0.0);
                        }
                        assert!((f64::from(got) - expected).abs() < 2e-4, "{m} {k} {n}: {got} against {expected}");
                    }
                }
            }
        }
    }
}

/// Rows of windows of a series overlap, and rows of the output may be parts of wider ones, of which the rest is kept.
#[test]
fn rows_may_overlap_and_be_written_apart() {
    for (rows, stride, width, units) in [(20, 2, 6, 5), (7, 1, 9, 33), (13, 8, 16, 64), (1, 4, 4, 3)] {
        let (series, weight) = (values((rows - 1) * stride + width, 1), values(width * units, 2));
        let windows: Vec<f32> = (0..rows).flat_map(|row| series[row * stride..][..width].to_vec()).collect();
        let (overlapping, copied) = (Matrix::strided(&series, rows, width, stride), Matrix::new(&windows, rows, width));
        let b = Matrix::new(&weight, width, units);
        let mut expected = vec![0.0; rows * units];
        Product::new(copied, b).write(&mut expected);
        for b in [b, Matrix::new(&transpose(&weight, width, units), units, width).transposed()] {
            let mut got = vec![9.0; rows * (units + 2)];
            Product::new(overlapping, b).write_strided(&mut got, units + 2);
            for (got, expected) in got.chunks_exact(units + 2).zip(expected.chunks_exact(units)) {
                assert_eq!((&got[..units], &got[units..]), (expected, &[9.0; 2][..]));
            }
        }
    }
}

/// Draws must not depend on how many there are.
#[test]
fn rows_do_not_depend_on_how_many_follow() {
    for (k, n) in [(1, 8), (2, 8), (8, 8), (8, 1), (8, 2), (8, 3), (10, 128), (128, 128), (128, 1), (128, 98), (64, 64)]
    {
        let (a, b) = (values(300 * k, 1), values(k * n, 2));
        for b in [Matrix::new(&b, k, n), Matrix::new(&b, n, k).transposed()] {
            let product = |m: usize| {
                let mut out = vec![0.0; m * n];
                Product::new(Matrix::rows(&a, 0, m, k), b).write(&mut out);
                out
            };
            let all = product(300);
            for m in 1..300 {
                assert!(product(m)[..] == all[..m * n], "{m} of 300 rows, {k} x {n}");
            }
        }
    }
}
