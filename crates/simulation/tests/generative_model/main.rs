//! Tests generative models as a user writes them: reproducibility, contexts, moments and errors.

mod contexts;
mod densities;
mod errors;
mod invalid;
mod loaded;
mod moments;
mod one_number;
mod panics;
mod reproducibility;

use bayesburn_simulation::{ContextGenerator, GenerativeModel, Prior, Simulator};
use ndarray::{Array1, Array2, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;

/// A model with all four contexts, of functions of one draw; N is 3 to 9.
fn model_with_all_contexts() -> GenerativeModel {
    let of_prior = ContextGenerator::new()
        .with_batchable(|rng| arr1(&[rng.sample::<f32, _>(StandardNormal), 2.0]))
        .with_non_batchable(|rng| arr1(&[rng.random_range(1..=3) as f32, 0.5, 0.25]));
    let prior = Prior::from_fn(["a", "b"], |rng, context| {
        let (own, shared) = (context.batchable(), context.non_batchable());
        [own[[0]] + rng.sample::<f32, _>(StandardNormal), shared[[0]] * rng.sample::<f32, _>(StandardNormal)]
    })
    .with_context(of_prior);
    let of_simulator = ContextGenerator::num_observations(3..=9)
        .with_batchable_given_non_batchable(|rng, n| Array1::from_shape_fn(n[[0]] as usize, |_| rng.random::<f32>()));
    let simulator = Simulator::from_fn(|rng, theta, context| {
        let design = context.batchable();
        Array2::from_shape_fn((context.num_observations(), 2), |(i, d)| {
            theta[d] * design[[i]] + rng.sample::<f32, _>(StandardNormal)
        })
    })
    .with_context(of_simulator);
    GenerativeModel::new(prior, simulator).expect("the model is sound")
}

/// θ is normal, x is θ plus noise, four observations; no context.
fn plain_model() -> GenerativeModel {
    GenerativeModel::new(normal_prior(), normal_simulator()).expect("the model is sound")
}

fn normal_prior() -> Prior {
    Prior::from_fn(["mu", "nu"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)))
}

fn normal_simulator() -> Simulator {
    Simulator::from_fn(|rng, theta, _| {
        Array2::from_shape_fn((4, 2), |(_, d)| theta[d] + rng.sample::<f32, _>(StandardNormal))
    })
}
