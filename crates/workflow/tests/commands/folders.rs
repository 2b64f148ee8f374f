//! Runs commands on folders that hold earlier trainings, that other processes use, and that are damaged.

use crate::{builder, run, workflow};
use bayesburn_networks::DeepSetConfig;
use bayesburn_trainers::{Online, Trainer, TrainingConfig};
use bayesburn_workflow::{Workflow, WorkflowError};
use ndarray::Array2;
use ndarray_npy::write_npy;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Every file in a folder with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => files.extend(content(&path)),
            false => _ = files.insert(path.clone(), fs::read(&path).expect("readable")),
        }
    }
    files
}

/// A workflow whose first loss is NaN, so that it cannot be built.
fn broken(folder: &Path) -> Workflow<DeepSetConfig> {
    let builder = builder()
        .loss(|posterior, batch, pass| Ok(posterior.log_prob_of_batch(batch, pass)?.mean().mul_scalar(f32::NAN)));
    Workflow::new("broken", builder, |_| Ok(())).with_folder(folder.join("out"))
}

#[test]
fn force_keeps_every_earlier_training() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoints = folder.path().join("out/checkpoints");
    let before = |n: usize| folder.path().join(format!("out/checkpoints.before-{n}"));
    let force = |workflow: Workflow<DeepSetConfig>| run(workflow, &["train", "--force"]);
    let (_, text) = force(workflow(folder.path(), 3)).expect("nothing is there yet");
    assert!(!text.contains("before") && !before(1).exists(), "{text}");
    let first = content(&checkpoints);
    for _ in 0..2 {
        force(broken(folder.path())).expect_err("its loss is NaN");
        assert!(content(&checkpoints) == first, "a training that cannot begin moves nothing");
    }
    let steps = |folder: &Path| content(folder).into_keys().filter(|path| path.ends_with("manifest.json")).count();
    for n in 1..3 {
        force(workflow(folder.path(), 3 + n)).expect("it trains");
        assert_eq!([steps(&checkpoints), steps(&before(n))], [1, 1]);
    }
    assert!(!before(3).exists());
    let names = |content: &BTreeMap<PathBuf, Vec<u8>>| content.values().cloned().collect::<Vec<_>>();
    assert!(names(&content(&before(1))) == names(&first), "as it was");
}

#[test]
fn force_does_not_move_what_another_process_trains() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoints = folder.path().join("out/checkpoints");
    let mut trainer = builder().checkpoints(&checkpoints).build().expect("an empty folder");
    let source = || Online::new().with_epochs(1).with_iterations_per_epoch(3);
    trainer.train(source(), &TrainingConfig::new()).expect("it trains");
    let error = run(workflow(folder.path(), 3), &["train", "--force"]).expect_err("locked").to_string();
    assert!(error.contains("another"), "{error}");
    assert!(!folder.path().join("out/checkpoints.before-1").exists());
    trainer.train(source(), &TrainingConfig::new()).expect("it trains on");
    assert!(checkpoints.join("step-00000006").exists());
}

/// As a person does who looks on while a training runs, perhaps without the right to write.
#[test]
fn info_and_sample_leave_a_folder_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoints = folder.path().join("out/checkpoints");
    let two_epochs = |folder: &Path| {
        let train = |trainer: &mut Trainer| {
            let source = Online::new().with_epochs(2).with_iterations_per_epoch(3);
            trainer.train(source, &TrainingConfig::new()).map(|_| ())
        };
        Workflow::new("two means", builder(), train).with_folder(folder.join("out"))
    };
    run(two_epochs(folder.path()), &["train"]).expect("it trains");
    // Another process trains there.
    let _trainer = builder().checkpoints(&checkpoints).resume().build().expect("free");
    fs::write(checkpoints.join("step-00000006/weights.safetensors"), "").expect("it is there");
    let (x, out) = (folder.path().join("x.npy"), folder.path().join("draws.csv"));
    write_npy(&x, &Array2::<f32>::ones((10, 2))).expect("written");
    let [x, out] = [x, out].map(|path| path.to_string_lossy().into_owned());
    let before = content(&checkpoints);
    for line in [&["info"][..], &["sample", "--data", &x, "--out", &out]] {
        let (_, text) = run(two_epochs(folder.path()), line).expect("there is an older one");
        assert!(text.contains("is damaged") && text.contains("step-00000006"), "{text}");
    }
    assert!(content(&checkpoints) == before);
    assert!(Path::new(&out).exists());
    fs::remove_dir_all(&checkpoints).expect("mine");
    fs::create_dir(&checkpoints).expect("mine");
    let none = run(two_epochs(folder.path()), &["info"]);
    assert!(matches!(none, Err(WorkflowError::Untrained { .. })));
    assert!(content(&checkpoints).is_empty(), "not even a lock");
}

