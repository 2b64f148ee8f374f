//! Checks what is refused and warned of because networks were not trained on it.

use crate::{config, data_sets, device, mean_config, normals, pilot, rng};
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Conditions, Configured};
use bayesburn_core::files::seal;
use ndarray::{Array2, Array3, Axis, array, s};
use tempfile::tempdir;

/// 512 simulations, in batches of 64 with these numbers of observations.
fn pilots(numbers: [usize; 8]) -> Vec<Configured> {
    let batch = |(i, n): (usize, usize)| {
        let conditions = data_sets(64, n, 100 + i as u64).with_num_observations();
        Configured::new(pilot(2).parameters, conditions).expect("sound")
    };
    numbers.into_iter().enumerate().map(batch).collect()
}

fn posterior(numbers: [usize; 8]) -> AmortizedPosterior<crate::MeanConfig> {
    AmortizedPosterior::new(mean_config(), ["a", "b"], &pilots(numbers), 1, &device()).expect("the pilot is sound")
}

fn one(n: usize) -> Conditions {
    data_sets(1, n, 9).with_num_observations()
}

#[test]
fn a_number_of_observations_that_was_never_seen_is_refused_unless_allowed() {
    let fixed = posterior([5; 8]);
    assert!(fixed.sample(&one(5), 10, 1).is_ok());
    for n in [1, 4, 6, 50] {
        let error = fixed.sample(&one(n), 10, 1).expect_err("never seen");
        let is_right = matches!(error, AmortizerError::UnseenObservations { expected: 5, got } if got == n);
        assert!(is_right, "{error}");
        for part in [&format!("of {n} observations"), "sets of 5 alone", "ContextGenerator::num_observations"] {
            assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
        }
        let theta = array![[0.0, 0.0]];
        assert!(fixed.log_prob(&theta, &one(n)).is_err() && fixed.summaries(&one(n)).is_err());
        assert!(fixed.log_prob_and_gradient(&theta, &one(n)).is_err());
        let draws = fixed.clone().with_any_num_observations().sample(&one(n), 10, 1).expect("allowed");
        let said = draws.warnings().iter().any(|warning| warning.contains("trained on 5:"));
        assert!(said, "{:?}", draws.warnings());
    }
    // Training on other numbers takes them in.
    let mut grown = fixed;
    grown.extend_training_range(&pilots([9; 8])[0]);
    assert!(grown.sample(&one(7), 10, 1).expect("between 5 and 9").warnings().is_empty());
    assert_eq!(grown.training_range().expect("known").num_observations(), 5..=9);
}

#[test]
fn numbers_outside_of_the_range_of_training_are_warned_of() {
    let varying = posterior([5, 6, 7, 8, 9, 10, 11, 12]);
    let warnings = |n: usize| varying.sample(&one(n), 10, 1).expect("of the widths").warnings().to_vec();
    assert_eq!(warnings(8), Vec::<String>::new());
    for n in [2, 30] {
        let [warning] = &warnings(n)[..] else { panic!("one warning of {n}") };
        assert!(warning.contains(&format!("{n} observations")) && warning.contains("trained on 5 to 12"), "{warning}");
    }
    assert_eq!(varying.training_range().expect("known").direct_of_num_observations(), Some(0));
}

#[test]
fn direct_conditions_outside_of_the_range_of_training_are_warned_of() {
    let batches = pilots([5; 8]).into_iter().enumerate().map(|(i, batch)| {
        let doses = Array2::from_elem((64, 1), i as f32);
        Configured { conditions: batch.conditions.with_direct(doses), ..batch }
    });
    let batches: Vec<_> = batches.collect();
    let posterior =
        AmortizedPosterior::new(mean_config(), ["a", "b"], &batches, 1, &device()).expect("the pilot is sound");
    let warnings = |dose: f32| {
        let conditions = data_sets(1, 5, 9).with_direct(array![[dose]]);
        posterior.warnings_for(&conditions).expect("of the widths")
    };
    assert_eq!(warnings(3.5), Vec::<String>::new());
    let [warning] = &warnings(7.5)[..] else { panic!("one warning") };
    assert!(warning.contains("direct condition 0 of data set 0 is 7.5") && warning.contains("0 to 7"), "{warning}");
}

