//! Saved posteriors. The first byte says which of the files is replaced by the rest; the folder is sealed again, so
//! that it is read.
#![no_main]

use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
use bayesburn_core::files::seal;
use bayesburn_inference::{Posterior, RejectionConfig};
use bayesburn_networks::{
    AffineConfig, AffineNets, CouplingDesign, DeepSetConfig, DenseNetConfig, IdentityConfig, AnyInferenceConfig,
    InvertibleNetworkConfig, MixtureConfig, SummaryConfig,
};
use burn::tensor::{Device, Tensor};
use libfuzzer_sys::fuzz_target;
use ndarray::{Array2, Array3, arr1};
use std::{
    fs,
    path::Path,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;

const AMORTIZED: [&str; 2] = ["amortizer.json", "weights.safetensors"];
const INFERENCE: &str = r#"{"names": ["a", "b"], "support": ["Real", "Real"], "is_product_of_intervals": true, "data_shape": [2], "masked": false, "rounds": 1, "observation": [0.5, null]}"#;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("memory");
    let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(1).with_coupling(CouplingDesign::Affine(
        AffineConfig::new().with_nets(AffineNets::Shared(DenseNetConfig::new().with_units(2))),
    ));
    let deep = PosteriorConfig::new(DeepSetConfig::new(2).with_units(2), flow);
    save(&folder.path().join("deep"), deep, 3);
    let mixture = MixtureConfig::new().with_components(2).with_net(DenseNetConfig::new().with_units(4));
    save(
        &folder.path().join("npe/estimator"),
        PosteriorConfig::new(IdentityConfig::new(), AnyInferenceConfig::from(mixture)),
        1,
    );
    fs::write(folder.path().join("npe/inference.json"), INFERENCE).expect("written");
    folder
});

fn save<C: SummaryConfig>(folder: &Path, config: PosteriorConfig<C>, n: usize) {
    let data = Array3::from_shape_fn((8, n, 2), |(m, i, j)| ((m * 7 + i * 3 + j) % 5) as f32);
    let parameters = Array2::from_shape_fn((8, 2), |(m, d)| (m * (d + 1) % 3) as f32);
    let pilot = Configured::new(parameters, Conditions::new(data)).expect("as many");
    let posterior = AmortizedPosterior::new(config, ["a", "b"], &[pilot], 1, &Device::flex()).expect("valid");
    posterior.save(folder).expect("written");
    for name in AMORTIZED {
        fs::copy(folder.join(name), folder.with_extension(name)).expect("copied");
    }
}

/// Replaces a file, has `load` read the folder, and puts the file back.
fn replaced(folder: &Path, name: &str, content: &[u8], load: impl FnOnce()) {
    fs::write(folder.join(name), content).expect("written");
    seal(folder).expect("sealed");
    load();
    // Not `fs::copy`, which the fuzzer's timer may interrupt.
    let whole = fs::read(folder.with_extension(name)).expect("readable");
    fs::write(folder.join(name), whole).expect("written");
}

/// Burn keeps an entry for each parameter until the next backward pass of the process.
fn forget_parameters() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    if CALLS.fetch_add(1, Ordering::Relaxed) % 1000 == 0 {
        let _ = Tensor::<1>::ones([1], &Device::flex().autodiff()).require_grad().sum().backward();
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, content)) = data.split_first() else { return };
    forget_parameters();
    let device = Device::flex();
    let (deep, npe) = (FOLDER.path().join("deep"), FOLDER.path().join("npe"));
    let load_deep = || {
        if let Ok(posterior) = AmortizedPosterior::<DeepSetConfig>::load(&deep, &device) {
            let data = Conditions::new(Array3::ones((1, 3, 2)));
            let _ = (posterior.sample(&data, 2, 1), posterior.log_prob(&Array2::zeros((1, 2)), &data));
        }
    };
    let load_npe = || {
        if let Ok(posterior) = Posterior::<IdentityConfig>::load_without_prior(&npe, &device) {
            // What lies in a support that a file makes up may be hard to find.
            let posterior = posterior.with_rejection(RejectionConfig { max_tries_per_draw: 10, ..Default::default() });
            let _ = (posterior.sample(2, 1), posterior.sample_for(&arr1(&[0.1, 0.2]), 2, 1));
            let _ = (posterior.log_prob_for(&Array2::zeros((1, 2)), &arr1(&[0.1, 0.2])), posterior.to_string());
        }
    };
    match kind % 5 {
        0 => replaced(&deep, AMORTIZED[0], content, load_deep),
        1 => replaced(&deep, AMORTIZED[1], content, load_deep),
        2 => {
            fs::write(npe.join("inference.json"), content).expect("written");
            load_npe();
            fs::write(npe.join("inference.json"), INFERENCE).expect("written");
        }
        3 => replaced(&npe.join("estimator"), AMORTIZED[0], content, load_npe),
        _ => replaced(&npe.join("estimator"), AMORTIZED[1], content, load_npe),
    }
});
