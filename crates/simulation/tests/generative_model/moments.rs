//! Checks prior moments against closed forms, and that the streams of a model are independent.

use bayesburn_simulation::{ContextGenerator, GenerativeModel, Prior, Simulator};
use ndarray::{Array2, arr1};
use rand::RngExt;
use rand_distr::{Exp1, StandardNormal};

const N: usize = 20_000;

/// Whether mean and standard deviation are those of a normal (3, 10) and of an exponential (1) parameter. n = 20,000;
/// each of the four bounds is 4 standard errors (alpha 6e-5), where the standard error of a standard deviation σ is
/// √((μ₄ − σ⁴) / 4nσ²): σ/√2n for the normal, √2 σ/√n for the exponential.
fn moments_match(prior: &Prior) -> bool {
    let moments = prior.moments(N, 2023).expect("the prior is sound");
    let root_n = (N as f32).sqrt();
    let near = |got: f32, expected: f32, standard_error: f32| (got - expected).abs() < 4.0 * standard_error;
    near(moments.means[0], 3.0, 10.0 / root_n)
        && near(moments.stds[0], 10.0, 10.0 / (2f32.sqrt() * root_n))
        && near(moments.means[1], 1.0, 1.0 / root_n)
        && near(moments.stds[1], 1.0, 2f32.sqrt() / root_n)
}

fn prior(mean: f32, std: f32, scale: f32) -> Prior {
    Prior::from_fn(["normal", "exponential"], move |rng, _| {
        [mean + std * rng.sample::<f32, _>(StandardNormal), scale * rng.sample::<f32, _>(Exp1)]
    })
}

/// The twins are off by 5% of a standard deviation, which 4 standard errors (2.8% for means) do not cover.
#[test]
fn prior_moments_match_closed_forms() {
    assert!(moments_match(&prior(3.0, 10.0, 1.0)));
    assert!(!moments_match(&prior(3.5, 10.0, 1.0)));
    assert!(!moments_match(&prior(3.0, 10.5, 1.0)));
    assert!(!moments_match(&prior(3.0, 10.0, 1.05)));
}

#[test]
fn functions_of_a_whole_batch_have_moments_too() {
    let whole = |shift: f32| {
        Prior::from_batch_fn(["normal", "exponential"], move |rng, batch, _| {
            Array2::from_shape_fn((batch, 2), |(_, i)| match i {
                0 => 3.0 + shift + 10.0 * rng.sample::<f32, _>(StandardNormal),
                _ => rng.sample(Exp1),
            })
        })
    };
    assert!(moments_match(&whole(0.0)));
    assert!(!moments_match(&whole(0.5)));
}

/// By hand: 1, 2 and 6 have mean 3 and standard deviation √7; their float sum is exact.
#[test]
fn moments_match_hand_computed_values() {
    let prior = Prior::from_batch_fn(["p"], |_, _, _| ndarray::arr2(&[[1.0], [2.0], [6.0]]));
    let moments = prior.moments(3, 0).expect("the prior is sound");
    assert_eq!((moments.means[0], moments.stds[0]), (3.0, 7f32.sqrt()));
}

/// The largest correlation between two of the six quantities over 4,000 batches of one simulation, each the first
/// normal draw of its stream, where x also contains `leak` · θ.
fn largest_correlation(leak: f32) -> f64 {
    let context = || {
        ContextGenerator::new()
            .with_batchable(|rng| arr1(&[rng.sample::<f32, _>(StandardNormal)]))
            .with_non_batchable(|rng| arr1(&[rng.sample::<f32, _>(StandardNormal)]))
    };
    let prior = Prior::from_fn(["theta"], |rng, _| [rng.sample(StandardNormal)]).with_context(context());
    let simulator =
        Simulator::from_fn(move |rng, theta, _| arr1(&[leak * theta[0] + rng.sample::<f32, _>(StandardNormal)]))
            .with_context(context());
    let model = GenerativeModel::new(prior, simulator).expect("the model is sound");
    let draws: Vec<[f64; 6]> = (0..4000)
        .map(|first| {
            let s = model.simulate_from(5, first, 1).expect("the model is sound");
            let contexts = [
                s.prior_batchable_context,
                s.prior_non_batchable_context,
                s.sim_batchable_context,
                s.sim_non_batchable_context,
            ];
            let [a, b, c, d] = contexts.map(|context| context.and_then(|c| c.first().copied()).expect("given"));
            [s.parameters[[0, 0]], s.data.values()[[0, 0]], a, b, c, d].map(f64::from)
        })
        .collect();
    let pairs = (0..6).flat_map(|i| (0..i).map(move |j| (i, j)));
    let correlation = |(i, j): (usize, usize)| draws.iter().map(|d| d[i] * d[j]).sum::<f64>() / draws.len() as f64;
    pairs.map(|pair| correlation(pair).abs()).fold(0.0, f64::max)
}

/// n = 4,000 and 15 pairs; a correlation has standard deviation 1/√n = 0.0158, and the bound is 4 of them (alpha 6e-5
/// for a pair, 1e-3 for all). The twin's data contain a tenth of the parameter.
#[test]
fn streams_of_a_model_are_independent() {
    let bound = 4.0 / 4000f64.sqrt();
    let largest = largest_correlation(0.0);
    assert!(largest < bound, "correlation {largest}");
    assert!(largest_correlation(0.1) > bound);
}
