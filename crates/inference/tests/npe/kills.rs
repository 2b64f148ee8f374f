//! Kills an inference of two rounds at random moments, resumes it in new processes, and compares what it ends with.

use crate::{box_prior, builder, config_of, small};
use bayesburn_core::{Purpose, stream};
use bayesburn_inference::{NpeTraining, Proposal};
use bayesburn_simulation::{GenerativeModel, Simulator};
use ndarray::arr1;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const FOLDER: &str = "BAYESBURN_TEST_NPE_FOLDER";
const KILLS: u32 = 8;

/// The inference that the test below runs as a process of its own; does nothing when it is not called by it.
#[test]
fn inference_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let simulator = Simulator::from_fn(|rng, theta, _| {
        sleep(Duration::from_micros(200));
        arr1(&[theta[0], theta[1]]).mapv(|x: f32| x + 0.3 * rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(box_prior(2), simulator).expect("it simulates");
    let training = NpeTraining::new().with_batch_size(20).with_max_epochs(30).with_stop_after_epochs(30);
    let builder = builder(model, config_of(small(), training), 3).folder(Path::new(&folder).join("state")).resume();
    let mut npe = builder.build().expect("the folder is empty or holds this inference");
    for _ in 0..2 {
        npe.simulate(500).expect("it simulates");
        let posterior = npe.train().expect("it trains").with_observation(arr1(&[0.5, -0.5])).expect("two numbers");
        let draws = posterior.sample(1000, 9).expect("a sound request");
        let draws: Vec<u8> = draws.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(Path::new(&folder).join("draws"), draws).expect("writable");
        npe.set_proposal(Proposal::posterior(posterior).expect("it has an observation"));
    }
    fs::write(Path::new(&folder).join("done"), "").expect("writable");
}

fn start(folder: &Path, threads: u32) -> Child {
    fs::create_dir_all(folder).expect("writable");
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    command.args(["--exact", "kills::inference_process"]).env(FOLDER, folder);
    command.env("RAYON_NUM_THREADS", threads.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the process starts")
}

/// `SIGKILL` at eight moments drawn at random, on 1 and 2 threads in turn; then the inference ends as it would have on
/// its own.
#[test]
fn an_inference_survives_kills() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = folder.path().join("whole");
    let begin = Instant::now();
    assert!(start(&whole, 1).wait().expect("it runs").success());
    let time = begin.elapsed();
    let expected = fs::read(whole.join("draws")).expect("the draws of the second round");

    // Each process gets some time; where they are done before they are killed eight times, it is tried again with less.
    let mut longest = Duration::from_millis(50) + time / KILLS * 2;
    let killed = (0..6).map(|attempt| folder.path().join(format!("killed-{attempt}"))).find(|killed| {
        let mut rng = stream(1, const { Purpose::new("kill moments") }, 0);
        let all = (0..KILLS).all(|kill| {
            let mut process = start(killed, 1 + kill % 2);
            sleep(longest.mul_f64(rng.random()));
            process.kill().expect("it can be killed");
            process.wait().expect("it ends");
            !killed.join("done").exists()
        });
        longest /= 2;
        all
    });
    let killed = killed.expect("an inference that is killed eight times before it is done");
    assert!(start(&killed, 2).wait().expect("it runs").success(), "after {KILLS} kills");
    assert!(fs::read(killed.join("draws")).expect("the draws of the second round") == expected);
}
