//! Checks that an inference that was killed ends as one that was not, to the bit.

use crate::{prior, short, zeros};
use bayesburn_core::Draws;
use bayesburn_inference::{InferenceError, Npe, Proposal};
use bayesburn_simulation::{GenerativeModel, Progress, Simulator};
use bayesburn_trainers::TrainerError;
use ndarray::Array1;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Simulations so far, and the number of the one that raises the flag (which stops a training) or panics.
#[derive(Clone, Default)]
struct Events {
    simulated: Arc<AtomicUsize>,
    flag: Arc<AtomicBool>,
    panic_at: usize,
}

/// Two rounds of 250 simulations.
fn run(folder: Option<&Path>, resume: bool, events: &Events, stop_in: Option<usize>) -> Result<Draws, InferenceError> {
    let seen = events.clone();
    let simulator = Simulator::from_fn(move |rng, theta, _| {
        let number = seen.simulated.fetch_add(1, Ordering::SeqCst);
        assert!(seen.panic_at == 0 || number != seen.panic_at, "killed");
        Array1::from_iter(theta.iter().map(|t| t + 1.0 + 0.1 * rng.sample::<f32, _>(StandardNormal)))
    });
    let model = GenerativeModel::new(prior(2), simulator).expect("the pilot run succeeds");
    let mut builder = Npe::builder(model, short()).seed(8).progress(Progress::Hidden).stop_on(events.flag.clone());
    if let Some(folder) = folder {
        builder = builder.folder(folder);
        builder = if resume { builder.resume() } else { builder };
    }
    let mut npe = builder.build()?;
    for round in 1..=2 {
        npe.simulate(250)?;
        if stop_in == Some(round) {
            events.flag.store(true, Ordering::SeqCst);
        }
        let posterior = npe.train()?.with_observation(zeros(2))?;
        if round == 2 {
            return posterior.sample(200, 1);
        }
        npe.set_proposal(Proposal::posterior(posterior)?);
    }
    unreachable!("the second round returns")
}

#[test]
fn an_inference_survives_kills_within_and_between_rounds() {
    let whole = run(None, false, &Events::default(), None).expect("two rounds");
    for (name, panic_at, stop_in) in [
        ("in the first training", 0, Some(1)),
        ("in the second training", 0, Some(2)),
        ("in the first simulations", 150, None),
        ("in the second simulations", 400, None),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = folder.path().join("state");
        let first = Events { panic_at, ..Events::default() };
        let error = run(Some(&state), false, &first, stop_in).expect_err(name);
        let expected = matches!(error, InferenceError::Trainer(TrainerError::Interrupted { .. }))
            || matches!(error, InferenceError::Simulation(_));
        assert!(expected, "{name}: {error}");
        let second = Events::default();
        let resumed = run(Some(&state), true, &second, None).expect(name);
        assert_eq!(resumed, whole, "{name}");
        // What was on disk was not made again: pilots, and what the kill cost, come on top.
        let again = second.simulated.load(Ordering::SeqCst);
        let at_most = if stop_in == Some(2) { 2 } else { 2 + 500 - if panic_at == 150 { 100 } else { 250 } };
        assert!(again <= at_most, "{name}: {again} simulations, {at_most} at most");
        // Complete, it returns the same at once, and simulates nothing.
        let third = Events::default();
        assert_eq!(run(Some(&state), true, &third, None).expect(name), whole, "{name}, again");
        assert_eq!(third.simulated.load(Ordering::SeqCst), 2, "{name}: the pilot run alone");
    }
}
