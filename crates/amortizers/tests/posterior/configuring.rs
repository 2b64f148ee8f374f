//! Checks what configurators make of simulations, and what posteriors refuse.

use crate::{config, data_sets, device, pilot, untrained};
use bayesburn_amortizers::{
    AmortizedPosterior, AmortizerError, Conditions, Configurator, Configured, DefaultConfigurator, SplitConfigurator,
    TrainingTargets,
};
use bayesburn_core::{Data, Given, Simulations};
use bayesburn_networks::Pass;
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, IxDyn, arr1, arr2};

/// Two simulations of three observations of two features; every number says where it comes from.
fn simulations() -> Simulations {
    let names = ["a".to_owned(), "b".to_owned()].into();
    let data = Array3::from_shape_fn((2, 3, 2), |(b, n, f)| (100 * b + 10 * n + f) as f32).into_dyn();
    Simulations::new(names, arr2(&[[1.0, 2.0], [3.0, 4.0]]), data).expect("names, parameters and data fit")
}

fn configure(simulations: &Simulations) -> Configured {
    DefaultConfigurator.configure(simulations).expect("the simulations are sound")
}

#[test]
fn every_combination_of_contexts_has_its_place() {
    for present in 0..16_u32 {
        let has = |bit: u32| present & (1 << bit) != 0;
        let mut given = simulations();
        given.prior_batchable_context = has(0).then(|| arr2(&[[0.5], [0.6]]).into_dyn());
        given.sim_batchable_context =
            has(1).then(|| Array3::from_shape_fn((2, 3, 2), |(b, n, c)| -((100 * b + 10 * n + c) as f32)).into_dyn());
        given.prior_non_batchable_context = has(2).then(|| arr2(&[[7.0, 8.0], [9.0, 10.0]]).into_dyn());
        given.sim_non_batchable_context = has(3).then(|| arr1(&[3.0]).into_dyn());
        let Configured { parameters, conditions, weights, .. } = configure(&given);
        assert_eq!(weights, None);
        assert_eq!(parameters, given.parameters);
        for ((b, n, f), &v) in conditions.sets().indexed_iter() {
            let mut expected = vec![(100 * b + 10 * n) as f32, (100 * b + 10 * n + 1) as f32];
            if has(0) {
                expected.push([0.5, 0.6][b]); // one for each simulation, repeated for each observation
            }
            if has(1) {
                expected.extend([0, 1].map(|c| -((100 * b + 10 * n + c) as f32))); // one for each observation
            }
            assert_eq!(conditions.sets().dim(), (2, 3, expected.len()), "contexts {present:04b}");
            assert_eq!(v, expected[f], "contexts {present:04b}");
        }
        let mut direct: Vec<f32> = Vec::new();
        if has(2) {
            direct.extend([7.0, 8.0, 9.0, 10.0]);
        }
        if has(3) {
            direct.push(3.0);
        }
        let expected = (!direct.is_empty()).then(|| Array2::from_shape_fn((2, direct.len()), |(_, c)| direct[c]));
        assert_eq!(conditions.direct_conditions, expected, "contexts {present:04b}");
    }
}

#[test]
fn data_without_an_observation_axis_are_one_observation() {
    let mut given = simulations();
    given.data = arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).into();
    given.sim_batchable_context = Some(arr2(&[[7.0], [8.0]]).into_dyn());
    let conditions = configure(&given).conditions;
    assert_eq!(conditions.sets(), ndarray::arr3(&[[[1.0, 2.0, 3.0, 7.0]], [[4.0, 5.0, 6.0, 8.0]]]));
}

