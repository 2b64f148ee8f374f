//! Plants each mistake that a user can make, and reads the error: it names the simulation and says what to do.

use crate::{normal_prior, normal_simulator, plain_model};
use bayesburn_core::SimulationId;
use bayesburn_simulation::{
    ContextGenerator, GenerativeModel, Prior, PriorError, Quantity, SimulationError, Simulator,
};
use ndarray::{Array1, Array2, Axis, arr1};
use rand::{Rng, RngExt};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

fn error_of(prior: Prior, simulator: Simulator) -> SimulationError {
    GenerativeModel::new(prior, simulator).expect_err("the model has a planted mistake")
}

#[track_caller]
fn assert_says(error: &SimulationError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// A model that passes its pilot run, after which `broken` replaces its simulator's data.
fn breaks_later(
    broken: impl Fn(&mut bayesburn_core::StreamRng) -> Array1<f32> + Send + Sync + 'static,
) -> GenerativeModel {
    let armed = Arc::new(AtomicBool::new(false));
    let seen = armed.clone();
    let simulator = Simulator::from_fn(move |rng, theta, _| match seen.load(Ordering::Relaxed) {
        true => broken(rng),
        false => arr1(theta),
    });
    let model = GenerativeModel::new(normal_prior(), simulator).expect("the pilot run is sound");
    armed.store(true, Ordering::Relaxed);
    model
}

#[test]
fn names_are_checked_first() {
    let nameless = Prior::from_fn(Vec::<String>::new(), |_, _| [0.0]);
    for error in [error_of(nameless.clone(), normal_simulator()), nameless.sample(3, 0).expect_err("no names")] {
        assert!(matches!(error, SimulationError::Prior(PriorError::NoParameters)));
        assert_says(&error, &["at least one parameter name"]);
    }
    let twice = Prior::from_fn(["mu", "nu", "mu"], |_, _| [0.0; 3]);
    for error in [error_of(twice.clone(), normal_simulator()), twice.moments(3, 0).expect_err("two mu")] {
        assert!(matches!(&error, SimulationError::Prior(PriorError::DuplicateName { name }) if name == "mu"));
        assert_says(&error, &["`mu`", "give each its own name"]);
    }
}

#[test]
fn a_prior_returns_one_value_for_each_name() {
    let one = Prior::from_fn(["a", "b", "c"], |_, _| [0.0; 2]);
    let whole = Prior::from_batch_fn(["a", "b", "c"], |_, batch, _| Array2::zeros((batch, 2)));
    for prior in [one, whole] {
        let error = error_of(prior, normal_simulator());
        assert!(matches!(error, SimulationError::ParameterCount { index: 0, expected: 3, got: 2 }));
        assert_says(&error, &["3 parameter names", "draw 0 has 2 values", "one value for each name"]);
    }
}

#[test]
fn zero_simulations_are_refused() {
    let model = plain_model();
    for error in [model.simulate(0, 1).expect_err("0"), model.prior().sample(0, 1).expect_err("0")] {
        assert!(matches!(error, SimulationError::NoSimulations));
        assert_says(&error, &["at least 1"]);
    }
}

/// The simulator reads a parameter that the prior does not have: a panic inside the user's function.
#[test]
fn a_simulator_of_more_parameters_than_the_prior_is_a_panic_with_an_index() {
    let error = error_of(normal_prior(), Simulator::from_fn(|_, theta, _| arr1(&[theta[2]])));
    assert!(matches!(
        error,
        SimulationError::Panicked { quantity: Quantity::SimData, index: 0, seed: 0, num_parameters: 2, .. }
    ));
    assert_says(&error, &["simulator panicked in simulation 0 (seed 0)", "out of bounds", "number of parameters (2)"]);
}

#[test]
fn the_first_failing_simulation_is_named_whatever_the_threads_do() {
    let model = breaks_later(|rng| {
        assert!(rng.random_bool(0.9), "a rare mistake");
        arr1(&[1.0, 1.0])
    });
    let failing = |seed, first, len| match model.simulate_from(seed, first, len) {
        Err(SimulationError::Panicked { index, seed: got, message, .. }) => {
            assert_eq!((got, message.as_str()), (seed, "a rare mistake"));
            Some(index)
        }
        Err(error) => panic!("not a panic: {error}"),
        Ok(_) => None,
    };
    let index = failing(7, 1000, 200).expect("one in ten fails");
    assert!((1001..1200).contains(&index), "the case is not the trivial one: {index}");
    assert!((1000..index).all(|earlier| failing(7, earlier, 1).is_none()), "an earlier one fails too");
    assert_eq!(failing(7, index, 1), Some(index));
    for _ in 0..20 {
        assert_eq!(failing(7, 1000, 200), Some(index));
    }
}

#[test]
fn values_that_are_not_finite_are_named_and_replayed() {
    for planted in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let model = breaks_later(move |rng| arr1(&[0.0, if rng.random_bool(0.05) { planted } else { 1.0 }]));
        let error = model.simulate(200, 31).expect_err("one in twenty fails");
        let SimulationError::NonFinite { quantity, id, ref position, value } = error else {
            panic!("not a value: {error}")
        };
        let SimulationId { seed, index, attempt, first, batch } = id;
        assert!(index > 0, "the case is not the trivial one");
        assert_eq!((quantity, seed, position.as_slice()), (Quantity::SimData, 31, [1].as_slice()));
        assert_eq!(value.to_bits(), planted.to_bits());
        assert_says(
            &error,
            &[
                &format!("position [1] of simulation {index} (seed 31)"),
                &format!("simulate_from(31, {index}, 1)"),
                &format!("replay(SimulationId {{ seed: 31, index: {index}, attempt: 0, first: {index}, batch: 1 }})"),
                "`Simulator::on_invalid`",
                "fix the model or bound its parameters",
            ],
        );
        assert_eq!((attempt, first, batch), (0, index, 1));
        let replayed = model.replay(id).expect("no value is an error").data.observations();
        assert_eq!(replayed[[0, 1]].to_bits(), planted.to_bits());
        let again = model.simulate_from(seed, first, batch).expect_err("the replay fails too");
        assert_eq!(again.to_string(), error.to_string());
    }
}

