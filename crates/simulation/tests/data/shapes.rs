//! Data sets of different lengths, and of several inputs, through simulators, stores and files of other programs.

use crate::folder;
use bayesburn_core::{Data, Simulations, StreamRng};
use bayesburn_simulation::{
    DataError, Dataset, GenerativeModel, InvalidSimulations, Panics, Presimulation, Prior, SimulationError, Simulator,
    load_simulations, save_simulations,
};
use ndarray::{Array1, Array2, Array3, ArrayD, array};
use rand::RngExt;

fn prior() -> Prior {
    Prior::from_fn(["mu"], |rng, _| [rng.random::<f32>()])
}

/// From 5 to 100 observations, another number in each simulation.
fn draw(rng: &mut StreamRng, mu: f32) -> Array2<f32> {
    let n = rng.random_range(5..=100);
    Array2::from_shape_fn((n, 2), |(i, f)| mu + (i * 2 + f) as f32)
}

fn ragged() -> GenerativeModel {
    GenerativeModel::new(prior(), Simulator::from_fn(|rng, mu, _| draw(rng, mu[0]))).expect("lengths may differ")
}

/// A series of another length in each simulation, an image and a number.
fn named() -> GenerativeModel {
    let simulator = Simulator::from_named_fn(|rng, mu, _| {
        let image = Array3::from_shape_fn((4, 3, 1), |(i, j, _)| mu[0] + (i * 3 + j) as f32);
        [("series", draw(rng, mu[0]).into_dyn()), ("image", image.into_dyn()), ("age", ndarray::arr0(mu[0]).into_dyn())]
    });
    GenerativeModel::new(prior(), simulator).expect("lengths may differ")
}

#[test]
fn data_sets_are_as_long_as_they_were_simulated() {
    let simulations = ragged().simulate(300, 1).expect("sound");
    let lengths: Vec<usize> = (0..300).map(|m| simulations.data.num_rows(m)).collect();
    assert!(lengths.iter().all(|n| (5..=100).contains(n)) && lengths.iter().any(|n| *n != lengths[0]));
    assert_eq!(simulations.data.values().shape()[1], *lengths.iter().max().expect("300"));
    for (m, &n) in lengths.iter().enumerate() {
        let one = simulations.data.select(&[m]);
        assert_eq!((one.values().shape(), one.row_mask()), (&[1, n, 2][..], None));
        let mu = simulations.parameters[[m, 0]];
        assert!(one.values().iter().enumerate().all(|(i, x)| *x == mu + i as f32), "{m}");
        // Alone, a simulation is what it is in any batch.
        if m < 5 {
            assert_eq!(ragged().simulate_from(1, m as u64, 1).expect("sound").data, one);
        }
    }
    let pilot = ragged().shapes().to_string();
    assert!(pilot.contains("data                          [B, "), "{pilot}");
}

#[test]
fn stores_have_what_was_simulated() {
    for model in [ragged(), named()] {
        let folder = folder();
        let presimulation = Presimulation::new(90, 3).with_simulations_per_shard(20);
        let data = model.presimulate(folder.path(), &presimulation).expect("sound");
        let all = model.simulate(90, 3).expect("sound");
        for rows in [vec![3], vec![89, 5, 5, 40], (0..90).collect()] {
            assert_eq!(data.select(&rows).expect("one group"), all.select(&rows));
        }
        assert_eq!((data.groups().len(), data.copies().expect("in memory").len()), (1, 0));
        // A shard that is gone is made again, to the bit; and the store goes on.
        std::fs::remove_file(folder.path().join("shard-000001.safetensors")).expect("there");
        let again = model.presimulate(folder.path(), &Presimulation::new(95, 3)).expect("it repeats itself");
        again.verify().expect("whole");
        assert_eq!(again.select(&[25, 94]).expect("there"), model.simulate(95, 3).expect("sound").select(&[25, 94]));
        let path = folder.path().join("batch.safetensors");
        save_simulations(&all, &path).expect("writable");
        assert_eq!(load_simulations(&path).expect("just written"), all);
    }
}

#[test]
fn copies_are_found_however_they_are_padded() {
    let all = ragged().simulate(20, 1).expect("sound");
    let shortest = (0..20).min_by_key(|m| all.data.num_rows(*m)).expect("20");
    let data = Dataset::from_batches([all.clone(), all.select(&[shortest])]).expect("alike");
    let copies = data.copies().expect("readable");
    assert_eq!((copies.len(), copies.first_of(20)), (1, shortest));
}