/// A batch with a mask, and the same data with NaN in place of what is missing, whatever the batch holds there. The
/// sixteen combinations of contexts follow behind the mask.
#[test]
fn missing_values_are_the_same_in_a_mask_and_as_nan() {
    let mut given = simulations();
    let missing = |b: usize, n: usize, f: usize| [(0, 1, 0), (1, 2, 1), (1, 0, 0), (1, 0, 1)].contains(&(b, n, f));
    let mask = Array3::from_shape_fn((2, 3, 2), |at| f32::from(!missing(at.0, at.1, at.2)));
    for substitute in [0.0, -9.0, f32::NAN] {
        let data = |fill: f32| {
            let value = |b, n, f| (100 * b + 10 * n + f) as f32;
            Array3::from_shape_fn((2, 3, 2), |(b, n, f)| if missing(b, n, f) { fill } else { value(b, n, f) })
        };
        given.data = Data::new(data(substitute)).with_value_mask(mask.clone()).expect("of one shape");
        let conditions = configure(&given).conditions;
        assert_eq!(conditions, Conditions::with_missing(data(f32::NAN)));
        let expected = ndarray::concatenate![
            Axis(2),
            data(0.0),
            Array3::from_shape_fn((2, 3, 2), |(b, n, f)| f32::from(!missing(b, n, f)))
        ];
        assert_eq!(conditions.sets(), expected);
    }
    given.sim_batchable_context = Some(arr2(&[[7.0], [8.0]]).into_dyn());
    given.sim_non_batchable_context = Some(arr1(&[3.0]).into_dyn());
    let conditions = configure(&given).conditions;
    assert_eq!(conditions.sets().dim(), (2, 3, 5));
    assert_eq!(conditions.sets().index_axis(Axis(2), 4), arr2(&[[7.0; 3], [8.0; 3]]));
    assert_eq!(conditions.direct_conditions, Some(arr2(&[[3.0], [3.0]])));
}

#[test]
fn a_mask_without_an_observation_axis_is_that_of_one_observation() {
    let mut given = simulations();
    given.data = Data::with_missing(arr2(&[[1.0, f32::NAN], [3.0, 4.0]]));
    let conditions = configure(&given).conditions;
    assert_eq!(conditions.sets(), ndarray::arr3(&[[[1.0, 0.0, 1.0, 0.0]], [[3.0, 4.0, 1.0, 1.0]]]));
}

/// Infinity is no missing value, and NaN is one only where it is said to be.
#[test]
fn infinite_observed_values_are_refused() {
    let mut masked = pilot(2);
    masked.conditions = Conditions::with_missing(masked.conditions.sets().to_owned());
    let posterior = untrained(config(), &masked, 1);
    let mut data = data_sets(8, 5, 3).sets().to_owned();
    data[[7, 4, 1]] = f32::NAN;
    assert!(posterior.sample(&Conditions::with_missing(data.clone()), 3, 1).is_ok());
    data[[7, 4, 0]] = f32::INFINITY;
    let error = posterior.sample(&Conditions::with_missing(data), 3, 1).expect_err("infinite");
    assert!(matches!(error, AmortizerError::NonFinite { what: "the data", data_set: 7, .. }), "{error}");
    assert!(error.to_string().contains("holds inf"), "{error}");
}

