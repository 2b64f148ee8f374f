//! Checks that a saved posterior is loaded as it was, or refused with what is wrong; and that no damage goes unseen.

use crate::{
    MeanConfig, affine, config, config_of, data_sets, dense, designs, device, perturbed, pilot, untrained,
    with_inference,
};
use bayesburn_amortizers::{
    AmortizedPosterior, Amortizer, AmortizerError, PosteriorConfig, Standardization, Statistics, SummaryLoss,
    description, saved_description,
};
use bayesburn_core::{
    FileAction, FileError,
    files::{
        faults::{Fault, Faults},
        seal,
    },
};
use bayesburn_networks::{ActNormConfig, AffineNets, CouplingDesign, PermutationConfig, SoftFlowConfig};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::{fs, io::ErrorKind, path::Path};
use tempfile::{TempDir, tempdir};

fn load(folder: impl AsRef<Path>) -> Result<AmortizedPosterior, AmortizerError> {
    AmortizedPosterior::load(folder, &device())
}

fn saved(config: PosteriorConfig, dim: usize) -> (TempDir, AmortizedPosterior) {
    let folder = tempdir().expect("a temporary folder");
    let posterior = perturbed(config, &pilot(dim), 4);
    posterior.save(folder.path()).expect("the folder is writable");
    (folder, posterior)
}

#[track_caller]
fn assert_same(a: &AmortizedPosterior, b: &AmortizedPosterior, dim: usize) {
    let (theta, data) = (pilot(dim).parameters, data_sets(64, 5, 3));
    let log_prob = |posterior: &AmortizedPosterior| posterior.log_prob(&theta, &data).expect("sound");
    assert_eq!(log_prob(a), log_prob(b));
    let draws = |posterior: &AmortizedPosterior| posterior.sample(&data, 20, 5).expect("sound");
    assert_eq!(draws(a), draws(b));
    assert_eq!(description(a), description(b));
    assert_eq!(a.config(), b.config());
    assert_eq!(a.parameter_names(), b.parameter_names());
    assert_eq!(a.num_trainable_parameters(), b.num_trainable_parameters());
}

/// Into a fresh object of other initial weights: what is not loaded shows. Three dimensions have a permutation to load.
#[test]
fn a_loaded_posterior_is_the_saved_one() {
    let mut configs: Vec<PosteriorConfig> = designs().map(config_of).to_vec();
    configs
        .push(config().with_standardization(Standardization::None).with_summary_loss(SummaryLoss::Mmd { weight: 0.1 }));
    configs.push(with_inference(config(), |inference| {
        inference
            .with_permutation(PermutationConfig::Learnable)
            .with_soft_flow(Some(SoftFlowConfig::new()))
            .with_act_norm(ActNormConfig::None)
    }));
    for config in configs {
        let (folder, posterior) = saved(config, 3);
        let loaded = load(folder.path()).expect("it was just saved");
        assert_same(&posterior, &loaded, 3);
        let loss = |posterior: &AmortizedPosterior| -> f32 {
            let mut pass = bayesburn_networks::Pass::training(1);
            posterior.loss(&pilot(3), &mut pass).expect("sound").into_scalar()
        };
        assert_eq!(loss(&posterior), loss(&loaded), "training goes on from the same loss");
    }
}

#[test]
fn a_second_save_replaces_the_first() {
    let (folder, first) = saved(config(), 2);
    let second = perturbed(config(), &pilot(2), 5);
    second.save(folder.path()).expect("the folder is writable");
    let loaded = load(folder.path()).expect("it was just saved");
    assert_same(&second, &loaded, 2);
    assert_ne!(loaded.summaries(&data_sets(3, 5, 3)).ok(), first.summaries(&data_sets(3, 5, 3)).ok());
}

#[test]
fn a_folder_is_made_with_its_parents() {
    let folder = tempdir().expect("a temporary folder");
    let deep = folder.path().join("runs").join("first");
    untrained(config(), &pilot(2), 1).save(&deep).expect("the folder can be made");
    assert_eq!(saved_description(&deep).expect("saved")["format_version"], 6);
}

