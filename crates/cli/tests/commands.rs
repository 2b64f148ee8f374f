//! The commands, on files, as a shell runs them.

use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
use bayesburn_core::{Data, Draws, Purpose, stream};
use bayesburn_inference::{NpeConfig, NpeTraining, Posterior, infer};
use bayesburn_io::{TableOptions, write_arrays, write_draws};
use bayesburn_networks::{DeepSetConfig, IdentityConfig, InvertibleNetworkConfig, MixtureConfig};
use bayesburn_simulation::{InvalidSimulations, Prior, Simulator};
use burn::tensor::Device;
use ndarray::{Array1, Array2, Array3, Axis, arr1, array, concatenate, s};
use ndarray_npy::{read_npy, write_npy};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// Runs `bayesburn` in a folder.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bayesburn")).args(arguments).current_dir(folder).output().expect("it starts")
}

/// What it prints when it leaves with this code.
#[track_caller]
fn text(folder: &Path, arguments: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = run(folder, arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
    // What went wrong is on the error stream, and what a machine reads is not.
    if code == 2 { stderr.into_owned() } else { stdout.into_owned() }
}

#[track_caller]
fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&text(folder, &[arguments, &["--json"]].concat(), 0)).expect("JSON")
}

/// What the command says that cannot run.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let error = text(folder, arguments, 2);
    for part in parts {
        assert!(error.contains(part), "{arguments:?}: `{part}` is not in: {error}");
    }
}

/// The draws of a file.
fn read_draws(path: impl AsRef<Path>) -> Result<Draws, bayesburn_io::IoError> {
    bayesburn_io::read_draws(path, &TableOptions::new()).map(|read| read.value)
}

fn normal(shape: (usize, usize, usize), seed: u64) -> Array3<f32> {
    let mut rng = stream(seed, Purpose::new("command tests"), 0);
    Array3::from_shape_simple_fn(shape, || rng.sample(StandardNormal))
}

fn untrained(direct: usize, seed: u64) -> AmortizedPosterior<DeepSetConfig> {
    let config = PosteriorConfig::new(DeepSetConfig::new(3).with_units(8), InvertibleNetworkConfig::new());
    AmortizedPosterior::new(config, ["a", "b", "c"], &[pilot(5, direct), pilot(4, direct)], seed, &Device::flex())
        .expect("valid")
}

/// Simulations of so many observations, which are told of that number.
fn pilot(n: usize, direct: usize) -> Configured {
    let mut conditions = Conditions::new(normal((20, n, 2), 1));
    if direct > 0 {
        conditions = conditions.with_direct(Array2::from_elem((20, direct), n as f32));
    }
    Configured::new(normal((20, 1, 3), 2).remove_axis(Axis(1)), conditions).expect("20 of each")
}

