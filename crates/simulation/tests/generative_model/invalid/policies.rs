//! Checks that simulations that are not finite are redrawn, dropped or masked as the policy says.

use super::{CUT, OTHERS, REDRAW, is_finite, model, models, normal, one_prior, row, simulate, tenth};
use crate::normal_prior;
use bayesburn_core::SimulationId;
use bayesburn_simulation::{GenerativeModel, InvalidSimulations, SimulationError, Simulator};
use ndarray::{Array2, ArrayD, Axis, arr1, array};
use rand::RngExt;

/// Each of B simulations is invalid with probability p = 0.1: n = 2,000, seed 7; the count lies within 4 standard
/// deviations √(n p (1 − p)) = 13.4 of 200 (alpha 6e-5). Redraws fail too, so that the invalid attempts are n p / (1 −
/// p) = 222 with standard deviation √(n p) / (1 − p) = 15.7.
#[test]
fn the_known_share_is_counted() {
    let n = 2000;
    let prior = one_prior().sample(n, 7).expect("the prior is sound");
    let expected: Vec<u64> = (0..n).filter(|&i| prior[[i, 0]] > CUT).map(|i| i as u64).collect();
    assert!((expected.len() as f64 - 200.0).abs() < 4.0 * 13.4, "{} of {n}", expected.len());
    for policy in OTHERS {
        let simulations = simulate(&tenth(policy), n, 7);
        let first: Vec<_> = simulations.invalid.iter().filter(|id| id.attempt == 0).map(|id| id.index).collect();
        assert_eq!(first, expected, "{policy:?}");
        assert!(is_finite(&simulations));
        let of_order = |id: &SimulationId| (id.index, id.attempt);
        assert!(simulations.invalid.is_sorted_by_key(of_order), "{policy:?}");
        assert!(simulations.invalid.iter().all(|id| (id.seed, id.first, id.batch) == (7, id.index, 1)));
        match policy {
            InvalidSimulations::Drop => assert_eq!(simulations.len(), n - expected.len()),
            InvalidSimulations::Redraw { .. } => {
                let attempts = simulations.invalid.len();
                assert!(attempts > expected.len() && (attempts as f64 - 222.2).abs() < 4.0 * 15.7, "{attempts}");
                assert_eq!(simulations.len(), n);
            }
            _ => assert_eq!(simulations.len(), n),
        }
    }
}

/// θ given that x is valid is a normal truncated above at c = 1.2816: mean −φ(c)/Φ(c) = −0.19499 and variance
/// 1 − c φ(c)/Φ(c) − (φ(c)/Φ(c))² = 0.7121. n = 2,000, seed 3; the bound is 4 standard errors √(0.7121/n) = 0.0189
/// (alpha 6e-5; dropping leaves 1,800, which the bound takes in). The twin masks, which keeps the prior: its mean is 0.
#[test]
fn redrawn_and_dropped_parameters_follow_the_truncated_prior() {
    let follows = |model: &GenerativeModel| {
        let theta = simulate(model, 2000, 3).parameters.column(0).mapv(f64::from);
        let standard_error = (0.7121 / theta.len() as f64).sqrt();
        (theta.mean().expect("2,000 draws") + 0.19499).abs() < 4.0 * standard_error
    };
    for policy in [REDRAW, InvalidSimulations::Drop] {
        for (i, (model, _)) in models(policy).iter().enumerate() {
            assert!(follows(model), "{policy:?}, model {i}");
        }
    }
    assert!(!follows(&tenth(InvalidSimulations::Mask)));
}

/// Redrawing touches the invalid rows alone: all others, and what the batch shares, are those of the masked batch.
#[test]
fn redrawing_keeps_valid_rows_shapes_and_shared_context() {
    for ((redrawn, _), (masked, _)) in models(REDRAW).into_iter().zip(models(InvalidSimulations::Mask)) {
        let (redrawn, masked) = (simulate(&redrawn, 80, 2), simulate(&masked, 80, 2));
        assert!(is_finite(&redrawn) && redrawn.data.value_mask().is_none());
        assert_eq!(redrawn.data.values().shape(), masked.data.values().shape());
        assert_eq!(redrawn.prior_non_batchable_context, masked.prior_non_batchable_context);
        assert_eq!(redrawn.sim_non_batchable_context, masked.sim_non_batchable_context);
        let invalid: Vec<u64> = masked.invalid.iter().map(|id| id.index).collect();
        for i in 0..80 {
            let (redrawn, masked) = (row(&redrawn, i), row(&masked, i));
            if !invalid.contains(&(i as u64)) {
                assert_eq!(redrawn, masked);
                continue;
            }
            assert!(redrawn.parameters[[0, 0]] <= CUT && masked.parameters[[0, 0]] > CUT);
            let contexts = [
                (redrawn.prior_batchable_context, masked.prior_batchable_context),
                (redrawn.sim_batchable_context, masked.sim_batchable_context),
            ];
            for (redrawn, masked) in contexts {
                assert!(redrawn.is_none() || redrawn != masked, "batchable context is drawn anew");
            }
        }
    }
}

