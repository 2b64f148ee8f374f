//! Lets every file operation of a program fail once, by an error or by a kill, and then runs the program again.
//!
//! After each fault, what was there before or what was to be written is whole, the error names a file and what to do,
//! and the program, run again, ends with the same bytes. `cargo test --release --test end_to_end every_fault --
//! --ignored --nocapture` tries all of them; the tests of every day try some of each program.

use crate::models::{direct_networks, normal_means, training};
use bayesburn::{
    core::{
        FileError,
        files::{
            faults::{Fault, Faults, Operation},
            is_sealed, operation, verify,
        },
    },
    inference::Posterior,
    networks::MixtureConfig,
    prelude::*,
};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const FOLDER: &str = "BAYESBURN_TEST_FAULT_FOLDER";
const PROGRAM: &str = "BAYESBURN_TEST_FAULT_PROGRAM";
const AT: &str = "BAYESBURN_TEST_FAULT_AT";

type Outcome = Result<(), Box<dyn Error>>;
/// A name, and a program that goes on where it stopped.
type Program = (&'static str, fn(&Path) -> Outcome);

const PROGRAMS: [Program; 4] =
    [("training", train), ("inference", infer), ("saving", save_twice), ("simulating", presimulate)];

/// Two runs: one with a replay buffer, averaged weights and the best of its epochs, and one that refines it.
fn train(folder: &Path) -> Outcome {
    let builder = Trainer::builder(normal_means(), direct_networks()).seed(5).memory(2).progress(Progress::Hidden);
    let mut trainer = builder.checkpoints(folder.join("checkpoints")).keep_checkpoints(1).resume().build()?;
    let config = training().with_early_stopping(Some(EarlyStopping::new().with_patience(9)));
    let source = Replay::new().with_epochs(3).with_iterations_per_epoch(3).with_batch_size(8).with_capacity(2);
    trainer.train(source, &config.clone().with_weight_average(Some(0.5)))?;
    let source = Rounds::new().with_rounds(2).with_simulations_per_round(32).with_epochs_per_round(2);
    trainer.refine(source.with_batch_size(8), &config)?;
    Ok(())
}

fn small_inference() -> Result<NpeConfig, Box<dyn Error>> {
    let networks = PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::new().with_components(2));
    Ok(NpeConfig::new()
        .with_networks(networks)
        .with_training(NpeTraining::new().with_batch_size(50).with_max_epochs(2)))
}

fn uniform() -> Result<Prior, Box<dyn Error>> {
    Ok(Prior::box_uniform(["a", "b"], &[-2.0; 2], &[2.0; 2])?)
}

/// Two rounds.
fn infer(folder: &Path) -> Outcome {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        arr1(&[theta[0], theta[1]]).mapv(|x: f32| x + 0.3 * rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(uniform()?, simulator)?;
    let builder = Npe::builder(model, small_inference()?).seed(3).progress(Progress::Hidden);
    let mut npe = builder.folder(folder.join("inference")).resume().build()?;
    for _ in 0..2 {
        npe.simulate(150)?;
        let posterior = npe.train()?.with_observation(arr1(&[0.5, -0.5]))?;
        posterior.save(folder.join("newest"))?;
        npe.set_proposal(Proposal::posterior(posterior)?);
    }
    Ok(())
}

/// A posterior, and another one over it.
fn save_twice(folder: &Path) -> Outcome {
    for seed in [1, 2] {
        let builder = Trainer::builder(normal_means(), direct_networks()).seed(seed).progress(Progress::Hidden);
        builder.build()?.amortizer().save(folder.join("posterior"))?;
    }
    Ok(())
}

/// A store, and more simulations for it.
fn presimulate(folder: &Path) -> Outcome {
    for count in [20, 45] {
        let presimulation = Presimulation::new(count, 7).with_simulations_per_shard(10);
        normal_means().presimulate(folder.join("store"), &presimulation.with_progress(Progress::Hidden))?;
    }
    Ok(())
}

/// Every file with its content, but for locks, and for what has no fixed order: the state of optimizers, and seals,
/// which contain its checksum.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).expect("a folder") {
            let path = entry.expect("readable").path();
            // What a killed process leaves beside a folder that no lock protects stays.
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let left_out = [".lock", "optimizer.bpk", "checksums.txt"].contains(&&*name)
                || [".newest.", ".posterior."].iter().any(|start| name.starts_with(start));
            match path.is_dir() {
                _ if left_out => {}
                true => open.push(path),
                false => {
                    let inside = path.strip_prefix(folder).expect("inside").to_owned();
                    files.insert(inside, fs::read(&path).expect("readable"));
                }
            }
        }
    }
    files
}

