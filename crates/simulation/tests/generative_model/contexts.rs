//! Checks what contexts do to the shapes and values of a batch.

use crate::{model_with_all_contexts, normal_prior, normal_simulator, plain_model};
use bayesburn_simulation::{ContextGenerator, GenerativeModel, Prior, Simulator};
use ndarray::{Array1, Array2, Axis, arr1};
use rand::RngExt;

#[test]
fn all_six_quantities_have_their_shapes() {
    let simulations = model_with_all_contexts().simulate(8, 1).expect("the model is sound");
    let n = simulations.sim_non_batchable_context.as_ref().expect("N is context")[[0]] as usize;
    assert!((3..=9).contains(&n), "N = {n}");
    assert_eq!(simulations.parameters.dim(), (8, 2));
    assert_eq!(simulations.data.values().shape(), [8, n, 2]);
    let shape = |context: &Option<ndarray::ArrayD<f32>>| context.as_ref().map(|c| c.shape().to_vec());
    assert_eq!(shape(&simulations.prior_batchable_context), Some(vec![8, 2]));
    assert_eq!(shape(&simulations.prior_non_batchable_context), Some(vec![3]));
    assert_eq!(shape(&simulations.sim_batchable_context), Some(vec![8, n]));
    assert_eq!(shape(&simulations.sim_non_batchable_context), Some(vec![1]));
    assert_eq!(&*simulations.parameter_names, ["a", "b"]);
}

#[test]
fn a_model_without_context_yields_none() {
    let simulations = plain_model().simulate(3, 1).expect("the model is sound");
    assert!(simulations.prior_batchable_context.is_none() && simulations.prior_non_batchable_context.is_none());
    assert!(simulations.sim_batchable_context.is_none() && simulations.sim_non_batchable_context.is_none());
}

#[test]
fn shapes_print_as_a_table() {
    let shared = ContextGenerator::new().with_non_batchable(|_| arr1(&[4.0]));
    let prior = normal_prior().with_context(ContextGenerator::new().with_batchable(|_| Array2::<f32>::ones((4, 1))));
    let model = GenerativeModel::new(prior, normal_simulator().with_context(shared)).expect("the model is sound");
    let table = "\
parameters                    [B, 2]
data                          [B, 4, 2]
prior batchable context       [B, 4, 1]
prior non-batchable context   none
sim batchable context         none
sim non-batchable context     [1]";
    assert_eq!(model.shapes().to_string(), table);
}

/// Every function sees its own context: of its own draw, or of the whole batch.
#[test]
fn functions_see_their_own_context() {
    let own = |scale: f32| {
        ContextGenerator::new()
            .with_batchable(move |rng| arr1(&[scale * rng.random::<f32>()]))
            .with_non_batchable(move |rng| arr1(&[scale * rng.random::<f32>()]))
    };
    let one = GenerativeModel::new(
        Prior::from_fn(["own", "shared"], |_, c| [c.batchable()[[0]], c.non_batchable()[[0]]]).with_context(own(1.0)),
        Simulator::from_fn(|_, _, c| arr1(&[c.batchable()[[0]], c.non_batchable()[[0]]])).with_context(own(100.0)),
    );
    let whole = GenerativeModel::new(
        Prior::from_batch_fn(["own", "shared"], |_, batch, c| {
            assert_eq!(c.batchable().shape(), [batch, 1]);
            Array2::from_shape_fn((batch, 2), |(b, i)| [c.batchable()[[b, 0]], c.non_batchable()[[0]]][i])
        })
        .with_context(own(1.0)),
        Simulator::from_batch_fn(|_, theta, c| {
            Array2::from_shape_fn((theta.nrows(), 2), |(b, i)| [c.batchable()[[b, 0]], c.non_batchable()[[0]]][i])
        })
        .with_context(own(100.0)),
    );
    for model in [one, whole] {
        let s = model.expect("the model is sound").simulate(6, 4).expect("the model is sound");
        let (prior, simulator) = (s.prior_batchable_context.expect("given"), s.sim_batchable_context.expect("given"));
        let shared = s.prior_non_batchable_context.expect("given")[[0]];
        assert_eq!(s.parameters.column(0).into_dyn(), prior.index_axis(Axis(1), 0));
        assert!(s.parameters.column(1).iter().all(|&v| v == shared), "the batch shares non-batchable context");
        assert_eq!(s.data.values().index_axis(Axis(1), 0), simulator.index_axis(Axis(1), 0));
        let mut values: Vec<u32> = prior.iter().chain(&simulator).map(|v| v.to_bits()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 12, "batchable context differs for each simulation, and between prior and simulator");
    }
}