/// Where a simulation depends on its batch, the batch is what the error tells to replay.
#[test]
fn values_that_are_not_finite_are_replayed_with_their_batch_where_it_matters() {
    let odd = |rng: &mut bayesburn_core::StreamRng| if rng.random_bool(0.02) { f32::NAN } else { 1.0 };
    let fine = || Prior::from_fn(["p"], |_, _| [0.0]);
    let models = [
        (fine(), Simulator::from_batch_fn(move |rng, p, _| p.mapv(|_| odd(rng)))),
        (
            fine(),
            Simulator::from_fn(move |rng, _, c| arr1(&[c.num_observations() as f32 * odd(rng)]))
                .with_context(ContextGenerator::num_observations(1..=5)),
        ),
        (
            Prior::from_batch_fn(["p"], move |rng, b, _| Array2::from_shape_fn((b, 1), |_| odd(rng))),
            Simulator::from_fn(|_, p, _| arr1(p)),
        ),
    ];
    for (prior, simulator) in models {
        let model = GenerativeModel::new(prior, simulator).expect("the pilot run is sound");
        let error = model.simulate_from(4, 64, 300).expect_err("one in fifty fails");
        let SimulationError::NonFinite { id, .. } = error else { panic!("not a value: {error}") };
        let SimulationId { seed, index, attempt, first, batch } = id;
        assert!(index > 64, "the case is not the trivial one");
        assert_eq!((seed, attempt, first, batch), (4, 0, 64, 300));
        let replayed = model.replay(id).expect("no value is an error");
        assert_eq!(replayed.len(), 1);
        assert!(replayed.parameters[[0, 0]].is_nan() || replayed.data.values()[[0, 0]].is_nan());
        assert_says(&error, &[&format!("simulation {index} "), "simulate_from(4, 64, 300)"]);
        assert_eq!(model.simulate_from(seed, first, batch).expect_err("again").to_string(), error.to_string());
    }
}

#[test]
fn the_quantity_that_is_not_finite_is_named() {
    let nan = || ContextGenerator::new().with_batchable(|_| arr1(&[1.0, f32::NAN]));
    let shared = || ContextGenerator::new().with_non_batchable(|_| arr1(&[f32::NAN]));
    let cases = [
        (error_of(Prior::from_fn(["a", "b"], |_, _| [0.0, f32::NAN]), normal_simulator()), "the prior returned NaN"),
        (error_of(normal_prior().with_context(nan()), normal_simulator()), "the prior's batchable context returned"),
        (error_of(normal_prior().with_context(shared()), normal_simulator()), "the prior's non-batchable context"),
        (error_of(normal_prior(), normal_simulator().with_context(nan())), "the simulator's batchable context"),
        (error_of(normal_prior(), normal_simulator().with_context(shared())), "the simulator's non-batchable context"),
    ];
    for (error, text) in cases {
        assert!(matches!(error, SimulationError::NonFinite { id: SimulationId { index: 0, .. }, .. }));
        assert_says(&error, &[text]);
    }
}

