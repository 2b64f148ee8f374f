//! Checks that priors over decades are inferred on the scale that is right for them, and that two spaces are compared
//! as they are used.

use crate::{builder, config_of, npe, shifted, small};
use bayesburn_amortizers::PosteriorConfig;
use bayesburn_core::Interval;
use bayesburn_inference::{NpeConfig, NpeTraining, ParameterSpace, Posterior};
use bayesburn_networks::{DenseNetConfig, IdentityConfig, MixtureConfig};
use bayesburn_simulation::{GenerativeModel, Prior, Progress, Simulator, Univariate};
use ndarray::arr1;
use rand::RngExt;
use rand_distr::StandardNormal;

/// x = ln k + noise of standard deviation 0.2.
fn logarithm(prior: Prior) -> GenerativeModel {
    let simulator = Simulator::from_fn(|rng, k, _| arr1(&[k[0].ln() + 0.2 * rng.sample::<f32, _>(StandardNormal)]));
    GenerativeModel::new(prior, simulator).expect("it simulates")
}

fn config(networks: impl FnOnce(PosteriorConfig<IdentityConfig>) -> PosteriorConfig<IdentityConfig>) -> NpeConfig {
    let training = NpeTraining::new().with_batch_size(100).with_learning_rate(5e-3).with_max_epochs(60);
    let net = DenseNetConfig::new().with_units(20).with_shortcut(true);
    let config = config_of(MixtureConfig::new().with_components(2).with_net(net), training);
    let networks = networks(config.networks.clone());
    config.with_networks(networks)
}

/// The largest distance of the mean of ln k from the exact one, in units of the exact standard deviation, at x from −3
/// to 3; of 2,000 draws.
fn worst(posterior: &Posterior, prior_variance: f64) -> f64 {
    let (weight, mut worst) = (1.0 / (1.0 + 0.04 / prior_variance), 0.0_f64);
    for x in [-3.0f32, -1.5, 0.0, 1.5, 3.0] {
        let draws = posterior.sample_for(&arr1(&[x]), 2000, 1).expect("a sound request");
        let mean = draws.values().iter().map(|k| f64::from(*k).ln()).sum::<f64>() / 2000.0;
        worst = worst.max((mean - weight * f64::from(x)).abs() / (weight * 0.04).sqrt());
    }
    worst
}

/// Exact posteriors are normal in ln k, with a standard deviation of 0.2. The twin is on the scale of k.
#[test]
fn priors_over_decades_are_inferred_by_their_logarithms() {
    let log_normal = || Prior::independent([("k", Univariate::log_normal(0.0, 1.5).expect("settings"))]);
    let log_uniform = Prior::from_fn(["k"], |rng, _| [10f32.powf(-3.0 + 6.0 * rng.random::<f32>()).clamp(1e-3, 1e3)]);
    let log_uniform = log_uniform.with_log_prob([Interval::Between(1e-3, 1e3)], |k| {
        -f64::from(k[0]).ln() - (6.0 * std::f64::consts::LN_10).ln()
    });
    for (prior, variance) in [(log_normal(), 2.25), (log_uniform.expect("one interval"), f64::INFINITY)] {
        let mut npe = npe(logarithm(prior), config(|networks| networks), 1);
        npe.simulate(2000).expect("it simulates");
        let off = worst(&npe.train().expect("it trains"), variance);
        assert!(off < 0.3 && npe.summaries()[0].warnings.is_empty(), "{off}: {}", npe.summaries()[0]);
    }
    let mut twin = npe(logarithm(log_normal()), config(|networks| networks.with_support([Interval::Real])), 1);
    twin.simulate(2000).expect("it simulates");
    let off = worst(&twin.train().expect("it trains"), 2.25);
    assert!(off > 2.0, "the twin: {off}");
}

/// A gamma distribution of shape 0.3 spans decades, and not evenly on any scale.
#[test]
fn a_prior_over_decades_on_no_scale_is_warned_of() {
    let of = |shape: f64, space: ParameterSpace| {
        let prior = Prior::independent([("k", Univariate::gamma(shape, 1.0).expect("settings"))]);
        let config = config_of(small(), NpeTraining::new().with_max_epochs(2)).with_space(space);
        let mut npe = npe(logarithm(prior), config, 1);
        npe.simulate(300).expect("it simulates");
        npe.train().expect("it trains");
        npe.summaries()[0].warnings.clone()
    };
    let warnings = of(0.3, ParameterSpace::Bounded);
    assert!(warnings.len() == 1 && warnings[0].contains("the prior of k spans decades"), "{warnings:?}");
    assert!(of(2.0, ParameterSpace::Bounded).is_empty() && of(0.3, ParameterSpace::Unconstrained).is_empty());
}

/// One normal distribution for a posterior that the bounds cut: by the validation loss, which counts what leaks, the
/// unconstrained space is the better; as posteriors are used, it is not. Losses on 4,000 fresh simulations, of standard
/// error 0.02, say what is true.
#[test]
fn spaces_are_compared_as_posteriors_are_used() {
    let model = shifted(1, 0.6);
    let fresh = model.simulate(4000, 99).expect("it simulates");
    let [bounded, unconstrained] = [ParameterSpace::Bounded, ParameterSpace::Unconstrained].map(|space| {
        let net = DenseNetConfig::new().with_units(20).with_shortcut(true);
        let training = NpeTraining::new().with_learning_rate(5e-3).with_max_epochs(150);
        let config = config_of(MixtureConfig::gaussian().with_net(net), training).with_space(space);
        let mut npe = builder(model.clone(), config, 1).progress(Progress::Hidden).build().expect("sound");
        npe.simulate(4000).expect("it simulates");
        let posterior = npe.train().expect("it trains").with_leakage_draws(512);
        let log_prob = posterior.log_prob_for(&fresh.parameters, fresh.data.values()).expect("sound");
        let summary = npe.summaries()[0].clone();
        (
            summary.best_validation_loss,
            summary.corrected_validation_loss.expect("one round"),
            -log_prob.mean().expect("4,000"),
        )
    });
    assert!(bounded.0 > unconstrained.0 && bounded.2 < unconstrained.2, "{bounded:?}, {unconstrained:?}");
    assert!(bounded.1 < unconstrained.1, "{bounded:?}, {unconstrained:?}");
    // Held out are 400, of which 128 tell the correction.
    assert!((bounded.1 - bounded.2).abs() < 0.15, "{bounded:?}");
    assert_eq!(unconstrained.0, unconstrained.1, "nothing leaks");
}
