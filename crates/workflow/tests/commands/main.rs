//! Runs the commands of a small workflow, one after the other, as a program would, and judges posteriors.

mod folders;
mod judged;

use bayesburn_amortizers::{PosteriorConfig, Statistics};
use bayesburn_diagnostics::{DiagnosticsSuite, Limit};
use bayesburn_inference::{Npe, NpeConfig, NpeTraining, Posterior, Proposal};
use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig, MixtureConfig};
use bayesburn_simulation::{ContextGenerator, GenerativeModel, InvalidSimulations, Prior, Simulator, Univariate};
use bayesburn_trainers::{Online, Progress, Trainer, TrainerBuilder, TrainingConfig};
use bayesburn_workflow::{Command, Diagnose, Outcome, Workflow, WorkflowError};
use burn::tensor::Device;
use ndarray::{Array1, Array2, Array3, arr1};
use ndarray_npy::{read_npy, write_npy};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

fn builder() -> TrainerBuilder {
    builder_with(Statistics::Automatic)
}

/// Without statistics an untrained posterior is the prior; with them it would be nearly exact.
fn builder_with(statistics: Statistics) -> TrainerBuilder {
    let prior = Prior::from_fn(["mu", "nu"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array2::from_shape_fn((10, 2), |(_, d)| theta[d] + rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
    let networks = PosteriorConfig::new(
        DeepSetConfig::new(4).with_units(16),
        InvertibleNetworkConfig::new().with_num_coupling_layers(2),
    );
    Trainer::builder(model, networks.with_statistics(statistics)).seed(1).progress(Progress::Hidden)
}

fn workflow(folder: &Path, steps: usize) -> Workflow<DeepSetConfig> {
    counted(folder, steps, &Arc::default())
}

/// Counts its trainings.
fn counted(folder: &Path, steps: usize, trainings: &Arc<AtomicUsize>) -> Workflow<DeepSetConfig> {
    let trainings = Arc::clone(trainings);
    Workflow::new("two means", builder(), move |trainer| {
        trainings.fetch_add(1, Ordering::Relaxed);
        let config = TrainingConfig::new().with_validation_simulations(100);
        trainer.train(Online::new().with_epochs(1).with_iterations_per_epoch(steps), &config).map(|_| ())
    })
    .with_folder(folder.join("out"))
}

fn run(workflow: Workflow<DeepSetConfig>, line: &[&str]) -> Result<(Outcome, String), WorkflowError> {
    let (command, common) = Command::read(line)?.expect("a command");
    let mut out = Vec::new();
    let outcome = workflow.run(&command, &common, &mut out)?;
    Ok((outcome, String::from_utf8(out).expect("text")))
}

/// The training is long enough for a posterior that passes, which 1,500 steps of this model are.
#[test]
fn a_posterior_is_trained_judged_and_drawn_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let untrained = run(workflow(folder.path(), 1500), &["info"]).expect_err("nothing was trained").to_string();
    assert!(untrained.contains("run `train` first"), "{untrained}");
    assert!(!folder.path().join("out").exists(), "nothing is made by asking");

    // The first diagnosis trains.
    let (html, xml, json) = (path("report.html"), path("report.xml"), path("report.json"));
    let line = ["diagnose", "--data-sets", "300", "--draws", "200", "--html", &html, "--junit", &xml, "--json", &json];
    let trainings = Arc::default();
    let (outcome, text) = run(counted(folder.path(), 1500, &trainings), &line).expect("it runs");
    assert!(text.contains("training first") && text.contains("PASSED") && outcome == Outcome::Passed, "{text}");
    assert!(std::fs::read_to_string(&html).expect("written").contains("<svg"), "figures");
    assert!(std::fs::read_to_string(&xml).expect("written").contains("testsuite"));

    // The second one does not, and says the same; another seed is within a drift of the baseline, but not an impossible
    // limit.
    let (_, again) = run(counted(folder.path(), 1500, &trainings), &line).expect("it runs");
    assert!(text.ends_with(&again), "{text}\n{again}");
    assert_eq!(trainings.load(Ordering::Relaxed), 2, "a complete training returns at once");
    let line =
        ["diagnose", "--data-sets", "300", "--draws", "200", "--seed", "9", "--baseline", &json, "--drift", "0.2"];
    assert_eq!(run(workflow(folder.path(), 1500), &line).expect("it runs").0, Outcome::Passed);
    let strict = DiagnosticsSuite::new().with_limit(Limit::ContractionAtLeast(0.99));
    let strict = workflow(folder.path(), 1500).with_diagnose(Diagnose::new().with_suite(strict).with_size(100, 50));
    let (outcome, text) = run(strict, &["diagnose"]).expect("it runs");
    assert!(outcome == Outcome::Failed && text.contains("`mu`: contraction is 0."), "{text}");

    let (_, info) = run(workflow(folder.path(), 1500), &["info"]).expect("it runs");
    for part in ["two means", "mu, nu", "Trained: 1500 steps in 1 epochs, validation loss", "data  "] {
        assert!(info.contains(part), "`{part}` is not in: {info}");
    }

    // Data whose means are 1 and −1: the posterior means are 10/11 of them.
    let data = Array3::from_shape_fn((1, 10, 2), |(_, i, d)| {
        let z = if i % 2 == 0 { 1.0_f32 } else { -1.0 };
        z + if d == 0 { 1.0 } else { -1.0 }
    });
    let (x, out) = (path("x.npy"), path("draws/posterior.npy"));
    write_npy(&x, &data).expect("written");
    let (_, text) = run(workflow(folder.path(), 1500), &["sample", "--data", &x, "--out", &out]).expect("it runs");
    assert!(text.contains("1 x 1000 draws"), "{text}");
    let draws: Array3<f32> = read_npy(&out).expect("written");
    assert_eq!(draws.dim(), (1, 1000, 2));
    for (d, mean) in [1.0, -1.0].into_iter().enumerate() {
        let got = draws.slice(ndarray::s![0, .., d]).mean().expect("draws");
        // The posterior's standard deviation is 0.30; the network is off by some of it.
        assert!((got - mean * 10.0 / 11.0).abs() < 0.15, "{got}");
    }
    write_npy(&x, &Array2::<f32>::zeros((10, 3))).expect("written");
    let error =
        run(workflow(folder.path(), 1500), &["sample", "--data", &x, "--out", &out]).expect_err("three columns");
    assert!(error.to_string().contains('3'), "{error}");
}

/// Before anything is trained, simulated or drawn, as the program `bayesburn` does.
#[test]
fn more_than_memory_holds_is_refused() {
    const MOST: &str = "18446744073709551615";
    let folder = tempfile::tempdir().expect("a folder");
    let trainings = Arc::default();
    for line in [&["diagnose", "--draws", MOST][..], &["diagnose", "--data-sets", MOST, "--draws", "2"]] {
        let error = run(counted(folder.path(), 5, &trainings), line).expect_err("too many").to_string();
        assert!(error.contains(MOST) && error.contains("ask for at most 8589934592"), "{error}");
    }
    assert_eq!(trainings.load(Ordering::Relaxed), 0);

    run(workflow(folder.path(), 5), &["resume"]).expect("it trains");
    let (x, out) = (folder.path().join("x.npy"), folder.path().join("draws.npz"));
    write_npy(&x, &Array2::<f32>::zeros((10, 2))).expect("written");
    let [x, out] = [x, out].map(|path| path.to_string_lossy().into_owned());
    for (draws, part) in [(MOST, "ask for at most 8589934592"), ("0", "give --draws 1 or more")] {
        let line = ["sample", "--data", &x, "--out", &out, "--draws", draws];
        let error = run(workflow(folder.path(), 5), &line).expect_err("no such draws").to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn training_begins_anew_by_force_only_and_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, text) = run(workflow(folder.path(), 5), &["train"]).expect("it trains");
    assert!(text.contains("Trained: 5 steps"), "{text}");
    let again = run(workflow(folder.path(), 5), &["train"]).expect_err("there is something").to_string();
    assert!(again.contains("checkpoints"), "{again}");
    let (_, text) = run(workflow(folder.path(), 5), &["resume"]).expect("it resumes");
    assert!(text.contains("Trained: 5 steps"), "complete runs return at once: {text}");
    let (_, text) = run(workflow(folder.path(), 7), &["train", "--force"]).expect("it trains");
    assert!(text.contains("Trained: 7 steps") && text.contains("checkpoints.before-1"), "{text}");
    assert!(folder.path().join("out/checkpoints.before-1").exists(), "what was trained before is kept");
    let line = ["diagnose", "--data-sets", "20", "--draws", "20"];
    let (_, text) = run(workflow(folder.path(), 9), &line).expect("it judges what there is");
    assert!(text.contains("Judged as it is") && text.contains("= 7 instead of 9"), "{text}");
    // As if it had been killed before its first checkpoint.
    let begun = folder.path().join("begun");
    std::fs::create_dir_all(begun.join("checkpoints")).expect("made");
    let (_, text) =
        run(workflow(folder.path(), 5), &["resume", "--folder", &begun.to_string_lossy()]).expect("it goes on");
    assert!(text.contains("Trained: 5 steps"), "{text}");
    let other = folder.path().join("other");
    let line = ["resume", "--folder", &other.to_string_lossy()];
    assert!(matches!(run(workflow(folder.path(), 5), &line), Err(WorkflowError::Untrained { .. })));
}

#[test]
fn a_damaged_checkpoint_is_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let workflow = || {
        let train = |trainer: &mut Trainer| {
            let source = Online::new().with_epochs(2).with_iterations_per_epoch(3);
            trainer.train(source, &TrainingConfig::new()).map(|_| ())
        };
        Workflow::new("two means", builder(), train).with_folder(folder.path().join("out"))
    };
    run(workflow(), &["train"]).expect("it trains");
    let weights = folder.path().join("out/checkpoints/step-00000006/weights.safetensors");
    std::fs::write(weights, "").expect("it is there");
    let (_, text) = run(workflow(), &["info"]).expect("there is an older one");
    assert!(text.contains("is damaged") && text.contains("step-00000006"), "{text}");
    assert!(text.contains("Trained: 3 steps"), "{text}");
}

#[test]
fn a_posterior_that_fails_fails_a_test_with_the_verdict_and_the_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = builder_with(Statistics::None).build().expect("valid networks");
    let source = Online::new().with_epochs(1).with_iterations_per_epoch(1);
    trainer.train(source, &TrainingConfig::new()).expect("it trains");
    let diagnosis = Diagnose::new().with_size(100, 50).trainer(&trainer).expect("it runs");
    let path = folder.path().join("calibration.html");
    let failed = std::panic::catch_unwind(|| diagnosis.assert_passed(&path)).expect_err("an untrained posterior");
    let message = failed.downcast::<String>().expect("a message");
    assert!(message.contains("FAILED") && message.contains("overlook something in the data"), "{message}");
    assert!(message.contains("calibration.html") && path.exists(), "{message}");

    let few = Diagnose::new().with_size(1, 50).trainer(&trainer).expect_err("one data set").to_string();
    assert!(few.contains("1 data sets") && few.contains("at least 20"), "{few}");
}

