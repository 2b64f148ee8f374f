//! Gives the tests their models and small networks.

use bayesburn::{
    networks::{AffineConfig, AffineNets, DenseNetConfig},
    prelude::*,
};

/// μ ~ N(0, I) in two dimensions, and 10 observations x ~ N(μ, I).
pub(crate) fn normal_means() -> GenerativeModel {
    let prior = Prior::from_fn(["mu_1", "mu_2"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(|rng, mu, _| {
        Array2::from_shape_fn((10, 2), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
    });
    GenerativeModel::new(prior, simulator).expect("the pilot run succeeds")
}

/// Networks of 16 units, with dropout, so that every kind of random number is drawn, and steps go by Burn's graph.
pub(crate) fn small_networks() -> PosteriorConfig {
    networks(0.1)
}

/// The same without dropout, whose steps need no graph.
pub(crate) fn direct_networks() -> PosteriorConfig {
    networks(0.0)
}

fn networks(dropout: f64) -> PosteriorConfig {
    let net = DenseNetConfig::new().with_units(16).with_dropout(dropout);
    let coupling = CouplingDesign::Affine(AffineConfig::new().with_nets(AffineNets::Shared(net)));
    let inference = InvertibleNetworkConfig::new().with_num_coupling_layers(2).with_coupling(coupling);
    PosteriorConfig::new(DeepSetConfig::new(4).with_units(16).with_dropout(dropout), inference)
}

/// A short run: 3 epochs of 6 steps.
pub(crate) fn short_run() -> Online {
    Online::new().with_epochs(3).with_iterations_per_epoch(6).with_batch_size(8)
}

/// How it is trained.
pub(crate) fn training() -> TrainingConfig {
    TrainingConfig::new().with_validation_simulations(20).with_schedule(Schedule::new().with_initial_rate(1e-3))
}
