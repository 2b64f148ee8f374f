//! Checkpoints of a training. The first byte says which file of the newest one is replaced by the rest; it is sealed
//! again, and the training goes on from there, or says why not.
#![no_main]

use bayesburn_amortizers::PosteriorConfig;
use bayesburn_core::files::seal;
use bayesburn_networks::{
    AffineConfig, AffineNets, CouplingDesign, DeepSetConfig, DenseNetConfig, InvertibleNetworkConfig,
};
use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
use bayesburn_trainers::{LossHistory, Progress, Replay, Trainer, TrainerError, TrainingConfig};
use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use rand::RngExt;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use tempfile::TempDir;

/// A run's folder, of which the newest checkpoint is that of the second of three epochs, and one that is made anew of
/// it.
static FOLDERS: LazyLock<(TempDir, PathBuf, PathBuf)> = LazyLock::new(|| {
    // Burn's reader of optimizer states panics, which is caught: only a panic that comes here is a finding.
    std::panic::set_hook(Box::new(|_| {}));
    let folder = tempfile::tempdir_in("/dev/shm").expect("memory");
    let (whole, used) = (folder.path().join("whole"), folder.path().join("used"));
    train(&whole).expect("it trains");
    fs::remove_dir_all(whole.join("step-00000006")).expect("the last checkpoint");
    (folder, whole, used)
});

static MODEL: LazyLock<GenerativeModel> = LazyLock::new(|| {
    let prior = Prior::from_fn(["a"], |rng, _| [rng.random::<f32>()]);
    let simulator = Simulator::from_fn(|rng, theta, _| Array2::from_elem((2, 1), theta[0] + rng.random::<f32>()));
    GenerativeModel::new(prior, simulator).expect("it simulates")
});

fn train(folder: &Path) -> Result<(), TrainerError> {
    let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(1).with_coupling(CouplingDesign::Affine(
        AffineConfig::new().with_nets(AffineNets::Shared(DenseNetConfig::new().with_units(2))),
    ));
    let networks = PosteriorConfig::new(DeepSetConfig::new(2).with_units(2), flow);
    let builder = Trainer::builder(MODEL.clone(), networks).checkpoints(folder).resume().memory(2);
    let mut trainer = builder.progress(Progress::Hidden).build()?;
    let source = Replay::new().with_epochs(3).with_iterations_per_epoch(2).with_batch_size(2).with_capacity(3);
    let config = TrainingConfig::new().with_validation_simulations(4).with_weight_average(Some(0.5));
    trainer.train(source, &config).map(|_| ())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let place = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &place);
        } else {
            // Not `fs::copy`, which the fuzzer's timer may interrupt.
            fs::write(&place, fs::read(&path).expect("readable")).expect("written");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, content)) = data.split_first() else { return };
    let (_, whole, used) = &*FOLDERS;
    let _ = fs::remove_dir_all(used);
    copy(whole, used);
    let newest = used.join("step-00000004");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&newest).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let file = &files[*kind as usize % files.len()];
    fs::write(file, content).expect("written");
    if !file.ends_with("checksums.txt") {
        seal(&newest).expect("sealed");
    }
    let _ = LossHistory::load(newest.join("history.json"));
    let _ = train(used);
});
