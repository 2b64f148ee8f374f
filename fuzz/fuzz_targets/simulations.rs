//! Simulations on disk. The first byte says what the file is: safetensors, an archive of NumPy's, two of its files, or
//! the manifest of a store.
#![no_main]

use bayesburn_core::Simulations;
use bayesburn_simulation::{Dataset, GenerativeModel, Presimulation, Prior, Progress, Simulator, load_simulations};
use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use rand::RngExt;
use std::{fs, path::Path, sync::LazyLock};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("memory");
    let prior = Prior::from_fn(["a"], |rng, _| [rng.random::<f32>()]);
    let simulator = Simulator::from_fn(|rng, theta, _| Array2::from_elem((2, 1), theta[0] + rng.random::<f32>()));
    let model = GenerativeModel::new(prior, simulator).expect("it simulates");
    let presimulation = Presimulation::new(5, 1).with_simulations_per_shard(3).with_progress(Progress::Hidden);
    model.presimulate(folder.path().join("store"), &presimulation).expect("written");
    folder
});

fn open(path: &Path) {
    let Ok(data) = Dataset::open(path) else { return };
    let _ = (data.verify(), data.fingerprint(), data.invalid().count());
    let some: Vec<usize> = (0..data.len().min(3)).collect();
    let _: Option<Simulations> = data.select(&some).ok();
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, content)) = data.split_first() else { return };
    let folder = FOLDER.path();
    match kind % 4 {
        0 => {
            let path = folder.join("a.safetensors");
            fs::write(&path, content).expect("written");
            let _ = load_simulations(&path);
            open(&path);
        }
        1 => {
            fs::write(folder.join("a.npz"), content).expect("written");
            open(&folder.join("a.npz"));
        }
        2 => {
            // Two files, one of them as long as the second byte says.
            let (len, content) = content.split_first().unwrap_or((&0, &[]));
            let (parameters, sim_data) = content.split_at((*len as usize * 4).min(content.len()));
            let folder = folder.join("npy");
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join("parameters.npy"), parameters).expect("written");
            fs::write(folder.join("sim_data.npy"), sim_data).expect("written");
            open(&folder);
        }
        _ => {
            let folder = folder.join("store");
            fs::write(folder.join("manifest.json"), content).expect("written");
            open(&folder);
        }
    }
});
