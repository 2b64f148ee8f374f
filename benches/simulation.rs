//! Times the quickstart's simulator: a batch of 32, as a training step takes it, and 10,000 data sets.
//!
//! `cargo bench --bench simulation`; threads from `RAYON_NUM_THREADS`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use benchmarks::{Architecture, Setting};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn simulation(c: &mut Criterion) {
    let model = Setting::quickstart(Architecture::Default, 32).model();
    let mut group = c.benchmark_group("simulation");
    for num in [32, 10_000] {
        group.throughput(Throughput::Elements(num as u64));
        group.bench_function(format!("{num} data sets"), |b| {
            b.iter(|| black_box(model.simulate(num, 1)).expect("the simulator succeeds"));
        });
    }
}

criterion_group!(benches, simulation);
criterion_main!(benches);