#[test]
fn draws_and_densities_are_those_of_the_posterior() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let posterior = untrained(0, 7);
    // As a program leaves them: the newest checkpoint counts.
    untrained(0, 8).save(at.join("run/checkpoints/step-00000009")).expect("written");
    posterior.save(at.join("run/checkpoints/step-00000010")).expect("written");
    let data = normal((3, 5, 2), 3);
    write_npy(at.join("x.npy"), &data.mapv(f64::from)).expect("written");
    let expected = posterior.sample(&Conditions::new(data.clone()), 50, 4).expect("draws");
    for out in ["draws.npz", "new/draws.csv", "draws.safetensors"] {
        let said = text(at, &["sample", "run", "--data", "x.npy", "--draws", "50", "--seed", "4", "--out", out], 0);
        assert!(said.contains("3 x 50 draws"), "{said}");
        assert_eq!(read_draws(at.join(out)).expect("draws"), expected, "{out}");
    }
    let said = json(at, &["sample", "run", "--data", "x.npy", "--draws", "50", "--seed", "4", "--out", "draws.nc"]);
    assert_eq!((&said["data_sets"], &said["draws"], &said["parameters"][2]), (&3.into(), &50.into(), &"c".into()));
    assert!((said["mean"][2][1].as_f64().expect("a number") - expected.mean()[[2, 1]]).abs() < 1e-12);

    // Columns in another order than the posterior's.
    fs::write(at.join("theta.csv"), "c,a,b\n3,1,2\n6,4,5\n9,7,8\n").expect("written");
    let theta = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]];
    let expected = posterior.log_prob(&theta, &Conditions::new(data)).expect("densities");
    let arguments = ["log-prob", "run/checkpoints", "--data", "x.npy", "--parameters", "theta.csv"];
    let lines = text(at, &arguments, 0);
    let values: Array1<f32> = lines.lines().map(|line| line.parse::<f32>().expect("a number")).collect();
    assert_eq!(values, expected);
    text(at, &[&arguments[..], &["--out", "q.npy"]].concat(), 0);
    assert_eq!(read_npy::<_, Array1<f32>>(at.join("q.npy")).expect("written"), expected);

    let info = json(at, &["info", "run"]);
    assert_eq!(info["posterior"]["summary_network"], "deep set");
    assert_eq!(info["num_trainable_parameters"], posterior.num_trainable_parameters());
    let words = text(at, &["info", "run/checkpoints/step-00000009"], 0);
    assert!(words.contains("a, b, c") && words.contains("2 features"), "{words}");

    // In several pieces, as in one.
    let many = normal((600, 5, 2), 4);
    write_npy(at.join("many.npy"), &many).expect("written");
    text(at, &["sample", "run", "--data", "many.npy", "--draws", "500", "--out", "many.npz"], 0);
    let expected = posterior.sample(&Conditions::new(many), 500, 0).expect("draws");
    assert_eq!(read_draws(at.join("many.npz")).expect("draws"), expected);

    let own = ["export", "run/checkpoints/step-00000010", "--out", "run/checkpoints/step-00000010/posterior.npz"];
    refused(at, &own, &["another folder"]);
    let said = json(at, &["export", "run", "--out", "weights.npz"]);
    assert!(said["numbers"].as_u64().expect("a count") >= posterior.num_trainable_parameters() as u64);
    assert!(fs::read_to_string(at.join("weights.json")).expect("written").contains("\"summary_network\""));
}

/// What is said on the error stream of a command that runs, and the draws that it wrote.
#[track_caller]
fn drawn(folder: &Path, arguments: &[&str]) -> (String, Draws) {
    let output = run(folder, &[arguments, &["--draws", "20", "--out", "d.npz"]].concat());
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {notes}");
    (notes, read_draws(folder.join("d.npz")).expect("draws"))
}

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

/// By rows of NaN, by a mask of rows, and each by itself without either; of networks that see what is missing, too.
#[test]
fn data_sets_may_be_of_different_lengths() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let sets = |lengths: &[usize]| {
        let of = |(m, &n): (usize, &usize)| normal((1, n, 2), m as u64).index_axis_move(Axis(0), 0);
        Data::padded(lengths.iter().enumerate().map(of)).expect("of one width")
    };
    let lengths: Vec<usize> = (0..60).map(|m| 5 + m % 7).collect();
    let networks = || PosteriorConfig::new(DeepSetConfig::new(3).with_units(8), MixtureConfig::new());
    for masked in [false, true] {
        let conditions = |data: Data| Conditions::from(if masked { data.nan_as_missing() } else { data });
        // Parameters follow the length, which the regression sees: so do the draws of networks that are not trained.
        let noise = normal((60, 1, 2), 1).index_axis_move(Axis(1), 0);
        let theta = Array2::from_shape_fn((60, 2), |(m, d)| (lengths[m] as f32).ln() + 0.01 * noise[[m, d]]);
        let pilot = Configured::new(theta, conditions(sets(&lengths)));
        let pilot = [pilot.expect("60 of each")];
        let posterior = AmortizedPosterior::new(networks(), ["a", "b"], &pilot, 1, &Device::flex()).expect("valid");
        posterior.save(at.join("p")).expect("written");
        let mut observed = sets(&[5, 9]);
        if masked {
            observed.update(|mut values| values[[1, 3, 0]] = f32::NAN);
        }
        let expected = posterior.sample(&conditions(observed.clone()), 20, 0).expect("draws");
        assert_ne!(expected, posterior.sample(&conditions(sets(&[9, 9])), 20, 0).expect("draws"));
        let mut rows_of_nan = observed.observations();
        rows_of_nan.index_axis_mut(Axis(0), 0).slice_axis_mut(Axis(0), (5..).into()).fill(f32::NAN);
        write_npy(at.join("x.npy"), &rows_of_nan).expect("written");
        assert_eq!(drawn(at, &["sample", "p", "--data", "x.npy"]).1, expected, "masked: {masked}");
        let values = observed.values().clone();
        let rows = observed.row_mask().expect("of two lengths").clone();
        write_arrays(at.join("x.npz"), &[("x".to_owned(), values), ("x_rows".to_owned(), rows)]).expect("written");
        assert_eq!(drawn(at, &["sample", "p", "--data", "x.npz"]).1, expected, "masked: {masked}");
        let (_, alone) = drawn(at, &["sample", "p", "--data", "x.npz:x"]);
        assert_eq!(alone.num_data_sets(), 2);
    }
    write_npy(at.join("x.npy"), &Array1::<f32>::zeros(3)).expect("written");
    refused(at, &["sample", "p", "--data", "x.npy", "--out", "d.npz"], &["shape [3]", "[N, 4]"]);
}

