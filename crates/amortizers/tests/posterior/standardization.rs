//! Checks the constants that inputs are standardised by, through what a posterior shows of them.

use crate::{config, data_sets, device, mean_config, perturbed, pilot, untrained, with_inference};
use bayesburn_amortizers::{
    AmortizedPosterior, AmortizerError, Conditions, Configured, PosteriorConfig, Standardization, Statistics,
};
use bayesburn_networks::{ActNormConfig, DeepSetConfig, PermutationConfig};
use ndarray::{Array2, Array3, Axis, array};

/// The summary network passes the mean of an observation on, and an untrained inference network without permutation its
/// targets: what comes out is what was standardised.
fn transparent(pilot: &[Configured]) -> AmortizedPosterior<crate::MeanConfig> {
    let config = with_inference(mean_config(), |inference| inference.with_permutation(PermutationConfig::None));
    let posterior = AmortizedPosterior::new(config, ["a", "b"], pilot, 1, &device()).expect("the pilot is sound");
    // Single observations show what becomes of each.
    posterior.with_any_num_observations()
}

#[test]
fn constants_are_the_pilots_moments() {
    let batches = [pilot(2), {
        let mut other = pilot(2);
        other.parameters.mapv_inplace(|v| 0.5 * v + 20.0);
        other.conditions = data_sets(64, 9, 7); // another number of observations
        other
    }];
    let posterior = transparent(&batches);
    // What has the pilot's mean goes to 0; what is one standard deviation above, to 1.
    let moments = |rows: &[Array2<f64>]| {
        let views: Vec<_> = rows.iter().map(|r| r.view()).collect();
        let all = ndarray::concatenate(Axis(0), &views).expect("one width");
        (all.mean_axis(Axis(0)).expect("rows"), all.std_axis(Axis(0), 1.0))
    };
    let (means, stds) = moments(&batches.each_ref().map(|b| b.parameters.mapv(f64::from)));
    let (data_means, data_stds) = moments(&batches.each_ref().map(|b| {
        let data = &b.conditions.sets();
        let (m, n, f) = data.dim();
        data.mapv(f64::from).into_shape_with_order((m * n, f)).expect("contiguous")
    }));
    for (shift, expected) in [(0.0, 0.0), (1.0, 1.0), (-2.5, -2.5)] {
        let at = |mean: &ndarray::Array1<f64>, std: &ndarray::Array1<f64>| {
            (mean + &(std * shift)).mapv(|v| v as f32).insert_axis(Axis(0))
        };
        let conditions = Conditions::one(at(&data_means, &data_stds));
        let configured = Configured::new(at(&means, &stds), conditions.clone()).expect("one row");
        let z = posterior.latent(&configured).expect("the request is sound").0;
        let summaries = posterior.summaries(&conditions).expect("the request is sound");
        for v in z.iter().chain(&summaries) {
            assert!((f64::from(*v) - expected).abs() < 1e-5, "{v} against {expected}");
        }
    }
}

/// A parameter that is always 5 and a feature that is always 7: nothing to divide by.
#[test]
fn what_does_not_vary_is_only_shifted() {
    let mut batch = pilot(2);
    batch.parameters.column_mut(1).fill(5.0);
    batch.conditions.data.update(|mut values| values.index_axis_mut(Axis(2), 0).fill(7.0));
    let posterior = transparent(&[batch]);
    let conditions = Conditions::one(array![[9.0, 0.0]]);
    assert_eq!(posterior.summaries(&conditions).expect("sound")[[0, 0]], 2.0);
    let configured = Configured::new(array![[0.0, 4.0]], conditions).expect("one row");
    assert_eq!(posterior.latent(&configured).expect("sound").0[[0, 1]], -1.0);
}

/// In other units (data × 1,000 − 5, direct conditions × 0.01 + 3) the densities are the same to rounding; without
/// standardisation they are not.
#[test]
fn units_of_data_do_not_matter_where_they_are_standardised() {
    let direct = Array2::from_shape_fn((64, 1), |(m, _)| (m % 7) as f32 - 3.0);
    let batch = Configured { conditions: pilot(2).conditions.with_direct(direct), ..pilot(2) };
    let mut rescaled = batch.clone();
    rescaled.conditions.data.update(|mut values| values.mapv_inplace(|v| 1000.0 * v - 5.0));
    let direct = rescaled.conditions.direct_conditions.take().expect("given");
    let rescaled = Configured {
        conditions: rescaled.conditions.with_direct(direct.mapv(|v| 0.01 * v + 3.0)),
        parameters: rescaled.parameters,
        weights: None,
        proposals: None,
    };
    let difference = |standardization| {
        let log_prob = |batch: &Configured| {
            let config: PosteriorConfig<DeepSetConfig> = config().with_standardization(standardization);
            perturbed(config, batch, 1).log_prob(&batch.parameters, &batch.conditions).expect("the batch is sound")
        };
        (log_prob(&batch) - log_prob(&rescaled)).fold(0f32, |m, d| m.max(d.abs()))
    };
    let (all, parameters) = (difference(Standardization::All), difference(Standardization::Parameters));
    assert!(all < 1e-3, "{all}");
    assert!(parameters > 0.1, "{parameters}");
}

#[test]
fn constants_are_not_trained() {
    let count = |standardization| {
        let config = config().with_standardization(standardization).with_statistics(Statistics::None);
        let posterior = untrained(config, &pilot(2), 1);
        posterior.num_trainable_parameters()
    };
    assert_eq!(count(Standardization::All), count(Standardization::None));
}