/// NaN in one of the simulations, and a panic: masked, dropped, drawn again.
#[test]
fn invalid_simulations_of_different_lengths_are_told_from_padding() {
    let simulator = Simulator::from_fn(|rng, mu, _| {
        let mut x = draw(rng, mu[0]);
        assert!(mu[0] > 0.05, "the solver failed");
        if mu[0] > 0.9 {
            x[[2, 1]] = f32::NAN;
        }
        x
    });
    let model = |policy| {
        GenerativeModel::new(prior(), simulator.clone().on_invalid(policy).on_panic(Panics::AsInvalid)).expect("sound")
    };
    let masked = model(InvalidSimulations::Mask).simulate(200, 1).expect("values may be missing");
    let there = masked.data.value_mask().expect("always there");
    let missing = |m: usize| {
        let n = masked.data.num_rows(m);
        (0..n).map(|i| if there[[m, i, 1]] == 0.0 { 1 } else { 0 }).sum::<usize>()
    };
    for m in 0..200 {
        let expected = match masked.parameters[[m, 0]] {
            mu if mu <= 0.05 => masked.data.num_rows(m),
            mu => usize::from(mu > 0.9),
        };
        assert_eq!(missing(m), expected, "{m}");
    }
    assert!(!masked.panicked.is_empty() && masked.invalid.len() > masked.panicked.len());
    let dropped = model(InvalidSimulations::Drop).simulate(200, 1).expect("most are valid");
    assert_eq!(dropped.len() + dropped.invalid.len(), 200);
    let redrawn = model(InvalidSimulations::Redraw { max_attempts: 50 }).simulate(200, 1).expect("most are valid");
    assert!(redrawn.len() == 200 && redrawn.data.first_non_finite().is_none());
    for m in 0..200 {
        let one = redrawn.data.select(&[m]);
        assert!(one.values().iter().enumerate().all(|(i, x)| *x == redrawn.parameters[[m, 0]] + i as f32), "{m}");
    }
}

#[test]
fn files_of_other_programs_have_masks_and_inputs() {
    let folder = folder();
    let write = |name: &str, array: ArrayD<f32>| {
        ndarray_npy::write_npy(folder.path().join(format!("{name}.npy")), &array).expect("writable");
    };
    write("parameters", array![[0.5], [1.5]].into_dyn());
    write("data.series", array![[[1.0], [2.0]], [[3.0], [9.0]]].into_dyn());
    write("data_rows.series", array![[1.0, 1.0], [1.0, 0.0]].into_dyn());
    write("data.age", array![40.0, 41.0].into_dyn());
    let data = Dataset::open(folder.path()).expect("sound").select(&[0, 1]).expect("there").data;
    let series = Data::padded([array![[1.0], [2.0]], array![[3.0]]]).expect("alike");
    let expected = Data::named([("age", Data::new(array![40.0_f32, 41.0])), ("series", series)]).expect("as many");
    assert_eq!(data, expected);
    write("data_rows.series", array![[1.0, 1.0], [0.0, 0.0]].into_dyn());
    let error = Dataset::open(folder.path()).expect("masks are read with their rows").select(&[1]);
    assert!(error.expect_err("a data set without rows").to_string().contains("has no row"));
    write("data_rows.series", array![[1.0], [1.0]].into_dyn());
    let error = Dataset::open(folder.path()).expect_err("of another shape");
    assert!(matches!(error, DataError::Axes { name: "sim_data_rows", .. }) && error.to_string().contains("`series`"));
    write("data", array![[1.0], [1.0]].into_dyn());
    assert!(matches!(Dataset::open(folder.path()), Err(DataError::DuplicateArray { .. } | DataError::Axes { .. })));
}

#[test]
fn what_does_not_fit_is_named() {
    let error = |simulator: Simulator| GenerativeModel::new(prior(), simulator).expect_err("a planted mistake");
    let wider = error(Simulator::from_fn(|rng, _, _| Array2::<f32>::ones((2, rng.random_range(1..1000)))));
    assert!(matches!(wider, SimulationError::ShapeChanged { .. }), "{wider}");
    let vector = error(Simulator::from_fn(|rng, _, _| Array1::<f32>::ones(rng.random_range(1..1000))));
    assert!(vector.to_string().contains("only the first axis"), "{vector}");
    let other = error(Simulator::from_named_fn(|rng, _, _| {
        [if rng.random::<bool>() { "a" } else { "b" }].map(|name| (name, array![1.0].into_dyn()))
    }));
    assert!(matches!(other, SimulationError::InputsChanged { .. }), "{other}");
    let short = Simulator::from_batch_data_fn(|_, _, _| Data::new(array![[1.0_f32]]));
    assert!(matches!(error(short), SimulationError::BatchShape { .. }));
    let whole = Simulator::from_batch_data_fn(|rng, theta, _| {
        Data::padded(theta.outer_iter().map(|mu| draw(rng, mu[0]))).expect("alike")
    });
    let simulations: Simulations =
        GenerativeModel::new(prior(), whole).expect("sound").simulate(50, 1).expect("lengths may differ");
    assert!(simulations.data.is_padded());
}