/// An untrained posterior is the prior: in parameters it is calibrated, in the likelihood of what was observed far from
/// it.
#[test]
fn quantities_of_ones_own_are_judged() {
    let trainer = builder_with(Statistics::None).build().expect("valid networks");
    let diagnose = Diagnose::new()
        .with_size(100, 50)
        .with_quantity("difference", |theta, _| f64::from(theta[0] - theta[1]))
        .with_quantity("log likelihood", |theta, x| {
            x.sets().indexed_iter().map(|((.., d), x)| -0.5 * f64::from(x - theta[d]).powi(2)).sum()
        });
    let diagnosis = diagnose.trainer(&trainer).expect("it runs");
    let of = |subject: &str| diagnosis.report().checks.iter().find(|check| check.subject == subject).cloned();
    let [difference, likelihood] = ["difference", "log likelihood"].map(|subject| of(subject).expect("a check of it"));
    assert!(difference.passed && !likelihood.passed, "{difference:?} {likelihood:?}");
    assert!(likelihood.finding.contains("larger for the truth"), "{}", likelihood.finding);

    let infinite = Diagnose::new().with_size(20, 2).with_quantity("inverse", |_, _| f64::INFINITY);
    let error = infinite.trainer(&trainer).expect_err("infinite").to_string();
    assert!(error.contains("inverse"), "{error}");
}

