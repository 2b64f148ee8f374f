//! Times what the quickstart spends its time on: `cargo bench -p benchmarks`.
//!
//! Compare runs on one machine only, one right after the other, with nothing else running.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use bayesburn::prelude::*;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, time::Instant};

fn model() -> GenerativeModel {
    let names = ["mu_1", "mu_2", "mu_3", "mu_4"];
    let prior = Prior::from_fn(names, |rng, _| [(); 4].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(|rng, mu, _| {
        Array2::from_shape_fn((50, 4), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
    });
    GenerativeModel::new(prior, simulator).expect("the pilot run succeeds")
}

fn default_networks() -> PosteriorConfig {
    PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new().with_num_coupling_layers(4))
}

fn trainer(networks: PosteriorConfig) -> Trainer {
    Trainer::builder(model(), networks).progress(Progress::Hidden).build().expect("valid networks")
}

fn simulation(c: &mut Criterion) {
    let model = model();
    let mut group = c.benchmark_group("simulation");
    for num in [32, 10_000] {
        group.throughput(Throughput::Elements(num as u64));
        group.bench_function(format!("{num} data sets"), |b| {
            b.iter(|| black_box(model.simulate(num, 1)).expect("the simulator succeeds"));
        });
    }
}

/// Whole online steps of batch 32, simulation included.
fn training(c: &mut Criterion) {
    let mut group = c.benchmark_group("training step");
    group.sample_size(10);
    for (name, networks) in [("default", default_networks()), ("v1", PosteriorConfig::bayesflow_v1(10, 4))] {
        let mut trainer = trainer(networks);
        group.bench_function(name, |b| {
            b.iter_custom(|steps| {
                let source = Online::new().with_epochs(1).with_iterations_per_epoch(steps as usize);
                let start = Instant::now();
                trainer.train(source, &TrainingConfig::new()).expect("training succeeds");
                start.elapsed()
            });
        });
    }
}

fn sampling(c: &mut Criterion) {
    let trainer = trainer(default_networks());
    let test = trainer.simulate(500, 1).expect("the simulator succeeds");
    let mut group = c.benchmark_group("sampling");
    group.sample_size(10);
    group.bench_function("500 data sets x 1000 draws", |b| {
        b.iter(|| black_box(trainer.amortizer().sample(&test.conditions, 1000, 1)).expect("valid conditions"));
    });
    let one = Conditions::one(Array2::zeros((50, 4)));
    group.bench_function("1 data set x 1000 draws", |b| {
        b.iter(|| black_box(trainer.amortizer().sample(&one, 1000, 1)).expect("valid conditions"));
    });
}

fn ranks(c: &mut Criterion) {
    let trainer = trainer(default_networks());
    let test = trainer.simulate(1000, 1).expect("the simulator succeeds");
    let draws = trainer.amortizer().sample(&test.conditions, 1000, 1).expect("valid conditions");
    c.bench_function("ECDF bands, 1000 ranks of 1000 draws x 4", |b| {
        b.iter(|| black_box(diagnostics::sbc_ecdf(&draws, &test.parameters)).expect("draws and truths fit"));
    });
}

criterion_group!(benches, simulation, training, sampling, ranks);
criterion_main!(benches);