#[test]
fn a_pilot_that_holds_nan_is_refused() {
    let bad = Conditions::new(Array3::from_elem((64, 5, 2), f32::NAN));
    let bad = Configured { conditions: bad, ..pilot(2) };
    let error = AmortizedPosterior::new(config(), ["a", "b"], &[pilot(2), bad], 1, &device());
    assert!(matches!(error.expect_err("NaN"), AmortizerError::NonFinite { data_set: 0, .. }));
}

/// Activation normalisation from data: the pilot's latents have mean 0 and standard deviation 1 in every layer.
#[test]
fn activation_normalisation_can_begin_from_the_pilot() {
    let config = config().with_standardization(Standardization::None);
    let config = with_inference(config, |inference| inference.with_act_norm(ActNormConfig::FromData));
    let posterior = untrained(config, &pilot(2), 1);
    let (z, _) = posterior.latent(&pilot(2)).expect("the pilot is sound");
    let z = z.mapv(f64::from);
    assert!(z.mean_axis(Axis(0)).expect("rows").iter().all(|m| m.abs() < 1e-5));
    assert!(z.std_axis(Axis(0), 0.0).iter().all(|s| (s - 1.0).abs() < 1e-4));
}

/// Data, direct conditions and parameters in units of 2^±100: powers of two change no digit, so that draws are the same
/// to the bit, and densities but for the logarithm of the unit.
#[test]
fn posteriors_are_the_same_in_any_unit() {
    let of = |unit: f32| {
        let mut batch = pilot(2);
        batch.parameters *= unit;
        batch.conditions.data.update(|mut values| values *= unit);
        let direct = Array2::from_shape_fn((64, 1), |(m, _)| unit * ((m % 7) as f32 - 3.0));
        batch.conditions = batch.conditions.with_direct(direct);
        let posterior = perturbed(config(), &batch, 1);
        let draws = posterior.sample(&batch.conditions, 5, 1).expect("sound");
        assert_eq!(draws.warnings(), Vec::<String>::new());
        let log_prob = posterior.log_prob(&batch.parameters, &batch.conditions).expect("sound");
        (draws.into_values() / unit, log_prob + 2.0 * unit.ln())
    };
    let (draws, log_prob) = of(1.0);
    for unit in [2f32.powi(-100), 2f32.powi(-43), 2f32.powi(43), 2f32.powi(100)] {
        let (got, got_log_prob) = of(unit);
        assert_eq!(got, draws, "in units of {unit:e}");
        let difference = (got_log_prob - &log_prob).fold(0f32, |most, d| most.max(d.abs()));
        assert!(difference < 1e-4, "{difference} in units of {unit:e}");
    }
}

/// 60 ± 3e-5 is 8 steps of f32, which are seen and warned of; 60 ± 1e-6, a quarter of a step, is a constant.
#[test]
fn signals_on_an_offset_are_seen_as_far_as_f32_holds_them() {
    let of = |offset: f64, spread: f64| {
        let mut batch = pilot(2);
        batch
            .conditions
            .data
            .update(|mut values| values.mapv_inplace(|v| (offset + spread * f64::from(v) / 4.0) as f32));
        let posterior = transparent(&[batch.clone()]);
        let summaries = posterior.summaries(&batch.conditions.select(&[0])).expect("sound");
        let warnings = posterior.warnings();
        (f64::from(summaries[[0, 0]]), warnings)
    };
    let (expected, warnings) = of(0.0, 1.0);
    assert_eq!(warnings, Vec::<String>::new());
    let (got, warnings) = of(60.0, 3e-5);
    // Rounding adds 0.29 steps to the mean of 5 observations, each of 8: 0.02.
    assert!((got - expected).abs() < 0.05, "{got} against {expected}");
    let [warning] = &warnings[..] else { panic!("one warning: {warnings:?}") };
    for part in ["what f32 can tell apart", "data column 0, data column 1", "subtract 6.00000e1 in f64"] {
        assert!(warning.contains(part), "`{part}` is not in: {warning}");
    }
    let (got, warnings) = of(60.0, 1e-7);
    assert!(got.abs() < 1e-5 && warnings.len() == 1, "{got}, {warnings:?}");
}

/// What is missing is the mean of what is there, whatever the offset, and the constants are those of what is there.
#[test]
fn missing_values_are_filled_in_after_standardising() {
    let of = |offset: f32| {
        let mut rng = crate::rng(7);
        let data = crate::normals(&mut rng, (64, 5, 2)).mapv(|v| offset + v);
        let missing = Array3::from_shape_fn((64, 5, 2), |(m, n, f)| (m + n + f) % 3 == 0);
        let data = ndarray::Zip::from(&data).and(&missing).map_collect(|x, gone| if *gone { f32::NAN } else { *x });
        let batch = Configured::new(pilot(2).parameters, Conditions::with_missing(data)).expect("sound");
        let posterior = transparent(&[batch]);
        let (there, gone) = (array![[offset + 1.0, offset]], array![[offset + 1.0, f32::NAN]]);
        [there, gone].map(|x| posterior.summaries(&Conditions::with_missing(x.insert_axis(Axis(0)))).expect("sound"))
    };
    let [there, gone] = of(0.0);
    // Of 107 standard normals that are there, the mean is within 0.4, the standard deviation within 0.3.
    assert!((there[[0, 0]] - 1.0).abs() < 0.5 && there[[0, 1]].abs() < 0.4, "{there}");
    assert_eq!((gone[[0, 0]], gone[[0, 1]]), (there[[0, 0]], 0.0));
    // At 10,000 a step of f32 is 0.001.
    for (at_zero, far) in [there, gone].iter().zip(of(1e4)) {
        assert!((at_zero - &far).iter().all(|difference| difference.abs() < 5e-3), "{at_zero} and {far}");
    }
}