#[test]
fn truths_of_pandas_and_r_are_judged_as_plain_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    judged(at, 1.0);
    let truths: Array2<f32> = read_npy(at.join("truths.npy")).expect("written");
    let judge = |table: &str| {
        fs::write(at.join("t.csv"), table).expect("written");
        let output = run(at, &["diagnose", "--draws", "draws.npz", "--truths", "t.csv", "--data", "x.npy", "--json"]);
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{notes}");
        (notes, output.stdout)
    };
    let rows = |row: &dyn Fn(usize, f32, f32) -> String| -> String {
        truths.outer_iter().enumerate().map(|(i, theta)| row(i, theta[0], theta[1])).collect()
    };
    let plain = judge(&format!("mu,nu\n{}", rows(&|_, mu, nu| format!("{mu},{nu}\n"))));
    assert_eq!(plain.0, "");
    for (table, note) in [
        (format!(",mu,nu\n{}", rows(&|i, mu, nu| format!("{i},{mu},{nu}\n"))), "has no name"),
        (format!("\"mu\",\"nu\"\n{}", rows(&|i, mu, nu| format!("\"{}\",{mu},{nu}\n", i + 1))), "has no name"),
        (format!("nu,mu\n{}", rows(&|_, mu, nu| format!("{nu},{mu}\n"))), "put in the order"),
        (format!("mu,nu,.draw\n{}", rows(&|i, mu, nu| format!("{mu},{nu},{i}\n"))), ".draw"),
        (format!("0,1\n{}", rows(&|_, mu, nu| format!("{mu},{nu}\n"))), "taken for a heading"),
    ] {
        let (notes, report) = judge(&table);
        assert!(notes.contains(note), "{notes}");
        assert_eq!(report, plain.1, "{note}");
    }
}

/// Data of networks that take one observation are vectors.
#[test]
fn vectors_are_data_sets() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let vectors = normal((20, 1, 3), 1);
    let pilot = Configured::new(normal((20, 1, 2), 2).remove_axis(Axis(1)), Conditions::new(vectors.clone()));
    let config = PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::new());
    let pilot = [pilot.expect("20 of each")];
    let posterior = AmortizedPosterior::new(config, ["a", "b"], &pilot, 1, &Device::flex()).expect("valid");
    posterior.save(at.join("p")).expect("written");
    write_npy(at.join("x.npy"), &vectors.clone().remove_axis(Axis(1))).expect("written");
    text(at, &["sample", "p", "--data", "x.npy", "--draws", "7", "--out", "d.npz"], 0);
    let expected = posterior.sample(&Conditions::new(vectors.clone()), 7, 0).expect("draws");
    assert_eq!(read_draws(at.join("d.npz")).expect("draws"), expected);
    let first = vectors.index_axis(Axis(0), 0).to_owned();
    write_npy(at.join("x.npy"), &first.clone().remove_axis(Axis(0))).expect("written");
    text(at, &["sample", "p", "--data", "x.npy", "--draws", "7", "--out", "d.npz"], 0);
    let expected = posterior.sample(&Conditions::one(first), 7, 0).expect("draws");
    assert_eq!(read_draws(at.join("d.npz")).expect("draws"), expected);
}

