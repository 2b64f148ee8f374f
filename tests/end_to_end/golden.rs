//! Reads files that earlier versions wrote, `tests/golden`: they load, and give the draws that they gave.
//!
//! `2026-11` has posteriors of format 5, a checkpoint of format 2 of a training that was interrupted, and stores of
//! format 1. Beside each is what the version that wrote it answered. Rounding differs between processors, so that
//! numbers are compared to 1e-4.

use bayesburn::{
    networks::{AffineConfig, AffineNets, DenseNetConfig, DenseSummaryConfig, SummaryConfig},
    prelude::*,
    trainers::TrainerBuilder,
};
use ndarray::{Array2, ArrayD, ArrayViewD, s};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const TOLERANCE: f32 = 1e-4;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/2026-11").join(name)
}

/// What is beside a folder.
fn answers(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(golden(&format!("{name}.json"))).expect("a golden file")).expect("JSON")
}

/// From its shape and its values, of which null is NaN.
fn array(value: &Value) -> ArrayD<f32> {
    let shape: Vec<usize> = serde_json::from_value(value["shape"].clone()).expect("a shape");
    let values: Vec<Option<f32>> = serde_json::from_value(value["values"].clone()).expect("numbers");
    let values = values.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect();
    ArrayD::from_shape_vec(shape, values).expect("as many as the shape says")
}

fn matrix(value: &Value) -> Array2<f32> {
    array(value).into_dimensionality().expect("two axes")
}

fn assert_close(name: &str, got: ArrayViewD<'_, f32>, expected: &Value) {
    let expected = array(expected);
    assert_eq!(got.shape(), expected.shape(), "{name}");
    for (got, expected) in got.iter().zip(&expected) {
        let both_missing = got.is_nan() && expected.is_nan();
        assert!(
            both_missing || (got - expected).abs() <= TOLERANCE * (1.0 + expected.abs()),
            "{name}: {got} {expected}"
        );
    }
}

/// A copy, which may be locked and written to.
fn copied(name: &str, to: &Path) -> PathBuf {
    fs::create_dir_all(to).expect("writable");
    for entry in fs::read_dir(golden(name)).expect("a golden folder") {
        let (path, place) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).expect("an entry");
        if path.is_dir() {
            copied(&path.strip_prefix(golden("")).expect("in it").to_string_lossy(), &place);
        } else {
            fs::copy(path, place).expect("writable");
        }
    }
    to.to_owned()
}

fn check_posterior<C: SummaryConfig>(name: &str) {
    let posterior: AmortizedPosterior<C> = AmortizedPosterior::load(golden(name), &Device::flex()).expect(name);
    let answers = answers(name);
    let data: Array3<f32> = array(&answers["summary_conditions"]).into_dimensionality().expect("[M, N, F]");
    let masked = posterior.num_masked_features();
    let conditions = match masked {
        0 => Conditions::new(data),
        _ => {
            let mut values = data.slice(s![.., .., ..masked]).to_owned();
            let mask = data.slice(s![.., .., masked..2 * masked]);
            values.zip_mut_with(&mask, |value, &there| *value = if there == 0.0 { f32::NAN } else { *value });
            Conditions::with_missing(values)
        }
    };
    let conditions = match &answers["direct_conditions"] {
        Value::Null => conditions,
        direct => conditions.with_direct(matrix(direct)),
    };
    let draws = posterior.sample(&conditions, 4, 9).expect(name);
    assert_close(name, draws.values().view().into_dyn(), &answers["draws"]);
    let log_prob = posterior.log_prob(&matrix(&answers["parameters"]), &conditions).expect(name);
    assert_close(name, log_prob.view().into_dyn(), &answers["log_prob"]);
    assert!(posterior.training_range().is_some(), "{name}: the range is read too");
}

#[test]
fn posteriors_of_earlier_versions_give_the_draws_that_they_gave() {
    check_posterior::<DeepSetConfig>("deep_set_affine");
    check_posterior::<DeepSetConfig>("deep_set_v1");
    check_posterior::<IdentityConfig>("identity_spline");
    check_posterior::<DenseSummaryConfig>("dense_autoregressive");
    check_posterior::<DeepSetConfig>("masked_mixture");
}

