//! Opens stores and files that are damaged, incomplete or of something else.

use crate::{contents, folder, full_batch, plain_model, stored};
use bayesburn_simulation::{DataError, Dataset, GenerativeModel, Simulator, load_simulations, save_simulations};
use ndarray::Array2;
use std::{fs, path::Path};
use tempfile::TempDir;

fn store() -> TempDir {
    let folder = folder();
    plain_model().presimulate(folder.path(), &stored(25)).expect("it runs");
    folder
}

fn replace_in_manifest(folder: &Path, from: &str, to: &str) {
    let path = folder.join("manifest.json");
    let text = fs::read_to_string(&path).expect("a manifest");
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).expect("writable");
}

fn error(path: impl AsRef<Path>) -> DataError {
    Dataset::open(path).expect_err("it cannot be opened")
}

#[test]
fn folders_without_data_are_refused_with_what_they_hold() {
    let folder = folder();
    assert!(error(folder.path()).to_string().contains("it holds nothing"));
    fs::write(folder.path().join("a.txt"), "").expect("writable");
    fs::write(folder.path().join("shard-000000.safetensors"), "").expect("writable");
    assert!(error(folder.path()).to_string().contains("it holds a.txt, shard-000000.safetensors"));
    assert!(matches!(error(folder.path().join("nowhere")), DataError::File(_)));
}

#[test]
fn files_of_another_type_are_refused() {
    let folder = folder();
    let path = folder.path().join("data.csv");
    fs::write(&path, "theta,x\n1,2\n").expect("writable");
    assert!(matches!(error(&path), DataError::FileType { .. }));
    for name in ["data.safetensors", "data.npz"] {
        fs::copy(&path, folder.path().join(name)).expect("writable");
        assert!(matches!(error(folder.path().join(name)), DataError::Damaged { .. }), "{name}");
        fs::write(folder.path().join(name), "").expect("writable");
        assert!(matches!(error(folder.path().join(name)), DataError::Damaged { .. }), "{name}, empty");
    }
}

#[test]
fn a_newer_manifest_is_refused_before_anything_else_in_it() {
    let store = store();
    replace_in_manifest(store.path(), "\"format_version\": 1", "\"format_version\": 2, \"new\": []");
    assert!(matches!(error(store.path()), DataError::Version { expected: 1, got: 2, .. }));
    let again = plain_model().presimulate(store.path(), &stored(25));
    assert!(matches!(again, Err(DataError::Version { .. })));
}