#[test]
fn what_networks_were_not_trained_on_is_refused_or_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let config = PosteriorConfig::new(DeepSetConfig::new(3).with_units(8), InvertibleNetworkConfig::new());
    let many = Conditions::new(normal((200, 5, 2), 1));
    let pilot = Configured::new(normal((200, 1, 3), 2).remove_axis(Axis(1)), many).expect("200 of each");
    let posterior = AmortizedPosterior::new(config, ["a", "b", "c"], &[pilot], 1, &Device::flex()).expect("valid");
    let posterior = posterior.with_feature_names(["rt", "accuracy"]).expect("of two features");
    posterior.save(at.join("posterior")).expect("written");
    let info = text(at, &["info", "posterior"], 0);
    assert!(info.contains("Trained on: data sets of 5 observations"), "{info}");

    write_npy(at.join("x.npy"), &normal((1, 7, 2), 3)).expect("written");
    let sample = ["sample", "posterior", "--data", "x.npy", "--out", "d.npz"];
    refused(at, &sample, &["of 7 observations", "of 5 alone", "--any-num-observations"]);
    let allowed = run(at, &[&sample[..], &["--any-num-observations"]].concat());
    let said = String::from_utf8_lossy(&allowed.stderr).into_owned();
    assert!(allowed.status.success() && said.contains("Warning: the data have 7 observations"), "{said}");

    let mut data = normal((1, 5, 2), 3);
    write_npy(at.join("x.npy"), &data).expect("written");
    assert_eq!(String::from_utf8_lossy(&run(at, &sample).stderr), "");
    data[[0, 2, 1]] = 850.0;
    write_npy(at.join("x.npy"), &data).expect("written");
    let said = String::from_utf8_lossy(&run(at, &sample).stderr).into_owned();
    for part in ["Warning: the data are unlike any simulation", "column `accuracy` is 8", "standard deviations"] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    fs::write(at.join("theta.csv"), "a,b,c\n0.1,0.2,0.3\n").expect("written");
    let log_prob = run(at, &["log-prob", "posterior", "--data", "x.npy", "--parameters", "theta.csv"]);
    let said = String::from_utf8_lossy(&log_prob.stderr).into_owned();
    assert!(log_prob.status.success() && said.contains("unlike any simulation"), "{said}");
}

#[test]
fn what_the_network_is_told_beside_the_data_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let posterior = untrained(1, 7);
    posterior.save(at.join("posterior")).expect("written");
    let data = normal((2, 4, 2), 3);
    write_npy(at.join("x.npy"), &data).expect("written");
    fs::write(at.join("n.csv"), "4\n4\n").expect("written");
    text(at, &["sample", "posterior", "--data", "x.npy", "--direct", "n.csv", "--out", "d.npz"], 0);
    let expected = posterior.sample(&Conditions::new(data).with_num_observations(), 1000, 0).expect("draws");
    assert_eq!(read_draws(at.join("d.npz")).expect("draws"), expected);
    // The number of observations is that of the data, if nothing else is said.
    text(at, &["sample", "posterior", "--data", "x.npy", "--out", "n.npz"], 0);
    assert_eq!(read_draws(at.join("n.npz")).expect("draws"), expected);
    fs::write(at.join("n.csv"), "4,1\n4,1\n").expect("written");
    let two = ["sample", "posterior", "--data", "x.npy", "--direct", "n.csv", "--out", "d.npz"];
    refused(at, &two, &["n.csv: 2 numbers", "takes 1"]);
    fs::write(at.join("wide.csv"), "1,2,3\n").expect("written");
    fs::write(at.join("n.csv"), "1\n").expect("written");
    let wide = ["sample", "posterior", "--data", "wide.csv", "--direct", "n.csv", "--out", "d.npz"];
    refused(at, &wide, &["wide.csv: 3 numbers", "takes 2"]);
    fs::write(at.join("n.csv"), "4\n4\n4\n").expect("written");
    let three = ["sample", "posterior", "--data", "x.npy", "--direct", "n.csv", "--out", "d.npz"];
    refused(at, &three, &["n.csv", "[3, 1]", "[2, C]"]);
}