#[test]
fn an_inference_of_an_earlier_version_gives_the_draws_that_it_gave() {
    let prior = Prior::box_uniform(["x", "y"], &[-2.0; 2], &[2.0; 2]).expect("bounds in order");
    let posterior: Posterior = Posterior::load(golden("inference"), prior, &Device::flex()).expect("an inference");
    let draws = posterior.sample(6, 4).expect("its observation is saved with it");
    assert_close("inference", draws.values().view().into_dyn(), &answers("inference")["draws"]);
}

/// The trainer that wrote the checkpoint.
fn builder(folder: &Path) -> TrainerBuilder {
    let prior = Prior::from_fn(["a", "b"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array2::from_shape_fn((10, 2), |(_, d)| theta[d] + rng.sample::<f32, _>(StandardNormal))
    });
    let nets = AffineNets::Shared(DenseNetConfig::new().with_units(8));
    let coupling = CouplingDesign::Affine(AffineConfig::new().with_nets(nets));
    let inference = InvertibleNetworkConfig::new().with_num_coupling_layers(2).with_coupling(coupling);
    let networks = PosteriorConfig::new(DeepSetConfig::new(3).with_units(8).with_num_equiv(1), inference);
    let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
    Trainer::builder(model, networks).seed(7).memory(2).checkpoints(folder).keep_checkpoints(1).resume()
}

/// After two epochs of three; the last one ends as if the training had not been interrupted.
#[test]
fn a_training_of_an_earlier_version_is_resumed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut trainer = builder(&copied("training", folder.path())).build().expect("a checkpoint of today's model");
    assert_eq!((trainer.history().steps.len(), trainer.memory().count()), (12, 2));
    let config = TrainingConfig::new()
        .with_validation_simulations(20)
        .with_early_stopping(Some(EarlyStopping::new()))
        .with_weight_average(Some(0.8));
    let source = Online::new().with_epochs(3).with_iterations_per_epoch(6).with_batch_size(8);
    trainer.train(source, &config).expect("the third epoch");
    let answers = answers("training");
    let history: LossHistory = serde_json::from_value(answers["history"].clone()).expect("a history");
    let losses =
        |history: &LossHistory| history.steps.iter().map(|step| step.loss.expect("finite")).collect::<Vec<_>>();
    assert_eq!(trainer.history().steps.len(), 18);
    for (got, expected) in losses(trainer.history()).into_iter().zip(losses(&history)) {
        assert!((got - expected).abs() < 10.0 * TOLERANCE, "{got} {expected}");
    }
    let test = trainer.simulate(3, 5).expect("simulates");
    let draws = trainer.amortizer().sample(&test.conditions, 4, 9).expect("draws");
    assert_close("training", draws.values().view().into_dyn(), &answers["draws"]);
}

#[test]
fn stores_of_earlier_versions_have_the_simulations_that_they_had() {
    let data = Dataset::open(golden("store")).expect("a store");
    let answers_of_groups = answers("store");
    let groups = answers_of_groups["groups"].as_array().expect("a list");
    assert_eq!(data.groups().len(), groups.len());
    for group in groups {
        let rows: Vec<usize> = serde_json::from_value(group["rows"].clone()).expect("numbers");
        let simulations = data.select(&rows).expect("rows of a group");
        assert_close("store", simulations.parameters.view().into_dyn(), &group["parameters"]);
        assert_close("store", simulations.observations().view(), &group["data"]);
        let context = simulations.sim_non_batchable_context.as_ref().expect("N");
        assert_close("store", context.view(), &group["context"]);
    }
    let data = Dataset::open(golden("masked_store")).expect("a store");
    let simulations = data.select(&(0..8).collect::<Vec<_>>()).expect("8 rows");
    let answers = answers("masked_store");
    assert_close("masked store", simulations.parameters.view().into_dyn(), &answers["parameters"]);
    assert_close("masked store", simulations.observations().view(), &answers["observations"]);
}
