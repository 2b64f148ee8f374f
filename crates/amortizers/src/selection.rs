//! Selects features of a regression one by one, so that those that tell nothing add no error.

use nalgebra::DMatrix;

/// The least |t| of a feature that is selected. Of 20 that tell nothing, one has as much with a probability of 5%; one
/// that does adds as much error as it takes away.
const LEAST_T: f64 = 3.0;
/// The share of a feature's squares below which others tell all of it.
const COLLINEAR: f64 = 1e-6;

/// The features of a regression of y, by forward selection: the first `always` of x `[rows, F]`, and of the others
/// again and again the one that takes away most of what is left.
pub(crate) fn selected(x: &DMatrix<f64>, y: &[f64], always: usize) -> Vec<usize> {
    let (rows, width) = x.shape();
    let mut joined = x.clone().insert_column(width, 0.0);
    joined.column_mut(width).copy_from_slice(y);
    // Products of features, and of y, which comes last, as far as the selected ones do not tell them.
    let mut gram = joined.tr_mul(&joined);
    let least: Vec<f64> = (0..width).map(|j| COLLINEAR * gram[(j, j)]).collect();
    let mut selected = Vec::new();
    let mut select = |j: usize, gram: &mut DMatrix<f64>| {
        selected.push(j);
        if gram[(j, j)] > least[j] {
            let column = gram.column(j).into_owned();
            *gram -= &column * column.transpose() / column[j];
        }
        gram.column_mut(j).fill(0.0);
        gram.row_mut(j).fill(0.0);
        selected.len()
    };
    let mut count = 0;
    (0..always).for_each(|j| count = select(j, &mut gram));
    while count + 2 < rows {
        let gain = |j: usize| if gram[(j, j)] > least[j] { gram[(j, width)].powi(2) / gram[(j, j)] } else { 0.0 };
        let Some((best, gain)) =
            (0..width).map(|j| (j, gain(j))).max_by(|(_, a), (_, b)| a.total_cmp(b)).filter(|(_, gain)| *gain > 0.0)
        else {
            break;
        };
        let left = (gram[(width, width)] - gain).max(0.0) / (rows - count - 2) as f64;
        if gain < LEAST_T * LEAST_T * left {
            break;
        }
        count = select(best, &mut gram);
    }
    selected.sort_unstable();
    selected
}