#[test]
fn draws_of_an_inference_stay_inside_its_prior() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let prior = Prior::box_uniform(["x", "y"], &[0.0, 0.0], &[1.0, 1.0]).expect("a box");
    let simulator =
        Simulator::from_fn(|rng, theta, _| arr1(&[theta[0] + 0.3 * rng.sample::<f32, _>(StandardNormal), theta[1]]));
    let config = NpeConfig::new()
        .with_density_estimator(MixtureConfig::new())
        .with_training(NpeTraining::new().with_max_epochs(2));
    let posterior = infer(simulator, prior, config, 200, 1).expect("it is trained");
    let posterior = posterior.with_observation(arr1(&[0.1, 0.9])).expect("two numbers");
    // As in the folder of an inference, where the newest counts.
    posterior.save(at.join("inference/posterior-001")).expect("written");
    fs::create_dir(at.join("inference/posterior-000")).expect("made");
    text(at, &["info", "inference"], 0);
    fs::rename(at.join("inference/posterior-001"), at.join("posterior")).expect("moved");

    let said = json(at, &["sample", "posterior", "--out", "own.npz", "--seed", "5"]);
    let rate = said["acceptance"][0].as_f64().expect("a share");
    assert!(rate > 0.0 && rate < 1.0, "{rate}");
    let draws = read_draws(at.join("own.npz")).expect("draws");
    assert_eq!(draws, posterior.sample(1000, 5).expect("draws"));
    assert!(draws.values().iter().all(|value| (0.0..=1.0).contains(value)));
    fs::write(at.join("x.csv"), "0.5,0.5\n0.2,0.3\n").expect("written");
    text(at, &["sample", "posterior", "--data", "x.csv", "--draws", "10", "--out", "two.npz"], 0);
    assert_eq!(read_draws(at.join("two.npz")).expect("draws").values().dim(), (2, 10, 2));
    fs::write(at.join("theta.csv"), "0.5,0.5\n2,0.5\n").expect("written");
    let lines = text(at, &["log-prob", "posterior", "--parameters", "theta.csv"], 0);
    assert!(lines.ends_with("\n-inf\n"), "{lines}");
    let words = text(at, &["info", "posterior"], 0);
    assert!(words.contains("x, y") && words.contains("one of its own"), "{words}");
    refused(at, &["sample", "posterior", "--direct", "x.csv", "--out", "d.npz"], &["--direct"]);
    fs::write(at.join("wide.csv"), "1,2,3\n").expect("written");
    refused(at, &["sample", "posterior", "--data", "wide.csv", "--out", "d.npz"], &["3", "2"]);

    // One whose parameters bound one another is not at hand without its prior.
    let prior = Prior::from_fn(["x"], |rng, _| [rng.random::<f32>()]);
    let support = [bayesburn_core::Interval::between(0.0, 1.0).expect("an interval")];
    let prior = prior.with_log_prob(support, |_| 0.0).expect("one interval");
    let simulator = Simulator::from_fn(|_, theta, _| arr1(&[theta[0]]));
    let config = NpeConfig::new().with_training(NpeTraining::new().with_max_epochs(1));
    let function: Posterior = infer(simulator, prior, config, 100, 1).expect("it is trained");
    function.save(at.join("function")).expect("written");
    fs::write(at.join("x.csv"), "0.5\n").expect("written");
    refused(at, &["sample", "function", "--data", "x.csv", "--out", "d.npz"], &["bound one another"]);
}

