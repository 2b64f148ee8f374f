//! Tests neural posterior estimation as a user meets it, on the linear Gaussian: x = θ + 1 + 0.1 noise, θ uniform on [−2, 2].

mod bad_input;
mod estimates;
mod rejection;
mod resuming;

use bayesburn_amortizers::PosteriorConfig;
use bayesburn_inference::{Npe, NpeConfig, NpeTraining};
use bayesburn_networks::{DenseNetConfig, IdentityConfig, MixtureConfig};
use bayesburn_simulation::{GenerativeModel, Prior, Progress, Simulator};
use ndarray::{Array1, Array2};
use rand::RngExt;
use rand_distr::StandardNormal;

fn prior(dim: usize) -> Prior {
    let names = (1..=dim).map(|d| format!("theta_{d}"));
    Prior::box_uniform(names, &vec![-2.0; dim], &vec![2.0; dim]).expect("a box")
}

fn simulator() -> Simulator {
    Simulator::from_fn(|rng, theta, _| {
        Array1::from_iter(theta.iter().map(|t| t + 1.0 + 0.1 * rng.sample::<f32, _>(StandardNormal)))
    })
}

fn model(dim: usize) -> GenerativeModel {
    GenerativeModel::new(prior(dim), simulator()).expect("the pilot run succeeds")
}

/// A mixture with dropout, which learns a posterior near a normal from few simulations.
fn config() -> NpeConfig {
    let net = DenseNetConfig::new().with_units(50).with_shortcut(true).with_dropout(0.2);
    let mixture = MixtureConfig::new().with_components(3).with_net(net);
    NpeConfig::new().with_networks(PosteriorConfig::new(IdentityConfig::new(), mixture))
}

/// Some epochs, where it does not matter how good the posterior is.
fn short() -> NpeConfig {
    config().with_training(NpeTraining::new().with_max_epochs(4).with_batch_size(50))
}

fn npe(dim: usize, config: NpeConfig, seed: u64) -> Npe {
    let builder = Npe::builder(model(dim), config).seed(seed).progress(Progress::Hidden);
    builder.build().expect("valid settings")
}

fn zeros(dim: usize) -> Array1<f32> {
    Array1::zeros(dim)
}

/// Mean and standard deviation of each column.
fn moments(draws: &Array2<f32>) -> (Vec<f64>, Vec<f64>) {
    let draws = draws.mapv(f64::from);
    let mean = draws.mean_axis(ndarray::Axis(0)).expect("some draws");
    (mean.to_vec(), draws.std_axis(ndarray::Axis(0), 1.0).to_vec())
}
