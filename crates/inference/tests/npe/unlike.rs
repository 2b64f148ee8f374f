//! Checks that units do not matter, that missing values may be far from 0, and that observations unlike the simulations
//! are warned of.

use crate::{box_prior, config_of, npe, short, small};
use bayesburn_inference::NpeTraining;
use bayesburn_simulation::{GenerativeModel, InvalidSimulations, Prior, Simulator, Univariate};
use ndarray::{Array1, Array3, arr1, arr2};
use rand::RngExt;
use rand_distr::StandardNormal;

/// θ uniform on ±2 units, x = θ + 0.3 units of noise, twice.
fn in_units(unit: f32) -> GenerativeModel {
    let prior = Prior::box_uniform(["theta"], &[-2.0 * f64::from(unit)], &[2.0 * f64::from(unit)]).expect("a box");
    let simulator = Simulator::from_fn(move |rng, theta, _| {
        Array1::from_shape_fn(2, |_| theta[0] + unit * 0.3 * rng.sample::<f32, _>(StandardNormal))
    });
    GenerativeModel::new(prior, simulator).expect("it simulates")
}

/// Powers of two change no digit: the same draws to the bit from the same seed.
#[test]
fn posteriors_are_the_same_in_any_unit() {
    let draws = |unit: f32| {
        let mut npe = npe(in_units(unit), short(), 1);
        npe.simulate(300).expect("it simulates");
        let posterior = npe.train().expect("it trains");
        assert_eq!(npe.summaries()[0].warnings, Vec::<String>::new());
        let draws = posterior.sample_for(&arr1(&[0.5 * unit, 0.4 * unit]), 500, 2).expect("inside the prior");
        assert_eq!(draws.warnings(), Vec::<String>::new());
        draws.into_values() / unit
    };
    let expected: Array3<f32> = draws(1.0);
    for exponent in [-100, -44, 44, 100] {
        assert_eq!(draws(2f32.powi(exponent)), expected, "in units of 2^{exponent}");
    }
}

/// Vectors of five of which a third is missing, far from 0. The prior's entropy is 1.419; with the values and the
/// constants of what is there, the loss comes to about 0.7. With zeros filled in before standardising it stays at 1.4
/// from an offset of 1,000.
#[test]
fn missing_values_are_learnt_from_at_any_offset() {
    let loss = |offset: f32| {
        let prior = Prior::independent([("theta", Univariate::normal(0.0, 1.0).expect("a distribution"))]);
        let simulator = Simulator::from_fn(move |rng, theta, _| {
            Array1::from_shape_fn(5, |_| {
                let x = offset + theta[0] + rng.sample::<f32, _>(StandardNormal);
                if rng.random_bool(0.3) { f32::NAN } else { x }
            })
        });
        let simulator = simulator.on_invalid(InvalidSimulations::Mask);
        let model = GenerativeModel::new(prior, simulator).expect("it simulates");
        let training = NpeTraining::new().with_learning_rate(5e-3).with_max_epochs(60);
        let mut npe = npe(model, config_of(small(), training), 1);
        npe.simulate(1500).expect("it simulates");
        npe.train().expect("it trains");
        npe.summaries()[0].best_validation_loss
    };
    let at_zero = loss(0.0);
    assert!(at_zero < 1.1, "{at_zero}");
    // A step of f32 at 8,192 is 0.001.
    let far = loss(8192.0);
    assert!((at_zero - far).abs() < 0.02, "{far} at 8192, {at_zero} at 0");
}

#[test]
fn observations_unlike_the_simulations_are_warned_of_where_the_user_looks() {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array1::from_shape_fn(2, |d| theta[d] + 0.1 * rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(box_prior(2), simulator).expect("it simulates");
    let mut npe = npe(model, short(), 1);
    npe.simulate(1000).expect("it simulates");
    let posterior = npe.train().expect("it trains");
    let warnings = |x: [f32; 2]| posterior.sample_for(&arr1(&x), 10, 1).expect("drawn").warnings().to_vec();
    assert_eq!(warnings([1.0, -1.0]), Vec::<String>::new());
    let said = warnings([1.0, 60.0]).concat();
    for part in ["the data are unlike any simulation", "column 1 is 5", "standard deviations"] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    // Of several, the one that is off.
    let many = arr2(&[[0.0, 0.0], [1.0, -1.0], [-60.0, 0.0]]);
    let said = posterior.sample_for(&many, 10, 1).expect("drawn").warnings().concat();
    assert!(said.contains("data set 2 is unlike") && said.contains("column 0"), "{said}");
}