/// What a sampler within its program knows by itself: that the context is the number of observations.
#[test]
fn data_sets_of_any_size_are_drawn_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let varying = || {
        let prior = Prior::independent([("rate", Univariate::log_normal(0.0, 1.0).expect("sound"))]);
        let simulator = Simulator::from_fn(|rng, theta, context| {
            Array2::from_shape_fn((context.num_observations(), 1), |_| theta[0] * rng.random::<f32>())
        });
        let simulator = simulator.with_context(ContextGenerator::num_observations(5..=20));
        let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
        let networks = PosteriorConfig::new(
            DeepSetConfig::new(4).with_units(16),
            InvertibleNetworkConfig::new().with_num_coupling_layers(1),
        );
        let builder = Trainer::builder(model, networks).seed(1).progress(Progress::Hidden);
        Workflow::new("rates", builder, |trainer| {
            let source = Online::new().with_epochs(1).with_iterations_per_epoch(5);
            trainer.train(source, &TrainingConfig::new()).map(|_| ())
        })
        .with_folder(folder.path().join("out"))
    };
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (data, n, draws) = (path("x.csv"), path("n.csv"), path("draws.npy"));
    let sample = |rows: usize, more: &[&str]| {
        std::fs::write(&data, "0.5\n".repeat(rows)).expect("written");
        run(varying(), &[&["sample", "--data", &data, "--out", &draws], more].concat())
    };
    run(varying(), &["train"]).expect("it trains");
    let again = run(varying(), &["train"]).expect_err("trained already").to_string();
    assert!(again.contains("`resume`") && again.contains("--force"), "{again}");

    let line = ["diagnose", "--data-sets", "200", "--draws", "20"];
    let (_, text) = run(varying(), &line).expect("it judges");
    assert!(text.contains("N from 5 to ") && text.contains("The verdict is over N from 5 to 20"), "{text}");

    let (_, text) = sample(7, &[]).expect("it draws");
    assert!(!text.contains("Warning"), "{text}");
    let of_seven: Array3<f32> = read_npy(&draws).expect("draws");
    assert!(of_seven.iter().all(|rate| *rate > 0.0), "inside the prior's support");
    std::fs::write(&n, "7\n").expect("written");
    sample(7, &["--non-batchable-context", &n]).expect("it draws");
    assert_eq!(read_npy::<_, Array3<f32>>(&draws).expect("draws"), of_seven);

    let wrong = sample(8, &["--non-batchable-context", &n]).expect_err("8 are not 7").to_string();
    assert!(wrong.contains("x.csv") && wrong.contains("8 observations") && wrong.contains('7'), "{wrong}");
    let (_, text) = sample(40, &[]).expect("it draws");
    assert!(text.contains("Warning: the data have 40 observations") && text.contains("5 to 20"), "{text}");
    std::fs::write(&data, "0.5,1\n".repeat(7)).expect("written");
    let columns = run(varying(), &["sample", "--data", &data, "--out", &draws]).expect_err("2 columns").to_string();
    assert!(columns.contains("x.csv") && columns.contains("2 values"), "{columns}");
}