#[test]
fn batches_that_begin_elsewhere_draw_shared_context_anew() {
    let generator = ContextGenerator::new().with_non_batchable(|rng| arr1(&[rng.random::<f32>()]));
    let model = GenerativeModel::new(normal_prior(), normal_simulator().with_context(generator));
    let model = model.expect("the model is sound");
    let shared = |first, len| {
        let simulations = model.simulate_from(9, first, len).expect("the model is sound");
        simulations.sim_non_batchable_context.expect("given")[[0]]
    };
    assert_eq!(shared(0, 8), shared(0, 2), "what a batch shares does not depend on its size");
    assert_ne!(shared(0, 8), shared(8, 8));
    assert_ne!(shared(0, 8), shared(1, 8));
}

#[test]
fn batchable_context_can_depend_on_what_the_batch_shares() {
    let generator = ContextGenerator::new()
        .with_non_batchable(|rng| arr1(&[rng.random_range(2..=30) as f32]))
        .with_batchable_given_non_batchable(|rng, n| {
            Array1::from_shape_fn(n[[0]] as usize, |_| n[[0]] + rng.random::<f32>())
        });
    let model = GenerativeModel::new(normal_prior(), normal_simulator().with_context(generator));
    let model = model.expect("the model is sound");
    for first in [0, 10, 20] {
        let simulations = model.simulate_from(3, first, 10).expect("the model is sound");
        let n = simulations.sim_non_batchable_context.expect("given")[[0]];
        let own = simulations.sim_batchable_context.expect("given");
        assert_eq!(own.shape(), [10, n as usize]);
        assert!(own.iter().all(|&v| (n..n + 1.0).contains(&v)));
    }
}

/// N is uniform on its range: n = 8,000 batches, χ² with 15 degrees of freedom, bound 45 (alpha 1e-4). The twin avoids
/// one end of the range.
#[test]
fn the_number_of_observations_is_uniform_on_its_range() {
    let chi_squared = |generator: ContextGenerator| {
        let model = GenerativeModel::new(normal_prior(), normal_simulator().with_context(generator));
        let model = model.expect("the model is sound");
        let mut counts = [0_u32; 16];
        for first in 0..8000 {
            let simulation = model.simulate_from(17, first, 1).expect("the model is sound");
            let n = simulation.sim_non_batchable_context.expect("given")[[0]];
            assert!((5.0..=20.0).contains(&n) && n.fract() == 0.0, "N = {n}");
            counts[n as usize - 5] += 1;
        }
        counts.iter().map(|&count| (f64::from(count) - 500.0).powi(2) / 500.0).sum::<f64>()
    };
    let uniform = chi_squared(ContextGenerator::num_observations(5..=20));
    assert!(uniform < 45.0, "χ² = {uniform}");
    let skewed = ContextGenerator::new().with_non_batchable(|rng| arr1(&[rng.random_range(5..=20).max(6) as f32]));
    assert!(chi_squared(skewed) > 45.0);
}

/// Of 1,000 data sets a fifth has one of the 2 least of 100 numbers of observations, and a fifth one of the 2 greatest;
/// drawn as they come, 20 would.
#[test]
fn test_sets_are_many_at_both_ends_of_a_shared_context() {
    let simulator = Simulator::from_fn(|rng, _, context| {
        Array2::from_shape_fn((context.num_observations(), 1), |_| rng.random::<f32>())
    });
    let simulator = simulator.with_context(ContextGenerator::num_observations(1..=100));
    let model = GenerativeModel::new(normal_prior(), simulator).expect("the pilot run succeeds");
    let batches = model.simulate_over_contexts(1000, 1).expect("it simulates");
    assert_eq!(batches.iter().map(|batch| batch.len()).sum::<usize>(), 1000);
    let among = |range: std::ops::RangeInclusive<usize>| {
        let chosen = batches.iter().filter(|batch| range.contains(&batch.data.values().shape()[1]));
        chosen.map(|batch| batch.len()).sum::<usize>()
    };
    // Quantiles of the 4,000 that were drawn lie at one number more or less.
    let fifths = [1..=2, 3..=10, 11..=90, 91..=98, 99..=100].map(among);
    assert!(fifths.iter().all(|count| (130..=270).contains(count)), "{fifths:?}");
    // As many as are asked for, also where they do not divide by five.
    let few = model.simulate_over_contexts(13, 1).expect("it simulates");
    assert_eq!(few.iter().map(|batch| batch.len()).sum::<usize>(), 13);
}
