//! Checks the errors of models that no policy helps.

use super::{OTHERS, REDRAW, is_finite, model, one_prior, one_simulator, simulate, tenth, whole_simulator};
use bayesburn_core::SimulationId;
use bayesburn_simulation::{
    ContextGenerator, GenerativeModel, InvalidSimulations, Prior, Quantity, SimulationError, Simulator,
};
use ndarray::{Array1, Array2, arr1};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

#[test]
fn redraws_that_all_fail_are_an_error() {
    for whole in [false, true] {
        for (max_attempts, expected) in [(0, 1), (1, 1), (3, 3)] {
            // Valid in the pilot run alone.
            let pilot = Arc::new(AtomicBool::new(true));
            let now = pilot.clone();
            let value = move || if now.load(Ordering::Relaxed) { 0.0 } else { f32::NAN };
            let never = match whole {
                false => Simulator::from_fn(move |_, _, _| arr1(&[value()])),
                true => Simulator::from_batch_fn(move |_, theta, _| theta.mapv(|_| value())),
            };
            let model = model(one_prior(), never, InvalidSimulations::Redraw { max_attempts });
            pilot.store(false, Ordering::Relaxed);
            let error = model.simulate(2, 0).expect_err("no draw is valid");
            let SimulationError::TooManyInvalid { id, attempts } = error else { panic!("not a count: {error}") };
            let (first, batch) = (0, if whole { 2 } else { 1 });
            let last = SimulationId { seed: 0, index: 0, attempt: expected - 1, first, batch };
            assert_eq!((id, attempts), (last, expected));
            let message = error.to_string();
            let parts = [
                "simulation 0 (seed 0)",
                &format!("each of {expected} attempts"),
                &format!("{id:?}"),
                "`max_attempts`",
            ];
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }
}

/// The error names the simulation that fails, also behind others that do not.
#[test]
fn the_first_simulation_without_a_valid_draw_is_named() {
    let model = tenth(InvalidSimulations::Redraw { max_attempts: 2 });
    let failed = |first, n| match model.simulate_from(1, first, n) {
        Err(SimulationError::TooManyInvalid { id, attempts: 2 }) => Some(id),
        Err(error) => panic!("not a count: {error}"),
        Ok(_) => None,
    };
    let id = failed(0, 1000).expect("one in a hundred fails twice");
    assert!(id.index > 0 && id.attempt == 1, "the case is not the trivial one");
    assert!(failed(0, id.index as usize).is_none());
    assert_eq!(failed(id.index, 1), Some(id));
    assert!(!is_finite(&model.replay(id).expect("no value is an error")));
}

#[test]
fn a_batch_of_which_nothing_is_left_is_an_error() {
    let theta = one_prior().sample(35, 4).expect("the prior is sound").column(0).to_vec();
    let bad = theta[30..].to_vec();
    let simulator = Simulator::from_fn(move |_, t, _| arr1(&[if bad.contains(&t[0]) { f32::INFINITY } else { 1.0 }]));
    let model = model(one_prior(), simulator, InvalidSimulations::Drop);
    let error = model.simulate_from(4, 30, 5).expect_err("nothing is left");
    assert!(matches!(error, SimulationError::NothingLeft { count: 5, first, .. } if first.index == 30));
    assert!(error.to_string().contains("all 5 simulations from number 30 on"), "{error}");
}

/// The first 100 simulations of seed 0, which every pilot run begins with, are invalid: a model is made all the same,
/// and follows its policy when it simulates.
#[test]
fn the_pilot_run_needs_one_valid_simulation() {
    let theta = one_prior().sample(100, 0).expect("the prior is sound").column(0).to_vec();
    let of = |policy| {
        let theta = theta.clone();
        let value = move |t: f32| if theta.contains(&t) { f32::NAN } else { 2.0 };
        GenerativeModel::new(
            one_prior(),
            Simulator::from_fn(move |_, t, _| arr1(&[1.0, value(t[0]), 3.0])).on_invalid(policy),
        )
    };
    let strict = of(InvalidSimulations::Error).expect("one is valid");
    let error = strict.simulate(200, 0).expect_err("the first is invalid");
    assert!(matches!(error, SimulationError::NonFinite { id, .. } if id.index == 0 && id.seed == 0));
    for policy in OTHERS {
        let model = of(policy).expect("one is valid");
        assert_eq!((model.shapes().data.as_slice(), model.invalid_simulations()), ([3].as_slice(), policy));
        assert_eq!(simulate(&model, 200, 0).invalid.len(), 100);
    }
    // Without a valid one, the error names the policy; what is partly missing is valid where it is masked.
    let never = |policy| {
        GenerativeModel::new(one_prior(), Simulator::from_fn(|_, _, _| arr1(&[1.0, f32::NAN])).on_invalid(policy))
    };
    for policy in [REDRAW, InvalidSimulations::Drop] {
        let error = never(policy).expect_err("none is valid").to_string();
        let parts = [format!("{policy:?}"), "1022 simulations".to_owned(), "NaN at position [1]".to_owned()];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    assert!(never(InvalidSimulations::Mask).is_ok());
    assert!(matches!(never(InvalidSimulations::Error), Err(SimulationError::NonFinite { .. })));
}

#[test]
fn parameters_and_contexts_that_are_not_finite_are_errors_under_every_policy() {
    let odd = || ContextGenerator::new().with_batchable(|_| arr1(&[f32::NAN]));
    let odd_shared = || ContextGenerator::new().with_non_batchable(|_| arr1(&[f32::NAN]));
    for policy in OTHERS {
        let cases = [
            (Prior::from_fn(["theta"], |_, _| [f32::NAN]), one_simulator(), Quantity::Parameters),
            (
                Prior::from_batch_fn(["theta"], |_, b, _| Array2::from_elem((b, 1), f32::NAN)),
                one_simulator(),
                Quantity::Parameters,
            ),
            (one_prior().with_context(odd()), one_simulator(), Quantity::PriorBatchableContext),
            (one_prior().with_context(odd_shared()), one_simulator(), Quantity::PriorNonBatchableContext),
            (one_prior(), one_simulator().with_context(odd()), Quantity::SimBatchableContext),
            (one_prior(), whole_simulator().with_context(odd_shared()), Quantity::SimNonBatchableContext),
        ];
        for (prior, simulator, expected) in cases {
            let error = GenerativeModel::new(prior, simulator.on_invalid(policy)).expect_err("not finite");
            assert!(matches!(error, SimulationError::NonFinite { quantity, .. } if quantity == expected), "{error}");
            assert!(!error.to_string().contains("on_invalid"), "no policy helps: {error}");
        }
    }
}

/// A panic in the first attempt, and one in a redraw, whose error names the attempt.
#[test]
fn panics_are_errors_under_every_policy() {
    for policy in OTHERS {
        let bad = Simulator::from_fn(|_, _, _| -> Array1<f32> { panic!("a mistake") }).on_invalid(policy);
        let error = GenerativeModel::new(one_prior(), bad).expect_err("it panics");
        assert!(matches!(error, SimulationError::Panicked { index: 0, attempt: 0, .. }));
        assert!(!error.to_string().contains("attempt"), "{error}");
    }
    let theta = one_prior().sample(1, 0).expect("the prior is sound")[[0, 0]];
    let nan = move |t: f32| arr1(&[if t == theta { f32::NAN } else { t }]);
    let redrawn = simulate(&model(one_prior(), Simulator::from_fn(move |_, t, _| nan(t[0])), REDRAW), 1, 0);
    let second = redrawn.parameters[[0, 0]];
    let panics = Simulator::from_fn(move |_, t, _| {
        assert_ne!(t[0], second, "a mistake");
        nan(t[0])
    });
    let panics = GenerativeModel::new(one_prior(), panics.on_invalid(REDRAW)).expect("no redraw in the pilot run");
    let error = panics.simulate(1, 0).expect_err("the redraw panics");
    assert!(matches!(error, SimulationError::Panicked { index: 0, seed: 0, attempt: 1, .. }), "{error}");
    assert!(error.to_string().contains("simulation 0 (seed 0, attempt 1)"), "{error}");
}

/// A redraw of another shape than its batch is the mistake that it is within a batch.
#[test]
fn a_redraw_of_another_shape_is_an_error() {
    let theta = one_prior().sample(2, 0).expect("the prior is sound");
    let longer = Simulator::from_fn(move |_, t, _| match theta.iter().position(|&first| first == t[0]) {
        Some(0) => arr1(&[f32::NAN]),
        Some(_) => arr1(&[1.0]),
        None => arr1(&[1.0, 1.0]),
    });
    let error = model(one_prior(), longer, REDRAW).simulate(2, 0).expect_err("two shapes");
    let SimulationError::ShapeChanged { index: 0, attempt: 1, ref expected, ref got, .. } = error else {
        panic!("not a shape: {error}")
    };
    assert_eq!((expected.as_slice(), got.as_slice()), ([1].as_slice(), [2].as_slice()));
}
