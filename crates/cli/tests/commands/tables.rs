//! Reads observations from tables of pandas, R and spreadsheets.

use crate::{drawn, json, normal, refused, text};
use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
use bayesburn_inference::{NpeConfig, NpeTraining, infer};
use bayesburn_networks::{IdentityConfig, MixtureConfig};
use bayesburn_simulation::{InvalidSimulations, Prior, Simulator};
use burn::tensor::Device;
use ndarray::{Array3, Axis, arr1, array, concatenate, s};
use ndarray_npy::write_npy;
use rand::RngExt;
use std::fs;

#[test]
fn tables_of_pandas_r_and_spreadsheets_are_observations() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    // Its regression on the pilot makes it depend on the data.
    let (data, noise) = (normal((50, 1, 2), 1), normal((50, 1, 2), 2));
    let pilot = Configured::new((&data + 0.1 * noise).remove_axis(Axis(1)), Conditions::new(data)).expect("50 of each");
    let config = PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::new());
    let unnamed = AmortizedPosterior::new(config, ["a", "b"], &[pilot], 1, &Device::flex()).expect("valid");
    let posterior = unnamed.clone().with_feature_names(["rt", "choice"]).expect("two features");
    posterior.save(at.join("p")).expect("written");
    assert!(text(at, &["info", "p"], 0).contains("Features: rt, choice"));
    assert_eq!(json(at, &["info", "p"])["features"][1], "choice");
    let observed = array![[0.25, 1.0], [0.5, 0.0], [1.5, 1.0], [0.75, 1.0], [0.125, 0.0]].insert_axis(Axis(1));
    let expected = posterior.sample(&Conditions::new(observed), 20, 0).expect("draws");
    let sample = ["sample", "p", "--data", "x.csv"];
    for (content, notes) in [
        ("rt,choice\n0.25,1\n0.5,0\n1.5,1\n.75,1\n.125,0\n", vec![]),
        ("0.25,1\n0.5,0\n1.5,1\n.75,1\n.125,0\n", vec!["have no names"]),
        ("choice,rt\n1,0.25\n0,0.5\n1,1.5\n1,.75\n0,.125\n", vec!["put in the order"]),
        (",rt,choice\n0,0.25,1\n1,0.5,0\n2,1.5,1\n3,.75,1\n4,.125,0\n", vec!["has no name"]),
        ("\"rt\",\"choice\"\n\"1\",.25,1\n\"2\",.5,0\n\"3\",1.5,1\n\"4\",.75,1\n\"5\",.125,0\n", vec!["has no name"]),
        ("choice;rt\n1;0,25\n0;0,5\n1;1,5\n1;0,75\n0;0,125\n", vec!["decimal points", "put in the order"]),
        ("0,1\n0.25,1\n0.5,0\n1.5,1\n.75,1\n.125,0\n", vec!["taken for a heading", "have no names"]),
    ] {
        fs::write(at.join("x.csv"), content).expect("written");
        let (said, draws) = drawn(at, &sample);
        assert_eq!(draws, expected, "{content}");
        assert_eq!(said.matches("Note: x.csv: ").count(), notes.len(), "{said}");
        assert!(notes.iter().all(|note| said.contains(note)), "{said}");
    }
    let out = ["--out", "d.npz"];
    for (content, parts) in [
        ("rt,chioce\n0.25,1\n", vec!["\"chioce\"", "[\"rt\", \"choice\"] are expected"]),
        ("rt,choice,subject\n0.25,1,3\n", vec!["\"subject\"", "are expected"]),
        ("rt,rt\n0.25,1\n", vec!["are named `rt`"]),
        ("rt,choice\n0.25,1\n\n0.5,NA\n", vec!["line 4, column 2", "`NA`"]),
        ("2020,2021\n0.25,1\n", vec!["line 1", "--header yes"]),
        ("rt;choice\n1,250;1\n", vec!["thousands"]),
    ] {
        fs::write(at.join("x.csv"), content).expect("written");
        refused(at, &[&sample[..], &out].concat(), &parts);
    }
    // What is in doubt is said by the user.
    fs::write(at.join("x.csv"), "2020,2021\n0.25,1\n0.5,0\n1.5,1\n.75,1\n.125,0\n").expect("written");
    let (said, draws) = drawn(at, &[&sample[..], &["--header", "yes"]].concat());
    assert!(draws == expected && said.contains("name nothing"), "{said}");
    fs::write(at.join("x.csv"), "1,2\n0.25,1\n0.5,0\n1.5,1\n.75,1\n").expect("written");
    let (said, draws) = drawn(at, &[&sample[..], &["--header", "no"]].concat());
    assert!(draws != expected && said.contains("taken for [\"rt\", \"choice\"] in this order"), "{said}");
    refused(at, &[&sample[..], &out, &["--header", "maybe"]].concat(), &["maybe", "--header <yes|no>"]);

    // Without names, the order is said.
    unnamed.save(at.join("p")).expect("written");
    fs::write(at.join("x.csv"), "rt,choice\n0.25,1\n0.5,0\n1.5,1\n.75,1\n.125,0\n").expect("written");
    let (said, draws) = drawn(at, &sample);
    assert!(draws == expected && said.contains("[\"rt\", \"choice\"], were taken in this order"), "{said}");
}

