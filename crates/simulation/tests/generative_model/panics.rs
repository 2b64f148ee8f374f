//! Checks that a simulator which panics is invalid where it may be, counted, and listed with its message.

use crate::normal_prior;
use bayesburn_core::Simulations;
use bayesburn_simulation::{
    ContextGenerator, GenerativeModel, InvalidSimulations, Panics, SimulationError, Simulator, load_simulations,
    save_simulations,
};
use ndarray::{Array1, Array2, Axis, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;

const REDRAW: InvalidSimulations = InvalidSimulations::Redraw { max_attempts: 100 };
const OTHERS: [InvalidSimulations; 3] = [REDRAW, InvalidSimulations::Drop, InvalidSimulations::Mask];
/// The 70% point of a standard normal: three of ten simulations panic, the first of some batches among them.
const CUT: f32 = 0.5244;

fn solver() -> Simulator {
    Simulator::from_fn(|rng, theta, _| {
        assert!(theta[0] < CUT, "no convergence at {}", theta[0]);
        Array1::from_shape_fn(3, |_| theta[0] + rng.sample::<f32, _>(StandardNormal))
    })
}

fn model(policy: InvalidSimulations) -> GenerativeModel {
    let simulator = solver().on_invalid(policy).on_panic(Panics::AsInvalid);
    GenerativeModel::new(normal_prior(), simulator).expect("some are valid")
}

#[test]
fn panics_are_what_the_policy_says_and_are_listed() {
    let parameters = normal_prior().sample(300, 7).expect("the prior is sound");
    let bad: Vec<u64> = (0..300).filter(|&i| parameters[[i, 0]] >= CUT).map(|i| i as u64).collect();
    assert!(bad.len().abs_diff(90) < 4 * 8, "three of ten: {}", bad.len());
    for policy in OTHERS {
        let model = model(policy);
        let simulations = model.simulate(300, 7).expect("the policy lets it pass");
        assert!(simulations.data.values().iter().all(|x| x.is_finite()));
        let first: Vec<u64> =
            simulations.panicked.iter().filter(|panic| panic.id.attempt == 0).map(|panic| panic.id.index).collect();
        assert_eq!(first, bad, "{policy:?}");
        let ids: Vec<_> = simulations.panicked.iter().map(|panic| panic.id).collect();
        assert_eq!(ids, simulations.invalid, "none was invalid otherwise");
        for panic in &simulations.panicked {
            assert!(panic.message.starts_with("no convergence at "), "{}", panic.message);
            let replayed = model.replay(panic.id).expect_err("it panics again").to_string();
            assert!(replayed.contains(&panic.message), "{replayed}");
        }
        match policy {
            InvalidSimulations::Drop => assert_eq!(simulations.len(), 300 - bad.len()),
            InvalidSimulations::Mask => {
                let mask = simulations.data.value_mask().expect("masked");
                for (row, there) in mask.outer_iter().enumerate() {
                    let expected = if bad.contains(&(row as u64)) { 0.0 } else { 1.0 };
                    assert!(there.iter().all(|there| *there == expected), "row {row}");
                }
            }
            _ => assert!(simulations.parameters.column(0).iter().all(|theta| *theta < CUT)),
        }
        // Split into batches of two, many of which panic whole.
        let parts: Vec<Simulations> = (0..150).filter_map(|part| model.simulate_from(7, 2 * part, 2).ok()).collect();
        let joined = Simulations::join(&parts).expect("alike");
        assert_eq!((&joined.parameters, &joined.data.values()), (&simulations.parameters, &simulations.data.values()));
        // What is on disk has the messages too.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("batch.safetensors");
        save_simulations(&simulations, &path).expect("written");
        assert_eq!(load_simulations(&path).expect("just written"), simulations);
    }
    let error = model(InvalidSimulations::Drop).simulate_from(7, bad[0], 1).expect_err("nothing is left").to_string();
    assert!(error.contains("1 panicked") && error.contains("no convergence"), "{error}");
}

/// Where the shape is the batch's, a batch that panicked whole has none, until a redraw does not.
#[test]
fn batches_that_panic_whole_are_redrawn_in_the_shape_that_they_share() {
    let simulator = |policy| {
        let simulator = Simulator::from_fn(|rng, theta, context| {
            assert!(theta[0] < CUT, "no convergence");
            Array2::from_shape_fn((context.num_observations(), 1), |_| rng.random::<f32>())
        });
        let simulator = simulator.with_context(ContextGenerator::num_observations(2..=9)).on_panic(Panics::AsInvalid);
        GenerativeModel::new(normal_prior(), simulator.on_invalid(policy)).expect("some are valid")
    };
    let (redrawn, masked) = (simulator(REDRAW), simulator(InvalidSimulations::Mask));
    let mut whole = 0;
    for first in (0..400).step_by(2) {
        let batch = redrawn.simulate_from(3, first, 2).expect("redrawn");
        let n = batch.sim_non_batchable_context.as_ref().expect("N")[[0]] as usize;
        assert_eq!(batch.data.values().shape(), [2, n, 1]);
        if batch.panicked.iter().filter(|panic| panic.id.attempt == 0).count() == 2 {
            whole += 1;
            let error = masked.simulate_from(3, first, 2).expect_err("nothing to mask");
            assert!(matches!(error, SimulationError::NothingLeft { count: 2, .. }), "{error}");
        }
    }
    assert!(whole > 0, "the case is not the trivial one");
}

#[test]
fn panics_stay_errors_where_they_must() {
    // By default, and where invalid simulations are errors.
    let (drop, refuse) = (InvalidSimulations::Drop, InvalidSimulations::Error);
    for simulator in [solver().on_invalid(drop), solver().on_invalid(refuse).on_panic(Panics::AsInvalid)] {
        let error = match GenerativeModel::new(normal_prior(), simulator) {
            Ok(model) => model.simulate(100, 7).expect_err("three of ten panic"),
            Err(error) => error,
        };
        assert!(matches!(error, SimulationError::Panicked { .. }), "{error}");
        assert!(error.to_string().contains("`Simulator::on_panic`"), "{error}");
    }
    // Of a whole batch nobody knows which row it was.
    let whole =
        Simulator::from_batch_fn(|_, theta, _| -> Array2<f32> { panic!("no convergence of {}", theta.nrows()) });
    let error = GenerativeModel::new(normal_prior(), whole.on_invalid(drop).on_panic(Panics::AsInvalid));
    assert!(matches!(error, Err(SimulationError::Panicked { .. })));
    // A model that always panics.
    let never = Simulator::from_fn(|_, _, _| -> Array1<f32> { panic!("a mistake") });
    let error = GenerativeModel::new(normal_prior(), never.on_invalid(drop).on_panic(Panics::AsInvalid));
    let error = error.expect_err("none is valid").to_string();
    assert!(error.contains("`InvalidSimulations::Drop`") && error.contains("a mistake"), "{error}");
    let fine = Simulator::from_fn(|_, theta, _| arr1(theta)).on_panic(Panics::AsInvalid);
    let fine = GenerativeModel::new(normal_prior(), fine).expect("sound").simulate(10, 1).expect("sound");
    assert!(fine.panicked.is_empty() && fine.data.values().index_axis(Axis(0), 0).len() == 2);
}