const FOLDER: &str = "BAYESBURN_TEST_COMMAND_FOLDER";
const LINE: &str = "BAYESBURN_TEST_COMMAND_LINE";

/// One command as a process of its own; does nothing when it is not called by the tests below. Its result goes to a
/// file.
#[test]
fn command_process() {
    let [Some(folder), Some(line)] = [FOLDER, LINE].map(|name| std::env::var(name).ok()) else { return };
    let folder = Path::new(&folder);
    let (name, words) = line.split_once(' ').expect("the name of a file, and a command");
    let result = run(workflow(folder, 6), &words.split(' ').collect::<Vec<_>>());
    let text = result.map_or_else(|error| format!("error: {error}"), |(_, text)| text);
    fs::write(folder.join(name), text).expect("writable");
}

/// Two commands at once, in a new folder or one where something is trained. Each does what it does alone, or is
/// refused; and the training is whole afterwards.
fn two_at_once(commands: [&str; 2], is_trained: bool, expected: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    write_npy(folder.path().join("x.npy"), &Array2::<f32>::ones((10, 2))).expect("written");
    if is_trained {
        run(workflow(folder.path(), 6), &["train"]).expect("it trains");
    }
    let what = format!("{commands:?}, trained before: {is_trained}");
    let start = |(i, command): (usize, &str)| {
        let mut process = std::process::Command::new(std::env::current_exe().expect("this test binary"));
        process.args(["--exact", "folders::command_process"]).current_dir(folder.path());
        process.env(FOLDER, folder.path()).env(LINE, format!("result-{i} {command}"));
        process.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts")
    };
    let both: Vec<_> = commands.into_iter().enumerate().map(start).collect();
    for mut process in both {
        assert!(process.wait().expect("it ends").success(), "{what}: a panic");
    }
    for (i, command) in commands.into_iter().enumerate() {
        let text = fs::read_to_string(folder.path().join(format!("result-{i}"))).expect("a result");
        let refusals = [
            ("another trainer is writing", true),
            ("run `resume` to continue", command == "train"),
            ("run `train` first", !is_trained || commands.iter().any(|command| command.contains("--force"))),
        ];
        let is_refused = refusals.iter().any(|(words, may_be)| *may_be && text.contains(words));
        assert!(!text.starts_with("error: ") || is_refused, "{what}: {text}");
        if command.starts_with("sample") && !text.starts_with("error: ") {
            assert!(folder.path().join("draws.csv").exists(), "{what}: {text}");
        }
    }
    // A diagnosis trains first, where nothing is trained.
    let trains = |command: &str| ["train", "diagnose"].iter().any(|word| command.starts_with(word));
    if is_trained || commands.into_iter().any(trains) {
        run(workflow(folder.path(), 6), &["resume"]).unwrap_or_else(|error| panic!("{what}: {error}"));
        let weights = folder.path().join("out/checkpoints/step-00000006/weights.safetensors");
        assert!(fs::read(weights).expect("a checkpoint") == expected, "{what}");
    }
}

/// Every pair of commands, on an empty folder and a trained one, so many times.
fn pairs_at_once(times: usize, only_trained: bool) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    run(workflow(folder.path(), 6), &["train"]).expect("it trains");
    let expected = fs::read(folder.path().join("out/checkpoints/step-00000006/weights.safetensors")).expect("trained");
    let commands = [
        "train",
        "train --force",
        "resume",
        "info",
        "sample --data x.npy --out draws.csv --draws 10",
        "diagnose --data-sets 20 --draws 20",
    ];
    let mut tries = 0;
    for _ in 0..times {
        for (i, first) in commands.into_iter().enumerate() {
            for second in &commands[i..] {
                for is_trained in [true, false].into_iter().filter(|is_trained| *is_trained || !only_trained) {
                    two_at_once([first, second], is_trained, &expected);
                    tries += 1;
                }
            }
        }
    }
    tries
}

#[test]
fn two_processes_in_one_folder_do_no_harm() {
    assert_eq!(pairs_at_once(1, true), 21);
}

#[test]
#[ignore = "takes minutes: each pair of commands three times on a trained folder and three times on an empty one"]
#[expect(clippy::print_stdout, reason = "a report")]
fn two_processes_in_one_folder_many_times() {
    println!("{} tries", pairs_at_once(3, false));
}
