//! Checks that padding and what is missing are told from what is there.

use super::{Data, InvalidData};
use ndarray::{Array2, Array3, Array4, ArrayD, array};

/// Data sets of these lengths, with two features.
fn ragged(lengths: &[usize]) -> Data {
    let of = |n: usize| Array2::from_shape_fn((n, 2), |(i, f)| (100 * n + 10 * i + f) as f32);
    Data::padded(lengths.iter().map(|n| of(*n))).expect("of one width")
}

#[test]
fn data_sets_of_different_lengths_are_padded_and_not_mixed_up() {
    let data = ragged(&[1, 3, 2]);
    assert_eq!(data.values().shape(), [3, 3, 2]);
    assert_eq!(data.row_mask(), Some(&array![[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0]].into_dyn()));
    assert_eq!([0, 1, 2].map(|m| data.num_rows(m)), [1, 3, 2]);
    let observed = data.observations();
    assert!(observed[[0, 0, 1]] == 101.0 && observed[[0, 1, 0]].is_nan() && observed[[1, 2, 0]] == 320.0);
    // Of one length there is nothing to mask.
    assert_eq!(ragged(&[2, 2]).row_mask(), None);
}

/// However data came to be padded, equal data sets are equal.
#[test]
fn parts_are_as_long_as_their_longest_data_set() {
    let data = ragged(&[1, 3, 2, 5]);
    assert_eq!(data.select(&[2, 0]), ragged(&[2, 1]));
    assert_eq!(data.range(1..3), ragged(&[3, 2]));
    assert_eq!(data.select(&[1]), ragged(&[3]));
    assert_eq!(Data::join([&data.range(0..1), &data.range(1..4)]).expect("alike"), data);
    let padded = Array3::from_shape_fn((1, 4, 2), |(_, i, f)| if i < 2 { (200 + 10 * i + f) as f32 } else { f32::NAN });
    assert_eq!(Data::new(padded).nan_rows_as_padding().expect("two rows"), ragged(&[2]));
    let mut replaced = data.clone();
    replaced.replace(&[3, 0], &ragged(&[1, 4])).expect("alike");
    assert_eq!(replaced, ragged(&[4, 3, 2, 1]));
}

#[test]
fn sets_of_sets_are_padded_in_both_axes() {
    let one = |groups: usize, n: usize| Data::new(Array4::from_elem((1, groups, n, 1), (10 * groups + n) as f32));
    let data = Data::join([&one(2, 3), &one(1, 4)]).expect("alike");
    assert_eq!(data.values().shape(), [2, 2, 4, 1]);
    assert_eq!(data.row_mask().map(ArrayD::ndim), Some(3));
    assert_eq!([0, 1].map(|m| data.num_rows(m)), [6, 4]);
    assert_eq!(data.select(&[1]), one(1, 4));
    assert_eq!(data.shape().to_string(), "[G, N, 1]");
}

#[test]
fn images_and_vectors_stand_side_by_side() {
    let data = Data::named([
        ("image", Data::new(Array4::<f32>::ones((3, 8, 6, 2)))),
        ("age", Data::new(array![1.0_f32, 2.0, 3.0])),
    ])
    .expect("as many");
    assert_eq!(data.shape().to_string(), "image [8, 6, 2], age [1]");
    assert_eq!(data.select(&[2]).input("age").map(|age| age.values()[[0, 0]]), Some(3.0));
    assert!(data.is_named() && !Data::new(array![1.0_f32]).is_named());
    assert_eq!((data.len(), data.iter().count()), (3, 3 * 97));
}

#[test]
fn what_is_missing_is_no_zero() {
    let data = Data::with_missing(array![[[1.0, f32::NAN], [0.0, 3.0]]]);
    assert_ne!(data, Data::with_missing(array![[[1.0, 0.0], [0.0, 3.0]]]));
    assert_eq!(data.value_mask(), Some(&array![[[1.0, 0.0], [1.0, 1.0]]].into_dyn()));
    // A substitute, whatever it is, does not count.
    let mask = array![[[1.0, 0.0], [1.0, 1.0]]];
    for substitute in [7.0, f32::NAN, f32::INFINITY] {
        let other = Data::new(array![[[1.0, substitute], [0.0, 3.0]]]).with_value_mask(mask.clone()).expect("fits");
        assert_eq!((&other, other.first_non_finite()), (&data, None));
    }
    let mut invalid = Data::new(array![[[1.0, f32::INFINITY], [0.0, 3.0]]]);
    assert_eq!(invalid.first_non_finite(), Some((0, f32::INFINITY)));
    invalid.mask_non_finite(&[0]);
    assert_eq!(invalid, data);
    // Padding is there neither as a row nor as values.
    let both = Data::join([&data, &Data::with_missing(array![[[5.0, 6.0]]])]).expect("alike");
    assert_eq!(both.value_mask().map(|mask| mask[[1, 1, 0]]), Some(0.0));
    assert_eq!(both.num_rows(1), 1);
}

#[test]
fn data_that_do_not_fit_are_refused_with_what_to_do() {
    let message = |result: Result<Data, InvalidData>| result.expect_err("does not fit").to_string();
    let sets = |n: usize, f: usize| Data::new(Array3::<f32>::ones((2, n, f)));
    assert!(message(Data::join([&sets(3, 1), &sets(3, 2)])).contains("[3, 2] do not fit those with [3, 1]"));
    assert!(message(Data::join([])).contains("at least one data set"));
    assert!(message(Data::join([&sets(3, 1), &sets(3, 1).nan_as_missing()])).contains("give all of them one"));
    assert!(message(Data::padded([Array2::<f32>::ones((0, 2))])).contains("has no row"));
    assert!(message(sets(3, 1).with_row_mask(array![[1.0, 1.0, 0.0]])).contains("has shape [1, 3]"));
    assert!(message(sets(2, 1).with_row_mask(array![[1.0, 0.5], [1.0, 1.0]])).contains("has a value 0.5"));
    assert!(message(sets(2, 1).with_row_mask(array![[1.0, 0.0], [0.0, 0.0]])).contains("data set 1"));
    for name in ["", "a.b", "image_mask", "x_rows"] {
        assert!(message(Data::named([(name, sets(1, 1))])).contains("cannot be named"), "{name}");
    }
    assert!(message(Data::named([("a", sets(1, 1)), ("a", sets(1, 1))])).contains("`a`"));
    let other = Data::new(Array2::<f32>::ones((3, 1)));
    assert!(message(Data::named([("a", sets(1, 1)), ("b", other)])).contains("3 data sets, and the first has 2"));
    let named = |name: &str| Data::named([(name, sets(1, 1))]).expect("sound");
    assert!(message(Data::join([&named("a"), &named("b")])).contains("[\"b\"]"));
}
