//! Names of features: from a simulator or a data set into every posterior that is trained on it, and onto disk.

use crate::models::{short_run, small_networks, training};
use bayesburn::{amortizers::DefaultConfigurator, prelude::*, simulation::SimulationError, trainers::TrainerBuilder};
use std::path::Path;

const NAMES: [&str; 2] = ["rt", "choice"];

fn simulator() -> Simulator {
    Simulator::from_fn(|rng, theta, _| {
        Array2::from_shape_fn((10, 2), |(_, i)| theta[0] + (i + 1) as f32 * rng.random::<f32>())
    })
}

fn model(simulator: Simulator) -> GenerativeModel {
    let prior = Prior::box_uniform(["drift"], &[-1.0], &[1.0]).expect("a box");
    GenerativeModel::new(prior, simulator).expect("it simulates")
}

fn builder(simulator: Simulator, folder: &Path) -> TrainerBuilder {
    let builder = Trainer::builder(model(simulator), small_networks()).seed(1).checkpoints(folder);
    builder.progress(Progress::Hidden)
}

#[test]
fn a_posterior_keeps_the_names_of_the_features_it_was_trained_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (checkpoints, saved) = (folder.path().join("checkpoints"), folder.path().join("saved"));
    let posterior = {
        let mut trainer = builder(simulator().with_feature_names(NAMES), &checkpoints).build().expect("sound");
        trainer.train(short_run(), &training()).expect("it trains");
        trainer.amortizer().clone()
    };
    assert_eq!(posterior.feature_names(), Some(&NAMES.map(str::to_owned)[..]));
    posterior.save(&saved).expect("written");
    let newest = std::fs::read_dir(&checkpoints).expect("a folder").filter_map(|entry| {
        let path = entry.expect("an entry").path();
        path.join("amortizer.json").is_file().then_some(path)
    });
    for place in newest.chain([saved.clone()]) {
        let loaded = AmortizedPosterior::<DeepSetConfig>::load(&place, &Device::flex()).expect("just saved");
        assert_eq!(loaded.feature_names(), posterior.feature_names(), "{place:?}");
    }
    // Names may be given, and changed, after the training.
    let renamed = builder(simulator().with_feature_names(["seconds", "choice"]), &checkpoints).resume().build();
    assert_eq!(renamed.expect("the same run").amortizer().feature_names().expect("given")[0], "seconds");
    let trainer = builder(simulator(), &checkpoints).resume().build().expect("the same run");
    assert_eq!(trainer.amortizer().feature_names(), None);

    // As a version without names wrote it.
    trainer.amortizer().save(&saved).expect("written");
    assert!(!std::fs::read_to_string(saved.join("amortizer.json")).expect("written").contains("feature_names"));
    let loaded = AmortizedPosterior::<DeepSetConfig>::load(&saved, &Device::flex()).expect("just saved");
    assert_eq!(loaded.feature_names(), None);
}

#[test]
fn names_of_features_fit_the_data() {
    let prior = || Prior::box_uniform(["drift"], &[-1.0], &[1.0]).expect("a box");
    for names in [vec!["rt"], vec!["rt", "rt"], vec!["rt", ""], vec!["rt", "choice", "more"]] {
        let error = GenerativeModel::new(prior(), simulator().with_feature_names(names.clone())).expect_err("misfits");
        assert!(matches!(error, SimulationError::FeatureNames { expected: 2, .. }), "{error}");
        let data = Dataset::from_simulations(model(simulator()).simulate(5, 1).expect("5")).expect("sound");
        data.with_feature_names(names).expect_err("misfits");
    }
    // A configurator of one's own makes something else of the data: its names are given by hand.
    let trainer = |named: bool| {
        let model = model(simulator().with_feature_names(NAMES));
        let builder = Trainer::builder(model, small_networks()).progress(Progress::Hidden).configurator(
            |simulations: &Simulations| {
                let mut simulations = simulations.clone();
                simulations.data.update(|mut values| values.mapv_inplace(f32::exp));
                DefaultConfigurator.configure(&simulations)
            },
        );
        if named { builder.feature_names(["e^rt", "e^choice"]) } else { builder }.build().expect("sound")
    };
    assert_eq!(trainer(false).amortizer().feature_names(), None);
    assert_eq!(trainer(true).amortizer().feature_names().expect("given")[1], "e^choice");
}

#[test]
fn names_of_features_go_by_stores_and_pairs() {
    let (folder, model) = (tempfile::tempdir().expect("a folder"), model(simulator().with_feature_names(NAMES)));
    let presimulation = Presimulation::new(100, 1).with_progress(Progress::Hidden);
    model.presimulate(folder.path(), &presimulation).expect("it simulates");
    let data = Dataset::open(folder.path()).expect("a store");
    let names = NAMES.map(str::to_owned);
    assert_eq!(data.feature_names(), Some(&names[..]));
    assert_eq!(Dataset::join([&data, &data]).expect("alike").feature_names(), Some(&names[..]));
    let others = data.clone().with_feature_names(["a", "b"]).expect("two");
    let error = Dataset::join([&data, &others]).expect_err("other names").to_string();
    assert!(error.contains("feature_names") && error.contains("choice"), "{error}");

    // The features of pairs are those of the simulator, though the networks see one vector.
    let config = || NpeConfig::new().with_training(NpeTraining::new().with_max_epochs(1));
    let pairs = model.simulate(100, 1).expect("it simulates");
    let mut npe = Npe::builder(model.clone(), config()).progress(Progress::Hidden).build().expect("sound");
    npe.simulate(100).expect("it simulates");
    let posterior = npe.train().expect("it trains");
    assert_eq!(posterior.amortizer().feature_names(), Some(&names[..]));
    let appended = |names: &[&str]| {
        let builder = Npe::builder(model.prior().clone(), config()).feature_names(names.iter().copied());
        let mut npe = builder.progress(Progress::Hidden).build().expect("sound");
        npe.append(pairs.parameters.clone(), pairs.data.clone()).expect("pairs");
        npe.train()
    };
    assert_eq!(appended(&NAMES).expect("it trains").amortizer().feature_names(), Some(&names[..]));
    let error = appended(&["rt", "choice", "more"]).expect_err("3 names").to_string();
    assert!(error.contains("more") && error.contains("2 features"), "{error}");
}
