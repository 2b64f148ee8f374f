//! A posterior from a simulator that is a Python script: worker processes read requests and write answers, line by
//! line.
//!
//! The script, `simulator.py` beside this file, draws 20 observations of two features around two means with a standard
//! normal prior. The exact posterior of each mean is N(20 x̄ / 21, 1 / 21), and is printed beside the learned one;
//! `out/process_simulator/summary.json` has how far they differ.
//! After that the script's own speed is measured against that of the pool: the same requests, once read from files by
//! the script alone, and once sent by the pool.
//!
//! `cargo run --release --example process_simulator` needs `python3`, and nothing but its standard library. With
//! `--quick` it only shows that everything runs.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

mod speed;

use bayesburn::{prelude::*, simulation::WorkerFailure};
use ndarray::Axis;
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Observations in a data set, as in the script.
const N: usize = 20;

/// Processes that simulate.
const WORKERS: usize = 2;

fn main() -> bayesburn::Result<()> {
    let start = Instant::now();
    let quick = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--quick") => true,
        Some(other) => {
            return Err(bayesburn::Error::message(format!("unknown option `{other}`: there is only --quick")));
        }
    };
    if Command::new("python3").arg("--version").output().is_err() {
        println!(
            "This example needs Python: install `python3` from https://www.python.org or by your system's packages."
        );
        return Ok(());
    }

    let model = GenerativeModel::new(prior(), Simulator::from_process(process()))?;
    println!("The model's quantities, B simulations at a time:\n{}\n", model.shapes());
    let config =
        PosteriorConfig::new(DeepSetConfig::new(8), InvertibleNetworkConfig::new().with_num_coupling_layers(4));
    let mut trainer = Trainer::builder(model, config).seed(2023).build()?;
    let source = Online::new()
        .with_epochs(if quick { 1 } else { 2 })
        .with_iterations_per_epoch(if quick { 20 } else { 500 })
        .with_batch_size(32);
    let before = start.elapsed().as_secs_f64();
    let training = TrainingConfig::new().with_schedule(Schedule::new().with_initial_rate(1e-3));
    let val_loss = trainer.train(source, &training)?.validation_losses().last().map(|(_, loss)| *loss);
    let train_s = start.elapsed().as_secs_f64() - before;

    let test = trainer.simulate(200, 1)?;
    let draws = trainer.amortizer().sample(&test.conditions, 1000, 1)?;
    let exact_sd = (N as f64 + 1.0).sqrt().recip();
    let exact_mean = test.conditions.sets().mapv(f64::from).sum_axis(Axis(1)) / (N as f64 + 1.0);
    let error = ((draws.mean() - &exact_mean) / exact_sd).mapv(f64::abs).mean().unwrap_or(f64::NAN);
    let ratio = (draws.std() / exact_sd).mean().unwrap_or(f64::NAN);
    println!("Posterior means of three data sets, and averages over 200, in units of the exact posterior sd:");
    println!("                                learned          exact");
    for (learned, exact) in draws.mean().outer_iter().zip(exact_mean.outer_iter()).take(3) {
        println!(
            "mean of mu_1 and mu_2   {:>7.3} {:>7.3}    {:>7.3} {:>7.3}",
            learned[0], learned[1], exact[0], exact[1]
        );
    }
    println!("error of the mean       {error:>15.3}    {:>15.3}", 0.0);
    println!("sd                      {ratio:>15.3}    {:>15.3}", 1.0);
    let summary = json!({
        "wall_s": start.elapsed().as_secs_f64(),
        "train_s": train_s,
        "val_loss": val_loss,
        "mean_error_in_sd": error,
        "sd_ratio": ratio,
    });
    let out = Path::new("out/process_simulator");
    fs::create_dir_all(out)?;
    fs::write(out.join("summary.json"), format!("{summary:#}\n"))?;
    if !quick && (error > 0.1 || (ratio - 1.0).abs() > 0.1) {
        return Err(bayesburn::Error::message(
            "the learned posterior is more than a tenth of a standard deviation off",
        ));
    }

    speed::compare(if quick { 200 } else { 10_000 }, if quick { 1 } else { 5 })
}

fn prior() -> Prior {
    Prior::from_fn(["mu_1", "mu_2"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)))
}

/// The script as simulator. A worker that fails is replaced, and a simulation that takes 10 s is given up.
fn process() -> ProcessSimulator {
    ProcessSimulator::new("python3")
        .args([script()])
        .workers(WORKERS)
        .time_limit(Duration::from_secs(10))
        .on_failure(WorkerFailure::Replace { max_retries: 2 })
}

fn script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/process_simulator/simulator.py")
}
