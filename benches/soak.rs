//! Measures what long trainings need: memory over many steps, memory and speed on data larger than it, and what
//! simulating beside the training saves.
//!
//! `cargo bench --bench soak -- online | offline | overlap`; each prints a table. Linux only: memory is read from
//! `/proc/self/status`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that measures")]

use bayesburn::{
    networks::{AffineConfig, AffineNets, DenseNetConfig},
    prelude::*,
    trainers::{Callback, EpochReport, StepReport, Validation},
};
use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

fn main() -> bayesburn::Result<()> {
    match std::env::args().find(|argument| ["online", "offline", "overlap"].contains(&argument.as_str())).as_deref() {
        Some("online") => online(),
        Some("offline") => offline(),
        Some("overlap") => overlap(),
        _ => {
            println!("name one of: online, offline, overlap");
            Ok(())
        }
    }
}

/// Memory in MB: all that is resident, and the part of it that is no file's.
fn resident() -> (f64, f64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0");
        line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    (of("VmRSS:"), of("RssAnon:"))
}

/// N observations of F features around F means.
fn means(n: usize, features: usize) -> GenerativeModel {
    let names: Vec<String> = (0..features).map(|i| format!("mu_{i}")).collect();
    let prior =
        Prior::from_fn(names, move |rng, _| (0..features).map(|_| rng.sample(StandardNormal)).collect::<Vec<_>>());
    let simulator = Simulator::from_fn(move |rng, mu, _| {
        Array2::from_shape_fn((n, mu.len()), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
    });
    GenerativeModel::new(prior, simulator).unwrap()
}

fn small_networks() -> PosteriorConfig {
    let net = DenseNetConfig::new().with_units(16);
    let coupling = CouplingDesign::Affine(AffineConfig::new().with_nets(AffineNets::Shared(net)));
    let inference = InvertibleNetworkConfig::new().with_num_coupling_layers(2).with_coupling(coupling);
    PosteriorConfig::new(DeepSetConfig::new(4).with_units(16), inference)
}

/// Notes memory at some steps, and time at each epoch's end.
#[derive(Clone, Default)]
struct Meter {
    at: Vec<usize>,
    seen: Arc<Mutex<Vec<(usize, f64)>>>,
    peak: Arc<Mutex<f64>>,
    epochs: Arc<Mutex<Vec<Instant>>>,
}

impl Callback for Meter {
    fn on_step(&mut self, step: &StepReport) -> ControlFlow<String> {
        if step.steps.is_multiple_of(100) {
            let (all, anonymous) = resident();
            let mut peak = self.peak.lock().unwrap();
            *peak = peak.max(anonymous);
            if self.at.contains(&step.steps) {
                self.seen.lock().unwrap().push((step.steps, all));
            }
        }
        ControlFlow::Continue(())
    }

    fn on_epoch(&mut self, _epoch: &EpochReport<'_>) -> ControlFlow<String> {
        self.epochs.lock().unwrap().push(Instant::now());
        ControlFlow::Continue(())
    }
}

/// 200,000 steps of a small model, with checkpoints.
fn online() -> bayesburn::Result<()> {
    let folder = tempfile::tempdir()?;
    let meter = Meter { at: vec![5000, 50_000, 100_000, 150_000, 200_000], ..Meter::default() };
    let start = Instant::now();
    let mut trainer = Trainer::builder(means(10, 2), small_networks())
        .checkpoints(folder.path())
        .callback(meter.clone())
        .progress(Progress::Hidden)
        .build()?;
    let source = Online::new().with_epochs(40).with_iterations_per_epoch(5000).with_batch_size(8);
    trainer.train(source, &TrainingConfig::new().with_validation_simulations(100))?;
    let seen = meter.seen.lock().unwrap();
    for (step, resident) in seen.iter() {
        println!("step {step:>7}: {resident:.1} MB resident, {:+.1}%", 100.0 * (resident / seen[0].1 - 1.0));
    }
    println!("{:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Two epochs over 4 GB, from disk and from memory.
fn offline() -> bayesburn::Result<()> {
    let model = means(50, 40);
    let folder = Path::new("out/soak");
    let start = Instant::now();
    // 8,160 bytes each.
    let mapped = model.presimulate(folder, &Presimulation::new(526_000, 1))?;
    let bytes: u64 = fs::read_dir(folder)?.flatten().filter_map(|entry| entry.metadata().ok()).map(|m| m.len()).sum();
    println!("{:.2} GB simulated in {:.0} s", bytes as f64 / 1e9, start.elapsed().as_secs_f64());
    let run = |name: &str, data: Dataset| -> bayesburn::Result<Vec<f64>> {
        let (before, meter) = (resident().1, Meter::default());
        let mut trainer = Trainer::builder(data.clone(), small_networks())
            .callback(meter.clone())
            .progress(Progress::Hidden)
            .build()?;
        let source = Offline::new(data).with_epochs(2).with_batch_size(64).with_validation(Validation::None);
        let start = Instant::now();
        trainer.train(source, &TrainingConfig::new())?;
        let steps = trainer.history().steps.len() as f64 / 2.0;
        let ends = meter.epochs.lock().unwrap();
        let rates = vec![steps / (ends[0] - start).as_secs_f64(), steps / (ends[1] - ends[0]).as_secs_f64()];
        println!(
            "{name}: {:.0} and {:.0} steps/s in the two epochs; memory that is no file's: {before:.0} MB before, \
             {:.0} MB at most",
            rates[0],
            rates[1],
            meter.peak.lock().unwrap()
        );
        Ok(rates)
    };
    let disk = run("from disk  ", mapped.clone())?;
    let all = (0..mapped.len()).collect::<Vec<_>>();
    let batches = all.chunks(10_000).map(|rows| mapped.select(rows)).collect::<Result<Vec<_>, _>>()?;
    drop(mapped);
    let memory = run("from memory", Dataset::from_batches(batches)?)?;
    println!("second epoch: {:.3} of the speed from memory", disk[1] / memory[1]);
    Ok(())
}

/// A simulator that takes as long as a training step, before the step and beside it.
fn overlap() -> bayesburn::Result<()> {
    let steps = 300;
    let time = |busy: Duration, prefetch: usize| -> bayesburn::Result<(f64, Vec<f32>)> {
        let prior =
            Prior::from_fn(["mu_1", "mu_2", "mu_3", "mu_4"], |rng, _| [(); 4].map(|()| rng.sample(StandardNormal)));
        // One core is busy for the whole batch.
        let simulator = Simulator::from_batch_fn(move |rng, mu, _| {
            let start = Instant::now();
            let data = Array3::from_shape_fn((mu.nrows(), 50, 4), |(b, _, d)| {
                mu[[b, d]] + rng.sample::<f32, _>(StandardNormal)
            });
            while start.elapsed() < busy {
                std::hint::spin_loop();
            }
            data
        });
        let networks =
            PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new().with_num_coupling_layers(4));
        let model = GenerativeModel::new(prior, simulator)?;
        let mut trainer = Trainer::builder(model, networks).prefetch(prefetch).progress(Progress::Hidden).build()?;
        let source = Online::new().with_epochs(1).with_iterations_per_epoch(steps);
        let start = Instant::now();
        let losses = trainer.train(source, &TrainingConfig::new())?.train_losses();
        Ok((start.elapsed().as_secs_f64(), losses))
    };
    println!(
        "repeat   steps alone   simulations alone   one after the other   side by side   over the longer of the two"
    );
    for repeat in 1..=5 {
        let (alone, _) = time(Duration::ZERO, 0)?;
        let busy = Duration::from_secs_f64(alone / steps as f64);
        let simulations = busy.as_secs_f64() * steps as f64;
        let (one_after_the_other, first) = time(busy, 0)?;
        let (side_by_side, second) = time(busy, 4)?;
        assert_eq!(first, second, "the same losses");
        println!(
            "{repeat:>6}   {alone:>9.2} s   {simulations:>15.2} s   {one_after_the_other:>17.2} s   \
             {side_by_side:>10.2} s   {:.3}",
            side_by_side / alone.max(simulations)
        );
    }
    Ok(())
}
