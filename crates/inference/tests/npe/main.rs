//! Tests neural posterior estimation as a user meets it: what it infers, in one round and several, what it refuses and
//! what it warns of.

mod bad_data;
mod bad_input;
mod corrections;
mod density;
mod dropout;
mod failing;
mod full_disk;
mod kills;
mod linear_gaussian;
mod map;
mod origins;
mod pairs;
mod rejection;
mod resume;
mod rounds;
mod saved;
mod space;
mod truncated;
mod unlike;
mod weights;

use bayesburn_amortizers::PosteriorConfig;
use bayesburn_core::{Purpose, StreamRng, stream};
use bayesburn_inference::{Npe, NpeBuilder, NpeConfig, NpeOrigin, NpeTraining};
use bayesburn_networks::{AnyInferenceConfig, DenseNetConfig, IdentityConfig, MixtureConfig};
use bayesburn_simulation::{GenerativeModel, Prior, Progress, Simulator};
use ndarray::Array1;
use rand::RngExt;
use rand_distr::StandardNormal;

fn rng(index: u64) -> StreamRng {
    stream(2023, const { Purpose::new("npe tests") }, index)
}

/// Uniform on [−2, 2]^D.
fn box_prior(dim: usize) -> Prior {
    let names = (0..dim).map(|d| format!("theta_{d}"));
    Prior::box_uniform(names, &vec![-2.0; dim], &vec![2.0; dim]).expect("a box")
}

/// x = θ + 1 + noise, with θ uniform on [−2, 2]^D and noise of this standard deviation.
fn shifted(dim: usize, noise: f32) -> GenerativeModel {
    let simulator = Simulator::from_fn(move |rng, theta, _| {
        Array1::from_shape_fn(dim, |d| theta[d] + 1.0 + noise * rng.sample::<f32, _>(StandardNormal))
    });
    GenerativeModel::new(box_prior(dim), simulator).expect("it simulates")
}

/// The linear Gaussian example.
fn linear_gaussian() -> GenerativeModel {
    shifted(3, 0.1)
}

/// A mixture density network with dropout.
fn mixture(components: usize) -> MixtureConfig {
    let net = DenseNetConfig::new().with_units(50).with_shortcut(true).with_dropout(0.2);
    MixtureConfig::new().with_components(components).with_net(net)
}

/// A small one, for tests of anything but how well it is learnt.
fn small() -> MixtureConfig {
    MixtureConfig::new().with_components(2).with_net(DenseNetConfig::new().with_units(8).with_shortcut(true))
}

fn config_of(estimator: impl Into<AnyInferenceConfig>, training: NpeTraining) -> NpeConfig {
    let networks = PosteriorConfig::new(IdentityConfig::new(), estimator);
    NpeConfig::new().with_networks(networks).with_training(training)
}

/// A small network and three epochs.
fn short() -> NpeConfig {
    config_of(small(), NpeTraining::new().with_batch_size(50).with_max_epochs(3))
}

fn builder(origin: impl Into<NpeOrigin>, config: NpeConfig, seed: u64) -> NpeBuilder {
    Npe::builder(origin, config).seed(seed).progress(Progress::Hidden)
}

fn npe(origin: impl Into<NpeOrigin>, config: NpeConfig, seed: u64) -> Npe {
    builder(origin, config, seed).build().expect("a sound inference")
}

/// Φ, to 1e-7 (Abramowitz & Stegun 1964, 7.1.26).
fn normal_cdf(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let above = 0.5 * polynomial * (-x * x).exp();
    if z > 0.0 { 1.0 - above } else { above }
}

/// The Kolmogorov-Smirnov distance of a sample to a distribution function, times √n. Under the distribution it exceeds
/// 1.95 with probability 1e-3.
fn kolmogorov_smirnov(mut sample: Vec<f32>, cdf: impl Fn(f64) -> f64) -> f64 {
    sample.sort_by(f32::total_cmp);
    let n = sample.len() as f64;
    let distance = sample.iter().enumerate().map(|(i, &x)| {
        let p = cdf(f64::from(x));
        (p - i as f64 / n).abs().max((p - (i + 1) as f64 / n).abs())
    });
    distance.fold(0.0, f64::max) * n.sqrt()
}

const KS_BOUND: f64 = 1.95;