#[test]
fn keys_that_are_unknown_or_missing_and_text_that_is_no_json_are_refused() {
    for (from, to, named) in [
        ("\"seed\"", "\"sed\"", "sed"),
        ("\"rows\"", "\"row\"", "row"),
        ("\"seed\": 7,", "", "seed"),
        ("\"format_version\": 1,", "", "format_version"),
        ("{", "", "line 2"),
        ("shard-000001", "shard-000002", "shard 1"),
        ("\"first\": 10", "\"first\": 11", "simulation 11"),
    ] {
        let store = store();
        replace_in_manifest(store.path(), from, to);
        match error(store.path()) {
            DataError::Manifest { message, .. } => assert!(message.contains(named), "{message}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_missing_shard_is_named_and_simulated_again() {
    let store = store();
    let before = contents(store.path());
    let path = store.path().join("shard-000001.safetensors");
    fs::remove_file(&path).expect("there");
    match error(store.path()) {
        DataError::Missing { path: missing } => assert_eq!(missing, path),
        other => panic!("{other}"),
    }
    plain_model().presimulate(store.path(), &stored(25)).expect("it runs");
    assert!(contents(store.path()) == before);
    // Another model gives another shard, whatever it is called.
    fs::remove_file(&path).expect("there");
    let simulator = Simulator::from_fn(|_, _, _| Array2::ones((4, 2)));
    let other = GenerativeModel::new(crate::normal_prior(), simulator).expect("sound");
    assert!(matches!(other.presimulate(store.path(), &stored(25)), Err(DataError::NotReproduced { .. })));
    plain_model().presimulate(store.path(), &stored(25)).expect("the right model");
    assert!(contents(store.path()) == before);
}

#[test]
fn a_shard_cut_short_or_of_another_store_is_found_when_opening() {
    let store = store();
    let path = store.path().join("shard-000001.safetensors");
    let whole = fs::read(&path).expect("a shard");
    for len in [0, 1, 8, 100, whole.len() - 1] {
        fs::write(&path, &whole[..len]).expect("writable");
        assert!(matches!(error(store.path()), DataError::Damaged { .. }), "cut to {len}");
        assert!(matches!(load_simulations(&path), Err(DataError::Damaged { .. })), "cut to {len}");
    }
    let last = fs::read(store.path().join("shard-000002.safetensors")).expect("a shard");
    fs::write(&path, last).expect("writable");
    assert!(matches!(error(store.path()), DataError::Damaged { .. }), "of 5 rows");
    fs::write(&path, whole).expect("writable");
    replace_in_manifest(store.path(), "\"rows\": 10", "\"rows\": 9");
    assert!(error(store.path()).to_string().contains("10 rows"));
}

/// A header of the same length that says something else.
#[test]
fn a_changed_header_is_found_when_opening() {
    for (from, to) in [("[10,4,2]", "[11,4,2]"), ("\"F32\"", "\"F64\""), ("sim_data", "sim_date"), ("nu", "mu")] {
        let store = store();
        let path = store.path().join("shard-000001.safetensors");
        let bytes = fs::read(&path).expect("a shard");
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("in the header");
        let changed = [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat();
        fs::write(&path, changed).expect("writable");
        let error = error(store.path());
        assert!(matches!(error, DataError::Damaged { .. } | DataError::UnknownArray { .. }), "{from}: {error}");
    }
}

/// Shards of other shapes, in a store whose manifest says nothing against them.
#[test]
fn shards_of_different_shapes_are_refused() {
    let (store, other) = (store(), folder());
    let simulator = Simulator::from_fn(|_, _, _| Array2::ones((2, 4)));
    let model = GenerativeModel::new(crate::normal_prior(), simulator).expect("sound");
    model.presimulate(other.path(), &stored(25)).expect("it runs");
    fs::copy(other.path().join("shard-000001.safetensors"), store.path().join("shard-000001.safetensors"))
        .expect("copied");
    match error(store.path()) {
        DataError::Differs { quantity, expected, got, .. } => {
            assert_eq!((quantity, &*expected, &*got), ("sim_data", "of shape [4, 2]", "of shape [2, 4]"));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn verify_finds_every_flipped_byte() {
    let store = store();
    let data = Dataset::open(store.path()).expect("sound");
    data.verify().expect("as it was written");
    let path = store.path().join("shard-000002.safetensors");
    let whole = fs::read(&path).expect("a shard");
    for i in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[i] ^= 1 << (i % 8);
        // By another file in its place, since this one is mapped.
        fs::write(path.with_extension("new"), flipped).expect("writable");
        fs::rename(path.with_extension("new"), &path).expect("renamed");
        match data.verify() {
            Err(DataError::Changed { path: changed, .. }) => assert_eq!(changed, path),
            other => panic!("byte {i}: {other:?}"),
        }
    }
    fs::remove_file(&path).expect("there");
    assert!(matches!(data.verify(), Err(DataError::Missing { .. })));
    assert_eq!(data.select(&[24]).expect("still mapped").len(), 1);
    Dataset::from_simulations(full_batch(2, 1)).expect("sound").verify().expect("nothing to compare");
}

#[test]
fn a_store_without_simulations_is_refused_and_goes_on() {
    let store = store();
    let path = store.path().join("manifest.json");
    let text = fs::read_to_string(&path).expect("a manifest");
    let shards = text.find("\"shards\"").expect("its last key");
    fs::write(&path, text[..shards].to_owned() + "\"shards\": []}").expect("writable");
    assert!(matches!(error(store.path()), DataError::NoRows { .. }));
    assert_eq!(plain_model().presimulate(store.path(), &stored(25)).expect("it runs").len(), 25);
    assert_eq!(fs::read_to_string(&path).expect("a manifest"), text);
}

#[test]
fn a_batch_that_does_not_fit_itself_is_not_saved() {
    let folder = folder();
    let mut batch = full_batch(4, 1);
    batch.parameters = Array2::zeros((3, 2));
    let refused = save_simulations(&batch, folder.path().join("batch.safetensors"));
    assert!(matches!(refused, Err(DataError::Rows { expected: 3, got: 4, .. })), "{refused:?}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

/// No simulation, and a product of the other axes beyond the largest integer: each is refused by its shape.
#[test]
fn shapes_that_nothing_can_hold_are_refused() {
    let folder = folder();
    let npy = |shape: &str| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let header = format!("{header:<117}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat()
    };
    for shape in ["(0, 9223372036854775808, 4)", "(0, 4611686018427387904, 4, 1)"] {
        fs::write(folder.path().join("parameters.npy"), npy("(0, 1)")).expect("writable");
        fs::write(folder.path().join("sim_data.npy"), npy(shape)).expect("writable");
        let error = error(folder.path()).to_string();
        let axes = shape.trim_matches(['(', ')']);
        assert!(error.contains("sim_data.npy` is damaged") && error.contains(axes), "{error}");
    }
    let header = r#"{"parameters":{"dtype":"F32","shape":[0,1],"data_offsets":[0,0]},
        "sim_data":{"dtype":"F32","shape":[0,9223372036854775808,4],"data_offsets":[0,0]}}"#;
    let path = folder.path().join("a.safetensors");
    fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).expect("writable");
    for error in [error(&path), load_simulations(&path).expect_err("no such array")] {
        let error = error.to_string();
        assert!(error.contains("does not lie within") && error.contains("9223372036854775808"), "{error}");
    }
}
