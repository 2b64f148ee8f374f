//! Training steps and draws of the quickstart's networks on the processor and on a GPU, for batches of 32 to 8,192.
//!
//! `cargo bench -p benchmarks --features bayesburn/cuda --bench gpu`. Devices may be named, `-- flex cuda:1`; the
//! processor's threads are from `RAYON_NUM_THREADS`. `peers/jax_quickstart.py` is the same in jax.

#![allow(clippy::print_stdout, reason = "a program that measures")]

use bayesburn::{networks::device, prelude::*};
use benchmarks::{Architecture, Setting, median};
use std::{
    env,
    time::{Duration, Instant},
};

const ARCHITECTURES: [(&str, Architecture); 2] = [("default", Architecture::Default), ("v1", Architecture::V1)];
const BATCHES: [usize; 5] = [32, 256, 1024, 4096, 8192];
const DATA_SETS: usize = 500;
const DRAWS: usize = 1000;

/// Milliseconds of draws for data sets: the median of five times, after one that compiles what a GPU runs.
fn draws(setting: &Setting, device: &Device) -> f64 {
    let builder = Trainer::builder(setting.model(), setting.networks()).progress(Progress::Hidden);
    let trainer = builder.device(device.clone()).build().expect("valid networks");
    let test = trainer.simulate(DATA_SETS, 1).expect("the simulator succeeds");
    let times = (0..6).map(|_| {
        let start = Instant::now();
        trainer.amortizer().sample(&test.conditions, DRAWS, 1).expect("it draws");
        start.elapsed().as_secs_f64() * 1e3
    });
    median(&times.skip(1).collect::<Vec<_>>())
}

fn main() {
    // Cargo passes `--bench`.
    let named: Vec<String> = env::args().skip(1).filter(|name| name != "--bench").collect();
    let names = if named.is_empty() { vec!["flex".to_owned(), "cuda".to_owned()] } else { named };
    let seconds = Duration::from_secs(2);
    println!("| networks | device | batch | steps/s | simulations/s |\n|---|---|---|---|---|");
    let mut of_draws = Vec::new();
    for name in &names {
        let device = match device(name) {
            Ok(device) => device,
            Err(error) => {
                println!("| | {name}: {error} | | | |");
                continue;
            }
        };
        for (networks, architecture) in ARCHITECTURES {
            for batch in BATCHES {
                let rate = Setting::quickstart(architecture, batch).steps_per_second_on(&device, seconds);
                println!("| {networks} | {name} | {batch} | {rate:.1} | {:.0} |", rate * batch as f64);
            }
            let ms = draws(&Setting::quickstart(architecture, 32), &device);
            of_draws.push(format!("| {networks} | {name} | {ms:.1} | {:.0} |", (DATA_SETS * DRAWS) as f64 / ms * 1e3));
        }
    }
    println!("\n| networks | device | {DATA_SETS} x {DRAWS} draws, ms | draws/s |\n|---|---|---|---|");
    println!("{}", of_draws.join("\n"));
}