#[test]
fn cells_may_be_empty_where_values_may_be_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let prior = Prior::box_uniform(["theta"], &[0.0], &[1.0]).expect("a box");
    let simulator = Simulator::from_fn(|rng, theta, _| {
        arr1(&[if rng.random_bool(0.3) { f32::NAN } else { theta[0] }, theta[0] + 0.1 * rng.random::<f32>()])
    });
    let simulator = simulator.with_feature_names(["x", "y"]).on_invalid(InvalidSimulations::Mask);
    let config = NpeConfig::new()
        .with_density_estimator(MixtureConfig::new())
        .with_training(NpeTraining::new().with_max_epochs(2));
    let posterior = infer(simulator, prior, config, 200, 1).expect("it is trained");
    posterior.save(at.join("p")).expect("written");
    fs::write(at.join("x.csv"), "y,x\n0.5,NA\n0.25,0.25\n0.75,\n").expect("written");
    let (_, draws) = drawn(at, &["sample", "p", "--data", "x.csv"]);
    let observed = array![[f32::NAN, 0.5], [0.25, 0.25], [f32::NAN, 0.75]];
    assert_eq!(draws, posterior.sample_for(&observed, 20, 0).expect("draws"));
}

/// The mask is put behind the features that may be missing, and contexts behind that.
#[test]
fn cells_may_be_empty_for_networks_that_see_a_mask() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let conditions = |data: Array3<f32>| {
        let context = data.slice(s![.., .., 2..]).to_owned();
        let mut conditions = Conditions::with_missing(data.slice(s![.., .., ..2]).to_owned());
        conditions.data =
            concatenate(Axis(2), &[conditions.sets(), context.view()]).expect("of the same data sets").into();
        conditions
    };
    let mut data = normal((60, 1, 3), 1);
    let theta = data.slice(s![.., 0, ..2]).to_owned();
    data.slice_mut(s![..20, .., 0]).fill(f32::NAN);
    let pilot = Configured::new(theta, conditions(data)).expect("60 of each");
    let config = PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::new());
    let posterior = AmortizedPosterior::new(config, ["a", "b"], &[pilot], 1, &Device::flex()).expect("valid");
    let posterior = posterior.with_feature_names(["x", "y"]).expect("two features");
    posterior.save(at.join("p")).expect("written");
    let observed = array![[0.5, 0.25, 1.0], [f32::NAN, 0.5, 0.0]].insert_axis(Axis(1));
    let expected = posterior.sample(&conditions(observed.clone()), 20, 0).expect("draws");
    fs::write(at.join("x.csv"), "age,y,x\n1,0.25,0.5\n0,0.5,NA\n").expect("written");
    assert_eq!(drawn(at, &["sample", "p", "--data", "x.csv"]).1, expected);
    write_npy(at.join("x.npy"), &observed).expect("written");
    assert_eq!(drawn(at, &["sample", "p", "--data", "x.npy"]).1, expected);
    // As a configurator makes them.
    write_npy(at.join("x.npy"), &conditions(observed).sets()).expect("written");
    assert_eq!(drawn(at, &["sample", "p", "--data", "x.npy"]).1, expected);
    fs::write(at.join("x.csv"), "age,y,x\nNA,0.25,0.5\n").expect("written");
    refused(at, &["sample", "p", "--data", "x.csv", "--out", "d.npz"], &["NaN"]);
    fs::write(at.join("x.csv"), "y,x\n0.25,0.5\n").expect("written");
    refused(at, &["sample", "p", "--data", "x.csv", "--out", "d.npz"], &["[\"x\", \"y\"] and 1 more are expected"]);
}