/// Draws from the posteriors of 200 data sets, too narrow by this factor, and the truths.
fn judged(at: &Path, width: f32) {
    let (m, l) = (200, 50);
    let truths = normal((m, 1, 2), 1).remove_axis(Axis(1));
    let data = truths.clone() + normal((m, 1, 2), 2).remove_axis(Axis(1));
    let (mean, std) = (&data / 2.0, 0.5_f32.sqrt());
    let values = normal((m, l, 2), 3) * (std * width) + mean.insert_axis(Axis(1));
    let names = ["mu".to_owned(), "nu".to_owned()];
    write_draws(at.join("draws.npz"), &Draws::new(names.into(), values).expect("two names")).expect("written");
    write_npy(at.join("truths.npy"), &truths).expect("written");
    write_npy(at.join("x.npy"), &data).expect("written");
    let log_prob = Array1::from_elem(m, -1.0_f32);
    write_npy(at.join("q.npy"), &log_prob).expect("written");
}

const JUDGE: [&str; 7] = ["diagnose", "--draws", "draws.npz", "--truths", "truths.npy", "--data", "x.npy"];

#[test]
fn draws_of_any_tool_are_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    judged(at, 1.0);
    let reports = ["--html", "out/r.html", "--junit", "out/r.xml", "--markdown", "out/r.md", "--log-prob", "q.npy"];
    let words = text(at, &[&JUDGE[..], &reports].concat(), 0);
    assert!(words.starts_with("PASSED") && words.contains("Written: out/r.html"), "{words}");
    assert!(fs::read_to_string(at.join("out/r.html")).expect("written").contains("</html>"));
    assert!(fs::read_to_string(at.join("out/r.xml")).expect("written").contains("<testsuite"));
    let saved = text(at, &[&JUDGE[..], &["--json"]].concat(), 0);
    fs::write(at.join("r.json"), &saved).expect("written");
    assert_eq!(text(at, &["report", "r.json", "--json"], 0), saved);
    assert!(text(at, &["report", "r.json", "--markdown", "again.md"], 0).starts_with("PASSED"));

    // Limits, and the same draws as a baseline.
    text(at, &[&JUDGE[..], &["--contraction-at-least", "0.4", "--baseline", "r.json"]].concat(), 0);
    let words = text(at, &[&JUDGE[..], &["--contraction-at-least", "0.9"]].concat(), 1);
    assert!(words.contains("contraction"), "{words}");
    judged(at, 0.7);
    let words = text(at, &JUDGE, 1);
    assert!(words.starts_with("FAILED") && words.contains("too narrow"), "{words}");
    text(at, &[&JUDGE[..], &["--baseline", "r.json"]].concat(), 1);
    let saved = text(at, &[&JUDGE[..], &["--json"]].concat(), 1);
    fs::write(at.join("bad.json"), &saved).expect("written");
    assert!(text(at, &["report", "bad.json"], 1).contains("too narrow"));
}

