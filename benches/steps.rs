//! Times whole online training steps, simulations included: both architectures, batches of 32 and 256.
//!
//! `cargo bench --bench steps`; threads from `RAYON_NUM_THREADS`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use bayesburn::prelude::*;
use benchmarks::{Architecture, Setting};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Instant;

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("online step");
    group.sample_size(10);
    for (name, architecture) in [("default", Architecture::Default), ("v1", Architecture::V1)] {
        for batch in [32, 256] {
            let mut trainer = Setting::quickstart(architecture, batch).trainer();
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(format!("{name}, batch {batch}"), |b| {
                b.iter_custom(|steps| {
                    let source = Online::new().with_epochs(1).with_iterations_per_epoch(steps as usize);
                    let start = Instant::now();
                    trainer.train(source.with_batch_size(batch), &TrainingConfig::new()).expect("training succeeds");
                    start.elapsed()
                });
            });
        }
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
