//! Stops inferences between and within rounds, resumes them, and compares what they end with, bit for bit.

use crate::{box_prior, builder, config_of, shifted, short, small};
use bayesburn_amortizers::{AmortizerError, Configurator, DefaultConfigurator};
use bayesburn_core::{FileError, Simulations};
use bayesburn_inference::{Correction, InferenceError, Npe, NpeTraining, Posterior, Proposal};
use bayesburn_simulation::{GenerativeModel, Simulator};
use bayesburn_trainers::TrainerError;
use burn::tensor::Device;
use ndarray::arr1;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;

/// What is to go wrong, by the number of the call.
#[derive(Clone, Copy, Default)]
struct Trouble {
    /// The simulator panics.
    simulation: Option<usize>,
    /// The flag is raised when a batch is configured.
    flag: Option<usize>,
    /// A batch cannot be configured.
    batch: Option<usize>,
    /// The program ends after this round.
    round: Option<usize>,
    /// The program goes on after an interruption.
    goes_on: bool,
}

/// Simulations in a round: three parts of 100 on disk.
const SIMULATIONS: usize = 300;
/// The first simulation is made again when a program resumes, to see whether the model is the same.
const CHECK: usize = 1;
/// 270 pairs in batches of 50, for three epochs.
const STEPS: usize = 15;

/// Two rounds; returns the draws' bits and how often the simulator was called for them (two more calls are a model's
/// pilot run).
fn program(
    folder: &Path,
    correction: Correction,
    seed: u64,
    trouble: Trouble,
) -> (Result<Vec<u32>, InferenceError>, usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let result = rounds(folder, correction, seed, trouble, &calls);
    (result, calls.load(Ordering::SeqCst) - 2)
}

fn rounds(
    folder: &Path,
    correction: Correction,
    seed: u64,
    trouble: Trouble,
    calls: &Arc<AtomicUsize>,
) -> Result<Vec<u32>, InferenceError> {
    let counted = calls.clone();
    let simulator = Simulator::from_fn(move |rng, theta, _| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        assert!(trouble.simulation != Some(call), "the simulator is out of order");
        arr1(&[theta[0], theta[1]]).mapv(|x: f32| x + 0.3 * rng.sample::<f32, _>(StandardNormal))
    });
    let (flag, batches) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let raised = flag.clone();
    let configurator = move |simulations: &Simulations| {
        let batch = batches.fetch_add(1, Ordering::SeqCst);
        raised.fetch_or(trouble.flag == Some(batch), Ordering::SeqCst);
        if trouble.batch == Some(batch) {
            return Err(AmortizerError::Configurator("it is out of order".to_owned()));
        }
        DefaultConfigurator.configure(simulations)
    };
    let training = NpeTraining::new().with_batch_size(50).with_max_epochs(3).with_correction(correction);
    let model = GenerativeModel::new(box_prior(2), simulator)?;
    let builder = builder(model, config_of(small(), training), seed).configurator(configurator);
    let mut npe = builder.folder(folder).resume().stop_on(flag).build()?;
    for round in 1.. {
        npe.simulate(SIMULATIONS)?;
        let mut posterior = npe.train();
        if trouble.goes_on {
            let interrupted = matches!(posterior, Err(InferenceError::Trainer(TrainerError::Interrupted { .. })));
            assert!(interrupted == (round == 1), "{posterior:?}");
            posterior = posterior.or_else(|_| npe.train());
        }
        let posterior = posterior?.with_observation(arr1(&[0.5, -0.5]))?;
        if round == 2 || trouble.round == Some(round) {
            let draws = posterior.sample(200, 9)?;
            return Ok(draws.values().iter().map(|value| value.to_bits()).collect());
        }
        npe.set_proposal(Proposal::posterior(posterior)?);
    }
    unreachable!("there are two rounds")
}

const ATOMIC: Correction = Correction::AtomicCombined { atoms: 5 };
const SEED: u64 = 3;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// What the program ends with when nothing goes wrong.
fn whole(correction: Correction, seed: u64) -> Vec<u32> {
    let (result, calls) = program(folder().path(), correction, seed, Trouble::default());
    assert_eq!(calls, 2 * SIMULATIONS);
    result.expect("nothing goes wrong")
}

