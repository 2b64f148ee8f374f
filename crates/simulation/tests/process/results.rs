//! Checks that data are what the program made of the request, whatever the workers and the batches.

use crate::{assert_says, error_of, model, prior, process, worker};
use bayesburn_core::{Data, Purpose, stream};
use bayesburn_simulation::{ContextGenerator, GenerativeModel, SimulationError, Simulator};
use ndarray::{Array1, ArrayD, Axis, array, s};
use rand::{Rng, RngExt};
use serde_json::json;

#[test]
fn data_are_those_of_the_documented_seed_and_parameters() {
    let batch = model(process("simulate")).simulate_from(7, 40, 3).expect("sound");
    for row in 0..3 {
        let seed = stream(7, Purpose::new("simulator"), 40 + row as u64).next_u64() >> 11;
        let request = json!({"seed": seed, "parameters": batch.parameters.row(row).to_vec()});
        let expected: Vec<Vec<f32>> = serde_json::from_value(worker::simulate(&request)).expect("rows");
        let got = batch.data.values().index_axis(Axis(0), row);
        assert_eq!(got, array![[expected[0][0], expected[0][1]], [expected[1][0], expected[1][1]]].into_dyn());
    }
}

#[test]
fn a_simulation_is_the_same_for_any_number_of_workers_and_in_every_batch() {
    let reference = model(process("simulate").workers(1)).simulate(200, 7).expect("sound").data;
    let three = model(process("simulate").workers(3));
    assert_eq!(three.simulate(200, 7).expect("sound").data, reference);
    let parts = [(0, 1), (1, 64), (65, 2), (67, 133)];
    let parts = parts.map(|(first, len)| three.simulate_from(7, first, len).expect("sound").data);
    assert_eq!(Data::join(&parts).expect("one shape"), reference);
    assert_ne!(three.simulate(200, 8).expect("sound").data, reference);
}

#[test]
fn clones_share_the_workers_and_may_run_at_the_same_time() {
    let model = model(process("simulate"));
    let expected = model.simulate(100, 3).expect("sound");
    let other = model.clone();
    let thread = std::thread::spawn(move || other.simulate(100, 3).expect("sound"));
    assert_eq!(model.simulate(100, 3).expect("sound"), expected);
    assert_eq!(thread.join().expect("no panic"), expected);
}

#[test]
fn contexts_arrive_where_there_are_any() {
    let context = ContextGenerator::num_observations(3..=9)
        .with_batchable_given_non_batchable(|rng, _| Array1::from_shape_fn(2, |_| rng.random::<f32>()));
    let simulator = Simulator::from_process(process("echo contexts")).with_context(context);
    let batch = GenerativeModel::new(prior(), simulator).expect("sound").simulate(5, 1).expect("sound");
    let (own, shared) = (batch.sim_batchable_context.expect("own"), batch.sim_non_batchable_context.expect("shared"));
    let of = |i| batch.data.values().slice(s![.., i, ..]).into_dyn();
    assert_eq!(of(0), batch.parameters.view().into_dyn());
    assert_eq!(of(1), own);
    // Beside N, the number of keys: id, seed, parameters and two contexts.
    assert_eq!(of(2), ArrayD::from_shape_fn(vec![5, 2], |at| [shared[0], 5.0][at[1]]));
}

#[test]
fn what_is_not_finite_arrives_and_is_named_by_the_model() {
    for (task, value, position) in [("nan", "NaN", "[1, 0]"), ("null", "NaN", "[1, 1]"), ("infinity", "-inf", "[0, 1]")]
    {
        let error = error_of(process(task));
        assert_says(&error, &[&format!("returned {value} at position {position} of simulation 0 (seed 0)")]);
    }
}

#[test]
fn a_change_of_shape_and_empty_data_are_named_by_the_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |task| model(crate::process_at(task, 5, 9, folder.path())).simulate(8, 9).expect_err("a planted mistake");
    assert!(matches!(at("wider"), SimulationError::ShapeChanged { index: 5, .. }));
    assert!(matches!(at("empty"), SimulationError::Empty { index: 5, .. }));
}

#[test]
fn answers_of_different_lengths_are_padded() {
    let folder = tempfile::tempdir().expect("a folder");
    let batch = model(crate::process_at("longer", 5, 9, folder.path())).simulate(8, 9).expect("lengths may differ");
    assert_eq!((0..8).map(|m| batch.data.num_rows(m)).collect::<Vec<_>>(), [2, 2, 2, 2, 2, 3, 2, 2]);
}

/// A request of 1 MB against an answer of 1 MB, two in flight: pipes hold 64 kB.
#[test]
fn large_requests_against_large_answers_do_not_block() {
    let context = ContextGenerator::new().with_batchable(|rng| Array1::from_shape_fn(100_000, |_| rng.random::<f32>()));
    let simulator = Simulator::from_process(process("echo large").workers(1)).with_context(context);
    let batch = GenerativeModel::new(prior(), simulator).expect("sound").simulate(6, 1).expect("sound");
    assert_eq!(Some(batch.data.values()), batch.sim_batchable_context.as_ref());
}
