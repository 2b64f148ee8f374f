//! Times calibration checks of 1,000 data sets with 1,000 draws of 4 parameters.
//!
//! `cargo bench --bench diagnostics`; threads from `RAYON_NUM_THREADS`. `figures diagnostics` is the same at the size
//! of 400 MB.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use bayesburn::{
    diagnostics::{Bins, EcdfConfig, RankEcdfs, RankHistograms},
    prelude::*,
};
use benchmarks::{Architecture, Setting};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

fn checks(c: &mut Criterion) {
    let trainer = Setting::quickstart(Architecture::Default, 32).trainer();
    let test = trainer.simulate(1000, 1).expect("the simulator succeeds");
    let draws = trainer.amortizer().sample(&test.conditions, 1000, 1).expect("valid conditions");
    let ranks = diagnostics::sbc_ranks(&draws, &test.parameters).expect("draws and truths fit");
    let mut group = c.benchmark_group("diagnostics");
    group.bench_function("ranks", |b| {
        b.iter(|| black_box(diagnostics::sbc_ranks(&draws, &test.parameters)).expect("draws and truths fit"));
    });
    group.bench_function("rank histograms", |b| {
        b.iter(|| black_box(RankHistograms::new(&ranks, Bins::Count(10))).expect("bins that are possible"));
    });
    group.bench_function("rank ECDFs in their bands", |b| {
        b.iter(|| black_box(RankEcdfs::new(&ranks, EcdfConfig::new())).expect("valid ranks"));
    });
    group.bench_function("recovery", |b| {
        b.iter(|| black_box(diagnostics::recovery(&draws, &test.parameters)).expect("draws and truths fit"));
    });
}

criterion_group!(benches, checks);
criterion_main!(benches);
