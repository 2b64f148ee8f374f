//! Trains for a few steps and looks at everything that is written.

use crate::models::{normal_means, short_run, small_networks, training};
use bayesburn::{
    amortizers::AmortizedPosterior,
    networks::{
        ActNormConfig, AffineConfig, ConfigError, DataTensor, DeepSetConfig, InterleavedConfig, ParameterInit, Pass,
        PermutationConfig, SoftFlowConfig, SummaryConfig, SummaryNetwork,
    },
    prelude::*,
    trainers::Optimizer,
};
use burn::{
    config::Config,
    module::Module,
    optim::{RmsPropConfig, SgdConfig},
    tensor::Tensor,
};
use std::fs;

#[test]
fn a_run_writes_checkpoints_events_and_history() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (checkpoints, events) = (folder.path().join("checkpoints"), folder.path().join("events"));
    let mut trainer = Trainer::builder(normal_means(), small_networks())
        .checkpoints(&checkpoints)
        .keep_checkpoints(2)
        .tensorboard(&events)
        .progress(Progress::Hidden)
        .build()
        .expect("an empty folder");
    let history = trainer.train(short_run(), &training()).expect("training succeeds").clone();
    assert_eq!((history.steps.len(), history.epochs.len(), history.validation_losses().len()), (18, 3, 3));
    assert!(history.steps[0].learning_rate > history.steps[17].learning_rate);

    let mut kept: Vec<String> = fs::read_dir(&checkpoints)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name != ".lock")
        .collect();
    kept.sort();
    assert_eq!(kept, ["step-00000012", "step-00000018"]);

    // A checkpoint is a saved posterior too.
    let test = trainer.simulate(5, 1).expect("the simulator succeeds");
    let loaded: AmortizedPosterior =
        AmortizedPosterior::load(checkpoints.join("step-00000018"), &Device::default()).expect("a whole checkpoint");
    let draws = |posterior: &AmortizedPosterior| posterior.sample(&test.conditions, 10, 1).expect("10 draws");
    assert_eq!(draws(&loaded), draws(trainer.amortizer()));

    let file = fs::read_dir(&events).expect("a folder").next().expect("an event file").expect("an entry");
    let bytes = fs::read(file.path()).expect("an event file");
    for tag in ["train/loss", "train/learning_rate", "validation/loss"] {
        assert!(bytes.windows(tag.len()).any(|window| window == tag.as_bytes()), "{tag}");
    }
}

/// Every choice of network, optimizer and loss takes a few steps and gives finite losses and draws.
#[test]
fn every_choice_trains() {
    let networks = |inference: InvertibleNetworkConfig| {
        PosteriorConfig::new(DeepSetConfig::new(4).with_units(16), inference.with_num_coupling_layers(2))
    };
    let base = InvertibleNetworkConfig::new;
    let config = training();
    let spline = CouplingDesign::Spline(SplineConfig::new());
    let interleaved = CouplingDesign::Interleaved(InterleavedConfig::new());
    let unclamped = CouplingDesign::Affine(AffineConfig::new().with_soft_clamping(None));
    for (i, (networks, config)) in [
        (networks(base().with_coupling(spline)), config.clone()),
        (networks(base().with_coupling(interleaved)), config.clone()),
        (networks(base().with_coupling(unclamped)), config.clone().with_optimizer(Optimizer::Sgd(SgdConfig::new()))),
        (networks(base().with_permutation(PermutationConfig::Learnable)), config.clone().with_clip_norm(None)),
        (networks(base().with_permutation(PermutationConfig::None).with_act_norm(ActNormConfig::None)), config.clone()),
        (
            networks(base().with_soft_flow(Some(SoftFlowConfig::new())).with_act_norm(ActNormConfig::FromData)),
            config.clone().with_optimizer(Optimizer::RmsProp(RmsPropConfig::new())),
        ),
        (networks(base()).with_summary_loss(SummaryLoss::Mmd { weight: 1.0 }), config.clone()),
        (networks(base()).with_standardization(Standardization::None), config.clone()),
        (PosteriorConfig::bayesflow_v1(4, 2), config),
    ]
    .into_iter()
    .enumerate()
    {
        let mut trainer = Trainer::builder(normal_means(), networks)
            .progress(Progress::Hidden)
            .build()
            .expect("the networks are valid");
        let before = trainer.simulate(4, 9).expect("the simulator succeeds");
        let first = trainer.amortizer().negative_log_prob(&before).expect("the pilot widths");
        trainer.train(short_run().with_epochs(1), &config).unwrap_or_else(|error| panic!("choice {i}: {error}"));
        let after = trainer.amortizer().negative_log_prob(&before).expect("the pilot widths");
        assert!(after.is_finite() && after != first, "choice {i} did not train");
        let draws = trainer.amortizer().sample(&before.conditions, 20, 1).expect("20 draws");
        assert!(draws.values().iter().all(|x| x.is_finite()), "choice {i}");
    }
}

/// A summary network of one's own, with nothing but the two traits.
#[derive(Config, Debug, PartialEq)]
struct MomentsConfig {
    #[config(default = 2.0)]
    power: f64,
}

#[derive(Module, Debug)]
struct Moments {
    layer: burn::nn::Linear,
    #[module(skip)]
    power: f64,
}

impl SummaryConfig for MomentsConfig {
    const NAME: &'static str = "moments";

    type Network = Moments;

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<Moments, ConfigError> {
        let features = shape.inputs()[0].features();
        let layer = init.linear(2 * features, 4, bayesburn::networks::OutputInit::Glorot);
        Ok(Moments { layer, power: self.power })
    }
}

impl SummaryNetwork for Moments {
    fn summary_dim(&self) -> usize {
        4
    }

    fn forward(&self, data: &DataTensor, _pass: &mut Pass) -> Tensor<2> {
        let data = data.only().values::<3>();
        let [rows, _, features] = data.dims();
        let powers = data.clone().abs().powf_scalar(self.power);
        let moments = Tensor::cat(vec![data.mean_dim(1), powers.mean_dim(1)], 2);
        self.layer.forward(moments.reshape([rows, 2 * features]))
    }
}

#[test]
fn a_summary_network_of_ones_own_trains_and_is_saved() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = PosteriorConfig::new(MomentsConfig::new(), InvertibleNetworkConfig::new().with_num_coupling_layers(2));
    let mut trainer =
        Trainer::builder(normal_means(), config).progress(Progress::Hidden).build().expect("valid networks");
    trainer.train(short_run(), &training()).expect("training succeeds");
    trainer.amortizer().save(folder.path()).expect("writable");
    let loaded = AmortizedPosterior::<MomentsConfig>::load(folder.path(), &Device::default()).expect("what was saved");
    let test = trainer.simulate(3, 1).expect("the simulator succeeds");
    assert_eq!(
        loaded.log_prob(&test.parameters, &test.conditions).expect("the pilot widths"),
        trainer.amortizer().log_prob(&test.parameters, &test.conditions).expect("the pilot widths"),
    );
    // Of another type, the file is refused.
    let other = AmortizedPosterior::<DeepSetConfig>::load(folder.path(), &Device::default());
    assert!(other.expect_err("another configuration").to_string().contains("amortizer.json"));
}