/// Tables as pandas and R write them, with missing values where the simulator has them.
#[test]
fn columns_of_observed_tables_are_found_by_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let workflow = |policy| {
        let prior = Prior::from_fn(["drift"], |rng, _| [rng.sample(StandardNormal)]);
        let simulator = Simulator::from_fn(move |rng, theta, _| {
            let missing = policy == InvalidSimulations::Mask && rng.random_bool(0.2);
            Array2::from_shape_fn((3, 2), |(n, i)| match i {
                0 if missing && n == 0 => f32::NAN,
                0 => theta[0] + rng.random::<f32>(),
                _ => 1.0 - theta[0],
            })
        });
        let simulator = simulator.with_feature_names(["rt", "choice"]).on_invalid(policy);
        let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
        let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(1);
        let networks = PosteriorConfig::new(DeepSetConfig::new(2).with_units(8), flow);
        Workflow::new("tables", Trainer::builder(model, networks).progress(Progress::Hidden), |trainer| {
            let source = Online::new().with_epochs(1).with_iterations_per_epoch(2);
            trainer.train(source, &TrainingConfig::new()).map(|_| ())
        })
        .with_folder(folder.path().join(format!("{policy:?}")))
    };
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (data, draws) = (path("x.csv"), path("draws.npy"));
    let sample = |policy, content: &str, more: &[&str]| {
        std::fs::write(&data, content).expect("written");
        let (_, text) = run(workflow(policy), &[&["sample", "--data", &data, "--out", &draws], more].concat())?;
        Ok::<_, WorkflowError>((text, read_npy::<_, Array3<f32>>(&draws).expect("draws")))
    };
    let (plain, masked) = (InvalidSimulations::Error, InvalidSimulations::Mask);
    for policy in [plain, masked] {
        run(workflow(policy), &["train"]).expect("it trains");
        let (text, expected) = sample(policy, "rt,choice\n0.5,1\n0.25,0\n0.75,1\n", &[]).expect("it draws");
        assert!(!text.contains("Note"), "{text}");
        let swapped = "\"\",\"choice\",\"rt\"\n\"1\",1,0.5\n\"2\",0,0.25\n\"3\",1,0.75\n";
        let (text, of_swapped) = sample(policy, swapped, &[]).expect("it draws");
        assert_eq!(of_swapped, expected);
        assert!(text.contains("has no name") && text.contains("put in the order"), "{text}");
        let labels = "2019,2020\n0.5,1\n0.25,0\n0.75,1\n";
        let doubt = sample(policy, labels, &[]).expect_err("a heading or data").to_string();
        assert!(doubt.contains("x.csv: line 1") && doubt.contains("--header yes"), "{doubt}");
        assert_eq!(sample(policy, labels, &["--header", "yes"]).expect("it draws").1, expected);
        let unknown = sample(policy, "rt,color\n0.5,1\n", &[]).expect_err("another column").to_string();
        assert!(unknown.contains("\"color\"") && unknown.contains("[\"rt\", \"choice\"]"), "{unknown}");
    }
    let missing = "rt,choice\n0.5,1\n0.25,0\n,1\n";
    let refused = sample(plain, missing, &[]).expect_err("a missing value").to_string();
    assert!(refused.contains("line 4, column 1"), "{refused}");
    let of_missing = sample(masked, missing, &[]).expect("it draws").1;
    assert!(of_missing.iter().all(|theta| theta.is_finite()));
    assert_ne!(of_missing, sample(masked, "rt,choice\n0.5,1\n0.25,0\n0,1\n", &[]).expect("it draws").1);
    sample(masked, "rt,choice\n0.5,1\n0.25,0\ninf,1\n", &[]).expect_err("infinite");
}