#[test]
fn the_mask_says_where_values_are_missing() {
    let model = tenth(InvalidSimulations::Mask);
    let simulations = simulate(&model, 100, 7);
    let mask = simulations.data.value_mask().expect("masked data have a mask");
    for (i, theta) in simulations.parameters.column(0).iter().enumerate() {
        let there = if *theta > CUT { array![[1.0, 0.0], [0.0, 1.0]] } else { Array2::ones((2, 2)) };
        assert_eq!(mask.index_axis(Axis(0), i), there.into_dyn());
    }
    for (x, there) in simulations.data.values().iter().zip(mask) {
        assert!(*there == 1.0 || x.to_bits() == 0, "a missing value is 0, not {x}");
    }
    // What is there is as it was.
    for &id in &simulations.invalid {
        let (was, i) = (model.replay(id).expect("an invalid one").data.observations(), id.index as usize);
        for at in [[0, 0], [1, 1]] {
            assert_eq!(was[[0, at[0], at[1]]], simulations.data.values()[[i, at[0], at[1]]]);
        }
    }
    let valid = GenerativeModel::new(
        normal_prior(),
        Simulator::from_fn(|_, theta, _| arr1(theta)).on_invalid(InvalidSimulations::Mask),
    );
    let valid = simulate(&valid.expect("the model is sound"), 5, 1);
    assert_eq!(valid.data.value_mask(), Some(&ArrayD::ones(vec![5, 2])), "present also when all values are there");
    assert!(valid.invalid.is_empty());
}

#[test]
fn other_policies_leave_a_valid_batch_as_it_is() {
    let of = |policy| simulate(&model(one_prior(), Simulator::from_fn(|_, theta, _| arr1(theta)), policy), 50, 1);
    let expected = of(InvalidSimulations::Error);
    assert!(expected.data.value_mask().is_none() && expected.invalid.is_empty());
    assert_eq!(of(REDRAW), expected);
    assert_eq!(of(InvalidSimulations::Drop), expected);
    assert_eq!(InvalidSimulations::default(), InvalidSimulations::Error);
}

/// Data for given θ that are not finite half of the time, and always above 1: drawn anew for the same θ, and left out
/// where that is hopeless.
#[test]
fn predictions_are_redrawn_for_the_same_parameters() {
    let simulator = Simulator::from_fn(|rng, t, _| {
        arr1(&[if t[0] > 1.0 || rng.random_bool(0.5) { f32::NAN } else { t[0] + normal(rng) }])
    });
    let model = model(one_prior(), simulator, InvalidSimulations::Redraw { max_attempts: 40 });
    let theta = Array2::from_shape_fn((200, 2), |(i, _)| if i % 10 == 3 { 2.0 } else { i as f32 / 250.0 });
    assert!(matches!(model.simulate_given(&theta, 1, 0), Err(SimulationError::CannotRedraw)));
    let predicted = model.predict(&theta, 1, 0).expect("most can be predicted");
    assert!(is_finite(&predicted));
    let kept: Vec<usize> = (0..200).filter(|i| i % 10 != 3).collect();
    assert_eq!(predicted.parameters, theta.select(Axis(0), &kept));
    let hopeless = predicted.invalid.iter().filter(|id| id.index % 10 == 3).count();
    assert_eq!(hopeless, 20 * 40);
    // Of 180 rows half fail once, a quarter twice, …: 180 attempts in all, with a standard deviation of √360 = 19.
    let others = predicted.invalid.len() - hopeless;
    assert!(others.abs_diff(180) < 4 * 19, "{others}");
    // Row i is the same in any batch, and a model without redraws has nothing to redraw.
    let few = model.predict(&theta.slice(ndarray::s![..3, ..]).to_owned(), 1, 0).expect("three");
    assert_eq!(few.data.values(), predicted.data.values().slice_axis(Axis(0), (0..3).into()));
    let hopeless = Array2::from_elem((3, 2), 2.0);
    assert!(matches!(model.predict(&hopeless, 1, 0), Err(SimulationError::NothingLeft { count: 3, .. })));
    let dropping = model.with_invalid_simulations(InvalidSimulations::Drop);
    assert_eq!(dropping.predict(&theta, 1, 0).expect("half"), dropping.simulate_given(&theta, 1, 0).expect("half"));
}

#[test]
fn a_policy_is_plain_data() {
    for (policy, text) in OTHERS.into_iter().zip([r#"{"Redraw":{"max_attempts":100}}"#, r#""Drop""#, r#""Mask""#]) {
        assert_eq!(serde_json::to_string(&policy).expect("plain data"), text);
        assert_eq!(serde_json::from_str::<InvalidSimulations>(text).expect("plain data"), policy);
    }
    assert!(serde_json::from_str::<InvalidSimulations>(r#"{"Redraw":{"max_attempts":1,"more":2}}"#).is_err());
}
