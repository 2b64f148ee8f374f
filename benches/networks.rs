//! Measures online training with each summary network: steps per second and the peak of memory.
//!
//! `cargo bench --bench networks -- NETWORK [SECONDS]`; without a network it lists them. Each prints one line of JSON.
//! Models and sizes are those of `benches/peers/bf2_networks.py`, which measures BayesFlow 2. A network is a process of
//! its own, for its peak of memory. Linux only: memory is read from `/proc/self/status`.

#![allow(clippy::print_stdout, reason = "a program that measures")]

use bayesburn::{
    networks::{
        ConvolutionalNetworkConfig, SetTransformerConfig, SummaryConfig, TimeSeriesNetworkConfig,
        TimeSeriesTransformerConfig,
    },
    prelude::*,
};
use benchmarks::{peak_memory, steps_per_second};
use std::{env, time::Duration};

const HELP: &str = "\
cargo bench --bench networks -- NETWORK [SECONDS]

    deep_set, set_transformer            sets of 50 x 4
    time_series, time_series_transformer series of 100 x 2
    image                                images of 32 x 32
";

/// The names and prior of four parameters.
fn prior() -> Prior {
    let names = ["theta_1", "theta_2", "theta_3", "theta_4"];
    Prior::from_fn(names, |rng, _| [(); 4].map(|()| rng.sample(StandardNormal)))
}

fn model(simulator: Simulator) -> GenerativeModel {
    GenerativeModel::new(prior(), simulator).expect("the pilot run succeeds")
}

/// Normal observations around four means.
fn sets() -> GenerativeModel {
    model(Simulator::from_fn(|rng, theta, _| {
        Array2::from_shape_fn((50, 4), |(_, d)| theta[d] + rng.sample::<f32, _>(StandardNormal))
    }))
}

/// A damped, noisy oscillation in two dimensions.
fn series() -> GenerativeModel {
    model(Simulator::from_fn(|rng, theta, _| {
        Array2::from_shape_fn((100, 2), |(row, d)| {
            let t = row as f32 / 10.0;
            let oscillation = (-0.1 * t).exp() * (t * (0.3 * theta[d]).exp()).sin();
            oscillation + theta[2 + d] + 0.3 * rng.sample::<f32, _>(StandardNormal)
        })
    }))
}

/// A blurred spot.
fn image() -> GenerativeModel {
    model(Simulator::from_fn(|rng, theta, _| {
        Array3::from_shape_fn((32, 32, 1), |(row, column, _)| {
            let at = |i: usize| i as f32 * 4.0 / 31.0 - 2.0;
            let square = (at(column) - theta[0]).powi(2) + (at(row) - theta[1]).powi(2);
            let spot = (-square / (2.0 * (0.5 * theta[2]).exp())).exp() * (0.3 * theta[3]).exp();
            spot + 0.3 * rng.sample::<f32, _>(StandardNormal)
        })
    }))
}

/// Prints steps per second with batches of 32 and four coupling layers, simulation included.
fn measure<C: SummaryConfig>(name: &str, model: GenerativeModel, config: C, seconds: f64) {
    let networks = PosteriorConfig::new(config, InvertibleNetworkConfig::new().with_num_coupling_layers(4));
    let builder = Trainer::builder(model, networks);
    let (rate, parameters) = steps_per_second(builder, 32, Duration::from_secs_f64(seconds));
    let line = serde_json::json!({
        "what": name, "steps_per_s": rate, "parameters": parameters, "peak_mb": peak_memory(),
    });
    println!("{line}");
}

fn main() -> bayesburn::Result<()> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let seconds = arguments.get(1).map_or(Ok(5.0), |text| text.parse());
    let seconds = seconds.map_err(|_| bayesburn::Error::message("SECONDS is a number"))?;
    let name = arguments.first().map_or("", String::as_str);
    match name {
        "deep_set" => measure(name, sets(), DeepSetConfig::new(10), seconds),
        "set_transformer" => measure(name, sets(), SetTransformerConfig::new(10), seconds),
        "time_series" => measure(name, series(), TimeSeriesNetworkConfig::new(10), seconds),
        "time_series_transformer" => measure(name, series(), TimeSeriesTransformerConfig::new(10), seconds),
        "image" => measure(name, image(), ConvolutionalNetworkConfig::new(10), seconds),
        _ => {
            print!("{HELP}");
        }
    }
    Ok(())
}
