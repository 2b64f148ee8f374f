//! Climbs to the most probable parameters where a bound of the prior cuts the posterior, and where none does.

use crate::npe;
use bayesburn_inference::{NpeConfig, ParameterSpace, Posterior};
use bayesburn_simulation::{GenerativeModel, Prior, Simulator, Univariate};
use ndarray::{Array1, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;

/// The default network on 2,000 simulations of x = θ + noise.
fn trained(prior: Prior, noise: f32, space: ParameterSpace) -> Posterior {
    let simulator = Simulator::from_fn(move |rng, theta, _| {
        Array1::from_shape_fn(theta.len(), |d| theta[d] + noise * rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(prior, simulator).expect("it simulates");
    let mut npe = npe(model, NpeConfig::new().with_space(space), 1);
    npe.simulate(2000).expect("it simulates");
    npe.train().expect("it trains")
}

const SPACES: [ParameterSpace; 2] = [ParameterSpace::Bounded, ParameterSpace::Unconstrained];

/// Exact modes on bounds, found within 0.02 of the prior's standard deviation, and inside, within 0.25 of it: one
/// network of 2,000 simulations each, seed 1. Twins are the modes inside: what is on a bound for all observations
/// fails there.
#[test]
fn the_most_probable_parameter_may_be_on_a_bound() {
    let exponential = Univariate::exponential(1.0).expect("valid");
    let half_normal = Univariate::half_normal(1.0).expect("valid");
    let uniform = Univariate::uniform(10.0, 30.0).expect("valid");
    // Prior, its standard deviation, noise; observations and modes.
    for (prior, std, noise, cases) in [
        (exponential, 1.0, 1.0, [(-0.5f32, 0.0f32), (0.3, 0.0), (3.0, 2.0)]),
        (half_normal, 0.6, 1.0, [(-0.5, 0.0), (-1.0, 0.0), (2.0, 1.0)]),
        (uniform, 5.8, 5.0, [(5.0, 10.0), (35.0, 30.0), (20.0, 20.0)]),
    ] {
        for space in SPACES {
            let posterior = trained(Prior::independent([("theta", prior)]), noise, space);
            for (x, exact) in cases {
                let map = posterior.map_for(&arr1(&[x]), 1).expect("a sound request").parameters[0];
                let within = if x == cases[2].0 { 0.25 } else { 0.02 } * std;
                assert!((map - exact).abs() <= within, "{space:?}, {prior:?}, x = {x}: {map}, exact {exact}");
            }
        }
    }
}

/// One parameter on a bound, two inside, which are correlated.
#[test]
fn others_are_found_beside_one_on_a_bound() {
    let prior = Prior::product([
        Prior::box_uniform(["u"], &[0.0], &[5.0]).expect("a box"),
        Prior::multivariate_normal(["a", "b"], &[0.0, 0.0], &ndarray::arr2(&[[1.0, 0.9], [0.9, 1.0]]))
            .expect("a normal"),
    ]);
    let posterior = trained(prior.expect("three names"), 0.5, ParameterSpace::Bounded);
    let map = posterior.map_for(&arr1(&[5.6, 0.5, -0.5]), 1).expect("a sound request").parameters;
    assert!((map[0] - 5.0).abs() < 0.02 * 1.44, "{map}");
    // Precisions of the prior plus 4 on the diagonal: ±2 / (1 / 0.1 + 4).
    assert!((map[1] - 0.143).abs() < 0.15 && (map[2] + 0.143).abs() < 0.15, "{map}");
}
