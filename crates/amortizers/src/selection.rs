//! Selects features of a regression one by one, so that those that tell nothing add no error.

use nalgebra::DMatrix;

/// The least |t| of a feature that is selected. Of 20 that tell nothing, one has as much with a probability of 5%; one
/// that does adds as much error as it takes away.
const LEAST_T: f64 = 3.0;
/// The share of a feature's squares below which others tell all of it.
const COLLINEAR: f64 = 1e-6;

/// The Gram matrix of features x and, in the last place, of y, from that of the features.
pub(crate) fn joined(gram: &DMatrix<f64>, x: &DMatrix<f64>, y: &DMatrix<f64>) -> DMatrix<f64> {
    let width = x.ncols();
    let of_y = x.tr_mul(y);
    let mut joined = gram.clone().resize(width + 1, width + 1, y.norm_squared());
    joined.view_mut((0, width), (width, 1)).copy_from(&of_y);
    joined.view_mut((width, 0), (1, width)).copy_from(&of_y.transpose());
    joined
}

/// The features of a regression of y, by forward selection: the first `always`, and of the others again and again the
/// one that takes away most of what is left. `gram` has the products of the features and of y, which comes last, as
/// sums over so many rows.
pub(crate) fn selected(gram: &DMatrix<f64>, rows: usize, always: usize) -> Vec<usize> {
    let width = gram.ncols() - 1;
    // As far as the selected ones do not tell them.
    let mut gram = gram.clone();
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

#[cfg(test)]
mod tests {
    use super::{joined, selected};
    use bayesburn_core::{Purpose, stream};
    use nalgebra::DMatrix;
    use rand_distr::{Distribution, StandardNormal};

    /// Six features of 400 rows, the last of which is the sum of the first two, and y.
    fn selected_for(slopes: [f64; 5], always: usize) -> Vec<usize> {
        let mut rng = stream(2023, const { Purpose::new("selection test") }, 0);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let mut x = DMatrix::from_fn(400, 6, |_, _| normal());
        let sum = x.column(0) + x.column(1);
        x.set_column(5, &sum);
        let y = DMatrix::from_fn(400, 1, |i, _| (0..5).map(|j| slopes[j] * x[(i, j)]).sum::<f64>() + normal());
        selected(&joined(&x.tr_mul(&x), &x, &y), 400, always)
    }

    #[test]
    fn what_tells_of_y_is_selected() {
        assert_eq!(selected_for([0.0, 0.0, 0.5, 0.0, -0.5], 0), [2, 4]);
        assert_eq!(selected_for([1.0, 1.0, 0.0, 0.0, 0.0], 0), [5]);
    }

    #[test]
    fn what_tells_nothing_is_not_selected() {
        assert!(selected_for([0.0; 5], 0).is_empty());
    }

    #[test]
    fn the_first_are_always_selected_and_what_they_tell_is_not_selected_again() {
        assert_eq!(selected_for([0.0; 5], 2), [0, 1]);
        assert_eq!(selected_for([1.0, 1.0, 0.0, 0.0, 0.0], 2), [0, 1]);
    }
}
