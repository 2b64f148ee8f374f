//! Simulates into folders: interrupted, appended to, by any number of threads.

use crate::{assert_same, contents, folder, model_with_contexts, normal_prior, plain_model, stored};
use bayesburn_simulation::{
    DataError, Dataset, GenerativeModel, Presimulation, Prior, Progress, SimulationError, Simulator,
};
use ndarray::{Array2, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const FOLDER: &str = "BAYESBURN_TEST_STORE";
const CRASH_AT: &str = "BAYESBURN_TEST_STORE_CRASH_AT";
const SIMULATIONS: &str = "BAYESBURN_TEST_STORE_SIMULATIONS";

/// The call that the tests below run as processes of their own; does nothing when it is not called by them.
#[test]
fn store_process() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<usize>().expect("a number"));
    let (Ok(folder), Some(simulations)) = (std::env::var(FOLDER), number(SIMULATIONS)) else { return };
    let (crash_at, simulated) = (number(CRASH_AT), Arc::new(AtomicUsize::new(0)));
    let simulator = Simulator::from_fn(move |rng, theta, _| {
        if Some(simulated.fetch_add(1, Ordering::Relaxed)) == crash_at {
            std::process::abort();
        }
        Array2::from_shape_fn((4, 2), |(_, d)| theta[d] + rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(normal_prior(), simulator).expect("the pilot run succeeds");
    model.presimulate(folder, &stored(simulations)).expect("the folder is empty or holds this store");
}

fn start(folder: &Path, threads: usize, simulations: usize, crash_at: Option<usize>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    command.args(["--exact", "stores::store_process"]).env(FOLDER, folder).env(SIMULATIONS, simulations.to_string());
    command.env("RAYON_NUM_THREADS", threads.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(at) = crash_at {
        command.env(CRASH_AT, at.to_string());
    }
    command.spawn().expect("the process starts")
}

fn run(folder: &Path, threads: usize, simulations: usize, crash_at: Option<usize>) -> bool {
    start(folder, threads, simulations, crash_at).wait().expect("the process ends").success()
}

#[test]
fn a_killed_and_resumed_store_has_the_bytes_of_an_uninterrupted_one() {
    let whole = folder();
    plain_model().presimulate(whole.path(), &stored(95)).expect("it runs");
    let expected = contents(whole.path());
    assert_eq!(expected.len(), 10 + 2, "10 shards, a manifest and a lock");

    // Each process simulates 2 in its pilot run; the first dies in the pilot, the next in the first shard, and so on.
    for threads in [1, 2, 3] {
        let killed = folder();
        for crash_at in [0, 2, 5, 12, 35, 30] {
            assert!(!run(killed.path(), threads, 95, Some(crash_at)), "not killed at {crash_at}");
        }
        assert!(run(killed.path(), threads, 95, None));
        assert!(contents(killed.path()) == expected, "other bytes on {threads} threads");
    }
}

/// At any moment, also while files are written and renamed: kills come after 5, 10, 15 ... ms, until the 200 shards are
/// there.
#[test]
fn a_store_survives_kills_at_any_moment() {
    let (whole, killed) = (folder(), folder());
    plain_model().presimulate(whole.path(), &stored(2_000)).expect("it runs");
    let mut kills = 0;
    for delay in (5..).step_by(5) {
        let mut child = start(killed.path(), 2, 2_000, None);
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        if child.wait().expect("it ends").success() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 1, "the process ended within 10 ms");
    assert!(contents(killed.path()) == contents(whole.path()));
}

/// What a kill leaves between a shard and its entry in the manifest, or within a file, is removed, also if fewer
/// simulations are asked for than before.
#[test]
fn unfinished_files_are_removed() {
    let (store, whole) = (folder(), folder());
    for folder in [&store, &whole] {
        plain_model().presimulate(folder.path(), &stored(20)).expect("it runs");
    }
    let complete = ["shard-000002.safetensors", "shard-000005.safetensors"];
    let unfinished = [".shard-000001.safetensors.Ab3xYz01.tmp", ".manifest.json.q9LpTt42.tmp"];
    for name in complete.into_iter().chain(unfinished) {
        fs::write(store.path().join(name), "half").expect("writable");
    }
    fs::write(store.path().join("notes.txt"), "the user's own").expect("writable");
    plain_model().presimulate(store.path(), &stored(20)).expect("it runs");
    fs::remove_file(store.path().join("notes.txt")).expect("still there");
    assert!(contents(store.path()) == contents(whole.path()));
}

#[test]
fn more_simulations_are_appended_in_new_shards() {
    let (folder, model) = (folder(), plain_model());
    assert_eq!(model.presimulate(folder.path(), &stored(25)).expect("it runs").len(), 25);
    let before = contents(folder.path());
    let data = model.presimulate(folder.path(), &stored(48)).expect("it runs");
    let after = contents(folder.path());
    assert!(before.iter().all(|(name, bytes)| name == "manifest.json" || after[name] == *bytes));
    assert_eq!(after.len(), 6 + 2, "10, 10 and 5, then 10, 10 and 3");
    let all = model.simulate(48, 7).expect("it runs");
    assert_same(&data.select(&(0..48).collect::<Vec<_>>()).expect("there"), &all);
    // Fewer, or as many, change nothing; nor does leaving the shard size to the store.
    for presimulation in [stored(3), stored(48), Presimulation { simulations_per_shard: None, ..stored(48) }] {
        assert_eq!(model.presimulate(folder.path(), &presimulation).expect("it runs").len(), 48);
    }
    assert!(contents(folder.path()) == after);
}

#[test]
fn threads_and_shard_sizes_do_not_change_what_is_stored() {
    let on = |threads, presimulation: Presimulation| {
        let (pool, folder) = (rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads"), folder());
        let data = pool.install(|| plain_model().presimulate(folder.path(), &presimulation)).expect("it runs");
        (data.select(&(0..95).collect::<Vec<_>>()).expect("there"), contents(folder.path()))
    };
    let (rows, bytes) = on(1, stored(95));
    assert!((rows.clone(), bytes) == on(4, stored(95)));
    assert_same(&rows, &on(2, stored(95).with_simulations_per_shard(33)).0);
    assert_same(&rows, &on(2, Presimulation { simulations_per_shard: None, ..stored(95) }).0);
}

/// Functions of a whole batch see a shard as their batch.
#[test]
fn a_shard_is_one_batch_to_functions_of_whole_batches() {
    let prior = Prior::from_batch_fn(["mu"], |rng, n, _| Array2::from_shape_simple_fn((n, 1), || rng.random()));
    let simulator = Simulator::from_batch_fn(|rng, mu, _| mu.mapv(|m| m + rng.random::<f32>()).insert_axis(Axis(1)));
    let (model, folder) = (GenerativeModel::new(prior, simulator).expect("sound"), folder());
    let data = model.presimulate(folder.path(), &stored(25)).expect("it runs");
    let rows: Vec<usize> = (10..20).collect();
    assert_same(&data.select(&rows).expect("there"), &model.simulate_from(7, 10, 10).expect("it runs"));
}

#[test]
fn the_default_shard_is_a_part_of_the_store_and_small_with_shared_context() {
    let shard = |model: GenerativeModel, simulations| {
        let folder = folder();
        let presimulation = Presimulation::new(simulations, 1).with_progress(Progress::Hidden);
        model.presimulate(folder.path(), &presimulation).expect("it runs");
        let manifest = fs::read_to_string(folder.path().join("manifest.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
        manifest["simulations_per_shard"].as_u64().expect("a number")
    };
    assert_eq!(shard(plain_model(), 5), 1);
    assert_eq!(shard(plain_model(), 64_001), 2001);
    assert_eq!(shard(model_with_contexts(), 640), 20);
    assert_eq!(shard(model_with_contexts(), 64_000), 1000);
    // 2 parameters and 4 MB of data: 8 simulations would be more than 32 MB.
    let simulator = Simulator::from_fn(|_, _, _| Array2::ones((1 << 10, 1 << 10)));
    let large = GenerativeModel::new(normal_prior(), simulator).expect("sound");
    assert_eq!(shard(large, 250), 7);
}

#[test]
fn another_setting_is_refused_by_its_name() {
    let (folder, model) = (folder(), plain_model());
    model.presimulate(folder.path(), &stored(20)).expect("it runs");
    let before = contents(folder.path());
    let refused = |model: &GenerativeModel, presimulation: Presimulation| match model
        .presimulate(folder.path(), &presimulation)
        .expect_err("another setting")
    {
        DataError::Setting { setting, stored, given, .. } => (setting, stored, given),
        error => panic!("{error}"),
    };
    let owned = |(setting, stored, given): (_, &str, &str)| (setting, stored.to_owned(), given.to_owned());
    let seed = Presimulation { seed: 8, ..stored(20) };
    assert_eq!(refused(&model, seed), owned(("seed", "7", "8")));
    let shard = stored(20).with_simulations_per_shard(5);
    assert_eq!(refused(&model, shard), owned(("simulations_per_shard", "10", "5")));
    assert_eq!(refused(&model_with_contexts(), stored(20)).0, "shapes");
    let prior = Prior::from_fn(["mu", "sigma"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(|_, _, _| Array2::ones((4, 2)));
    let renamed = GenerativeModel::new(prior, simulator).expect("sound");
    let names = owned(("parameter_names", r#"["mu", "nu"]"#, r#"["mu", "sigma"]"#));
    assert_eq!(refused(&renamed, stored(20)), names);
    assert!(contents(folder.path()) == before, "nothing is changed");
}

#[test]
fn nothing_to_simulate_and_folders_of_other_things_are_refused() {
    let (folder, model) = (folder(), plain_model());
    let none = model.presimulate(folder.path(), &stored(0));
    assert!(matches!(none, Err(DataError::Simulation(SimulationError::NoSimulations))));
    let empty = model.presimulate(folder.path(), &stored(1).with_simulations_per_shard(0));
    assert!(matches!(empty, Err(DataError::EmptyShards)));
    fs::write(folder.path().join("thesis.tex"), "").expect("writable");
    match model.presimulate(folder.path(), &stored(20)) {
        Err(DataError::NotAStore { found, .. }) => assert_eq!(found, "thesis.tex"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_second_process_is_refused_until_the_first_ends() {
    let folder = folder();
    let lock = fs::File::create(folder.path().join(".lock")).expect("writable");
    lock.lock().expect("free");
    let refused = plain_model().presimulate(folder.path(), &stored(20));
    assert!(matches!(refused, Err(DataError::Locked { .. })), "{refused:?}");
    drop(lock);
    plain_model().presimulate(folder.path(), &stored(20)).expect("it runs");
}

/// Simulation 47 fails: what came before it stays, and a mended model goes on.
#[test]
fn a_simulation_that_fails_leaves_the_shards_before_it() {
    let (store, whole) = (folder(), folder());
    let failing = |at: usize| {
        let simulated = AtomicUsize::new(0);
        let simulator = Simulator::from_fn(move |rng, theta, _| {
            assert_ne!(simulated.fetch_add(1, Ordering::Relaxed), at, "no convergence");
            Array2::from_shape_fn((4, 2), |(_, d)| theta[d] + rng.sample::<f32, _>(StandardNormal))
        });
        GenerativeModel::new(normal_prior(), simulator).expect("the pilot run succeeds")
    };
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let failed = one.install(|| failing(2 + 47).presimulate(store.path(), &stored(95)));
    match failed {
        Err(DataError::Simulation(SimulationError::Panicked { index: 47, message, .. })) => {
            assert!(message.contains("no convergence"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(Dataset::open(store.path()).expect("four shards").len(), 40);
    for folder in [&store, &whole] {
        plain_model().presimulate(folder.path(), &stored(95)).expect("it runs");
    }
    assert!(contents(store.path()) == contents(whole.path()));
}

/// More shards than Linux maps for a process, 65,530 by default: links to four files, each a batch of its own context.
#[cfg(unix)]
#[test]
fn a_store_of_more_shards_than_a_process_may_map_is_read_whole() {
    const SHARDS: usize = 66_000;
    let folder = folder();
    model_with_contexts().presimulate(folder.path(), &stored(40)).expect("it runs");
    let small = Dataset::open(folder.path()).expect("four shards");
    let path = folder.path().join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).expect("a manifest")).expect("JSON");
    let name = |i: usize| format!("shard-{i:06}.safetensors");
    let shards = manifest["shards"].as_array_mut().expect("a list");
    for i in 4..SHARDS {
        fs::hard_link(folder.path().join(name(i % 4)), folder.path().join(name(i))).expect("linked");
        let mut shard = shards[i % 4].clone();
        (shard["file"], shard["first"]) = (name(i).into(), (10 * i).into());
        shards.push(shard);
    }
    fs::write(&path, manifest.to_string()).expect("writable");

    let large = Dataset::open(folder.path()).expect("66,000 shards");
    assert_eq!(large.len(), 10 * SHARDS);
    // Rows of the first shards and of the last ones, in every group.
    for group in small.groups() {
        let rows: Vec<usize> = group.rows().collect();
        let expected = small.select(&rows).expect("there");
        assert_same(&large.select(&rows).expect("mapped"), &expected);
        let last: Vec<usize> = rows.iter().map(|row| row + 10 * (SHARDS - 4)).collect();
        assert_same(&large.select(&last).expect("not mapped"), &expected);
    }
}

/// As many simulations a shard as there can be, and two shards at a time: a product beyond the largest integer.
#[test]
fn the_largest_shard_holds_all_simulations() {
    for per_shard in [usize::MAX, 1 << 63] {
        let (folder, batches) = (folder(), Arc::new(AtomicUsize::new(0)));
        let counted = batches.clone();
        let simulator = Simulator::from_batch_fn(move |_, theta, _| {
            assert!(counted.fetch_add(1, Ordering::Relaxed) < 5, "it simulates on and on");
            theta.to_owned()
        });
        let model = GenerativeModel::new(normal_prior(), simulator).expect("sound");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
        let settings = stored(25).with_simulations_per_shard(per_shard);
        let data = pool.install(|| model.presimulate(folder.path(), &settings)).expect("it runs");
        assert_eq!((data.len(), contents(folder.path()).len()), (25, 3), "a shard, a manifest and a lock");
    }
}