#[test]
fn draws_that_cannot_be_judged_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    judged(at, 1.0);
    refused(at, &[&JUDGE[..], &["--alpha", "2"]].concat(), &["--alpha", "below 1"]);
    refused(at, &[&JUDGE[..], &["--html", "r.pdf"]].concat(), &["r.pdf", ".html"]);
    refused(at, &[&JUDGE[..], &["--drift", "0.1"]].concat(), &["--baseline"]);
    fs::write(at.join("b.json"), text(at, &[&JUDGE[..], &["--json"]].concat(), 0)).expect("written");
    refused(
        at,
        &[&JUDGE[..], &["--baseline", "b.json", "--drift", "NaN"]].concat(),
        &["--drift", "NaN", "0 or larger"],
    );
    refused(at, &[&JUDGE[..], &["--nll-at-most", "0.1"]].concat(), &["--log-prob"]);
    refused(at, &[&JUDGE[..], &["--dats", "x.npy"]].concat(), &["--dats"]);
    refused(at, &[&JUDGE[..], &["--baseline", "x.npy"]].concat(), &["x.npy"]);
    refused(at, &["report", "x.npy"], &["x.npy"]);
    fs::write(at.join("no.json"), "{}").expect("written");
    refused(at, &["report", "no.json"], &["no.json", "is not a report"]);

    let with = |option: &str, file: &str| {
        let mut arguments = JUDGE.to_vec();
        let place = arguments.iter().position(|argument| *argument == option).expect("an option");
        arguments[place + 1] = file;
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let refused_with = |option: &str, file: &str, parts: &[&str]| {
        let arguments = with(option, file);
        refused(at, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), parts);
    };
    let truths: Array2<f32> = read_npy(at.join("truths.npy")).expect("written");
    let draws = read_draws(at.join("draws.npz")).expect("written").into_values();
    write_npy(at.join("few.npy"), &truths.slice(ndarray::s![..30, ..])).expect("written");
    refused_with("--truths", "few.npy", &["30", "200"]);
    write_npy(at.join("wide.npy"), &Array2::<f32>::zeros((200, 3))).expect("written");
    refused_with("--truths", "wide.npy", &["3 parameters"]);
    let mut unknown = draws.clone();
    unknown[[3, 4, 1]] = f32::NAN;
    write_npy(at.join("nan.npy"), &unknown).expect("written");
    refused_with("--draws", "nan.npy", &["NaN"]);
    write_npy(at.join("flat.npy"), &Array1::<f32>::zeros(4)).expect("written");
    refused_with("--draws", "flat.npy", &["[4]", "[M, L, D]"]);
    refused_with("--data", "flat.npy", &["[4]", "[200, F]"]);
    refused_with("--draws", "none.npy", &["cannot read", "none.npy"]);
    write_npy(at.join("one.npy"), &draws.slice(ndarray::s![..1, .., ..])).expect("written");
    write_npy(at.join("one_truth.npy"), &truths.slice(ndarray::s![..1, ..])).expect("written");
    refused(at, &["diagnose", "--draws", "one.npy", "--truths", "one_truth.npy"], &["1", "20"]);
    // Nothing can be judged of a parameter that is constant.
    let mut constant = draws;
    constant.slice_mut(ndarray::s![.., .., 1]).fill(0.5);
    let mut truths = truths;
    truths.column_mut(1).fill(0.5);
    write_npy(at.join("constant.npy"), &constant).expect("written");
    write_npy(at.join("truths.npy"), &truths).expect("written");
    let some = ["diagnose", "--draws", "constant.npy", "--truths", "wide.npy"];
    refused(at, &[&JUDGE[..], &["--bias-at-most", "nan"]].concat(), &["--bias-at-most", "finite"]);
    write_npy(at.join("wide.npy"), &normal((200, 1, 2), 9).remove_axis(Axis(1))).expect("written");
    refused(at, &some, &["all draws of parameter `theta_2` are 0.5"]);
    let constant = ["diagnose", "--draws", "constant.npy", "--truths", "truths.npy"];
    refused(at, &constant, &["theta_2", "is the same in all draws and truths"]);
}