#[test]
fn missing_files_are_named() {
    let (folder, _) = saved(config(), 2);
    let missing = |file: &str| {
        fs::remove_file(folder.path().join(file)).expect("it was saved");
        load(folder.path()).expect_err("a file is missing")
    };
    let weights = missing("weights.safetensors");
    assert!(matches!(weights, AmortizerError::Damaged { .. }), "{weights}");
    assert!(weights.to_string().contains("`weights.safetensors` is missing"), "{weights}");
    let direct = untrained(config(), &pilot(2), 1).load_weights(folder.path()).expect_err("a file is missing");
    let configuration = missing("amortizer.json");
    assert!(matches!(direct, AmortizerError::File(FileError { action: FileAction::Read, .. })), "{direct}");
    let message = direct.to_string();
    assert!(message.starts_with("cannot read") && message.contains("weights.safetensors"), "{message}");
    let nowhere = load(folder.path().join("mistyped")).expect_err("no such folder");
    assert!(nowhere.to_string().contains("mistyped"), "{nowhere}");
    for error in [configuration, nowhere] {
        assert!(matches!(error, AmortizerError::NoAmortizer { .. }), "{error}");
        assert!(error.to_string().contains("checkpoints/step-"), "{error}");
    }
}

/// In amortizer.json and the seal every byte and every length; in the weights, which a byte for byte check would take
/// minutes for, some hundred of each, the 8 bytes of the header's length and the header's first ones among them.
#[test]
fn no_flipped_byte_and_no_truncation_goes_unseen() {
    let (folder, _) = saved(config(), 2);
    for (name, some) in [("amortizer.json", usize::MAX), ("checksums.txt", usize::MAX), ("weights.safetensors", 150)] {
        let path = folder.path().join(name);
        let whole = fs::read(&path).expect("it was saved");
        let step = whole.len().div_ceil(some).max(1);
        let places = (0..whole.len()).filter(|at| *at < some || at % step == 0);
        let refused = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).expect("writable");
            let error = load(folder.path()).expect_err(what);
            assert!(matches!(error, AmortizerError::Damaged { .. }), "{name}, {what}: {error}");
            error.to_string()
        };
        for at in places {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            refused(&flipped, &format!("byte {at} flipped"));
            refused(&whole[..at], &format!("cut to {at} bytes"));
        }
        let longer = refused(&[&whole[..], b" "].concat(), "a byte more");
        assert!(longer.contains("restore the folder from a copy") && longer.contains(name), "{longer}");
        fs::write(&path, &whole).expect("writable");
        load(folder.path()).expect("whole again");
    }
}

/// Programs and systems leave files of their own, which the seal does not name.
#[test]
fn files_of_others_are_kept_and_a_seal_that_goes_is_seen() {
    let (folder, posterior) = saved(config(), 2);
    fs::write(folder.path().join("notes.txt"), "mine").expect("writable");
    fs::write(folder.path().join("posterior.json"), "of an earlier version").expect("writable");
    load(folder.path()).expect("notes are no damage");
    posterior.save(folder.path()).expect("the folder is writable");
    load(folder.path()).expect("saved again");
    assert_eq!(fs::read(folder.path().join("notes.txt")).expect("still there"), b"mine");
    assert!(!folder.path().join("posterior.json").exists());
    fs::remove_file(folder.path().join("checksums.txt")).expect("it was saved");
    let error = load(folder.path()).expect_err("no seal");
    assert!(matches!(error, AmortizerError::Damaged { .. }) && error.to_string().contains("checksums.txt"), "{error}");
}

/// Every file operation of a second save fails once.
#[test]
fn a_second_save_that_fails_leaves_the_first() {
    let [first, second] = [4, 5].map(|seed| perturbed(config(), &pilot(2), seed));
    let mut failures = 0;
    for at in 0.. {
        let parent = tempdir().expect("a temporary folder");
        let folder = parent.path().join("posterior");
        first.save(&folder).expect("writable");
        let rule = move |n, _, _: &Path| (n == at).then_some(Fault::Error(ErrorKind::StorageFull));
        let faults = Faults::new(parent.path(), rule);
        let saved = second.save(&folder);
        let seen = faults.seen();
        drop(faults);
        let loaded = load(&folder).expect("one of both");
        let is_second = loaded.summaries(&data_sets(3, 5, 3)).ok() == second.summaries(&data_sets(3, 5, 3)).ok();
        assert_same(&loaded, if is_second { &second } else { &first }, 2);
        match saved {
            Ok(()) => assert!(is_second, "fault {at}"),
            Err(error) => {
                assert!(error.to_string().contains("cannot write"), "{error}");
                failures += 1;
            }
        }
        if seen <= at {
            break;
        }
    }
    assert!(failures >= 12, "{failures} faults");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("the folder is writable");
    let error = untrained(config(), &pilot(2), 1).save(file.join("posterior")).expect_err("a file is no folder");
    assert!(matches!(error, AmortizerError::File(FileError { action: FileAction::Write, .. })), "{error}");
    assert!(error.to_string().contains("file/posterior"), "{error}");
    // A folder where the weights' file should be.
    let taken = folder.path().join("taken");
    fs::create_dir_all(taken.join("weights.safetensors")).expect("the folder is writable");
    let error = untrained(config(), &pilot(2), 1).save(&taken).expect_err("a folder is no file");
    assert!(error.to_string().contains("cannot write") && error.to_string().contains("weights.safetensors"), "{error}");
    assert!(!taken.join("amortizer.json").exists(), "refused before anything is written");
}