#[test]
fn between_rounds() {
    for correction in [ATOMIC, Correction::ClosedForm] {
        let folder = folder();
        let (first, calls) = program(folder.path(), correction, SEED, Trouble { round: Some(1), ..Trouble::default() });
        assert_eq!((first.expect("nothing goes wrong").len(), calls), (400, SIMULATIONS));
        let (second, calls) = program(folder.path(), correction, SEED, Trouble::default());
        assert_eq!(calls, SIMULATIONS + CHECK, "the first round's are on disk");
        assert_eq!(second.expect("it resumes"), whole(correction, SEED), "{correction:?}");
        // And once more, when all is done.
        let (again, calls) = program(folder.path(), correction, SEED, Trouble::default());
        assert_eq!((again.expect("it resumes"), calls), (whole(correction, SEED), CHECK));
    }
    assert_ne!(whole(ATOMIC, SEED), whole(ATOMIC, SEED + 1), "the twin: another seed");
    assert_ne!(whole(ATOMIC, SEED), whole(Correction::ClosedForm, SEED), "the twin: another loss");
}

/// In the second part of three, of either round; parts that are whole are not made again.
#[test]
fn within_simulations() {
    for (at, whole_parts) in [(150, 1), (SIMULATIONS + 250, 5)] {
        let folder = folder();
        let trouble = Trouble { simulation: Some(2 + at), ..Trouble::default() };
        let error = program(folder.path(), ATOMIC, SEED, trouble).0.expect_err("it panics").to_string();
        assert!(error.contains("panicked in simulation") && error.contains("out of order"), "{error}");
        let (result, calls) = program(folder.path(), ATOMIC, SEED, Trouble::default());
        assert_eq!(calls, 2 * SIMULATIONS - 100 * whole_parts + CHECK, "panicked at {at}");
        assert!(result.expect("it resumes") == whole(ATOMIC, SEED), "panicked at {at}");
    }
}

/// By a flag, which ends a training after its step, or by an error, in the second epoch of either round. The closed
/// form needs the posterior of the first round in the midst of the second.
#[test]
fn within_trainings() {
    for correction in [ATOMIC, Correction::ClosedForm] {
        let mut interruptions = Vec::new();
        for batch in [9, 32] {
            let folders = [folder(), folder()];
            let trouble = Trouble { flag: Some(batch), ..Trouble::default() };
            let (result, _) = program(folders[0].path(), correction, SEED, trouble);
            let Err(InferenceError::Trainer(TrainerError::Interrupted { steps, .. })) = result else {
                panic!("batch {batch}: {:?}", result.map(|_| ()))
            };
            interruptions.push(steps);
            let trouble = Trouble { batch: Some(batch), ..Trouble::default() };
            let (result, _) = program(folders[1].path(), correction, SEED, trouble);
            assert!(result.expect_err("a batch that fails").to_string().contains("out of order"));
            for folder in folders {
                let (result, calls) = program(folder.path(), correction, SEED, Trouble::default());
                assert_eq!(calls, if batch == 9 { SIMULATIONS } else { 0 } + CHECK);
                assert!(result.expect("it resumes") == whole(correction, SEED), "{correction:?}, batch {batch}");
            }
        }
        let [first, second] = interruptions[..] else { panic!("two") };
        assert!(0 < first && first < STEPS && STEPS < second && second < 3 * STEPS, "{first}, {second}");
    }
}

#[test]
fn an_interrupted_training_goes_on_in_the_same_program() {
    let trouble = Trouble { flag: Some(9), goes_on: true, ..Trouble::default() };
    let (result, calls) = program(folder().path(), ATOMIC, SEED, trouble);
    assert_eq!((result.expect("it goes on"), calls), (whole(ATOMIC, SEED), 2 * SIMULATIONS));
}

/// The same program again, up to the training of its 150 simulations, with something else in it.
fn again(
    folder: &Path,
    seed: u64,
    training: NpeTraining,
    calls: impl Fn(&mut Npe) -> Result<(), InferenceError>,
) -> Result<(), InferenceError> {
    let builder = builder(shifted(2, 0.3), config_of(small(), training), seed).folder(folder).resume();
    calls(&mut builder.build().expect("a sound inference"))
}

fn simulate_and_train(npe: &mut Npe) -> Result<(), InferenceError> {
    npe.simulate(150)?;
    npe.train().map(|_| ())
}