/// Statistics of N observations do not tell N.
#[test]
fn of_data_that_are_vectors_the_number_of_observations_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let workflow = || {
        let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
        let simulator = Simulator::from_fn(|rng, theta, context| {
            let std = (context.num_observations() as f32).sqrt().recip();
            Array1::from_shape_fn(1, |_| theta[0] + std * rng.sample::<f32, _>(StandardNormal))
        });
        let simulator = simulator.with_context(ContextGenerator::num_observations(5..=50));
        let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
        let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(1);
        let networks = PosteriorConfig::new(DeepSetConfig::new(2).with_units(8), flow);
        Workflow::new("a mean", Trainer::builder(model, networks).progress(Progress::Hidden), |trainer| {
            let source = Online::new().with_epochs(1).with_iterations_per_epoch(2);
            trainer.train(source, &TrainingConfig::new()).map(|_| ())
        })
        .with_folder(folder.path().join("out"))
    };
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (data, n, draws) = (path("x.csv"), path("n.csv"), path("draws.npy"));
    std::fs::write(&data, "0.5\n").expect("written");
    std::fs::write(&n, "40\n").expect("written");
    run(workflow(), &["train"]).expect("it trains");
    let given = ["sample", "--data", &data, "--non-batchable-context", &n, "--out", &draws];
    let (_, text) = run(workflow(), &given).expect("it draws");
    assert!(!text.contains("Warning"), "{text}");
    run(workflow(), &["sample", "--data", &data, "--out", &draws]).expect_err("N is not known");
}