#[test]
fn truncated_weights_are_refused() {
    let (folder, _) = saved(config(), 2);
    let path = folder.path().join("weights.safetensors");
    let whole = fs::read(&path).expect("it was saved");
    for len in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..len]).expect("writable");
        seal(folder.path()).expect("writable"); // what the seal does not see, the weights' own format does
        let error = load(folder.path()).expect_err("the weights are truncated");
        assert!(matches!(error, AmortizerError::Weights { .. }), "{len} bytes: {error}");
        let message = error.to_string();
        assert!(message.contains("weights.safetensors") && message.contains("damaged"), "{message}");
    }
    fs::write(&path, &whole).expect("writable");
    seal(folder.path()).expect("writable");
    load(folder.path()).expect("whole again");
}

#[test]
fn weights_of_another_architecture_name_a_tensor() {
    // Without statistics, which a change of the standardisation takes with it.
    let config_of = |design| crate::config_of(design).with_statistics(Statistics::None);
    let config = || crate::config().with_statistics(Statistics::None);
    let (folder, _) = saved(config(), 2);
    let wider = config_of(CouplingDesign::Affine(affine().with_nets(AffineNets::Shared(dense().with_units(9)))));
    let deeper = with_inference(config(), |inference| inference.with_num_coupling_layers(3));
    let shallower = with_inference(config(), |inference| inference.with_num_coupling_layers(1));
    let cases = [
        (wider, "inference.Invertible.layers.0.first", "[3, 9]"),
        (deeper, "inference.Invertible.layers.2", "is missing"),
        (shallower, "inference.Invertible.layers.1", "is not part of this network"),
        (config().with_standardization(Standardization::None), "data.mean", "is not part of this network"),
    ];
    for (other, tensor, reason) in cases {
        let error = untrained(other, &pilot(2), 1).load_weights(folder.path()).expect_err("another architecture");
        assert!(matches!(error, AmortizerError::Weights { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(tensor) && message.contains(reason), "`{tensor}`, `{reason}`: {message}");
        assert!(message.contains("another architecture") && !message.contains("Hint"), "{message}");
    }
}

/// Loads a folder whose configuration was changed by hand, and sealed.
fn with_description(change: impl FnOnce(&mut Value)) -> AmortizerError {
    let (folder, posterior) = saved(config().with_summary_loss(SummaryLoss::Mmd { weight: 0.1 }), 2);
    let mut description = description(&posterior);
    change(&mut description);
    fs::write(folder.path().join("amortizer.json"), description.to_string()).expect("writable");
    seal(folder.path()).expect("writable");
    load(folder.path()).expect_err("the description was changed")
}

fn remove(value: &mut Value, key: &str) {
    value.as_object_mut().expect("an object").remove(key).expect("the key is there");
}

#[track_caller]
fn assert_says(error: &AmortizerError, parts: &[&str]) {
    assert!(matches!(error, AmortizerError::SavedConfig { .. }), "{error}");
    let message = error.to_string();
    for part in parts.iter().chain(&["amortizer.json"]) {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// An order of dimensions that names one twice would draw what was never trained, or stop the program.
#[test]
fn orders_of_dimensions_are_looked_at() {
    let (folder, _) = saved(config(), 2);
    let path = folder.path().join("weights.safetensors");
    let mut bytes = fs::read(&path).expect("it was saved");
    let (header, metadata) = SafeTensors::read_metadata(&bytes).expect("safetensors");
    let order = metadata.offset_keys().into_iter().find(|name| name.contains("order")).expect("a permutation");
    let (start, end) = metadata.info(&order).expect("it is there").data_offsets;
    // Of two numbers both become the first.
    let size = (end - start) / 2;
    let first = bytes[8 + header + start..][..size].to_vec();
    bytes[8 + header + start + size..8 + header + end].copy_from_slice(&first);
    fs::write(&path, bytes).expect("writable");
    seal(folder.path()).expect("writable");
    let error = load(folder.path()).expect_err("no order");
    assert!(
        matches!(&error, AmortizerError::Weights { reason, .. } if reason.contains("each of them once")),
        "{error}"
    );
}

/// Networks of any size can be described; memory is taken for no more than the weights need.
#[test]
fn networks_larger_than_their_weights_are_refused() {
    let larger = |path: &str, value: Value| {
        let error = with_description(|d| *d.pointer_mut(path).expect("a setting") = value);
        assert!(matches!(error, AmortizerError::Weights { .. }), "{error}");
        assert!(
            error.to_string().contains("fewer numbers than the networks that `amortizer.json` describes"),
            "{error}"
        );
    };
    larger("/config/summary/units", json!(3000));
    larger("/config/summary/units", json!(u64::MAX));
    larger("/config/inference/Invertible/num_coupling_layers", json!(1_000_000_000_000_u64));
    larger("/config/inference/Invertible/num_coupling_layers", json!(2000));
    larger("/widths/features", json!(1_u64 << 40));
}

#[test]
fn unknown_keys_are_named() {
    assert_says(&with_description(|d| d["colour"] = json!("red")), &["`colour`"]);
    assert_says(&with_description(|d| d["config"]["colour"] = json!("red")), &["`colour`"]);
    assert_says(&with_description(|d| d["widths"]["colour"] = json!(1)), &["`colour`"]);
    assert_says(&with_description(|d| d["config"]["summary"]["colour"] = json!(1)), &["config.summary.colour"]);
    assert_says(
        &with_description(|d| d["config"]["inference"]["Invertible"]["coupling"]["Affine"]["colour"] = json!(1)),
        &["config.inference.Invertible.coupling.Affine.colour"],
    );
}

#[test]
fn missing_keys_are_named() {
    assert_says(
        &with_description(|d| remove(d, "format_version")),
        &["`format_version` is null", "a number is needed"],
    );
    assert_says(&with_description(|d| remove(d, "widths")), &["`widths`"]);
    assert_says(&with_description(|d| remove(&mut d["widths"], "features")), &["`features`"]);
    assert_says(&with_description(|d| remove(&mut d["config"], "standardization")), &["`standardization`"]);
    assert_says(&with_description(|d| remove(&mut d["config"], "summary_loss")), &["summary_loss"]);
    assert_says(&with_description(|d| remove(&mut d["config"]["summary"], "units")), &["units"]);
    assert_says(
        &with_description(|d| remove(&mut d["config"]["inference"]["Invertible"], "num_coupling_layers")),
        &["num_coupling_layers"],
    );
    assert_says(
        &with_description(|d| remove(&mut d["config"]["inference"]["Invertible"], "soft_flow")),
        &["soft_flow"],
    );
}

#[test]
fn other_versions_and_types_are_refused() {
    // A later version may also have keys that this code has never heard of: the version is what is reported.
    let later = with_description(|d| {
        d["format_version"] = json!(999);
        d["config"]["colour"] = json!("red");
    });
    assert_says(&later, &["`format_version` is 999", "reads up to 6", "a newer one"]);
    let earlier = with_description(|d| d["format_version"] = json!(4));
    assert_says(&earlier, &["`format_version` is 4", "train again"]);
    let classifier = with_description(|d| d["kind"] = json!("classifier"));
    assert_says(&classifier, &["of kind \"classifier\"", "asks for \"posterior\"", "the program that saved it"]);
    let (folder, _) = saved(config(), 2);
    let error = AmortizedPosterior::<MeanConfig>::load(folder.path(), &device()).expect_err("another summary network");
    assert_says(&error, &["of this type", "network is \"deep set\"", "asks for \"mean\""]);
    fs::write(folder.path().join("amortizer.json"), "{ \"format_version\": 6, ").expect("writable");
    seal(folder.path()).expect("writable");
    assert_says(&load(folder.path()).expect_err("not JSON"), &["EOF"]);
}

/// A setting outside its range is the configuration's own error.
#[test]
fn settings_outside_their_range_are_refused() {
    let error = with_description(|d| d["config"]["inference"]["Invertible"]["num_coupling_layers"] = json!(0));
    assert!(matches!(error, AmortizerError::Config(_)), "{error}");
    assert!(error.to_string().contains("`num_coupling_layers` is 0"), "{error}");
}

/// Numbers of 16 digits survive a file: a description that came back in another last digit would look like another
/// posterior.
#[test]
fn numbers_keep_all_their_digits() {
    let folder = tempdir().expect("a temporary folder");
    for i in 1..100 {
        let weight = (f64::from(i) * 0.7).sin().abs() * 10f64.powi(i % 9 - 6);
        let posterior = untrained(config().with_summary_loss(SummaryLoss::Mmd { weight }), &pilot(1), 1);
        posterior.save(folder.path()).expect("the folder is writable");
        let saved = saved_description(folder.path()).expect("saved");
        assert_eq!(saved, description(&posterior));
    }
}
