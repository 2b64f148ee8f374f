//! Saves posteriors and loads them again.

use crate::{box_prior, config_of, npe, shifted, short, small};
use bayesburn_core::files::seal;
use bayesburn_inference::{InferenceError, NpeTraining, Posterior};
use bayesburn_simulation::{GenerativeModel, InvalidSimulations, Prior, Simulator};
use burn::tensor::Device;
use ndarray::{Array2, arr1};

fn trained() -> Posterior {
    let mut npe = npe(shifted(2, 0.3), short(), 1);
    npe.simulate(300).expect("it simulates");
    npe.train().expect("it trains").with_observation(arr1(&[0.1, 0.7])).expect("two numbers")
}

#[test]
fn a_loaded_posterior_draws_and_evaluates_as_it_did() {
    let (posterior, folder) = (trained(), tempfile::tempdir().expect("a temporary folder"));
    posterior.save(folder.path()).expect("writable");
    posterior.save(folder.path()).expect("again");
    let loaded: Posterior = Posterior::load(folder.path(), box_prior(2), &Device::flex()).expect("just saved");
    assert_eq!(loaded.observation(), posterior.observation());
    assert_eq!(loaded.sample(100, 1).expect("sound"), posterior.sample(100, 1).expect("sound"));
    let theta = Array2::from_elem((3, 2), 0.1);
    assert_eq!(loaded.log_prob(&theta).expect("sound"), posterior.log_prob(&theta).expect("sound"));
    assert_eq!(loaded.map(1).expect("sound"), posterior.map(1).expect("sound"));
    assert_eq!(loaded.to_string(), posterior.to_string());
}

#[test]
fn missing_values_may_still_be_missing() {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        arr1(&[if rand::RngExt::random_bool(rng, 0.2) { f32::NAN } else { theta[0] }, theta[0]])
    });
    let model = GenerativeModel::new(box_prior(1), simulator.on_invalid(InvalidSimulations::Mask)).expect("masked");
    let mut npe = npe(model, config_of(small(), NpeTraining::new().with_max_epochs(2)), 1);
    npe.simulate(300).expect("it simulates");
    let posterior = npe.train().expect("it trains").with_observation(arr1(&[f32::NAN, 0.5])).expect("one is missing");
    let folder = tempfile::tempdir().expect("a temporary folder");
    posterior.save(folder.path()).expect("writable");
    let loaded: Posterior = Posterior::load(folder.path(), box_prior(1), &Device::flex()).expect("just saved");
    let draws = |posterior: &Posterior| posterior.sample(10, 1).expect("sound");
    assert_eq!(draws(&loaded), draws(&posterior));
}

#[test]
fn another_prior_or_folder_is_refused() {
    let (posterior, folder) = (trained(), tempfile::tempdir().expect("a temporary folder"));
    posterior.save(folder.path()).expect("writable");
    let load = |prior| Posterior::<bayesburn_networks::IdentityConfig>::load(folder.path(), prior, &Device::flex());
    let wider = Prior::box_uniform(posterior.prior().names().iter().cloned(), &[-3.0; 2], &[3.0; 2]).expect("sound");
    for prior in [wider, box_prior(1)] {
        let error = load(prior).expect_err("another prior");
        assert!(matches!(error, InferenceError::OtherPrior { .. }), "{error}");
    }
    std::fs::write(folder.path().join("inference.json"), "{}").expect("writable");
    let error = load(box_prior(2)).expect_err("not what was saved").to_string();
    assert!(error.contains("damaged") && error.contains("`inference.json`"), "{error}");
    seal(folder.path()).expect("writable");
    let error = load(box_prior(2)).expect_err("not what was saved").to_string();
    assert!(error.contains("inference.json") && error.contains("missing field"), "{error}");
    std::fs::remove_file(folder.path().join("inference.json")).expect("it is there");
    assert!(matches!(load(box_prior(2)).expect_err("nothing there"), InferenceError::NoPosterior { .. }));
}
