//! Checks pooled rows and their gradients, with and without a mask.

use super::{Pool, SetRows};
use crate::op::testing::{assert_gradient, numbers, weighted};

const MASK: [f32; 8] = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0];

fn rows<'a>(values: &'a [f32], mask: Option<&'a [f32]>) -> SetRows<'a> {
    SetRows { values, n: 4, width: 3, mask }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (values, weights) = (numbers(2 * 4 * 3, 1), numbers(2 * 3, 2));
    for pool in [Pool::Mean, Pool::Max] {
        for mask in [None, Some(&MASK[..])] {
            let pooled = pool.forward(rows(&values, mask));
            let gradient = pool.backward(rows(&values, mask), &pooled, &weights);
            let what = format!("{pool:?}, mask {}", mask.is_some());
            assert_gradient(&what, &gradient, &values, |x| weighted(&pool.forward(rows(x, mask)), &weights));
        }
    }
}

#[test]
fn a_mask_takes_rows_away() {
    let values = numbers(2 * 4 * 3, 1);
    for pool in [Pool::Mean, Pool::Max] {
        let there = pool.forward(rows(&values, Some(&[1.0; 8])));
        assert_eq!(*there, *pool.forward(rows(&values, None)), "{pool:?}");
        let some = pool.forward(rows(&values, Some(&MASK)));
        let first = [&values[..3], &values[6..12]].concat();
        assert_eq!(some[..3], *pool.forward(SetRows { values: &first, n: 3, width: 3, mask: None }), "{pool:?}");
        assert_eq!(some[3..], values[15..18], "{pool:?}");
    }
}

/// Of equal numbers, the first has the gradient.
#[test]
fn one_of_equal_numbers_has_the_gradient() {
    let values = [1.0, 1.0, 1.0];
    let set = |mask| SetRows { values: &values, n: 3, width: 1, mask };
    let gradient = |mask| Pool::Max.backward(set(mask), &[1.0], &[2.0]).to_vec();
    assert_eq!(gradient(None), [2.0, 0.0, 0.0]);
    assert_eq!(gradient(Some(&[0.0, 1.0, 1.0][..])), [0.0, 2.0, 0.0]);
}
