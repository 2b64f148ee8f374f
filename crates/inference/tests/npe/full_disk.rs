//! Fills the disk when posteriors are saved, and starts two inferences on one folder.

use crate::{box_prior, builder, shifted, short};
use bayesburn_core::files::{
    faults::{Fault, Faults, Operation},
    verify,
};
use bayesburn_inference::{InferenceError, Npe, Posterior, Proposal};
use burn::tensor::Device;
use ndarray::arr1;
use std::{
    fs,
    io::ErrorKind,
    path::Path,
    sync::{Arc, Mutex},
};

fn inference(folder: &Path) -> Result<Npe, InferenceError> {
    builder(shifted(2, 0.3), short(), 3).folder(folder).resume().build()
}

fn draws(posterior: &Posterior) -> Vec<u32> {
    let draws = posterior.sample_for(&arr1(&[0.2, 0.1]), 20, 1).expect("it draws");
    draws.values().iter().map(|value| value.to_bits()).collect()
}

/// Two rounds, each with a disk that is full at some moment when its posterior is saved. What could not be saved is
/// saved by another call, without another training.
#[test]
fn a_training_whose_posterior_could_not_be_saved_is_not_repeated() {
    let rounds = |folder: &Path, is_full: bool| -> Vec<(usize, Vec<u32>)> {
        let mut npe = inference(folder).expect("an empty folder");
        (0..2)
            .map(|round| {
                npe.simulate(150).expect("it simulates");
                if is_full {
                    let name = format!("posterior-00{round}");
                    let faults = Faults::new(folder, move |_, operation, path| {
                        let is_of_it = operation == Operation::Write && path.to_string_lossy().contains(&name);
                        is_of_it.then_some(Fault::Error(ErrorKind::StorageFull))
                    });
                    let error = npe.train().expect_err("no space").to_string();
                    drop(faults);
                    assert!(error.contains("cannot write"), "{error}");
                    let more = npe.simulate(150).expect_err("the posterior is not saved").to_string();
                    assert!(more.contains("call `train` again"), "{more}");
                }
                let epochs = npe.history().map(|history| history.epochs.len());
                let posterior = npe.train().expect("there is space again");
                assert!(!is_full || epochs == npe.history().map(|history| history.epochs.len()), "trained again");
                let found = (posterior.rounds(), draws(&posterior));
                let posterior = posterior.with_observation(arr1(&[0.2, 0.1])).expect("two numbers");
                npe.set_proposal(Proposal::posterior(posterior).expect("it has an observation"));
                found
            })
            .collect()
    };
    let [whole, failed] = [0; 2].map(|_| tempfile::tempdir().expect("a temporary folder"));
    let expected = rounds(whole.path(), false);
    assert_eq!(rounds(failed.path(), true), expected);
    for round in 0..2 {
        verify(&failed.path().join(format!("posterior-00{round}"))).expect("whole");
    }
}

/// The networks that are there are those of the second round: under the first one's name they would be another
/// proposal.
#[test]
fn later_networks_are_not_taken_for_an_earlier_posterior() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rounds = || -> Result<(), InferenceError> {
        let mut npe = inference(folder.path())?;
        for _ in 0..2 {
            npe.simulate(150)?;
            let posterior = npe.train()?.with_observation(arr1(&[0.2, 0.1]))?;
            npe.set_proposal(Proposal::posterior(posterior)?);
        }
        Ok(())
    };
    rounds().expect("an empty folder");
    fs::remove_dir_all(folder.path().join("posterior-000")).expect("it was saved");
    let error = rounds().expect_err("it is missing").to_string();
    assert!(error.contains("posterior-000 is missing") && error.contains("trained further"), "{error}");
}

/// The next proposal is for the simulations that come next.
#[test]
fn a_posterior_that_is_saved_late_is_one_of_its_round() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut npe = inference(folder.path()).expect("an empty folder");
    npe.simulate(150).expect("it simulates");
    let faults = Faults::new(folder.path(), |_, operation, path| {
        let is_of_posterior = operation == Operation::Write && path.to_string_lossy().contains("posterior-000");
        is_of_posterior.then_some(Fault::Error(ErrorKind::StorageFull))
    });
    npe.train().map(|_| ()).expect_err("no space");
    drop(faults);
    npe.set_proposal(Proposal::Prior);
    assert_eq!(npe.train().expect("there is space again").rounds(), 1);
    assert_eq!(npe.summaries()[0].round, 1);
}

/// A crash of the system after its rename would otherwise leave a posterior that is there and empty.
#[test]
fn the_posterior_of_a_training_is_on_disk_before_it_has_its_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut npe = inference(folder.path()).expect("an empty folder");
    npe.simulate(150).expect("it simulates");
    let operations = Arc::new(Mutex::new(Vec::new()));
    let log = operations.clone();
    let faults = Faults::new(folder.path(), move |_, operation, path| {
        log.lock().expect("no panic").push((operation, path.to_owned()));
        None
    });
    npe.train().expect("it trains");
    drop(faults);
    let operations = operations.lock().expect("no panic");
    // The last that is renamed beside the posterior is the posterior itself.
    let is_beside =
        |path: &Path| path.parent() == Some(folder.path()) && path.to_string_lossy().contains("posterior-000");
    let renamed = operations.iter().rposition(|(operation, path)| *operation == Operation::Rename && is_beside(path));
    let renamed = renamed.expect("it is written under another name");
    let scratch = &operations[renamed].1;
    let posterior = folder.path().join("posterior-000");
    for inside in ["", "estimator"] {
        for entry in fs::read_dir(posterior.join(inside)).expect("a folder") {
            let path = scratch.join(inside).join(entry.expect("readable").file_name());
            let synced = operations[..renamed].contains(&(Operation::Sync, path.clone()));
            assert!(synced, "{}", path.display());
        }
    }
}

#[test]
fn a_second_inference_on_a_folder_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = inference(folder.path()).expect("an empty folder");
    let error = inference(folder.path()).map(|_| ()).expect_err("locked").to_string();
    assert!(error.contains("another"), "{error}");
    drop(first);
    inference(folder.path()).expect("free again");
}

/// A round's networks under another round's description would be taken for amortized ones.
#[test]
fn a_second_save_that_fails_leaves_the_first() {
    let posterior = |seed: u64| {
        let mut npe = builder(shifted(2, 0.3), short(), seed).build().expect("sound");
        npe.simulate(150).expect("it simulates");
        npe.train().expect("it trains")
    };
    let [first, second] = [1, 2].map(posterior);
    let expected = [draws(&first), draws(&second)];
    let mut failures = 0;
    for at in 0.. {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let folder = parent.path().join("posterior");
        first.save(&folder).expect("writable");
        let faults =
            Faults::new(parent.path(), move |n, _, _| (n == at).then_some(Fault::Error(ErrorKind::StorageFull)));
        let saved = second.save(&folder);
        let seen = faults.seen();
        drop(faults);
        verify(&folder).expect("whole");
        let loaded: Posterior = Posterior::load(&folder, box_prior(2), &Device::flex()).expect("whole");
        assert!(expected.contains(&draws(&loaded)), "fault {at}");
        match saved {
            Ok(()) => assert_eq!(draws(&loaded), expected[1], "fault {at}"),
            Err(_) => failures += 1,
        }
        if seen <= at {
            break;
        }
    }
    assert!(failures >= 20, "{failures} faults");
}
