//! Tests stored simulations: what is written is read to the bit, from any program, after any interruption.

mod damage;
mod groups;
mod other_programs;
mod round_trips;
mod shapes;
mod stores;

use bayesburn_core::{SimulationId, Simulations, StreamRng};
use bayesburn_simulation::{ContextGenerator, GenerativeModel, Presimulation, Prior, Progress, Simulator};
use ndarray::{Array, Array1, Array2, Dimension, IntoDimension, array};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use std::{collections::BTreeMap, fs, path::Path};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Shards of 10 simulations.
fn stored(num_simulations: usize) -> Presimulation {
    Presimulation::new(num_simulations, 7).with_simulations_per_shard(10).with_progress(Progress::Hidden)
}

fn normal_prior() -> Prior {
    Prior::from_fn(["mu", "nu"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)))
}

/// θ is normal, x is θ plus noise, four observations; no context.
fn plain_model() -> GenerativeModel {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array2::from_shape_fn((4, 2), |(_, d)| theta[d] + rng.sample::<f32, _>(StandardNormal))
    });
    GenerativeModel::new(normal_prior(), simulator).expect("the model is sound")
}

/// Two or three observations, shared by a batch, and their design, of each simulation.
fn model_with_contexts() -> GenerativeModel {
    let design = ContextGenerator::num_observations(2..=3)
        .with_batchable_given_non_batchable(|rng, n| Array1::from_shape_fn(n[[0]] as usize, |_| rng.random::<f32>()));
    let simulator = Simulator::from_fn(|rng, theta, context| {
        let design = context.batchable();
        Array2::from_shape_fn((context.num_observations(), 1), |(i, _)| {
            theta[0] * design[[i]] + rng.sample::<f32, _>(StandardNormal)
        })
    })
    .with_context(design);
    GenerativeModel::new(normal_prior(), simulator).expect("the model is sound")
}

/// Values of every kind that f32 has, NaN among them: any bits.
fn bits<D: Dimension>(shape: impl IntoDimension<Dim = D>, rng: &mut StreamRng) -> Array<f32, D> {
    Array::from_shape_simple_fn(shape.into_dimension(), || f32::from_bits(rng.random()))
}

/// A batch with everything that a batch can have.
fn full_batch(rows: usize, seed: u64) -> Simulations {
    let rng = &mut StreamRng::seed_from_u64(seed);
    let mut batch = Simulations::new(
        ["mu".into(), "ν \"2\"".into()].into(),
        bits((rows, 2), rng),
        bits((rows, 5, 3), rng).into_dyn(),
    )
    .expect("two names, equal rows");
    let mask = Array::from_shape_fn((rows, 5, 3), |(i, j, k)| ((i + j + k) % 2) as f32);
    batch.data = batch.data.with_value_mask(mask).expect("of one shape");
    batch.prior_batchable_context = Some(bits(rows, rng).into_dyn());
    batch.prior_non_batchable_context = Some(array![[1.0, -0.0, 2.5]].into_dyn());
    batch.sim_batchable_context = Some(bits((rows, 2, 2), rng).into_dyn());
    batch.sim_non_batchable_context = Some(array![5.0].into_dyn());
    batch.proposals = Some((0..rows as u32).map(|row| row % 3).collect());
    let id = |i| SimulationId { seed: u64::MAX - i, index: i << 40, attempt: 3, first: i, batch: 8 };
    batch.invalid = (0..7).map(id).collect();
    batch
}

/// The same without NaN and infinity, which rows of a data set may not hold unless it is told what to do with them.
fn finite_batch(rows: usize, seed: u64) -> Simulations {
    let mut batch = full_batch(rows, seed);
    let finite = |value: f32| if value.is_finite() { value } else { -0.0 };
    batch.parameters.mapv_inplace(finite);
    batch.data.update(|mut values| values.mapv_inplace(finite));
    for context in [&mut batch.prior_batchable_context, &mut batch.sim_batchable_context] {
        context.as_mut().expect("there").mapv_inplace(finite);
    }
    // What a data set selects was counted when it was simulated.
    batch.invalid.clear();
    batch
}

/// Equal to the bit, so that NaN equal themselves and −0 is not 0.
fn assert_same(a: &Simulations, b: &Simulations) {
    let bits = |batch: &Simulations| {
        let mut batch = batch.clone();
        let mut all = Vec::new();
        let mut take = |array: ndarray::ArrayD<f32>| all.push((array.shape().to_vec(), array.mapv(f32::to_bits)));
        take(std::mem::take(&mut batch.parameters).into_dyn());
        take(batch.data.values().clone());
        let optional = [
            batch.data.value_mask().cloned(),
            batch.data.row_mask().cloned(),
            batch.prior_batchable_context.take(),
            batch.prior_non_batchable_context.take(),
            batch.sim_batchable_context.take(),
            batch.sim_non_batchable_context.take(),
        ];
        let there = optional.each_ref().map(Option::is_some);
        optional.into_iter().flatten().for_each(take);
        (there, all, batch)
    };
    let (a, b) = (bits(a), bits(b));
    assert_eq!(a.0, b.0, "the same arrays are there");
    assert!(a.1 == b.1, "the arrays have the same bits");
    assert_eq!((a.2.parameter_names, a.2.invalid), (b.2.parameter_names, b.2.invalid));
    assert_eq!(a.2.proposals, b.2.proposals);
}

/// Names and bytes of all files of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("an entry");
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file"))
    };
    fs::read_dir(folder).expect("a folder").map(file).collect()
}