/// Of 2,000 data sets like the simulations, one at a time, 0.4 are expected to be called unlike them (2 · 10⁻⁴ each);
/// more than 8 have a probability of 10⁻⁹. All 200 whose observations lie 6 standard deviations off are.
#[test]
fn data_unlike_any_simulation_are_warned_of() {
    let posterior = posterior([5; 8]).with_feature_names(["rt", "accuracy"]).expect("one for each feature");
    let warned = |count: usize, shift: f32| {
        let mut data = data_sets(count, 5, 11);
        data.data.update(|mut values| values.index_axis_mut(Axis(2), 1).mapv_inplace(|x| x + 4.0 * shift));
        let each = (0..count).map(|m| posterior.warnings_for(&data.select(&[m]).with_num_observations()));
        let each = each.map(|warnings| warnings.expect("sound"));
        each.filter(|warnings| !warnings.is_empty()).collect::<Vec<_>>()
    };
    assert!(warned(2000, 0.0).len() <= 8);
    assert_eq!(warned(200, 6.0).len(), 200);
    let far = &warned(1, 850.0)[0][0];
    assert!(
        far.contains("column `accuracy` is 8") && far.contains("standard deviations from the mean of the sim"),
        "{far}"
    );
    // All together: no warning for as many as chance explains, and one that names the outlier.
    let mut all = data_sets(1000, 5, 12);
    assert_eq!(posterior.warnings_for(&all.clone().with_num_observations()).expect("sound"), Vec::<String>::new());
    all.data.update(|mut values| values[[777, 3, 0]] = 1e6);
    let [warning] = &posterior.warnings_for(&all.with_num_observations()).expect("sound")[..] else {
        panic!("one warning")
    };
    assert!(warning.contains("data set 777") && warning.contains("column `rt`"), "{warning}");
}

/// Summaries that no simulation has, of values that are all common: a mean of 5 normals 2.2 standard deviations off.
#[test]
fn summaries_unlike_any_simulation_are_warned_of() {
    let posterior = posterior([5; 8]);
    let data = Conditions::new(Array3::from_elem((1, 5, 2), 4.0 * 2.6 - 1.0)).with_num_observations();
    let [warning] = &posterior.warnings_for(&data).expect("sound")[..] else { panic!("one warning") };
    assert!(warning.contains("its summaries are"), "{warning}");
}

#[test]
fn constants_and_missing_values_that_no_simulation_had_are_warned_of() {
    let mut rng = rng(5);
    let mut data = normals(&mut rng, (200, 5, 3));
    data.slice_mut(s![.., .., 2]).fill(7.0);
    data.slice_mut(s![..;3, .., 0]).fill(f32::NAN);
    let parameters = normals(&mut rng, (200, 1, 2)).index_axis_move(Axis(1), 0);
    let batch = Configured::new(parameters, Conditions::with_missing(data.clone())).expect("sound");
    let posterior = AmortizedPosterior::new(config(), ["a", "b"], &[batch], 1, &device()).expect("sound");
    let warnings = |data: Array3<f32>| posterior.warnings_for(&Conditions::with_missing(data)).expect("sound");
    let like = data.slice(s![0..1, .., ..]).to_owned();
    assert_eq!(warnings(like.clone()), Vec::<String>::new());
    for (column, value, said) in [(2, 8.0, "column 2 was 7 in all"), (1, f32::NAN, "column 1 has missing values")] {
        let mut data = like.clone();
        data[[0, 2, column]] = value;
        let [warning] = &warnings(data)[..] else { panic!("one warning") };
        assert!(warning.contains(said), "{warning}");
    }
}

#[test]
fn what_was_trained_on_is_saved_and_folders_without_it_load() {
    let folder = tempdir().expect("a temporary folder");
    let saved = posterior([5; 8]);
    saved.save(folder.path()).expect("writable");
    let load = || AmortizedPosterior::<crate::MeanConfig>::load(folder.path(), &device());
    let loaded = load().expect("whole");
    assert_eq!(loaded.training_range(), saved.training_range());
    let mut odd = one(5);
    odd.data.update(|mut values| values[[0, 0, 0]] = 1e4);
    let warnings = saved.warnings_for(&odd).expect("sound");
    assert_eq!((warnings.len(), loaded.warnings_for(&odd).expect("sound")), (1, warnings));
    assert!(loaded.sample(&one(6), 10, 1).is_err());

    let path = folder.path().join("training_range.json");
    std::fs::remove_file(&path).expect("it is there");
    seal(folder.path()).expect("writable");
    let old = load().expect("as an earlier version saved it");
    assert!(old.training_range().is_none() && old.sample(&one(6), 10, 1).expect("unknown").warnings().is_empty());

    std::fs::write(&path, "{}").expect("writable");
    seal(folder.path()).expect("writable");
    let error = load().expect_err("it lacks all").to_string();
    assert!(error.contains("training_range.json"), "{error}");
}