/// Every folder under its final name is whole, at whatever moment. That of a posterior can be loaded.
fn assert_whole(folder: &Path, what: &str) {
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let inside: Vec<PathBuf> =
            fs::read_dir(&path).expect("a folder").map(|e| e.expect("readable").path()).collect();
        let is_final = |path: &PathBuf| path.is_dir() && !path.to_string_lossy().contains("/.");
        open.extend(inside.into_iter().filter(is_final));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_whole_or_absent = ["step-", "posterior", "newest"].iter().any(|start| name.starts_with(start));
        assert!(is_sealed(&path) || !is_whole_or_absent, "{what}: {} is not complete", path.display());
        if is_sealed(&path) {
            verify(&path).unwrap_or_else(|error| panic!("{what}: {}: {error}", path.display()));
        }
        let device = Device::default();
        if name == "posterior" {
            AmortizedPosterior::<DeepSetConfig>::load(&path, &device).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        if name == "newest" {
            let prior = uniform().expect("a box");
            Posterior::<IdentityConfig>::load(&path, prior, &device).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }
}

/// A program as a process of its own, which is killed at an operation; does nothing when it is not called by the tests.
#[test]
fn fault_process() {
    let variables = [FOLDER, PROGRAM, AT].map(|name| std::env::var(name).ok());
    let [Some(folder), Some(name), Some(at)] = variables else { return };
    let at: u64 = at.parse().expect("a number");
    let (_, program) = PROGRAMS.into_iter().find(|(of, _)| *of == name).expect("a program");
    let _faults = Faults::new(Path::new(&folder), move |n, _, _| (n == at).then_some(Fault::Kill));
    program(Path::new(&folder)).expect("it runs");
}

/// A folder in memory, where the system has one: a forced write costs nothing there.
fn folder() -> tempfile::TempDir {
    let in_memory = Path::new("/dev/shm");
    let folder = if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}

/// Tries the faults of a program at every `step`-th operation, and at each one of three kinds or all. Returns how many.
fn campaign((name, program): Program, step: usize, all_kinds: bool) -> usize {
    let whole = folder();
    let counted = Faults::new(whole.path(), |_, _, _| None);
    program(whole.path()).expect("nothing goes wrong");
    let operations = counted.seen();
    drop(counted);
    let expected = content(whole.path());
    let mut tried = 0;
    for (i, at) in (0..operations).step_by(step).enumerate() {
        for kind in (0..3).filter(|kind| all_kinds || kind % 3 == i % 3) {
            let (folder, what) = (folder(), format!("{name}, operation {at} of {operations}, fault {kind}"));
            tried += 1;
            match kind {
                0 => {
                    let mut child = Command::new(std::env::current_exe().expect("this test binary"));
                    child.args(["--exact", "faults::fault_process"]).env(FOLDER, folder.path()).env(PROGRAM, name);
                    child.env(AT, at.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
                    let status = child.status().expect("it starts");
                    assert!(!status.success(), "{what}: it was to be killed");
                }
                _ => {
                    // EIO and ENOSPC.
                    let code = [5, 28][kind - 1];
                    let rule = move |n, _: Operation, _: &Path| (n == at).then_some(Fault::Os(code));
                    let faults = Faults::new(folder.path(), rule);
                    let result = program(folder.path());
                    drop(faults);
                    if let Err(error) = result {
                        let text = bayesburn::core::with_causes(&*error);
                        let names_file = text.contains(&*folder.path().to_string_lossy());
                        assert!(names_file && text.contains("check that"), "{what}: {text}");
                    }
                }
            }
            assert_whole(folder.path(), &what);
            program(folder.path()).unwrap_or_else(|error| panic!("{what}: it does not go on: {error}"));
            let ended = content(folder.path());
            let differ: Vec<_> =
                expected.keys().chain(ended.keys()).filter(|name| expected.get(*name) != ended.get(*name)).collect();
            assert!(differ.is_empty(), "{what}: {differ:?}");
        }
    }
    tried
}

/// A prime step, so that over the steps of a program every kind of operation meets every kind of fault.
#[test]
fn some_faults_of_every_program() {
    for program in PROGRAMS {
        assert!(campaign(program, 7, false) >= 5, "{}", program.0);
    }
}

/// The twin: a program that writes to the final place, and takes what is there for whole.
#[test]
fn a_program_that_writes_in_place_is_found() {
    let careless = |folder: &Path| -> Outcome {
        let path = folder.join("answer.txt");
        let write = || operation::write(&path, "0123456789").map_err(FileError::write(&path));
        if path.exists() { Ok(()) } else { Ok(write()?) }
    };
    let found = std::panic::catch_unwind(|| campaign(("careless", careless), 1, true)).expect_err("half a file");
    let message = found.downcast::<String>().expect("a message");
    assert!(message.contains("careless") && message.contains("answer.txt"), "{message}");
}

#[test]
#[ignore = "takes minutes: every operation of every program, with every kind of fault"]
#[expect(clippy::print_stdout, reason = "a report")]
fn every_fault() {
    for program in PROGRAMS {
        println!("{}: {} faults tried, nothing lost", program.0, campaign(program, 1, true));
    }
}