#[test]
fn other_calls_are_refused() {
    let (folder, training) = (folder(), || NpeTraining::new().with_batch_size(50).with_max_epochs(3));
    let again = |seed, training, calls: &dyn Fn(&mut Npe) -> Result<(), InferenceError>| {
        again(folder.path(), seed, training, calls).map_err(|error| error.to_string())
    };
    let (pairs, proposal) = (OnceLock::new(), OnceLock::new());
    let first = again(SEED, training(), &|npe| {
        npe.simulate(150)?;
        pairs.set(npe.simulations().next().expect("150 pairs").clone()).expect("the first");
        let posterior = npe.train()?.with_observation(arr1(&[0.5, 0.5]))?;
        proposal.set(Proposal::posterior(posterior)?).expect("the first");
        Ok(())
    });
    assert_eq!(first, Ok(()));
    let refused = |seed, training, parts: [&str; 2], calls: &dyn Fn(&mut Npe) -> Result<(), InferenceError>| {
        let text = again(seed, training, calls).expect_err(parts[0]);
        for part in parts.into_iter().chain(["choose another folder"]) {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    };
    let of_prior = "150 simulations from the prior";
    refused(SEED, training(), [of_prior, "151 simulations from the prior"], &|npe| npe.simulate(151));
    refused(SEED, training(), [of_prior, "150 simulations from the posterior"], &|npe| {
        npe.set_proposal(proposal.get().expect("just set").clone());
        npe.simulate(150)
    });
    refused(SEED + 1, training(), ["seed 3", "seed 4"], &simulate_and_train);
    refused(SEED, training(), ["began with another model or other data", "the data set: 150 rows"], &|npe| {
        let pairs = pairs.get().expect("just set").clone();
        npe.append(pairs.parameters + 0.01, pairs.data)?;
        npe.train().map(|_| ())
    });
    let batches = training().with_batch_size(40);
    refused(SEED, batches, ["plan.steps", "this run has 9"], &simulate_and_train);
    assert_eq!(again(SEED, training(), &simulate_and_train), Ok(()), "the twin: the same calls");
}

/// With a folder, the parts that are there are not made again.
#[test]
fn simulating_ends_after_a_part_when_the_flag_is_raised_and_goes_on() {
    let simulate = |raise_at: usize, folder: Option<&Path>| {
        let (flag, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (raised, counted) = (flag.clone(), calls.clone());
        let simulator = Simulator::from_fn(move |rng, theta, _| {
            let call = counted.fetch_add(1, Ordering::SeqCst);
            raised.fetch_or(call == raise_at, Ordering::SeqCst);
            arr1(&[theta[0] + rng.sample::<f32, _>(StandardNormal)])
        });
        let model = GenerativeModel::new(box_prior(1), simulator).expect("it simulates");
        let builder = builder(model, short(), SEED).stop_on(flag);
        let mut npe = folder.iter().fold(builder, |builder, folder| builder.folder(folder)).build().expect("sound");
        let first = npe.simulate(SIMULATIONS);
        if first.is_err() {
            npe.simulate(SIMULATIONS).expect("it goes on");
        }
        let simulations = npe.simulations().next().expect("one call").clone();
        (first, simulations, calls.load(Ordering::SeqCst) - 2)
    };
    let (never, expected, calls) = simulate(usize::MAX, None);
    never.expect("nobody raised it");
    assert_eq!(calls, SIMULATIONS);
    for (folder, all_made, all_calls) in [(Some(folder()), 200, SIMULATIONS + CHECK), (None, 192, 192 + SIMULATIONS)] {
        let (first, simulations, calls) = simulate(150, folder.as_ref().map(TempDir::path));
        let kept = folder.is_some();
        let error = first.expect_err("it was raised");
        assert!(
            matches!(
                error,
                InferenceError::Interrupted { made, count: SIMULATIONS, is_kept }
                    if made == all_made && is_kept == kept
            ),
            "{error}"
        );
        assert_eq!((simulations == expected, calls), (true, all_calls));
    }
}

/// Some of them would be of one seed, and the rest of another.
#[test]
fn simulations_of_another_seed_are_refused_before_any_are_made() {
    let folder = folder();
    let simulate = |seed| again(folder.path(), seed, NpeTraining::new(), |npe| npe.simulate(150));
    simulate(SEED).expect("it simulates");
    std::fs::remove_file(folder.path().join("simulations-000/00000100.safetensors")).expect("the second part");
    assert!(matches!(simulate(SEED + 1), Err(InferenceError::OtherInference { .. })));
    simulate(SEED).expect("the second part is made again");
}

#[test]
fn what_is_kept_is_a_posterior_for_other_programs() {
    let folder = folder();
    let mut npe = builder(shifted(2, 0.3), short(), SEED).folder(folder.path()).build().expect("an empty folder");
    npe.simulate(150).expect("it simulates");
    let trained = npe.train().expect("it trains");
    let load = |from: &Path| Posterior::load(from, box_prior(2), &Device::flex());
    let kept: Posterior = load(&folder.path().join("posterior-000")).expect("a posterior");
    let x = arr1(&[0.2, 0.1]);
    assert_eq!(kept.sample_for(&x, 10, 1).expect("it draws"), trained.sample_for(&x, 10, 1).expect("it draws"));
    let none = load(folder.path()).expect_err("a folder with posteriors in it").to_string();
    assert!(none.contains("posterior-000"), "{none}");
}

/// Its simulations would be taken for those of the new model.
#[test]
fn another_prior_or_simulator_is_refused() {
    let folder = folder();
    let build = |model| builder(model, short(), SEED).folder(folder.path()).resume().build().expect("its folder");
    build(shifted(2, 0.3)).simulate(150).expect("it simulates");
    let simulator = |shift: f32| Simulator::from_fn(move |_, theta, _| arr1(&[theta[0] + shift, theta[1]]));
    let prior = bayesburn_simulation::Prior::box_uniform(["a", "b"], &[-1.0; 2], &[1.0; 2]).expect("sound");
    for model in [shifted(2, 0.4), GenerativeModel::new(prior, simulator(1.0)).expect("it simulates")] {
        let error = build(model).simulate(150).expect_err("another model");
        assert!(matches!(error, InferenceError::OtherInference { .. }), "{error}");
        assert!(error.to_string().contains("and the model makes"), "{error}");
    }
    build(shifted(2, 0.3)).simulate(150).expect("the same");
}

/// The second round with another loss would go on from the middle of it.
#[test]
fn another_correction_is_refused_within_a_round() {
    let folder = folder();
    let trouble = Trouble { flag: Some(32), ..Trouble::default() };
    program(folder.path(), ATOMIC, SEED, trouble).0.expect_err("interrupted");
    let other = Correction::AtomicCombined { atoms: 6 };
    let text = program(folder.path(), other, SEED, Trouble::default()).0.expect_err("another loss").to_string();
    assert!(text.contains("correction") && text.contains("choose another folder"), "{text}");
}

#[test]
fn a_folder_that_is_not_empty_is_refused_without_resume() {
    let folder = folder();
    again(folder.path(), SEED, NpeTraining::new(), |npe| npe.simulate(150)).expect("it simulates");
    let build = || builder(shifted(2, 0.3), short(), SEED);
    let error = build().folder(folder.path()).build().expect_err("not empty").to_string();
    assert!(error.contains("`resume()`, which continues it, was not called"), "{error}");
    let error = build().resume().build().expect_err("no folder").to_string();
    assert!(error.contains("`resume` is without one, but must be with a folder"), "{error}");
    let file = folder.path().join("simulations-000/description.txt");
    let error = build().folder(&file).build().expect_err("a file");
    assert!(matches!(&error, InferenceError::File(FileError { path, .. }) if *path == file), "{error:?}");
}

/// A simulator of a whole batch sees the same batch with a folder as without: it is not cut into parts. The twin, of
/// one draw at a time, is.
#[test]
fn simulations_that_depend_on_their_batch_are_made_in_one() {
    let simulations = |whole: bool, folder: Option<&Path>| {
        let noise = |rng: &mut bayesburn_core::StreamRng, theta: f32| theta + rng.sample::<f32, _>(StandardNormal);
        let simulator = match whole {
            true => Simulator::from_batch_fn(move |rng, theta, _| theta.mapv(|theta| noise(rng, theta))),
            false => Simulator::from_fn(move |rng, theta, _| arr1(&[noise(rng, theta[0])])),
        };
        let model = GenerativeModel::new(box_prior(1), simulator).expect("it simulates");
        let builder = builder(model, short(), 1);
        let builder = folder.iter().fold(builder, |builder, folder| builder.folder(folder));
        let mut npe = builder.build().expect("sound");
        npe.simulate(250).expect("it simulates");
        npe.simulations().next().expect("one call").clone()
    };
    for (whole, files) in [(true, 2), (false, 4)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(simulations(whole, Some(folder.path())), simulations(whole, None));
        // The parts, and what they are.
        assert_eq!(std::fs::read_dir(folder.path().join("simulations-000")).expect("it is there").count(), files);
    }
}
