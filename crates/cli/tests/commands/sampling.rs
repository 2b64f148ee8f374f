//! Draws from posteriors of files, and compares the draws with those of the library.

use crate::{drawn, json, normal, read_draws, refused, run, text, untrained};
use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
use bayesburn_core::Data;
use bayesburn_inference::{NpeConfig, NpeTraining, Posterior, infer};
use bayesburn_io::write_arrays;
use bayesburn_networks::{DeepSetConfig, IdentityConfig, InvertibleNetworkConfig, MixtureConfig};
use bayesburn_simulation::{Prior, Simulator};
use burn::tensor::Device;
use ndarray::{Array1, Array2, Axis, arr1, array};
use ndarray_npy::{read_npy, write_npy};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::fs;

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