#[test]
fn a_posterior_of_rounds_is_not_judged_by_the_whole_prior() {
    let prior = Prior::box_uniform(["theta"], &[-1.0], &[1.0]).expect("a box");
    let simulator = Simulator::from_fn(|rng, theta, _| arr1(&[theta[0] + 0.1 * rng.random::<f32>()]));
    let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
    let config = NpeConfig::new()
        .with_density_estimator(MixtureConfig::new())
        .with_training(NpeTraining::new().with_max_epochs(2));
    let mut npe = Npe::builder(model.clone(), config.clone()).progress(Progress::Hidden).build().expect("sound");
    let train = |npe: &mut Npe| {
        npe.simulate(200).expect("it simulates");
        npe.train().expect("it trains").with_observation(arr1(&[0.3])).expect("one number")
    };
    let first = train(&mut npe);
    let diagnose = Diagnose::new().with_size(20, 10);
    diagnose.posterior(&first, &model).expect("it is of one round");
    npe.set_proposal(Proposal::posterior(first).expect("it has an observation"));
    let second = train(&mut npe);
    let folder = tempfile::tempdir().expect("a folder");
    second.save(folder.path()).expect("written");
    let loaded = Posterior::load(folder.path(), model.prior().clone(), &Device::flex()).expect("just saved");
    for posterior in [second, loaded] {
        assert_eq!(posterior.trained_for(), Some(&arr1(&[0.3]).into_dyn()));
        let error = diagnose.posterior(&posterior, &model).expect_err("two rounds").to_string();
        assert!(error.contains("2 rounds") && error.contains("LocalC2st"), "{error}");
    }

    // So is one from a truncated prior.
    let mut npe = Npe::builder(model.clone(), config.clone()).progress(Progress::Hidden).build().expect("sound");
    let first = train(&mut npe);
    npe.set_proposal(Proposal::truncated(first).expect("it has an observation"));
    assert_eq!(train(&mut npe).trained_for(), Some(&arr1(&[0.3]).into_dyn()));

    // Rounds of the prior alone are amortized.
    let mut npe = Npe::builder(model.clone(), config).progress(Progress::Hidden).build().expect("sound");
    train(&mut npe);
    npe.set_proposal(Proposal::Prior);
    let amortized = train(&mut npe);
    assert!(amortized.to_string().contains("(amortized)"), "{amortized}");
    diagnose.posterior(&amortized, &model).expect("for any observation");
}

#[test]
fn what_is_wrong_with_options_is_found_before_the_training() {
    let folder = tempfile::tempdir().expect("a folder");
    let trainings = Arc::default();
    for (line, part) in [
        (vec!["diagnose", "--drift", "0.1"], "--baseline"),
        (vec!["diagnose", "--baseline", "none.json"], "none.json"),
        (vec!["train", "--device", "gpu"], "cuda:N"),
    ] {
        let error = run(counted(folder.path(), 5, &trainings), &line).expect_err("wrong options").to_string();
        assert!(error.contains(part), "{error}");
    }
    let (_, help) = run(workflow(folder.path(), 5), &["help"]).expect("it runs");
    assert!(help.contains("two means") && help.contains("diagnose"), "{help}");
    let (_, help) = run(workflow(folder.path(), 5), &["diagnose", "--help"]).expect("it runs");
    assert!(help.contains("--junit"), "{help}");
    assert_eq!(trainings.load(Ordering::Relaxed), 0);
}