#[test]
fn a_shape_that_changes_within_a_batch_names_the_simulation() {
    let model = breaks_later(|rng| Array1::ones(if rng.random_bool(0.05) { 3 } else { 2 }));
    let error = model.simulate_from(12, 500, 100).expect_err("one in twenty is longer");
    let SimulationError::ShapeChanged { quantity, index, seed, attempt: 0, ref expected, ref got } = error else {
        panic!("not a shape: {error}")
    };
    assert!(index > 500, "the case is not the trivial one");
    assert_eq!((quantity, seed), (Quantity::SimData, 12));
    assert_eq!((expected.as_slice(), got.as_slice()), ([2].as_slice(), [3].as_slice()));
    assert_says(
        &error,
        &[&format!("shape [3] in simulation {index} (seed 12)"), "[2] earlier", "non-batchable context"],
    );
    let replayed = model.simulate_from(seed, index, 1).expect("one simulation has one shape");
    assert_eq!(replayed.data.values().shape(), [1, 3]);
}

#[test]
fn a_function_of_a_whole_batch_returns_the_batch_first() {
    let transposed = Simulator::from_batch_fn(|_, theta, _| theta.t().to_owned().insert_axis(Axis(2)));
    let three = Prior::from_fn(["a", "b", "c"], |_, _| [0.0; 3]);
    let flat = Simulator::from_batch_fn(|_, theta, _| theta.column(0).to_owned());
    let empty = Simulator::from_batch_fn(|_, theta, _| Array2::<f32>::zeros((theta.nrows(), 0)));
    let long = Prior::from_batch_fn(["a"], |_, batch, _| Array2::zeros((batch + 1, 1)));
    let cases = [
        (error_of(three, transposed), Quantity::SimData, "shape [3, 2, 1]"),
        (error_of(normal_prior(), flat), Quantity::SimData, "shape [2]"),
        (error_of(normal_prior(), empty), Quantity::SimData, "shape [2, 0]"),
        (error_of(long, normal_simulator()), Quantity::Parameters, "shape [3, 1]"),
    ];
    for (error, expected, shape) in cases {
        assert!(matches!(error, SimulationError::BatchShape { quantity, expected: 2, .. } if quantity == expected));
        assert_says(&error, &[shape, "batch of 2", "first axis must be the batch", "at least one more axis"]);
    }
}

#[test]
fn an_empty_draw_is_refused() {
    let nothing = Prior::from_fn(["a"], |_, _| []);
    let no_observations = Simulator::from_fn(|_, _, _| Array2::<f32>::zeros((0, 2)));
    let no_context = ContextGenerator::new().with_non_batchable(|_| Array1::<f32>::zeros(0));
    let cases = [
        (error_of(nothing, normal_simulator()), "the prior returned an empty array of shape [0]"),
        (error_of(normal_prior(), no_observations), "the simulator returned an empty array of shape [0, 2]"),
        (
            error_of(normal_prior().with_context(no_context), normal_simulator()),
            "non-batchable context returned an empty",
        ),
    ];
    for (error, text) in cases {
        assert!(matches!(error, SimulationError::Empty { index: 0, .. }));
        assert_says(&error, &[text, "in simulation 0", "at least one value"]);
    }
}

#[test]
fn context_that_has_no_generator_is_a_panic_that_names_the_method() {
    let own = Simulator::from_fn(|_, _, context| context.batchable().to_owned());
    let shared = Prior::from_fn(["a"], |_, context| [context.non_batchable()[[0]]]);
    let given = ContextGenerator::new().with_batchable_given_non_batchable(|_, n| n.to_owned());
    let cases = [
        (error_of(normal_prior(), own), Quantity::SimData, "ContextGenerator::with_batchable"),
        (
            error_of(shared, normal_simulator()),
            Quantity::Parameters,
            "with_context and ContextGenerator::num_observations, or with_non_batchable",
        ),
        (
            error_of(normal_prior().with_context(given), normal_simulator()),
            Quantity::PriorBatchableContext,
            "needs ContextGenerator::with_non_batchable",
        ),
    ];
    for (error, expected, text) in cases {
        assert!(matches!(error, SimulationError::Panicked { quantity, index: 0, .. } if quantity == expected));
        assert_says(&error, &[text, "every context it reads has a generator"]);
    }
}

/// An empty range of N is the user's mistake too: an error, not an abort.
#[test]
#[allow(clippy::reversed_empty_ranges, reason = "the planted mistake")]
fn an_empty_range_of_observations_is_an_error() {
    let context = ContextGenerator::num_observations(9..=3);
    let error = error_of(normal_prior(), normal_simulator().with_context(context));
    assert!(matches!(error, SimulationError::Panicked { quantity: Quantity::SimNonBatchableContext, .. }));
    assert_says(&error, &["simulator's non-batchable context panicked", "empty range"]);
}

/// A panic with something else than text still becomes an error.
#[test]
fn a_panic_without_a_message_is_an_error() {
    let error = error_of(
        normal_prior(),
        Simulator::from_fn(|rng, _, _| -> Array1<f32> { std::panic::panic_any(rng.next_u32()) }),
    );
    assert_says(&error, &["panicked in simulation 0", "no message"]);
}
