//! Runs the commands on files, as a shell does.

mod judging;
mod refusals;
mod sampling;
mod tables;

use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
use bayesburn_core::{Draws, Purpose, stream};
use bayesburn_io::TableOptions;
use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
use burn::tensor::Device;
use ndarray::{Array2, Array3, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output},
};

/// Runs `bayesburn` in a folder.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bayesburn")).args(arguments).current_dir(folder).output().expect("it starts")
}

/// What it prints when it leaves with this code.
#[track_caller]
fn text(folder: &Path, arguments: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = run(folder, arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
    // What went wrong is on the error stream, and what a machine reads is not.
    if code == 2 { stderr.into_owned() } else { stdout.into_owned() }
}

#[track_caller]
fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&text(folder, &[arguments, &["--json"]].concat(), 0)).expect("JSON")
}

/// What the command says that cannot run.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let error = text(folder, arguments, 2);
    for part in parts {
        assert!(error.contains(part), "{arguments:?}: `{part}` is not in: {error}");
    }
}

/// The draws of a file.
fn read_draws(path: impl AsRef<Path>) -> Result<Draws, bayesburn_io::IoError> {
    bayesburn_io::read_draws(path, &TableOptions::new()).map(|read| read.value)
}

fn normal(shape: (usize, usize, usize), seed: u64) -> Array3<f32> {
    let mut rng = stream(seed, Purpose::new("command tests"), 0);
    Array3::from_shape_simple_fn(shape, || rng.sample(StandardNormal))
}

fn untrained(direct: usize, seed: u64) -> AmortizedPosterior<DeepSetConfig> {
    let config = PosteriorConfig::new(DeepSetConfig::new(3).with_units(8), InvertibleNetworkConfig::new());
    AmortizedPosterior::new(config, ["a", "b", "c"], &[pilot(5, direct), pilot(4, direct)], seed, &Device::flex())
        .expect("valid")
}

/// Simulations of so many observations, which are told of that number.
fn pilot(n: usize, direct: usize) -> Configured {
    let mut conditions = Conditions::new(normal((20, n, 2), 1));
    if direct > 0 {
        conditions = conditions.with_direct(Array2::from_elem((20, direct), n as f32));
    }
    Configured::new(normal((20, 1, 3), 2).remove_axis(Axis(1)), conditions).expect("20 of each")
}

/// What is said on the error stream of a command that runs, and the draws that it wrote.
#[track_caller]
fn drawn(folder: &Path, arguments: &[&str]) -> (String, Draws) {
    let output = run(folder, &[arguments, &["--draws", "20", "--out", "d.npz"]].concat());
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {notes}");
    (notes, read_draws(folder.join("d.npz")).expect("draws"))
}
