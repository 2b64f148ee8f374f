//! The same trainings on a GPU and on the processor. Where there is no GPU, or the tests were built without CUDA, each says so and passes:
//! `cargo test --release --features cuda --test end_to_end gpu -- --nocapture`.

#![allow(clippy::print_stderr, reason = "a test that is skipped says why")]

use crate::models::normal_means;
use bayesburn::{networks::device, prelude::*, trainers::Optimizer};
use burn::optim::AdamConfig;
use std::path::Path;

/// The GPU; `None`, and a message why, where there is none.
fn gpu(test: &str) -> Option<Device> {
    device("cuda").inspect_err(|error| eprintln!("{test} is skipped: {error}")).ok()
}

fn default_networks() -> PosteriorConfig<DeepSetConfig> {
    PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new().with_num_coupling_layers(4))
}

/// Networks, and whether a GPU has kernels for them: those of Burn's operations have products in TF32, with 10 bits.
fn networks() -> Vec<(&'static str, PosteriorConfig<DeepSetConfig>, bool)> {
    let spline = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::neural_spline_flow());
    let mixture = PosteriorConfig::new(DeepSetConfig::new(10), MixtureConfig::new());
    vec![
        ("default", default_networks(), true),
        ("v1", PosteriorConfig::bayesflow_v1(10, 4), true),
        ("spline", spline, false),
        ("mixture", mixture, false),
    ]
}

fn trainer(networks: PosteriorConfig<DeepSetConfig>, device: &Device, folder: Option<&Path>) -> Trainer<DeepSetConfig> {
    let builder = Trainer::builder(normal_means(), networks).seed(5).progress(Progress::Hidden).device(device.clone());
    match folder {
        Some(folder) => builder.checkpoints(folder).resume(),
        None => builder,
    }
    .build()
    .expect("sound")
}

fn source(epochs: usize, steps: usize) -> Online {
    Online::new().with_epochs(epochs).with_iterations_per_epoch(steps).with_batch_size(64)
}

fn config() -> TrainingConfig {
    let schedule = Schedule::new().with_initial_rate(1e-3);
    TrainingConfig::new()
        .with_optimizer(Optimizer::Adam(AdamConfig::new()))
        .with_schedule(schedule)
        .with_validation_simulations(100)
}

fn losses(trainer: &Trainer<DeepSetConfig>) -> Vec<f32> {
    trainer.history().steps.iter().map(|step| step.loss.expect("finite")).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max)
}

#[test]
fn a_gpu_trains_as_the_processor_does() {
    let Some(gpu) = gpu("a_gpu_trains_as_the_processor_does") else { return };
    for (name, networks, by_kernels) in networks() {
        let run = |device: &Device| {
            let mut trainer = trainer(networks.clone(), device, None);
            trainer.train(source(2, 20), &config()).expect("it trains");
            trainer
        };
        let (there, here) = (run(&gpu), run(&Device::flex()));
        let off = largest_difference(&losses(&there), &losses(&here));
        let validation = |trainer: &Trainer<DeepSetConfig>| trainer.history().validation_losses()[1].1;
        let (v, w) = (validation(&there), validation(&here));
        eprintln!("{name}: losses {off:.1e} off, validation {v} and {w}");
        assert!(off < if by_kernels { 2e-4 } else { 3e-2 }, "{name}: {off}");
        assert!((v - w).abs() < 3e-2, "{name}: {v} and {w}");
    }
}

#[test]
fn a_gpu_repeats_a_run_to_the_bit() {
    let Some(gpu) = gpu("a_gpu_repeats_a_run_to_the_bit") else { return };
    let run = || {
        let mut trainer = trainer(default_networks(), &gpu, None);
        trainer.train(source(1, 20), &config()).expect("it trains");
        losses(&trainer)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_checkpoint_goes_on_on_the_other_device() {
    let Some(gpu) = gpu("a_checkpoint_goes_on_on_the_other_device") else { return };
    let here = Device::flex();
    for [first, second] in [[&gpu, &here], [&here, &gpu], [&gpu, &gpu]] {
        let folder = tempfile::tempdir().expect("a folder");
        // As if the process had ended after its first run.
        let mut begun = {
            let builder = Trainer::builder(normal_means(), default_networks()).seed(5).progress(Progress::Hidden);
            builder.device(first.clone()).checkpoints(folder.path()).build().expect("sound")
        };
        begun.train(source(1, 15), &config()).expect("it trains");
        begun.train(source(1, 15), &config()).expect("it trains");
        let expected = losses(&begun);
        drop(begun);
        let whole = folder.path().join("step-00000030");
        assert!(whole.is_dir(), "the last checkpoint");
        std::fs::remove_dir_all(&whole).expect("deleted");
        let mut resumed = trainer(default_networks(), second, Some(folder.path()));
        resumed.train(source(1, 15), &config()).expect("it goes on");
        resumed.train(source(1, 15), &config()).expect("it goes on");
        let off = largest_difference(&losses(&resumed), &expected);
        eprintln!("{first:?} to {second:?}: {off:.1e} off");
        assert!(off < 2e-4, "{first:?} to {second:?}: {off}");
    }
}

/// 5 million rows of 2,048 units are 40 GB for each layer.
#[test]
fn memory_that_is_not_there_is_an_error() {
    let Some(gpu) = gpu("memory_that_is_not_there_is_an_error") else { return };
    let networks = PosteriorConfig::new(
        DeepSetConfig::new(4).with_units(2048),
        InvertibleNetworkConfig::new().with_num_coupling_layers(1),
    );
    let mut trainer = trainer(networks, &gpu, None);
    let source = Online::new().with_epochs(1).with_iterations_per_epoch(1).with_batch_size(500_000);
    let error = trainer.train(source, &TrainingConfig::new()).map(|_| ()).expect_err("out of memory").to_string();
    assert!(error.contains("the GPU failed") && error.contains("smaller batches"), "{error}");
    eprintln!("{error}");
}
