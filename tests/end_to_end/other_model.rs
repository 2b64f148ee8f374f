//! Resumes a training with another model or other data than it began with, which is refused by name, or asked for.

use crate::models::{direct_networks, short_run, training};
use bayesburn::prelude::*;
use bayesburn::trainers::{Origin, TrainerBuilder};
use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

/// μ ~ N(0, sd²) and ten observations x ~ N(μ + shift, 1), the two being features.
fn model(name: &str, sd: f32, shift: f32) -> GenerativeModel {
    let prior = Prior::from_fn([name, "nu"], move |rng, _| [(); 2].map(|()| sd * rng.sample::<f32, _>(StandardNormal)));
    let simulator = Simulator::from_fn(move |rng, mu, _| {
        Array2::from_shape_fn((10, 2), |(_, d)| mu[d] + shift + rng.sample::<f32, _>(StandardNormal))
    });
    GenerativeModel::new(prior, simulator).expect("the pilot run succeeds")
}

fn builder(origin: impl Into<Origin>, folder: &Path) -> TrainerBuilder {
    Trainer::builder(origin, direct_networks()).seed(7).checkpoints(folder).progress(Progress::Hidden)
}

#[track_caller]
fn refused(origin: impl Into<Origin>, folder: &Path, parts: &[&str]) {
    let error = builder(origin, folder).resume().build().expect_err("another model").to_string();
    let more = ["another model or other data", "choose another folder", "`resume_with_other_model`"];
    for part in parts.iter().chain(&more) {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn another_prior_or_simulator_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let train = |trainer: Result<Trainer, _>| {
        let mut trainer: Trainer = trainer.expect("the model that it began with, or another by request");
        let before = trainer.history().steps.len();
        trainer.train(short_run(), &training()).expect("it trains");
        before
    };
    assert_eq!(train(builder(model("mu", 1.0, 0.0), folder.path()).build()), 0);
    // The same is not, nor one that differs by rounding.
    assert_eq!(train(builder(model("mu", 1.0, 0.0), folder.path()).resume().build()), 18);
    assert_eq!(train(builder(model("mu", 1.000_000_5, 0.0), folder.path()).resume().build()), 18);
    let of = |name, sd, shift| model(name, sd, shift);
    refused(of("mu", 3.0, 0.0), folder.path(), &["the first pilot simulations' parameters: ["]);
    refused(of("mu", 1.0, 0.01), folder.path(), &["the first pilot simulations' data: ["]);
    refused(of("xi", 1.0, 0.0), folder.path(), &["the parameters: [\"mu\", \"nu\"] then, [\"xi\", \"nu\"] now"]);
    // By request it goes on, and from then on with the other.
    let trainer = builder(model("mu", 3.0, 0.0), folder.path()).resume_with_other_model().build();
    let mut trainer: Trainer = trainer.expect("by request");
    for _ in 0..2 {
        trainer.train(short_run(), &training()).expect("the first is over, the second is new");
    }
    drop(trainer);
    refused(of("mu", 1.0, 0.0), folder.path(), &["the first pilot simulations' parameters"]);
    builder(model("mu", 3.0, 0.0), folder.path()).resume().build().expect("the newest model");
}

#[test]
fn other_data_are_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = |rows, shift| {
        let simulations = model("mu", 1.0, shift).simulate(rows, 3).expect("it simulates");
        Dataset::from_simulations(simulations).expect("sound")
    };
    let mut trainer: Trainer = builder(data(100, 0.0), folder.path()).build().expect("sound");
    let source = Offline::new(data(100, 0.0)).with_epochs(1).with_batch_size(20);
    trainer.train(source, &TrainingConfig::new()).expect("it trains");
    drop(trainer);
    builder(data(100, 0.0), folder.path()).resume().build().expect("the same data");
    refused(data(90, 0.0), folder.path(), &["100 rows", "90 rows"]);
    refused(data(100, 0.5), folder.path(), &["the data set", "CRC-32"]);
}

/// A simulator that counts its calls, as one does that has randomness of its own: it can't be told from another, and
/// goes on.
#[test]
fn a_simulator_that_is_not_reproducible_can_be_resumed() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let folder = tempfile::tempdir().expect("a folder");
    let model = |sd: f32| {
        let prior =
            Prior::from_fn(["mu", "nu"], move |rng, _| [(); 2].map(|()| sd * rng.sample::<f32, _>(StandardNormal)));
        let simulator = Simulator::from_fn(|_, mu, _| {
            let call = CALLS.fetch_add(1, Ordering::Relaxed) as f32;
            Array2::from_shape_fn((10, 2), |(i, d)| mu[d] + (call + i as f32).sin())
        });
        GenerativeModel::new(prior, simulator).expect("the pilot run succeeds")
    };
    let mut trainer: Trainer = builder(model(1.0), folder.path()).build().expect("sound");
    trainer.train(short_run(), &training()).expect("it trains");
    drop(trainer);
    builder(model(1.0), folder.path()).resume().build().expect("nothing can be told");
    refused(model(3.0), folder.path(), &["the first pilot simulations' parameters"]);
}
