//! Writes batches and reads them back to the bit.

use crate::{assert_same, finite_batch, folder, full_batch, plain_model, stored};
use bayesburn_core::{Data, Simulations};
use bayesburn_simulation::{DataError, Dataset, InvalidSimulations, load_simulations, save_simulations};
use ndarray::Axis;
use rand::{RngExt, SeedableRng};
use std::fs;

#[test]
fn a_file_gives_back_the_batch_to_the_bit() {
    let folder = folder();
    let path = folder.path().join("batch.safetensors");
    for rows in [1, 2, 1000] {
        let batch = full_batch(rows, rows as u64);
        save_simulations(&batch, &path).expect("writable");
        assert_same(&load_simulations(&path).expect("just written"), &batch);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
}

#[test]
fn the_same_batch_gives_the_same_bytes() {
    let folder = folder();
    let bytes = |name: &str| {
        let path = folder.path().join(name);
        save_simulations(&full_batch(20, 1), &path).expect("writable");
        fs::read(path).expect("just written")
    };
    assert!(bytes("a") == bytes("b"));
}

/// Views with other strides than row-major, such as a transposed array, are written by rows.
#[test]
fn arrays_in_any_memory_order_are_written_by_rows() {
    let folder = folder();
    let path = folder.path().join("batch.safetensors");
    let mut batch = finite_batch(6, 3);
    let mut values = batch.data.values().clone();
    values.swap_axes(1, 2);
    batch.data = Data::new(values);
    batch.parameters.invert_axis(Axis(0));
    save_simulations(&batch, &path).expect("writable");
    assert_same(&load_simulations(&path).expect("just written"), &batch);
    let data = Dataset::from_simulations(batch.clone()).expect("sound");
    assert_same(&data.select(&[3, 1]).expect("there"), &batch.select(&[3, 1]));
    // A slice shares its vector with what was cut off.
    let mut values = batch.data.values().clone();
    values.slice_axis_inplace(Axis(0), (2..5).into());
    batch.data = Data::new(values);
    batch.parameters.slice_axis_inplace(Axis(0), (2..5).into());
    (batch.prior_batchable_context, batch.sim_batchable_context, batch.proposals) = (None, None, None);
    let data = Dataset::from_simulations(batch.clone()).expect("sound");
    assert_same(&data.select(&[2, 0]).expect("there"), &batch.select(&[2, 0]));
}

/// Any rows of a data set, in memory, in a file and in a store, are those of the batch.
#[test]
fn selected_rows_are_those_of_the_batch() {
    let folder = folder();
    let path = folder.path().join("batch.safetensors");
    let batch = finite_batch(50, 5);
    save_simulations(&batch, &path).expect("writable");
    let (mapped, memory) =
        (Dataset::open(&path).expect("sound"), Dataset::from_simulations(batch.clone()).expect("sound"));
    let store = plain_model().presimulate(folder.path().join("store"), &stored(50)).expect("it runs");
    let simulated = plain_model().simulate(50, 7).expect("it runs");
    let rng = &mut bayesburn_core::StreamRng::seed_from_u64(1);
    for _ in 0..200 {
        let rows: Vec<usize> = (0..rng.random_range(1..40)).map(|_| rng.random_range(0..50)).collect();
        assert_same(&mapped.select(&rows).expect("there"), &batch.select(&rows));
        assert_same(&memory.select(&rows).expect("there"), &batch.select(&rows));
        assert_same(&store.select(&rows).expect("there"), &simulated.select(&rows));
    }
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let data = Dataset::from_simulations(finite_batch(5, 1)).expect("sound");
    assert!(matches!(data.select(&[0, 5]), Err(DataError::RowOutOfRange { row: 5, len: 5 })));
    assert!(matches!(data.select(&[]), Err(DataError::NothingSelected)));
}

#[test]
fn a_clone_on_another_thread_reads_the_same() {
    let data = Dataset::from_simulations(finite_batch(5, 1)).expect("sound");
    let clone = data.clone();
    let there = std::thread::spawn(move || clone.select(&[4, 2])).join().expect("no panic");
    assert_same(&there.expect("there"), &data.select(&[4, 2]).expect("there"));
    assert_eq!(format!("{data:?}"), r#"Dataset { parameter_names: ["mu", "ν \"2\""], len: 5, groups: 1, .. }"#);
}

#[test]
fn rows_that_are_not_finite_are_named_or_dropped_or_masked() {
    let mut batch = plain_model().simulate(30, 1).expect("it runs");
    batch.data.update(|mut values| values[[20, 3, 1]] = f32::NAN);
    let data = Dataset::from_simulations(batch.clone()).expect("sound");
    let message = data.select(&[3, 20]).expect_err("one is NaN").to_string();
    assert!(message.contains("row 20") && message.contains("[3, 1]"), "{message}");
    assert_eq!(data.select(&[3, 19]).expect("finite"), batch.select(&[3, 19]));
    let of = |policy| data.clone().on_invalid(policy).expect("possible").select(&[3, 20]).expect("handled");
    let dropped = of(InvalidSimulations::Drop);
    assert_eq!((dropped.len(), dropped.invalid[0].index), (1, 20));
    let masked = of(InvalidSimulations::Mask);
    let mask = masked.data.value_mask().expect("always there");
    assert_eq!((mask.sum(), mask[[1, 3, 1]]), (15.0, 0.0));
    let redraw = data.on_invalid(InvalidSimulations::Redraw { max_attempts: 3 });
    assert!(redraw.expect_err("impossible").to_string().contains("cannot be redrawn"));
}

#[test]
fn joined_data_sets_have_the_rows_of_one_after_those_of_the_other() {
    let folder = folder();
    let store = plain_model().presimulate(folder.path().join("store"), &stored(25)).expect("it runs");
    let memory = Dataset::from_simulations(plain_model().simulate(5, 3).expect("it runs")).expect("sound");
    let joined = Dataset::join([&store, &memory]).expect("of one model");
    assert_eq!((joined.len(), joined.groups().len()), (30, 1));
    let expected = [store.select(&[24]).expect("there"), memory.select(&[4]).expect("there")];
    assert_eq!(joined.select(&[24, 29]).expect("there"), Simulations::join(&expected).expect("alike"));
    joined.verify().expect("untouched");
    assert!(matches!(Dataset::join([]), Err(DataError::NoRows { .. })));
    let other = Dataset::from_simulations(finite_batch(5, 1)).expect("sound");
    assert!(Dataset::join([&store, &other]).is_err());
}