#[test]
fn folders_that_hold_no_such_posterior_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    write_npy(at.join("x.npy"), &normal((1, 5, 2), 1)).expect("written");
    let sample = |posterior: &'static str| ["sample", posterior, "--data", "x.npy", "--out", "d.npz"];
    refused(at, &sample("nowhere"), &["nowhere", "is not a folder"]);
    refused(at, &sample("."), &["holds no trained posterior", "amortizer.json"]);
    untrained(0, 1).save(at.join("p")).expect("written");
    let text_of = |name: &str| fs::read_to_string(at.join("p").join(name)).expect("written");
    let description = text_of("amortizer.json");
    let changed = |from: &str, to: &str| {
        fs::write(at.join("p/amortizer.json"), description.replacen(from, to, 1)).expect("written");
        bayesburn_core::files::seal(&at.join("p")).expect("sealed");
    };
    changed("\"deep set\"", "\"transformer\"");
    refused(at, &sample("p"), &["`transformer`", "the program that trained it", "deep set"]);
    let words = text(at, &["info", "p"], 0);
    for part in ["Kind: posterior", "Summary network: transformer", "Parameters: a, b, c", "program that trained it"] {
        assert!(words.contains(part), "`{part}` is not in: {words}");
    }
    changed("\"kind\": \"posterior\"", "\"kind\": \"classifier\", \"classes\": 3");
    refused(at, &sample("p"), &["`classifier`", "the program that trained it"]);
    refused(at, &["export", "p", "--out", "w.npz"], &["`classifier`"]);
    let words = text(at, &["info", "p"], 0);
    for part in ["Kind: classifier", "Format version: 6", "classes: 3", "program that trained it"] {
        assert!(words.contains(part), "`{part}` is not in: {words}");
    }
    let info = json(at, &["info", "p"]);
    assert_eq!((&info["kind"], &info["can_be_used"]), (&"classifier".into(), &false.into()));
    changed("\"format_version\": 6", "\"format_version\": 4");
    refused(at, &sample("p"), &["`format_version` is 4", "reads 5 to 6"]);
    changed("\"format_version\": 6", "\"format_version\": 999");
    refused(at, &sample("p"), &["`format_version` is 999", "the version of bayesburn that wrote it"]);
    refused(at, &["info", "p"], &["`format_version` is 999", "a newer one"]);
    changed("{", "[");
    refused(at, &sample("p"), &["amortizer.json"]);
    changed("", "");
    text(at, &sample("p"), 0);
    let weights = at.join("p/weights.safetensors");
    let whole = fs::read(&weights).expect("written");
    fs::write(&weights, &whole[..whole.len() - 3]).expect("written");
    refused(at, &sample("p"), &["weights.safetensors"]);
    refused(at, &["export", "p", "--out", "w.npz"], &["weights.safetensors"]);
    fs::write(&weights, &whole).expect("written");

    refused(at, &["sample", "p", "--data", "x.npy", "--out", "d.txt"], &["d.txt", ".nc"]);
    refused(at, &["sample", "p", "--out", "d.npz"], &["--data"]);
    refused(at, &["sample", "p", "--data", "x.npy", "--draws", "0", "--out", "d.npz"], &["--draws 1"]);
    let device = |name: &'static str| ["sample", "p", "--data", "x.npy", "--out", "d.npz", "--device", name];
    text(at, &device("flex"), 0);
    refused(at, &device("gpu"), &["`gpu`", "cuda:N"]);
    #[cfg(not(feature = "cuda"))]
    refused(at, &device("cuda:1"), &["--features cuda"]);
    let many = ["sample", "p", "--data", "x.npy", "--draws", "18446744073709551615", "--out", "d.npz"];
    refused(at, &many, &["--draws 18446744073709551615", "at most"]);
    refused(at, &["export", "p", "--out", "w.txt"], &["w.txt", ".npz or .safetensors"]);
    write_npy(at.join("x.npy"), &normal((1, 5, 3), 1)).expect("written");
    refused(at, &sample("p"), &["3", "2"]);
    let mut unknown = normal((1, 5, 2), 1);
    unknown[[0, 2, 1]] = f32::NAN;
    write_npy(at.join("x.npy"), &unknown).expect("written");
    refused(at, &sample("p"), &["NaN"]);
    write_npy(at.join("x.npy"), &Array1::<f32>::zeros(3)).expect("written");
    refused(at, &sample("p"), &["[3]", "[N, F]"]);
}

#[test]
fn help_and_completions_know_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = text(folder.path(), &["--help"], 0);
    let completions = text(folder.path(), &["completions", "bash"], 0);
    for command in ["info", "sample", "log-prob", "diagnose", "report", "export", "completions"] {
        assert!(help.contains(command) && completions.contains(command), "{command}");
        let help = text(folder.path(), &[command, "--help"], 0);
        assert!(command == "info" || help.contains("Examples:"), "{help}");
    }
    refused(folder.path(), &["trian"], &["trian"]);
    refused(folder.path(), &["completions", "basic"], &["basic", "bash"]);
}