#[test]
fn arrays_of_other_axes_are_refused_with_both_shapes() {
    let wrong = |what: &str, set: &dyn Fn(&mut Simulations)| {
        let mut given = simulations();
        set(&mut given);
        let error = DefaultConfigurator.configure(&given).expect_err("the shape is wrong");
        assert!(matches!(error, AmortizerError::Shape { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(what) && message.contains("a configurator of your own"), "{message}");
    };
    wrong("sim_batchable_context has shape [2, 5, 1]", &|s| {
        s.sim_batchable_context = Some(ArrayD::zeros(IxDyn(&[2, 5, 1])));
    });
    wrong("prior_batchable_context has shape [2]", &|s| s.prior_batchable_context = Some(ArrayD::zeros(IxDyn(&[2]))));
    wrong("[2, 3, 1, 1]", &|s| s.prior_batchable_context = Some(ArrayD::zeros(IxDyn(&[2, 3, 1, 1]))));
}

/// What was observed is configured without parameters, as simulations of the same data are.
#[test]
fn conditions_are_of_data_and_contexts_alone() {
    let mut given = simulations();
    given.prior_batchable_context = Some(arr2(&[[7.0], [8.0]]).into_dyn());
    given.sim_non_batchable_context = Some(arr1(&[3.0]).into_dyn());
    let split = SplitConfigurator::new(
        |given: &Given<'_>| DefaultConfigurator.conditions(given),
        |simulations: &Simulations| {
            let weights = Array1::from_elem(simulations.len(), 0.5);
            Ok(TrainingTargets::new(simulations.parameters.mapv(f32::exp)).with_weights(weights))
        },
    );
    let one = |simulations: &Simulations| {
        let configured = DefaultConfigurator.configure(simulations)?;
        assert!(simulations.parameters.iter().all(|theta| *theta != 0.0), "a stand-in is given");
        Configured::new(configured.parameters, configured.conditions)
    };
    let stand_in = arr1(&[1.0, 2.0]);
    let observed = Given { stand_in: Some(&stand_in), ..given.given() };
    let expected = configure(&given).conditions;
    let both: [&dyn Configurator; 3] = [&split, &DefaultConfigurator, &one];
    assert!(both.iter().all(|configurator| configurator.conditions(&observed).is_ok_and(|got| got == expected)));
    let configured = split.configure(&given).expect("sound");
    assert_eq!((configured.parameters[[0, 0]], configured.conditions), (1_f32.exp(), expected));
    assert_eq!(configured.weights, Some(Array1::from_elem(2, 0.5)));
}

/// Where there are no observations that a context could stand beside: of an image, of sets of sets, and of two inputs.
#[test]
fn contexts_of_other_data_are_direct_conditions() {
    let mut given = simulations();
    given.prior_batchable_context = Some(arr2(&[[7.0, 8.0], [9.0, 10.0]]).into_dyn());
    given.sim_batchable_context = Some(ArrayD::ones(IxDyn(&[2, 2, 2])));
    given.sim_non_batchable_context = Some(arr1(&[3.0]).into_dyn());
    let image = Data::new(ArrayD::<f32>::zeros(IxDyn(&[2, 4, 3, 1])));
    let two = Data::named([("image", image.clone()), ("sets", given.data.clone())]).expect("as many");
    for data in [image, two] {
        given.data = data;
        let conditions = configure(&given).conditions;
        assert_eq!(conditions.data, given.data);
        let expected = arr2(&[[7.0, 8.0, 1.0, 1.0, 1.0, 1.0, 3.0], [9.0, 10.0, 1.0, 1.0, 1.0, 1.0, 3.0]]);
        assert_eq!(conditions.direct_conditions, Some(expected));
    }
    // What may be missing of an image has its mask behind its channels.
    let mut image = ArrayD::zeros(IxDyn(&[2, 4, 3, 1]));
    image[[1, 2, 2, 0]] = f32::NAN;
    given.data = Data::with_missing(image);
    let conditions = configure(&given).conditions;
    let values = conditions.data.values();
    assert_eq!((values.shape(), values.sum()), (&[2, 4, 3, 2][..], 23.0));
}

/// A log-transform of the parameters, and the sample mean as direct condition.
#[test]
fn a_closure_is_a_configurator() {
    fn through(configurator: impl Configurator) -> Result<Configured, AmortizerError> {
        configurator.configure(&simulations())
    }
    let configured = through(|simulations: &Simulations| {
        let Configured { parameters, conditions, .. } = DefaultConfigurator.configure(simulations)?;
        let mean = conditions.sets().mean_axis(Axis(1)).unwrap_or_default();
        Configured::new(parameters.mapv(f32::ln), conditions.with_direct(mean))
    })
    .expect("the simulations are sound");
    assert_eq!(configured.parameters[[1, 0]], 3f32.ln());
    assert_eq!(configured.conditions.direct_conditions, Some(arr2(&[[10.0, 11.0], [110.0, 111.0]])));
    let error = through(|_: &Simulations| Err(AmortizerError::Configurator("no trials left".into())));
    assert!(error.expect_err("it refuses").to_string().contains("no trials left"));
}

#[test]
fn observed_data_can_be_given_what_the_default_configurator_adds() {
    let mut given = simulations();
    given.sim_non_batchable_context = Some(arr1(&[3.0]).into_dyn());
    let data = given.data.values().clone().into_dimensionality().expect("three axes");
    assert_eq!(Conditions::new(data).with_num_observations(), configure(&given).conditions);
    assert_eq!(Conditions::one(Array2::zeros((4, 2))).sets().dim(), (1, 4, 2));
}

/// Every number says which simulation it is of.
#[test]
fn rows_are_taken_with_all_that_belongs_to_them() {
    let column = |factor: f32| Array1::from_shape_fn(6, |row| factor * row as f32);
    let data = Array3::from_shape_fn((6, 3, 2), |(row, n, f)| (100 * row + 10 * n + f) as f32);
    let conditions = Conditions::new(data.clone()).with_direct(column(-1.0).insert_axis(Axis(1)));
    let plain = Configured::new(column(1.0).insert_axis(Axis(1)), conditions).expect("six rows each");
    let batch = plain.clone().with_weights(column(0.5)).expect("six weights");
    assert_eq!((batch.len(), batch.is_empty()), (6, false));
    let part = batch.rows(2..5);
    assert_eq!((part.len(), part.parameters.clone()), (3, arr2(&[[2.0], [3.0], [4.0]])));
    assert_eq!(part.conditions.sets(), data.select(Axis(0), &[2, 3, 4]));
    assert_eq!(part.conditions.direct_conditions, Some(arr2(&[[-2.0], [-3.0], [-4.0]])));
    assert_eq!(part.weights, Some(arr1(&[1.0, 1.5, 2.0])));
    assert_eq!(batch.rows(0..6), batch);
    assert!(batch.rows(3..3).is_empty());
    assert_eq!(plain.rows(2..5), Configured { weights: None, ..part });
}

#[test]
#[should_panic(expected = "rows 60..65 of a batch of 64")]
fn rows_that_are_not_there_panic() {
    let _ = pilot(2).rows(60..65);
}

#[track_caller]
fn assert_width(result: Result<impl Sized, AmortizerError>, text: &str, widths: (usize, usize)) {
    let error = result.err().expect("the width is wrong");
    assert!(matches!(error, AmortizerError::Width { expected, got, .. } if (expected, got) == widths), "{error}");
    let message = error.to_string();
    let numbers = format!("have {} values each, but the network was made for {}", widths.1, widths.0);
    assert!(message.contains(text) && message.contains(&numbers), "{message}");
}

#[test]
fn other_widths_than_the_pilots_are_refused_everywhere() {
    let posterior = untrained(config(), &pilot(2), 1);
    let good = || pilot(2).conditions;
    let wide = || Conditions::new(Array3::zeros((64, 5, 3)));
    let with_direct = || good().with_direct(Array2::zeros((64, 1)));
    let mut pass = Pass::training(1);
    let configured = |conditions, dim| Configured {
        parameters: Array2::zeros((64, dim)),
        conditions,
        weights: None,
        proposals: None,
    };
    assert_width(posterior.loss(&configured(wide(), 2), &mut pass), "the summary conditions", (2, 3));
    assert_width(posterior.loss(&configured(with_direct(), 2), &mut pass), "the direct conditions", (0, 1));
    assert_width(posterior.loss(&configured(good(), 1), &mut pass), "the parameters", (2, 1));
    assert_width(posterior.log_prob_of_batch(&configured(wide(), 2), &mut pass), "the summary conditions", (2, 3));
    assert_width(posterior.sample(&wide(), 3, 1), "the summary conditions", (2, 3));
    assert_width(posterior.sample(&with_direct(), 3, 1), "the direct conditions", (0, 1));
    assert_width(posterior.summaries(&wide()), "the summary conditions", (2, 3));
    assert_width(posterior.log_prob(&Array2::zeros((64, 3)), &good()), "the parameters", (2, 3));
    assert_width(posterior.latent(&configured(good(), 3)), "the parameters", (2, 3));
    assert_width(posterior.negative_log_prob(&configured(wide(), 2)), "the summary conditions", (2, 3));
    let batches = [pilot(2), configured(wide(), 2)];
    assert_width(
        AmortizedPosterior::new(config(), ["a", "b"], &batches, 1, &device()),
        "the summary conditions",
        (2, 3),
    );
}

#[test]
fn arrays_of_different_numbers_of_data_sets_are_refused() {
    let posterior = untrained(config(), &pilot(2), 1);
    let short = Configured { parameters: Array2::zeros((63, 2)), ..pilot(2) };
    let direct = data_sets(3, 5, 9).with_direct(Array2::zeros((2, 1)));
    let errors = [
        (Configured::new(short.parameters.clone(), short.conditions.clone()).err(), 64, 63),
        (posterior.loss(&short, &mut Pass::training(1)).err(), 64, 63),
        (posterior.log_prob_of_batch(&short, &mut Pass::training(1)).err(), 64, 63),
        (posterior.log_prob(&short.parameters, &short.conditions).err(), 64, 63),
        (posterior.negative_log_prob(&short).err(), 64, 63),
        (posterior.sample(&direct, 3, 1).err(), 3, 2),
    ];
    for (error, expected_rows, got_rows) in errors {
        let error = error.expect("the rows differ");
        let AmortizerError::Rows { expected, got, .. } = error else { panic!("not about rows: {error}") };
        assert_eq!((expected, got), (expected_rows, got_rows));
        assert!(error.to_string().contains("one row for each data set"), "{error}");
    }
}

#[test]
fn values_that_are_not_finite_name_the_data_set() {
    let posterior = untrained(config(), &pilot(2), 1);
    for planted in [f32::NAN, f32::INFINITY] {
        let mut bad = pilot(2);
        bad.conditions.data.update(|mut values| values[[7, 4, 1]] = planted);
        let mut bad_parameters = pilot(2);
        bad_parameters.parameters[[7, 1]] = planted;
        let mut bad_direct = pilot(2);
        bad_direct.conditions.direct_conditions = Some(Array1::from_elem(64, 1.0).insert_axis(Axis(1)));
        if let Some(direct) = &mut bad_direct.conditions.direct_conditions {
            direct[[7, 0]] = planted;
        }
        let errors = [
            ("the data", posterior.sample(&bad.conditions, 3, 1).err()),
            ("the data", posterior.summaries(&bad.conditions).err()),
            ("the data", posterior.loss(&bad, &mut Pass::training(1)).err()),
            ("the data", posterior.log_prob_of_batch(&bad, &mut Pass::training(1)).err()),
            ("the data", posterior.latent(&bad).err()),
            ("the direct condition", posterior.sample(&bad_direct.conditions, 3, 1).err()),
            ("the parameter vector", posterior.log_prob(&bad_parameters.parameters, &bad_parameters.conditions).err()),
            ("the parameter vector", posterior.negative_log_prob(&bad_parameters).err()),
            ("the parameter vector", posterior.loss(&bad_parameters, &mut Pass::training(1)).err()),
            ("the parameter vector", Configured::new(bad_parameters.parameters, bad_parameters.conditions).err()),
        ];
        for (expected, error) in errors {
            let error = error.expect("a value is not finite");
            assert!(
                matches!(error, AmortizerError::NonFinite { what, data_set: 7, .. } if what == expected),
                "{expected}: {error}"
            );
            let message = error.to_string();
            assert!(message.contains("data set 7") && message.contains("remove or replace"), "{message}");
        }
    }
}

#[test]
fn nothing_is_refused() {
    let posterior = untrained(config(), &pilot(2), 1);
    let nothing = Conditions::new(Array3::zeros((0, 5, 2)));
    let no_observations = Conditions::new(Array3::zeros((1, 0, 2)));
    assert!(nothing.is_empty() && !no_observations.is_empty());
    let errors = [
        posterior.sample(&nothing, 3, 1).err(),
        posterior.sample(&no_observations, 3, 1).err(),
        posterior.sample(&data_sets(1, 5, 3), 0, 1).err(),
        posterior.sample_each(&[], 3, 1).err(),
        posterior.log_prob(&Array2::zeros((0, 2)), &nothing).err(),
        AmortizedPosterior::new(config(), ["a"], &[], 1, &device()).err(),
    ];
    for error in errors {
        let error = error.expect("something is empty");
        assert!(matches!(error, AmortizerError::Empty { .. }), "{error}");
    }
}
