//! Times posterior draws from four coupling layers of 128 units, affine and spline.
//!
//! `cargo bench --bench sampling`; threads from `RAYON_NUM_THREADS`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use bayesburn::prelude::*;
use benchmarks::{Architecture, Setting};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn sampling(c: &mut Criterion) {
    let setting = Setting::quickstart(Architecture::Default, 32);
    let splines = InvertibleNetworkConfig::new()
        .with_num_coupling_layers(4)
        .with_coupling(CouplingDesign::Spline(SplineConfig::new()));
    let mut group = c.benchmark_group("sampling");
    group.sample_size(10);
    for (name, networks) in
        [("affine", setting.networks()), ("spline", PosteriorConfig::new(DeepSetConfig::new(10), splines))]
    {
        let trainer =
            Trainer::builder(setting.model(), networks).progress(Progress::Hidden).build().expect("valid networks");
        let test = trainer.simulate(500, 1).expect("the simulator succeeds");
        group.throughput(Throughput::Elements(500_000));
        group.bench_function(format!("{name}, 500 data sets x 1000 draws"), |b| {
            b.iter(|| black_box(trainer.amortizer().sample(&test.conditions, 1000, 1)).expect("valid conditions"));
        });
        let one = Conditions::one(Array2::zeros((50, 4)));
        group.throughput(Throughput::Elements(1000));
        group.bench_function(format!("{name}, 1 data set x 1000 draws"), |b| {
            b.iter(|| black_box(trainer.amortizer().sample(&one, 1000, 1)).expect("valid conditions"));
        });
    }
}

criterion_group!(benches, sampling);
criterion_main!(benches);
