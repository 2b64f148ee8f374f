//! Groups the rows that can be in one batch.

use crate::{assert_same, folder, full_batch, model_with_contexts, stored};
use bayesburn_core::Simulations;
use bayesburn_simulation::{DataError, Dataset};
use ndarray::{Array, Array2, array};

/// Rows of `n` observations, with `n` as shared context.
fn batch(rows: usize, n: usize, context: f32) -> Simulations {
    let parameters = Array2::from_shape_fn((rows, 1), |(i, _)| i as f32);
    let data = Array::from_elem((rows, n, 1), context).into_dyn();
    let mut batch = Simulations::new(["mu".into()].into(), parameters, data).expect("one name, equal rows");
    batch.sim_non_batchable_context = Some(array![context].into_dyn());
    batch
}

fn rows(data: &Dataset) -> Vec<Vec<usize>> {
    data.groups().iter().map(|group| group.rows().collect()).collect()
}

#[test]
fn without_shared_context_there_is_one_group() {
    let without = |rows| Simulations { sim_non_batchable_context: None, ..batch(rows, 4, 0.0) };
    let data = Dataset::from_batches([without(2), without(3)]).expect("alike");
    assert_eq!(rows(&data), [[0, 1, 2, 3, 4]]);
    assert_eq!(data.groups()[0].len(), 5);
}

#[test]
fn rows_of_equal_shared_context_are_one_group_wherever_they_are() {
    let data = Dataset::from_batches([batch(2, 4, 4.0), batch(3, 5, 5.0), batch(1, 4, 4.0), batch(1, 4, 4.0)]);
    let data = data.expect("shapes differ with the context");
    assert_eq!(data.len(), 7);
    assert_eq!(rows(&data), [vec![0, 1, 5, 6], vec![2, 3, 4]]);
    let selected = data.select(&[6, 1, 0]).expect("of one group");
    assert_eq!(selected.parameters, array![[0.0], [1.0], [0.0]]);
    assert_eq!(selected.sim_non_batchable_context, Some(array![4.0].into_dyn()));
    assert!(matches!(data.select(&[5, 1, 4]), Err(DataError::MixedGroups { first: 5, other: 4 })));
}

/// As a shard is whose simulations were all dropped.
#[test]
fn batches_without_rows_may_lie_between_others() {
    let data = Dataset::from_batches([
        batch(0, 4, 4.0),
        batch(2, 4, 4.0),
        batch(0, 4, 4.0),
        batch(1, 4, 4.0),
        batch(0, 4, 4.0),
    ]);
    let data = data.expect("three rows");
    assert_eq!(rows(&data), [[0, 1, 2]]);
    assert_eq!(data.select(&[2, 1, 0]).expect("there").parameters, array![[0.0], [1.0], [0.0]]);
}

/// Equality is that of bits: NaN equal themselves, −0 is not 0.
#[test]
fn shared_context_is_compared_to_the_bit() {
    let groups = |a, b| Dataset::from_batches([batch(1, 4, a), batch(1, 4, b)]).expect("alike").groups().len();
    assert_eq!(groups(f32::NAN, f32::NAN), 1);
    assert_eq!(groups(0.0, -0.0), 2);
}

#[test]
fn batches_of_equal_context_and_different_shapes_are_refused() {
    let message = |other| Dataset::from_batches([batch(2, 4, 4.0), other]).expect_err("they differ").to_string();
    let shape = message(batch(2, 3, 4.0));
    assert!(shape.contains("`sim_data` is of shape [3, 1] in batch 1, and of shape [4, 1] before"), "{shape}");
    let context = message(Simulations { sim_non_batchable_context: None, ..batch(2, 4, 4.0) });
    assert!(context.contains("`sim_non_batchable_context` is missing in batch 1"), "{context}");
    let mask = message(Simulations { data: batch(2, 4, 4.0).data.nan_as_missing(), ..batch(2, 4, 4.0) });
    assert!(mask.contains("`sim_data_mask` is there in batch 1, and missing before"), "{mask}");
    let names = message(Simulations { parameter_names: ["nu".into()].into(), ..batch(2, 4, 4.0) });
    assert!(names.contains("`parameter_names` is") && names.contains("nu"), "{names}");
    // Another context explains another shape, but not other parameters.
    let wider = Simulations { parameters: Array2::zeros((2, 2)), ..batch(2, 5, 5.0) };
    assert!(matches!(
        Dataset::from_batches([batch(2, 4, 4.0), wider]),
        Err(DataError::Names { expected: 2, got: 1, .. })
    ));
}

#[test]
fn batches_that_do_not_fit_themselves_are_refused() {
    let of = |batch| Dataset::from_simulations(batch).expect_err("it does not fit");
    let short = Simulations { data: Array::zeros((1, 4, 1)).into(), ..batch(2, 4, 4.0) };
    assert!(matches!(of(short), DataError::Rows { name: "sim_data", expected: 2, got: 1, .. }));
    assert!(matches!(of(batch(0, 4, 4.0)), DataError::NoRows { .. }));
    assert!(matches!(Dataset::from_batches([]), Err(DataError::NoRows { .. })));
    let twice = Simulations { parameter_names: ["a".into(), "a".into()].into(), ..full_batch(3, 1) };
    assert!(matches!(of(twice), DataError::DuplicateName { .. }));
}

/// Each shard is a batch to the model, with its own number of observations; shards of the same number form one group.
#[test]
fn shards_of_a_model_with_shared_context_are_grouped_by_it() {
    let (folder, model) = (folder(), model_with_contexts());
    let data = model.presimulate(folder.path(), &stored(95)).expect("it runs");
    assert_eq!(data.len(), 95);
    // Of 10 shards, each with 2 or 3 observations.
    assert_eq!(data.groups().len(), 2);
    let mut all: Vec<usize> = rows(&data).concat();
    all.sort();
    assert_eq!(all, (0..95).collect::<Vec<_>>());
    for (first, len) in [(0, 10), (40, 10), (90, 5)] {
        let rows: Vec<usize> = (first..first + len).collect();
        assert_same(
            &data.select(&rows).expect("one shard"),
            &model.simulate_from(7, first as u64, len).expect("it runs"),
        );
    }
}
