//! Checks that a seed determines every simulation, for any number of threads and, as documented, any batch.

use crate::{model_with_all_contexts, normal_prior, normal_simulator, plain_model};
use bayesburn_core::Simulations;
use bayesburn_simulation::{ContextGenerator, GenerativeModel, Prior, Simulator};
use ndarray::{Array2, ArrayD, Axis, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::ThreadPoolBuilder;

/// The bits of all six quantities: `==` on floats would let 0 pass for −0.
fn bits(simulations: &Simulations) -> Vec<Vec<u32>> {
    let of = |array: &ArrayD<f32>| array.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let contexts = [
        &simulations.prior_batchable_context,
        &simulations.prior_non_batchable_context,
        &simulations.sim_batchable_context,
        &simulations.sim_non_batchable_context,
    ];
    let mut all = vec![of(&simulations.parameters.clone().into_dyn()), of(simulations.data.values())];
    all.extend(contexts.into_iter().map(|context| context.as_ref().map(of).unwrap_or_default()));
    all
}

fn on_threads(threads: usize, f: impl FnOnce() -> Simulations + Send) -> Simulations {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads").install(f)
}

#[test]
fn a_seed_gives_the_same_bits_on_any_number_of_threads() {
    let model = model_with_all_contexts();
    let simulate = |seed| model.simulate(100, seed).expect("the model is sound");
    let reference = bits(&simulate(7));
    assert!(reference.iter().all(|quantity| !quantity.is_empty()), "all six quantities are compared");
    for threads in [1, 2, 3] {
        assert_eq!(bits(&on_threads(threads, || simulate(7))), reference, "{threads} threads");
    }
    let other = bits(&simulate(8));
    for (quantity, (a, b)) in reference.iter().zip(&other).enumerate() {
        // A context of three values, of which two are constant, may agree by chance; the large ones cannot.
        assert!(a.len() < 10 || a != b, "quantity {quantity} does not depend on the seed");
    }
}

#[test]
fn functions_of_a_whole_batch_repeat_too() {
    let prior = Prior::from_batch_fn(["mu"], |rng, batch, _| Array2::from_shape_fn((batch, 1), |_| rng.random()));
    let simulator = Simulator::from_batch_fn(|rng, mu, _| mu.mapv(|m| m + rng.random::<f32>()).insert_axis(Axis(1)));
    let model = GenerativeModel::new(prior, simulator).expect("the model is sound");
    let simulate = |seed| model.simulate(50, seed).expect("the model is sound");
    for threads in [1, 2, 3] {
        assert_eq!(bits(&on_threads(threads, || simulate(7))), bits(&simulate(7)), "{threads} threads");
    }
    assert_ne!(simulate(7), simulate(8));
}

#[test]
fn a_simulation_is_the_same_in_every_batch() {
    let prior = normal_prior().with_context(ContextGenerator::new().with_batchable(|rng| arr1(&[rng.random::<f32>()])));
    let models = [plain_model(), GenerativeModel::new(prior, normal_simulator()).expect("the model is sound")];
    for model in models {
        let whole = model.simulate(8, 5).expect("the model is sound");
        for (first, len) in [(0, 8), (3, 1), (0, 3), (3, 5), (7, 1)] {
            let part = model.simulate_from(5, first as u64, len).expect("the model is sound");
            for row in 0..len {
                assert_eq!(part.parameters.row(row), whole.parameters.row(first + row), "{first}, {len}");
                let data =
                    |simulations: &Simulations, row| simulations.data.values().index_axis(Axis(0), row).to_owned();
                assert_eq!(data(&part, row), data(&whole, first + row), "{first}, {len}");
                let context = |simulations: &Simulations, row| {
                    simulations.prior_batchable_context.as_ref().map(|c| c.index_axis(Axis(0), row).to_owned())
                };
                assert_eq!(context(&part, row), context(&whole, first + row), "{first}, {len}");
            }
        }
        assert_ne!(whole.parameters.row(0), whole.parameters.row(1), "simulations of a batch differ");
    }
}

/// The documented exception: a function of a whole batch has one generator, that of the batch's first simulation.
#[test]
fn functions_of_a_whole_batch_depend_on_where_the_batch_begins() {
    let prior = Prior::from_batch_fn(["mu"], |rng, batch, _| Array2::from_shape_fn((batch, 1), |_| rng.random()));
    let simulator = Simulator::from_fn(|_, theta, _| arr1(theta));
    let model = GenerativeModel::new(prior, simulator).expect("the model is sound");
    let whole = model.simulate(8, 5).expect("the model is sound");
    let alone = model.simulate_from(5, 3, 1).expect("the model is sound");
    assert_ne!(whole.parameters.row(3), alone.parameters.row(0));
    let first = model.simulate_from(5, 0, 1).expect("the model is sound");
    assert_eq!(whole.parameters.row(0), first.parameters.row(0));
}

#[test]
fn a_model_draws_the_parameters_that_its_prior_draws() {
    let model = plain_model();
    let parameters = model.simulate(20, 3).expect("the model is sound").parameters;
    assert_eq!(parameters, model.prior().sample(20, 3).expect("the prior is sound"));
}

/// Value stability: a change here changes every simulation of every user, and belongs in the changelog as
/// value-breaking.
#[test]
fn values_are_pinned() {
    let simulations = model_with_all_contexts().simulate(2, 2023).expect("the model is sound");
    let of = |array: &Option<ArrayD<f32>>| {
        array.as_ref().expect("all contexts are there").iter().copied().collect::<Vec<_>>()
    };
    assert_eq!(simulations.parameters.iter().copied().collect::<Vec<_>>(), PINNED_PARAMETERS);
    assert_eq!(simulations.data.values().iter().take(3).copied().collect::<Vec<_>>(), PINNED_DATA);
    assert_eq!(of(&simulations.prior_batchable_context), PINNED_PRIOR_BATCHABLE);
    assert_eq!(of(&simulations.prior_non_batchable_context), PINNED_PRIOR_NON_BATCHABLE);
    assert_eq!(of(&simulations.sim_batchable_context)[..3], PINNED_SIM_BATCHABLE);
    assert_eq!(of(&simulations.sim_non_batchable_context), PINNED_SIM_NON_BATCHABLE);
}
const PINNED_PARAMETERS: [f32; 4] = [0.2208865, -2.5302145, -0.355686, 1.2809261];
const PINNED_DATA: [f32; 3] = [0.15712878, -0.8038068, 0.78482443];
const PINNED_PRIOR_BATCHABLE: [f32; 4] = [-0.07587156, 2.0, -0.07975853, 2.0];
const PINNED_PRIOR_NON_BATCHABLE: [f32; 3] = [3.0, 0.5, 0.25];
const PINNED_SIM_BATCHABLE: [f32; 3] = [0.4189188, 0.21912646, 0.3439511];
const PINNED_SIM_NON_BATCHABLE: [f32; 1] = [9.0];

/// Value stability of functions of a whole batch: the stream is that of the batch's first simulation.
#[test]
fn values_of_whole_batches_are_pinned() {
    let normals = |rng: &mut bayesburn_core::StreamRng, rows| {
        Array2::from_shape_fn((rows, 1), |_| rng.sample::<f32, _>(StandardNormal))
    };
    let prior = Prior::from_batch_fn(["mu"], move |rng, batch, _| normals(rng, batch));
    let simulator = Simulator::from_batch_fn(move |rng, mu, _| normals(rng, mu.nrows()));
    let model = GenerativeModel::new(prior, simulator).expect("the model is sound");
    let simulations = model.simulate_from(2023, 64, 2).expect("the model is sound");
    assert_eq!(simulations.parameters.iter().copied().collect::<Vec<_>>(), PINNED_WHOLE_PARAMETERS);
    assert_eq!(simulations.data.values().iter().copied().collect::<Vec<_>>(), PINNED_WHOLE_DATA);
}
const PINNED_WHOLE_PARAMETERS: [f32; 2] = [-1.5958455, -0.41095644];
const PINNED_WHOLE_DATA: [f32; 2] = [1.1734604, -1.868766];
